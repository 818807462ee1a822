package arm64

import (
	"fmt"
	"math/bits"
)

// Alu is an arithmetic or logical operation on two registers; the value is its encoding.
type Alu uint32

// The operations; those with an S set the flags.
const (
	Add  Alu = 0x0b000000
	AddS Alu = 0x2b000000
	Sub  Alu = 0x4b000000
	SubS Alu = 0x6b000000
	And  Alu = 0x0a000000
	Orr  Alu = 0x2a000000
	Eor  Alu = 0x4a000000
	AndS Alu = 0x6a000000

	UDiv Alu = 0x1ac00800
	SDiv Alu = 0x1ac00c00
	Lsl  Alu = 0x1ac02000
	Lsr  Alu = 0x1ac02400
	Asr  Alu = 0x1ac02800
)

// Cond is a condition of a jump; the value is its number in the encoding. Its lowest bit inverts it.
type Cond uint32

// The conditions: LO and HI compare unsigned, LT and GT signed.
const (
	EQ Cond = 0
	NE Cond = 1
	HS Cond = 2
	LO Cond = 3
	MI Cond = 4
	PL Cond = 5
	HI Cond = 8
	LS Cond = 9
	GE Cond = 10
	LT Cond = 11
	GT Cond = 12
	LE Cond = 13
)

// AluRR is dst = n op m. The shifts and divisions mask and define as the machine does.
func (a *Asm) AluRR(op Alu, w Width, dst, n, m Reg) { a.three(w, uint32(op), dst, n, m) }

// AddShifted is dst = n + m<<shift.
func (a *Asm) AddShifted(dst, n, m Reg, shift uint32) {
	a.three(W64, uint32(Add)|shift<<10, dst, n, m)
}

// CmpRR sets the flags of n - m.
func (a *Asm) CmpRR(w Width, n, m Reg) { a.AluRR(SubS, w, XZR, n, m) }

// MovRR is dst = src.
func (a *Asm) MovRR(w Width, dst, src Reg) { a.AluRR(Orr, w, dst, XZR, src) }

// AddImm is dst = n + v, with set also the flags, if v is a constant of at most 24 bits with a sign; false: it is not,
// and nothing was emitted. More than 12 bits may take two instructions, of which the last sets the flags of the whole.
func (a *Asm) AddImm(w Width, dst, n Reg, v int64, set bool) bool {
	op := uint32(0x11000000)
	if v < 0 {
		op, v = 0x51000000, -v
	}
	if v < 0 || v >= 1<<24 {
		return false
	}
	low, high := uint32(v)&0xfff, uint32(v)>>12
	if set {
		op |= 1 << 29
	}
	switch {
	case high == 0:
		a.addImm(w, op, dst, n, low)
	case low == 0:
		a.addImm(w, op|1<<22, dst, n, high)
	default:
		a.addImm(w, op&^(1<<29)|1<<22, dst, n, high)
		a.addImm(w, op, dst, dst, low)
	}
	return true
}

func (a *Asm) addImm(w Width, op uint32, dst, n Reg, imm uint32) {
	a.emit(w.sf() | op | imm<<10 | uint32(n)<<5 | uint32(dst))
}

// CmpImm sets the flags of n - v if v is a constant of 12 bits, shifted by 12 or not, with a sign; false: it is not, and
// nothing was emitted.
func (a *Asm) CmpImm(w Width, n Reg, v int64) bool {
	op := uint32(0x71000000)
	if v < 0 { // n + -v carries as n - v does, unless v is 0
		op, v = 0x31000000, -v
	}
	switch {
	case v >= 0 && v < 1<<12:
		a.addImm(w, op, XZR, n, uint32(v))
	case v >= 0 && v < 1<<24 && v&0xfff == 0:
		a.addImm(w, op|1<<22, XZR, n, uint32(v)>>12)
	default:
		return false
	}
	return true
}

// LogicImm is dst = n op v for And, Orr, Eor or AndS if v is a constant of the sort that those take; false: it is not.
func (a *Asm) LogicImm(op Alu, w Width, dst, n Reg, v uint64) bool {
	enc, ok := bitmask(w, v)
	if ok {
		// 0a, 2a, 4a, 6a become 12, 32, 52, 72.
		a.emit(w.sf() | uint32(op)&0x60000000 | 0x12000000 | enc<<10 | uint32(n)<<5 | uint32(dst))
	}
	return ok
}

