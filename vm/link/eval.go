package link

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
)

// alu is the value of an arithmetic instruction.
func (f *folder) alu(at int32, in *ir.Insn, s *state) val {
	op, dst := in.Op, s.regs[in.Dst]
	switch {
	case op == ir.Mov64X:
		return s.regs[in.Src]
	case op == ir.Mov64K:
		return konst(uint64(in.Imm))
	case op == ir.Mov32K:
		return konst(uint64(uint32(in.Imm)))
	case op == ir.Mov32X || op >= ir.MovSX8to64 && op <= ir.MovSX16to32:
		if src := s.regs[in.Src]; src.kind == vConst {
			return konst(move(op, src.n))
		}
		return scalar(s.regs[in.Src], other)
	case op >= ir.LE16 && op <= ir.BSwap64 || op == ir.Neg64 || op == ir.Neg32:
		if dst.kind == vConst {
			return konst(unary(op, dst.n))
		}
		return scalar(dst, other)
	}
	src := konst(uint64(in.Imm))
	if (op-ir.Add64X)&1 == 0 {
		src = s.regs[in.Src]
	}
	form := op - (op-ir.Add64X)&3 // the 64-bit form by register
	wide := (op-ir.Add64X)&2 == 0
	if dst.kind == vConst && src.kind == vConst {
		return konst(arith(form, wide, dst.n, src.n))
	}
	if wide {
		switch {
		case form == ir.Add64X && src.kind == vConst && (dst.kind == vStack || dst.kind == vData):
			dst.n += src.n
			if dst.kind == vStack && int64(dst.n) < 0 && int64(dst.n) >= -512 {
				f.touch(at, int64(dst.n))
			}
			return dst
		case form == ir.Add64X && dst.kind == vConst && (src.kind == vStack || src.kind == vData):
			src.n += dst.n
			return src
		case form == ir.Sub64X && src.kind == vConst && (dst.kind == vStack || dst.kind == vData):
			dst.n -= src.n
			if dst.kind == vStack && int64(dst.n) < 0 && int64(dst.n) >= -512 {
				f.touch(at, int64(dst.n))
			}
			return dst
		case form == ir.Sub64X && dst.kind == vStack && src.kind == vStack:
			return konst(dst.n - src.n)
		}
	}
	if (form == ir.And64X || form == ir.Mul64X) && (src.is(0) || dst.is(0)) {
		return konst(0)
	}
	// An address in the stack plus something unknown may lie anywhere above it.
	for _, v := range []val{dst, src} {
		if v.kind == vStack {
			f.touch(at, max(int64(v.n), -512))
		}
	}
	v := scalar(dst, scalar(src, other))
	if wide && (form == ir.Add64X || form == ir.Sub64X) {
		v.flags = dst.flags | src.flags
	}
	return v
}

// scalar is rest, unless a possible stack address went into it.
func scalar(v, rest val) val {
	if v.mayBeStack() || rest.mayBeStack() {
		return val{kind: vAny}
	}
	return other
}

func move(op ir.Op, n uint64) uint64 {
	switch op {
	case ir.MovSX8to64:
		return uint64(int64(int8(n)))
	case ir.MovSX16to64:
		return uint64(int64(int16(n)))
	case ir.MovSX32to64:
		return uint64(int64(int32(n)))
	case ir.MovSX8to32:
		return uint64(uint32(int32(int8(n))))
	case ir.MovSX16to32:
		return uint64(uint32(int32(int16(n))))
	}
	return uint64(uint32(n))
}

func unary(op ir.Op, n uint64) uint64 {
	switch op {
	case ir.Neg64:
		return -n
	case ir.Neg32:
		return uint64(-uint32(n))
	case ir.LE16:
		return uint64(uint16(n))
	case ir.LE32:
		return uint64(uint32(n))
	case ir.BE16, ir.BSwap16:
		return uint64(bits.ReverseBytes16(uint16(n)))
	case ir.BE32, ir.BSwap32:
		return uint64(bits.ReverseBytes32(uint32(n)))
	case ir.BE64, ir.BSwap64:
		return bits.ReverseBytes64(n)
	}
	return n // LE64
}

