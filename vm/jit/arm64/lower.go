package arm64

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
)

// lowering turns the programs of a set into one piece of machine code, instruction by instruction.
type lowering struct {
	a       *Asm
	set     *flow.Set
	helpers []abi.Func
	calls   *abi.Call
	// byNumber calls the helper whose number Go finds in the context; nil: there are no such calls.
	byNumber abi.Func
	// tailCall is the number of the helper that makes tail calls.
	tailCall int64
	// arena: the set has one; arenaUser is the upper half of its user addresses.
	arena     bool
	arenaUser uint64
	// analyses are those of all subprograms in order: a second pass uses those of the first.
	analyses []*flow.Sub
	sites    []site

	// The common ends of all programs; see runtime.
	done, call, leave, spent Label

	// The program being lowered.
	number  int
	prog    *engine.Prog
	base    int32           // number of its first instruction in the set
	targets map[int32]Label // jump targets
	subs    map[int32]Label // entries of subprograms
	table   Label           // of code addresses, for CallReg
	callees bool            // whether CallReg occurs: any subprogram may be called
	stubs   []func()        // code to put behind the program
	marks   []engine.Mark   // which instruction the code belongs to
	at      int32           // the instruction being lowered

	needCPU bool // whether it asks for the processor

	// The subprogram being lowered.
	saved     []Reg // registers that it gives back, an even number
	loops     bool  // its frame has a counter for MayGoto
	called    bool  // other programs' code may call it
	start     int32 // the first instruction that is not counted yet
	facts     flow.Facts
	known     *flow.Sub
	subNumber int // its number in the set
}

// site is a place that calls a helper or kfunc.
type site struct {
	fn    abi.Func
	count *uint64 // the counter of calls of its sort
	insn  int32   // number of the instruction in the set
}

// unit is the result: code with the offsets of its parts.
type unit struct {
	code []byte
	// entry, resume and again are where Go enters a new activation, after a call, and with another slice of the budget.
	entry, resume, again int32
	subs                 [][]int32 // per program and instruction: where a subprogram begins that starts there, else 0
	ends                 []int32   // per program: end of its code
	bases                []int32   // per program: number of its first instruction
	sites                []site
	needCPU              []bool          // per program: it asks for the processor
	marks                [][]engine.Mark // per program: which code belongs to which instruction
}

// lower compiles all programs of env, with jumps that reach far if they must or it is asked for. CallReg leaves the number of
// a helper in number.
func lower(env *engine.Env, far bool, number *uint64) (unit, error) {
	l := &lowering{a: &Asm{far: far}, set: flow.New(env), helpers: env.Helpers, calls: env.Call, tailCall: env.TailCall}
	if env.Arena != nil {
		l.arena, l.arenaUser = true, env.Arena.User()&^(1<<32-1)
	}
	if env.ByNumber {
		l.byNumber = func(_ *abi.Call, a *abi.Args) uint64 { return engine.CallNumber(env, *number, a) }
	}
	u := l.pass(env)
	code, ok := l.a.Code()
	if !ok {
		l.a.Again()
		u = l.pass(env)
		if code, ok = l.a.Code(); !ok {
			return unit{}, fmt.Errorf("%d bytes of machine code, more than a jump reaches", l.a.Pos())
		}
	}
	u.code = code
	return u, nil
}

func (l *lowering) pass(env *engine.Env) unit {
	l.sites, l.base, l.subNumber = nil, 0, 0
	u := unit{}
	u.entry, u.resume, u.again = l.runtime()
	for i := range env.Progs {
		p := &env.Progs[i]
		u.bases = append(u.bases, l.base)
		l.program(i, p)
		starts := make([]int32, len(p.Code.Insns))
		for at, label := range l.subs {
			starts[at] = l.a.Offset(label)
		}
		u.subs = append(u.subs, starts)
		u.ends = append(u.ends, l.a.Pos())
		u.marks = append(u.marks, l.marks)
		u.needCPU = append(u.needCPU, l.needCPU)
		l.base += int32(len(p.Code.Insns))
	}
	u.sites = l.sites
	return u
}

// later puts code behind the program.
func (l *lowering) later(f func()) {
	at := l.at
	l.stubs = append(l.stubs, func() {
		l.mark(at)
		f()
	})
}

// program lowers one program.
func (l *lowering) program(number int, p *engine.Prog) {
	l.number, l.prog, l.callees, l.needCPU, l.stubs, l.marks = number, p, false, false, nil, nil
	l.targets, l.subs = map[int32]Label{}, map[int32]Label{}
	called := map[int32]bool{p.Code.Subs[p.Code.Exception].Start: p.Code.Exception != 0}
	for i := range p.Code.Insns {
		switch in := &p.Code.Insns[i]; {
		case in.Op.IsJump():
			if _, ok := l.targets[in.Target]; !ok {
				l.targets[in.Target] = l.a.NewLabel()
			}
		case in.Op == ir.CallSub:
			called[in.Target] = true
		case in.Op == ir.CallReg:
			l.callees = true
		}
	}
	for i := range p.Code.Subs {
		l.subs[p.Code.Subs[i].Start] = l.a.NewLabel()
	}
	if l.callees {
		l.table = l.a.NewLabel()
	}
	for i := range p.Code.Subs {
		s := &p.Code.Subs[i]
		l.called = l.callees || called[s.Start]
		l.sub(s)
	}
	for len(l.stubs) > 0 {
		f := l.stubs[0]
		l.stubs = l.stubs[1:]
		f()
	}
	if l.callees {
		l.mark(-1)
		l.addresses()
	}
}

