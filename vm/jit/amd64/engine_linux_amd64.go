package amd64

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// Options tune an Engine. The zero value uses what the processor has.
type Options struct {
	// NoBMI2 leaves out the instructions of BMI2.
	NoBMI2 bool
	// PerfMap, if not nil, is told where each subprogram lies, in the format of /tmp/perf-PID.map, so that perf can name
	// it.
	PerfMap io.Writer
}

// Engine compiles to machine code.
type Engine struct{ opt Options }

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Code   = (*code)(nil)
)

// New returns the engine, or an error where the system does not let a process make executable memory.
func New(opt Options) (*Engine, error) {
	probe, err := executable([]byte{0xc3})
	if err != nil {
		return nil, err
	}
	return &Engine{opt}, unmap(probe)
}

// Name is "jit".
func (*Engine) Name() string { return "jit" }

// bytesPerFrame is the room on the private stack for one BPF frame: a return address, four registers and a counter of its
// own, and what a call to Go (12 words) and a new activation (one) put there.
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
	u := lower(env, cpu.X86.HasBMI2 && !e.opt.NoBMI2)
	text, err := executable(u.code)
	if err != nil {
		return nil, err
	}
	stack, err := newStack((int(env.StackSize/engine.FrameSize) + 2) * bytesPerFrame)
	if err != nil {
		unmap(text)
		return nil, err
	}
	c := &code{env: env, unit: u, text: text, stack: stack, sp: env.StackTop}
	// Safety: the control page is mapped as long as the address space, large enough (TestContextLayout) and aligned.
	c.ctx = (*context)(unsafe.Pointer(unsafe.SliceData(env.Mem.Control())))
	c.textAt, c.stackAt = address(text), address(stack)
	c.private = c.stackAt + uintptr(len(stack))
	c.unit.code = nil
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
	unit
	text, stack     []byte
	textAt, stackAt uintptr
	ctx             *context
	// running is the number of the program that runs plus 1, 0 if none.
	running int
	// top is the end of the first frame of the current activation, and before the number of frames that the program had
	// without it. fp is R10 at the call that Go is in.
	top, fp uint64
	before  int
	// sp is the end of the free part of the stack region outside of programs.
	sp uint64
	// private is the private stack pointer while Go runs.
	private uintptr
	// inner is the Fault of a callback, until the call whose helper ran the callback ends the program with it.
	inner *engine.Fault
}

// Run runs a program; see engine.Code.
func (c *code) Run(prog int, ctx uint64) (uint64, *engine.Fault) {
	return c.invoke(prog, 0, abi.Args{ctx})
}

// RunSub runs a subprogram as an invocation of its own; see engine.Code.
func (c *code) RunSub(fn uint64, a abi.Args) (uint64, *engine.Fault) {
	p, at, ok := c.resolve(fn)
	if !ok {
		return 0, &engine.Fault{Msg: engine.TargetFault(fn)}
	}
	return c.invoke(p, at, a)
}

// Close gives the memory back.
func (c *code) Close() error {
	if c.text == nil {
		return nil
	}
	err := errors.Join(unmap(c.text), unmap(c.stack))
	c.text, c.stack = nil, nil
	return err
}

// resolve finds the program and first instruction of a code address.
func (c *code) resolve(fn uint64) (prog int, at int32, ok bool) {
	off := fn - ir.CodeBase
	if n := off >> 24; n < uint64(len(c.subs)) && off&7 == 0 {
		at := int32(off & (1<<24 - 1) >> 3)
		if _, ok := c.subs[n][at]; ok {
			return int(n), at, true
		}
	}
	return 0, 0, false
}

// invoke runs a program from instruction at, as a program of its own: nested in another one when that is why it runs.
func (c *code) invoke(p int, at int32, a abi.Args) (uint64, *engine.Fault) {
	st, call := &c.env.State, c.env.Call
	if st.Depth == 0 {
		st.Limit = st.Insns + c.env.Budget
	}
	running, info := c.running, call.Prog
	sp := c.sp
	if running != 0 {
		sp = c.fp - engine.FrameSize
	}
	c.running, call.Prog = p+1, c.env.Progs[p].Info
	st.Depth++
	r0, f := c.activate(p, at, &a, sp, 0)
	st.Depth--
	c.running, call.Prog = running, info
	return r0, f
}

// callback is abi.Call.Sub: it runs a subprogram of the running program, as part of its invocation.
func (c *code) callback(fn uint64, a abi.Args) uint64 {
	if c.env.Call.Fault != "" {
		return 0 // a helper goes on after a violation
	}
	p, at, ok := c.resolve(fn)
	if !ok || p+1 != c.running {
		c.env.Call.Fault = engine.TargetFault(fn)
		return 0
	}
	r0, f := c.activate(p, at, &a, c.fp-engine.FrameSize, c.frames(c.fp))
	if f != nil {
		c.inner, c.env.Call.Fault = f, f.Msg
	}
	return r0
}

