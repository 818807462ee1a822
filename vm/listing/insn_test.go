package listing

import (
	"testing"

	"github.com/schedsim/schedsim/vm/ir"
)

// TestText: instructions as LLVM's disassembler writes them, with targets instead of distances and decimal numbers.
func TestText(t *testing.T) {
	code := &ir.Program{Insns: []ir.Insn{{}, {Orig: 1}, {Orig: 3}}, Kfuncs: []string{"bpf_kf"}, Subs: []ir.Sub{{Name: "main", End: 2}, {Name: "callee", Start: 2, End: 3}}}
	for _, tc := range []struct {
		in   ir.Insn
		want string
	}{
		{ir.Insn{Op: ir.Add64X, Dst: 1, Src: 2}, "r1 += r2"},
		{ir.Insn{Op: ir.Sub64K, Dst: 1, Imm: -5}, "r1 -= -5"},
		{ir.Insn{Op: ir.Mul32X, Dst: 1, Src: 2}, "w1 *= w2"},
		{ir.Insn{Op: ir.Div32K, Dst: 1, Imm: 3}, "w1 /= 3"},
		{ir.Insn{Op: ir.SDiv64X, Dst: 1, Src: 2}, "r1 s/= r2"},
		{ir.Insn{Op: ir.Mod64K, Dst: 1, Imm: 7}, "r1 %= 7"},
		{ir.Insn{Op: ir.SMod32X, Dst: 1, Src: 2}, "w1 s%= w2"},
		{ir.Insn{Op: ir.Or64K, Dst: 1, Imm: 0x7fffffff}, "r1 |= 0x7fffffff"},
		{ir.Insn{Op: ir.And64K, Dst: 1, Imm: -0x10000}, "r1 &= -0x10000"},
		{ir.Insn{Op: ir.Xor32K, Dst: 1, Imm: 1}, "w1 ^= 1"},
		{ir.Insn{Op: ir.Lsh64K, Dst: 1, Imm: 32}, "r1 <<= 32"},
		{ir.Insn{Op: ir.Rsh64X, Dst: 1, Src: 2}, "r1 >>= r2"},
		{ir.Insn{Op: ir.Arsh32K, Dst: 1, Imm: 31}, "w1 s>>= 31"},
		{ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 10}, "r1 = r10"},
		{ir.Insn{Op: ir.Mov32K, Dst: 1, Imm: 65535}, "w1 = 65535"},
		{ir.Insn{Op: ir.Neg64, Dst: 3}, "r3 = -r3"},
		{ir.Insn{Op: ir.Neg32, Dst: 3}, "w3 = -w3"},
		{ir.Insn{Op: ir.MovSX16to64, Dst: 3, Src: 4}, "r3 = (s16)r4"},
		{ir.Insn{Op: ir.MovSX8to32, Dst: 3, Src: 4}, "w3 = (s8)w4"},
		{ir.Insn{Op: ir.LE32, Dst: 3}, "r3 = le32 r3"},
		{ir.Insn{Op: ir.BE16, Dst: 3}, "r3 = be16 r3"},
		{ir.Insn{Op: ir.BSwap64, Dst: 3}, "r3 = bswap64 r3"},
		{ir.Insn{Op: ir.LdImm64, Dst: 3, Imm: -1}, "r3 = 0xffffffffffffffff ll"},
		{ir.Insn{Op: ir.Ld8, Dst: 3, Src: 4, Off: -1}, "r3 = *(u8 *)(r4 - 1)"},
		{ir.Insn{Op: ir.Lds32, Dst: 3, Src: 4, Off: 8}, "r3 = *(s32 *)(r4 + 8)"},
		{ir.Insn{Op: ir.St64X, Dst: 10, Src: 4, Off: -8}, "*(u64 *)(r10 - 8) = r4"},
		{ir.Insn{Op: ir.St16K, Dst: 1, Imm: 9}, "*(u16 *)(r1 + 0) = 9"},
		{ir.Insn{Op: ir.AtomicXor32, Dst: 1, Src: 2, Off: 4}, "lock *(u32 *)(r1 + 4) ^= r2"},
		{ir.Insn{Op: ir.FetchAdd64, Dst: 1, Src: 2}, "r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)"},
		{ir.Insn{Op: ir.FetchAnd32, Dst: 1, Src: 2}, "r2 = atomic_fetch_and((u32 *)(r1 + 0), r2)"},
		{ir.Insn{Op: ir.Xchg64, Dst: 1, Src: 2}, "r2 = xchg((u64 *)(r1 + 0), r2)"},
		{ir.Insn{Op: ir.CmpXchg32, Dst: 1, Src: 2}, "r0 = cmpxchg((u32 *)(r1 + 0), r0, r2)"},
		{ir.Insn{Op: ir.LdAcq16, Dst: 1, Src: 2}, "r1 = load_acquire((u16 *)(r2 + 0))"},
		{ir.Insn{Op: ir.StRel8, Dst: 1, Src: 2}, "store_release((u8 *)(r1 + 0), r2)"},
		{ir.Insn{Op: ir.Ja, Target: 2}, "goto 3"},
		{ir.Insn{Op: ir.JEq64X, Dst: 1, Src: 2, Target: 2}, "if r1 == r2 goto 3"},
		{ir.Insn{Op: ir.JSLt32K, Dst: 1, Imm: -1, Target: 1}, "if w1 s< -1 goto 1"},
		{ir.Insn{Op: ir.JSet64K, Dst: 1, Imm: 4}, "if r1 & 4 goto 0"},
		{ir.Insn{Op: ir.MayGoto, Target: 2}, "may_goto 3"},
		{ir.Insn{Op: ir.GotoX, Dst: 4}, "gotox r4"},
		{ir.Insn{Op: ir.CallSub, Target: 2}, "call callee"},
		{ir.Insn{Op: ir.CallHelper, Imm: 1}, "call helper#1"},
		{ir.Insn{Op: ir.CallKfunc}, "call kfunc bpf_kf"},
		{ir.Insn{Op: ir.CallReg, Dst: 5}, "callx r5"},
		{ir.Insn{Op: ir.Exit}, "exit"},
		{ir.Insn{Op: ir.CastKern, Dst: 1, Src: 2}, "r1 = addr_space_cast(r2, 0, 1)"},
		{ir.Insn{Op: ir.CastUser, Dst: 1, Src: 2}, "r1 = addr_space_cast(r2, 1, 0)"},
		{ir.Insn{}, "invalid"},
	} {
		if got := text(code, &tc.in); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.in, got, tc.want)
		}
	}
	seen := map[string]ir.Op{}
	for op := ir.Invalid + 1; op < ir.NrOps; op++ {
		s := text(code, &ir.Insn{Op: op, Dst: 1, Src: 2, Off: 3, Imm: 0, Target: 1})
		if s == "invalid" || s == "" {
			t.Errorf("operation %d has no text", op)
		}
		if was, ok := seen[s]; ok {
			t.Errorf("operations %d and %d are both %q", was, op, s)
		}
		seen[s] = op
	}
}