// bitmask encodes a constant of the logical instructions: a rotated run of ones, repeated in elements of 2 to 64 bits. The
// result is N, immr and imms as they stand side by side.
func bitmask(w Width, v uint64) (enc uint32, ok bool) {
	if w == W32 {
		v = v&(1<<32-1) | v<<32
	}
	if v == 0 || v == 1<<64-1 {
		return 0, false
	}
	size := 64 // of the smallest element that repeats
	for half := size / 2; half >= 2 && v == bits.RotateLeft64(v, half); half /= 2 {
		size = half
	}
	mask := ^uint64(0) >> (64 - size)
	e := v & mask
	// Turn the element right until its run of ones begins at bit 0. A run that wraps around starts where the zeros end.
	r := bits.TrailingZeros64(e)
	if e&1 != 0 {
		if r = 64 - bits.LeadingZeros64(^e&mask); r == size {
			r = 0
		}
	}
	run := (e>>r | e<<(size-r)) & mask
	ones := bits.TrailingZeros64(^run)
	if run != 1<<ones-1 {
		return 0, false
	}
	immr := uint32(size-r) % uint32(size)
	imms := uint32(^(2*size-1))&0x3f | uint32(ones-1)
	n := uint32(0)
	if size == 64 {
		n, imms = 1, uint32(ones-1)
	}
	return n<<12 | immr<<6 | imms, true
}

// MovRI is dst = v in as few instructions as there can be without a memory access, at most four. The flags stay.
func (a *Asm) MovRI(dst Reg, v uint64) {
	const movn, movz, movk = 0x12800000, 0x52800000, 0x72800000
	w := W64
	if v>>32 == 0 {
		w = W32
	}
	parts, zeros, ones := int(w.bits()/16), 0, 0
	for i := range parts {
		switch v >> (16 * i) & 0xffff {
		case 0:
			zeros++
		case 0xffff:
			ones++
		}
	}
	first, skip := uint32(movz), uint64(0)
	if ones > zeros {
		first, skip = movn, 0xffff
	}
	if max(zeros, ones) < parts-1 && a.LogicImm(Orr, w, dst, XZR, v) {
		return
	}
	half := func(op uint32, i int, h uint64) {
		a.emit(w.sf() | op | uint32(i)<<21 | uint32(h)<<5 | uint32(dst))
	}
	begun := false
	for i := range parts {
		switch h := v >> (16 * i) & 0xffff; {
		case h == skip:
		case begun:
			half(movk, i, h)
		case first == movn:
			half(movn, i, ^h&0xffff)
			begun = true
		default:
			half(movz, i, h)
			begun = true
		}
	}
	if !begun {
		half(first, 0, 0)
	}
}

// MAdd is dst = x + n*m.
func (a *Asm) MAdd(w Width, dst, n, m, x Reg) { a.three(w, 0x1b000000|uint32(x)<<10, dst, n, m) }

// MSub is dst = x - n*m.
func (a *Asm) MSub(w Width, dst, n, m, x Reg) { a.three(w, 0x1b008000|uint32(x)<<10, dst, n, m) }

// Mul is dst = n * m.
func (a *Asm) Mul(w Width, dst, n, m Reg) { a.MAdd(w, dst, n, m, XZR) }

// UMulH is dst = the upper half of the unsigned product n * m of 128 bits.
func (a *Asm) UMulH(dst, n, m Reg) { a.three(W64, 0x1bc07c00, dst, n, m) }

// ShiftImm is dst = n shifted by count, which is less than the width's bits, in the manner of op: Lsl, Lsr or Asr.
func (a *Asm) ShiftImm(op Alu, w Width, dst, n Reg, count uint32) {
	last := w.bits() - 1
	switch op {
	case Lsl:
		a.bitfield(w, 0x53000000, dst, n, -count&last, last-count)
	case Lsr:
		a.bitfield(w, 0x53000000, dst, n, count, last)
	case Asr:
		a.bitfield(w, 0x13000000, dst, n, count, last)
	default:
		panic(fmt.Sprintf("BUG: shift %#x", op))
	}
}

func (a *Asm) bitfield(w Width, op uint32, dst, n Reg, immr, imms uint32) {
	if w {
		op |= 1 << 22
	}
	a.emit(w.sf() | op | immr<<16 | imms<<10 | uint32(n)<<5 | uint32(dst))
}

// ZeroExtend is dst = the low size bytes of n, 1 or 2.
func (a *Asm) ZeroExtend(size int, dst, n Reg) {
	a.bitfield(W32, 0x53000000, dst, n, 0, uint32(8*size-1))
}

// SignExtend is dst = the low size bytes of n, 1, 2 or 4, extended to the width.
func (a *Asm) SignExtend(size int, w Width, dst, n Reg) {
	a.bitfield(w, 0x13000000, dst, n, 0, uint32(8*size-1))
}

// Rev is dst = the bytes of n in reverse order.
func (a *Asm) Rev(w Width, dst, n Reg) {
	if w {
		a.emit(0xdac00c00 | uint32(n)<<5 | uint32(dst))
	} else {
		a.emit(0x5ac00800 | uint32(n)<<5 | uint32(dst))
	}
}

