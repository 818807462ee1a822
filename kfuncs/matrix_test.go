package kfuncs

import (
	"errors"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
)

// TestMatrixKernels compares the rules of the other kernels with what was measured on them, cell by cell. Left out are callbacks and
// functions that the simulator does not have: those that came with 7.3, which it refuses by name, and those that went before 7.2.
func TestMatrixKernels(t *testing.T) {
	for _, tc := range []struct {
		version         string
		cells, unknown  int // compared; of functions or callbacks that the simulator does not have
		contexts, funcs int
	}{
		{"6.16", 3024, 0, 56, 54},
		{"6.18", 2842, 0, 58, 49},
		{"7.3", 6958, 2012, 115, 78},
	} {
		t.Run(tc.version, func(t *testing.T) {
			m := readMatrixOf(t, tc.version)
			kernel, err := kernels.Get(tc.version)
			if err != nil {
				t.Fatal(err)
			}
			rules, rows := RulesOf(kernel), All(&Host{})
			cells, unknown, wrong := 0, 0, 0
			for _, name := range m.names {
				k := lookup(rows, name)
				for i, column := range m.contexts {
					want := m.cells[name][i]
					if k == nil || want == '?' || !haveContext(column) {
						unknown++
						continue
					}
					cells++
					got := byte('A')
					if err := rules.Allowed(k, contextOf(t, column)); err != nil {
						got = '-'
						var d *Denied
						if errors.As(err, &d) && d.NeedsSleepable {
							got = 's'
						}
					}
					if got != want {
						if wrong++; wrong < 20 {
							t.Errorf("%s in %s: %c, want %c", name, column, got, want)
						}
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d cells differ", wrong)
			}
			if cells != tc.cells || unknown != tc.unknown || len(m.contexts) != tc.contexts || len(m.names) != tc.funcs {
				t.Errorf("%d cells compared, %d unknown, %d contexts, %d functions", cells, unknown, len(m.contexts), len(m.names))
			}
		})
	}
}

// haveContext tells whether a column is a callback that the simulator has.
func haveContext(column string) bool {
	form, name, _ := strings.Cut(column, ":")
	if form == "other" {
		return true
	}
	name, _ = strings.CutSuffix(name, ".s")
	_, ok := ops.ByMember(name, form == "cid")
	return ok
}
