package verifier

const (
	maxFrames     = 16      // MAX_CALL_FRAMES of 7.2
	maxStack      = 512     // MAX_BPF_STACK
	maxInsns      = 1000000 // BPF_COMPLEXITY_LIMIT_INSNS
	maxPending    = 8192    // BPF_COMPLEXITY_LIMIT_JMP_SEQ
	maxSubprogs   = 256     // BPF_MAX_SUBPROGS
	maxProgInsns  = 1000000 // BPF_COMPLEXITY_LIMIT_INSNS bounds the length, too
	maxErrno      = 4095
	fp            = 10
	regSize       = 8
	mainCallsite  = -1
	dynptrSlots   = 2
	callerSaved   = 6 // r0-r5
	minPrivStack  = 64
	stackRounding = 16
	frameBytes    = 1600 // in Go's memory, about
	slotBytes     = 144
)

// slotKind is what one byte of stack holds.
type slotKind uint8

const (
	slotInvalid slotKind = iota
	slotSpill
	slotMisc
	slotZero
	slotDynptr
	slotIter
	slotIRQ
	// slotPoison was dead when the state was cleaned: nothing may read it.
	slotPoison
)

// slot is eight bytes of stack. kind[7] is the byte at the lowest address, as the kernel counts.
type slot struct {
	reg  reg
	kind [regSize]slotKind
}

func (s *slot) isSpill() bool       { return s.kind[7] == slotSpill }
func (s *slot) isScalarSpill() bool { return s.kind[7] == slotSpill && s.reg.typ == scalar }

// special: a dynptr, iterator or irq flag.
func (s *slot) special() bool {
	k := s.kind[7]
	return k == slotDynptr || k == slotIter || k == slotIRQ
}

func (s *slot) setAll(k slotKind) {
	for i := range s.kind {
		s.kind[i] = k
	}
}

// retRange is what a callback may return; any is for no rule.
type retRange struct {
	lo, hi int32
	narrow bool // compare the lower half
}

// frame is one function on the call stack (struct bpf_func_state).
type frame struct {
	regs     [11]reg
	callsite int32 // the call, mainCallsite for the first frame
	no       uint8
	sub      int
	// asyncEntry tells entries of asynchronous callbacks apart.
	asyncEntry    uint32
	ret           retRange
	inCallback    bool
	inAsync       bool
	callbackDepth uint32
	stack         []slot
	inst          *instance // what is known of live stack
}

// grow makes sure that size bytes of stack are tracked.
func (f *frame) grow(size int) {
	for n := (size + regSize - 1) / regSize; len(f.stack) < n; {
		var s slot
		s.reg.markNotInit()
		f.stack = append(f.stack, s)
	}
}

// refKind is the sort of something acquired.
type refKind uint8

const (
	refPtr refKind = 1 << iota
	refIRQ
	refLock
	refResLock
	refResLockIRQ
	refLocks = refLock | refResLock | refResLockIRQ
)

// ref is something acquired that has to be released.
type ref struct {
	kind   refKind
	id     uint32
	parent uint32
	insn   int32
	ptr    any // what a lock is in: a *mapInfo or "local"
}

// state is the state of the program at an instruction (struct bpf_verifier_state).
type state struct {
	frames []*frame
	refs   []ref
	// active locks and sections; irqID and lockID are the innermost.
	locks, preempt, rcu int
	irqID, lockID       uint32
	lockPtr             any
	sleepable           bool

	// parent is the checkpoint that the path passed last. branches is the number of paths from here that are not explored.
	parent   *state
	branches int
	insn     int32 // instruction about to be executed
	first    int32 // first instruction after parent
	last     int32 // instruction before insn on the path, -1 for none
	dfsDepth int
	mayGoto  uint32
	unroll   uint32 // callbacks simulated

	hist []histEntry

	// Of checkpoints.
	misses, hits int
	evicted      bool
	// equal is the checkpoint that a state at the end of a back edge equals.
	equal *state
}

func (s *state) cur() *frame { return s.frames[len(s.frames)-1] }

// at is the instruction that frame i is at: its call, or for the last one the next instruction.
func (s *state) at(i int) int32 {
	if i == len(s.frames)-1 {
		return s.insn
	}
	return s.frames[i+1].callsite
}

// eachReg calls f for each register and each spilled register.
func (s *state) eachReg(f func(r *reg)) {
	for _, fr := range s.frames {
		for i := range fr.regs {
			f(&fr.regs[i])
		}
		for i := range fr.stack {
			if fr.stack[i].isSpill() {
				f(&fr.stack[i].reg)
			}
		}
	}
}

// eachScalar is eachReg for scalars but the frame pointer.
func (s *state) eachScalar(f func(r *reg)) {
	s.eachReg(func(r *reg) {
		if r.typ == scalar {
			f(r)
		}
	})
}

func sameCallsites(a, b *state) bool {
	if len(a.frames) != len(b.frames) {
		return false
	}
	for i := range a.frames {
		if a.frames[i].callsite != b.frames[i].callsite {
			return false
		}
	}
	return true
}

// slotOf is the index of the slot with the byte at off (negative).
func slotOf(off int64) int { return int(-off-1) / regSize }
