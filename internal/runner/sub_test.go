package runner

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
)

// cidObject takes one sub-scheduler, and needs the machine to have four CPUs.
const cidObject = "../../sched/bpf/testdata/cid.bpf.o:cid_ops"

// jobs is two tasks in the root and six hogs in /jobs, and what is done to them.
func jobs(timeline string) string {
	return fmt.Sprintf(`{"tasks": {
		"root": {"instance": 2, "loop": -1, "run": 3000, "sleep": 1000},
		"job": {"instance": 6, "loop": -1, "taskgroup": "/jobs", "run": 2000}},
	"global": {"duration": 1, "schedsim": {"cgroups": {"/jobs": {}, "/other": {}}, "timeline": [%s]}}}`, timeline)
}

// TestSubs: a built-in policy schedules the tasks of a cgroup below an object, until the cgroup goes or the parent ends.
func TestSubs(t *testing.T) {
	for _, tc := range []struct {
		name, timeline, sub string
		kind                ops.ExitKind // of the sub-scheduler
		code                int64
		msg                 string
	}{
		{name: "fifo", sub: "fifo"},
		{name: "vtime", sub: "vtime"},
		{name: "queues of CPUs", sub: "rr"},
		{name: "the same object", sub: cidObject},
		{name: "another object", sub: "../../sched/bpf/testdata/sub.bpf.o"},
		{name: "the cgroup goes", sub: "fifo", kind: ops.ExitUnregKern, code: ops.ECodeRsnCgroupOffline,
			timeline: `{"at": "500ms", "do": "move", "task": "job", "cgroup": "/other"}, {"at": "600ms", "do": "rmdir", "cgroup": "/jobs"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := mustRun(t, Options{Workload: parse(t, jobs(tc.timeline)), Topo: flat(t, 4), Scheduler: cidObject, Subs: []Sub{{"/jobs", tc.sub}}})
			if res.Report.Exit != nil || len(res.Report.Subs) != 1 {
				t.Fatalf("exit %+v, subs %+v", res.Report.Exit, res.Report.Subs)
			}
			s := res.Report.Subs[0]
			if name := map[string]string{cidObject: "cid", "../../sched/bpf/testdata/sub.bpf.o": "sub"}[tc.sub]; s.Scheduler != tc.sub && s.Scheduler != name ||
				s.Cgroup != "/jobs" {
				t.Errorf("%+v", s)
			}
			if tc.kind == ops.ExitNone {
				if s.Exit != nil {
					t.Errorf("the sub-scheduler has ended: %+v", s.Exit)
				}
			} else if s.Exit == nil || s.Exit.Kind != tc.kind || s.Exit.Code != tc.code || s.Exit.AtNS < 600_000_000 {
				t.Errorf("%+v", s.Exit)
			}
			for _, g := range res.Report.Groups {
				if g.Share < 0.1 {
					t.Errorf("%s ran for %.2f of a CPU", g.Name, g.Share)
				}
			}
		})
	}
}

// TestSubError: a sub-scheduler that goes wrong ends alone, and the report has its dump.
func TestSubError(t *testing.T) {
	res := mustRun(t, Options{Workload: parse(t, jobs("")), Topo: flat(t, 4), Scheduler: cidObject,
		Subs: []Sub{{"/jobs", "../../sched/bpf/testdata/lab/errors.bpf.o:no_cid"}}})
	if res.Report.Exit != nil {
		t.Errorf("the parent ended: %+v", res.Report.Exit)
	}
	e := res.Report.Subs[0].Exit
	if e == nil || e.Kind != ops.ExitError || e.Message != "invalid cid 99" || !strings.HasPrefix(e.Dump, "no_cid: sub1-") {
		t.Errorf("%+v", e)
	}
	for _, g := range res.Report.Groups {
		if g.Share < 0.1 {
			t.Errorf("%s ran for %.2f of a CPU", g.Name, g.Share)
		}
	}
}

// TestSubText: the report says what became of the sub-scheduler, in text and in JSON.
func TestSubText(t *testing.T) {
	for timeline, want := range map[string]string{
		"": "\nsub-scheduler fifo of /jobs: in charge until the end\n",
		`{"at": "500ms", "do": "move", "task": "job", "cgroup": "/other"}, {"at": "600ms", "do": "rmdir", "cgroup": "/jobs"}`: "\nsub-scheduler fifo of /jobs\nEXIT: unregistered from the main kernel (cgroup ",
	} {
		res := mustRun(t, Options{Workload: parse(t, jobs(timeline)), Topo: flat(t, 4), Scheduler: cidObject, Subs: []Sub{{"/jobs", "fifo"}}})
		var text, out strings.Builder
		if err := res.Report.WriteText(&text, reports.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
		if err := reports.WriteJSON(&out, res.Report); err != nil {
			t.Fatal(err)
		}
		var back reports.Report
		if err := json.Unmarshal([]byte(out.String()), &back); err != nil || len(back.Subs) != 1 || (back.Subs[0].Exit == nil) != (timeline == "") {
			t.Errorf("%v: %+v", err, back.Subs)
		}
	}
}

// TestSubRefused: what cannot have a sub-scheduler, and what cannot be one.
func TestSubRefused(t *testing.T) {
	for _, tc := range []struct {
		name, root, cgroup, sub, want string
	}{
		{"no sched_ext", Baseline, "/jobs", "fifo", "no scheduler is enabled"},
		{"a parent without sub_attach", "fifo", "/jobs", "fifo", `scheduler "fifo" takes no sub-schedulers`},
		{"no such cgroup", cidObject, "/none", "fifo", "the workload has no such cgroup"},
		{"no such cgroup for an object", cidObject, "/none", "../../examples/bpf/simple.bpf.o", "the workload has no such cgroup"},
		{"not of the cid form", cidObject, "/jobs", "../../examples/bpf/simple.bpf.o", "sub-sched requires cid-form struct_ops"},
		{"the root's cgroup", cidObject, "/", "fifo", "has a scheduler"},
		{"no such file", cidObject, "/jobs", "none.bpf.o", "no such file"},
		{"no such policy", cidObject, "/jobs", "none", "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Run(Options{Workload: parse(t, jobs("")), Topo: flat(t, 4), Scheduler: tc.root, Subs: []Sub{{tc.cgroup, tc.sub}}})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestParseSub(t *testing.T) {
	for in, want := range map[string]string{
		"/jobs=fifo": "", "/a/b=x.bpf.o:table": "", "/jobs": "expected /CGROUP=SCHEDULER", "/jobs=": "expected /CGROUP=SCHEDULER",
		"jobs=fifo": "expected the path of a cgroup", "/=fifo": "below the root", "/jobs=eevdf": "no sched_ext scheduler", "/jobs=nope": "not one of",
	} {
		s, err := ParseSub(in)
		if want == "" {
			if cgroup, scheduler, _ := strings.Cut(in, "="); err != nil || s.Cgroup != cgroup || s.Scheduler != scheduler {
				t.Errorf("%s: %+v, %v", in, s, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

// TestRestart: a scheduler without callbacks for hotplug ends when a CPU comes or goes and is started over, as its user-space
// half would do; a built-in policy has none.
func TestRestart(t *testing.T) {
	hotplug := `{"at": "300ms", "do": "offline", "cpus": "3"}, {"at": "600ms", "do": "online", "cpus": "3"}`
	o := Options{Workload: parse(t, jobs(hotplug)), Topo: flat(t, 4), Scheduler: "../../examples/bpf/simple.bpf.o"}
	res := mustRun(t, o)
	r := res.Report
	if r.Exit != nil || len(r.Restarts) != 2 {
		t.Fatalf("exit %+v, %d restarts", r.Exit, len(r.Restarts))
	}
	for i, s := range r.Restarts {
		if s.Code != ops.ECodeActRestart|ops.ECodeRsnHotplug || s.Reason != "unregistered from the main kernel" || !strings.HasPrefix(s.Message, "cpu 3 going o") ||
			int64(s.AtNS) < 300_000_000*int64(i+1) {
			t.Errorf("%+v", s)
		}
	}
	var text strings.Builder
	if err := r.WriteText(&text, reports.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	want := "\n2 restarts of the scheduler\n  1: unregistered from the main kernel (cpu 3 going offline, exiting scheduler)\n"
	if !strings.Contains(text.String(), want) {
		t.Errorf("no %q in\n%s", want, text.String())
	}
	calm := o
	calm.Workload = parse(t, jobs(""))
	if calm := mustRun(t, calm); res.Insns < calm.Insns/2 || res.Insns > 2*calm.Insns {
		t.Errorf("%d instructions with restarts, %d without", res.Insns, calm.Insns)
	}
	o.Scheduler = "fifo"
	if r = mustRun(t, o).Report; r.Exit == nil || r.Exit.Kind != ops.ExitUnregKern || len(r.Restarts) != 0 {
		t.Errorf("a policy in Go: %+v, %d restarts", r.Exit, len(r.Restarts))
	}
}

// TestRestartBound: one that ends again and again stays away in the end.
func TestRestartBound(t *testing.T) {
	hotplug := fmt.Sprintf(`{"at": "1ms", "every": "2ms", "times": %d, "do": "offline", "cpus": "3"}, {"at": "2ms", "every": "2ms", "times": %[1]d, "do": "online", "cpus": "3"}`,
		maxRestarts/2+10)
	var notices []string
	res := mustRun(t, Options{Workload: parse(t, jobs(hotplug)), Topo: flat(t, 4), Scheduler: "../../examples/bpf/simple.bpf.o", NoVerify: true,
		Notice: func(s string) { notices = append(notices, s) }})
	if len(res.Report.Restarts) != maxRestarts || res.Report.Exit == nil {
		t.Errorf("%d restarts, exit %+v", len(res.Report.Restarts), res.Report.Exit)
	}
	if !strings.Contains(strings.Join(notices, "\n"), "has been restarted 100 times") {
		t.Error(notices)
	}
}
