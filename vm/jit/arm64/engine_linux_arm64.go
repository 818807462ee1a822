package arm64

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"unsafe"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// Options tune an Engine. The zero value is right for everything but profiling with perf.
type Options struct {
	// PerfMap, if not nil, is told where each subprogram lies, in the format of /tmp/perf-PID.map, so that perf can name
	// it.
	PerfMap io.Writer
}

// Engine compiles to machine code.
type Engine struct {
	opt Options
	// For tests: jumps reach far even where they need not; slices of the budget have that many instructions, 0: sliceInsns.
	far   bool
	slice int64
}

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Code   = (*code)(nil)
	_ engine.Lister = (*code)(nil)
)

// New returns the engine, or an error where the system does not let a process make executable memory.
func New(opt Options) (*Engine, error) {
	probe, err := executable([]byte{0xc0, 0x03, 0x5f, 0xd6})
	if err != nil {
		return nil, err
	}
	return &Engine{opt: opt}, unmap(probe)
}

// Name is "jit".
func (*Engine) Name() string { return "jit" }

// bytesPerFrame is the room on the private stack for one BPF frame: a return address, four registers and a counter of its
// own, and what a call to Go or a used-up slice (12 words) and a new activation (one) put there.
const bytesPerFrame = 8 * 20

// Compile turns the programs of env into machine code.
func (e *Engine) Compile(env *engine.Env) (engine.Code, error) {
	if len(env.Progs) > engine.MaxPrograms {
		return nil, fmt.Errorf("%d programs, at most %d are possible", len(env.Progs), engine.MaxPrograms)
	}
	insns := 0
	for i := range env.Progs {
		if err := engine.Check(env.Progs[i].Code); err != nil {
			return nil, err
		}
		insns += len(env.Progs[i].Code.Insns)
	}
	if insns >= math.MaxInt32>>exitBits {
		return nil, fmt.Errorf("%d instructions in a set, at most %d are possible", insns, math.MaxInt32>>exitBits)
	}
	if env.StackSize > 1<<30 {
		return nil, fmt.Errorf("stack region of %d bytes, at most %d are possible", env.StackSize, 1<<30)
	}
	x := takeContext(env.Mem.Control())
	if x == nil {
		return nil, fmt.Errorf("%d sets of programs share an address space, at most %d are possible", contexts, contexts)
	}
	c := &code{env: env, mem: env.Mem, x: x, low: env.StackTop - env.StackSize, budget: min(env.Budget, 1<<62), slice: e.slice}
	if c.slice == 0 {
		c.slice = sliceInsns
	}
	u, err := lower(env, e.far, &x.value)
	if err == nil {
		c.text, err = executable(u.code)
	}
	if err == nil {
		frames := int(env.StackSize/engine.FrameSize) + 2
		if env.TailCall != 0 { // each tail call from a subprogram keeps what that has there, without a BPF frame of its own
			frames *= 1 + engine.MaxTails
		}
		c.stack, err = newStack(frames * bytesPerFrame)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.unit = u
	c.unit.code = nil
	at := address(c.text)
	c.textAt, c.entryAt, c.resumeAt, c.againAt = at, at+uintptr(u.entry), at+uintptr(u.resume), at+uintptr(u.again)
	// Safety: the address stays inside of the mapping, so that it is nothing of the garbage collector's.
	c.stackEnd = unsafe.Add(unsafe.Pointer(unsafe.SliceData(c.stack)), len(c.stack)-64)
	host := env.Mem.HostBase()
	*x = context{bias: host - uintptr(mem.Base), host: host, callLow: c.callLow(env.StackTop, 0)}
	if env.Arena != nil {
		// Safety: the table lies outside of the heap, and the programs of a set end before its arena.
		x.arenaTable = unsafe.Pointer(unsafe.SliceData(env.Arena.Table()))
	}
	env.Call.Sub = c.callback
	if e.opt.PerfMap != nil {
		if err := c.perfMap(e.opt.PerfMap); err != nil {
			return nil, errors.Join(fmt.Errorf("perf map: %w", err), c.Close())
		}
	}
	return c, nil
}

// code is a compiled set with its run-time state.
type code struct {
	env *engine.Env
	mem *mem.Space
	unit
	text, stack []byte
	textAt      uintptr
	// entryAt, resumeAt and againAt are where Go enters: for a new activation, after a call, and with another slice of the
	// budget.
	entryAt, resumeAt, againAt uintptr
	stackEnd                   unsafe.Pointer // where the private stack begins to grow down from
	x                          *context
	low                        uint64 // the start of the stack region
	budget                     uint64
	// slice is the size of a slice of the budget, rest what remains without the one that machine code has.
	slice, rest int64
	// space and arenaLow are the sizes of memory that the context was told of.
	space, arenaLow uint64
	// prog is the number of the program that runs. top is the end of the first frame of the current activation, before the
	// number of frames that the program had without it. While Go is in a helper, x.sp is where the private stack goes on.
	prog, before int
	top          uint64
	// inCallback: the activation is one of a callback.
	inCallback bool
	// tails is how many tail calls there are before the next invocation begins, tailed how many there were when the last ended.
	tails, tailed int32
	// inner is the Fault of a callback, until the call whose helper ran the callback ends the program with it.
	inner *engine.Fault
}

// Run runs a program; see engine.Code.
func (c *code) Run(prog int, ctx uint64) (uint64, *engine.Fault) {
	// One by one: a copy of an array would be made of larger pieces and wait for the stores of the smaller.
	a := &c.x.args
	a[0], a[1], a[2], a[3], a[4] = ctx, 0, 0, 0, 0
	return c.invoke(prog, 0, c.subs[prog][0], false)
}

// Tail runs a program after tail calls; see engine.Code.
func (c *code) Tail(prog int, ctx uint64, tails int32) (uint64, int32, *engine.Fault) {
	c.tails, c.tailed = tails, tails
	c.x.args = [5]uint64{ctx}
	r0, f := c.invoke(prog, 0, c.subs[prog][0], false)
	c.tails = 0 // it could not start
	return r0, c.tailed, f
}

// RunSub runs a subprogram as an invocation of its own; see engine.Code.
func (c *code) RunSub(fn uint64, a abi.Args) (uint64, *engine.Fault) {
	p, at, target := c.resolve(fn)
	if target == 0 {
		return 0, &engine.Fault{Msg: engine.TargetFault(fn)}
	}
	c.x.args = a
	return c.invoke(p, at, target, true)
}

// Close gives the memory back.
func (c *code) Close() error {
	if c.x == nil {
		return nil
	}
	if c.mem.Control() != nil { // else the context went away with the address space
		c.x.bias = 0
	}
	err := errors.Join(unmap(c.text), unmap(c.stack))
	c.x, c.text, c.stack = nil, nil, nil
	return err
}

// Listing is the machine code of a program; see engine.Lister.
func (c *code) Listing(prog int) engine.Listing {
	return engine.NewListing("arm64", c.text, c.marks[prog], c.ends[prog])
}

// resolve finds the program, the first instruction and the machine code of a code address; the last is 0 if there is none.
func (c *code) resolve(fn uint64) (prog int, at, target int32) {
	off := fn - ir.CodeBase
	if n := off >> 24; n < uint64(len(c.subs)) && off&7 == 0 {
		subs := c.subs[n]
		if at := off & (1<<24 - 1) >> 3; at < uint64(len(subs)) {
			return int(n), int32(at), subs[at]
		}
	}
	return 0, 0, 0
}

// invoke runs the machine code of program p at target, which begins with its instruction at, as a program of its own. The
// arguments are in the context. callback: it is an asynchronous callback.
func (c *code) invoke(p int, at, target int32, callback bool) (uint64, *engine.Fault) {
	st, call, x := &c.env.State, c.env.Call, c.x
	if st.Depth != 0 {
		return c.nested(p, at, target, callback)
	}
	top := c.env.StackTop
	if top-c.low < engine.FrameSize {
		return 0, noFrame(p, at, 0)
	}
	st.Limit = st.Insns + c.budget
	st.Depth = 1
	call.Prog = c.env.Progs[p].Info
	c.prog, c.before, c.top = p, 0, top
	call.Tails, c.tails = c.tails, 0
	x.fp, x.sp, c.rest = top, c.stackEnd, int64(c.budget)
	c.nextSlice()
	if c.needCPU[p] {
		x.cpu = uint64(uint32(call.Host.CPU()))
	}
	c.inCallback = callback
	r0, f := c.run(target)
	c.inCallback, c.tailed = false, call.Tails
	st.Depth = 0
	call.Prog = nil
	return r0, f
}

// nested is invoke for a program that runs because another one called a helper or kfunc.
func (c *code) nested(p int, at, target int32, callback bool) (uint64, *engine.Fault) {
	st, call, x := &c.env.State, c.env.Call, c.x
	prog, info, cpu, tails := c.prog, call.Prog, x.cpu, call.Tails
	c.prog, call.Prog, call.Tails, c.tails = p, c.env.Progs[p].Info, c.tails, 0
	st.Depth++
	if c.needCPU[p] {
		x.cpu = uint64(uint32(call.Host.CPU()))
	}
	r0, f := c.activate(p, at, target, 0, callback)
	st.Depth--
	c.tailed = call.Tails
	c.prog, call.Prog, x.cpu, call.Tails = prog, info, cpu, tails
	return r0, f
}

// callback is abi.Call.Sub: it runs a subprogram of the running program, as part of its invocation.
func (c *code) callback(fn uint64, a abi.Args) uint64 {
	if c.env.Call.Fault != "" {
		return 0 // a helper goes on after a violation
	}
	p, at, target := c.resolve(fn)
	if target == 0 || p != c.prog {
		c.env.Call.Fault = engine.TargetFault(fn)
		return 0
	}
	c.x.args = a
	r0, f := c.activate(p, at, target, c.frames(c.x.callFP()), true)
	if f != nil {
		c.inner, c.env.Call.Fault = f, f.Msg
	}
	return r0
}

// frames is the number of frames of the running program when its R10 is fp.
func (c *code) frames(fp uint64) int { return c.before + 1 + int((c.top-fp)/engine.FrameSize) }

// callLow is the value of R10 above which a call is possible: it needs a frame below R10-FrameSize within the region, and
// one of the frames that are left, for an activation that starts at top with before frames others.
func (c *code) callLow(top uint64, before int) uint64 {
	return max(top-uint64(engine.MaxFrames-1-before)*engine.FrameSize, c.low+2*engine.FrameSize-1)
}

// activate runs machine code on a frame below that of a call that Go is in; its program has frames others.
func (c *code) activate(p int, at, target int32, frames int, callback bool) (uint64, *engine.Fault) {
	fp := c.x.callFP()
	if frames >= engine.MaxFrames || fp-engine.FrameSize-c.low < engine.FrameSize {
		return 0, noFrame(p, at, frames)
	}
	return c.runAt(target, fp-engine.FrameSize, frames, callback)
}

// runAt runs machine code, during a call that Go is in, on a frame that ends at top; its program has frames others.
func (c *code) runAt(target int32, top uint64, frames int, callback bool) (uint64, *engine.Fault) {
	x, st := c.x, &c.env.State
	sp, callLow := x.sp, x.callLow
	oldTop, before, inCallback := c.top, c.before, c.inCallback
	c.top, c.before, c.inCallback = top, frames, callback
	x.fp, x.callLow, c.rest = top, c.callLow(top, frames), int64(st.Limit-st.Insns)
	c.nextSlice()
	r0, f := c.run(target)
	c.top, c.before, c.inCallback = oldTop, before, inCallback
	x.sp, x.callLow = sp, callLow
	return r0, f
}

// sliceInsns is the number of instructions after which machine code returns to Go: the garbage collector and other
// goroutines wait for it, for some 100 µs at most.
const sliceInsns = 200_000

// nextSlice gives machine code the next part of the budget.
func (c *code) nextSlice() {
	n := min(c.rest, c.slice)
	c.x.left, c.rest = n, c.rest-n
}

// left brings the counters up to date when machine code has returned.
func (c *code) left() {
	st := &c.env.State
	st.Insns = st.Limit - uint64(c.x.left+c.rest)
	c.env.Call.Helpers += c.x.inlined
}

// more continues after a slice of the budget, unless that was the last. It is a call that needs stack, and so one at which
// the runtime can stop the goroutine.
//
//go:noinline
func (c *code) more() bool {
	x := c.x
	if c.rest += x.left; c.rest <= 0 {
		x.left, c.rest = c.rest, 0
		return false
	}
	c.nextSlice()
	c.env.Call.Helpers += x.inlined
	enter(x, c.againAt)
	return true
}

// run runs an activation whose stacks, budget and arguments are in the context.
func (c *code) run(target int32) (uint64, *engine.Fault) {
	x, call := c.x, c.env.Call
	x.value = uint64(c.textAt) + uint64(target)
	c.refresh()
	sp := x.sp
	enter(x, c.entryAt)
	for x.exit != exitDone {
		if x.exit&exitMask != exitCall {
			if x.exit&exitMask == exitBudget && c.more() {
				continue
			}
			c.left()
			return 0, c.fault(x)
		}
		s := &c.sites[x.exit>>exitBits]
		*s.count++
		c.left()
		// Safety: the arguments lie on the private stack, which nothing changes or unmaps during the call.
		r0 := s.fn(call, (*abi.Args)(x.sp))
		if call.Fault != "" {
			return 0, c.callFault(s.insn)
		}
		if call.Next != abi.NextCaller {
			next, result, f := c.goOn(s.insn)
			switch {
			case f != nil:
				return 0, f
			case next == goReturn:
				return result, nil
			case next == goEnter:
				x.fp, x.sp = c.top, sp
				c.refresh()
				enter(x, c.entryAt)
				continue
			}
			r0, x.leaves = result, 1
		}
		// Programs and callbacks that ran meanwhile have left in x.left and c.rest what they left of the budget.
		x.r0 = r0
		c.refresh()
		enter(x, c.resumeAt)
	}
	c.left()
	return x.r0, nil
}

// What the activation does after a call that set Call.Next.
const (
	goReturn = iota // it is over
	goEnter         // it starts anew at x.value in its first frame; what it had on the private stack is forgotten
	goBack          // the function that called returns
)

// goOn does what the function called at instruction insn has asked for.
func (c *code) goOn(insn int32) (next int, r0 uint64, f *engine.Fault) {
	x, call := c.x, c.env.Call
	n, other := call.Next, call.Other
	call.Next, call.Other = abi.NextCaller, nil
	fp := x.callFP()
	first := fp == c.top
	msg := ""
	if n != abi.NextThrow {
		msg = engine.TailFault(n, len(c.subs), call.Tails, first && c.inCallback)
	} else if c.inCallback {
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
		x.args = [5]uint64{call.Cookie}
		x.value = uint64(c.textAt) + uint64(c.subs[c.prog][code.Subs[code.Exception].Start])
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
	case first:
		c.prog, call.Prog = int(n-1), c.env.Progs[n-1].Info
		if c.needCPU[n-1] {
			x.cpu = uint64(uint32(call.Host.CPU()))
		}
		x.args, x.value = [5]uint64{ctx}, uint64(c.textAt)+uint64(c.subs[n-1][0])
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
func (c *code) inPlace(p int, ctx, fp uint64) (uint64, *engine.Fault) {
	call, x := c.env.Call, c.x
	prog, info, cpu := c.prog, call.Prog, x.cpu
	c.prog, call.Prog = p, c.env.Progs[p].Info
	if c.needCPU[p] {
		x.cpu = uint64(uint32(call.Host.CPU()))
	}
	x.args = [5]uint64{ctx}
	r0, f := c.runAt(c.subs[p][0], fp, 0, false)
	c.prog, call.Prog, x.cpu = prog, info, cpu
	return r0, f
}

// refresh tells machine code what memory there is.
func (c *code) refresh() {
	if n := c.mem.Limit(); n != c.space {
		c.space = n
		c.x.setLimit(n)
	}
	if a := c.env.Arena; a != nil && a.Low() != c.arenaLow {
		c.arenaLow = a.Low()
		c.x.setArena(c.arenaLow)
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
func (c *code) where(n int32) (prog int, insn int32) {
	p := sort.Search(len(c.bases), func(i int) bool { return c.bases[i] > n }) - 1
	return p, n - c.bases[p]
}

// callFault is the Fault of a helper or kfunc that set Call.Fault.
func (c *code) callFault(insn int32) *engine.Fault {
	msg, inner := c.env.Call.Fault, c.inner
	c.env.Call.Fault, c.env.Call.Next, c.inner = "", abi.NextCaller, nil
	if inner != nil {
		return inner
	}
	return c.faultAt(insn, msg)
}

// faultAt is a Fault at an instruction of the set.
func (c *code) faultAt(insn int32, msg string) *engine.Fault {
	p, i := c.where(insn)
	return &engine.Fault{Prog: p, Insn: i, Msg: msg}
}

// fault is the Fault that an activation left with.
func (c *code) fault(x *context) *engine.Fault {
	p, i := c.where(int32(x.exit >> exitBits))
	f := &engine.Fault{Prog: p, Insn: i}
	in := &c.env.Progs[p].Code.Insns[i]
	switch x.exit & exitMask {
	case exitMemory:
		f.Msg = memoryFault(in, x.value)
	case exitBudget:
		f.Msg = engine.BudgetFault(c.env.Budget)
	case exitDepth:
		f.Msg = engine.StackFault()
		if c.frames(x.fp) >= engine.MaxFrames {
			f.Msg = engine.DepthFault()
		}
	case exitTarget:
		f.Msg = engine.TargetFault(x.value)
	case exitHelper:
		f.Msg = engine.HelperFault(in.Imm)
	case exitPoison:
		f.Msg = engine.PoisonFault()
	default:
		panic(fmt.Sprintf("BUG: machine code left with %#x", x.exit))
	}
	return f
}

// perfMap writes a line for each subprogram: address, size and name.
func (c *code) perfMap(w io.Writer) error {
	for p := range c.env.Progs {
		subs := c.env.Progs[p].Code.Subs
		for i := range subs {
			from, to := c.subs[p][subs[i].Start], c.ends[p]
			if i+1 < len(subs) {
				to = c.subs[p][subs[i+1].Start]
			}
			name := c.env.Progs[p].Code.Name
			if i > 0 {
				name += "/" + subs[i].Name
			}
			if _, err := fmt.Fprintf(w, "%x %x bpf:%s\n", c.textAt+uintptr(from), to-from, name); err != nil {
				return err
			}
		}
	}
	return nil
}
