package ext

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// stream is a recorded stream of callbacks with the workload that it implies; the files say how they came about.
type stream struct {
	cpus  int
	phase int64 // ms from T0 to a tick
	until int64 // ms from T0 to the end
	tasks []streamTask
	ops   []streamOp
	first map[int64]int // by ms from T0 to a tick: the CPU that had it first, if not CPU 0
}

type streamTask struct {
	pid   int32
	nice  int
	vtime uint64
	cpu   int
	bound bool // to that CPU
	wakes []streamWake
}

type streamWake struct{ at, run int64 } // ns; run < 0: for ever

type streamOp struct {
	CPU  int
	Name string
	PID  int32
	A, B uint64
}

func (o streamOp) String() string {
	return fmt.Sprintf("%d %s %d %#x %#x", o.CPU, o.Name, o.PID, o.A, o.B)
}

func readStream(t *testing.T, name string) (s stream, at []int64) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var (
			line = sc.Text()
			o    streamOp
			k    streamTask
			w    streamWake
			ns   int64
			run  string
		)
		switch {
		case line[0] == '#':
		case line[:2] == "op":
			if _, err := fmt.Sscanf(line, "op %d %d %s %d %x %x", &ns, &o.CPU, &o.Name, &o.PID, &o.A, &o.B); err != nil {
				t.Fatal(line, err)
			}
			s.ops, at = append(s.ops, o), append(at, ns)
		case line[:5] == "until":
			if _, err := fmt.Sscanf(line, "until %d", &s.until); err != nil {
				t.Fatal(line, err)
			}
		case line[:4] == "cpus":
			if _, err := fmt.Sscanf(line, "cpus %d", &s.cpus); err != nil {
				t.Fatal(line, err)
			}
		case line[:4] == "tick":
			if _, err := fmt.Sscanf(line, "tick %d", &s.phase); err != nil {
				t.Fatal(line, err)
			}
		case line[:5] == "order":
			var at int64
			var cpu int
			if _, err := fmt.Sscanf(line, "order %d %d", &at, &cpu); err != nil {
				t.Fatal(line, err)
			}
			if s.first == nil {
				s.first = map[int64]int{}
			}
			s.first[at] = cpu
		case line[:4] == "task", line[:5] == "bound":
			var word string
			if _, err := fmt.Sscanf(line, "%s %d %d %d %d", &word, &k.pid, &k.nice, &k.vtime, &k.cpu); err != nil {
				t.Fatal(line, err)
			}
			k.bound = word == "bound"
			s.tasks = append(s.tasks, k)
		case line[:4] == "wake":
			if _, err := fmt.Sscanf(line, "wake %d %d %s", &k.pid, &w.at, &run); err != nil {
				t.Fatal(line, err)
			}
			if w.run = -1; run != "-" {
				if w.run, err = strconv.ParseInt(run, 10, 64); err != nil {
					t.Fatal(line, err)
				}
			}
			for i := range s.tasks {
				if s.tasks[i].pid == k.pid {
					s.tasks[i].wakes = append(s.tasks[i].wakes, w)
				}
			}
		default:
			t.Fatal(line)
		}
	}
	return s, at
}

// wakeTogether moves the wakeups before the first dispatch to the time of the first of them.
func (s *stream) wakeTogether(at []int64) {
	first := slices.IndexFunc(s.ops, func(o streamOp) bool { return o.Name == "dispatch" })
	for i := range s.tasks {
		for j := range s.tasks[i].wakes {
			if w := &s.tasks[i].wakes[j]; w.at < at[first] {
				w.at = at[0]
			}
		}
	}
}

// behavior sleeps and runs as the stream says, from t0 on; it sleeps on the CPU where it is at T0.
func (k streamTask) behavior(t0 sim.Time, cpus int) sim.Behavior {
	all := make([]sim.CPU, cpus)
	for i := range all {
		all[i] = sim.CPU(i)
	}
	if k.bound {
		all = []sim.CPU{sim.CPU(k.cpu)}
	}
	s := &steps{once: true, list: []sim.Step{
		{Kind: sim.StepSetAffinity, CPUs: []sim.CPU{sim.CPU(k.cpu)}}, sleep(sim.Millisecond),
		{Kind: sim.StepSetAffinity, CPUs: all},
	}}
	for _, w := range k.wakes {
		d := sim.Duration(w.run)
		if w.run < 0 {
			d = 100 * sim.Second
		}
		s.list = append(s.list, sim.Step{Kind: sim.StepSleepUntil, At: t0 + sim.Time(w.at)}, run(d))
	}
	s.list = append(s.list, sleep(100*sim.Second))
	return s
}

