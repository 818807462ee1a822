package bpf

import (
	"slices"
	"testing"
)

// TestSCXBTFStructAccess: bpf_scx_btf_struct_access lets programs write slice and dsq_vtime of a task, and says once that
// they should not.
func TestSCXBTFStructAccess(t *testing.T) {
	for _, tc := range []struct {
		table string
		file  string
		n     int
	}{
		{"outdated", "../../internal/verdict/testdata/lint.bpf.o", 1},
		{"cid_ops", "testdata/cid.bpf.o", 0},
	} {
		r := newRig(t, rigConfig{topo: "1n2l2c1t", quiet: true})
		o := r.options("interp")
		o.Table = tc.table
		var got []string
		o.Notice = func(text string) { got = append(got, text) }
		p, err := New(tc.file, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		r.enable(p)
		got = slices.DeleteFunc(got, func(s string) bool { return s != directWrite })
		if len(got) != tc.n {
			t.Errorf("%s: printed %d times, want %d", tc.table, len(got), tc.n)
		}
	}
}
