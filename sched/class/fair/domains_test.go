package fair

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim/topo"
)

// describe prints the domains of cpu: span by groups, local group first.
func (d *domains) describe(cpu int) string {
	var b strings.Builder
	for sd := d.base[cpu]; sd != nil; sd = sd.parent {
		switch {
		case sd.flags&sdShareCapacity != 0:
			b.WriteString("smt")
		case sd.flags&sdShareLLC != 0:
			b.WriteString("mc")
		case sd.flags&sdNUMA != 0:
			fmt.Fprintf(&b, "numa(%d)", sd.imbNUMA)
		default:
			b.WriteString("pkg")
		}
		for i := range sd.groups {
			fmt.Fprintf(&b, " %v", sd.group(i).cpus)
		}
		fmt.Fprintf(&b, " pct %d interval %d\n", sd.imbalancePct, sd.interval)
	}
	return b.String()
}

func TestDomains(t *testing.T) {
	for _, tc := range []struct {
		name string
		cpu  int
		want string
	}{
		{"1n1l1c1t", 0, ""},
		{"1n1l4c1t", 2, "mc [2] [3] [0] [1] pct 117 interval 4\n"},
		{"1n1l1c2t", 0, "smt [0] [1] pct 110 interval 2\n"},
		{"1n1l2c2t", 1, "smt [1] [3] pct 110 interval 2\nmc [1 3] [0 2] pct 117 interval 4\n"},
		{"1n2l2c1t", 3, "mc [3] [2] pct 117 interval 2\npkg [2 3] [0 1] pct 117 interval 4\n"},
		{"2n1l2c1t", 0, "mc [0] [1] pct 117 interval 2\nnuma(1) [0 1] [2 3] pct 117 interval 4\n"},
		{"2n2l2c1t", 5, "mc [5] [4] pct 117 interval 2\npkg [4 5] [6 7] pct 117 interval 4\n" +
			"numa(2) [4 5 6 7] [0 1 2 3] pct 117 interval 8\n"},
		{"2n1l1c1t", 1, "numa(1) [1] [0] pct 117 interval 2\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tp, err := topo.Parse(tc.name)
			if err != nil {
				t.Fatal(err)
			}
			c := &Class{rqs: make([]cpuQueue, len(tp.CPUs))}
			c.buildDomains(tp, nil)
			if d := gocmp.Diff(tc.want, c.describe(tc.cpu)); d != "" {
				t.Errorf("domains of CPU %d (-want +got):\n%s", tc.cpu, d)
			}
		})
	}
}

func TestBaseSlice(t *testing.T) {
	for _, tc := range []struct {
		cpus int
		want uint64
	}{{1, 700_000}, {2, 1_400_000}, {3, 1_400_000}, {4, 2_100_000}, {8, 2_800_000}, {64, 2_800_000}} {
		c := newConfig(Options{}, tc.cpus, 4*ms)
		if c.baseSlice != tc.want {
			t.Errorf("%d CPUs: %d, want %d", tc.cpus, c.baseSlice, tc.want)
		}
	}
}
