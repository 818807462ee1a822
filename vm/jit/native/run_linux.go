//go:build linux && (amd64 || arm64)

package native

import (
	"fmt"
	"sort"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// nextSlice gives machine code the next part of the budget.
func (c *Code) nextSlice() {
	n := min(c.rest, c.slice)
	c.x.left, c.rest = n, c.rest-n
}

// settle brings the counters up to date when machine code has returned.
func (c *Code) settle(st *engine.State) {
	st.Insns = st.Limit - uint64(c.x.left+c.rest)
	c.env.Call.Calls += c.x.calls
}

// run runs an activation whose start, stacks, budget and arguments are in the context.
func (c *Code) run() (uint64, *engine.Fault) {
	c.refresh()
	enter(c.x)
	return c.loop()
}

// loop serves an activation until it ends, from its first exit on.
func (c *Code) loop() (uint64, *engine.Fault) {
	x, st, call := c.x, &c.env.State, c.env.Call
	for x.exit != ExitDone {
		if x.exit&exitMask != ExitCall {
			if x.exit&exitMask == ExitBudget && c.more() {
				continue
			}
			c.settle(st)
			x.loopFP = 0
			return 0, c.fault(x)
		}
		s := &c.sites[x.exit>>ExitBits]
		st.Insns = st.Limit - uint64(x.left+c.rest)
		call.Calls += x.calls + 1
		// Safety: the arguments lie on the private stack, which nothing changes or unmaps during the call.
		r0 := s.Fn(call, (*abi.Args)(x.sp))
		if call.Fault != "" {
			x.loopFP = 0
			return 0, c.callFault(s.Insn)
		}
		if call.Next != abi.NextCaller {
			next, result, f := c.goOn(s.Insn)
			switch {
			case f != nil:
				x.loopFP = 0
				return 0, f
			case next == goReturn:
				return result, nil
			case next == goEnter:
				c.refresh()
				enter(x)
				continue
			}
			r0, x.leaves = result, 1
		}
		// Programs and callbacks that ran meanwhile have left in x.left and c.rest what they left of the budget.
		x.r0, x.fresh = r0, 0
		if n := c.mem.Limit(); n != x.space {
			x.setLimit(n)
		}
		if a := c.env.Arena; a != nil && a.Low() != x.arenaLow {
			x.setArena(a.Low())
		}
		resume(x)
	}
	c.settle(st)
	return x.r0, nil
}

// more continues after a slice of the budget, unless that was the last. It is a call that grows the stack, and so one at
// which the runtime can stop the goroutine.
//
//go:noinline
func (c *Code) more() bool {
	x := c.x
	if c.rest += x.left; c.rest <= 0 {
		x.left, c.rest = c.rest, 0
		return false
	}
	c.nextSlice()
	c.env.Call.Calls += x.calls
	base, pc := x.base, x.pc
	x.base, x.pc = x.sp, c.againAt
	enter(x)
	x.base, x.pc = base, pc
	return true
}

// What the activation does after a call that set Call.Next.
const (
	goReturn = iota // it is over
	goEnter         // it starts anew at x.pc
	goBack          // the function that called returns
)

// goOn does what the function called at instruction insn has asked for.
func (c *Code) goOn(insn int32) (next int, r0 uint64, f *engine.Fault) {
	x, call := c.x, c.env.Call
	n, other := call.Next, call.Other
	call.Next, call.Other = abi.NextCaller, nil
	fp := x.callFP() - c.hosted
	first := fp == c.top
	msg := ""
	if n != abi.NextThrow {
		msg = engine.TailFault(n, len(c.progs), call.Tails, first && c.inCallback || fp+c.hosted == x.loopFP)
	} else if c.inCallback || x.loopFP != 0 {
		msg = engine.ThrowFault()
	}
	if msg != "" {
		return goReturn, 0, c.faultAt(insn, msg)
	}
	if n == abi.NextThrow {
		code := c.env.Progs[c.prog].Code
		if code.Exception == 0 {
			return goReturn, call.Cookie, nil
		}
		c.start(c.progs[c.prog].Subs[code.Exception], &abi.Args{call.Cookie})
		return goEnter, 0, nil
	}
	call.Tails++
	// Safety: the arguments of the call lie on the private stack, as in run.
	ctx := (*abi.Args)(x.sp)[0]
	switch {
	case n == abi.NextOther:
		if r0, call.Tails, msg = other.TailRun(ctx, call.Tails); msg != "" {
			return goReturn, 0, c.faultAt(insn, msg)
		}
	case first: // what the old program has on the private stack is forgotten
		c.prog, call.Prog = int(n-1), c.entries[n-1].info
		c.ask(&c.entries[n-1])
		x.args[0], x.pc = ctx, c.entries[n-1].pc
		return goEnter, 0, nil
	default:
		if r0, f = c.inPlace(int(n-1), ctx, fp); f != nil {
			return goReturn, 0, f
		}
	}
	if first {
		return goReturn, r0, nil
	}
	return goBack, r0, nil
}

// inPlace runs program p on the frame that ends at fp, whose subprogram has made a tail call.
func (c *Code) inPlace(p int, ctx, fp uint64) (uint64, *engine.Fault) {
	call, x := c.env.Call, c.x
	prog, info, cpu, words := c.prog, call.Prog, x.cpu, x.words
	c.prog, call.Prog = p, c.entries[p].info
	c.ask(&c.entries[p])
	x.args[0], x.pc = ctx, c.entries[p].pc
	r0, f := c.runAt(fp, 0, false)
	c.prog, call.Prog, x.cpu, x.words, x.fresh = prog, info, cpu, words, 0
	return r0, f
}

// refresh tells machine code what memory there is.
func (c *Code) refresh() {
	if n := c.mem.Limit(); n != c.x.space {
		c.x.setLimit(n)
	}
	if a := c.env.Arena; a != nil && a.Low() != c.x.arenaLow {
		c.x.setArena(a.Low())
	}
}

// noFrame is the Fault of a program or callback that could not start.
func noFrame(p int, at int32, frames int) *engine.Fault {
	if frames >= engine.MaxFrames {
		return &engine.Fault{Prog: p, Insn: at, Msg: engine.DepthFault()}
	}
	return &engine.Fault{Prog: p, Insn: at, Msg: engine.StackFault()}
}

// where finds the program and the instruction of a number of the set.
func (c *Code) where(n int32) (prog int, insn int32) {
	p := sort.Search(len(c.progs), func(i int) bool { return c.progs[i].Base > n }) - 1
	return p, n - c.progs[p].Base
}

// callFault is the Fault of a helper or kfunc that set Call.Fault.
func (c *Code) callFault(insn int32) *engine.Fault {
	msg, inner := c.env.Call.Fault, c.inner
	c.env.Call.Fault, c.env.Call.Next, c.inner = "", abi.NextCaller, nil
	if inner != nil {
		return inner
	}
	return c.faultAt(insn, msg)
}

// faultAt is a Fault at an instruction of the set.
func (c *Code) faultAt(insn int32, msg string) *engine.Fault {
	p, i := c.where(insn)
	return &engine.Fault{Prog: p, Insn: i, Msg: msg}
}

// fault is the Fault that an activation left with.
func (c *Code) fault(x *context) *engine.Fault {
	p, i := c.where(int32(x.exit >> ExitBits))
	f := &engine.Fault{Prog: p, Insn: i}
	in, _ := c.env.Progs[p].Code.At(int(i))
	switch x.exit & exitMask {
	case ExitMemory:
		f.Msg = memoryFault(&in, x.value)
	case ExitBudget:
		f.Msg = engine.BudgetFault(c.env.Budget)
	case ExitDepth:
		f.Msg = engine.StackFault()
		if c.frames(x.faultFP-c.hosted) >= engine.MaxFrames {
			f.Msg = engine.DepthFault()
		}
	case ExitTarget:
		f.Msg = engine.TargetFault(x.value)
		if in.Op == ir.GotoX {
			f.Msg = engine.JumpFault(x.value)
		}
	case ExitHelper:
		f.Msg = engine.HelperFault(in.Imm)
	case ExitPoison:
		f.Msg = engine.PoisonFault()
	default:
		panic(fmt.Sprintf("BUG: machine code left with %#x", x.exit))
	}
	return f
}