// frames is the number of frames of the running program when its R10 is fp.
func (c *code) frames(fp uint64) int { return c.before + 1 + int((c.top-fp)/engine.FrameSize) }

// activate runs a program from instruction at on a new frame that ends at sp; the program has frames others.
func (c *code) activate(p int, at int32, a *abi.Args, sp uint64, frames int) (uint64, *engine.Fault) {
	env, x := c.env, c.ctx
	low := env.StackTop - env.StackSize
	switch {
	case frames >= engine.MaxFrames:
		return 0, &engine.Fault{Prog: p, Insn: at, Msg: engine.DepthFault()}
	case sp-low < engine.FrameSize:
		return 0, &engine.Fault{Prog: p, Insn: at, Msg: engine.StackFault()}
	}
	top, fp, before, private := c.top, c.fp, c.before, c.private
	c.top, c.before = sp, frames

	// A call needs a frame below R10-FrameSize within the region, and one of the frames that are left.
	callLow := max(sp-uint64(engine.MaxFrames-1-frames)*engine.FrameSize, low+2*engine.FrameSize-1)
	left := c.left()
	x.args, x.fp, x.callLow, x.left, x.sp = *a, sp, callLow, left, private
	x.pc, x.value = c.textAt+uintptr(c.entry), uint64(c.textAt)+uint64(c.subs[p][at])
	c.newLimit()
	enter(x)
	st, call := &env.State, env.Call
	for x.exit&exitMask == exitCall {
		s := &c.sites[x.exit>>exitBits]
		st.Insns += uint64(left - x.left)
		c.fp, c.private = x.fp, x.sp
		if s.kfunc {
			call.Kfuncs++
		} else {
			call.Helpers++
		}
		// Safety: the arguments lie in the mapping of the private stack, which nothing changes or unmaps during the call.
		r0 := s.fn(call, (*abi.Args)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(c.stack)), c.private-c.stackAt)))
		if call.Fault != "" {
			c.top, c.fp, c.before, c.private = top, fp, before, private
			return 0, c.callFault(s.insn)
		}
		left = c.left()
		x.r0, x.left, x.sp, x.callLow = r0, left, c.private, callLow
		x.pc = c.textAt + uintptr(c.resume)
		c.newLimit()
		enter(x)
	}
	st.Insns += uint64(left - x.left)
	var f *engine.Fault
	r0 := x.r0
	if x.exit&exitMask != exitDone {
		r0, f = 0, c.fault(x)
	}
	c.top, c.fp, c.before, c.private = top, fp, before, private
	return r0, f
}

// left is the rest of the budget, for machine code to count down.
func (c *code) left() int64 {
	st := &c.env.State
	if st.Insns >= st.Limit {
		return 0
	}
	return int64(min(st.Limit-st.Insns, math.MaxInt64))
}

// newLimit tells machine code how much memory there is.
func (c *code) newLimit() {
	if n := c.env.Mem.Limit(); n != c.ctx.space {
		c.ctx.space, c.ctx.limit = n, [4]uint64{n - 1, n - 2, n - 4, n - 8}
	}
}

// where finds the program and the instruction of a number of the set.
func (c *code) where(n int32) (prog int, insn int32) {
	p := sort.Search(len(c.bases), func(i int) bool { return c.bases[i] > n }) - 1
	return p, n - c.bases[p]
}

// callFault is the Fault of a helper or kfunc that set Call.Fault.
func (c *code) callFault(insn int32) *engine.Fault {
	msg, inner := c.env.Call.Fault, c.inner
	c.env.Call.Fault, c.inner = "", nil
	if inner != nil {
		return inner
	}
	p, i := c.where(insn)
	return &engine.Fault{Prog: p, Insn: i, Msg: msg}
}

// fault is the Fault that machine code left with.
func (c *code) fault(x *context) *engine.Fault {
	p, i := c.where(int32(x.exit >> exitBits))
	return &engine.Fault{Prog: p, Insn: i, Msg: c.message(x, &c.env.Progs[p].Code.Insns[i])}
}

func (c *code) message(x *context, in *ir.Insn) string {
	switch x.exit & exitMask {
	case exitMemory:
		return memoryFault(in, x.value)
	case exitBudget:
		return engine.BudgetFault(c.env.Budget)
	case exitDepth:
		if c.frames(x.fp) >= engine.MaxFrames {
			return engine.DepthFault()
		}
		return engine.StackFault()
	case exitTarget:
		return engine.TargetFault(x.value)
	case exitHelper:
		return engine.HelperFault(in.Imm)
	case exitPoison:
		return engine.PoisonFault()
	}
	panic(fmt.Sprintf("BUG: machine code left with %#x", x.exit))
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
