package raw

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// Decode turns raw bytecode, as in a file without relocations, into program number 0 of a set. Calls of kfunc number i
// (call with source register 2) become Kfuncs index i.
func Decode(code []byte) (*ir.Program, error) {
	if len(code) == 0 || len(code)%8 != 0 {
		return nil, fmt.Errorf("%d bytes of code", len(code))
	}
	n := len(code) / 8
	index := make([]int32, n+1) // of the slot in the decoded program, -1 in the middle of an instruction
	d := decoder{slots: code}
	count := int32(0)
	for i := 0; i < n; i++ {
		index[i] = count
		if code[8*i] == 0x18 && i+1 < n {
			i++
			index[i] = -1
		}
		count++
	}
	index[n] = count
	p := &ir.Program{Name: "test"}
	starts := []int32{0}
	target := func(slot int) (int32, error) {
		if slot < 0 || slot >= n || index[slot] < 0 {
			return 0, fmt.Errorf("target %d", slot)
		}
		return index[slot], nil
	}
	for i := 0; i < n; i++ {
		if index[i] < 0 {
			continue
		}
		in, err := d.insn(i)
		if err != nil {
			return nil, fmt.Errorf("slot %d: %w", i, err)
		}
		switch {
		case in.Op.IsJump() || in.Op == ir.CallSub:
			t, err := target(i + 1 + int(in.Target))
			if err != nil {
				return nil, fmt.Errorf("slot %d: %w", i, err)
			}
			in.Target = t
			if in.Op == ir.CallSub {
				starts = append(starts, t)
			}
		case in.Op == ir.LdImm64 && in.Src == 4: // BPF_PSEUDO_FUNC
			t, err := target(i + 1 + int(in.Imm))
			if err != nil {
				return nil, fmt.Errorf("slot %d: %w", i, err)
			}
			in.Imm = int64(engine.CodeAddr(0, t))
			starts = append(starts, t)
		}
		if in.Op == ir.CallKfunc {
			for len(p.Kfuncs) <= int(in.Imm) && in.Imm < 64 {
				p.Kfuncs = append(p.Kfuncs, fmt.Sprintf("kfunc%d", len(p.Kfuncs)))
			}
		}
		in.Orig = int32(i)
		p.Insns = append(p.Insns, in)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for i, s := range starts {
		end := int32(len(p.Insns))
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		p.Subs = append(p.Subs, ir.Sub{Name: fmt.Sprintf("sub%d", i), Start: s, End: end, Stack: engine.FrameSize})
	}
	return p, engine.Check(p)
}

type decoder struct{ slots []byte }

var aluOps = map[byte]ir.Op{0x00: ir.Add64X, 0x10: ir.Sub64X, 0x20: ir.Mul64X, 0x30: ir.Div64X, 0x40: ir.Or64X, 0x50: ir.And64X,
	0x60: ir.Lsh64X, 0x70: ir.Rsh64X, 0x90: ir.Mod64X, 0xa0: ir.Xor64X, 0xb0: ir.Mov64X, 0xc0: ir.Arsh64X}

var jumpOps = map[byte]ir.Op{0x10: ir.JEq64X, 0x20: ir.JGt64X, 0x30: ir.JGe64X, 0x40: ir.JSet64X, 0x50: ir.JNe64X, 0x60: ir.JSGt64X,
	0x70: ir.JSGe64X, 0xa0: ir.JLt64X, 0xb0: ir.JLe64X, 0xc0: ir.JSLt64X, 0xd0: ir.JSLe64X}

var atomicOps = map[int32]ir.Op{0x00: ir.AtomicAdd32, 0x40: ir.AtomicOr32, 0x50: ir.AtomicAnd32, 0xa0: ir.AtomicXor32,
	0x01: ir.FetchAdd32, 0x41: ir.FetchOr32, 0x51: ir.FetchAnd32, 0xa1: ir.FetchXor32, 0xe1: ir.Xchg32, 0xf1: ir.CmpXchg32}

// insn decodes the instruction in slot i; Target is still relative.
func (d decoder) insn(i int) (ir.Insn, error) {
	b := d.slots[8*i:]
	op := b[0]
	off := int32(int16(binary.LittleEndian.Uint16(b[2:])))
	imm := int32(binary.LittleEndian.Uint32(b[4:]))
	in := ir.Insn{Dst: ir.Reg(b[1] & 15), Src: ir.Reg(b[1] >> 4), Off: off, Imm: int64(imm)}
	unknown := fmt.Errorf("unknown instruction % x", b[:8])
	size := ir.Op(map[byte]int{0x10: 0, 0x08: 1, 0x00: 2, 0x18: 3}[op&0x18])
	ok := true
	switch op & 7 {
	case 4, 7:
		in.Op, ok = aluOp(op, off, imm)
	case 5, 6:
		in.Target = off
		in.Op, ok = jumpOp(op, &in, imm)
	case 1:
		switch op & 0xe0 {
		case 0x60:
			in.Op = ir.Ld8 + size
		case 0x80:
			in.Op, ok = ir.Lds8+size, size < 3
		default:
			ok = false
		}
	case 2:
		in.Op, ok = ir.St8K+size, op&0xe0 == 0x60
	case 3:
		switch {
		case op&0xe0 == 0x60:
			in.Op = ir.St8X + size
		case op&0xe0 != 0xc0:
			ok = false
		case imm == 0x100:
			in.Op = ir.LdAcq8 + size
		case imm == 0x110:
			in.Op = ir.StRel8 + size
		default:
			var a ir.Op
			a, ok = atomicOps[imm]
			in.Op = a + size - 2
			ok = ok && size >= 2
		}
	case 0:
		if op != 0x18 || len(b) < 16 {
			return in, unknown
		}
		in.Op = ir.LdImm64
		if in.Src != 4 {
			in.Imm = int64(uint64(uint32(imm)) | uint64(binary.LittleEndian.Uint32(b[12:]))<<32)
		}
	}
	if !ok {
		return in, unknown
	}
	return in, nil
}

func aluOp(op byte, off, imm int32) (ir.Op, bool) {
	form := ir.Op(0) // 64X, 64K, 32X, 32K
	if op&8 == 0 {
		form++
	}
	if op&7 == 4 {
		form += 2
	}
	switch code := op & 0xf0; code {
	case 0x80:
		return map[bool]ir.Op{true: ir.Neg32, false: ir.Neg64}[op&7 == 4], true
	case 0xd0:
		base := ir.LE16
		switch {
		case op&7 == 7:
			base = ir.BSwap16
		case op&8 != 0:
			base = ir.BE16
		}
		switch imm {
		case 16, 32, 64:
			return base + map[int32]ir.Op{16: 0, 32: 1, 64: 2}[imm], true
		}
		return 0, false
	case 0x30, 0x90:
		if off == 1 {
			return map[byte]ir.Op{0x30: ir.SDiv64X, 0x90: ir.SMod64X}[code] + form, true
		}
		return aluOps[code] + form, true
	case 0xb0:
		switch {
		case off == 0:
		case form == 0:
			o, ok := map[int32]ir.Op{8: ir.MovSX8to64, 16: ir.MovSX16to64, 32: ir.MovSX32to64}[off]
			return o, ok
		case form == 2:
			o, ok := map[int32]ir.Op{8: ir.MovSX8to32, 16: ir.MovSX16to32}[off]
			return o, ok
		}
		return aluOps[code] + form, true
	default:
		o, ok := aluOps[code]
		return o + form, ok
	}
}

func jumpOp(op byte, in *ir.Insn, imm int32) (ir.Op, bool) {
	form := ir.Op(0)
	if op&8 == 0 {
		form++
	}
	if op&7 == 6 {
		form += 2
	}
	switch op {
	case 0x05:
		return ir.Ja, true
	case 0x06:
		in.Target = imm
		return ir.Ja, true
	case 0x85:
		in.Target = imm
		o, ok := map[ir.Reg]ir.Op{0: ir.CallHelper, 1: ir.CallSub, 2: ir.CallKfunc}[in.Src]
		in.Src = 0
		return o, ok
	case 0x8d:
		return ir.CallReg, true
	case 0x95:
		return ir.Exit, true
	case 0xe5:
		return ir.MayGoto, true
	}
	o, ok := jumpOps[op&0xf0]
	return o + form, ok
}
