package enginetest

import (
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// parts makes a program of subprograms; targets of jumps count from the subprogram's start, those of CallSub are its number.
func parts(subs ...[]ir.Insn) *ir.Program {
	p := &ir.Program{Name: "p", Kfuncs: []string{"k"}}
	for i, s := range subs {
		start := int32(len(p.Insns))
		p.Subs = append(p.Subs, ir.Sub{Name: fmt.Sprint(i), Start: start, End: start + int32(len(s))})
		for _, in := range s {
			if in.Op.IsJump() {
				in.Target += start
			}
			p.Insns = append(p.Insns, in)
		}
	}
	for i := range p.Insns {
		if in := &p.Insns[i]; in.Op == ir.CallSub {
			in.Target = p.Subs[in.Target].Start
		}
	}
	return p
}

// Facts runs programs in which something is known of a pointer on one path, or was until a moment ago: a check that was left out too
// many shows as another result, or as a crash.
func Facts(t *testing.T, ref, e engine.Engine) {
	mem := dataAddr(t, diffStack)
	const end = DataSize
	set := func(r ir.Reg, v uint64) ir.Insn { return ir.Insn{Op: ir.LdImm64, Dst: r, Imm: int64(v)} }
	hide := func(r ir.Reg) ir.Insn { return ir.Insn{Op: ir.Xor64K, Dst: r} } // the value stays, what is known of it goes
	load := func(d, b ir.Reg, off int32) ir.Insn { return ir.Insn{Op: ir.Ld64, Dst: d, Src: b, Off: off} }
	mov := func(d, s ir.Reg) ir.Insn { return ir.Insn{Op: ir.Mov64X, Dst: d, Src: s} }
	add := func(d ir.Reg, k int64) ir.Insn { return ir.Insn{Op: ir.Add64K, Dst: d, Imm: k} }
	exit := ir.Insn{Op: ir.Exit}
	// lookup stores the key in r8 and looks it up in array number m: five instructions.
	lookup := func(m int) []ir.Insn {
		return []ir.Insn{{Op: ir.St32X, Dst: 10, Src: 8, Off: -4}, mov(2, 10), add(2, -4), set(1, Arrays(mem)[m].Map), {Op: ir.CallHelper, Imm: HelperLookup}}
	}
	cat := func(lists ...[]ir.Insn) (all []ir.Insn) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	type insns = []ir.Insn
	fault := func(addr uint64) string { return engine.ReadFault(8, addr) }
	for _, tc := range []struct {
		name string
		p    *ir.Program
		want string // how it ends
	}{
		{"last bytes", parts(insns{set(1, mem+end-8), hide(1), load(0, 1, 0), exit}), ""},
		{"one byte too many", parts(insns{set(1, mem+end-7), hide(1), load(0, 1, 0), exit}), fault(mem + end - 7)},
		{"constant: last bytes", parts(insns{set(1, mem+end-8), load(0, 1, 0), exit}), ""},
		{"constant: one byte too many", parts(insns{set(1, mem+end-7), load(0, 1, 0), exit}), fault(mem + end - 7)},
		{"between two good ones", parts(insns{set(1, mem+end-24), hide(1), load(2, 1, 0), load(2, 1, 16), load(2, 1, 8), exit}), ""},
		{"behind a good one", parts(insns{set(1, mem+end-24), hide(1), load(2, 1, 0), load(2, 1, 16), load(2, 1, 17), exit}), fault(mem + end - 7)},
		{"before a good one", parts(insns{set(1, 8), hide(1), load(2, 1, 0), load(2, 1, -8), exit}), fault(8)},
		{"pointer moved", parts(insns{set(1, mem), hide(1), load(2, 1, 0), add(1, end), load(2, 1, 0), exit}), fault(mem + end)},
		{"pointer moved back", parts(insns{set(1, mem), hide(1), load(2, 1, 0), add(1, end), add(1, -end), load(2, 1, 0), exit}), ""},
		{"pointer copied and moved", parts(insns{set(1, mem), hide(1), load(2, 1, 0), mov(3, 1), add(3, end), load(2, 3, 0), exit}), fault(mem + end)},
		{"probed before", parts(insns{{Op: ir.Ld64, Dst: 2, Src: 6, Probe: true}, load(3, 6, 0), exit}), fault(0)},
		{"probed at the end", parts(insns{set(6, mem+end-7), hide(6), {Op: ir.Ld64, Dst: 6, Src: 6, Probe: true}, mov(0, 6), exit}), ""},
		{"probe of a constant", parts(insns{set(6, mem+end-7), {Op: ir.Lds32, Dst: 7, Src: 6, Probe: true}, {Op: ir.Lds32, Dst: 0, Src: 6, Off: 4, Probe: true}, exit}), ""},
		{"pointer copied at the end", parts(insns{set(1, mem+end-8), hide(1), load(2, 1, 0), mov(3, 1), load(2, 3, 0), load(2, 3, 1), exit}), fault(mem + end - 7)},
		{"pointer loaded over", parts(insns{set(1, mem+3000), hide(1), load(1, 1, 0), load(2, 1, 0), exit}), fault(0)},
		{"pointer fetched over", parts(insns{set(1, mem+3000), hide(1), {Op: ir.FetchAdd64, Dst: 1, Src: 1}, load(2, 1, 0), exit}), fault(0)},
		{"compare and exchange over", parts(insns{set(0, mem+3000), hide(0), load(2, 0, 0), {Op: ir.CmpXchg64, Dst: 0, Src: 2}, load(2, 0, 0), exit}), fault(0)},
		{"pointer lost in a loop", parts(insns{set(1, mem), hide(1), load(2, 1, 0), {Op: ir.Mov64K, Dst: 3, Imm: 3},
			load(2, 1, 0), set(1, 0), add(3, -1), {Op: ir.JNe64K, Dst: 3, Target: 4}, exit}), fault(0)},
		{"pointer lost in a loop with a join", parts(insns{set(1, mem), hide(1), load(2, 1, 0), {Op: ir.Mov64K, Dst: 3, Imm: 3},
			{Op: ir.JEq64K, Dst: 3, Imm: 7, Target: 6}, {Op: ir.Mov64K, Dst: 4}, load(2, 1, 0), set(1, 0), add(3, -1), {Op: ir.JNe64K, Dst: 3, Target: 4}, exit}), fault(0)},
		{"pointer walks in a loop", parts(insns{set(1, mem), hide(1), load(2, 1, 0), {Op: ir.Mov64K, Dst: 3, Imm: 1000},
			load(2, 1, 0), add(1, 8), add(3, -1), {Op: ir.JNe64K, Dst: 3, Target: 4}, exit}), fault(mem + end)},
		{"constant changes in a loop", parts(insns{set(1, mem), {Op: ir.Mov64K, Dst: 3, Imm: 3},
			load(2, 1, 0), set(1, mem+end), add(3, -1), {Op: ir.JNe64K, Dst: 3, Target: 2}, exit}), fault(mem + end)},
		{"frame pointer walks in a loop", parts(insns{mov(1, 10), add(1, -8), {Op: ir.Mov64K, Dst: 3, Imm: 1000},
			load(2, 1, 0), add(1, 64), add(3, -1), {Op: ir.JNe64K, Dst: 3, Target: 3}, exit}), fault(mem + end + 56)},
		{"nested loops", parts(insns{set(1, mem), hide(1), set(4, mem), hide(4), {Op: ir.Mov64K, Dst: 3, Imm: 4}, {Op: ir.Mov64K, Dst: 5, Imm: 3},
			load(2, 1, 0), load(2, 4, 0), mov(1, 4), add(5, -1), {Op: ir.JNe64K, Dst: 5, Target: 6},
			add(4, end/2), add(3, -1), {Op: ir.JNe64K, Dst: 3, Target: 5}, exit}), fault(mem + end)},
		{"checked on one path", parts(insns{{Op: ir.JEq64K, Dst: 6, Target: 4}, set(4, mem), hide(4), load(2, 4, 0), load(2, 4, 0), exit}), fault(0)},
		{"checked before a jump back", parts(insns{{Op: ir.Ja, Target: 3}, load(0, 1, 0), exit, set(1, mem+end), hide(1), {Op: ir.Ja, Target: 1}}), fault(mem + end)},

		{"element", parts(cat(lookup(0), insns{{Op: ir.JEq64K, Dst: 0, Target: 7}, load(3, 0, 0), exit})), ""},
		{"element used unchecked", parts(cat(insns{set(8, 9)}, lookup(0), insns{load(3, 0, 0), exit})), fault(0)},
		{"element checked wrongly", parts(cat(insns{set(8, 9)}, lookup(0), insns{{Op: ir.JNe64K, Dst: 0, Target: 8}, load(3, 0, 0), exit})), fault(0)},
		{"element compared with a number", parts(cat(insns{set(8, 9)}, lookup(0), insns{{Op: ir.JEq64K, Dst: 0, Imm: 5, Target: 8}, load(3, 0, 0), exit})), fault(0)},
		{"element compared in 32 bits", parts(cat(insns{set(8, 9)}, lookup(0), insns{{Op: ir.JNe32K, Dst: 0, Target: 8}, load(3, 0, 0), exit})), fault(0)},
		{"element moved before the comparison", parts(cat(insns{set(8, 9)}, lookup(0), insns{add(0, 8), {Op: ir.JEq64K, Dst: 0, Target: 9}, load(3, 0, 0), exit, exit})), fault(8)},
		{"copy of an element", parts(cat(insns{set(8, 9)}, lookup(0), insns{mov(7, 0), set(0, 1), {Op: ir.JEq64K, Dst: 0, Target: 10}, load(3, 7, 0), exit, exit})), fault(0)},
		// In the first round r7 becomes null; in the second the new element is not, which says nothing of r7.
		{"element of the round before", parts(cat(insns{set(8, 99), {Op: ir.Mov64K, Dst: 9, Imm: 2}}, lookup(0), insns{
			{Op: ir.JNe64K, Dst: 0, Target: 12}, mov(7, 0), set(8, 1), add(9, -1), {Op: ir.JNe64K, Dst: 9, Target: 2}, load(3, 7, 0), exit})), fault(0)},
		{"element of another map", parts(cat(insns{{Op: ir.JNe64K, Dst: 6, Imm: 0, Target: 1}, set(8, 99)}, lookup(1), insns{mov(7, 0), set(8, 1)}, lookup(0),
			insns{{Op: ir.JEq64K, Dst: 0, Target: 16}, load(3, 7, 0), exit, exit})), fault(0)},
		{"beyond an element at the end", parts(cat(lookup(5), insns{{Op: ir.JEq64K, Dst: 0, Target: 8}, load(3, 0, 0), load(3, 0, 1), exit})), fault(mem + end - 7)},

		{"subprogram changes r1", parts(insns{set(1, mem), hide(1), load(2, 1, 0), {Op: ir.CallSub, Target: 1}, load(0, 1, 0), exit}, insns{set(1, 0), exit}), fault(0)},
		{"subprogram changes r5", parts(insns{set(5, mem), hide(5), load(2, 5, 0), {Op: ir.CallSub, Target: 1}, load(0, 5, 0), exit}, insns{set(5, 0), exit}), fault(0)},
		{"subprogram changes r0", parts(insns{set(0, mem), hide(0), load(2, 0, 0), {Op: ir.CallSub, Target: 1}, load(0, 0, 0), exit}, insns{set(0, 0), exit}), fault(0)},
		{"subprogram changes r9", parts(insns{set(9, mem), hide(9), load(2, 9, 0), {Op: ir.CallSub, Target: 1}, load(0, 9, 0), exit}, insns{set(9, 0), exit}), ""},
		{"subprogram shows zeroes", parts(insns{set(3, 7), {Op: ir.CallSub, Target: 1}, {Op: ir.St64X, Dst: 10, Src: 3, Off: -8}, {Op: ir.Add64X, Dst: 0, Src: 3}, exit},
			insns{{Op: ir.CallHelper, Imm: HelperCPUID}, exit}), ""},
		{"subprogram sees zeroes", parts(insns{set(3, 7), {Op: ir.CallHelper, Imm: HelperCPUID}, {Op: ir.CallSub, Target: 1}, exit},
			insns{mov(0, 3), exit}), ""},
		{"helper zeroes r1", parts(insns{set(1, mem), hide(1), load(2, 1, 0), {Op: ir.CallHelper, Imm: HelperFold}, load(0, 1, 0), exit}), fault(0)},
		{"zeroes after a helper", parts(insns{set(4, mem), {Op: ir.CallHelper, Imm: HelperCPUID}, {Op: ir.JEq64K, Dst: 0, Imm: 77, Target: 3}, mov(0, 4), exit}), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ends := Compare(t, ref, e, Options{Stack: diffStack}, tc.p)
			if want := Kind(tc.want); ends[0] != want {
				t.Errorf("ended with %q, want %q", ends[0], want)
			}
		})
	}
}
