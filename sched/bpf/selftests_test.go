package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
)

// The kernel's own tests of sched_ext (tools/testing/selftests/sched_ext, 7.2): its schedulers, compiled unmodified, with
// user-space halves of our own that do what the kernel's do and expect what was recorded of a real kernel: exit kinds, codes,
// messages, counters, and what does not load.

// kernelObject is the path of one of the objects; the test is skipped where they are not.
func kernelObject(t *testing.T, name string) string {
	t.Helper()
	dirs := filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS"))
	if home, err := os.UserHomeDir(); err == nil {
		made := filepath.Join(home, ".cache/schedsim/linux-7.2")
		dirs = append(dirs, filepath.Join(made, "selftests"), filepath.Join(made, "obj"))
	}
	path, ok := findObject(dirs, name)
	if !ok {
		t.Skipf("%s.bpf.o is neither in SCHEDSIM_OBJECTS nor in ~/.cache/schedsim/linux-7.2: run scripts/kernel-objects", name)
	}
	return path
}

// findObject is the path of an object in the first folder that has it.
func findObject(dirs []string, name string) (path string, ok bool) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name+".bpf.o")
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
	}
	return "", false
}

// selftest is one scheduler on one machine.
type selftest struct {
	*rig
	p *Policy
}

func (r *rig) selftest(name string, o Options) *selftest {
	r.t.Helper()
	path := kernelObject(r.t, name)
	base := r.options("")
	o.Kernel, o.Mem, o.Engine = base.Kernel, base.Mem, base.Engine
	p, err := New(path, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return &selftest{r, p}
}

// attach loads and attaches; an error is that of attaching.
func (s *selftest) attach() error {
	s.t.Helper()
	tbl, err := s.p.Open(sched.Env{Machine: s.m, Kernel: s.k})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := s.p.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return s.k.Enable(tbl)
}

func (s *selftest) mustAttach() {
	s.t.Helper()
	if err := s.attach(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *selftest) detach() { s.k.Disable(ops.ExitUnreg) }

// u64 reads an integer variable of the scheduler.
func (s *selftest) u64(name string) uint64 {
	s.t.Helper()
	b, err := s.p.Global(name)
	if err != nil {
		s.t.Fatal(err)
	}
	var w [8]byte
	copy(w[:], b)
	return binary.LittleEndian.Uint64(w[:])
}

func (s *selftest) set(name string, v uint64) {
	s.t.Helper()
	b, err := s.p.Global(name)
	if err != nil {
		s.t.Fatal(err)
	}
	var w [8]byte
	binary.LittleEndian.PutUint64(w[:], v)
	copy(b, w[:])
}

// exits fails unless the scheduler ended with kind, code and message ("": any); ops.ExitNone: it did not end.
func (s *selftest) exits(kind ops.ExitKind, code int64, msg string) {
	s.t.Helper()
	e := s.k.ExitInfo()
	if kind == ops.ExitNone {
		if e != nil {
			s.t.Errorf("the scheduler ended: kind %d, code %#x, %q", e.Kind, e.ExitCode, e.Msg)
		}
		return
	}
	switch {
	case e == nil:
		s.t.Errorf("the scheduler has not ended, want kind %d", kind)
	case e.Kind != kind || e.ExitCode != code || msg != "" && e.Msg != msg:
		s.t.Errorf("exit kind %d, code %#x, message %q, want %d, %#x, %q", e.Kind, e.ExitCode, e.Msg, kind, code, msg)
	}
}

// noise is what runs on any machine: short tasks that wake often, also on one CPU only.
func (r *rig) noise() {
	r.t.Helper()
	n := r.m.NrCPUs()
	for i := range 3 * n {
		s := sim.TaskSpec{Comm: fmt.Sprint("noise", i), Behavior: periodic(300*sim.Microsecond, sim.Duration(1+i)*sim.Millisecond)}
		if i%3 == 2 {
			s.CPUs = []sim.CPU{sim.CPU(i % n)}
			s.KThread = true
		}
		r.spawn(s)
	}
}

// once runs the steps and exits.
type stepList struct {
	steps []sim.Step
	next  int
}

func (l *stepList) Next(*sim.Task, sim.Time) sim.Step {
	if l.next == len(l.steps) {
		return sim.Step{Kind: sim.StepExit}
	}
	l.next++
	return l.steps[l.next-1]
}

func once(steps ...sim.Step) sim.Behavior { return &stepList{steps: steps} }

// children forks n tasks that sleep for a second and exit, as several of the kernel's tests do.
func (r *rig) children(comm string, n int) []*sim.Task {
	r.t.Helper()
	var out []*sim.Task
	for range n {
		t, err := r.m.Spawn(sim.TaskSpec{Comm: comm, Behavior: once(
			sim.Step{Kind: sim.StepRun, Dur: 100 * sim.Microsecond},
			sim.Step{Kind: sim.StepSleep, Dur: sim.Second},
			sim.Step{Kind: sim.StepRun, Dur: 100 * sim.Microsecond})})
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, t)
	}
	return out
}

// on makes a rig on which the usual noise runs.
func on(t *testing.T, topo string) *rig {
	t.Helper()
	r := newRig(t, rigConfig{quiet: true, topo: topo})
	r.noise()
	return r
}

const threeCPUs = "1n1l3c1t"

func TestSelftestSimple(t *testing.T) {
	second := func(s *selftest) { s.run(sim.Second) }
	cpus := map[string]any{"nr_cpus": 3}
	for _, tc := range []struct {
		name    string
		topo    string
		globals map[string]any
		kind    ops.ExitKind
		msg     string
		refused bool // Attach fails; the kernel gives a link and the exit tells
		run     func(s *selftest)
		detach  bool
	}{
		{name: "create_dsq"},
		{name: "ddsp_bogus_dsq_fail", kind: ops.ExitError, msg: "non-existent DSQ 0xcafef00d", run: second},
		{name: "ddsp_vtimelocal_fail", kind: ops.ExitError, msg: "cannot use vtime ordering for built-in DSQs", run: second},
		{name: "dsp_local_on", globals: cpus, kind: ops.ExitUnreg, run: second, detach: true},
		{name: "enq_last_no_enq_fails", kind: ops.ExitError, msg: "SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented", refused: true},
		{name: "maximal", kind: ops.ExitUnreg, run: second, detach: true},
		{name: "minimal", kind: ops.ExitUnreg, run: second, detach: true},
		{name: "numa", topo: "2n1l2c1t", globals: map[string]any{"__COMPAT_SCX_PICK_IDLE_IN_NODE": 2}, run: second},
		{name: "select_cpu_dispatch_bad_dsq", kind: ops.ExitError, msg: "non-existent DSQ 0xcafef00d", run: second},
		{name: "select_cpu_dispatch_dbl_dsp", kind: ops.ExitError, msg: "* already direct-dispatched", run: second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.topo == "" {
				tc.topo = threeCPUs
			}
			var members []Member
			if tc.name == "numa" { // as the kernel's user-space half does
				members = []Member{{"flags", "SCX_OPS_BUILTIN_IDLE_PER_NODE"}}
			}
			s := on(t, tc.topo).selftest(tc.name, Options{Globals: tc.globals, Members: members})
			if err := s.attach(); (err != nil) != tc.refused {
				t.Fatalf("attach: %v", err)
			}
			if tc.run != nil {
				tc.run(s)
			}
			if tc.detach {
				s.exits(ops.ExitNone, 0, "")
				s.detach()
			}
			if suffix, ok := strings.CutPrefix(tc.msg, "*"); ok {
				tc.msg = ""
				if e := s.k.ExitInfo(); e != nil && !strings.HasSuffix(e.Msg, suffix) {
					t.Errorf("message %q, want %q at its end", e.Msg, suffix)
				}
			}
			s.exits(tc.kind, 0, tc.msg)
		})
	}
}

