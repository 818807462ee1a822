package bpf

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/sched"
)

// TestLateCallbacks: what libbpf and the loaders do of callbacks that a kernel does not have. Those that loaders know to be late are left
// out on kernels that are older, with a remark; others must be NULL. Members that are zero do not matter, nor does the suffix of the
// struct's name. On 7.2.13 an object with an unknown callback is refused so ("Cannot find member warp in kernel BTF").
func TestLateCallbacks(t *testing.T) {
	for _, tc := range []struct {
		table, kernel string
		members       []Member
		notice, want  string
	}{
		{"late_ops", "7.2", nil, "", ""},
		{"late_ops", "6.18", nil, "late.bpf.o: kernel 6.18 has no ops.cgroup_set_idle, which is left out as its loader does", ""},
		{"late_ops", "6.16", nil, "late.bpf.o: kernel 6.16 has no ops.cgroup_set_idle, which is left out as its loader does", ""},
		{"late_ops", "6.16", []Member{{"cgroup_set_idle", "NULL"}}, "", ""},
		{"warp_ops", "7.2", nil, "", `struct_ops "warp_ops": member "warp": the kernel's struct has no such member, and it is not NULL: none of the kernels that are known (7.3, 7.2, 6.18, 6.16) has it, the object may be for a newer one; --ops warp=0 leaves it out`},
		{"late_ops", "7.2", []Member{{"flags", "0x10000"}}, "", "unknown flags 0x10000: --kernel 6.18 or 6.16 has it"},
		{"warp_ops", "7.2", []Member{{"warp", "NULL"}}, "", ""},
		{"late_ops", "7.2", []Member{{"later", "1"}}, "", `member "later": the kernel's struct has no such member, and it is not zero`},
	} {
		name := tc.table + " " + tc.kernel
		for _, m := range tc.members {
			name += " " + m.Name + "=" + m.Value
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l1c1t", quiet: true, kernel: tc.kernel})
			o := r.options("")
			var notices []string
			o.Table, o.Members = tc.table, tc.members
			o.Notice = func(s string) { notices = append(notices, s) }
			p, err := New("testdata/late.bpf.o", o)
			must(t, err)
			t.Cleanup(func() { p.Close() })
			table, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			must(t, err)
			must(t, r.k.Enable(table))
			if (table.CgroupSetIdle != nil) != (tc.table == "late_ops" && tc.kernel == "7.2") {
				t.Errorf("cgroup_set_idle is there: %t", table.CgroupSetIdle != nil)
			}
			if got := strings.Join(notices, "\n"); !strings.Contains(got, tc.notice) || tc.notice == "" && strings.Contains(got, "left out") {
				t.Errorf("remarks %q, want %q", got, tc.notice)
			}
		})
	}
}
