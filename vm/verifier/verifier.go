package verifier

import (
	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Result is what is known of an accepted program.
type Result struct {
	// Insns is the number of instructions followed, States that of states kept for comparison.
	Insns, States int
	// PeakStates is the largest number of states that were kept at a time, MaxStatesPerInsn about the largest for one
	// instruction.
	PeakStates, MaxStatesPerInsn int
	// Stacks are the bytes of stack that the kernel gives the main function and the others, StackDepth their sum,
	// MaxStackDepth the largest sum of a chain of calls.
	Stacks                    []int
	StackDepth, MaxStackDepth int
	// Proved tells for each instruction of the program's code whether it is an access to memory whose address lies in the
	// address space whenever it runs, because the pointer leads to memory that the machine owns and never unmaps: the stack,
	// values and keys of maps, memory from helpers and kernel functions, the context, the program's own objects, and objects
	// of the kernel that were handed in. Pointers read from objects of the kernel are not proved: they may be null where the
	// machine does not model a field. Nil if the program was refused.
	Proved []bool
	// Probe tells for each instruction whether it is a load through a pointer that may be stale or null: it yields 0 where
	// there is no memory. Arena tells which accesses are to an arena.
	Probe, Arena []bool
	// Reached tells for each instruction whether any path comes to it; the others never run.
	Reached []bool
	// CtxSize is how many bytes of the context the program may access (max_ctx_offset).
	CtxSize int
}

// Check verifies a program of an object. The error is an *Error.
func Check(o *link.Object, p *link.Program, at Attachment) (Result, error) {
	v := newVerifier(o, p, at)
	err := v.check()
	v.result.Insns = v.processed
	if err == nil {
		r := &v.result
		r.Proved, r.Reached, r.Arena = v.proved(), v.reached(), v.arenaAccesses()
		r.Probe = v.probed(r.Proved)
		return v.result, nil
	}
	e := v.located(err)
	v.told(e)
	return v.result, e
}

func newVerifier(o *link.Object, p *link.Program, at Attachment) *verifier {
	v := &verifier{obj: o, prog: p, at: at, structs: map[string]btf.Type{}, records: map[btf.Type]*record{},
		insnIdx: -1, maxHeld: maxHeld, maxInsns: maxInsns}
	v.unbound.markUnknown()
	return v
}

// verifier is one run of Check (struct bpf_verifier_env).
type verifier struct {
	obj  *link.Object
	prog *link.Program
	at   Attachment

	insns     []ir.Insn
	aux       []insnAux
	subs      []subInfo
	order     []int // functions, callees first
	maps      []*mapInfo
	protos    []helper
	helpers   []*helper // by id, in protos
	kfuncs    []*kfunc  // by index in Code.Kfuncs
	structs   map[string]btf.Type
	records   map[btf.Type]*record
	badType   error // why a type of the program with special fields is malformed
	instances map[instanceKey]*instance
	flowSlots []*[stackSlots]track // by call, what its function has spilled
	flows     int
	hasArena  bool
	// held are the bytes of memory held, by charge; maxHeld bounds them.
	held, maxHeld int64
	heldBefore    int64 // held when no path is followed
	work          int   // by spend

	cur      *state
	pool     pool
	pending  []pending
	explored [][]*state
	stored   int // checkpoints
	edges    int // ends of loops that wait for their cycle
	visits   [][]*sccVisit

	followAll        bool // paths are given up only at the end of loops that converge: for tests
	maxInsns         int
	insnIdx, prevIdx int32
	// gotoxs are the indirect jumps by instruction, tables their tables by offset in the section.
	gotoxs map[int32]*gotox
	tables map[uint32]*mapInfo
	// ownedArgs are the references of arguments that the program has to release, by number.
	ownedArgs []uint32
	// left: the current instruction, a call, has set insnIdx to where its function returns.
	left     bool
	histOpen bool
	bt       backtracker
	ids      idMap
	idGen    uint32
	idUses   []idUse
	unbound  reg
	callBuf  []int32
	loadBuf  reg // of stepLoad
	mapRules []mapRule

	processed, jumps         int
	prevProcessed, prevJumps int

	facts    []fact
	doubtful []btf.Type // kernel structs to which pointers may be null here
	doubtMem bool

	path   []int32 // instructions on the way here
	notes  []note
	trace  *trace // nil: the path is all that is kept
	result Result
}

// slots is the length of the program in the kernel's count, which is two for a load of 64 bits.
func (v *verifier) slots() int {
	last := &v.insns[len(v.insns)-1]
	if last.Op == ir.LdImm64 {
		return int(last.Orig) + 2
	}
	return int(last.Orig) + 1
}

// pending is a branch to be explored.
type pending struct {
	st         *state
	insn, prev int32
	path, note int // lengths of the log
	bytes      int64
}

// maxHelper is above all helper numbers.
const maxHelper = 212

func (v *verifier) check() error {
	if v.prog.Err != nil {
		return refuse(CodeInvalidInsn, "%v", v.prog.Err)
	}
	if v.prog.Code == nil {
		return refuse(CodeInvalidInsn, "the program has no instructions")
	}
	v.insns = v.prog.Code.Insns
	for i, s := range v.prog.Code.Subs {
		si := subInfo{start: s.Start, end: s.End, name: s.Name}
		if i < len(v.prog.Subs) {
			si.global = v.prog.Subs[i].Global && i > 0
		}
		v.subs = append(v.subs, si)
	}
	v.aux = make([]insnAux, len(v.insns))
	if err := v.checkShape(); err != nil {
		return err
	}
	v.facts = make([]fact, len(v.insns))
	v.insnIdx = -1
	v.helpers = make([]*helper, maxHelper)
	v.kfuncs = make([]*kfunc, len(v.prog.Code.Kfuncs))
	v.explored = make([][]*state, v.slots())
	if err := v.resolve(); err != nil {
		return err
	}
	if v.at.NeedsGPL != "" && !v.gpl() {
		return refuse(CodeLicense, "%s must have a GPL compatible license", v.at.NeedsGPL)
	}
	if err := v.checkEffects(); err != nil {
		return err
	}
	if err := v.compatibleMaps(); err != nil {
		return err
	}
	if err := v.checkCFG(); err != nil {
		return err
	}
	v.computePostorder()
	if err := v.computeConsts(); err != nil {
		return err
	}
	v.pruneDeadBranches()
	if err := v.sortSubs(); err != nil {
		return err
	}
	v.computeSCC()
	if err := v.computeStackLiveness(); err != nil {
		return err
	}
	if err := v.computeLiveRegs(); err != nil {
		return err
	}
	v.markFastcalls()
	v.heldBefore = v.held
	if err := v.checkFunc(0); err != nil {
		return err
	}
	for again := true; again; {
		again = false
		for i := range v.subs {
			if s := &v.subs[i]; s.global && s.called && !s.verified {
				if err := v.checkFunc(i); err != nil {
					return err
				}
				s.verified, again = true, true
			}
		}
	}
	v.dropSpills()
	if err := v.checkStackDepth(); err != nil {
		return err
	}
	v.addStacks(v.reached())
	return nil
}

// resolve makes the maps and finds what address loads refer to.
func (v *verifier) resolve() error {
	used := make([]bool, len(v.obj.Maps))
	for i := range v.prog.Refs {
		r := &v.prog.Refs[i]
		if r.Insn < 0 || r.Insn >= len(v.insns) || v.insns[r.Insn].Op != ir.LdImm64 {
			return refuse(CodeInvalidInsn, "a reference at instruction %d, which is no address load", r.Insn)
		}
		v.insnIdx = int32(r.Insn)
		switch r.Kind {
		case link.RefMap, link.RefMapValue, link.RefArena:
			if r.Map < 0 || r.Map >= len(used) {
				return refuse(CodeInvalidInsn, "a reference to map number %d", r.Map)
			}
			used[r.Map] = true
		case link.RefFunc:
			if r.Sub < 0 || r.Sub >= len(v.subs) {
				return refuse(CodeInvalidInsn, "a reference to function number %d", r.Sub)
			}
		}
		v.aux[r.Insn].ref = r
	}
	v.findGotox()
	v.maps = make([]*mapInfo, len(used))
	for i, u := range used {
		if !u {
			continue
		}
		m := v.mapInfo(v.obj.Maps[i], i)
		if m.unsupportedErr != nil {
			v.insnIdx = -1
			return m.unsupportedErr
		}
		v.maps[i] = m
		v.hasArena = v.hasArena || m.typ == mapArena
	}
	return nil
}

// checkFunc follows all paths of the main function, or of a global one. It follows do_check_common.
func (v *verifier) checkFunc(sub int) error {
	s := &v.subs[sub]
	v.pending, v.path, v.notes = v.pending[:0], v.path[:0], v.notes[:0]
	v.trace.start()
	for i, list := range v.explored {
		for _, st := range list {
			v.pool.free(st)
		}
		v.explored[i] = nil
	}
	v.held = v.heldBefore
	for i := range v.visits {
		v.visits[i] = nil
	}
	st := &state{branches: 1, sleepable: v.at.Sleepable, first: s.start, last: -1}
	f := v.newFrame(mainCallsite, 0, sub)
	st.frames = []*frame{f}
	v.cur = st
	v.insnIdx, v.prevIdx = s.start, -1
	if a, ok := v.at.Context.(*Args); ok && sub == 0 {
		v.ownedArgs = make([]uint32, len(a.owned()))
		for i, owned := range a.owned() {
			if owned {
				v.ownedArgs[i] = v.acquireRef(0)
			}
		}
	}
	if s.isException {
		if err := v.checkException(sub); err != nil {
			return err
		}
	}
	if sub == 0 {
		f.regs[1].setPointer(ptrToCtx, object{})
	} else if err := v.setGlobalArgs(sub, f); err != nil {
		return err
	}
	if err := v.follow(); err != nil {
		return err
	}
	// What is refused later is not on any path.
	v.path, v.notes = v.path[:0], v.notes[:0]
	return nil
}

func (v *verifier) newFrame(callsite int32, no uint8, sub int) *frame {
	f := v.pool.frame()
	*f = frame{callsite: callsite, no: no, sub: sub, stack: f.stack[:0]}
	for i := range f.regs {
		f.regs[i].markNotInit()
	}
	f.regs[fp].setPointer(ptrToStack, object{})
	f.regs[fp].frame = no
	f.inst = v.instanceOf(f, int(no))
	return f
}

// push remembers a branch that starts at insn with a copy of the current state, which the caller may change. It follows
// push_stack.
func (v *verifier) push(insn, prev int32) (*state, error) {
	st := v.pool.clone(v.cur)
	bytes := st.bytes()
	v.pending = append(v.pending, pending{st, insn, prev, len(v.path), len(v.notes), bytes})
	if len(v.pending) > maxPending {
		return nil, refuse(CodeTooComplex, "The sequence of %d jumps is too complex.", len(v.pending))
	}
	if err := v.charge(bytes); err != nil {
		return nil, err
	}
	if st.parent != nil {
		st.parent.branches++
	}
	return st, nil
}

// stepResult says how to go on after an instruction.
type stepResult uint8

const (
	stepNext  stepResult = iota // with the next instruction
	stepJump                    // insnIdx is set
	stepLeave                   // the path ends
)

// follow explores paths until none is left. It follows do_check.
func (v *verifier) follow() error {
	for {
		st := v.cur
		v.histOpen = false
		if v.insnIdx < 0 || int(v.insnIdx) >= len(v.insns) {
			return bug("instruction %d of %d", v.insnIdx, len(v.insns))
		}
		if v.processed++; v.processed > v.maxInsns {
			return refuse(CodeTooComplex, "BPF program is too large. Processed %d insn", v.processed)
		}
		st.last, st.insn = v.prevIdx, v.insnIdx
		here := v.insnIdx
		done := false
		if v.aux[here].prune {
			var err error
			if done, err = v.visited(here); err != nil {
				return err
			}
			if done {
				v.trace.safe(v, here)
			}
		}
		if !done {
			if v.aux[here].jump {
				v.pushHist(histEntry{})
			}
			if v.trace != nil {
				v.trace.arrive(v, here)
				v.trace.write(v, len(v.path))
			}
			v.path = append(v.path, here)
			v.facts[here].seen = true
			res, err := v.step()
			if err != nil {
				return err
			}
			switch res {
			case stepNext:
				v.insnIdx++
			case stepLeave:
				done = true
			}
			v.prevIdx = here
		}
		if !done {
			continue
		}
		if v.trace != nil {
			v.trace.write(v, len(v.path))
		}
		if err := v.leave(v.cur); err != nil {
			return err
		}
		v.pool.free(v.cur)
		if len(v.pending) == 0 {
			return nil
		}
		p := v.pending[len(v.pending)-1]
		v.pending = v.pending[:len(v.pending)-1]
		v.discharge(p.bytes)
		v.cur, v.insnIdx, v.prevIdx = p.st, p.insn, p.prev
		v.path, v.notes = v.path[:p.path], v.notes[:p.note]
		v.trace.cut(p.path)
		v.trace.branch(v)
	}
}

func (v *verifier) regs() *[11]reg { return &v.cur.cur().regs }

func (v *verifier) newID() uint32 {
	v.idGen++
	return v.idGen
}

func (v *verifier) isMayGoto(insn int32) bool { return v.insns[insn].Op == ir.MayGoto }
