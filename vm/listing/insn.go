package listing

import (
	"fmt"
	"strconv"

	"github.com/schedsim/schedsim/vm/ir"
)

// aluSigns are the operators of ir.Add64X and what follows it, four forms each.
var aluSigns = [...]string{"+=", "-=", "*=", "/=", "s/=", "%=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=", "="}

// jumpSigns are the comparisons of ir.JEq64X and what follows it, four forms each.
var jumpSigns = [...]string{"==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"}

var endNames = [...]string{"le16", "le32", "le64", "be16", "be32", "be64", "bswap16", "bswap32", "bswap64"}

// atomicSigns and fetchNames are those of ir.AtomicAdd32 and ir.FetchAdd32, two sizes each.
var (
	atomicSigns = [...]string{"+=", "|=", "&=", "^="}
	fetchNames  = [...]string{"atomic_fetch_add", "atomic_fetch_or", "atomic_fetch_and", "atomic_fetch_xor", "xchg"}
)

// text is the instruction as C-like text, without what it refers to: addresses and calls are the caller's.
func text(code *ir.Program, in *ir.Insn) string {
	op := in.Op
	switch {
	case op >= ir.Add64X && op <= ir.Mov32K:
		form := (op - ir.Add64X) & 3
		wide := form < 2
		return fmt.Sprintf("%s %s %s", reg(in.Dst, wide), aluSigns[(op-ir.Add64X)>>2], operand(in, form&1 == 1, wide))
	case op == ir.Neg64 || op == ir.Neg32:
		d := reg(in.Dst, op == ir.Neg64)
		return d + " = -" + d
	case op >= ir.MovSX8to64 && op <= ir.MovSX32to64:
		return fmt.Sprintf("%s = (s%d)%s", reg(in.Dst, true), 8<<(op-ir.MovSX8to64), reg(in.Src, true))
	case op == ir.MovSX8to32 || op == ir.MovSX16to32:
		return fmt.Sprintf("%s = (s%d)%s", reg(in.Dst, false), 8<<(op-ir.MovSX8to32), reg(in.Src, false))
	case op >= ir.LE16 && op <= ir.BSwap64:
		d := reg(in.Dst, true)
		return fmt.Sprintf("%s = %s %s", d, endNames[op-ir.LE16], d)
	case op == ir.LdImm64:
		return fmt.Sprintf("r%d = %#x ll", in.Dst, uint64(in.Imm))
	case op.IsJump():
		return jump(code, in)
	case op == ir.GotoX:
		return fmt.Sprintf("gotox r%d", in.Dst)
	case op == ir.CallReg:
		return fmt.Sprintf("callx r%d", in.Dst)
	case op == ir.CallHelper:
		return fmt.Sprintf("call helper#%d", in.Imm)
	case op == ir.CallSub:
		return "call " + subAt(code, in.Target)
	case op == ir.CallKfunc:
		return "call kfunc " + code.Kfuncs[in.Imm]
	case op == ir.Exit:
		return "exit"
	case op == ir.CastKern:
		return fmt.Sprintf("r%d = addr_space_cast(r%d, 0, 1)", in.Dst, in.Src)
	case op == ir.CastUser:
		return fmt.Sprintf("r%d = addr_space_cast(r%d, 1, 0)", in.Dst, in.Src)
	case op.Size() > 0:
		return memory(in)
	}
	return "invalid"
}

func reg(r ir.Reg, wide bool) string {
	if wide {
		return "r" + strconv.Itoa(int(r))
	}
	return "w" + strconv.Itoa(int(r))
}

// operand is Src or Imm.
func operand(in *ir.Insn, imm, wide bool) string {
	if imm {
		return number(in.Imm)
	}
	return reg(in.Src, wide)
}

// number writes small numbers in decimal, others, which tend to be masks, in hexadecimal.
func number(v int64) string {
	switch {
	case v > -1<<16 && v < 1<<16:
		return strconv.FormatInt(v, 10)
	case v < 0:
		return fmt.Sprintf("-%#x", -uint64(v))
	}
	return fmt.Sprintf("%#x", v)
}

func jump(code *ir.Program, in *ir.Insn) string {
	target := "?"
	if int(in.Target) < len(code.Insns) {
		target = strconv.Itoa(int(code.Insns[in.Target].Orig))
	}
	switch in.Op {
	case ir.Ja:
		return "goto " + target
	case ir.MayGoto:
		return "may_goto " + target
	}
	form := (in.Op - ir.JEq64X) & 3
	wide := form < 2
	return fmt.Sprintf("if %s %s %s goto %s", reg(in.Dst, wide), jumpSigns[(in.Op-ir.JEq64X)>>2], operand(in, form&1 == 1, wide), target)
}

// memory is a load, a store or an atomic operation.
func memory(in *ir.Insn) string {
	op, size := in.Op, 8*in.Op.Size()
	base := in.Dst
	if op.IsLoad() {
		base = in.Src
	}
	sign, off := "+", int64(in.Off)
	if off < 0 {
		sign, off = "-", -off
	}
	at := fmt.Sprintf("(u%d *)(r%d %s %d)", size, base, sign, off)
	switch {
	case op >= ir.Lds8 && op <= ir.Lds32:
		return fmt.Sprintf("r%d = *(s%s", in.Dst, at[2:])
	case op >= ir.LdAcq8 && op <= ir.LdAcq64:
		return fmt.Sprintf("r%d = load_acquire(%s)", in.Dst, at)
	case op >= ir.StRel8 && op <= ir.StRel64:
		return fmt.Sprintf("store_release(%s, r%d)", at, in.Src)
	case op.IsLoad():
		return fmt.Sprintf("r%d = *%s", in.Dst, at)
	case op >= ir.St8K && op <= ir.St64K:
		return fmt.Sprintf("*%s = %s", at, number(in.Imm))
	case op.IsStore():
		return fmt.Sprintf("*%s = r%d", at, in.Src)
	case op >= ir.CmpXchg32:
		return fmt.Sprintf("r0 = cmpxchg(%s, r0, r%d)", at, in.Src)
	case op >= ir.FetchAdd32:
		return fmt.Sprintf("r%d = %s(%s, r%d)", in.Src, fetchNames[(op-ir.FetchAdd32)>>1], at, in.Src)
	}
	return fmt.Sprintf("lock *%s %s r%d", at, atomicSigns[(op-ir.AtomicAdd32)>>1], in.Src)
}

// subAt is the name of the subprogram that starts at instruction i.
func subAt(code *ir.Program, i int32) string {
	for _, s := range code.Subs {
		if s.Start == i {
			return s.Name
		}
	}
	return "?"
}
