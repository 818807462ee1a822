package arm64

import (
	"encoding/binary"
	"fmt"
)

// Reg is a general register of the machine. Number 31 is XZR, or the stack pointer, which generated code does not use.
type Reg uint32

// The general registers by their encoding.
const (
	X0 Reg = iota
	X1
	X2
	X3
	X4
	X5
	X6
	X7
	X8
	X9
	X10
	X11
	X12
	X13
	X14
	X15
	X16
	X17
	X18
	X19
	X20
	X21
	X22
	X23
	X24
	X25
	X26
	X27
	X28
	X29
	X30
	XZR
)

// Width is the size of an operation: false 32 bits (the upper half of a destination register becomes zero), true 64.
type Width bool

// Operand widths.
const (
	W32 Width = false
	W64 Width = true
)

// bits is the width's number of bits.
func (w Width) bits() uint32 {
	if w {
		return 64
	}
	return 32
}

// sf is the bit of an encoding that says 64.
func (w Width) sf() uint32 {
	if w {
		return 1 << 31
	}
	return 0
}

// Mem is the operand [Base + Index], or [Base + Disp] when Index is XZR.
type Mem struct {
	Base, Index Reg
	Disp        int32
}

// At is the operand [base + disp]. See Reaches for the displacements that there are.
func At(base Reg, disp int32) Mem { return Mem{base, XZR, disp} }

// AtIndex is the operand [base + index].
func AtIndex(base, index Reg) Mem { return Mem{base, index, 0} }

// Reaches tells whether an access of size bytes can have the displacement disp: 12 bits in units of the size, or 9 bits
// with a sign in bytes.
func Reaches(size int, disp int64) bool {
	return disp >= -256 && disp < 256 || disp >= 0 && disp < 4096*int64(size) && disp%int64(size) == 0
}

// Label is a place in the code, made by NewLabel and put somewhere by Bind.
type Label int32

// reach is how an instruction holds the distance to a label.
type reach uint8

const (
	reach26   reach = iota // B: 128 MiB
	reach19                // conditional: 1 MiB
	reach21                // ADR: 1 MiB
	reachPage              // ADRP with an ADD behind it: 4 GiB
)

type fixup struct {
	at    int32 // index of the instruction
	label Label
	reach reach
}

// Asm collects machine code. Conditional jumps reach 1 MiB; after Again each of them is two instructions that reach 128 MiB.
type Asm struct {
	words  []uint32
	labels []int32 // index of the instruction, -1 while unbound
	fixups []fixup
	far    bool
}

// Again starts over, with jumps that reach far.
func (a *Asm) Again() {
	a.words, a.labels, a.fixups, a.far = a.words[:0], a.labels[:0], a.fixups[:0], true
}

// Pos is the offset of the next instruction in bytes.
func (a *Asm) Pos() int32 { return int32(4 * len(a.words)) }

// NewLabel makes a label that is nowhere yet.
func (a *Asm) NewLabel() Label {
	a.labels = append(a.labels, -1)
	return Label(len(a.labels) - 1)
}

// Bind puts a label here.
func (a *Asm) Bind(l Label) { a.labels[l] = int32(len(a.words)) }

// Offset is the position of a bound label in bytes.
func (a *Asm) Offset(l Label) int32 {
	if a.labels[l] < 0 {
		panic(fmt.Sprintf("BUG: label %d is not bound", l))
	}
	return 4 * a.labels[l]
}

// Code resolves the jumps and returns the bytes; false: a jump does not reach. They must be put at the start of a page.
func (a *Asm) Code() ([]byte, bool) {
	for _, f := range a.fixups {
		if !a.resolve(f) {
			return nil, false
		}
	}
	b := make([]byte, 4*len(a.words))
	for i, w := range a.words {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return b, true
}

func (a *Asm) resolve(f fixup) bool {
	to := a.Offset(f.label) / 4
	d, w := to-f.at, &a.words[f.at]
	fits := func(bits int) bool { return d >= -1<<(bits-1) && d < 1<<(bits-1) }
	switch f.reach {
	case reach26:
		*w = *w&^(1<<26-1) | uint32(d)&(1<<26-1)
		return fits(26)
	case reach19:
		*w = *w&^((1<<19-1)<<5) | uint32(d)&(1<<19-1)<<5
		return fits(19)
	case reach21:
		*w = *w&^((1<<19-1)<<5) | uint32(d)&(1<<19-1)<<5 // a multiple of 4: the two bits elsewhere are zero
		return fits(19)
	}
	page := uint32(to>>10 - f.at>>10)
	*w = *w&^(3<<29|(1<<19-1)<<5) | page&3<<29 | page>>2&(1<<19-1)<<5
	a.words[f.at+1] |= uint32(to) & (1<<10 - 1) << 2 << 10
	return true
}

func (a *Asm) emit(w uint32) { a.words = append(a.words, w) }

// three emits an instruction with two sources and a destination in the usual places.
func (a *Asm) three(w Width, op uint32, dst, n, m Reg) {
	a.emit(w.sf() | op | uint32(m)<<16 | uint32(n)<<5 | uint32(dst))
}
