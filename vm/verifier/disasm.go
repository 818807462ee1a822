package verifier

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Bits of the opcode byte.
const (
	classALU32 = 0x04
	classJmp   = 0x05
	classJmp32 = 0x06
	classALU64 = 0x07
	byRegister = 0x08
)

var (
	// aluCodes and jmpCodes are the operations' bits of the opcode, by aluKind and jmpKind.
	aluCodes = [...]byte{0x00, 0x10, 0x20, 0x30, 0x30, 0x90, 0x90, 0x40, 0x50, 0xa0, 0x60, 0x70, 0xc0, 0xb0}
	jmpCodes = [...]byte{0x10, 0x50, 0x20, 0x30, 0xa0, 0xb0, 0x60, 0x70, 0xc0, 0xd0, 0x40}
	jmpSigns = [...]string{"==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"}
	endNames = [...]string{"le16", "le32", "le64", "be16", "be32", "be64", "bswap16", "bswap32", "bswap64"}
	atomics  = [...]string{"+=", "|=", "&=", "^="}
	fetches  = [...]string{"fetch_add", "fetch_or", "fetch_and", "fetch_xor"}
)

// sizeCode are the opcode's bits for the size of an access.
func sizeCode(op ir.Op) byte { return map[int]byte{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}[op.Size()] }

func register(r ir.Reg, wide bool) string {
	if wide {
		return fmt.Sprintf("r%d", r)
	}
	return fmt.Sprintf("w%d", r)
}

// disasm is an instruction as the kernel's log writes it (print_bpf_insn, kernel/bpf/disasm.c, 7.2), the opcode in front.
// Where the kernel has an address or a number that only it knows, there is a name.
func (v *verifier) disasm(i int32) string {
	in := &v.insns[i]
	op := in.Op
	jump := func(sign string) string {
		return fmt.Sprintf("%spc%+d", sign, v.insns[in.Target].Orig-in.Orig-1)
	}
	switch {
	case op == ir.Neg64:
		return fmt.Sprintf("(87) r%d = -r%d", in.Dst, in.Dst)
	case op == ir.Neg32:
		return fmt.Sprintf("(84) w%d = -w%d", in.Dst, in.Dst)
	case op >= ir.LE16 && op <= ir.BSwap64:
		return fmt.Sprintf("(%02x) r%d = %s r%d", [...]byte{0xd4, 0xdc, 0xd7}[(op-ir.LE16)/3], in.Dst, endNames[op-ir.LE16], in.Dst)
	case op >= ir.MovSX8to64 && op <= ir.MovSX32to64:
		return fmt.Sprintf("(bf) r%d = (s%d)r%d", in.Dst, 8<<(op-ir.MovSX8to64), in.Src)
	case op >= ir.MovSX8to32 && op <= ir.MovSX16to32:
		return fmt.Sprintf("(bc) w%d = (s%d)w%d", in.Dst, 8<<(op-ir.MovSX8to32), in.Src)
	case op >= ir.Add64X && op <= ir.Mov32K:
		k, wide, byReg := splitALU(op)
		code, operand := aluCodes[k]|classALU32, fmt.Sprint(int32(in.Imm))
		if wide {
			code = aluCodes[k] | classALU64
		}
		if byReg {
			code, operand = code|byRegister, register(in.Src, wide)
		}
		return fmt.Sprintf("(%02x) %s %v %s", code, register(in.Dst, wide), k, operand)
	case op == ir.LdImm64:
		return fmt.Sprintf("(18) r%d = %s", in.Dst, v.address(i))
	case op == ir.Ja:
		if d := v.insns[in.Target].Orig - in.Orig - 1; d != int32(int16(d)) {
			return "(06) " + jump("gotol ")
		}
		return "(05) " + jump("goto ")
	case op == ir.MayGoto:
		return "(e5) " + jump("may_goto ")
	case op == ir.GotoX:
		return fmt.Sprintf("(0d) gotox r%d", in.Dst)
	case op.IsJump():
		k, wide, byReg := splitJmp(op)
		code, operand := jmpCodes[k]|classJmp32, fmt.Sprintf("%#x", uint32(in.Imm))
		if wide {
			code = jmpCodes[k] | classJmp
		}
		if byReg {
			code, operand = code|byRegister, register(in.Src, wide)
		}
		return fmt.Sprintf("(%02x) if %s %s %s %s", code, register(in.Dst, wide), jmpSigns[k], operand, jump("goto "))
	case op == ir.CallHelper:
		if h := v.helper(int32(in.Imm)); h != nil {
			return fmt.Sprintf("(85) call bpf_%s#%d", h.name, in.Imm)
		}
		return fmt.Sprintf("(85) call unknown#%d", in.Imm)
	case op == ir.CallKfunc:
		return "(85) call " + v.prog.Code.Kfuncs[in.Imm]
	case op == ir.CallSub:
		return "(85) " + jump("call ")
	case op == ir.CallReg:
		return fmt.Sprintf("(8d) callx r%d", in.Dst)
	case op == ir.CastKern:
		return fmt.Sprintf("(bf) r%d = addr_space_cast(r%d, 0, 1)", in.Dst, in.Src)
	case op == ir.CastUser:
		return fmt.Sprintf("(bf) r%d = addr_space_cast(r%d, 1, 0)", in.Dst, in.Src)
	case op == ir.Exit:
		return "(95) exit"
	case op.Size() > 0:
		return accessText(in)
	}
	return "invalid"
}

