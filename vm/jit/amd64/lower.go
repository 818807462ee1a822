package amd64

import (
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
	"github.com/schedsim/schedsim/vm/mem"
)

// lowering turns the programs of a set into one piece of machine code, instruction by instruction.
type lowering struct {
	a       *Asm
	bmi2    bool
	slot    int // the number of the set's context
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
	far        bool // what is lowered is an access to an arena with a shift
	// analyses are those of all subprograms in order: the second pass uses those of the first.
	analyses []*flow.Sub
	sites    []native.Site

	// The common ends of all programs; see runtime.
	done, leave, yield Label

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
	within  Label           // where it leads to

	needCPU bool  // whether it asks for the processor
	need    uint8 // and which words
	words   native.WordSet

	// The subprogram being lowered.
	saved     []Reg // registers that it gives back
	loops     bool  // its frame has a counter for MayGoto
	called    bool  // other programs' code may call it
	leaf      leaf
	count     flow.Counter
	facts     flow.Facts
	known     *flow.Sub
	subNumber int         // its number in the set
	known0    []*flow.Sub // those of the program, by number of the subprogram
	volatile  bool        // the program reads a word that a call makes stale
}

// lower compiles all programs of env for a context in the given slot. CallReg leaves the number of a helper in number.
func lower(env *engine.Env, slot int, bmi2 bool, number *uint64) native.Unit {
	l := &lowering{a: new(Asm), bmi2: bmi2, slot: slot, set: flow.New(env), helpers: env.Helpers, tailCall: env.TailCall}
	if env.Arena != nil {
		l.arena, l.arenaUser, l.arenaShift = true, env.Arena.User()&^(1<<32-1), env.Arena.Shift()
	}
	if env.ByNumber {
		l.byNumber = func(_ *abi.Call, a *abi.Args) uint64 { return engine.CallNumber(env, *number, a) }
	}
	u := l.pass(env)
	l.a.Again() // with what is known now, most jumps get short
	u = l.pass(env)
	u.Code = l.a.Code()
	return u
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

// subAt finds the subprogram of the program at a code address and returns its first instruction.
func (l *lowering) subAt(addr uint64) (at int32, ok bool) {
	return flow.SubAt(l.prog.Code, addr-engine.CodeAddr(l.number, 0))
}

// later puts code behind the program, which belongs to the subprogram that is being lowered now.
func (l *lowering) later(f func()) {
	known, saved, called, loops, leaf, at := l.known, l.saved, l.called, l.loops, l.leaf, l.at
	l.stubs = append(l.stubs, func() {
		l.known, l.saved, l.called, l.loops, l.leaf = known, saved, called, loops, leaf
		l.mark(at)
		f()
	})
}

// program lowers one program.
func (l *lowering) program(number int, p *engine.Prog) {
	l.number, l.prog, l.callees, l.needCPU, l.need, l.stubs, l.marks = number, p, false, false, 0, nil, nil
	l.tables = nil
	l.a.Align(64) // a line of the cache: what a program costs does not depend on those before it
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
	l.known0 = l.analyses[l.subNumber : l.subNumber+len(p.Code.Subs)]
	l.volatile = slices.ContainsFunc(l.known0, (*flow.Sub).Volatile)
	for i := range p.Code.Subs {
		s := &p.Code.Subs[i]
		l.called, l.leaf = l.callees || called[s.Start], leaf{}
		if i == 0 {
			l.leaf = l.leafOf()
		}
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
	l.known = l.analyses[l.subNumber]
	l.subNumber++
	l.prologue(s)
	l.count.Begin(s.Start, insns[s.Start:s.End], s.Jumps)
	l.facts.Forget()
	reached := true // the straight way leads to the instruction
	for i := s.Start; i < s.End; i++ {
		l.mark(i)
		if t, ok := l.targets[i]; ok {
			l.subtract(l.count.Land(i, reached))
			a.Bind(t)
			l.facts = l.known.At(i)
		}
		in := &insns[i]
		reached = !in.Op.Ends()
		switch {
		case l.known.Dead(i):
		case i+1 < s.End && l.pointsToFrame(i, in, &insns[i+1]):
			l.framePointer(hostReg[in.Dst], int32(insns[i+1].Imm))
			l.set.Step(&l.facts, i, in)
			i++
			l.mark(i)
			in = &insns[i]
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
			a.Jmp(l.fault(i, native.ExitPoison))
		}
		l.set.Step(&l.facts, i, in)
	}
}

// prologue begins a subprogram: what exec does in the interpreter before the first instruction.
func (l *lowering) prologue(s *ir.Sub) {
	a := l.a
	within := a.NewLabel()
	a.Bind(l.subs[s.Start])
	if s.Start == 0 {
		l.within = a.NewLabel()
		switch {
		case l.leaf.is:
			l.beginLeaf()
			l.start1()
		case l.called:
			l.later(l.start1)
		default:
			a.Jmp(l.within)
			l.start1()
		}
		a.Bind(l.within)
	}
	a.TestRR(W64, regLeft, regLeft)
	a.Jcc(CondLE, l.exhausted(s.Start, within))
	a.Bind(within)
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
			a.Push(hostReg[r])
		}
	}
	if l.loops {
		a.PushImm(engine.MaxLoops)
	}
}

