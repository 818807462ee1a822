package play

import (
	"slices"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sim"
)

// lookTime is how long before T0 the lab looks at the kernel: all tasks sleep then.
const lookTime = 10 * sim.Millisecond

// labStart is how a recorded run began, and its tasks. Where the kernel was not looked at before T0, tasks slept on the CPUs where they ran last.
func labStart(r *fidelity.Run) (*fidelity.Start, []fidelity.Task) {
	if r.Start != nil || r.Manifest.CPUs < 2 {
		return r.Start, r.Tasks
	}
	known := false
	tasks := slices.Clone(r.Tasks)
	for i := range tasks {
		t := &tasks[i]
		t.Asleep[fidelity.AsleepCPU], t.Asleep[fidelity.AsleepRecentCPU] = -1, -1
		for _, cpu := range t.BeforeCPUs {
			if cpu >= 0 {
				t.Asleep[fidelity.AsleepCPU], known = int64(cpu), true
			}
		}
	}
	if !known {
		return nil, r.Tasks
	}
	return &fidelity.Start{AtNS: -int64(lookTime)}, tasks
}

// start has a run begin as the recorded one did. Some milliseconds before T0 the tasks are where they were, programs' timers expire
// when they did, and load balancing has the past that it had.
type start struct {
	p     *player
	tasks []fidelity.Task
	from  *fidelity.Start
}

// at is when in the run, T0 if the kernel was not looked at.
func (s *start) at() sim.Time { return s.p.t0.Add(sim.Duration(s.from.AtNS)) }

// begin is the runner's Start.
func (s *start) begin(m *sim.Machine, p sched.Policy) {
	if s.from.AtNS >= 0 {
		return
	}
	s.place(m, p != nil)
	if o, ok := p.(*bpf.Policy); ok && len(s.from.Timers) > 0 {
		list := make([]bpf.ArmedTimer, len(s.from.Timers))
		for i, t := range s.from.Timers {
			list[i] = bpf.ArmedTimer{CPU: sim.CPU(t[0]), At: s.p.t0.Add(sim.Duration(t[1]))}
		}
		o.SetTimers(list)
	}
	if c, ok := m.ClassByName("fair").(*fair.Class); ok {
		for i, b := range s.from.CPUs {
			if i < m.NrCPUs() {
				c.SetBalancing(sim.CPU(i), s.balancing(m, &b))
			}
		}
	}
}

// balancing is what was recorded, with ticks from now.
func (s *start) balancing(m *sim.Machine, b *fidelity.Balancing) fair.Balancing {
	ticks := int64(s.p.t0/sim.Time(tickPeriod)) - int64(m.Ticks()) // from now to T0
	return fair.Balancing{
		AvgIdle: sim.Duration(b.AvgIdleNS), NextBalance: ticks + b.NextTick, Last: ticks + b.LastTick, Interval: sim.Duration(b.IntervalMS) * sim.Millisecond,
		Failed: int(b.Failed), Call: b.Call, Success: b.Success, Ratio: b.Ratio, Stamp: s.p.t0.Add(sim.Duration(b.StampNS)), Cost: sim.Duration(b.CostNS),
	}
}

// place puts tasks where they slept, with what sched_ext keeps of them if a policy has them.
// Virtual times count from where a scheduler has its clock, which is not recorded, so the greatest is the greatest here: what one task is behind
// another is as it was.
func (s *start) place(m *sim.Machine, policy bool) {
	var list []*sim.Task
	var of []*fidelity.Task
	nth := map[string]int{}
	m.Tasks(func(t *sim.Task) {
		if t.Group == "" {
			return
		}
		n := nth[t.Group]
		nth[t.Group]++
		for i := range s.tasks {
			if r := &s.tasks[i]; r.Group == t.Group && r.Instance == n {
				s.placeTask(m, t, r)
				if policy && r.Asleep[fidelity.AsleepRecentCPU] >= 0 && len(r.Before) > 0 { // looked at
					list, of = append(list, t), append(of, r)
				}
			}
		}
	})
	var here, there int64
	for i, t := range list {
		v, w := int64(t.K.DSQVtime()), of[i].Asleep[fidelity.AsleepVTime]
		if i == 0 || v > here {
			here = v
		}
		if i == 0 || w > there {
			there = w
		}
	}
	for i, t := range list {
		t.K.SetSlice(uint64(of[i].Asleep[fidelity.AsleepSlice]))
		t.K.SetDSQVtime(uint64(of[i].Asleep[fidelity.AsleepVTime] - there + here))
	}
}

func (s *start) placeTask(m *sim.Machine, t *sim.Task, r *fidelity.Task) {
	if len(r.Before) == 0 {
		return // it was not there yet
	}
	cpu, recent := int32(r.Asleep[fidelity.AsleepCPU]), int32(r.Asleep[fidelity.AsleepRecentCPU])
	if cpu < 0 || int(cpu) >= m.NrCPUs() || m.NrCPUs() == 1 || !m.Place(t, sim.CPU(cpu)) {
		return
	}
	if recent >= 0 {
		t.K.SetRecentUsedCPU(recent)
	}
	// It is there as if it had run there last: it does not migrate by staying.
	at := int64(m.Now() - s.p.t0)
	s.p.events = append(s.p.events, fidelity.Event{At: at, Kind: fidelity.EventSwitch, CPU: cpu, Task: t.PID},
		fidelity.Event{At: at, Kind: fidelity.EventSwitch, CPU: cpu, Other: t.PID, State: 1})
}
