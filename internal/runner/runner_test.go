package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

func parse(t testing.TB, text string) *workloads.Workload {
	t.Helper()
	w, err := workloads.Parse("w.json", []byte(text), workloads.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func example(t testing.TB, name string) *workloads.Workload {
	t.Helper()
	data, err := workloads.Example(name)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data))
}

func flat(t testing.TB, n int) *topo.Topology {
	t.Helper()
	tp, err := topo.Flat(n)
	if err != nil {
		t.Fatal(err)
	}
	return tp
}

func mustRun(t testing.TB, o Options) *Result {
	t.Helper()
	res, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func group(t testing.TB, r *reports.Report, name string) reports.Group {
	t.Helper()
	for _, g := range r.Groups {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("no group %q", name)
	return reports.Group{}
}

// TestQueueingTheory: a queue of requests with exponential arrivals and service has the mean response that theory says.
func TestQueueingTheory(t *testing.T) {
	for _, tc := range []struct {
		name    string
		servers int
		period  string  // mean time between arrivals
		want    float64 // mean response in units of the mean service, 1 ms
	}{
		{"M/M/1 at 0.5", 1, "2ms", 2},
		{"M/M/1 at 0.8", 1, "1.25ms", 5},
		// Erlang C: 0.17391 at 4 servers and offered load 2, 0.59602 at 3.2; response 1 + C/(4-a).
		{"M/M/4 at 0.5", 4, "500us", 1 + 0.173913/2},
		{"M/M/4 at 0.8", 4, "312.5us", 1 + 0.596021/0.8},
	} {
		for _, scheduler := range []string{"fifo", "eevdf"} {
			t.Run(tc.name+" "+scheduler, func(t *testing.T) {
				// The arrivals have a CPU of their own; each server has one too, so the semaphore is the only queue.
				var servers strings.Builder
				for i := range tc.servers {
					fmt.Fprintf(&servers, `, "server%d": {"cpus": [%d], "sem_wait": "q", "run": 1000,
						"schedsim": {"run": {"dist": "exponential", "mean": "1ms"}}}`, i, i+1)
				}
				w := parse(t, `{"tasks": {"arrivals": {"cpus": [0], "timer": {"ref": "unique", "period": 1000, "mode": "absolute"}, "sem_post": "q",
					"schedsim": {"timer": {"dist": "exponential", "mean": "`+tc.period+`"}}}`+servers.String()+`}}`)
				res := mustRun(t, Options{Scheduler: scheduler, Workload: w, Topo: flat(t, 1+tc.servers), Duration: 60 * sim.Second, Seed: 3})
				got := float64(res.Report.Totals.Response.Mean) / 1e6
				if math.Abs(got-tc.want) > 0.06*tc.want {
					t.Errorf("mean response %.3f ms, theory says %.3f ms", got, tc.want)
				}
			})
		}
	}
}

// TestWeights: hogs under the baseline share one CPU in the proportion of their load weights.
func TestWeights(t *testing.T) {
	w := parse(t, `{"tasks": {"a": {"run": 10000}, "b": {"priority": 5, "run": 10000}}}`)
	r := mustRun(t, Options{Workload: w, Duration: 10 * sim.Second}).Report
	a := group(t, r, "a").Share
	if want := 1024.0 / (1024 + 335); math.Abs(a-want) > 0.01 {
		t.Errorf("share %.4f, want %.4f", a, want)
	}
	if r.Totals.Fairness == nil || *r.Totals.Fairness < 0.999 {
		t.Errorf("fairness %v, want 1", r.Totals.Fairness)
	}
}

// TestEnd: a run is as long as the options, the workload, or its tasks say, in this order.
func TestEnd(t *testing.T) {
	const ends = `"a": {"loop": 1, "run": 3000}`
	for _, tc := range []struct {
		name, in string
		limit    sim.Duration
		want     sim.Duration
	}{
		{"all tasks end", `{"tasks": {` + ends + `}}`, 0, 3 * sim.Millisecond},
		{"all tasks end before the limit", `{"tasks": {` + ends + `}}`, sim.Second, 3 * sim.Millisecond},
		{"the limit is first", `{"tasks": {` + ends + `}}`, sim.Millisecond, sim.Millisecond},
		{"the file says", `{"global": {"duration": 2}, "tasks": {"a": {"run": 1}}}`, 0, 2 * sim.Second},
		{"the file says, the options know better", `{"global": {"duration": 2}, "tasks": {"a": {"run": 1}}}`, sim.Second / 2, sim.Second / 2},
		{"nobody says", `{"tasks": {"a": {"run": 100, "sleep": 100}}}`, 0, sim.Second},
		{"a late task counts", `{"tasks": {` + ends + `, "b": {"delay": 10000, "loop": 1, "run": 1000}}}`, 0, 11 * sim.Millisecond},
		{"a forked task counts", `{"tasks": {"f": {"loop": 1, "run": 10, "fork": "c"}, "c": {"instance": 0, "loop": 1, "sleep": 5000}}}`, 0,
			5*sim.Millisecond + 10*sim.Microsecond},
		{"no tasks", `{"tasks": {}}`, 0, 0},
		{"waiting for ever", `{"tasks": {"a": {"loop": 1, "sem_wait": "s"}}}`, 5 * sim.Second, 5 * sim.Second},
	} {
		for _, scheduler := range []string{"eevdf", "fifo"} {
			t.Run(tc.name+" "+scheduler, func(t *testing.T) {
				r := mustRun(t, Options{Scheduler: scheduler, Workload: parse(t, tc.in), Topo: flat(t, 2), Duration: tc.limit}).Report
				if r.Info.Length != tc.want || r.Exit != nil {
					t.Errorf("simulated %v, exit %v, want %v", r.Info.Length, r.Exit, tc.want)
				}
			})
		}
	}
}

// broken is a policy that breaks in a chosen way.
type broken struct {
	open error
	set  func(env sched.Env, t *ops.Table)
}

func (*broken) Name() string { return "broken" }
func (*broken) Close() error { return nil }
func (b *broken) Open(e sched.Env) (*ops.Table, error) {
	t := &ops.Table{Name: "broken"}
	if b.set != nil {
		b.set(e, t)
	}
	return t, b.open
}

// refuse makes ops.init_task fail for the tasks of that name.
func refuse(comm string) func(sched.Env, *ops.Table) {
	return func(_ sched.Env, t *ops.Table) {
		t.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 {
			if t.Comm == comm {
				return -ext.ENOMEM
			}
			return 0
		}
	}
}

func TestRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.bpf.o")
	if err := os.WriteFile(text, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		o    Options
		load bool
		want string
	}{
		{"no object", Options{Scheduler: text}, true, "not an ELF file"},
		{"no file", Options{Scheduler: "none.bpf.o"}, false, "no such file"},
		{"no name", Options{Scheduler: "none"}, false, "not one of eevdf"},
		{"no kernel", Options{Kernel: "1.0"}, false, "not known"},
		{"open fails", Options{Policy: &broken{open: errors.New("no way")}}, true, "no way"},
		{"init fails", Options{Policy: &broken{set: func(_ sched.Env, t *ops.Table) { t.Init = func() int32 { return -12 } }}}, true,
			"ops.init() failed (-12)"},
		{"timeout", Options{Policy: &broken{set: func(_ sched.Env, t *ops.Table) { t.TimeoutMS = 60_000 }}}, true, "timeout_ms 60000"},
		{"a task", Options{Policy: &broken{set: refuse("low-4")}}, true, `ops.init_task refused a new task: task "low-4": cannot allocate memory`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.o.Workload = example(t, "hogs")
			_, err := Run(tc.o)
			var load *LoadError
			if err == nil || errors.As(err, &load) != tc.load || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v (%T), want %q, a LoadError: %v", err, err, tc.want, tc.load)
			}
		})
	}
}

