package kfuncs

import (
	"os"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops/kernels"
)

// TestNames: every function of testdata/names.txt is one of the kernel's, works, and may be called from some callback;
// TestGarbage calls those that are no part of the BPF machine. Those behind - are not there, so that compatibility code sees that.
func TestNames(t *testing.T) {
	data, err := os.ReadFile("testdata/names.txt")
	check(t, err)
	k, err := kernels.Get("7.2")
	check(t, err)
	known := map[string]bool{}
	for _, f := range k.Kfuncs() {
		known[f.Name] = true
	}
	older := kfuncsOf(t, "6.18")
	for name, i := range kfuncsOf(t, "6.16") {
		older[name] = i
	}
	rows, n := All(&Host{}), 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if old, ok := strings.CutPrefix(line, "- "); ok {
			name := old
			if i := strings.LastIndex(old, "___"); i > 0 {
				name = old[:i]
			}
			if _, older := older[name]; known[name] || lookup(rows, name) != nil && !older {
				t.Errorf("%s is there", old)
			}
			continue
		}
		n++
		r := lookup(rows, line)
		switch {
		case !known[line]:
			t.Errorf("%s: not in the kernel", line)
		case r == nil || !r.Modelled():
			t.Errorf("%s: not modelled", line)
		case r.Call == nil && !r.Machine:
			t.Errorf("%s: nobody runs it", line)
		case len(callbacksOf(r, false)) == 0 && len(callbacksOf(r, true)) == 0:
			t.Errorf("%s: no callback may call it", line)
		}
	}
	if n < 180 {
		t.Errorf("only %d names", n)
	}
}
