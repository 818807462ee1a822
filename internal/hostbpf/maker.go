package hostbpf

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// ValueSize is the number of bytes that programs of a Maker work on. The last ones are the registers at the end.
const ValueSize = 512

// The part of the value and of the stack that a program's body uses.
const (
	bodySize  = ValueSize - 128
	stackSize = 64
)

// Program is one random program: bytecode whose instruction number Load (in slots) waits for the address of ValueSize bytes,
// which the program is run with.
type Program struct {
	Code  []byte
	Load  int
	Value []byte
}

// Maker makes random programs. They are acceptable to the kernel's verifier by construction: registers and stack are
// set before they are read, accesses stay within the value or the frame, loops are counted, pointers and numbers do not
// mix. What they leave in the value depends on nothing but the instruction set: no address, no time.
//
// R6 is the address of the value, R10 that of the frame, R9 counts loops; the others hold numbers.
type Maker struct {
	Rand *rand.Rand
	// Level is the version of the instruction set, 1 to 4; 0 means 4.
	Level int

	code  []byte
	calls []call
	subs  int // how many subprograms there are
	sub   int // the one being made
	depth int // of nested blocks
	loop  bool
	room  int // statements left for the function
}

type call struct{ slot, sub int }

// Make makes a program.
func (m *Maker) Make() Program {
	if m.Level == 0 {
		m.Level = 4
	}
	m.code, m.calls = nil, nil
	m.subs = 1
	if m.n(2) == 0 {
		m.subs += 1 + m.n(2)
	}
	starts := make([]int, m.subs)
	load := 0
	for m.sub = range m.subs {
		starts[m.sub] = m.slots()
		if m.sub == 0 {
			load = m.slots()
			m.emit(0x18, 6, 0, 0, 0)
			m.emit(0, 0, 0, 0, 0)
		} else {
			m.emit(0xbf, 6, 1, 0, 0)
		}
		m.function()
	}
	for _, c := range m.calls {
		binary.LittleEndian.PutUint32(m.code[8*c.slot+4:], uint32(starts[c.sub]-c.slot-1))
	}
	value := make([]byte, ValueSize)
	for i := 0; i < bodySize; i += 8 {
		binary.LittleEndian.PutUint64(value[i:], m.value())
	}
	return Program{m.code, load, value}
}

func (m *Maker) n(n int) int { return m.Rand.IntN(n) }

func (m *Maker) slots() int { return len(m.code) / 8 }

func (m *Maker) emit(op byte, dst, src int, off int16, imm int32) {
	var b [8]byte
	b[0], b[1] = op, byte(dst|src<<4)
	binary.LittleEndian.PutUint16(b[2:], uint16(off))
	binary.LittleEndian.PutUint32(b[4:], uint32(imm))
	m.code = append(m.code, b[:]...)
}

var edges = []uint64{0, 1, ^uint64(0), 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1<<31 - 1, 1 << 31,
	1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<63 - 1, 1 << 63, 0x0123456789abcdef, 0x5555555555555555, 0xffffffff00000000, 0xffffffff80000000, 10, 1000}

func (m *Maker) value() uint64 {
	v := edges[m.n(len(edges))]
	switch m.n(6) {
	case 0:
		return m.Rand.Uint64()
	case 1:
		return -v
	case 2:
		return v ^ 1<<m.n(64)
	}
	return v
}

// number is a register that holds a number.
func (m *Maker) number() int { return []int{0, 1, 2, 3, 4, 5, 7, 8}[m.n(8)] }

// function makes a function: registers and stack get numbers, then comes the body, then the registers are shown.
func (m *Maker) function() {
	for _, r := range []int{0, 1, 2, 3, 4, 5, 7, 8} {
		if m.sub == 0 || r != 2 && r != 3 && r != 4 { // which are arguments
			m.set(r)
		}
	}
	m.emit(0xb7, 9, 0, 0, 0)
	for off := -stackSize; off < 0; off += 8 {
		m.emit(0x7b, 10, m.number(), int16(off), 0)
	}
	m.room, m.depth, m.loop = 6+m.n(40), 0, false
	if m.sub > 0 {
		m.room = 4 + m.n(10)
	}
	m.block(m.room)
	if next := m.sub + 1; next < m.subs && !slices.ContainsFunc(m.calls, func(c call) bool { return c.sub == next }) {
		m.call(next) // no code may be out of reach
	}
	if m.sub > 0 {
		m.emit(0x95, 0, 0, 0, 0)
		return
	}
	for i, r := range []int{0, 1, 2, 3, 4, 5, 7, 8} {
		m.emit(0x7b, 6, r, int16(bodySize+8*i), 0)
	}
	for off := -stackSize; off < 0; off += 8 {
		m.emit(0x79, 1, 10, int16(off), 0)
		m.emit(0xaf, 0, 1, 0, 0)
	}
	m.emit(0x7b, 6, 0, bodySize+64, 0)
	m.emit(0x95, 0, 0, 0, 0)
}

