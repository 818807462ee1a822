package reports

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sched/fifo"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

// machineRun is a run of an example under the FIFO policy, with its records and what the reports made of them.
type machineRun struct {
	records []sim.Record
	names   map[int32]TaskInfo
	tasks   map[int32]*sim.Task // the tasks themselves, for their own accounts
	trace   []byte
	report  *Report
	end     sim.Time
}

func runMachine(t *testing.T, example string, until sim.Duration, costs sim.Costs) *machineRun {
	t.Helper()
	data, err := workloads.Example(example)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workloads.Parse(example, data, workloads.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tp, err := topo.Parse("1n2l2c1t")
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bind(4)
	if err != nil {
		t.Fatal(err)
	}
	run := &machineRun{names: map[int32]TaskInfo{}, tasks: map[int32]*sim.Task{}, end: sim.Time(until)}
	var m *sim.Machine
	var k *ext.Kernel
	name := func(pid int32) TaskInfo {
		if i, ok := run.names[pid]; ok {
			return i
		}
		task := m.TaskByPID(pid)
		run.tasks[pid] = task
		run.names[pid] = TaskInfo{PID: pid, TGID: task.K.TGID(), Comm: task.Comm, Group: task.Group, Nice: task.Nice, Weight: task.Weight}
		return run.names[pid]
	}
	var buf bytes.Buffer
	p := NewPerfetto(&buf, PerfettoOptions{CPUs: 4, Names: name})
	c := NewCollector(4, name)
	m, err = sim.New(sim.Config{Topo: tp, Seed: 9, Costs: costs,
		Classes: func(m *sim.Machine) []sim.Class {
			k = ext.New(m)
			return []sim.Class{fair.New(m), k, idle.New(m)}
		},
		Sink: sim.SinkFunc(func(r *sim.Record) {
			run.records = append(run.records, *r)
			p.Record(r)
			c.Record(r)
		})})
	if err != nil {
		t.Fatal(err)
	}
	table, err := new(fifo.Policy).Open(sched.Env{Machine: m, Kernel: k})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Enable(table); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.New(workloads.RunOptions{Rand: m.Rand}).Specs {
		if _, err := m.Spawn(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Run(run.end); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	run.trace = buf.Bytes()
	run.report = c.Report(testInfo, run.end)
	return run
}

var someCosts = sim.Costs{Switch: 1000, Callback: 30, Tick: 500, Migration: 2000}

// TestMachine: on a real machine too the trace is the run, and the tables say what the records say.
func TestMachine(t *testing.T) {
	for _, example := range []string{"requests", "forkstorm", "periodic"} {
		t.Run(example, func(t *testing.T) {
			run := runMachine(t, example, 200*sim.Millisecond, someCosts)
			d := decodeTrace(t, run.trace)
			checkTrace(t, d, run.records, func(pid int32) TaskInfo { return run.names[pid] })

			var counters []string
			begun, ended := 0, 0
			waking := map[int32]sim.Time{}
			var sum, n int64
			for _, r := range run.records {
				switch r.Kind {
				case sim.KindDSQInsert, sim.KindDSQRemove:
					counters = append(counters, fmt.Sprintf("%d DSQ %s nr_queued %d", r.At, DSQName(r.A), r.B))
				case sim.KindOp:
					begun++
				case sim.KindOpEnd:
					ended++
				case sim.KindWaking:
					waking[r.Task] = r.At
				case sim.KindSwitch:
					if at, ok := waking[r.Task]; ok {
						sum += int64(r.At - at)
						n++
						delete(waking, r.Task)
					}
				}
			}
			if diff := cmp.Diff(counters, d.counters); diff != "" {
				t.Errorf("lengths of queues (-records +trace):\n%.1000s", diff)
			}
			if begun == 0 || begun != ended || len(d.slices) != begun+ended {
				t.Errorf("%d callbacks began, %d ended, %d are drawn", begun, ended, len(d.slices))
			}
			if l := run.report.Totals.WakeLatency; l.Count != n || n > 0 && l.Mean != sum/n {
				t.Errorf("wakeup latency %+v, the records have %d of mean %d", l, n, sum/max(n, 1))
			}
			if run.report.Totals.Callbacks != uint64(begun) {
				t.Errorf("%d callbacks counted, %d records", run.report.Totals.Callbacks, begun)
			}
		})
	}
}

// TestAccounts: without overheads, by which a CPU's clock runs ahead of the records, the machine's own accounts of CPU time
// are the report's. They are up to date for tasks that do not run.
func TestAccounts(t *testing.T) {
	run := runMachine(t, "requests", 200*sim.Millisecond, sim.Costs{})
	for _, k := range run.report.Tasks {
		if task := run.tasks[k.PID]; !task.OnCPU && task.SumExec != k.CPUTime {
			t.Errorf("%s ran for %v, the machine says %v", k.Comm, k.CPUTime, task.SumExec)
		}
	}
}

// TestCallbacksNest: on each CPU's track a callback ends before the next begins, or lies inside it.
func TestCallbacksNest(t *testing.T) {
	d := decodeTrace(t, runMachine(t, "pingpong", 50*sim.Millisecond, someCosts).trace)
	depth := map[string]int{}
	last := map[string]int64{}
	for _, s := range d.slices {
		var at int64
		var cpu int
		var what string
		if _, err := fmt.Sscanf(s, "%d sched_ext callbacks CPU %d %s", &at, &cpu, &what); err != nil {
			t.Fatal(err)
		}
		track := fmt.Sprint(cpu)
		if at < last[track] {
			t.Fatalf("CPU %d: %q after %d", cpu, s, last[track])
		}
		last[track] = at
		if what == "begin" {
			depth[track]++
		} else if depth[track]--; depth[track] < 0 {
			t.Fatalf("CPU %d: %q ends nothing", cpu, s)
		}
	}
	for track, n := range depth {
		if n != 0 {
			t.Errorf("CPU %s: %d callbacks do not end", track, n)
		}
	}
}
