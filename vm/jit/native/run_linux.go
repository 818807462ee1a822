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
	st := &c.env.State
	n := min(int64(st.Limit-st.Insns), c.slice)
	c.x.left, c.x.until = n, st.Insns+uint64(n)
}

// settle brings the counters up to date when machine code has returned.
func (c *Code) settle() {
	x := c.x
	c.env.State.Insns = x.until - uint64(x.left)
	c.env.Call.Calls += uint64(x.calls)
	x.calls = 0
}

// Sync implements engine.Code.
func (c *Code) Sync() {
	if c.env.Call.Prog != nil { // machine code has been left at least once
		c.settle()
	}
}

// run runs an activation whose start, stacks, budget and arguments are in the context.
func (c *Code) run() (uint64, *engine.Fault) {
	enter(c.x)
	return c.loop()
}

// loop serves an activation until it ends, from its first exit on.
func (c *Code) loop() (uint64, *engine.Fault) {
	x := c.x
	for {
		if c.calls() {
			if over, r0, f := c.afterwards(); over {
				return r0, f
			}
			enter(x)
			continue
		}
		c.settle()
		switch {
		case x.exit == ExitDone:
			return x.r0, nil
		case ^x.exit&exitMask != ExitBudget || !c.more():
			x.loopFP = 0
			return 0, c.fault(x)
		}
	}
}

// calls makes the calls that machine code leaves for, until it leaves for something else, or a function wants more than to return
// to machine code with x.r0: then more is true.
//
// Each instruction counts here: this loop is most of what a call takes (BenchmarkCosts). So machine code counts calls, and who wants
// to know during a call what was counted asks (Sync).
func (c *Code) calls() (more bool) {
	x, call := c.x, c.env.Call
	for x.called() {
		x.r0 = x.site().fn(call, &x.args)
		// Programs and callbacks that ran meanwhile have left in x.left and x.until what they left of the budget.
		if call.Fault != "" || call.Next != abi.NextCaller {
			return true
		}
		resume(x)
	}
	return false
}

// afterwards does what the function called wants other than to return: over tells whether that ends the activation.
func (c *Code) afterwards() (over bool, r0 uint64, f *engine.Fault) {
	x, insn := c.x, c.x.site().insn
	c.settle()
	if c.env.Call.Fault != "" {
		x.loopFP = 0
		return true, 0, c.callFault(insn)
	}
	next, r0, f := c.goOn(insn)
	if f != nil {
		x.loopFP = 0
		return true, 0, f
	}
	if next == goBack {
		x.pc, x.r0, x.leaves = x.back, r0, 1
	}
	return next == goReturn, r0, nil
}

// more continues after a slice of the budget, unless that was the last. It is a call that grows the stack, and so one at
// which the runtime can stop the goroutine.
//
//go:noinline
func (c *Code) more() bool {
	x, st := c.x, &c.env.State
	if st.Insns >= st.Limit {
		return false
	}
	c.nextSlice()
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
	_, fp := x.callAt()
	fp -= c.hosted
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
	ctx := x.args[0]
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
	c.x.setLimit(c.mem.Limit())
	if c.arena != nil {
		c.x.setArena(c.arena.Low())
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
	p, i := c.where(insn)
	return engine.CallFault(p, c.env.Progs[p].Code, i, msg)
}

// faultAt is a Fault at an instruction of the set.
func (c *Code) faultAt(insn int32, msg string) *engine.Fault {
	p, i := c.where(insn)
	return &engine.Fault{Prog: p, Insn: i, Msg: msg}
}

// fault is the Fault that an activation left with.
func (c *Code) fault(x *context) *engine.Fault {
	p, i := c.where(int32(^x.exit >> ExitBits))
	f := &engine.Fault{Prog: p, Insn: i}
	in, _ := c.env.Progs[p].Code.At(int(i))
	switch ^x.exit & exitMask {
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
