package interp

import (
	"cmp"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// Engine is the interpreter.
type Engine struct{}

var (
	_ engine.Engine = Engine{}
	_ engine.Code   = (*code)(nil)
)

// Name is "interp".
func (Engine) Name() string { return "interp" }

// Compile prepares the programs of env; it refuses none that engine.Check accepts.
func (Engine) Compile(env *engine.Env) (engine.Code, error) {
	c := &code{env: env, sp: env.StackTop}
	for i := range env.Progs {
		p := &env.Progs[i]
		if err := engine.Check(p.Code); err != nil {
			return nil, err
		}
		subs := make([]bool, len(p.Code.Insns))
		for _, s := range p.Code.Subs {
			subs[s.Start] = true
		}
		c.progs = append(c.progs, &program{number: i, insns: p.Code.Insns, kfuncs: p.Kfuncs, info: p.Info, subs: subs,
			gotos: gotos(p.Code), exception: p.Code.Subs[p.Code.Exception].Start})
	}
	env.Call.Sub = func(fn uint64, a abi.Args) uint64 { return c.callback(fn, &a) }
	return c, nil
}

// program is one program ready to run.
type program struct {
	number int
	insns  []ir.Insn
	kfuncs []abi.Func
	info   *abi.Prog
	subs   []bool // by instruction: a subprogram begins there
	// gotos are the subprograms that indirect jumps are in, by their instruction.
	gotos map[int]*ir.Sub
	// exception is the first instruction of the exception callback, 0 if there is none.
	exception int32
}

// gotos finds the indirect jumps of a program.
func gotos(p *ir.Program) map[int]*ir.Sub {
	var at map[int]*ir.Sub
	for k := range p.Subs {
		for i := p.Subs[k].Start; i < p.Subs[k].End && len(p.Subs[k].Jumps) > 0; i++ {
			if p.Insns[i].Op == ir.GotoX {
				if at == nil {
					at = map[int]*ir.Sub{}
				}
				at[int(i)] = &p.Subs[k]
			}
		}
	}
	return at
}

// jump is where the indirect jump at instruction i leads with v in its register.
func (p *program) jump(i int, v uint64) (target int, ok bool) {
	jumps := p.gotos[i].Jumps
	k, ok := slices.BinarySearchFunc(jumps, v, func(j ir.Jump, v uint64) int { return cmp.Compare(uint64(j.Value), v) })
	if !ok {
		return 0, false
	}
	return int(jumps[k].Target), true
}

// code is a compiled set with its run-time state.
type code struct {
	env   *engine.Env
	progs []*program
	// cur is the program that runs, nil if none; frames is the number of stack frames that it has.
	cur    *program
	frames int
	// sp is the end of the free part of the stack region: where the next frame ends.
	sp uint64
	// levels are the register files, one per program or callback that is running; they are reused.
	levels []*level
	used   int
	// tails is how many tail calls there are before the next invocation begins, tailed how many there were when the last ended.
	tails, tailed int32
	// inner is the Fault of a callback, until the call whose helper ran the callback ends the program with it.
	inner *engine.Fault
}

// level is what one activation of exec needs: registers, the return stack of its calls, and the variables of exec that
// only jumps and calls use.
type level struct {
	// regs has room for R0-R10; the rest lets a masked index do without a bounds check.
	regs [16]uint64
	p    *program
	view []byte // all accessible memory, as of the last call
	// insns is State.Insns as of instruction start.
	insns uint64
	start int
	depth int // calls within this activation
	loops int // MayGoto executed by the current frame
	// callback: the activation is one.
	callback bool
	rets     [engine.MaxFrames]saved
}

// count accounts for the straight code from start to pc.
func (lv *level) count(pc int) {
	lv.insns += uint64(pc - lv.start)
	lv.start = pc
}

// saved is what a call keeps of its caller.
type saved struct {
	r6, r7, r8, r9, r10 uint64
	pc, loops           int
}

// Run runs a program; see engine.Code.
func (c *code) Run(prog int, ctx uint64) (uint64, *engine.Fault) {
	return c.invoke(c.progs[prog], 0, abi.Args{ctx}, false)
}

// Tail runs a program after tail calls; see engine.Code.
func (c *code) Tail(prog int, ctx uint64, tails int32) (uint64, int32, *engine.Fault) {
	c.tails, c.tailed = tails, tails
	r0, f := c.invoke(c.progs[prog], 0, abi.Args{ctx}, false)
	c.tails = 0 // it could not start
	return r0, c.tailed, f
}

// RunSub runs a subprogram as an invocation of its own; see engine.Code.
func (c *code) RunSub(fn uint64, a abi.Args) (uint64, *engine.Fault) {
	p, at := c.resolve(fn)
	if p == nil {
		return 0, &engine.Fault{Msg: engine.TargetFault(fn)}
	}
	return c.invoke(p, at, a, true)
}

// Sync has nothing to do: everything is counted at once.
func (c *code) Sync() {}

// Close has nothing to release.
func (c *code) Close() error { return nil }

// resolve finds the program and first instruction of a code address.
func (c *code) resolve(fn uint64) (*program, int32) {
	off := fn - ir.CodeBase
	if n := off >> 24; n < uint64(len(c.progs)) && off&7 == 0 {
		p, at := c.progs[n], off&(1<<24-1)>>3
		if at < uint64(len(p.subs)) && p.subs[at] {
			return p, int32(at)
		}
	}
	return nil, 0
}

// invoke runs p from instruction at, as a program of its own: nested in another one when that is why it runs.
func (c *code) invoke(p *program, at int32, a abi.Args, callback bool) (uint64, *engine.Fault) {
	st, call := &c.env.State, c.env.Call
	if st.Depth == 0 {
		st.Limit = st.Insns + c.env.Budget
	}
	prev, frames, info, tails := c.cur, c.frames, call.Prog, call.Tails
	c.cur, c.frames, call.Prog, call.Tails, c.tails = p, 0, p.info, c.tails, 0
	st.Depth++
	r0, f := c.activate(p, at, &a, callback)
	st.Depth--
	c.tailed = call.Tails
	c.cur, c.frames, call.Prog, call.Tails = prev, frames, info, tails
	return r0, f
}

// goOn does what the function that lv called at instruction pc-1 has asked for in Call.Next. next is the instruction where
// the activation goes on, -1 if it is over.
func (c *code) goOn(lv *level, pc int) (next int, r0 uint64, f *engine.Fault) {
	call := c.env.Call
	n, other := call.Next, call.Other
	call.Next, call.Other = abi.NextCaller, nil
	lv.insns = c.env.State.Insns // what the function ran counts
	if n == abi.NextThrow {
		return c.throw(lv, pc)
	}
	if msg := engine.TailFault(n, len(c.progs), call.Tails, lv.callback && lv.depth == 0); msg != "" {
		return c.stop(lv, pc, msg)
	}
	call.Tails++
	ctx := lv.regs[1]
	switch {
	case n == abi.NextOther:
		var msg string
		if r0, call.Tails, msg = other.TailRun(ctx, call.Tails); msg != "" {
			return c.stop(lv, pc, msg)
		}
	case lv.depth == 0:
		p := c.progs[n-1]
		lv.p, c.cur, call.Prog = p, p, p.info
		return c.begin(lv, 0, ctx)
	default:
		if r0, f = c.inPlace(c.progs[n-1], ctx, lv.regs[10]); f != nil {
			return -1, 0, f
		}
	}
	if lv.depth == 0 {
		return -1, r0, nil
	}
	lv.insns = c.env.State.Insns
	next = c.leave(lv)
	lv.regs[0], lv.regs[1], lv.regs[2], lv.regs[3], lv.regs[4], lv.regs[5] = r0, 0, 0, 0, 0, 0
	return next, 0, nil
}

// throw ends all functions of the activation but the program's exception callback.
func (c *code) throw(lv *level, pc int) (next int, r0 uint64, f *engine.Fault) {
	if lv.callback {
		return c.stop(lv, pc, engine.ThrowFault())
	}
	for lv.depth > 0 {
		c.leave(lv)
	}
	cookie := c.env.Call.Cookie
	if lv.p.exception == 0 {
		return -1, cookie, nil
	}
	return c.begin(lv, int(lv.p.exception), cookie)
}

// begin starts anew at instruction pc with one argument, in the first frame of an activation.
func (c *code) begin(lv *level, pc int, arg uint64) (next int, r0 uint64, f *engine.Fault) {
	lv.regs = [16]uint64{1: arg, 10: lv.regs[10]}
	lv.start, lv.loops = pc, 0
	if lv.insns >= c.env.State.Limit {
		r0, f = c.exhausted(lv, pc)
		return -1, r0, f
	}
	return pc, 0, nil
}

// stop ends an activation with a fault of the call at instruction pc-1, which is counted.
func (c *code) stop(lv *level, pc int, msg string) (int, uint64, *engine.Fault) {
	return -1, 0, &engine.Fault{Prog: lv.p.number, Insn: int32(pc - 1), Msg: msg}
}

// inPlace runs p in the frame that ends at fp, whose function has made a tail call.
func (c *code) inPlace(p *program, ctx, fp uint64) (uint64, *engine.Fault) {
	call := c.env.Call
	prev, frames, info := c.cur, c.frames, call.Prog
	c.cur, c.frames, call.Prog = p, 1, p.info
	lv := c.level(p)
	lv.regs = [16]uint64{1: ctx, 10: fp}
	r0, f := c.exec(lv, 0)
	c.used--
	c.cur, c.frames, call.Prog = prev, frames, info
	return r0, f
}

// callback is abi.Call.Sub: it runs a subprogram of the running program, as part of its invocation.
func (c *code) callback(fn uint64, a *abi.Args) uint64 {
	if c.env.Call.Fault != "" {
		return 0 // a helper goes on after a violation
	}
	p, at := c.resolve(fn)
	if p == nil || p != c.cur {
		c.env.Call.Fault = engine.TargetFault(fn)
		return 0
	}
	r0, f := c.activate(p, at, a, true)
	if f != nil {
		c.inner, c.env.Call.Fault = f, f.Msg
	}
	return r0
}

// activate gives the code at instruction at a register file and a frame, and runs it.
func (c *code) activate(p *program, at int32, a *abi.Args, callback bool) (uint64, *engine.Fault) {
	sp, frames := c.sp, c.frames
	switch {
	case frames >= engine.MaxFrames:
		return 0, &engine.Fault{Prog: p.number, Insn: at, Msg: engine.DepthFault()}
	case !c.fits():
		return 0, &engine.Fault{Prog: p.number, Insn: at, Msg: engine.StackFault()}
	}
	lv := c.level(p)
	lv.callback = callback
	// One by one: what is made elsewhere and copied would be read in larger pieces than it was written in, and wait.
	r := &lv.regs
	r[0], r[1], r[2], r[3], r[4], r[5] = 0, a[0], a[1], a[2], a[3], a[4]
	r[6], r[7], r[8], r[9], r[10] = 0, 0, 0, 0, sp
	c.sp, c.frames = sp-engine.FrameSize, frames+1
	r0, f := c.exec(lv, int(at))
	c.used--
	c.sp, c.frames = sp, frames
	return r0, f
}

// level takes a level for an activation of p, which gives it back by used--.
func (c *code) level(p *program) *level {
	if c.used == len(c.levels) {
		c.levels = append(c.levels, new(level))
	}
	lv := c.levels[c.used]
	c.used++
	lv.p, lv.callback = p, false
	return lv
}

// enter makes a frame for a call that instruction pc-1 makes.
func (c *code) enter(lv *level, pc int) *engine.Fault {
	msg := ""
	switch {
	case c.frames >= engine.MaxFrames:
		msg = engine.DepthFault()
	case !c.fits():
		msg = engine.StackFault()
	}
	if msg != "" {
		_, f := c.fault(lv, pc, msg)
		return f
	}
	r := &lv.regs
	lv.rets[lv.depth&(engine.MaxFrames-1)] = saved{r[6], r[7], r[8], r[9], r[10], pc, lv.loops}
	lv.depth++
	lv.loops = 0
	c.frames++
	r[10] = c.sp
	c.sp -= engine.FrameSize
	return nil
}

// leave undoes enter and returns where the caller goes on.
func (c *code) leave(lv *level) (pc int) {
	lv.depth--
	s := &lv.rets[lv.depth&(engine.MaxFrames-1)]
	c.frames--
	c.sp += engine.FrameSize
	r := &lv.regs
	r[6], r[7], r[8], r[9], r[10] = s.r6, s.r7, s.r8, s.r9, s.r10
	lv.start, lv.loops = s.pc, s.loops
	return s.pc
}

// exhausted ends an activation that may not start at instruction pc: the budget is used up.
func (c *code) exhausted(lv *level, pc int) (uint64, *engine.Fault) {
	lv.start = pc + 1 // so that the instruction is not counted
	return c.fault(lv, pc+1, engine.BudgetFault(c.env.Budget))
}

// fault ends an activation at instruction pc-1, which is counted unless it is already.
//
//go:noinline
func (c *code) fault(lv *level, pc int, msg string) (uint64, *engine.Fault) {
	lv.insns += uint64(pc - lv.start)
	c.env.State.Insns = lv.insns
	return 0, &engine.Fault{Prog: lv.p.number, Insn: int32(pc - 1), Msg: msg}
}

// access is the fault of the memory operation at instruction pc-1, at offset off of the address space.
//
//go:noinline
func (c *code) access(lv *level, pc int, off uint64) (uint64, *engine.Fault) {
	op, addr := lv.p.insns[pc-1].Op, off+mem.Base
	switch {
	case op.IsLoad():
		return c.fault(lv, pc, engine.ReadFault(op.Size(), addr))
	case op.IsAtomic():
		return c.fault(lv, pc, engine.AtomicFault(op.Size(), addr))
	}
	return c.fault(lv, pc, engine.WriteFault(op.Size(), addr))
}

// callFault ends an activation whose helper or kfunc, called at instruction pc-1, set Call.Fault.
//
//go:noinline
func (c *code) callFault(lv *level, pc int) (uint64, *engine.Fault) {
	msg, inner := c.env.Call.Fault, c.inner
	c.env.Call.Fault, c.env.Call.Next, c.inner = "", abi.NextCaller, nil
	if inner != nil {
		return 0, inner
	}
	return 0, engine.CallFault(lv.p.number, c.env.Progs[lv.p.number].Code, int32(pc-1), msg)
}

// callNumber calls helper number n for a CallReg, and returns its fault.
func (c *code) callNumber(lv *level, n uint64) string {
	call := c.env.Call
	c.env.State.Insns = lv.insns
	call.Calls++
	r0 := engine.CallNumber(c.env, n, (*abi.Args)(lv.regs[1:6]))
	lv.insns = c.env.State.Insns
	copy(lv.regs[:6], []uint64{r0, 0, 0, 0, 0, 0})
	return call.Fault
}

// fits tells whether the stack region has room for one more frame.
func (c *code) fits() bool {
	return c.sp-(c.env.StackTop-c.env.StackSize) >= engine.FrameSize
}