// mark says that the code from here on belongs to instruction i.
func (l *lowering) mark(i int32) {
	l.at = i
	l.marks = engine.AddMark(l.marks, l.a.Pos(), i)
}

// sub lowers one subprogram.
func (l *lowering) sub(s *ir.Sub) {
	a, insns := l.a, l.prog.Code.Insns
	l.mark(s.Start)
	l.prologue(s)
	if l.subNumber == len(l.analyses) {
		l.analyses = append(l.analyses, l.set.Analyze(l.prog.Code, s, l.called))
	}
	l.known = l.analyses[l.subNumber]
	l.subNumber++
	l.facts.Forget()
	for i := s.Start; i < s.End; i++ {
		l.mark(i)
		if t, ok := l.targets[i]; ok {
			l.count(i)
			a.Bind(t)
			l.facts = l.known.At(i)
		}
		in := &insns[i]
		switch {
		case l.alu(in), l.memory(i, in):
		case in.Op.IsJump():
			l.jump(i, in)
			l.facts.Branch(in, false)
		case in.Op.IsCall():
			l.callInsn(i, in)
		case in.Op == ir.Exit:
			l.count(i + 1)
			l.epilogue()
		default:
			a.B(l.fault(i, exitPoison))
			l.start = i + 1
		}
		l.set.Step(&l.facts, i, in)
	}
}

// prologue begins a subprogram: what exec does in the interpreter before the first instruction.
func (l *lowering) prologue(s *ir.Sub) {
	a := l.a
	a.Bind(l.subs[s.Start])
	l.start = s.Start
	a.CmpImm(W64, regLeft, 0)
	begin := a.NewLabel()
	a.BCond(LE, l.budget(s.Start, begin))
	a.Bind(begin)
	var written uint16
	l.loops = false
	for _, in := range l.prog.Code.Insns[s.Start:s.End] {
		if in.Op.WritesDst() {
			written |= 1 << in.Dst
		}
		if in.Op.WritesSrc() {
			written |= 1 << in.Src
		}
		l.loops = l.loops || in.Op == ir.MayGoto
	}
	l.saved = l.saved[:0]
	for r := ir.Reg(6); r <= 9 && l.called; r++ {
		if written>>r&1 != 0 {
			l.saved = append(l.saved, hostReg[r])
		}
	}
	if len(l.saved)&1 != 0 {
		l.saved = append(l.saved, XZR) // a pair costs no more than one
	}
	for i := 0; i < len(l.saved); i += 2 {
		a.PushPair(regStack, 16, l.saved[i], l.saved[i+1])
	}
	if l.loops {
		a.MovRI(regT1, engine.MaxLoops)
		a.Push(regStack, regT1)
	}
}

// epilogue ends a subprogram.
func (l *lowering) epilogue() {
	a := l.a
	if !l.called {
		a.B(l.done) // which leaves the private stack as a whole
		return
	}
	if l.loops {
		a.Pop(regT1, regStack)
	}
	for i := len(l.saved); i > 0; i -= 2 {
		a.PopPair(l.saved[i-2], l.saved[i-1], regStack, 16)
	}
	a.Pop(regT1, regStack)
	a.Br(regT1)
}

// count takes the instructions before end that are not counted yet off the budget.
func (l *lowering) count(end int32) { l.subtract(end-l.start, false); l.start = end }

// countFlags is count with at least one instruction; the flags are those of a comparison of the rest with zero.
func (l *lowering) countFlags(end int32) { l.subtract(end-l.start, true); l.start = end }

func (l *lowering) subtract(n int32, flags bool) {
	if n > 0 {
		l.a.AddImm(W64, regLeft, regLeft, -int64(n), flags) // a program has 1<<20 instructions at most
	}
}

// fault returns the label of code that leaves with a fault at instruction i, which counts.
func (l *lowering) fault(i int32, kind uint64) Label {
	a, label, n := l.a, l.a.NewLabel(), i+1-l.start
	code := uint64(l.base+i)<<exitBits | kind
	l.later(func() {
		a.Bind(label)
		l.subtract(n, false)
		a.MovRI(regT2, code)
		a.B(l.leave)
	})
	return label
}

// budget returns the label of code that leaves because the budget is compared at instruction i, which is counted, and used
// up; if it is only a slice, the program goes on at next.
func (l *lowering) budget(i int32, next Label) Label {
	a, label := l.a, l.a.NewLabel()
	code := uint64(l.base+i)<<exitBits | exitBudget
	l.later(func() {
		a.Bind(label)
		a.Adr(regT1, next)
		a.MovRI(regT2, code)
		a.B(l.spent)
	})
	return label
}