// testRun runs a syscall program with a context, as bpf_prog_test_run_opts does.
func (s *selftest) testRun(prog string, ctx []byte) int32 {
	s.t.Helper()
	ret, err := s.p.RunSyscall(prog, ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return ret
}

func TestSelftestSelectCPUFromUser(t *testing.T) {
	for _, name := range []string{"allowed_cpus", "enq_select_cpu"} {
		t.Run(name, func(t *testing.T) {
			r := on(t, threeCPUs)
			s := r.selftest(name, Options{})
			s.mustAttach()
			s.run(10 * sim.Millisecond)
			var task *sim.Task
			r.m.Tasks(func(t *sim.Task) {
				if t.OnCPU || task == nil {
					task = t
				}
			})
			// The kernel's test takes any CPU or -EBUSY for an answer.
			got := s.testRun("select_cpu_from_user", binary.LittleEndian.AppendUint32(nil, uint32(task.PID)))
			if got < 0 && got != -16 || got >= 3 {
				t.Errorf("select_cpu_from_user: %d", got)
			}
			if got := s.testRun("select_cpu_from_user", binary.LittleEndian.AppendUint32(nil, 1<<20)); got != -22 {
				t.Errorf("select_cpu_from_user of no task: %d, want -22", got)
			}
			s.run(sim.Second)
			s.exits(ops.ExitNone, 0, "")
		})
	}
}

func TestSelftestProgRun(t *testing.T) {
	s := on(t, threeCPUs).selftest("prog_run", Options{})
	s.mustAttach()
	if ret := s.testRun("prog_run_syscall", nil); ret != 0 {
		t.Errorf("prog_run_syscall returned %d", ret)
	}
	s.run(sim.Millisecond)
	s.exits(ops.ExitUnregBPF, 0xdeadbeef, "Exited from PROG_RUN")
}

func TestSelftestCyclicKickWait(t *testing.T) {
	r := newRig(t, rigConfig{quiet: true, topo: threeCPUs})
	s := r.selftest("cyclic_kick_wait", Options{Globals: map[string]any{"test_cpu_a": 0, "test_cpu_b": 1, "test_cpu_c": 2}})
	s.mustAttach()
	for i := range 12 { // four for each CPU, which do nothing but yield
		r.spawn(sim.TaskSpec{Comm: fmt.Sprint("worker", i), CPUs: []sim.CPU{sim.CPU(i / 4)},
			Behavior: &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: 20 * sim.Microsecond}, {Kind: sim.StepYield}}}})
	}
	s.run(5 * sim.Second)
	s.exits(ops.ExitNone, 0, "")
	if s.u64("nr_wait_kicks") == 0 {
		t.Error("no kick waited")
	}
}

