package bpf

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/verifier"
)

// familyEnd is how a member of a hierarchy ended.
type familyEnd struct {
	Cgroup string
	// Refused is the errno of its attachment, -1 where a program of it was refused.
	Refused int
	ending
}

// kin is a member of a hierarchy in the simulator.
type kin struct {
	table, cgroup string
	p             *Policy
	tbl           *ops.Table
	sub           *ext.Sub
	refused       int
}

// family does what lab/family.c does.
type family struct {
	*rig
	members []*kin
	worker  *sim.Task // of /a
}

// familyOtherwise says why a case is not compared on a kernel.
var familyOtherwise = map[string]map[string]string{
	"7.3": {
		"override":    "7.3's scx_bpf_cid_override has other arguments",
		"parent-ends": "7.3 asks a sub-scheduler nothing that has not been granted CPUs, which is not modelled",
		"orphan":      "7.3 asks a sub-scheduler nothing that has not been granted CPUs, which is not modelled",
	},
}

// TestKernelFamily: hierarchies of the tables of testdata/lab/family.bpf.o end as scripts/kernel-errors has seen them end on a
// real kernel: each of their members with the same kind, code, reason and message, and a dump of the same lines.
func TestKernelFamily(t *testing.T) {
	data, err := os.ReadFile("testdata/lab/family.json")
	must(t, err)
	var runs []struct {
		Kernel, Case string
		Ends         []familyEnd
	}
	must(t, json.Unmarshal(data, &runs))
	lines, err := os.ReadFile("testdata/lab/family.txt")
	must(t, err)
	cases := map[string][]string{}
	for line := range strings.Lines(string(lines)) {
		if f := strings.Fields(line); f[0] != "#" {
			cases[f[0]] = f[1:]
		}
	}
	if len(runs) != 2*len(cases) {
		t.Errorf("%d cases, %d recorded on two kernels", len(cases), len(runs))
	}
	dumps := 0
	for _, want := range runs {
		if testing.Short() && want.Kernel != "7.2" {
			continue
		}
		t.Run(want.Kernel+"/"+want.Case, func(t *testing.T) {
			if want.Case == "not-online" {
				t.Skip("ops.init takes no time, so a cgroup cannot go meanwhile")
			}
			if why := familyOtherwise[want.Kernel][want.Case]; why != "" {
				t.Skip(why)
			}
			f := &family{rig: newRig(t, rigConfig{topo: "1n2l1c1t", quiet: true, kernel: want.Kernel})}
			for _, cgroup := range []string{"/a", "/", "/a"} {
				f.worker = f.in(cgroup)
			}
			f.run(50 * sim.Millisecond)
			for _, step := range cases[want.Case] {
				f.step(step)
			}
			f.run(sim.Second)
			for i := len(f.members) - 1; i >= 0; i-- {
				f.detach(f.members[i])
			}
			f.run(100 * sim.Millisecond)
			for i, w := range want.Ends {
				if i >= len(f.members) {
					t.Fatalf("%d members, on the kernel %d", len(f.members), len(want.Ends))
				}
				k := f.members[i]
				g := familyEnd{Cgroup: k.cgroup, Refused: k.refused}
				if k.refused == 0 {
					g.ending = told(t, k.p)
				}
				g.Table = k.table
				if want, wantTask := withoutTasks(dumpLines(w.Dump)); len(want) > 0 {
					dumps++
					got, gotTask := withoutTasks(dumpLines(g.Dump))
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s: dump (-kernel +simulator):\n%s", k.cgroup, d)
					}
					if len(wantTask) > 0 && len(gotTask) > 0 && cmp.Diff(wantTask, gotTask) != "" {
						t.Errorf("%s: of a task (-kernel +simulator):\n%s", k.cgroup, cmp.Diff(wantTask, gotTask))
					}
				}
				w.Dump, g.Dump = "", ""
				w.Msg, g.Msg = numbers.ReplaceAllString(w.Msg, "$1#"), numbers.ReplaceAllString(g.Msg, "$1#")
				if d := cmp.Diff(w, g, cmp.AllowUnexported(familyEnd{})); d != "" {
					t.Errorf("(-kernel +simulator):\n%s", d)
				}
			}
		})
	}
	if dumps < 8 && !testing.Short() {
		t.Errorf("only %d dumps", dumps)
	}
}

