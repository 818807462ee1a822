package flow

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// Set is what is known of all programs of an Env.
type Set struct {
	limit   uint64 // the number of accessible bytes now: it only grows
	stackOK bool   // the stack region lies within them
	helpers []abi.Func
	inline  engine.Inline
	arrays  map[uint64]*engine.Array // those of inline that machine code can handle, by map
	tables  map[uint64]*engine.Table // likewise
	// pointers are those of inline.
	pointers map[pointer]*abi.Inline
}

// pointer is R1 of a call of a helper.
type pointer struct {
	helper int64
	r1     uint64
}

// New gathers what is known before the programs of env are looked at.
func New(env *engine.Env) *Set {
	s := &Set{limit: env.Mem.Limit(), helpers: env.Helpers, inline: env.Inline,
		stackOK: env.Mem.Bytes(env.StackTop-env.StackSize, env.StackSize) != nil}
	s.arrays = make(map[uint64]*engine.Array, len(env.Inline.Arrays))
	for i := range env.Inline.Arrays {
		if m := &env.Inline.Arrays[i]; s.plausible(m) {
			s.arrays[m.Map] = m
		}
	}
	s.tables = make(map[uint64]*engine.Table, len(env.Inline.Tables))
	for i := range env.Inline.Tables {
		const most = 1 << 30
		if t := &env.Inline.Tables[i]; t.Index != nil && t.Size <= most && t.Value <= most && t.Stride <= most && (t.Storage > 0 || t.Key == 4 || t.Key == 8) {
			s.tables[t.Map] = t
		}
	}
	s.pointers = make(map[pointer]*abi.Inline, len(env.Inline.Pointers))
	for _, p := range env.Inline.Pointers {
		s.pointers[pointer{p.Helper, p.R1}] = p.Code
	}
	return s
}

// Step follows instruction i, after which f holds unless it faulted or jumped.
func (s *Set) Step(f *Facts, i int32, in *ir.Insn) {
	switch {
	case in.Probe, in.Arena: // its address may be anything
	case in.Op.IsLoad():
		f.checked(in.Src, in.Off, in.Op.Size())
	case in.Op.Size() > 0:
		f.checked(in.Dst, in.Off, in.Op.Size())
	}
	m, t := s.ArrayOf(f, in), s.TableOf(f, in)
	f.step(in)
	switch {
	case m != nil:
		f.element(i, m.Elem)
	case t != nil:
		f.element(i, t.Size)
	}
}

// Place says what is known of the address of an access.
type Place uint8

// The places. Only Unknown needs a check.
const (
	Unknown Place = iota
	Inside        // the bytes are accessible
	Frame         // R10 plus a constant, within the frame
	Fixed         // a constant address of accessible bytes
)

// PlaceOf returns what is known of size bytes at r + off; at is the distance from R10 for Frame, and from mem.Base for Fixed.
func (s *Set) PlaceOf(f *Facts, r ir.Reg, off int32, size int) (p Place, at int64) {
	v := f[r].value + uint64(int64(off))
	switch kind := f[r].kind; {
	case kind == frame && s.stackOK && int64(v) >= -engine.FrameSize && int64(v) <= -int64(size):
		// R10 is the end of a frame of the stack region: no program can change it.
		return Frame, int64(v)
	case kind == constant && v-mem.Base <= s.limit-uint64(size):
		return Fixed, int64(v - mem.Base)
	case f.within(r, off, size):
		return Inside, 0
	}
	return Unknown, 0
}

// ArrayOf returns the array that in looks an element up in, when f holds before it; nil: it does something else.
func (s *Set) ArrayOf(f *Facts, in *ir.Insn) *engine.Array {
	perCPU := s.PerCPU(in)
	if in.Op != ir.CallHelper || in.Imm != s.inline.Lookup && !perCPU || !s.hasHelper(in.Imm) {
		return nil
	}
	if addr, known := f.constant(1); known {
		if m := s.arrays[addr]; m != nil && (!perCPU || m.CPUs != 0) {
			return m
		}
	}
	return nil
}

// PerCPU tells whether the lookup in names the processor, in R3.
func (s *Set) PerCPU(in *ir.Insn) bool { return in.Imm == s.inline.LookupPerCPU }

// TableOf returns the table that in looks an element up in, when f holds before it; nil: it does something else.
func (s *Set) TableOf(f *Facts, in *ir.Insn) *engine.Table {
	if in.Op != ir.CallHelper || len(s.tables) == 0 || !s.hasHelper(in.Imm) {
		return nil
	}
	if addr, known := f.constant(1); known {
		if t := s.tables[addr]; t != nil && (in.Imm == t.Storage || t.Storage == 0 && in.Imm == s.inline.Lookup) {
			return t
		}
	}
	return nil
}

// MaxCopy is the size of the largest value that an update copies in machine code.
const MaxCopy = 64

// UpdatedBy returns the table in which in changes a value that machine code can copy; nil: it does something else.
func (s *Set) UpdatedBy(f *Facts, in *ir.Insn) *engine.Table {
	if in.Op != ir.CallHelper || in.Imm != s.inline.Update || !s.hasHelper(in.Imm) {
		return nil
	}
	if addr, known := f.constant(1); known {
		if t := s.tables[addr]; t != nil && t.Storage == 0 && t.Plain && (t.Size == 4 || t.Size%8 == 0 && t.Size > 0 && t.Size <= MaxCopy) {
			return t
		}
	}
	return nil
}