func TestSelftestExit(t *testing.T) {
	for point, name := range []string{"select_cpu", "enqueue", "dispatch", "enable", "init_task", "init"} {
		t.Run(name, func(t *testing.T) {
			s := on(t, threeCPUs).selftest("exit", Options{Globals: map[string]any{"exit_point": point}})
			_ = s.attach() // the exit may come before attaching is done
			s.run(sim.Second)
			s.exits(ops.ExitUnregBPF, int64(point), fmt.Sprint(point))
		})
	}
}

// TestSelftestDequeue: seven ways to place tasks, under tasks that run and sleep while their affinity changes.
func TestSelftestDequeue(t *testing.T) {
	for scenario, custody := range []bool{false, false, true, false, false, true, true} {
		t.Run(fmt.Sprint("scenario ", scenario), func(t *testing.T) {
			r := newRig(t, rigConfig{quiet: true, topo: "1n1l4c1t"})
			s := r.selftest("dequeue", Options{Globals: map[string]any{"test_scenario": scenario}})
			s.mustAttach()
			var workers []*sim.Task
			for i := range 8 {
				task, err := r.m.Spawn(sim.TaskSpec{Comm: fmt.Sprint("worker", i),
					Behavior: &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: 400 * sim.Microsecond},
						{Kind: sim.StepSleep, Dur: sim.Duration(1000+100*i) * sim.Microsecond}}}})
				if err != nil {
					t.Fatal(err)
				}
				workers = append(workers, task)
			}
			for i := range 5000 {
				if err := r.m.SetAffinity(workers[i%8], []sim.CPU{sim.CPU(i / 8 % 4)}); err != nil {
					t.Fatal(err)
				}
				s.run(100 * sim.Microsecond)
			}
			s.run(sim.Second)
			s.exits(ops.ExitNone, 0, "")
			s.detach()
			s.exits(ops.ExitUnreg, 0, "")
			enq, deq := s.u64("enqueue_cnt"), s.u64("dequeue_cnt")
			dispatch, change := s.u64("dispatch_dequeue_cnt"), s.u64("change_dequeue_cnt")
			switch {
			case !custody && (enq != 0 || deq != 0 || dispatch != 0 || change != 0):
				t.Errorf("%d enqueues, %d dequeues (%d, %d) though the task never was the policy's", enq, deq, dispatch, change)
			case custody && (enq == 0 || enq != deq || dispatch+change != deq || change == 0):
				t.Errorf("%d enqueues, %d dequeues (%d dispatched, %d changed)", enq, deq, dispatch, change)
			}
		})
	}
}

