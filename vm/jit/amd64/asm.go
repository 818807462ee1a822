package amd64

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Reg is a general register of the machine.
type Reg uint8

// The general registers by their encoding.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

// Mem is the operand [Base + Index + Disp]. Index RSP means that there is no index (the machine cannot index by it).
type Mem struct {
	Base, Index Reg
	Disp        int32
}

// At is the operand [base + disp].
func At(base Reg, disp int32) Mem { return Mem{base, RSP, disp} }

// AtIndex is the operand [base + index + disp].
func AtIndex(base, index Reg, disp int32) Mem { return Mem{base, index, disp} }

// Width is the size of an operation: false 32 bits (the upper half of a destination register becomes zero), true 64.
type Width bool

// Operand widths.
const (
	W32 Width = false
	W64 Width = true
)

// Label is a place in the code, made by NewLabel and put somewhere by Bind.
type Label int32

type fixup struct {
	at    int32 // where the displacement is
	label Label
	short bool
}

// Asm collects machine code. Jumps to labels are short where the target is known to be near: backwards from its
// position, forwards from its position in an earlier pass (see Again).
type Asm struct {
	buf    []byte
	labels []int32 // position, -1 while unbound
	fixups []fixup
	// guess has the label positions of the pass before, guessAt the end of each jump in it, jumps those of this pass.
	// Code only shrinks from one pass to the next, so what was near stays near.
	guess   []int32
	guessAt []int32
	jumps   []int32
}

// Again starts a second pass over the same code: the calls must be the same, only jumps get shorter.
func (a *Asm) Again() {
	a.guess, a.guessAt = append(a.guess[:0], a.labels...), append(a.guessAt[:0], a.jumps...)
	a.buf, a.labels, a.fixups, a.jumps = a.buf[:0], a.labels[:0], a.fixups[:0], a.jumps[:0]
}

// Pos is the offset of the next instruction.
func (a *Asm) Pos() int32 { return int32(len(a.buf)) }

// NewLabel makes a label that is nowhere yet.
func (a *Asm) NewLabel() Label {
	a.labels = append(a.labels, -1)
	return Label(len(a.labels) - 1)
}

// Bind puts a label here.
func (a *Asm) Bind(l Label) { a.labels[l] = a.Pos() }

// Offset is the position of a bound label.
func (a *Asm) Offset(l Label) int32 {
	if a.labels[l] < 0 {
		panic(fmt.Sprintf("BUG: label %d is not bound", l))
	}
	return a.labels[l]
}

// Code resolves the jumps and returns the bytes.
func (a *Asm) Code() []byte {
	for _, f := range a.fixups {
		to := a.Offset(f.label)
		if f.short {
			d := to - (f.at + 1)
			if d < math.MinInt8 || d > math.MaxInt8 {
				panic(fmt.Sprintf("BUG: short jump over %d bytes", d))
			}
			a.buf[f.at] = byte(d)
			continue
		}
		binary.LittleEndian.PutUint32(a.buf[f.at:], uint32(to-(f.at+4)))
	}
	return a.buf
}

func (a *Asm) emit(b ...byte)      { a.buf = append(a.buf, b...) }
func (a *Asm) imm32(v int32)       { a.buf = binary.LittleEndian.AppendUint32(a.buf, uint32(v)) }
func (a *Asm) imm64(v uint64)      { a.buf = binary.LittleEndian.AppendUint64(a.buf, v) }
func fits8(v int64) bool           { return v == int64(int8(v)) }
func fits32(v int64) bool          { return v == int64(int32(v)) }
func (r Reg) low() byte            { return byte(r) & 7 }
func (r Reg) high() byte           { return byte(r) >> 3 }
func modrm(mod, reg, rm byte) byte { return mod<<6 | reg<<3 | rm }

// rex emits a REX prefix if one is needed: reg is the register in ModRM.reg, index and base those of ModRM.rm. force
// asks for it without need, so that the byte registers are SPL, BPL, SIL and DIL instead of AH and so on.
func (a *Asm) rex(w Width, reg, index, base Reg, force bool) {
	b := byte(0x40) | reg.high()<<2 | index.high()<<1 | base.high()
	if w {
		b |= 8
	}
	if b != 0x40 || force {
		a.emit(b)
	}
}

// opRR emits an instruction with a register in ModRM.reg and one in ModRM.rm.
func (a *Asm) opRR(w Width, op []byte, reg, rm Reg) {
	a.rex(w, reg, 0, rm, false)
	a.emit(op...)
	a.emit(modrm(3, reg.low(), rm.low()))
}

// opRM emits an instruction with a register in ModRM.reg and a memory operand.
func (a *Asm) opRM(w Width, op []byte, reg Reg, m Mem, force bool) {
	index := m.Index
	if index == RSP {
		index = 0
	}
	a.rex(w, reg, index, m.Base, force)
	a.emit(op...)
	a.mem(reg, m)
}

// mem emits ModRM, SIB and displacement.
func (a *Asm) mem(reg Reg, m Mem) {
	mod := byte(2)
	switch {
	case m.Disp == 0 && m.Base.low() != RBP.low(): // base 5 without displacement means something else
		mod = 0
	case fits8(int64(m.Disp)):
		mod = 1
	}
	if m.Index != RSP || m.Base.low() == RSP.low() { // base 4 means that a SIB follows
		a.emit(modrm(mod, reg.low(), 4), modrm(0, m.Index.low(), m.Base.low()))
	} else {
		a.emit(modrm(mod, reg.low(), m.Base.low()))
	}
	switch mod {
	case 1:
		a.emit(byte(m.Disp))
	case 2:
		a.imm32(m.Disp)
	}
}
