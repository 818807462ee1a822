package play

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads"
)

// Thread is a thread of the kernel that runs now and then, as every machine has some: it sleeps for Every, then until the next
// tick, as timers of the kernel do, and runs for Run.
type Thread struct {
	Name  string
	Every sim.Duration
	Run   sim.Duration
}

// leadTime is how long the lab's tasks are there before T0, at least.
const leadTime = 300 * sim.Millisecond

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

// atTicks moves wakeups by timers of a jiffy to just after the tick, whose first after T0 comes at the time tick: timers of tasks that
// expire with it come before, and those of the jiffy keep their order.
func atTicks(wakes [][2]int64, tick sim.Duration) [][2]int64 {
	out := make([][2]int64, len(wakes))
	for i, w := range wakes {
		if late := ((sim.Duration(w[0])-tick)%tickPeriod + tickPeriod) % tickPeriod; late < softirq {
			w[0] += int64(sim.Microsecond+late/100) - int64(late)
		}
		out[i] = w
	}
	return out
}

// replayRun is the CPU time after which a thread goes back to sleep of which a recorded one used d when it was woken: less what the machine
// adds. Where the CPUs take turns, that takes k times longer, those of the others included.
func replayRun(d int64, c sim.Costs, k int) sim.Duration {
	return max(sim.Duration(d)-sim.Duration(k)*(c.Switch+c.Block), 1)
}

// before tells what the tasks of a recorded run did before T0.
func before(tasks []fidelity.Task, t0 sim.Time, costs sim.Costs) func(task string, instance int) []workloads.Awake {
	return func(task string, instance int) []workloads.Awake {
		i := slices.IndexFunc(tasks, func(t fidelity.Task) bool { return t.Group == task && t.Instance == instance })
		if i < 0 {
			return nil
		}
		var out []workloads.Awake
		for _, w := range tasks[i].Before {
			if at := t0.Add(sim.Duration(w[0])); at > 0 {
				out = append(out, workloads.Awake{At: at, Run: replayRun(w[1], costs, 1)})
			}
		}
		return out
	}
}

// maker is the thread that made the workload's tasks and then operates; makerPrio its priority then. It was there before the first
// task.
const (
	maker     = "operator"
	makerPrio = 98
	makerLead = sim.Millisecond
)

// spawnOthers creates the threads that a recorded run had beside the workload.
func spawnOthers(m *sim.Machine, list []fidelity.Other, t0 sim.Time, tick sim.Duration, k int) error {
	for _, o := range list {
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
		list := o.Wakes
		if name != maker {
			list = slices.DeleteFunc(slices.Clone(list), func(w [2]int64) bool { return w[0] < 0 })
		}
		if len(list) == 0 {
			continue
		}
		wakes := atTicks(list, tick)
		b := &replayed{wakes: wakes, t0: t0, costs: m.Costs(), k: k}
		s := sim.TaskSpec{Comm: name, CPUs: cpus, Nice: o.Nice, Behavior: b}
		if o.Policy == "SCHED_FIFO" {
			s.Policy, s.RTPrio = sim.PolicyFIFO, o.RTPrio
		}
		if name == maker {
			s.Policy, s.RTPrio = sim.PolicyFIFO, makerPrio
			if w := &wakes[0]; w[0] < -int64(leadTime) { // an ordinary task until it has made the others
				s.Policy, s.RTPrio, b.then = sim.PolicyNormal, 0, &sim.SchedParams{Policy: sim.PolicyFIFO, RTPrio: makerPrio}
				w[0], w[1] = w[0]-int64(makerLead), w[1]+int64(makerLead)
			}
			if _, err := m.Spawn(s); err != nil {
				return fmt.Errorf("thread %s: %w", name, err)
			}
			continue
		}
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
	return sim.Step{Kind: sim.StepRunClock, Dur: t.Run}
}

// replayed is a thread that is woken when a recorded one was.
type replayed struct {
	wakes [][2]int64
	t0    sim.Time
	slept bool
	then  *sim.SchedParams // from its second run on
	runs  int
	costs sim.Costs
	k     int // CPUs that take turns
}

// Next implements sim.Behavior.
func (t *replayed) Next(_ *sim.Task, now sim.Time) sim.Step {
	if p := t.then; p != nil && t.runs > 0 {
		t.then = nil
		return sim.Step{Kind: sim.StepSetScheduler, Sched: p}
	}
	for len(t.wakes) > 0 {
		w := t.wakes[0]
		if at := t.t0.Add(sim.Duration(w[0])); !t.slept && now < at {
			t.slept = true
			return sim.Step{Kind: sim.StepSleepUntil, At: at}
		}
		t.wakes, t.slept = t.wakes[1:], false
		if w[1] > 0 {
			t.runs++
			return sim.Step{Kind: sim.StepRunClock, Dur: replayRun(w[1], t.costs, t.k)}
		}
	}
	return sim.Step{Kind: sim.StepSleepUntil, At: sim.Never}
}