func arith(form ir.Op, wide bool, a, b uint64) uint64 {
	if wide {
		return arith64(form, a, b)
	}
	return uint64(arith32(form, uint32(a), uint32(b)))
}

func arith64(form ir.Op, a, b uint64) uint64 {
	switch form {
	case ir.Add64X:
		return a + b
	case ir.Sub64X:
		return a - b
	case ir.Mul64X:
		return a * b
	case ir.Div64X:
		if b == 0 {
			return 0
		}
		return a / b
	case ir.SDiv64X:
		switch int64(b) {
		case 0:
			return 0
		case -1:
			return -a
		}
		return uint64(int64(a) / int64(b))
	case ir.Mod64X:
		if b == 0 {
			return a
		}
		return a % b
	case ir.SMod64X:
		switch int64(b) {
		case 0:
			return a
		case -1:
			return 0
		}
		return uint64(int64(a) % int64(b))
	case ir.Or64X:
		return a | b
	case ir.And64X:
		return a & b
	case ir.Xor64X:
		return a ^ b
	case ir.Lsh64X:
		return a << (b & 63)
	case ir.Rsh64X:
		return a >> (b & 63)
	}
	return uint64(int64(a) >> (b & 63)) // Arsh64X
}

func arith32(form ir.Op, a, b uint32) uint32 {
	switch form {
	case ir.SDiv64X, ir.SMod64X:
		return uint32(arith64(form, uint64(int64(int32(a))), uint64(int64(int32(b)))))
	case ir.Lsh64X:
		return a << (b & 31)
	case ir.Rsh64X:
		return a >> (b & 31)
	case ir.Arsh64X:
		return uint32(int32(a) >> (b & 31))
	}
	return uint32(arith64(form, uint64(a), uint64(b)))
}

// decide tells whether a conditional jump is taken, where that is known.
func (f *folder) decide(in *ir.Insn, s *state) (taken, known bool) {
	a, b := s.regs[in.Dst], konst(uint64(in.Imm))
	if (in.Op-ir.JEq64X)&1 == 0 {
		b = s.regs[in.Src]
	}
	form, wide := in.Op-(in.Op-ir.JEq64X)&3, (in.Op-ir.JEq64X)&2 == 0
	if a.kind == vConst && b.kind == vConst {
		return compare(form, wide, a.n, b.n), true
	}
	if wide && (a.nonNull() && b.is(0) || b.nonNull() && a.is(0)) {
		switch form {
		case ir.JEq64X:
			return false, true
		case ir.JNe64X:
			return true, true
		}
	}
	return false, false
}

func compare(form ir.Op, wide bool, a, b uint64) bool {
	if !wide {
		switch form {
		case ir.JSGt64X, ir.JSGe64X, ir.JSLt64X, ir.JSLe64X:
			a, b = uint64(int64(int32(a))), uint64(int64(int32(b)))
		default:
			a, b = uint64(uint32(a)), uint64(uint32(b))
		}
	}
	switch form {
	case ir.JEq64X:
		return a == b
	case ir.JNe64X:
		return a != b
	case ir.JGt64X:
		return a > b
	case ir.JGe64X:
		return a >= b
	case ir.JLt64X:
		return a < b
	case ir.JLe64X:
		return a <= b
	case ir.JSGt64X:
		return int64(a) > int64(b)
	case ir.JSGe64X:
		return int64(a) >= int64(b)
	case ir.JSLt64X:
		return int64(a) < int64(b)
	case ir.JSLe64X:
		return int64(a) <= int64(b)
	}
	return a&b != 0 // JSet64X
}

// refine adds to the state what a jump, taken or not, says about its register.
func refine(in *ir.Insn, s *state, taken bool) {
	if in.Op == ir.JEq64K && taken || in.Op == ir.JNe64K && !taken {
		if v := &s.regs[in.Dst]; v.kind == vOther {
			*v = val{kind: vConst, n: uint64(in.Imm), flags: v.flags}
		}
	}
	if in.Imm == 0 && (in.Op == ir.JEq64K && !taken || in.Op == ir.JNe64K && taken) {
		if v := &s.regs[in.Dst]; v.kind == vOther {
			*v = val{kind: vNonNull, flags: v.flags}
		}
	}
}