// withoutTasks takes out what a dump says of tasks, and returns what it says of the first, without whose it is: which tasks can run,
// and so are there, is chance.
func withoutTasks(lines []string) (rest, task []string) {
	in, n := false, 0
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, " T[#] "):
			in = true
			if n++; n == 1 {
				task = append(task, " T[#]")
			}
			continue
		case in && strings.HasPrefix(l, "      "):
			if n == 1 {
				task = append(task, l)
			}
			continue
		}
		in = false
		rest = append(rest, l)
	}
	return rest, task
}

// in makes a task of a cgroup.
func (f *family) in(cgroup string) *sim.Task {
	c, err := f.m.MkdirAll(cgroup)
	must(f.t, err)
	task, err := f.m.Spawn(sim.TaskSpec{Comm: "w", Policy: sim.PolicyExt, Cgroup: c, Behavior: periodic(sim.Millisecond, sim.Millisecond)})
	must(f.t, err)
	return task
}

func (f *family) at(cgroup string) *kin {
	for _, k := range f.members {
		if k.cgroup == cgroup {
			return k
		}
	}
	f.t.Fatalf("nothing at %s", cgroup)
	return nil
}

func (f *family) step(s string) {
	f.t.Helper()
	if table, cgroup, ok := strings.Cut(s, "@"); ok {
		f.attach(f.load(table, cgroup))
		return
	}
	f.run(200 * sim.Millisecond)
	do, cgroup, _ := strings.Cut(s, ":")
	switch do {
	case "detach":
		f.detach(f.at(cgroup))
	case "rmdir":
		must(f.t, f.m.Rmdir(f.m.CgroupByPath(cgroup)))
	case "fail":
		f.fail(f.at(cgroup))
	case "select":
		_, err := f.at(cgroup).p.RunSyscall("old_select_outside", binary.LittleEndian.AppendUint32(nil, uint32(f.worker.PID)))
		must(f.t, err)
	case "orphan":
		orphan, slow := f.load("unlinked", cgroup+"/b"), f.load("plain", "/slow")
		slow.table = "slow" // whose init waits for time to pass, which it does not here
		f.attach(slow)
		tm := sim.Timer{Fire: func(sim.Time) { // the other's error, and before it is through
			f.at(cgroup).sub.Do(func() { f.k.ErrorBPF("broken") })
			f.attach(orphan)
		}}
		f.m.Arm(&tm, 0, f.m.Now()+1)
		f.run(sim.Millisecond)
	default:
		f.t.Fatalf("%q", s)
	}
}

// fail has the next enqueue end a member.
func (f *family) fail(k *kin) {
	b, err := k.p.Global("fail")
	must(f.t, err)
	b[0] = 1
}

func (f *family) load(table, cgroup string) *kin {
	f.t.Helper()
	k := &kin{table: table, cgroup: cgroup}
	f.members = append(f.members, k)
	o := f.options("")
	o.Table = table
	switch cgroup {
	case "/":
		o.Globals = map[string]any{}
	case "none":
		o.Members = []Member{{"sub_cgroup_id", "1073741824"}}
	default:
		_, err := f.m.MkdirAll(cgroup)
		must(f.t, err)
		o.Cgroup = cgroup
	}
	if table == "far_reaching" {
		c, err := f.m.MkdirAll("/a/b")
		must(f.t, err)
		o.Globals = map[string]any{"target": int64(c.ID)}
	}
	p, err := New("testdata/lab/family.bpf.o", o)
	must(f.t, err)
	k.p = p
	f.t.Cleanup(func() { p.Close() })
	k.tbl, err = p.Open(sched.Env{Machine: f.m, Kernel: f.k})
	if v := (*verifier.Error)(nil); errors.As(err, &v) {
		k.refused = -1
		return k
	}
	must(f.t, err)
	return k
}

func (f *family) attach(k *kin) {
	f.t.Helper()
	if k.refused != 0 {
		return
	}
	var err error
	if k.cgroup == "/" {
		err = f.k.Enable(k.tbl)
	} else {
		k.sub, err = f.k.EnableSub(k.tbl)
	}
	var no *ext.SubAttachError
	if errors.As(err, &no) {
		k.refused = int(no.Errno)
	}
}

func (f *family) detach(k *kin) {
	switch {
	case k.refused != 0 || k.tbl == nil:
	case k.cgroup == "/":
		f.k.Disable(ops.ExitUnreg)
	default:
		k.sub.Disable(ops.ExitUnreg)
	}
	f.run(sim.Millisecond)
}