// LoopOf returns the code address of the callback if in is bpf_loop with a callback that is known.
func (s *Set) LoopOf(f *Facts, in *ir.Insn) (fn uint64, ok bool) {
	if !s.IsLoop(in) {
		return 0, false
	}
	return f.constant(2)
}

// CodeOf returns what is said in code of the function that in, an instruction of p, calls when f holds before it; nil: nothing, or it
// cannot be used.
func (s *Set) CodeOf(f *Facts, p *ir.Program, in *ir.Insn) *abi.Inline {
	t := s.pointer(f, in)
	switch {
	case t != nil:
	case in.Op == ir.CallKfunc:
		t = s.inline.Kfuncs[p.Kfuncs[in.Imm]]
	case in.Op == ir.CallHelper && uint64(in.Imm) < uint64(len(s.inline.Helpers)) && s.hasHelper(in.Imm):
		t = s.inline.Helpers[in.Imm]
	}
	if t == nil || engine.CheckInline(t) != "" {
		return nil
	}
	return t
}

// pointer returns what is said in code of the helper that in calls with what is in R1; nil: nothing.
func (s *Set) pointer(f *Facts, in *ir.Insn) *abi.Inline {
	if in.Op != ir.CallHelper || len(s.pointers) == 0 || !s.hasHelper(in.Imm) {
		return nil
	}
	r1, known := f.constant(1)
	if !known {
		return nil
	}
	return s.pointers[pointer{in.Imm, r1}]
}

// IsCPUID tells whether in asks for the number of the processor.
func (s *Set) IsCPUID(in *ir.Insn) bool {
	return in.Op == ir.CallHelper && in.Imm == s.inline.CPUID && s.hasHelper(in.Imm)
}

// reads are the registers, as bits, whose values matter to the call in of a helper or kfunc, when f holds before it.
func (s *Set) reads(f *Facts, p *ir.Program, in *ir.Insn) uint16 {
	const r2, r3, r4 = 1 << 2, 1 << 3, 1 << 4
	// The key of a lookup need not be looked for where it is known to be.
	key := func(size int) uint16 {
		if place, _ := s.PlaceOf(f, 2, 0, size); place == Frame || place == Fixed {
			return 0
		}
		return r2
	}
	// R1 of a lookup is the map, which is known.
	if m := s.ArrayOf(f, in); m != nil {
		if s.PerCPU(in) {
			return key(4) | r3
		}
		return key(4)
	}
	if t := s.TableOf(f, in); t != nil {
		if t.Storage != 0 {
			return r2 | r3 | r4
		}
		return key(int(t.Key))
	}
	if s.UpdatedBy(f, in) != nil {
		return r2 | r3 | r4
	}
	if s.IsCPUID(in) {
		return 0
	}
	if t := s.CodeOf(f, p, in); t != nil {
		return codeReads(t)
	}
	return 1<<(s.Params(p, in)+1) - 2
}

// inPlace tells whether the call in need not leave machine code, and which word it reads.
func (s *Set) inPlace(f *Facts, p *ir.Program, in *ir.Insn) (w *abi.Word, ok bool) {
	if s.ArrayOf(f, in) != nil || s.TableOf(f, in) != nil || s.UpdatedBy(f, in) != nil || s.IsCPUID(in) {
		return nil, true
	}
	if t := s.CodeOf(f, p, in); t != nil {
		return t.Word, true
	}
	return nil, false
}

// Params is how many of R1-R5 the function looks at that in, an instruction of p, calls.
func (s *Set) Params(p *ir.Program, in *ir.Insn) int {
	if in.Op == ir.CallKfunc {
		if n, ok := s.inline.Params[p.Kfuncs[in.Imm]]; ok {
			return n
		}
	}
	return len(abi.Args{})
}

// codeReads are the arguments that t reads.
func codeReads(t *abi.Inline) uint16 {
	before := make([]uint16, len(t.Code)+1)
	for k := len(t.Code) - 1; k >= 0; k-- {
		in := &t.Code[k]
		var out uint16
		if in.Op != ir.Ja && in.Op != ir.Invalid {
			out = before[k+1]
		}
		if in.Op.IsJump() {
			out |= before[in.Target]
		}
		reads, writes := registers(in)
		if in.Op == ir.Invalid {
			reads = 0
		}
		before[k] = out&^writes | reads
	}
	return before[0] & (1<<6 - 2)
}

// plausible tells whether all elements of m are accessible and its numbers are small enough for any machine.
func (s *Set) plausible(m *engine.Array) bool {
	const most = 1 << 30
	cpus := uint64(max(m.CPUs, 1))
	if m.Elem > most || m.Stride > most || m.Elem*uint64(m.Entries) > most || m.Stride*cpus > most {
		return false
	}
	off := m.Base - mem.Base
	return off < s.limit && m.Elem*uint64(m.Entries)+m.Stride*(cpus-1) <= s.limit-off
}

// hasHelper tells whether there is a helper number n.
func (s *Set) hasHelper(n int64) bool {
	return n > 0 && n < int64(len(s.helpers)) && s.helpers[n] != nil
}

// IsLoop tells whether in is bpf_loop.
func (s *Set) IsLoop(in *ir.Insn) bool {
	return in.Op == ir.CallHelper && in.Imm == s.inline.Loop && s.hasHelper(in.Imm)
}