// start1 emits the beginning of an activation of the program with one argument. Of the registers only those matter that the
// program reads before it writes them.
func (l *lowering) start1() {
	a := l.a
	a.Bind(l.thunk)
	l.fromGo()
	switch {
	case !l.leaf.is:
		l.takeStack()
	case l.leaf.frame:
		a.MovToX(xBP, RBP)
		a.Load(8, RBP, l.field(native.OffFP))
	}
	for r := ir.Reg(0); r <= 9; r++ {
		switch {
		case !l.known.Reads(r):
		case r == 1:
			a.Load(8, hostReg[r], l.field(native.OffArgs))
		default:
			a.Zero(hostReg[r])
		}
	}
	switch {
	case !l.leaf.is || l.leaf.counts:
		a.ZeroHelpers()
	case l.leaf.calls:
		a.StoreImm(4, l.field(native.OffCalls), 0)
	}
	if l.called {
		a.LeaLabel(regT1, l.done)
		a.Push(regT1)
		a.Jmp(l.within)
	}
}

// epilogue ends a subprogram.
func (l *lowering) epilogue() {
	a := l.a
	switch {
	case l.leaf.is:
		l.doneLeaf()
		return
	case !l.called:
		a.Jmp(l.done) // which leaves the private stack as a whole
		return
	}
	if l.loops {
		a.Pop(regT1)
	}
	for i := len(l.saved) - 1; i >= 0; i-- {
		a.Pop(l.saved[i])
	}
	a.Pop(regT1)
	a.JmpR(regT1)
}

// settle takes the instructions before end that are not counted yet off the budget.
func (l *lowering) settle(end int32) { l.subtract(l.count.Take(end)) }

// settleFlags is settle; the flags are those of a comparison of the rest with zero.
func (l *lowering) settleFlags(end int32) {
	if n := l.count.Take(end); n != 0 {
		l.subtract(n)
	} else {
		l.a.TestRR(W64, regLeft, regLeft)
	}
}

// subtract takes n instructions off the budget.
func (l *lowering) subtract(n int32) {
	if n != 0 {
		l.a.AluRI(Sub, W64, regLeft, n)
	}
}

// fault returns the label of code that leaves with a fault at instruction i, which counts.
func (l *lowering) fault(i int32, kind int32) Label { return l.faultAfter(i, kind, l.count.Owed(i+1)) }

// faultAfter is fault with n instructions still to count.
func (l *lowering) faultAfter(i int32, kind, n int32) Label {
	a, label := l.a, l.a.NewLabel()
	code := ^((l.base+i)<<native.ExitBits | kind)
	l.later(func() {
		a.Bind(label)
		l.subtract(n)
		if l.leaf.is {
			l.takeStack()
		}
		a.MovRI(regT1, int64(code))
		a.Jmp(l.leave)
	})
	return label
}

// contextBase is the simulated address of the control page as a displacement.
const contextBase = -1 << 31

// The constant is right only if the control page begins 2 GiB below the top of the address space.
var _ [0]struct{} = [mem.Base - mem.PageSize - (1<<64 - 1<<31)]struct{}{}

// field is the operand of a field of the context.
func (l *lowering) field(off int32) Mem {
	return At(regBias, contextBase+int32(l.slot)*native.ContextSize+off)
}
