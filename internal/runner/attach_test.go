package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// actions are the texts of a report's timeline, those that were refused marked.
func actions(r *reports.Report) (out []string) {
	for _, e := range r.Timeline {
		text := fmt.Sprintf("%v %s", e.AtNS, e.Text)
		if e.Refused {
			text = "refused " + text
		}
		out = append(out, text)
	}
	return out
}

// tenuresOf are who was in charge from when to when.
func tenuresOf(r *reports.Report) (out []string) {
	for _, s := range r.Schedulers {
		to := "end"
		if s.Exit != nil {
			to = fmt.Sprintf("%v %s", s.Exit.AtNS, s.Exit.Name)
		}
		out = append(out, fmt.Sprintf("%s %v %s", s.Scheduler, s.FromNS, to))
	}
	return out
}

// TestAttach: the timeline takes schedulers of all kinds in and out of charge, and the run goes on.
func TestAttach(t *testing.T) {
	object, err := filepath.Abs("../../examples/bpf/simple.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, scheduler, timeline string
		actions, tenures          []string
	}{
		{name: "from the fair class and back", timeline: `{"at": "200ms", "do": "attach", "scheduler": "rr"}, {"at": "300ms", "do": "detach"}`,
			actions: []string{"200ms attach rr", "300ms detach"}, tenures: []string{"rr 200ms 300ms SCX_EXIT_UNREG"}},
		{name: "the same again", scheduler: object, timeline: `{"at": "200ms", "do": "detach"}, {"at": "300ms", "do": "attach"}`,
			actions: []string{"200ms detach", "300ms attach the scheduler of the run"}, tenures: []string{"simple 0s 200ms SCX_EXIT_UNREG", "simple 300ms end"}},
		{name: "replaced", scheduler: object, timeline: `{"at": "200ms", "do": "replace", "scheduler": "vtime"}, {"at": "300ms", "do": "replace"}`,
			actions: []string{"200ms replace by vtime", "300ms replace by the scheduler of the run"},
			tenures: []string{"simple 0s 200ms SCX_EXIT_UNREG", "vtime 200ms 300ms SCX_EXIT_UNREG", "simple 300ms end"}},
		{name: "refused", scheduler: "fifo", timeline: `{"at": "200ms", "do": "attach", "scheduler": "rr"}, {"at": "300ms", "do": "detach", "cgroup": "/jobs"},
			{"at": "400ms", "do": "attach", "scheduler": "rr", "cgroup": "/jobs"}, {"at": "500ms", "do": "detach"}, {"at": "600ms", "do": "detach"}`,
			actions: []string{"refused 200ms attach rr: device or resource busy (another scheduler is enabled)",
				"refused 300ms detach at /jobs: no such file or directory (the cgroup has no scheduler)",
				`refused 400ms attach rr at /jobs: policy "rr": scheduler "fifo" takes no sub-schedulers`, "500ms detach",
				"refused 600ms detach: no such file or directory (no scheduler is enabled)"},
			tenures: []string{"fifo 0s 500ms SCX_EXIT_UNREG"}},
		{name: "nothing to attach", timeline: `{"at": "200ms", "do": "attach"}`, actions: []string{"refused 200ms attach the scheduler of the run: eevdf is no sched_ext scheduler"}},
		{name: "again and again", timeline: `{"at": "100ms", "every": "100ms", "times": 3, "do": "attach", "scheduler": "fifo"},
			{"at": "150ms", "every": "100ms", "times": 3, "do": "detach"}`,
			actions: []string{"100ms attach fifo", "150ms detach", "200ms attach fifo", "250ms detach", "300ms attach fifo", "350ms detach"},
			tenures: []string{"fifo 100ms 150ms SCX_EXIT_UNREG", "fifo 200ms 250ms SCX_EXIT_UNREG", "fifo 300ms 350ms SCX_EXIT_UNREG"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := mustRun(t, Options{Workload: parse(t, jobs(tc.timeline)), Topo: flat(t, 4), Scheduler: tc.scheduler})
			r := res.Report
			if r.Exit != nil || r.Info.Length != sim.Second {
				t.Errorf("ended: %+v, %v", r.Exit, r.Info.Length)
			}
			if d := cmp.Diff(tc.actions, actions(r)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if d := cmp.Diff(tc.tenures, tenuresOf(r)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			for _, g := range r.Groups {
				if g.Share < 0.2 {
					t.Errorf("%s ran for %.2f of a CPU", g.Name, g.Share)
				}
			}
			again := mustRun(t, Options{Workload: parse(t, jobs(tc.timeline)), Topo: flat(t, 4), Scheduler: tc.scheduler})
			if d := cmp.Diff(r, again.Report); d != "" {
				t.Errorf("another run: %s", d)
			}
		})
	}
}

// TestAttachSubs: sub-schedulers come and go while their tasks run, and go with their parent.
func TestAttachSubs(t *testing.T) {
	object, err := filepath.Abs("../../sched/bpf/testdata/sub.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	timeline := fmt.Sprintf(`{"at": "100ms", "do": "attach", "scheduler": "fifo", "cgroup": "/jobs"},
		{"at": "300ms", "do": "replace", "scheduler": %q, "cgroup": "/jobs"}, {"at": "500ms", "do": "detach", "cgroup": "/jobs"},
		{"at": "550ms", "do": "detach", "cgroup": "/jobs"},
		{"at": "700ms", "do": "attach", "scheduler": %[1]q, "cgroup": "/jobs"}, {"at": "800ms", "do": "detach"}, {"at": "900ms", "do": "attach"}`, object)
	r := mustRun(t, Options{Workload: parse(t, jobs(timeline)), Topo: flat(t, 4), Scheduler: cidObject}).Report
	var got []string
	for _, s := range r.Subs {
		got = append(got, fmt.Sprintf("%s of %s %v %v %s", s.Scheduler, s.Cgroup, s.FromNS, s.Exit.AtNS, s.Exit.Name))
	}
	want := []string{"fifo of /jobs 100ms 300ms SCX_EXIT_UNREG", "sub of /jobs 300ms 500ms SCX_EXIT_UNREG", "sub of /jobs 700ms 800ms SCX_EXIT_PARENT"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"cid 0s 800ms SCX_EXIT_UNREG", "cid 900ms end"}, tenuresOf(r)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if refused := slices.DeleteFunc(actions(r), func(s string) bool { return !strings.HasPrefix(s, "refused") }); len(refused) != 1 {
		t.Errorf("%q", refused)
	}
	for _, g := range r.Groups {
		if g.Share < 0.2 {
			t.Errorf("%s ran for %.2f of a CPU", g.Name, g.Share)
		}
	}
	var text strings.Builder
	if err := r.WriteText(&text, reports.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nsub-scheduler sub of /jobs, from 700.0 ms\nEXIT: parent exiting\n", "    0 ns  800.0 ms  cid        unregistered from user space\n",
		"900.0 ms         -  cid        in charge until the end\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

// TestAttachEnds: a scheduler of the timeline that goes wrong ends the run, as the first one does; one that cannot be loaded is an
// error, with its place.
func TestAttachEnds(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	errorsObject, err := os.ReadFile("../../sched/bpf/testdata/lab/errors.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	scribble, err := os.ReadFile("../../sched/bpf/testdata/scribble.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	write("errors.bpf.o", string(errorsObject))
	write("scribble.bpf.o", string(scribble))
	write("text.bpf.o", "no object")
	attach := func(scheduler string) Options {
		w := parse(t, jobs(fmt.Sprintf(`{"at": "100ms", "do": "attach", "scheduler": %q}`, scheduler)))
		w.Name = filepath.Join(dir, "w.json") // where paths begin
		return Options{Workload: w, Topo: flat(t, 2)}
	}
	hotplug := `{"at": "100ms", "do": "attach", "scheduler": "fifo"}, {"at": "200ms", "do": "offline", "cpus": 1}`
	r := mustRun(t, Options{Workload: parse(t, jobs(hotplug)), Topo: flat(t, 2)}).Report
	if r.Exit == nil || r.Exit.Kind != ops.ExitUnregKern || r.Exit.AtNS != 200_000_000 || len(r.Schedulers) != 1 || r.Schedulers[0].Exit != r.Exit {
		t.Errorf("%+v, %+v", r.Exit, r.Schedulers)
	}
	r = mustRun(t, attach("errors.bpf.o:init_fails")).Report
	if r.Exit != nil || len(r.Timeline) != 1 || !strings.HasSuffix(r.Timeline[0].Text, "runtime error: ops.init() failed (-12)") {
		t.Errorf("%+v, %+v", r.Exit, r.Timeline)
	}
	var load *LoadError
	if _, err = Run(attach("scribble.bpf.o")); !errors.As(err, &load) || !strings.Contains(err.Error(), "w.json:") || !strings.Contains(err.Error(), "cannot write into ptr_task_struct") {
		t.Errorf("got %v", err)
	}
	for scheduler, want := range map[string]string{
		"eevdf":             "eevdf is no sched_ext scheduler",
		"nope":              `scheduler "nope": not one of`,
		"none.bpf.o":        "no such file",
		"text.bpf.o":        "text.bpf.o",
		"errors.bpf.o:none": "none",
		"errors.bpf.o":      "schedulers",
	} {
		_, err := Run(attach(scheduler))
		var at *rtapp.Error
		if !errors.As(err, &at) || at.Pos.Line == 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", scheduler, err, want)
		}
	}
}

// TestServers: what the classes below are left by a real-time hog is what the files of their servers say.
func TestServers(t *testing.T) {
	for _, tc := range []struct {
		name, scheduler, timeline string
		share                     float64 // of the task that is starved, in the second of two seconds
	}{
		{"fair", Baseline, "", 0.05},
		{"fair gets more", Baseline, `{"at": "500ms", "do": "fair_server", "cpus": 0, "runtime": "200ms"}`, 0.2},
		{"fair gets it in short periods", Baseline, `{"at": "0s", "do": "fair_server", "cpus": 0, "runtime": "10ms", "period": "100ms"}`, 0.1},
		{"fair gets nothing", Baseline, `{"at": "0s", "do": "fair_server", "cpus": 0, "runtime": "0s"}`, 0},
		{"sched_ext", "fifo", "", 0.05},
		{"sched_ext gets more", "fifo", `{"at": "0s", "do": "ext_server", "cpus": "0", "runtime": "50ms", "period": "200ms"}`, 0.25},
		{"the wrong file", "fifo", `{"at": "0s", "do": "fair_server", "cpus": "0", "runtime": "50ms", "period": "200ms"}`, 0.05},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := parse(t, fmt.Sprintf(`{"tasks": {
				"rt": {"loop": -1, "policy": "SCHED_FIFO", "priority": 5, "run": 1000000},
				"low": {"loop": -1, "run": 1000}},
			"global": {"duration": 2, "schedsim": {"timeline": [%s]}}}`, tc.timeline))
			var ran sim.Duration
			var from sim.Time
			sink := sim.SinkFunc(func(rec *sim.Record) {
				if rec.Kind != sim.KindSwitch || rec.At < sim.Time(sim.Second) {
					return
				}
				if rec.Task == 2 {
					from = rec.At
				} else if rec.A == 2 && from > 0 {
					ran += rec.At.Sub(from)
				}
			})
			r := mustRun(t, Options{Workload: w, Topo: flat(t, 1), Scheduler: tc.scheduler, Sink: sink}).Report
			for _, e := range r.Timeline {
				if e.Refused {
					t.Error(e.Text)
				}
			}
			if got := ran.Seconds(); got < tc.share-0.012 || got > tc.share+0.012 {
				t.Errorf("%.3f of a CPU, want %.2f", got, tc.share)
			}
		})
	}
}