// TestExit: when the policy ends by itself the run ends there, and the report says why.
func TestExit(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(e sched.Env, t *ops.Table)
		kind ops.ExitKind
		msg  string
	}{
		{"error", func(e sched.Env, t *ops.Table) {
			n := 0
			t.Stopping = func(*sim.Task, bool) {
				if n++; n == 3 {
					e.Kernel.ErrorBPF("enough")
				}
			}
		}, ops.ExitErrorBPF, "enough"},
		{"stall", func(_ sched.Env, t *ops.Table) {
			t.TimeoutMS = 1000
			t.Enqueue = func(*sim.Task, uint64) {}
		}, ops.ExitErrorStall, "failed to run"},
		{"time stands still", func(e sched.Env, t *ops.Table) {
			var tm sim.Timer
			tm.Fire = func(now sim.Time) {
				if e.Kernel.ExitInfo() == nil {
					e.Machine.Arm(&tm, 0, now)
				}
			}
			t.Running = func(*sim.Task) { e.Machine.Arm(&tm, 0, 5e6) }
		}, ops.ExitError, "soft lockup - CPU 0 stuck for 16s"},
		{"orderly", func(e sched.Env, t *ops.Table) {
			t.Tick = func(*sim.Task) { e.Kernel.ExitBPF(7, "done") }
		}, ops.ExitUnregBPF, "done"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			exits := 0
			p := &broken{set: func(e sched.Env, t *ops.Table) {
				tc.set(e, t)
				t.Exit = func(*ops.ExitInfo) { exits++ }
			}}
			r := mustRun(t, Options{Policy: p, Workload: example(t, "hogs"), Duration: 30 * sim.Second}).Report
			if r.Exit == nil || r.Exit.Kind != tc.kind || !strings.Contains(r.Exit.Message, tc.msg) {
				t.Fatalf("exit %+v", r.Exit)
			}
			if r.Info.Length != sim.Duration(r.Exit.AtNS) || r.Info.Length >= 30*sim.Second || exits != 1 {
				t.Errorf("simulated %v, exit at %v, ops.exit called %d times", r.Info.Length, r.Exit.AtNS, exits)
			}
		})
	}
}

