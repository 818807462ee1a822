package ext

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// subNode is a policy of the cid form that lets its children dispatch in turn and has one queue for its own tasks.
type subNode struct {
	r        *rig
	name     string
	children []uint64
	next     int
	tasks    map[string]int // comm -> init_task minus exit_task
	enabled  map[string]int
	enqueued map[string]int
	events   []string
	dsq      uint64
}

func newNode(r *rig, name string) *subNode {
	return &subNode{r: r, name: name, tasks: map[string]int{}, enabled: map[string]int{}, enqueued: map[string]int{}, dsq: 7}
}

func (n *subNode) table() *ops.Table {
	k := n.r.k
	return &ops.Table{
		Name: n.name, CID: true,
		Init: func() int32 { return k.CreateDSQ(n.dsq, -1) },
		InitTask: func(t *sim.Task, _ *ops.InitTaskArgs) int32 {
			n.tasks[t.Comm]++
			return 0
		},
		ExitTask: func(t *sim.Task, _ *ops.ExitTaskArgs) { n.tasks[t.Comm]-- },
		Enable:   func(t *sim.Task) { n.enabled[t.Comm]++ },
		Disable:  func(t *sim.Task) { n.enabled[t.Comm]-- },
		Enqueue: func(t *sim.Task, f uint64) {
			n.enqueued[t.Comm]++
			k.DSQInsert(t, n.dsq, ops.SliceDfl, f)
		},
		Dispatch: func(sim.CPU, *sim.Task) {
			for range len(n.children) + 1 {
				n.next = (n.next + 1) % (len(n.children) + 1)
				if n.next == len(n.children) {
					if k.DSQMoveToLocal(n.dsq, 0) {
						return
					}
				} else if k.SubDispatch(n.children[n.next]) {
					return
				}
			}
		},
		SubAttach: func(a *ops.SubArgs) int32 {
			n.events = append(n.events, "attach "+a.Ops.Name+" "+a.CgroupPath)
			n.children = append(n.children, a.Ops.SubCgroupID)
			return 0
		},
		SubDetach: func(a *ops.SubArgs) {
			n.events = append(n.events, "detach "+a.Ops.Name+" "+a.CgroupPath)
			n.children = slices.DeleteFunc(n.children, func(id uint64) bool { return id == a.Ops.SubCgroupID })
		},
		Exit: func(e *ops.ExitInfo) { n.events = append(n.events, fmt.Sprintf("exit %d %s", e.Kind, e.Msg)) },
	}
}

// family is a root with hogs in cgroups /a, /a/b and the root.
type family struct {
	*rig
	root *subNode
	a, b *sim.Cgroup
}

