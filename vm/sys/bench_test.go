package sys_test

import (
	"testing"

	"github.com/schedsim/schedsim/vm/sys"
)

// An update of an array's element: attributes, descriptor, user memory.
func BenchmarkUpdateElem(b *testing.B) {
	r := newRig(b)
	attr := r.elem(r.array(8, 4), u32(1), u64(7), 0)
	b.ReportAllocs()
	for b.Loop() {
		if v := r.p.BPF(sys.MapUpdateElem, attr); v != 0 {
			b.Fatal(v)
		}
	}
}

// A run of a program with a context through PROG_TEST_RUN.
func BenchmarkTestRun(b *testing.B) {
	r := newRig(b)
	p := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(movK(0, 0), exit)))
	attr := sys.RunAttr{Prog: p, CtxSize: 8, Ctx: r.u.Add(make([]byte, 8))}.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		if v := r.p.BPF(sys.ProgTestRun, attr); v != 0 {
			b.Fatal(v)
		}
	}
}
