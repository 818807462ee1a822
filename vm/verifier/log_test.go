package verifier

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/ir"
)

// TestDisasm: instructions as the kernel's log has them, with the opcode that they came from.
func TestDisasm(t *testing.T) {
	in := func(op ir.Op) ir.Insn { return ir.Insn{Op: op, Dst: 1, Src: 2, Off: -8, Imm: -3, Target: 2} }
	for _, tc := range []struct {
		op   ir.Op
		want string
	}{
		{ir.Add64X, "(0f) r1 += r2"}, {ir.Sub64K, "(17) r1 -= -3"}, {ir.Mul32X, "(2c) w1 *= w2"}, {ir.SDiv64K, "(37) r1 s/= -3"},
		{ir.Mod32K, "(94) w1 %= -3"}, {ir.Or64X, "(4f) r1 |= r2"}, {ir.And32K, "(54) w1 &= -3"}, {ir.Xor64K, "(a7) r1 ^= -3"},
		{ir.Lsh64X, "(6f) r1 <<= r2"}, {ir.Rsh32K, "(74) w1 >>= -3"}, {ir.Arsh64K, "(c7) r1 s>>= -3"}, {ir.Mov64X, "(bf) r1 = r2"},
		{ir.Mov32K, "(b4) w1 = -3"}, {ir.Neg64, "(87) r1 = -r1"}, {ir.Neg32, "(84) w1 = -w1"}, {ir.MovSX8to64, "(bf) r1 = (s8)r2"},
		{ir.MovSX16to32, "(bc) w1 = (s16)w2"}, {ir.LE16, "(d4) r1 = le16 r1"}, {ir.BE64, "(dc) r1 = be64 r1"}, {ir.BSwap32, "(d7) r1 = bswap32 r1"},
		{ir.LdImm64, "(18) r1 = 0xfffffffffffffffd"}, {ir.Ld8, "(71) r1 = *(u8 *)(r2 -8)"}, {ir.Ld64, "(79) r1 = *(u64 *)(r2 -8)"},
		{ir.Lds16, "(89) r1 = *(s16 *)(r2 -8)"}, {ir.St32X, "(63) *(u32 *)(r1 -8) = r2"}, {ir.St16K, "(6a) *(u16 *)(r1 -8) = -3"},
		{ir.AtomicAdd64, "(db) lock *(u64 *)(r1 -8) += r2"}, {ir.AtomicXor32, "(c3) lock *(u32 *)(r1 -8) ^= r2"},
		{ir.FetchAnd64, "(db) r2 = atomic64_fetch_and((u64 *)(r1 -8), r2)"}, {ir.Xchg32, "(c3) r2 = atomic_xchg((u32 *)(r1 -8), r2)"},
		{ir.CmpXchg64, "(db) r0 = atomic64_cmpxchg((u64 *)(r1 -8), r0, r2)"}, {ir.LdAcq32, "(c3) r1 = load_acquire((u32 *)(r2 -8))"},
		{ir.StRel64, "(db) store_release((u64 *)(r1 -8), r2)"}, {ir.Ja, "(05) goto pc+1"}, {ir.MayGoto, "(e5) may_goto pc+1"}, {ir.GotoX, "(0d) gotox r1"},
		{ir.JEq64K, "(15) if r1 == 0xfffffffd goto pc+1"}, {ir.JSLe32X, "(de) if w1 s<= w2 goto pc+1"}, {ir.JSet64X, "(4d) if r1 & r2 goto pc+1"},
		{ir.JGt32K, "(26) if w1 > 0xfffffffd goto pc+1"}, {ir.CallSub, "(85) call pc+1"}, {ir.CallReg, "(8d) callx r1"}, {ir.Exit, "(95) exit"},
		{ir.CastKern, "(bf) r1 = addr_space_cast(r2, 0, 1)"}, {ir.CastUser, "(bf) r1 = addr_space_cast(r2, 1, 0)"}, {ir.Invalid, "invalid"},
	} {
		v := &verifier{insns: []ir.Insn{in(tc.op), {Op: ir.Exit, Orig: 1}, {Op: ir.Exit, Orig: 2}}, aux: make([]insnAux, 3)}
		if got := v.disasm(0); got != tc.want {
			t.Errorf("operation %d: %s, want %s", tc.op, got, tc.want)
		}
	}
	for op := ir.Invalid + 1; op < ir.NrOps; op++ {
		if op == ir.CallHelper || op == ir.CallKfunc {
			continue
		}
		v := &verifier{insns: []ir.Insn{in(op), {Op: ir.Exit, Orig: 1}, {Op: ir.Exit, Orig: 2}}, aux: make([]insnAux, 3)}
		if got := v.disasm(0); got == "invalid" || got[0] != '(' {
			t.Errorf("operation %d: %s", op, got)
		}
	}
}