func TestSelftestInitEnableCount(t *testing.T) {
	const preForks, children = 1024, 5
	for _, global := range []bool{true, false} {
		t.Run(fmt.Sprintf("global %v", global), func(t *testing.T) {
			r := newRig(t, rigConfig{quiet: true, topo: threeCPUs})
			var members []Member
			if !global {
				members = []Member{{"flags", "SCX_OPS_SWITCH_PARTIAL"}}
			}
			s := r.selftest("init_enable_count", Options{Members: members})
			gate := &sim.WaitQueue{}
			for range preForks {
				r.spawn(sim.TaskSpec{Comm: "pre", Behavior: once(sim.Step{Kind: sim.StepWait, Queue: gate})})
			}
			r.run(100 * sim.Millisecond)
			tbl, err := s.p.Open(sched.Env{Machine: r.m, Kernel: r.k})
			if err != nil {
				t.Fatal(err)
			}
			defer s.p.Close()
			if err := r.k.Enable(tbl); err != nil {
				t.Fatal(err)
			}
			r.m.WakeQueue(gate, 0, 0)
			s.detach()
			if a, b := s.u64("init_task_cnt"), s.u64("exit_task_cnt"); a < preForks || b < preForks {
				t.Errorf("init_task %d, exit_task %d, want at least %d", a, b, preForks)
			}
			r.run(100 * sim.Millisecond)
			enable, disable := s.u64("enable_cnt"), s.u64("disable_cnt")
			forks := s.u64("init_fork_cnt")
			if err := r.k.Enable(tbl); err != nil {
				t.Fatal(err)
			}
			for i := range children {
				steps := []sim.Step{{Kind: sim.StepSetScheduler, Sched: &sim.SchedParams{Policy: sim.PolicyExt}}}
				if i%2 == 0 {
					steps = append(steps, sim.Step{Kind: sim.StepSetScheduler, Sched: &sim.SchedParams{}})
				}
				r.spawn(sim.TaskSpec{Comm: "ext", Behavior: once(steps...)})
			}
			for range children {
				r.spawn(sim.TaskSpec{Comm: "other", Behavior: once()})
			}
			r.run(100 * sim.Millisecond)
			s.exits(ops.ExitNone, 0, "")
			s.detach()
			enable, disable = s.u64("enable_cnt")-enable, s.u64("disable_cnt")-disable
			switch {
			case global && (enable < 2*children || disable < 2*children):
				t.Errorf("enable %d, disable %d, want at least %d", enable, disable, 2*children)
			case !global && (enable != children || disable != children):
				t.Errorf("enable %d, disable %d, want %d", enable, disable, children)
			}
			if tr, f := s.u64("init_transition_cnt"), s.u64("init_fork_cnt"); tr <= f || f-forks < 2*children {
				t.Errorf("init_task for %d tasks that were there and %d forks", tr, f)
			}
		})
	}
}

