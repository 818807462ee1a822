package flow

import (
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// world is a set without programs: a stack region of two frames and an array of three elements of 16 bytes behind it.
func world(t *testing.T) (s *Set, array uint64) {
	t.Helper()
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	stack, _, err := m.Alloc(1024, 4096)
	if err != nil {
		t.Fatal(err)
	}
	array, _, err = m.Alloc(48, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return New(&engine.Env{Mem: m, StackTop: stack + 1024, StackSize: 1024,
		Helpers: []abi.Func{nil, func(*abi.Call, *abi.Args) uint64 { return 0 }, nil},
		Inline: engine.Inline{Lookup: 1, CPUID: 2, Arrays: []engine.Array{{Map: 77, Base: array, Elem: 16, Entries: 3},
			{Map: 78, Base: array, Elem: 16, Entries: 1 << 20}}}}), array
}

// What is known of 8 bytes at r1 + off before the last instruction.
func TestPlaces(t *testing.T) {
	s, array := world(t)
	mov := func(d, src ir.Reg) ir.Insn { return ir.Insn{Op: ir.Mov64X, Dst: d, Src: src} }
	set := func(r ir.Reg, v int64) ir.Insn { return ir.Insn{Op: ir.LdImm64, Dst: r, Imm: v} }
	add := func(r ir.Reg, v int64) ir.Insn { return ir.Insn{Op: ir.Add64K, Dst: r, Imm: v} }
	load := ir.Insn{Op: ir.Ld64, Dst: 2, Src: 1, Off: 8}
	lookup := func(m int64) []ir.Insn { return []ir.Insn{set(1, m), {Op: ir.CallHelper, Imm: 1}} }
	addr := func(off uint64) int64 { return int64(mem.Base + off) }
	for _, tc := range []struct {
		name  string
		insns []ir.Insn
		off   int32
		want  Place
		at    int64
	}{
		{"nothing", nil, 0, Unknown, 0},
		{"frame", []ir.Insn{mov(1, 10)}, -8, Frame, -8},
		{"frame and more", []ir.Insn{mov(1, 10), add(1, -64)}, 8, Frame, -56},
		{"bottom of the frame", []ir.Insn{mov(1, 10)}, -512, Frame, -512},
		{"below the frame", []ir.Insn{mov(1, 10)}, -513, Unknown, 0},
		{"over the end of the frame", []ir.Insn{mov(1, 10)}, -7, Unknown, 0},
		{"constant", []ir.Insn{set(1, addr(16))}, 8, Fixed, 24},
		{"null", []ir.Insn{set(1, 0)}, 0, Unknown, 0},
		{"constant beyond", []ir.Insn{set(1, addr(1<<20))}, 0, Unknown, 0},
		{"constant across the end", []ir.Insn{set(1, int64(array)+mem.PageSize)}, -7, Unknown, 0},
		{"hidden constant", []ir.Insn{set(1, addr(16)), {Op: ir.Or64K, Dst: 1}}, 0, Unknown, 0},
		{"checked before", []ir.Insn{load}, 8, Inside, 0},
		{"checked, but not here", []ir.Insn{load}, 9, Unknown, 0},
		{"between two", []ir.Insn{load, {Op: ir.St64K, Dst: 1, Off: 40}}, 30, Inside, 0},
		{"probed before", []ir.Insn{{Op: ir.Ld64, Dst: 2, Src: 1, Off: 8, Probe: true}}, 8, Unknown, 0},
		{"of an arena before", []ir.Insn{{Op: ir.Ld64, Dst: 2, Src: 1, Off: 8, Arena: true}}, 8, Unknown, 0},
		{"checked and moved", []ir.Insn{load, add(1, 8)}, 0, Inside, 0},
		{"checked and moved away", []ir.Insn{load, add(1, 8)}, 8, Unknown, 0},
		{"checked and loaded over", []ir.Insn{load, {Op: ir.Ld64, Dst: 1, Src: 1, Off: 8}}, 8, Unknown, 0},
		{"checked before a call", []ir.Insn{load, {Op: ir.CallSub}}, 8, Unknown, 0},
		{"element that may be null", append(lookup(77), mov(1, 0)), 0, Unknown, 0},
		{"element", append(lookup(77), ir.Insn{Op: ir.JEq64K, Target: 4}, mov(1, 0)), 8, Inside, 0},
		{"over the element", append(lookup(77), ir.Insn{Op: ir.JEq64K, Target: 4}, mov(1, 0)), 9, Unknown, 0},
		{"element, wrong way", append(lookup(77), ir.Insn{Op: ir.JNe64K, Target: 4}, mov(1, 0)), 0, Unknown, 0},
		{"element of a map too large", append(lookup(78), ir.Insn{Op: ir.JEq64K, Target: 4}, mov(1, 0)), 8, Unknown, 0},
		{"element of another map", append(lookup(79), ir.Insn{Op: ir.JEq64K, Target: 4}, mov(1, 0)), 8, Unknown, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f Facts
			f.Forget()
			for i := range tc.insns {
				f.Branch(&tc.insns[i], false)
				s.Step(&f, int32(i), &tc.insns[i])
			}
			if p, at := s.PlaceOf(&f, 1, tc.off, 8); p != tc.want || at != tc.at {
				t.Errorf("place %d at %d, want %d at %d", p, at, tc.want, tc.at)
			}
		})
	}
}

// Facts at jump targets hold on every path, and registers live where a path reads them.
func TestAnalyze(t *testing.T) {
	s, _ := world(t)
	insns := []ir.Insn{
		{Op: ir.Ld64, Dst: 3, Src: 1},                         // 0: r1 is checked
		{Op: ir.Ld64, Dst: 4, Src: 2},                         // 1: and so is r2
		{Op: ir.JEq64K, Dst: 3, Target: 4},                    // 2
		{Op: ir.Mov64X, Dst: 2, Src: 6},                       // 3: but here not
		{Op: ir.Add64X, Dst: 4, Src: 3},                       // 4: joined
		{Op: ir.Add64K, Dst: 1, Imm: 8},                       // 5: r1 moves
		{Op: ir.JNe64K, Dst: 4, Target: 4},                    // 6: in a loop
		{Op: ir.Ja, Target: 9},                                // 7
		{Op: ir.Ld64, Dst: 5, Src: 1},                         // 8: no way leads here
		{Op: ir.Mov64K, Dst: 0}, {Op: ir.Exit}, {Op: ir.Exit}, // 9
	}
	p := &ir.Program{Insns: insns, Subs: []ir.Sub{{End: int32(len(insns))}}}
	an := s.Analyze(p, &p.Subs[0], true)
	at := an.At(4)
	if place, _ := s.PlaceOf(&at, 1, 0, 8); place != Unknown {
		t.Error("r1 is known at the head of the loop that moves it")
	}
	if place, _ := s.PlaceOf(&at, 2, 0, 8); place != Unknown {
		t.Error("r2 is known where one path lost it")
	}
	if place, _ := s.PlaceOf(&at, 10, -8, 8); place != Frame {
		t.Error("r10 is not known")
	}
	for _, tc := range []struct {
		at   int32
		r    ir.Reg
		live bool
	}{{0, 3, true}, {6, 3, true}, {9, 3, true}, {7, 6, false}, {2, 6, true}, {3, 6, false}, {8, 0, false}, {9, 0, true}, {7, 0, false}} {
		if an.Live(tc.at, tc.r) != tc.live {
			t.Errorf("r%d is live after instruction %d: %v", tc.r, tc.at, !tc.live)
		}
	}
}
