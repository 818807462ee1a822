package arm64

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// lowering turns the programs of a set into one piece of machine code, instruction by instruction.
type lowering struct {
	a       *Asm
	set     *flow.Set
	helpers []abi.Func
	// byNumber calls the helper whose number Go finds in the context; nil: there are no such calls.
	byNumber abi.Func
	// tailCall is the number of the helper that makes tail calls.
	tailCall int64
	// arena: the set has one; arenaUser is the upper half of its user addresses, arenaShift mem.Arena.Shift.
	arena      bool
	arenaUser  uint64
	arenaShift uint64
	// analyses are those of all subprograms in order: a second pass uses those of the first.
	analyses []*flow.Sub
	sites    []native.Site

	// The common ends of all programs; see runtime.
	done, call, leave, spent Label

	// The program being lowered.
	number  int
	prog    *engine.Prog
	base    int32           // number of its first instruction in the set
	targets map[int32]Label // jump targets
	subs    map[int32]Label // entries of subprograms
	table   Label           // of code addresses, for CallReg
	tables  []jumpTable     // of indirect jumps
	callees bool            // whether CallReg occurs: any subprogram may be called
	stubs   []func()        // code to put behind the program
	marks   []engine.Mark   // which instruction the code belongs to
	at      int32           // the instruction being lowered
	thunk   Label           // where an activation with one argument begins

	needCPU bool  // whether it asks for the processor
	need    uint8 // and which words
	words   native.WordSet

	// The subprogram being lowered.
	saved     []Reg // registers that it gives back, an even number
	loops     bool  // its frame has a counter for MayGoto
	called    bool  // other programs' code may call it
	count     flow.Counter
	facts     flow.Facts
	known     *flow.Sub
	subNumber int         // its number in the set
	known0    []*flow.Sub // those of the program, by number of the subprogram
}

// lower compiles all programs of env, with jumps that reach far if they must or it is asked for. CallReg leaves the number of
// a helper in number.
func lower(env *engine.Env, far bool, number *uint64) (native.Unit, error) {
	l := &lowering{a: &Asm{far: far}, set: flow.New(env), helpers: env.Helpers, tailCall: env.TailCall}
	if env.Arena != nil {
		l.arena, l.arenaUser, l.arenaShift = true, env.Arena.User()&^(1<<32-1), env.Arena.Shift()
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
			return native.Unit{}, fmt.Errorf("%d bytes of machine code, more than a jump reaches", l.a.Pos())
		}
	}
	u.Code = code
	return u, nil
}

func (l *lowering) pass(env *engine.Env) native.Unit {
	l.sites, l.base, l.subNumber = nil, 0, 0
	u := native.Unit{}
	u.Entry, u.Again = l.runtime()
	for i := range env.Progs {
		p := &env.Progs[i]
		l.program(i, p)
		starts, subs := make([]int32, len(p.Code.Subs)), make([]int32, len(p.Code.Subs))
		for n := range starts {
			starts[n] = p.Code.Subs[n].Start
			subs[n] = l.a.Offset(l.subs[starts[n]])
		}
		u.Progs = append(u.Progs, native.Prog{Thunk: l.a.Offset(l.thunk), End: l.a.Pos(), Base: l.base, Starts: starts, Subs: subs, Marks: l.marks,
			NeedCPU: l.needCPU, Words: l.need})
		l.base += int32(len(p.Code.Insns))
	}
	u.Sites, u.Words = l.sites, l.words.Asks()
	return u
}

// later puts code behind the program, which belongs to the subprogram that is being lowered now.
func (l *lowering) later(f func()) {
	known, saved, called, loops, at := l.known, l.saved, l.called, l.loops, l.at
	l.stubs = append(l.stubs, func() {
		l.known, l.saved, l.called, l.loops = known, saved, called, loops
		l.mark(at)
		f()
	})
}

