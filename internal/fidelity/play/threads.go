package play

import (
	"fmt"
	"strconv"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sim"
)

// Thread is a thread of the kernel that runs now and then, as every machine has some: it sleeps for Every, then until the next
// tick, as timers of the kernel do, and runs for Run.
type Thread struct {
	Name  string
	Every sim.Duration
	Run   sim.Duration
}

// tickPeriod is that of the reference kernel, HZ=250.
const tickPeriod = 4 * sim.Millisecond

// timerDelay is the time from a tick to when a timer of its jiffy wakes a task.
const timerDelay = 0

// spawnThreads creates the kernel's own threads. Each begins at a time of its own, drawn from the run's seed.
func spawnThreads(m *sim.Machine, list []Thread) error {
	for i, t := range list {
		name := t.Name
		if name == "" {
			name = "kworker/" + strconv.Itoa(i)
		}
		first := tickPeriod * sim.Duration(m.Rand("thread "+name).Int64N(max(int64(t.Every/tickPeriod), 1)))
		if err := spawnKernel(m, sim.TaskSpec{Comm: name, Behavior: &thread{Thread: t, next: sim.Time(first)}}); err != nil {
			return err
		}
	}
	return nil
}

// softirq is how long after a tick the kernel runs the timers of that jiffy at the latest. It does so before it reschedules, so what
// they wake takes part in the choice that the tick brings about.
const softirq = 40 * sim.Microsecond

// atTicks moves wakeups by timers of a jiffy to the tick, whose first after T0 comes at the time tick, and takes from their
// runs what the machine adds to each: the switch.
func atTicks(wakes [][2]int64, tick, change sim.Duration) [][2]int64 {
	out := make([][2]int64, len(wakes))
	for i, w := range wakes {
		if late := ((sim.Duration(w[0])-tick)%tickPeriod + tickPeriod) % tickPeriod; late < softirq {
			w[0] -= int64(late)
		}
		if w[1] > 0 {
			w[1] = max(w[1]-int64(change), 1)
		}
		out[i] = w
	}
	return out
}

// spawnOthers creates the threads that a recorded run had beside the workload.
func spawnOthers(m *sim.Machine, list []fidelity.Other, t0 sim.Time, tick sim.Duration) error {
	for _, o := range list {
		if len(o.Wakes) == 0 {
			continue
		}
		name := o.Name
		if name == "" {
			name = "pid-" + strconv.Itoa(int(o.PID))
		}
		var cpus []sim.CPU
		for _, c := range o.CPUs {
			if c < m.NrCPUs() {
				cpus = append(cpus, sim.CPU(c))
			}
		}
		s := sim.TaskSpec{Comm: name, CPUs: cpus, Behavior: &replayed{wakes: atTicks(o.Wakes, tick, m.Costs().Switch), t0: t0}}
		var cpu int
		if n, _ := fmt.Sscanf(name, "migration/%d", &cpu); n == 1 && cpu < m.NrCPUs() { // above all others, on its CPU
			s.Policy, s.RTPrio, s.CPUs = sim.PolicyFIFO, 99, []sim.CPU{sim.CPU(cpu)}
		}
		if err := spawnKernel(m, s); err != nil {
			return err
		}
	}
	return nil
}

// maxComm is the longest name of a task.
const maxComm = 15

func spawnKernel(m *sim.Machine, s sim.TaskSpec) error {
	s.KThread = true
	s.Comm = s.Comm[:min(len(s.Comm), maxComm)]
	if _, err := m.Spawn(s); err != nil {
		return fmt.Errorf("thread %s: %w", s.Comm, err)
	}
	return nil
}

// thread is a Thread at work.
type thread struct {
	Thread
	next sim.Time
	ran  bool
}

// Next implements sim.Behavior.
func (t *thread) Next(_ *sim.Task, now sim.Time) sim.Step {
	if t.ran {
		t.ran = false
		at := now.Add(t.Every)
		t.next = at - at%sim.Time(tickPeriod) + sim.Time(tickPeriod)
	}
	if at := t.next.Add(timerDelay); now < at {
		return sim.Step{Kind: sim.StepSleepUntil, At: at}
	}
	t.ran = true
	return sim.Step{Kind: sim.StepRun, Dur: t.Run}
}

// replayed is a thread that is woken when a recorded one was.
type replayed struct {
	wakes [][2]int64
	t0    sim.Time
	slept bool
}

// Next implements sim.Behavior.
func (t *replayed) Next(_ *sim.Task, now sim.Time) sim.Step {
	for len(t.wakes) > 0 {
		w := t.wakes[0]
		if at := t.t0.Add(sim.Duration(w[0])); !t.slept && now < at {
			t.slept = true
			return sim.Step{Kind: sim.StepSleepUntil, At: at}
		}
		t.wakes, t.slept = t.wakes[1:], false
		if w[1] > 0 {
			return sim.Step{Kind: sim.StepRun, Dur: sim.Duration(w[1])}
		}
	}
	return sim.Step{Kind: sim.StepSleepUntil, At: sim.Never}
}