// accessText spells a load, a store or an atomic operation.
func accessText(in *ir.Insn) string {
	op := in.Op
	base := in.Dst
	if op.IsLoad() {
		base = in.Src
	}
	at := fmt.Sprintf("(u%d *)(r%d %+d)", 8*op.Size(), base, in.Off)
	width := ""
	if op.Size() == 8 {
		width = "64"
	}
	atomic := func(format string, args ...any) string {
		return fmt.Sprintf("(%02x) ", 0xc3|sizeCode(op)) + fmt.Sprintf(format, args...)
	}
	switch {
	case op >= ir.Lds8 && op <= ir.Lds32:
		return fmt.Sprintf("(%02x) r%d = *(s%s", 0x81|sizeCode(op), in.Dst, at[2:])
	case op >= ir.LdAcq8 && op <= ir.LdAcq64:
		return atomic("r%d = load_acquire(%s)", in.Dst, at)
	case op >= ir.StRel8 && op <= ir.StRel64:
		return atomic("store_release(%s, r%d)", at, in.Src)
	case op.IsLoad():
		return fmt.Sprintf("(%02x) r%d = *%s", 0x61|sizeCode(op), in.Dst, at)
	case op >= ir.St8K && op <= ir.St64K:
		return fmt.Sprintf("(%02x) *%s = %d", 0x62|sizeCode(op), at, int32(in.Imm))
	case op.IsStore():
		return fmt.Sprintf("(%02x) *%s = r%d", 0x63|sizeCode(op), at, in.Src)
	case op >= ir.CmpXchg32:
		return atomic("r0 = atomic%s_cmpxchg(%s, r0, r%d)", width, at, in.Src)
	case op >= ir.Xchg32:
		return atomic("r%d = atomic%s_xchg(%s, r%d)", in.Src, width, at, in.Src)
	case op >= ir.FetchAdd32:
		return atomic("r%d = atomic%s_%s(%s, r%d)", in.Src, width, fetches[(op-ir.FetchAdd32)>>1], at, in.Src)
	}
	return atomic("lock *%s %s r%d", at, atomics[(op-ir.AtomicAdd32)>>1], in.Src)
}

// address names what a 64-bit load loads.
func (v *verifier) address(i int32) string {
	in := &v.insns[i]
	r := v.aux[i].ref
	if r == nil {
		return fmt.Sprintf("%#x", uint64(in.Imm))
	}
	name := func() string {
		if r.Map >= 0 && r.Map < len(v.obj.Maps) {
			return v.obj.Maps[r.Map].Name
		}
		return "?"
	}
	switch r.Kind {
	case link.RefMap:
		return "map[" + name() + "]"
	case link.RefMapValue, link.RefArena:
		return v.variable(r, name())
	case link.RefFunc:
		if r.Sub >= 0 && r.Sub < len(v.subs) {
			return fmt.Sprintf("subprog[%+d]", v.insns[v.subs[r.Sub].start].Orig-in.Orig-1)
		}
	case link.RefKsymVar, link.RefKsymFunc:
		return "&" + r.Name
	}
	return "?"
}

// variable names a place in a data section: the variable there, or the map and the offset.
func (v *verifier) variable(r *link.Ref, m string) string {
	if r.Kind == link.RefMapValue {
		for _, x := range v.obj.Maps[r.Map].Vars {
			if from := int64(x.Off); r.Off >= from && r.Off < from+int64(x.Size) {
				if d := r.Off - from; d > 0 {
					return fmt.Sprintf("&%s%+d", x.Name, d)
				}
				return "&" + x.Name
			}
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("map[%s]%+d", m, r.Off), "+0")
}