// program lowers one program.
func (l *lowering) program(number int, p *engine.Prog) {
	l.number, l.prog, l.callees, l.needCPU, l.need, l.stubs, l.marks = number, p, false, false, 0, nil, nil
	l.tables = nil
	l.targets, l.subs = map[int32]Label{}, map[int32]Label{}
	l.thunk = l.a.NewLabel()
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
		case in.Op == ir.LdImm64: // perhaps a callback
			if at, ok := l.subAt(uint64(in.Imm)); ok {
				called[at] = true
			}
		}
	}
	for i := range p.Code.Subs {
		l.subs[p.Code.Subs[i].Start] = l.a.NewLabel()
		for _, j := range p.Code.Subs[i].Jumps {
			if _, ok := l.targets[j.Target]; !ok {
				l.targets[j.Target] = l.a.NewLabel()
			}
		}
	}
	if l.callees {
		l.table = l.a.NewLabel()
	}
	for i := range p.Code.Subs {
		if l.subNumber+i == len(l.analyses) {
			s := &p.Code.Subs[i]
			l.analyses = append(l.analyses, l.set.Analyze(p.Code, s, l.callees || called[s.Start]))
		}
	}
	l.known0 = l.analyses[l.subNumber:]
	for i := range p.Code.Subs {
		s := &p.Code.Subs[i]
		l.called = l.callees || called[s.Start]
		l.sub(s)
		if i == 0 {
			l.at = 0
			l.later(l.start1)
		}
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
	for _, t := range l.tables {
		l.mark(-1)
		l.jumpTable(t)
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
	l.count.Begin(s.Start, insns[s.Start:s.End], s.Jumps)
	l.known = l.analyses[l.subNumber]
	l.subNumber++
	l.facts.Forget()
	reached := true // the straight way leads to the instruction
	for i := s.Start; i < s.End; i++ {
		l.mark(i)
		if t, ok := l.targets[i]; ok {
			l.subtract(l.count.Land(i, reached), false)
			a.Bind(t)
			l.facts = l.known.At(i)
		}
		in := &insns[i]
		reached = !in.Op.Ends()
		switch {
		case l.known.Dead(i):
		case l.alu(in), l.memory(i, in):
		case in.Op.IsJump():
			if i+1 < s.End && l.skips(i, in, &insns[i+1]) {
				l.jumpUnless(i, in, &insns[i+1])
				l.mark(i + 1)
				i++
				continue
			}
			l.jump(i, in)
			l.facts.Branch(in, false)
		case in.Op.IsCall():
			l.callInsn(i, in)
		case in.Op == ir.GotoX:
			l.gotoX(i, in, s)
		case in.Op == ir.Exit:
			l.settle(i + 1)
			l.epilogue()
		default:
			a.B(l.fault(i, native.ExitPoison))
		}
		l.set.Step(&l.facts, i, in)
	}
}

// prologue begins a subprogram: what exec does in the interpreter before the first instruction.
func (l *lowering) prologue(s *ir.Sub) {
	a := l.a
	a.Bind(l.subs[s.Start])
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
	l.saved = nil
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

// start1 emits the beginning of an activation of the program with one argument. Of the registers only those matter that the
// program reads before it writes them.
func (l *lowering) start1() {
	a := l.a
	a.Bind(l.thunk)
	l.begin()
	for r := ir.Reg(0); r <= 9; r++ {
		switch {
		case !l.known.Reads(r):
		case r == 1:
			a.Load(8, hostReg[r], At(regContext, native.OffArgs))
		default:
			a.MovRI(hostReg[r], 0)
		}
	}
	if l.called {
		a.Adr(regT1, l.done)
		a.Push(regStack, regT1)
	}
	a.B(l.subs[0])
}

// subAt finds the subprogram of the program at a code address and returns its first instruction.
func (l *lowering) subAt(addr uint64) (at int32, ok bool) {
	return flow.SubAt(l.prog.Code, addr-engine.CodeAddr(l.number, 0))
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

// settle takes the instructions before end that are not counted yet off the budget.
func (l *lowering) settle(end int32) { l.subtract(l.count.Take(end), false) }

// settleFlags is settle; the flags are those of a comparison of the rest with zero.
func (l *lowering) settleFlags(end int32) {
	if n := l.count.Take(end); n != 0 {
		l.subtract(n, true)
	} else {
		l.a.CmpImm(W64, regLeft, 0)
	}
}

// subtract takes n instructions off the budget.
func (l *lowering) subtract(n int32, flags bool) {
	if n != 0 {
		l.a.AddImm(W64, regLeft, regLeft, -int64(n), flags) // a program has 1<<20 instructions at most
	}
}

// fault returns the label of code that leaves with a fault at instruction i, which counts.
func (l *lowering) fault(i int32, kind uint64) Label { return l.faultAfter(i, kind, l.count.Owed(i+1)) }

// faultAfter is fault with n instructions still to count.
func (l *lowering) faultAfter(i int32, kind uint64, n int32) Label {
	a, label := l.a, l.a.NewLabel()
	code := ^(uint64(l.base+i)<<native.ExitBits | kind)
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
	code := ^(uint64(l.base+i)<<native.ExitBits | native.ExitBudget)
	l.later(func() {
		a.Bind(label)
		a.Adr(regT1, next)
		a.MovRI(regT2, code)
		a.B(l.spent)
	})
	return label
}