// set gives a register a number: a constant, or bytes of the value, which the verifier does not know.
func (m *Maker) set(r int) {
	switch v := m.value(); m.n(4) {
	case 0:
		m.emit(0xb7, r, 0, 0, int32(v))
	case 1:
		m.emit(0x18, r, 0, 0, int32(v))
		m.emit(0, 0, 0, 0, int32(v>>32))
	default:
		m.emit(0x79, r, 6, int16(8*m.n(bodySize/8)), 0)
	}
}

// block makes n statements.
func (m *Maker) block(n int) {
	for ; n > 0 && m.room > 0; n-- {
		m.room--
		m.statement()
	}
}

func (m *Maker) statement() {
	switch k := m.n(40); {
	case k < 18:
		m.alu()
	case k < 20:
		m.set(m.number())
	case k < 27:
		m.access()
	case k < 31:
		m.atomic()
	case k < 37:
		if m.depth < 3 {
			m.branch()
		}
	case k < 38:
		if !m.loop && m.depth == 0 {
			m.repeat()
		}
	default:
		if m.sub+1 < m.subs && m.depth < 2 && !m.loop {
			m.call(m.sub + 1 + m.n(m.subs-m.sub-1))
		}
	}
}

// alu makes an operation on registers.
func (m *Maker) alu() {
	class := byte(7)
	bits := 64
	if m.n(2) == 0 {
		class, bits = 4, 32
	}
	dst, src := m.number(), m.number()
	switch k := m.n(17); k {
	case 8: // negation
		m.emit(0x80|class, dst, 0, 0, 0)
	case 13: // byte order
		imm := int32(16 << m.n(3))
		switch {
		case m.Level >= 4 && m.n(3) == 0:
			m.emit(0xd7, dst, 0, 0, imm)
		default:
			m.emit(0xd4|byte(m.n(2))<<3, dst, 0, 0, imm)
		}
	case 14: // sign-extending moves
		if m.Level < 4 {
			m.emit(0xb0|8|class, dst, src, 0, 0)
			return
		}
		off := int16(8 << m.n(3))
		if bits == 32 && off == 32 {
			off = 16
		}
		m.emit(0xb0|8|class, dst, src, off, 0)
	default:
		op := []byte{0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0x90, 0xa0, 0xb0, 0xc0, 0, 0, 0x30, 0x90}[k]
		signed := int16(0)
		if (op == 0x30 || op == 0x90) && m.Level >= 4 && m.n(2) == 0 {
			signed = 1
		}
		if m.n(2) == 0 {
			m.emit(op|8|class, dst, src, signed, 0)
			return
		}
		imm := int32(m.value())
		switch op {
		case 0x30, 0x90:
			if imm == 0 {
				imm = -1
			}
		case 0x60, 0x70, 0xc0:
			imm = int32(m.n(bits))
		}
		m.emit(op|class, dst, 0, signed, imm)
	}
}

var sizes = [4]struct {
	bits  byte
	bytes int
}{{0x10, 1}, {0x08, 2}, {0x00, 4}, {0x18, 8}}

// place makes the base register and the offset of an access to size bytes: in the value, at a constant or computed place,
// or on the stack. done puts a number back into a register that held the address.
func (m *Maker) place(size int, aligned bool) (base int, off int16, done func()) {
	done = func() {}
	at := func(n int) int {
		o := m.n(n - size + 1)
		if aligned {
			o -= o % size
		}
		return o
	}
	switch m.n(4) {
	case 0:
		aligned = true // the verifier asks for it
		return 10, int16(at(stackSize) - stackSize), done
	case 1:
		p := m.number()
		x := m.number()
		for x == p {
			x = m.number()
		}
		mask := int32(0x7f)
		if aligned {
			mask &^= int32(size - 1)
		}
		m.emit(0x57, x, 0, 0, mask)
		m.emit(0xbf, p, 6, 0, 0)
		m.emit(0x0f, p, x, 0, 0)
		return p, int16(at(bodySize - 0x7f)), func() { m.set(p) }
	}
	return 6, int16(at(bodySize)), done
}

