package ir

import "testing"

// The classes of operations that access memory, by name and size in order of the constants.
func TestClasses(t *testing.T) {
	for _, tc := range []struct {
		name                 string
		first                Op
		sizes                []int
		load, store, atomic  bool
		writesDst, writesSrc bool
	}{
		{"ld", Ld8, []int{1, 2, 4, 8}, true, false, false, true, false},
		{"lds", Lds8, []int{1, 2, 4}, true, false, false, true, false},
		{"st x", St8X, []int{1, 2, 4, 8}, false, true, false, false, false},
		{"st k", St8K, []int{1, 2, 4, 8}, false, true, false, false, false},
		{"atomic", AtomicAdd32, []int{4, 8, 4, 8, 4, 8, 4, 8}, false, false, true, false, false},
		{"fetch", FetchAdd32, []int{4, 8, 4, 8, 4, 8, 4, 8, 4, 8}, false, false, true, false, true},
		{"cmpxchg", CmpXchg32, []int{4, 8}, false, false, true, false, false},
		{"acquire", LdAcq8, []int{1, 2, 4, 8}, true, false, false, true, false},
		{"release", StRel8, []int{1, 2, 4, 8}, false, true, false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, size := range tc.sizes {
				op := tc.first + Op(i)
				if op.Size() != size || op.IsLoad() != tc.load || op.IsStore() != tc.store || op.IsAtomic() != tc.atomic ||
					op.WritesDst() != tc.writesDst || op.WritesSrc() != tc.writesSrc || op.IsJump() || op.IsCall() {
					t.Errorf("operation %d: size %d, load %v, store %v, atomic %v, writes %v %v", i, op.Size(), op.IsLoad(), op.IsStore(),
						op.IsAtomic(), op.WritesDst(), op.WritesSrc())
				}
			}
		})
	}
	n := 0
	for op := Invalid; op < NrOps; op++ {
		if op.Size() != 0 {
			n++
		}
		if op.Size() != 0 && !op.IsLoad() && !op.IsStore() && !op.IsAtomic() {
			t.Errorf("operation %d has a size and no class", op)
		}
		if op.IsJump() && (op.WritesDst() || op.IsCall()) {
			t.Errorf("operation %d is a jump and more", op)
		}
	}
	if n != 43 {
		t.Errorf("%d operations access memory, want 43", n)
	}
	for op, want := range map[Op]bool{Ja: true, JEq64X: true, JSet32K: true, MayGoto: true, CallSub: false, Exit: false, StRel64: false} {
		if op.IsJump() != want {
			t.Errorf("operation %d is a jump: %v", op, !want)
		}
	}
	for op, want := range map[Op]bool{Ja: true, GotoX: true, Exit: true, Invalid: true, JEq64X: false, MayGoto: false, CallSub: false} {
		if op.Ends() != want || op == GotoX && (op.IsJump() || op.IsCall() || op.WritesDst()) {
			t.Errorf("operation %d ends straight code: %v", op, !want)
		}
	}
	for op, want := range map[Op]bool{Add64X: true, Mov32K: true, BSwap64: true, LdImm64: true, CastUser: true, JEq64X: false, Exit: false, CallKfunc: false} {
		if op.WritesDst() != want {
			t.Errorf("operation %d writes Dst: %v", op, !want)
		}
	}
}