// recorder is the scheduler that recorded the streams: it notes each callback on entry (ops.dispatch on return) and
// otherwise does what scx_simple does, with a queue of its own.
func recorder(k *Kernel, pid map[*sim.Task]int32, vtime bool, note func(streamOp)) *ops.Table {
	const queue = 1
	var now uint64
	op := func(name string, t *sim.Task, a, b uint64) { note(streamOp{int(k.m.ThisCPU()), name, pid[t], a, b}) }
	return &ops.Table{
		Name:  "recorder",
		Flags: ops.FlagKeepBuiltinIdle,
		Init:  func() int32 { return k.CreateDSQ(queue, -1) },
		SelectCPU: func(t *sim.Task, prev sim.CPU, f uint64) sim.CPU {
			op("select_cpu", t, uint64(prev), f)
			cpu, idle := k.SelectCPUDfl(t, prev, f)
			if idle {
				k.DSQInsert(t, ops.DSQLocal, ops.SliceDfl, 0)
			}
			op("select_cpu_ret", t, uint64(cpu), b2u(idle))
			return cpu
		},
		Enqueue: func(t *sim.Task, f uint64) {
			op("enqueue", t, f, uint64(t.CPU()))
			if !vtime {
				k.DSQInsert(t, queue, ops.SliceDfl, f)
				return
			}
			v := t.K.DSQVtime()
			if int64(v-(now-ops.SliceDfl)) < 0 {
				v = now - ops.SliceDfl
			}
			k.DSQInsertVtime(t, queue, ops.SliceDfl, v, f)
		},
		Dequeue: func(t *sim.Task, f uint64) { op("dequeue", t, f, 0) },
		Dispatch: func(cpu sim.CPU, prev *sim.Task) {
			b := b2u(k.DSQMoveToLocal(queue, 0))
			if prev != nil {
				b |= uint64(prev.K.SCXFlags()) << 8
			}
			op("dispatch", prev, uint64(cpu), b)
		},
		Tick:     func(t *sim.Task) { op("tick", t, 0, 0) },
		Runnable: func(t *sim.Task, f uint64) { op("runnable", t, f, 0) },
		Running: func(t *sim.Task) {
			op("running", t, uint64(t.K.SCXWeight()), 0)
			if v := t.K.DSQVtime(); vtime && int64(now-v) < 0 {
				now = v
			}
		},
		Stopping: func(t *sim.Task, runnable bool) {
			op("stopping", t, b2u(runnable), 0)
			if vtime {
				used := (ops.SliceDfl - t.K.Slice()) * 100 / uint64(t.K.SCXWeight())
				k.TaskSetDSQVtime(t, t.K.DSQVtime()+used)
			}
		},
		Quiescent:  func(t *sim.Task, f uint64) { op("quiescent", t, f, 0) },
		SetWeight:  func(t *sim.Task, w uint32) { op("set_weight", t, uint64(w), 0) },
		UpdateIdle: func(cpu sim.CPU, idle bool) { op("update_idle", nil, uint64(cpu), b2u(idle)) },
	}
}

// TestGolden replays the workload of a recorded stream of one CPU and expects the recorded callbacks, with their arguments.
//
// All costs are off. Leaving idle then takes no time, while both busy loops of the recording woke on the CPU's way out of idle, so
// their wakeups are moved together.
func TestGolden(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		vtime      bool
	}{
		{"fifo", "testdata/fifo_hogs.txt", false},
		{"vtime", "testdata/vtime_hogs.txt", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, at := readStream(t, tc.file)
			want.wakeTogether(at)
			got, gotAt := want.simulate(t, sim.Costs{}, tc.vtime)
			if d := cmp.Diff(want.ops, got); d != "" {
				t.Fatalf("callbacks differ (-recorded +simulated):\n%s", d)
			}
			near(t, got, gotAt, at)
		})
	}
}

// simulate replays the workload and returns the callbacks, with their times from T0.
func (s *stream) simulate(t *testing.T, costs sim.Costs, vtime bool) (got []streamOp, at []int64) {
	t0 := ms(40 + 4 - s.phase)
	r := newRig(t, rigOptions{topo: fmt.Sprintf("1n1l%dc1t", s.cpus), costs: costs, ticks: func(at sim.Time) sim.CPU {
		return sim.CPU(s.first[int64(at-t0)/int64(sim.Millisecond)])
	}})
	pid := map[*sim.Task]int32{}
	r.enable(recorder(r.k, pid, vtime, func(o streamOp) {
		if now := r.m.Now(); now >= t0 {
			got, at = append(got, o), append(at, int64(now-t0))
		}
	}))
	for _, k := range s.tasks {
		p := r.spawn(sim.TaskSpec{Comm: fmt.Sprint(k.pid), Nice: k.nice, Behavior: k.behavior(t0, s.cpus)})
		pid[p] = k.pid
	}
	r.run(t0 - 1)
	for p, id := range pid {
		for _, k := range s.tasks {
			if k.pid == id {
				p.K.SetDSQVtime(k.vtime)
			}
		}
	}
	r.run(t0 + ms(s.until) - 1)
	if err := r.k.check(); err != nil {
		t.Error(err)
	}
	return got, at
}