// access makes a load or a store.
func (m *Maker) access() {
	k := m.n(4)
	s := sizes[k]
	base, off, done := m.place(s.bytes, false)
	reg := m.number()
	for reg == base {
		reg = m.number()
	}
	switch m.n(5) {
	case 0:
		m.emit(0x62|s.bits, base, 0, off, int32(m.value()))
	case 1, 2:
		m.emit(0x63|s.bits, base, reg, off, 0)
	case 3:
		if m.Level >= 4 && k < 3 {
			m.emit(0x81|s.bits, reg, base, off, 0) // sign-extending
			break
		}
		fallthrough
	default:
		m.emit(0x61|s.bits, reg, base, off, 0)
	}
	done()
}

var atomics = []int32{0x00, 0x40, 0x50, 0xa0, 0x01, 0x41, 0x51, 0xa1, 0xe1, 0xf1}

// atomic makes an atomic operation.
func (m *Maker) atomic() {
	s := sizes[2+m.n(2)]
	base, off, done := m.place(s.bytes, true)
	reg := m.number()
	for reg == base {
		reg = m.number()
	}
	op := atomics[m.n(len(atomics))]
	if op == 0xf1 && base == 0 { // R0 is the operand
		op = 0x01
	}
	if base == 10 {
		// Not those that fetch: backtrack_insn (6.18) does not follow the old value to the stack, so that the verifier takes
		// different values there for equal and may remove code that can be reached. 7.2 follows it.
		op = atomics[m.n(4)]
	}
	if m.Level < 3 {
		op = 0
	}
	m.emit(0xc3|s.bits, base, reg, off, op)
	if op == 0xf1 && s.bytes == 4 {
		// w0 = w0, which is of no effect: the comparison clears the upper half of R0. Kernels (6.18, 7.2) on x86 leave it alone
		// when the comparison succeeds and the verifier pruned the path that reads it: opt_subreg_zext_lo32_rnd_hi32 goes by
		// zext_dst, which mark_insn_zext sets only on the path that is walked to the read.
		m.emit(0xbc, 0, 0, 0, 0)
	}
	done()
}

var conditions = []byte{0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0}

// branch makes a conditional block, maybe with another one for the other case.
func (m *Maker) branch() {
	m.depth++
	defer func() { m.depth-- }()
	op := conditions[m.n(len(conditions))]
	if m.Level < 2 && op >= 0xa0 {
		op = 0x50
	}
	class := byte(5)
	if m.Level >= 3 && m.n(2) == 0 {
		class = 6
	}
	at := m.slots()
	if m.n(2) == 0 {
		m.emit(op|8|class, m.number(), m.number(), 0, 0)
	} else {
		m.emit(op|class, m.number(), 0, 0, int32(m.value()))
	}
	m.block(1 + m.n(4))
	if m.n(2) == 0 {
		over := m.slots()
		m.emit(0x05, 0, 0, 0, 0)
		m.land(at)
		m.block(1 + m.n(4))
		if m.Level >= 4 && m.n(2) == 0 { // the long form
			m.code[8*over] = 0x06
			binary.LittleEndian.PutUint32(m.code[8*over+4:], uint32(m.slots()-over-1))
			return
		}
		m.land(over)
		return
	}
	m.land(at)
}

// land makes the jump at slot at lead to the next instruction.
func (m *Maker) land(at int) {
	binary.LittleEndian.PutUint16(m.code[8*at+2:], uint16(m.slots()-at-1))
}

// repeat makes a counted loop.
func (m *Maker) repeat() {
	m.loop, m.depth = true, m.depth+2
	m.emit(0xb7, 9, 0, 0, int32(1+m.n(5)))
	top := m.slots()
	m.block(1 + m.n(5))
	m.emit(0x07, 9, 0, 0, -1)
	m.emit(0x55, 9, 0, int16(top-m.slots()-1), 0)
	m.loop, m.depth = false, m.depth-2
}

// call makes a call of a later subprogram with the value's address and three numbers.
func (m *Maker) call(sub int) {
	for _, r := range []int{2, 3, 4} {
		if m.n(3) == 0 {
			m.set(r)
		}
	}
	m.emit(0xbf, 1, 6, 0, 0)
	m.calls = append(m.calls, call{m.slots(), sub})
	m.emit(0x85, 0, 1, 0, 0)
	for r := 1; r <= 5; r++ {
		m.set(r)
	}
}