// TestSelftestRefused: objects that do not load, and why.
func TestSelftestRefused(t *testing.T) {
	for _, tc := range []struct{ name, text string }{
		{"maybe_null_fail_dsp", "trusted_ptr_or_null_"},
		{"maybe_null_fail_yld", "trusted_ptr_or_null_"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigConfig{quiet: true, topo: threeCPUs})
			path := kernelObject(t, tc.name)
			p, err := New(path, r.options(""))
			if err == nil {
				_, err = p.Open(sched.Env{Machine: r.m, Kernel: r.k})
				p.Close()
			}
			if err == nil {
				t.Fatal("loaded")
			}
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("refused because of %q, want %q in it", err, tc.text)
			}
		})
	}
	// A program of another struct_ops calls a kernel function of sched_ext: its object is no scheduler, so the check alone is
	// asked.
	t.Run("non_scx_kfunc_deny", func(t *testing.T) {
		data, err := os.ReadFile(kernelObject(t, "non_scx_kfunc_deny"))
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, rigConfig{quiet: true, topo: threeCPUs})
		obj, err := elf.Read("non_scx_kfunc_deny.bpf.o", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		linked, err := link.Link(obj, Target(r.kernel), link.Options{FillEnums: true})
		if err != nil {
			t.Fatal(err)
		}
		denied := 0
		for _, p := range linked.Programs {
			if err := kfuncs.Check(p, kfuncs.ForeignStructOps("tcp_congestion_ops", false)); err != nil {
				denied++
				if !strings.Contains(err.Error(), "not allowed in struct tcp_congestion_ops") {
					t.Errorf("denied because of %q", err)
				}
			}
		}
		if denied == 0 {
			t.Error("no program was denied")
		}
	})
	t.Run("maybe_null", func(t *testing.T) {
		s := on(t, threeCPUs).selftest("maybe_null", Options{})
		s.mustAttach()
		s.run(sim.Second)
		s.exits(ops.ExitNone, 0, "")
	})
}

// TestSelftestNohzTick: ticks come to a task with a finite slice also after one whose slice was infinite.
func TestSelftestNohzTick(t *testing.T) {
	r := newRig(t, rigConfig{quiet: true, topo: threeCPUs})
	s := r.selftest("nohz_tick", Options{Globals: map[string]any{"test_cpu": 1}, Members: []Member{{"flags", "SCX_OPS_SWITCH_PARTIAL|SCX_OPS_ENQ_LAST"}}})
	s.mustAttach()
	gate := &sim.WaitQueue{}
	worker := func() *sim.Task {
		w, err := r.m.Spawn(sim.TaskSpec{Comm: "worker", Policy: sim.PolicyExt, CPUs: []sim.CPU{1},
			Behavior: &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: 200 * sim.Millisecond}, {Kind: sim.StepWait, Queue: gate}}}})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	worker()
	r.run(300 * sim.Millisecond)
	if s.u64("nr_inf_running") == 0 {
		t.Fatal("the worker with an infinite slice did not run")
	}
	s.set("finite_phase", 1)
	for range 2 {
		ticks, running := s.u64("nr_finite_ticks"), s.u64("nr_finite_running")
		worker()
		r.run(300 * sim.Millisecond)
		if d := s.u64("nr_finite_ticks") - ticks; d < 10 {
			t.Errorf("%d ticks in 200 ms", d)
		}
		if s.u64("nr_finite_running") == running {
			t.Error("the worker did not run")
		}
	}
	s.exits(ops.ExitNone, 0, "")
}