// TestOrderlyEnd: a policy that was in charge until the end is told to go, and that is no exit of the run.
func TestOrderlyEnd(t *testing.T) {
	var kind ops.ExitKind
	p := &broken{set: func(_ sched.Env, t *ops.Table) { t.Exit = func(e *ops.ExitInfo) { kind = e.Kind } }}
	res := mustRun(t, Options{Policy: p, Workload: example(t, "hogs"), Duration: sim.Second})
	if kind != ops.ExitUnreg || res.Report.Exit != nil || res.Report.Info.Length != sim.Second {
		t.Errorf("kind %d, exit %+v, simulated %v", kind, res.Report.Exit, res.Report.Info.Length)
	}
}

// TestRepeats: the same options give the same bytes; another seed does not.
func TestRepeats(t *testing.T) {
	out := func(seed uint64) []byte {
		var b bytes.Buffer
		res := mustRun(t, Options{Scheduler: "rr", Workload: example(t, "requests"), Topo: flat(t, 4), Seed: seed, Costs: DefaultCosts(),
			Duration: 200 * sim.Millisecond, Trace: &b, Profile: &b})
		if err := reports.WriteJSON(&b, res.Report); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	a := out(1)
	if !bytes.Equal(a, out(1)) {
		t.Error("two runs with one seed differ")
	}
	if bytes.Equal(a, out(2)) {
		t.Error("two seeds give one run")
	}
}

// TestConservation holds for every scheduler and example: the tasks' time on CPUs is the CPUs' busy time, no CPU is busy for
// longer than the run, and what the reports count is what the records say.
func TestConservation(t *testing.T) {
	for _, scheduler := range Names() {
		for _, name := range workloads.Examples() {
			t.Run(scheduler+" "+name, func(t *testing.T) {
				var switches, work uint64
				last := sim.Time(0)
				r := mustRun(t, Options{Scheduler: scheduler, Workload: example(t, name), Topo: flat(t, 3), Costs: DefaultCosts(), Seed: 5,
					Duration: 300 * sim.Millisecond, Sink: sim.SinkFunc(func(r *sim.Record) {
						if r.At < last {
							t.Errorf("record at %v after %v", r.At, last)
						}
						last = r.At
						switch {
						case r.Kind == sim.KindSwitch:
							switches++
						case r.Kind == sim.KindMark && sim.MarkKind(r.Aux) == sim.MarkWork:
							work++
						}
					})}).Report
				var tasks, groups sim.Duration
				for _, k := range r.Tasks {
					tasks += k.CPUTime
				}
				for _, g := range r.Groups {
					groups += g.CPUTime
				}
				// Threads of the machine's own take no time.
				if tasks != r.Totals.CPUTime || groups != tasks {
					t.Errorf("tasks %v, groups %v, CPUs %v", tasks, groups, r.Totals.CPUTime)
				}
				for _, c := range r.CPUs {
					if c.Busy > r.Info.Length {
						t.Errorf("CPU %d was busy for %v of %v", c.CPU, c.Busy, r.Info.Length)
					}
				}
				if r.Totals.Switches != switches || r.Totals.Work != work || work == 0 {
					t.Errorf("%d switches, %d work; records say %d, %d", r.Totals.Switches, r.Totals.Work, switches, work)
				}
			})
		}
	}
}

// TestNames: every listed scheduler is one, and files are told from names.
func TestNames(t *testing.T) {
	names := Names()
	if names[0] != Baseline {
		t.Errorf("names %v", names)
	}
	for _, n := range names {
		if err := CheckScheduler(n); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]bool{"fifo": false, "x.o": true, "./fifo": true, "a/b": true, "x.bpf.o": true} {
		if IsObject(name) != want {
			t.Errorf("IsObject(%q) is %v", name, !want)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	for _, o := range []Options{{Trace: full{}}, {Profile: full{}}} {
		o.Workload = example(t, "hogs")
		o.Duration = sim.Millisecond
		if _, err := Run(o); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("got %v", err)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func ExampleRun() {
	w, err := workloads.Parse("two.json", []byte(`{"tasks": {
		"first":  {"loop": 1, "run": 10000},
		"second": {"loop": 1, "run": 10000}
	}}`), workloads.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := Run(Options{Scheduler: "fifo", Workload: w})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range res.Report.Tasks {
		fmt.Println(t.Comm, reports.Dur(t.Response.Max))
	}
	// Output:
	// first-0 10.00 ms
	// second-1 20.00 ms
}

// BenchmarkRun is a whole simulation: events and simulated time per second.
func BenchmarkRun(b *testing.B) {
	for _, scheduler := range []string{"eevdf", "fifo", "vtime"} {
		b.Run("sched="+scheduler, func(b *testing.B) {
			b.ReportAllocs()
			var events uint64
			for b.Loop() {
				res := mustRun(b, Options{Scheduler: scheduler, Workload: example(b, "pingpong"), Topo: flat(b, 4), Duration: sim.Second,
					Costs: DefaultCosts()})
				events = res.Events
			}
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