// near fails if a callback came further from its recorded time than what a tick's work takes; the times themselves are not
// reproduced.
func near(t *testing.T, got []streamOp, gotAt, at []int64) {
	t.Helper()
	for i := range got {
		if d := gotAt[i] - at[i]; d < -60_000 || d > 60_000 {
			t.Fatalf("op %d (%v): at %v, recorded at %v", i, got[i], sim.Time(gotAt[i]), sim.Time(at[i]))
		}
	}
}

// onCPU returns the callbacks on one CPU.
func onCPU[T any](all []streamOp, at []T, cpu int) (o []streamOp, a []T) {
	for i := range all {
		if all[i].CPU == cpu {
			o, a = append(o, all[i]), append(a, at[i])
		}
	}
	return o, a
}

// TestPingPong: two tasks that wake each other go through the recorded cycle (ops_fifo_pingpong on one CPU of the same
// kernel: ping is 113, pong 114).
func TestPingPong(t *testing.T) {
	want := []streamOp{
		{0, "runnable", 114, 0x9, 0}, {0, "enqueue", 114, 0x9, 0},
		{0, "stopping", 113, 0, 0}, {0, "quiescent", 113, 0x9, 0},
		{0, "dequeue", 114, 0, 0}, {0, "dispatch", 113, 0, 0x40c01}, {0, "running", 114, 0x64, 0},
		{0, "runnable", 113, 0x9, 0}, {0, "enqueue", 113, 0x9, 0},
		{0, "stopping", 114, 0, 0}, {0, "quiescent", 114, 0x9, 0},
		{0, "dequeue", 113, 0, 0}, {0, "dispatch", 114, 0, 0x40c01}, {0, "running", 113, 0x64, 0},
	}
	r := newRig(t, rigOptions{})
	pid := map[*sim.Task]int32{}
	var got []streamOp
	r.enable(recorder(r.k, pid, false, func(o streamOp) {
		if o.Name != "tick" && r.m.Now() > ms(1) {
			got = append(got, o)
		}
	}))
	var ping, pong sim.WaitQueue
	wake := func(q *sim.WaitQueue) sim.Step { return sim.Step{Kind: sim.StepWake, Queue: q, Sync: true} }
	wait := func(q *sim.WaitQueue) sim.Step { return sim.Step{Kind: sim.StepWait, Queue: q} }
	const us = sim.Microsecond
	pid[r.spawn(sim.TaskSpec{Comm: "pong", Behavior: &steps{list: []sim.Step{wait(&pong), run(100 * us), wake(&ping)}}})] = 114
	pid[r.spawn(sim.TaskSpec{Comm: "ping", Behavior: &steps{list: []sim.Step{run(50 * us), wake(&pong), wait(&ping)}}})] = 113
	r.run(ms(1000))
	start := slices.Index(got, want[0])
	cycles := 0
	for got = got[start:]; len(got) >= len(want); got = got[len(want):] {
		if d := cmp.Diff(want, got[:len(want)]); d != "" {
			t.Fatalf("cycle %d (-recorded +simulated):\n%s", cycles, d)
		}
		cycles++
	}
	if cycles < 6600 { // 150 us each
		t.Errorf("%d cycles in a second", cycles)
	}
}

// TestSliceEndsAtTick: slices are looked at by ticks only. A slice of 20 ms (5 ticks of 4 ms) ends at the fifth tick
// if the task started exactly at a tick; one that starts 5.4 us later, as the recorded one, has 5.4 us left then and
// runs until the sixth: 24 ms. So do all tasks that follow at the end of another's slice: they start after that tick.
func TestSliceEndsAtTick(t *testing.T) {
	for _, tc := range []struct {
		name   string
		offset sim.Duration // of the start from a tick
		end    sim.Time     // of the slice, from that tick
		left   uint64       // of the slice at the fifth tick
	}{
		{"20 ms slice from a tick runs 20 ms", 0, ms(20), 0},
		{"20 ms slice from 5.4 us after a tick runs 24 ms", 5378, ms(24), 5378},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			var end sim.Time
			var fifth uint64
			base := ms(40)
			tb := fifoTable(r.k)
			tb.Tick = func(t *sim.Task) {
				if r.m.Now() == base+ms(20) {
					fifth = t.K.Slice()
				}
			}
			tb.Stopping = func(_ *sim.Task, runnable bool) {
				if runnable && end == 0 {
					end = r.m.Now()
				}
			}
			r.enable(tb)
			start := base.Add(tc.offset)
			for range 2 {
				r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog(), Start: start})
			}
			r.run(base + ms(30))
			if end-base != tc.end || fifth != tc.left {
				t.Errorf("slice ends %v after the tick with %d ns left at the fifth, want %v and %d",
					end-base, fifth, tc.end, tc.left)
			}
		})
	}
}
