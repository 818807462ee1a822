package enginetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// Proved compares e with ref on n random sets of programs of a stream whose accesses count as proved (ir.Insn.Proved). For a
// program that does the same each time, an execution without a bad access is a proof.
func Proved(t *testing.T, ref, e engine.Engine, n int, stream uint64) {
	d := NewDiffer(t, ref, e)
	used := 0
	for i := 0; i < n && !t.Failed(); i++ {
		o, progs := d.programs(RandomBytes(uint64(i), stream))
		want, ok := d.once(t, d.engines[0], o, progs)
		if !ok || slices.ContainsFunc(want, badAccess) {
			continue
		}
		used++
		for k := range progs {
			for j := range progs[k].Insns {
				in := &progs[k].Insns[j]
				in.Proved = in.Op.Size() > 0 && !in.Probe && !in.Arena
			}
		}
		if got, ok := d.once(t, d.engines[1], o, progs); ok {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("set %d: the engines differ (-%s +%s):\n%s\n%+v\n%s", i, d.engines[0].Name(), d.engines[1].Name(), diff, o, Listing(progs))
			}
		}
	}
	if t.Logf("%d of %d sets had no bad access", used, n); used < n/8 {
		t.Errorf("only %d of %d sets had no bad access", used, n)
	}
}

// once runs programs in an address space of their own, whose state is the same each time.
func (d *Differ) once(t *testing.T, e engine.Engine, o Options, progs []*ir.Program) (results []Result, ok bool) {
	t.Helper()
	t.Run("", func(t *testing.T) { // the world ends with it
		t.Helper()
		w := New(t, e, o, progs...)
		for n := range 2 {
			results = append(results, w.Run(n%len(progs), w.Data))
		}
		ok = true
	})
	return results, ok
}

// badAccess tells whether a run has accessed what is no memory.
func badAccess(r Result) bool {
	bad := func(f *engine.Fault) bool {
		return f != nil && strings.HasPrefix(f.Msg, "invalid ")
	}
	return bad(r.Fault) || slices.ContainsFunc(r.Inner, func(f engine.Fault) bool { return bad(&f) })
}
