package loader

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Opcodes by operation; the operand's source bit is added for the forms that have one.
var (
	aluCodes = map[ir.Op]byte{ir.Add64X: 0x00, ir.Sub64X: 0x10, ir.Mul64X: 0x20, ir.Div64X: 0x30, ir.SDiv64X: 0x30, ir.Mod64X: 0x90,
		ir.SMod64X: 0x90, ir.Or64X: 0x40, ir.And64X: 0x50, ir.Xor64X: 0xa0, ir.Lsh64X: 0x60, ir.Rsh64X: 0x70, ir.Arsh64X: 0xc0, ir.Mov64X: 0xb0}
	jmpCodes = map[ir.Op]byte{ir.JEq64X: 0x10, ir.JGt64X: 0x20, ir.JGe64X: 0x30, ir.JSet64X: 0x40, ir.JNe64X: 0x50, ir.JSGt64X: 0x60,
		ir.JSGe64X: 0x70, ir.JLt64X: 0xa0, ir.JLe64X: 0xb0, ir.JSLt64X: 0xc0, ir.JSLe64X: 0xd0}
	atomicCodes = map[ir.Op]int32{ir.AtomicAdd32: 0x00, ir.AtomicOr32: 0x40, ir.AtomicAnd32: 0x50, ir.AtomicXor32: 0xa0,
		ir.FetchAdd32: 0x01, ir.FetchOr32: 0x41, ir.FetchAnd32: 0x51, ir.FetchXor32: 0xa1, ir.Xchg32: 0xe1, ir.CmpXchg32: 0xf1}
	// sizeBits by size of the access.
	sizeBits = [9]byte{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
)

// Sources of two-slot loads and calls (BPF_PSEUDO_*).
const (
	pseudoMapFD    = 1
	pseudoMapValue = 2
	pseudoBTFID    = 3
	pseudoFunc     = 4
	pseudoCall     = 1
	pseudoKfunc    = 2
)

// operand is what stands in the immediates of an instruction that refers to something.
type operand struct {
	src    byte
	imm    int32
	hi     int32
	off    int16
	poison bool // what it refers to does not exist: the instruction must not be reached
}

// encoder lays out a program as bytecode.
type encoder struct {
	code []byte
	slot []int32 // of each instruction
}

func (e *encoder) insn(op byte, dst, src ir.Reg, off int16, imm int32) {
	var b [8]byte
	b[0], b[1] = op, byte(dst)|byte(src)<<4
	binary.LittleEndian.PutUint16(b[2:], uint16(off))
	binary.LittleEndian.PutUint32(b[4:], uint32(imm))
	e.code = append(e.code, b[:]...)
}

// encode is the inverse of link.DecodeBytecode, but for instructions that refer to something: operands says what.
func encode(p *link.Program, operands map[int]operand) (*encoder, error) {
	code := p.Code
	e := &encoder{code: make([]byte, 0, 8*len(code.Insns)+64), slot: make([]int32, len(code.Insns)+1)}
	n := int32(0)
	for i := range code.Insns {
		e.slot[i] = n
		n++
		if code.Insns[i].Op == ir.LdImm64 {
			n++
		}
	}
	e.slot[len(code.Insns)] = n
	for i := range code.Insns {
		if err := e.one(code, i, operands); err != nil {
			return nil, fmt.Errorf("instruction %d: %w", code.Insns[i].Orig, err)
		}
	}
	return e, nil
}

// distance is what a jump or call at instruction i adds to reach instruction to.
func (e *encoder) distance(i int, to int32) int32 { return e.slot[to] - e.slot[i] - 1 }

func (e *encoder) one(code *ir.Program, i int, operands map[int]operand) error {
	in := &code.Insns[i]
	o, refers := operands[i]
	switch op := in.Op; {
	case op == ir.Invalid, refers && o.poison:
		imm := int32(link.PoisonCore)
		if refers {
			imm = link.PoisonMap
		}
		e.insn(0x85, 0, 0, 0, imm)
		if op == ir.LdImm64 { // takes two slots: the second is never reached either
			e.insn(0x85, 0, 0, 0, imm)
		}
	case op == ir.LdImm64:
		if refers {
			e.insn(0x18, in.Dst, ir.Reg(o.src), 0, o.imm)
			e.insn(0, 0, 0, 0, o.hi)
			break
		}
		e.insn(0x18, in.Dst, 0, 0, int32(in.Imm))
		e.insn(0, 0, 0, 0, int32(in.Imm>>32))
	case op == ir.CallSub:
		e.insn(0x85, 0, pseudoCall, 0, e.distance(i, in.Target))
	case op == ir.CallKfunc:
		e.insn(0x85, 0, pseudoKfunc, o.off, o.imm)
	case op == ir.CallHelper:
		e.insn(0x85, 0, 0, 0, int32(in.Imm))
	case op == ir.CallReg:
		e.insn(0x8d, in.Dst, 0, 0, 0)
	case op == ir.Exit:
		e.insn(0x95, 0, 0, 0, 0)
	case op == ir.Ja, op == ir.MayGoto:
		d := e.distance(i, in.Target)
		switch {
		case op == ir.MayGoto && d == int32(int16(d)):
			e.insn(0xe5, 0, 0, int16(d), 0)
		case op == ir.MayGoto:
			return fmt.Errorf("jump of %d instructions is too far", d)
		case d == int32(int16(d)):
			e.insn(0x05, 0, 0, int16(d), 0)
		default:
			e.insn(0x06, 0, 0, 0, d)
		}
	case op.IsJump():
		d := e.distance(i, in.Target)
		if d != int32(int16(d)) {
			return fmt.Errorf("jump of %d instructions is too far", d)
		}
		form := (op - ir.JEq64X) % 4
		class := byte(5)
		if form >= 2 {
			class = 6
		}
		if form%2 == 1 {
			e.insn(jmpCodes[op-form]|class, in.Dst, 0, int16(d), int32(in.Imm))
		} else {
			e.insn(jmpCodes[op-form]|class|8, in.Dst, in.Src, int16(d), 0)
		}
	case op.IsLoad(), op.IsStore(), op.IsAtomic():
		return e.memory(in)
	default:
		return e.alu(in)
	}
	return nil
}

func (e *encoder) memory(in *ir.Insn) error {
	op, off := in.Op, int16(in.Off)
	size := sizeBits[op.Size()]
	if int32(off) != in.Off {
		return fmt.Errorf("offset %d is too large", in.Off)
	}
	switch {
	case op >= ir.Ld8 && op <= ir.Ld64:
		e.insn(0x61|size, in.Dst, in.Src, off, 0)
	case op >= ir.Lds8 && op <= ir.Lds32:
		e.insn(0x81|size, in.Dst, in.Src, off, 0)
	case op >= ir.St8X && op <= ir.St64X:
		e.insn(0x63|size, in.Dst, in.Src, off, 0)
	case op >= ir.St8K && op <= ir.St64K:
		e.insn(0x62|size, in.Dst, 0, off, int32(in.Imm))
	case op.IsLoad():
		e.insn(0xc3|size, in.Dst, in.Src, off, 0x100)
	case op.IsStore():
		e.insn(0xc3|size, in.Dst, in.Src, off, 0x110)
	default:
		e.insn(0xc3|size, in.Dst, in.Src, off, atomicCodes[op-(op-ir.AtomicAdd32)%2])
	}
	return nil
}

func (e *encoder) alu(in *ir.Insn) error {
	wide := func(w bool) byte {
		if w {
			return 7
		}
		return 4
	}
	switch op := in.Op; {
	case op == ir.Neg64 || op == ir.Neg32:
		e.insn(0x80|wide(op == ir.Neg64), in.Dst, 0, 0, 0)
	case op >= ir.MovSX8to64 && op <= ir.MovSX16to32:
		bits := [...]int16{8, 16, 32, 8, 16}[op-ir.MovSX8to64]
		e.insn(0xb8|wide(op <= ir.MovSX32to64), in.Dst, in.Src, bits, 0)
	case op >= ir.LE16 && op <= ir.BSwap64:
		n := op - ir.LE16
		e.insn([...]byte{0xd4, 0xdc, 0xd7}[n/3], in.Dst, 0, 0, int32(16)<<(n%3))
	case op == ir.CastKern:
		e.insn(0xbf, in.Dst, in.Src, 1, 1)
	case op == ir.CastUser:
		e.insn(0xbf, in.Dst, in.Src, 1, 1<<16)
	case op >= ir.Add64X && op <= ir.Mov32K:
		form := (op - ir.Add64X) % 4
		base := op - form
		off := int16(0)
		if base == ir.SDiv64X || base == ir.SMod64X {
			off = 1
		}
		c := aluCodes[base] | wide(form < 2)
		if form%2 == 1 {
			e.insn(c, in.Dst, 0, off, int32(in.Imm))
		} else {
			e.insn(c|8, in.Dst, in.Src, off, 0)
		}
	default:
		return fmt.Errorf("operation %d has no bytecode", op)
	}
	return nil
}
