package sim_test

import (
	"fmt"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// fifo is a whole scheduling class: one queue per machine, first come, first served, no preemption.
type fifo struct {
	m     *sim.Machine
	queue []*sim.Task
}

func (f *fifo) Name() string { return "fifo" }

// SelectCPU: a task waits where it ran last.
func (f *fifo) SelectCPU(t *sim.Task, prev sim.CPU, _ sim.WakeFlags) sim.CPU { return prev }

// Enqueue is told of the current task too when its attributes change; it is in no queue.
func (f *fifo) Enqueue(cpu sim.CPU, t *sim.Task, _ sim.EnqFlags) {
	if f.m.Curr(cpu) != t {
		f.queue = append(f.queue, t)
	}
	f.m.AddNrRunning(cpu, 1)
}

func (f *fifo) Dequeue(cpu sim.CPU, t *sim.Task, _ sim.DeqFlags) bool {
	f.m.AddNrRunning(cpu, -1)
	for i := range f.queue {
		if f.queue[i] == t {
			f.queue = append(f.queue[:i], f.queue[i+1:]...)
			break
		}
	}
	return true
}

// Pick lets the current task go on while it can.
func (f *fifo) Pick(_ sim.CPU, prev *sim.Task) *sim.Task {
	if prev.Class == sim.Class(f) && prev.OnRQ {
		return prev
	}
	if len(f.queue) == 0 {
		return nil
	}
	return f.queue[0]
}

func (f *fifo) SetNext(_ sim.CPU, _ *sim.Task, first bool) {
	if first {
		f.queue = f.queue[1:]
	}
}

func (f *fifo) PutPrev(cpu sim.CPU, _, _ *sim.Task) { f.m.AccountExec(cpu) }
func (f *fifo) Tick(cpu sim.CPU, _ *sim.Task)       { f.m.AccountExec(cpu) }

// job computes for a while and ends.
type job struct{ left []sim.Duration }

func (j *job) Next(*sim.Task, sim.Time) sim.Step {
	if len(j.left) == 0 {
		return sim.Step{Kind: sim.StepExit}
	}
	d := j.left[0]
	j.left = j.left[1:]
	return sim.Step{Kind: sim.StepRun, Dur: d}
}

// A machine with one CPU and a scheduling class of its own runs two tasks.
func Example() {
	top, err := topo.Flat(1)
	if err != nil {
		panic(err)
	}
	m, err := sim.New(sim.Config{
		Topo:    top,
		Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{&fifo{m: m}, idle.New(m)} },
		Sink: sim.SinkFunc(func(r *sim.Record) {
			if r.Kind == sim.KindSwitch {
				fmt.Printf("%5v cpu %d: %d -> %d\n", r.At, r.CPU, r.A, r.Task)
			}
		}),
	})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"a", "b"} {
		if _, err := m.Spawn(sim.TaskSpec{Comm: name, Behavior: &job{[]sim.Duration{3 * sim.Millisecond}}}); err != nil {
			panic(err)
		}
	}
	if err := m.Run(sim.Time(sim.Second)); err != nil {
		panic(err)
	}
	fmt.Println("busy for", m.BusyTime(0))
	// Output:
	//    0s cpu 0: 0 -> 1
	//   3ms cpu 0: 1 -> 2
	//   6ms cpu 0: 2 -> 0
	// busy for 6ms
}