func TestSelftestPeekDSQ(t *testing.T) {
	r := newRig(t, rigConfig{quiet: true, topo: threeCPUs})
	s := r.selftest("peek_dsq", Options{})
	s.mustAttach()
	for i := range 8 {
		r.spawn(sim.TaskSpec{Comm: fmt.Sprint("worker", i), Behavior: &loop{steps: []sim.Step{
			{Kind: sim.StepRun, Dur: sim.Duration(300+10*i) * sim.Microsecond}, {Kind: sim.StepSleep, Dur: 500 * sim.Microsecond}}}})
	}
	s.run(3 * sim.Second)
	s.exits(ops.ExitNone, 0, "")
	s.detach()
	s32 := func(name string) int32 { return int32(s.u64(name)) }
	switch {
	case s32("insert_test_cpu") == -1:
		t.Error("nothing was inserted")
	case s32("dsq_peek_result1") != 0:
		t.Errorf("peek at an empty queue: %d", s32("dsq_peek_result1"))
	case s.u64("dsq_peek_result2") != s.u64("dsq_peek_result2_expected"):
		t.Errorf("peek after an insertion: %#x, want %#x", s.u64("dsq_peek_result2"), s.u64("dsq_peek_result2_expected"))
	case s.u64("dsq_peek_result2_pid") != s.u64("dsq_inserted_pid"):
		t.Errorf("peek found pid %d, inserted was %d", s.u64("dsq_peek_result2_pid"), s.u64("dsq_inserted_pid"))
	case s.u64("debug_ksym_exists")&0xff != 1 || int64(s.u64("successful_peeks")) <= 0:
		t.Errorf("%d of %d peeks found a task", int64(s.u64("successful_peeks")), int64(s.u64("total_peek_attempts")))
	}
}

// TestSelftestReloadLoop: a scheduler can be attached and detached again and again; a second one at the same time is refused.
func TestSelftestReloadLoop(t *testing.T) {
	s := on(t, threeCPUs).selftest("maximal", Options{})
	tbl, err := s.p.Open(sched.Env{Machine: s.m, Kernel: s.k})
	if err != nil {
		t.Fatal(err)
	}
	defer s.p.Close()
	for i := range 1024 {
		if err := s.k.Enable(tbl); err != nil {
			t.Fatal(err)
		}
		if err := s.k.Enable(tbl); err == nil {
			t.Fatal("attached twice")
		}
		if i%8 == 0 {
			s.run(sim.Millisecond)
		}
		s.detach()
		s.exits(ops.ExitUnreg, 0, "")
	}
}

// TestSelftestRTStall: a real-time hog leaves a task of sched_ext, or a fair one, at least 4 %.
func TestSelftestRTStall(t *testing.T) {
	r := newRig(t, rigConfig{quiet: true, topo: threeCPUs})
	s := r.selftest("rt_stall", Options{})
	tbl, err := s.p.Open(sched.Env{Machine: r.m, Kernel: r.k})
	if err != nil {
		t.Fatal(err)
	}
	defer s.p.Close()
	for round := range 4 {
		policy := sim.PolicyNormal
		if round%2 == 1 {
			policy = sim.PolicyExt
			if err := r.k.Enable(tbl); err != nil {
				t.Fatal(err)
			}
		}
		const length = 5 * sim.Second
		run := func(spec sim.TaskSpec) *sim.Task {
			spec.CPUs, spec.Behavior = []sim.CPU{2}, once(sim.Step{Kind: sim.StepRunWall, Dur: length}, sim.Step{Kind: sim.StepSleep, Dur: sim.Second})
			task, err := r.m.Spawn(spec)
			if err != nil {
				t.Fatal(err)
			}
			return task
		}
		low := run(sim.TaskSpec{Comm: "low", Policy: policy})
		run(sim.TaskSpec{Comm: "fifo", Policy: sim.PolicyFIFO, RTPrio: 50})
		r.run(length)
		if share := float64(r.m.CPUTime(low)) / float64(length); share < 0.04 {
			t.Errorf("round %d: %.4f, want at least 0.04", round, share)
		}
		if round%2 == 1 {
			s.exits(ops.ExitNone, 0, "")
			s.detach()
		}
		r.run(2 * sim.Second)
	}
}