// Rev16 is dst = n with the bytes of each of its lower two halfwords exchanged.
func (a *Asm) Rev16(dst, n Reg) { a.emit(0x5ac00400 | uint32(n)<<5 | uint32(dst)) }

// Load is dst = [m], zero-extended from size 1, 2, 4 or 8 bytes.
func (a *Asm) Load(size int, dst Reg, m Mem) { a.access(size, 1, dst, m) }

// LoadSX is dst = [m], sign-extended to 64 bits from size 1, 2 or 4 bytes.
func (a *Asm) LoadSX(size int, dst Reg, m Mem) { a.access(size, 2, dst, m) }

// Store is [m] = the low size bytes of src.
func (a *Asm) Store(size int, m Mem, src Reg) { a.access(size, 0, src, m) }

func (a *Asm) access(size int, opc uint32, r Reg, m Mem) {
	op := uint32(bits.TrailingZeros(uint(size)))<<30 | opc<<22 | uint32(m.Base)<<5 | uint32(r)
	switch {
	case !Reaches(size, int64(m.Disp)):
		panic(fmt.Sprintf("BUG: displacement %d of %d bytes", m.Disp, size))
	case m.Index != XZR:
		a.emit(op | 0x38206800 | uint32(m.Index)<<16)
	case m.Disp >= 0 && int(m.Disp)%size == 0:
		a.emit(op | 0x39000000 | uint32(int(m.Disp)/size)<<10)
	default:
		a.emit(op | 0x38000000 | uint32(m.Disp)&0x1ff<<12)
	}
}

// StorePair is [base + disp] = x, y; LoadPair the inverse. disp is a multiple of 8 from -512 to 504.
func (a *Asm) StorePair(base Reg, disp int32, x, y Reg) { a.pair(0xa9000000, base, disp, x, y) }

// LoadPair is x, y = [base + disp].
func (a *Asm) LoadPair(x, y, base Reg, disp int32) { a.pair(0xa9400000, base, disp, x, y) }

// PushPair makes room for n bytes below base and stores x and y at its beginning.
func (a *Asm) PushPair(base Reg, n int32, x, y Reg) { a.pair(0xa9800000, base, -n, x, y) }

// PopPair loads what PushPair stored, and gives the n bytes back.
func (a *Asm) PopPair(x, y, base Reg, n int32) { a.pair(0xa8c00000, base, n, x, y) }

func (a *Asm) pair(op uint32, base Reg, disp int32, x, y Reg) {
	a.emit(op | uint32(disp/8)&0x7f<<15 | uint32(y)<<10 | uint32(base)<<5 | uint32(x))
}

// Push stores r on the stack that base is the end of.
func (a *Asm) Push(base, r Reg) { a.emit(0xf8000c00 | 0x1f8<<12 | uint32(base)<<5 | uint32(r)) }

// Pop is the inverse of Push.
func (a *Asm) Pop(r, base Reg) { a.emit(0xf8400400 | 8<<12 | uint32(base)<<5 | uint32(r)) }

// Ret returns to the address in X30.
func (a *Asm) Ret() { a.emit(0xd65f03c0) }

// Trap is an instruction that never runs.
func (a *Asm) Trap() { a.emit(0xd4200000) }

// Br jumps to the address in r.
func (a *Asm) Br(r Reg) { a.emit(0xd61f0000 | uint32(r)<<5) }

// Word is data.
func (a *Asm) Word(v uint32) { a.emit(v) }

func (a *Asm) fix(l Label, r reach) {
	a.fixups = append(a.fixups, fixup{int32(len(a.words)), l, r})
}

// B jumps to l.
func (a *Asm) B(l Label) {
	a.fix(l, reach26)
	a.emit(0x14000000)
}

// BCond jumps to l if the condition holds.
func (a *Asm) BCond(c Cond, l Label) {
	if a.far {
		a.emit(0x54000000 | 2<<5 | uint32(c^1))
		a.B(l)
		return
	}
	a.fix(l, reach19)
	a.emit(0x54000000 | uint32(c))
}

// BZero jumps to l if r is zero, or with not if it is not.
func (a *Asm) BZero(w Width, r Reg, not bool, l Label) {
	op := w.sf() | 0x34000000 | uint32(r)
	if not != a.far {
		op |= 1 << 24
	}
	if a.far {
		a.emit(op | 2<<5)
		a.B(l)
		return
	}
	a.fix(l, reach19)
	a.emit(op)
}

// Adr is dst = the address of l.
func (a *Asm) Adr(dst Reg, l Label) {
	if a.far {
		a.fix(l, reachPage)
		a.emit(0x90000000 | uint32(dst))
		a.emit(0x91000000 | uint32(dst)<<5 | uint32(dst))
		return
	}
	a.fix(l, reach21)
	a.emit(0x10000000 | uint32(dst))
}