func newFamily(t *testing.T, topo string) *family {
	t.Helper()
	f := &family{rig: newRig(t, rigOptions{topo: topo})}
	var err error
	if f.b, err = f.m.MkdirAll("/a/b"); err != nil {
		t.Fatal(err)
	}
	f.a = f.b.Parent
	for _, g := range []struct {
		comm string
		c    *sim.Cgroup
	}{{"top", f.m.Root()}, {"ina", f.a}, {"inb", f.b}} {
		task := f.spawn(sim.TaskSpec{Comm: g.comm, Behavior: hog()})
		if g.c != f.m.Root() {
			if err := f.m.MoveTasks(g.c, task); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.root = newNode(f.rig, "root")
	f.enable(f.root.table())
	f.run(ms(10))
	return f
}

func (f *family) attach(t *testing.T, n *subNode, c *sim.Cgroup) *Sub {
	t.Helper()
	tb := n.table()
	tb.SubCgroupID = c.ID
	sub, err := f.k.EnableSub(tb)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// used returns the CPU time that each task uses in d.
func (f *family) used(d sim.Duration) map[string]sim.Duration {
	out := map[string]sim.Duration{}
	f.m.Tasks(func(t *sim.Task) { out[t.Comm] -= f.m.CPUTime(t) })
	f.run(f.m.Now().Add(d))
	f.m.Tasks(func(t *sim.Task) { out[t.Comm] += f.m.CPUTime(t) })
	if err := f.k.check(); err != nil {
		f.Error(err)
	}
	return out
}

func (f *family) allRun() {
	f.Helper()
	for comm, d := range f.used(sim.Second) {
		if d == 0 {
			f.Errorf("%s does not run", comm)
		}
	}
}

// TestSubEnable: a child takes the tasks of its cgroup and those below it; the parent lets it dispatch; a grandchild takes
// its part; when they go, the tasks go back.
func TestSubEnable(t *testing.T) {
	for _, topo := range []string{"1n1l1c1t", "1n1l2c1t"} {
		t.Run(topo, func(t *testing.T) {
			f := newFamily(t, topo)
			child, grand := newNode(f.rig, "child"), newNode(f.rig, "grand")
			cs := f.attach(t, child, f.a)
			f.allRun()
			gs := f.attach(t, grand, f.b)
			f.allRun()
			for _, w := range []struct {
				n    *subNode
				have string
			}{{f.root, "map[ina:0 inb:0 top:1]"}, {child, "map[ina:1 inb:0]"}, {grand, "map[inb:1]"}} {
				if got := fmt.Sprint(w.n.tasks); got != w.have {
					t.Errorf("%s has %s, want %s", w.n.name, got, w.have)
				}
				if got := fmt.Sprint(w.n.enabled); got != w.have {
					t.Errorf("%s has enabled %s, want %s", w.n.name, got, w.have)
				}
			}
			if grand.enqueued["inb"] == 0 || child.enqueued["ina"] == 0 || grand.enqueued["ina"] != 0 {
				t.Errorf("enqueued: child %v, grand %v", child.enqueued, grand.enqueued)
			}
			// A new task is of its cgroup's scheduler.
			kid := f.spawn(sim.TaskSpec{Comm: "kid", Behavior: hog(), Cgroup: f.b})
			f.allRun()
			if f.k.schedOf(kid) != gs.s || grand.tasks["kid"] != 1 {
				t.Errorf("kid: %v", grand.tasks)
			}
			// The child goes, and with it the grandchild.
			cs.Disable(ops.ExitUnreg)
			if e := gs.ExitInfo(); e == nil || e.Kind != ops.ExitParent || e.Reason != "parent exiting" {
				t.Errorf("grandchild: %+v", e)
			}
			if e := cs.ExitInfo(); e == nil || e.Kind != ops.ExitUnreg {
				t.Errorf("child: %+v", e)
			}
			f.allRun()
			if got, want := fmt.Sprint(f.root.tasks), "map[ina:1 inb:1 kid:1 top:1]"; got != want {
				t.Errorf("root has %s, want %s", got, want)
			}
			if got, want := fmt.Sprint(child.tasks, grand.tasks, child.enabled, grand.enabled),
				"map[ina:0 inb:0 kid:0] map[inb:0 kid:0] map[ina:0 inb:0 kid:0] map[inb:0 kid:0]"; got != want {
				t.Errorf("children have %s, want %s", got, want)
			}
			if got, want := fmt.Sprint(f.root.events), "[attach child /a detach child /a]"; got != want {
				t.Errorf("root saw %s, want %s", got, want)
			}
			if got, want := fmt.Sprint(child.events), "[attach grand /a/b detach grand /a/b exit 64 ]"; got != want {
				t.Errorf("child saw %s, want %s", got, want)
			}
			if e := f.k.ExitInfo(); e != nil {
				t.Errorf("root ended: %s", e.Msg)
			}
			// And again, then the root goes with everything.
			f.attach(t, newNode(f.rig, "again"), f.a)
			f.allRun()
			f.k.Disable(ops.ExitUnreg)
			f.allRun()
			log := strings.Join(f.k.Log(), "\n")
			for _, line := range []string{
				`sched_ext: BPF sub-scheduler "child" enabled`,
				`sched_ext: BPF sub-scheduler "grand" disabled (parent exiting)`,
				`sched_ext: BPF sub-scheduler "child" disabled (unregistered from user space)`,
				`sched_ext: BPF scheduler "root" disabled (unregistered from user space)`,
			} {
				if !strings.Contains(log, line) {
					t.Errorf("not printed: %s", line)
				}
			}
		})
	}
}

// TestSubError: the error of a child ends the child only; that of the root ends all.
func TestSubError(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(f *family, tb *ops.Table)
		msg  string
	}{
		{"insert into a missing DSQ", func(f *family, tb *ops.Table) {
			tb.Enqueue = func(t *sim.Task, e uint64) { f.k.DSQInsert(t, 99, 0, e) }
		}, "non-existent DSQ 0x63"},
		{"the old kernel function for vtime", func(f *family, tb *ops.Table) {
			tb.Enqueue = func(t *sim.Task, e uint64) { f.k.DSQInsertVtimeOld(t, 7, 0, 0, e) }
		}, "__scx_bpf_dsq_insert_vtime() must be used"},
		{"the old kernel function for a CPU", func(f *family, tb *ops.Table) {
			tb.Enqueue = func(t *sim.Task, e uint64) {
				f.k.SelectCPUAndOld(t, 0, 0, t.K.CPUs(), 0)
				f.k.DSQInsert(t, 7, 0, e)
			}
		}, "__scx_bpf_select_cpu_and() must be used"},
		{"a stall", func(f *family, tb *ops.Table) {
			tb.TimeoutMS = 500
			tb.Enqueue = func(*sim.Task, uint64) {}
		}, "* failed to run for *"},
		{"disallow", func(f *family, tb *ops.Table) {
			tb.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 {
				t.K.SetDisallow(true)
				return 0
			}
		}, "non-root ops.init_task() set task->scx.disallow for ina[2]"},
		{"cid_override", func(f *family, tb *ops.Table) {
			tb.Init = func() int32 {
				f.k.CIDOverride([]int32{0}, 4)
				return f.k.CreateDSQ(7, -1)
			}
		}, "scx_bpf_cid_override() only allowed from root sched"},
		{"distant", func(f *family, tb *ops.Table) {
			tb.Dispatch = func(sim.CPU, *sim.Task) { f.k.SubDispatch(f.a.ID) }
		}, fmt.Sprintf("trying to dispatch a distant sub-sched on cgroup %d", 2)},
		{"init", func(f *family, tb *ops.Table) { tb.Init = func() int32 { return -12 } }, "ops.init() failed (-12)"},
		{"init_task", func(f *family, tb *ops.Table) {
			tb.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 {
				if t.Comm == "inb" {
					return -12
				}
				return 0
			}
		}, "scx_sub_enable() failed (-12)"},
		{"cpu form", func(f *family, tb *ops.Table) { tb.CID, tb.SubAttach, tb.SubDetach = false, nil, nil },
			"sub-sched requires cid-form struct_ops"},
		{"tids", func(f *family, tb *ops.Table) { tb.Flags = ops.FlagTIDToTask }, "SCX_OPS_TID_TO_TASK requires root scheduler to enable it"},
		{"rejected", func(f *family, tb *ops.Table) { tb.Name = "unwanted" }, "parent rejected (-1)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFamily(t, "1n1l1c1t")
			attach := f.k.sch.ops.SubAttach
			f.k.sch.ops.SubAttach = func(a *ops.SubArgs) int32 {
				if a.Ops.Name == "unwanted" {
					return -1
				}
				return attach(a)
			}
			tb := newNode(f.rig, "child").table()
			tb.SubCgroupID = f.a.ID
			tc.edit(f, tb)
			exits := 0
			tb.Exit = func(*ops.ExitInfo) { exits++ }
			sub, _ := f.k.EnableSub(tb)
			f.run(f.m.Now().Add(2 * sim.Second))
			e := sub.ExitInfo()
			switch {
			case e == nil:
				t.Fatal("the child did not end")
			case !match(e.Msg, tc.msg) || exits != 1:
				t.Errorf("%q, told %d times, want %q", e.Msg, exits, tc.msg)
			}
			if len(f.k.sch.children) != 0 {
				t.Error("the child is still there")
			}
			if e := f.k.ExitInfo(); e != nil {
				t.Errorf("the root ended: %s", e.Msg)
			}
			f.allRun()
			if got, want := fmt.Sprint(f.root.tasks), "map[ina:1 inb:1 top:1]"; got != want {
				t.Errorf("root has %s, want %s", got, want)
			}
			if e.Kind >= ops.ExitError && !strings.HasPrefix(e.Dump, fmt.Sprintf("%s: sub1-%d /a\n", tb.Name, f.a.ID)) {
				t.Errorf("dump begins with %.60q", e.Dump)
			}
		})
	}
}

// match compares with a pattern of "*".
func match(s, pattern string) bool {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		at := strings.Index(s, p)
		if at < 0 || i == 0 && at != 0 {
			return false
		}
		s = s[at+len(p):]
	}
	return s == "" || parts[len(parts)-1] == ""
}

func TestSubAttachRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		edit  func(f *family, tb *ops.Table)
		errno int32
	}{
		{"no root", func(f *family, _ *ops.Table) { f.k.Disable(ops.ExitUnreg) }, ENODEV},
		{"no such cgroup", func(_ *family, tb *ops.Table) { tb.SubCgroupID = 77 }, ENOENT},
		{"the cgroup has one", func(f *family, tb *ops.Table) {
			f.attach(f.T, newNode(f.rig, "first"), f.a)
		}, EBUSY},
		{"a cgroup below has one", func(f *family, tb *ops.Table) {
			f.attach(f.T, newNode(f.rig, "first"), f.b)
		}, EBUSY},
		{"the parent takes none", func(f *family, tb *ops.Table) { f.k.sch.ops.SubAttach = nil }, EOPNOTSUPP},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFamily(t, "1n1l1c1t")
			f.rig.T = t
			tb := newNode(f.rig, "child").table()
			tb.SubCgroupID = f.a.ID
			tc.edit(f, tb)
			err := f.k.Enable(tb)
			var refused *SubAttachError
			if !asSubError(err, &refused) || refused.Errno != tc.errno {
				t.Errorf("error %v, want errno %d", err, tc.errno)
			}
			f.allRun()
		})
	}
}

func asSubError(err error, to **SubAttachError) bool {
	for err != nil {
		if e, ok := err.(*SubAttachError); ok {
			*to = e
			return true
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		err = u.Unwrap()
	}
	return false
}

// TestSubDepth: SCX_SUB_MAX_DEPTH.
func TestSubDepth(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	deep, err := f.m.MkdirAll("/a/b/c/d")
	if err != nil {
		t.Fatal(err)
	}
	path := []*sim.Cgroup{f.a, f.b, deep.Parent}
	for i, c := range path {
		f.attach(t, newNode(f.rig, fmt.Sprint("level", i+1)), c)
	}
	tb := newNode(f.rig, "deep").table()
	tb.SubCgroupID = deep.ID
	sub, err := f.k.EnableSub(tb)
	if err == nil || sub.ExitInfo().Msg != "max nesting depth 4 violated" {
		t.Errorf("%v", err)
	}
	f.allRun()
}

// TestSubCgroupOffline: a child whose cgroup is removed ends.
func TestSubCgroupOffline(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	c, err := f.m.MkdirAll("/gone")
	if err != nil {
		t.Fatal(err)
	}
	sub := f.attach(t, newNode(f.rig, "child"), c)
	if err := f.m.Rmdir(c); err != nil {
		t.Fatal(err)
	}
	f.run(f.m.Now().Add(100 * sim.Millisecond))
	e := sub.ExitInfo()
	if e == nil || e.Kind != ops.ExitUnregKern || e.ExitCode != ops.ECodeRsnCgroupOffline || e.Msg != fmt.Sprintf("cgroup %d going offline", c.ID) {
		t.Errorf("%+v", e)
	}
	f.allRun()
}

// TestSubParentInitTask: a parent that does not take a task back has to go too.
func TestSubParentInitTask(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	sub := f.attach(t, newNode(f.rig, "child"), f.a)
	f.k.sch.ops.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 { return -12 }
	sub.Disable(ops.ExitUnreg)
	f.run(f.m.Now().Add(100 * sim.Millisecond))
	e := f.k.ExitInfo()
	if want := "ops.init_task() failed (-12) for ina[2] while disabling a sub-scheduler"; e == nil || e.Msg != want {
		t.Errorf("%+v, want %q", e, want)
	}
	f.allRun()
}

// TestSubNotOwned: an instance cannot insert or move the tasks of another.
func TestSubNotOwned(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	var theirs *sim.Task
	f.m.Tasks(func(t *sim.Task) {
		if t.Comm == "top" {
			theirs = t
		}
	})
	child := newNode(f.rig, "child")
	tb := child.table()
	tb.SubCgroupID = f.a.ID
	dispatch := tb.Dispatch
	tb.Dispatch = func(cpu sim.CPU, prev *sim.Task) {
		if f.k.DSQInsert(theirs, 7, 0, 0) || f.k.TaskSetSlice(theirs, 1) || f.k.TaskSetDSQVtime(theirs, 1) {
			t.Error("a foreign task was touched")
		}
		dispatch(cpu, prev)
	}
	sub, err := f.k.EnableSub(tb)
	if err != nil {
		t.Fatal(err)
	}
	f.allRun()
	if sub.ExitInfo() != nil || sub.Events().InsertNotOwned == 0 {
		t.Errorf("exit %+v, %d insertions of foreign tasks", sub.ExitInfo(), sub.Events().InsertNotOwned)
	}
}

// TestSubParentDisallow: a root that says disallow for a task that it takes back does so too late.
func TestSubParentDisallow(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	sub := f.attach(t, newNode(f.rig, "child"), f.a)
	f.k.sch.ops.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 {
		t.K.SetDisallow(true)
		return 0
	}
	sub.Disable(ops.ExitUnreg)
	f.run(f.m.Now().Add(100 * sim.Millisecond))
	e := f.k.ExitInfo()
	if want := "ops.init_task() set task->scx.disallow for ina[2] outside the enable path"; e == nil || e.Msg != want {
		t.Errorf("%+v, want %q", e, want)
	}
	f.allRun()
}

// TestSubParentDisabled: a child that comes while its parent goes.
func TestSubParentDisabled(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	tb := newNode(f.rig, "child").table()
	tb.SubCgroupID = f.a.ID
	var sub *Sub
	tm := sim.Timer{Fire: func(sim.Time) {
		f.k.Fault("gone")
		sub, _ = f.k.EnableSub(tb)
	}}
	f.m.Arm(&tm, 0, f.m.Now()+1)
	f.run(f.m.Now().Add(sim.Second))
	if e := sub.ExitInfo(); e == nil || e.Msg != "parent disabled (-2)" {
		t.Errorf("%+v", e)
	}
	if e := f.k.ExitInfo(); e == nil || e.Msg != "gone" {
		t.Errorf("root: %+v", e)
	}
	f.allRun()
}

// TestSubMoveForeign: a queue of a parent may hold tasks that have become a child's only while they are in bypass; who moves
// such a task ends.
func TestSubMoveForeign(t *testing.T) {
	f := newFamily(t, "1n1l1c1t")
	child := newNode(f.rig, "child")
	sub := f.attach(t, child, f.a)
	tried := false
	f.k.sch.ops.Dispatch = func(sim.CPU, *sim.Task) {
		if !tried {
			// The child's queue through an iterator of the child.
			for _, s := range f.k.sch.children {
				it := DSQIter{k: f.k, d: s.dsqs[7], seq: s.dsqs[7].seq}
				p := it.Next()
				if p == nil {
					continue
				}
				tried = true
				it.d = &dsq{sch: f.k.sch}
				e := f.k.ent(p)
				e.dsq, it.d.id = it.d, 7
				f.k.DSQMove(&it, p, ops.DSQLocal, 0, false)
				e.dsq = s.dsqs[7]
				return
			}
		}
		f.k.SubDispatch(f.a.ID)
		f.k.DSQMoveToLocal(7, 0)
	}
	f.run(f.m.Now().Add(sim.Second))
	e := f.k.ExitInfo()
	if !tried || e == nil || !match(e.Msg, "scx_bpf_dsq_move[_vtime]() on in*[*] but the task belongs to a different scheduler") {
		t.Errorf("%+v", e)
	}
	if e := sub.ExitInfo(); e == nil || e.Kind != ops.ExitParent {
		t.Errorf("child: %+v", e)
	}
}