// TestRanges: bounds as the kernel's log has them, and in plain words.
func TestRanges(t *testing.T) {
	limited := func(f func(n *num)) reg {
		var r reg
		r.markUnknown()
		f(&r.num)
		return r
	}
	for _, tc := range []struct {
		name, log, plain string
		r                reg
	}{
		{"constant", "7", "the number 7", limited(func(n *num) { *n = knownNum(7) })},
		{"large constant", "0x10000", "the number 65536", limited(func(n *num) { *n = knownNum(1 << 16) })},
		{"negative", "-1", "the number -1", limited(func(n *num) { *n = knownNum(^uint64(0)) })},
		{"unknown", "scalar()", "any number", limited(func(n *num) {})},
		{"a byte", "scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))", "a number from 0 to 255",
			limited(func(n *num) { n.truncate(1) })},
		{"a signed byte", "scalar(smin=smin32=-128,smax=smax32=127)", "a number from -128 to 127", limited(func(n *num) { n.signExtend(1) })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.r.String(); got != tc.log {
				t.Errorf("log: %s, want %s", got, tc.log)
			}
			if got := plain(&tc.r, 0); got != tc.plain {
				t.Errorf("plain: %s, want %s", got, tc.plain)
			}
		})
	}
}

// TestExplain: the branches on the way, what the registers may hold, where they have it from; and what is left out.
func TestExplain(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name, text, options string
		want                []string
	}{
		{"through a move and a branch", "r6 = *(u64 *)(r1 + 16)\nr2 = *(u64 *)(r1 + 8)\nr7 = r6\nif r2 == 0 goto out\nr0 = *(u32 *)(r7 + 0)\nout:\nr0 = 0\nexit", "",
			[]string{"3: if r2 == 0x0 goto pc+1: false", "r7: a pointer to struct task_struct that is valid, or null, from 0: r6 = *(u64 *)(r1 +16)"}},
		{"overwritten by a call", "r2 = 1\ncall ktime_get_ns\nr0 = r2\nexit", "",
			[]string{"r2: nothing: it was never written on this path, or a call overwrote it, from 1: call bpf_ktime_get_ns#5"}},
		{"in a function", "call f\nr1 = r0\nr0 = *(u32 *)(r1 + 0)\nexit\nsub f:\nr0 = 5\nexit", "",
			[]string{"r1: the number 5, from 4: r0 = 5"}},
		{"no register is to blame", "call bpf_no_such_function\nexit", "", nil},
		{"a limit", "r0 = 0\nloop:\nr0 += 1\nif r0 < 10000000 goto loop\nexit", "", []string{"(earlier)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, e := w.run(t, tc.name, tc.options, tc.text)
			if e == nil {
				t.Fatal("accepted")
			}
			var got []string
			if e.Earlier > 0 {
				got = append(got, "(earlier)")
			} else {
				for _, b := range e.Branches {
					got = append(got, strings.Join([]string{itoa(int(b.Insn)), b.Text, map[bool]string{true: "true", false: "false"}[b.Taken]}, ": "))
				}
			}
			for _, v := range e.Values {
				s := v.Reg + ": " + v.Text
				if v.Origin.Insn >= 0 {
					s += ", from " + itoa(int(v.Origin.Insn)) + ": " + v.Origin.Text
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestConcerned: a message is about the registers that it names.
func TestConcerned(t *testing.T) {
	for _, tc := range []struct {
		msg  string
		r    ir.Reg
		want bool
	}{
		{"R1 invalid mem access 'scalar'", 1, true}, {"R1 invalid mem access 'scalar'", 7, false}, {"R10 is there", 1, false}, {"R10 is there", 10, true},
		{"div by zero", 3, true}, {"PTR1 of R2", 1, false}, {"PTR1 of R2", 2, true}, {"", 0, true}, {"R", 0, true},
	} {
		if got := concerned(tc.msg, tc.r); got != tc.want {
			t.Errorf("%q, r%d: %v", tc.msg, tc.r, got)
		}
	}
}