func TestSelftestSelectCPU(t *testing.T) {
	const n = 1028
	for _, tc := range []struct {
		name  string
		check func(s *selftest)
	}{
		{"select_cpu_dfl", func(s *selftest) {
			if s.u64("saw_local")&1 != 0 {
				s.t.Error("enqueue saw a task whose CPU is idle")
			}
		}},
		{"select_cpu_dfl_nodispatch", func(s *selftest) {
			if s.u64("saw_local")&1 != 1 {
				s.t.Error("enqueue never saw a task for which select_cpu found an idle CPU")
			}
		}},
		{"select_cpu_dispatch", func(*selftest) {}},
		{"select_cpu_vtime", func(s *selftest) {
			if s.u64("consumed")&1 != 1 {
				s.t.Error("nothing was consumed")
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := on(t, threeCPUs)
			s := r.selftest(tc.name, Options{})
			s.mustAttach()
			kids := r.children("select_cpu", n)
			s.run(3 * sim.Second)
			if left := slices.IndexFunc(kids, func(t *sim.Task) bool { return !t.Exiting }); left >= 0 {
				t.Errorf("child %d has not ended", left)
			}
			tc.check(s)
			s.exits(ops.ExitNone, 0, "")
			s.detach()
			s.exits(ops.ExitUnreg, 0, "")
		})
	}
}

func TestSelftestHotplug(t *testing.T) {
	const (
		exitRsn  = 1 << 0 // HOTPLUG_EXIT_RSN
		onlining = 1 << 1 // HOTPLUG_ONLINING
	)
	for _, tc := range []struct {
		name, table string
		online      bool
		kind        ops.ExitKind
		code        int64
		msg         string
	}{
		{"callbacks, offline", "hotplug_cb_ops", false, ops.ExitUnregBPF, ops.ECodeActRestart | exitRsn, "hotplug event detected (1 going offline)"},
		{"callbacks, online", "hotplug_cb_ops", true, ops.ExitUnregBPF, ops.ECodeActRestart | exitRsn | onlining, "hotplug event detected (1 going online)"},
		{"no callbacks, offline", "hotplug_nocb_ops", false, ops.ExitUnregKern, ops.ECodeActRestart | ops.ECodeRsnHotplug, "cpu 1 going offline, exiting scheduler"},
		{"no callbacks, online", "hotplug_nocb_ops", true, ops.ExitUnregKern, ops.ECodeActRestart | ops.ECodeRsnHotplug, "cpu 1 going online, exiting scheduler"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := on(t, threeCPUs)
			if tc.online {
				if err := r.m.CPUDown(1); err != nil {
					t.Fatal(err)
				}
				r.run(100 * sim.Millisecond)
			}
			s := r.selftest("hotplug", Options{Table: tc.table})
			s.mustAttach()
			s.run(100 * sim.Millisecond)
			toggle := r.m.CPUDown
			if tc.online {
				toggle = r.m.CPUUp
			}
			if err := toggle(1); err != nil {
				t.Fatal(err)
			}
			s.run(100 * sim.Millisecond)
			s.exits(tc.kind, tc.code, tc.msg)
		})
	}
	t.Run("stale hotplug_seq", func(t *testing.T) {
		r := on(t, threeCPUs)
		for _, toggle := range []func(sim.CPU) error{r.m.CPUDown, r.m.CPUUp, r.m.CPUDown, r.m.CPUUp} {
			if err := toggle(1); err != nil {
				t.Fatal(err)
			}
			r.run(10 * sim.Millisecond)
		}
		s := r.selftest("hotplug", Options{Table: "hotplug_nocb_ops", Members: []Member{{"hotplug_seq", "1"}}})
		if err := s.attach(); err == nil {
			t.Error("attached")
		}
		s.exits(ops.ExitUnregKern, ops.ECodeActRestart|ops.ECodeRsnHotplug, "expected hotplug seq 1 did not match actual 6")
	})
}
