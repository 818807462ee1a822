package sim

import "fmt"

// How fast a CPU works: its capacity, by its frequency, less what it loses to a busy thread of the same core.
//
// A CPU's rate is 1024 for a CPU of full capacity at full frequency that has its core for itself. A StepRun of a task takes
// its duration times 1024 divided by the rate; when the rate changes in between, so does the rest.

// FullSpeed is the frequency of a CPU that is not slowed down; lowSpeed is the lowest that a scheduler can ask for: a
// quarter, as on many machines.
const (
	FullSpeed = 1024
	lowSpeed  = FullSpeed / 4
)

// Rate is the rate at which cpu works now; 1024 is full.
func (m *Machine) Rate(cpu CPU) int64 { return m.cpus[cpu].capacity }

// Speed is the frequency of cpu in 1024ths of its highest one.
func (m *Machine) Speed(cpu CPU) int { return int(m.cpus[cpu].speed) }

// SetSpeed sets the frequency of cpu in 1024ths of its highest one, 1 to 1024.
func (m *Machine) SetSpeed(cpu CPU, speed int) error {
	switch {
	case cpu < 0 || int(cpu) >= len(m.cpus):
		return &OpError{fmt.Sprintf("speed of CPU %d", cpu), ENODEV, fmt.Sprintf("the machine has CPUs 0-%d", len(m.cpus)-1)}
	case speed < 1 || speed > FullSpeed:
		return &OpError{fmt.Sprintf("speed of CPU %d", cpu), EINVAL, fmt.Sprintf("%d, want 1 to %d", speed, FullSpeed)}
	}
	c := &m.cpus[cpu]
	if c.speed == int32(speed) {
		return nil
	}
	c.speed = int32(speed)
	m.updateRate(c)
	m.Emit(Record{Kind: KindSpeed, CPU: cpu, A: uint64(speed), B: uint64(c.capacity)})
	return nil
}

// RequestSpeed is what a scheduler wants cpu's frequency to be. The machine follows after Costs.SpeedDelay, if that is not 0;
// a machine without it does not change its speed (cpufreq_update_util with a governor that does what it is told).
func (m *Machine) RequestSpeed(cpu CPU, speed int) {
	if m.costs.SpeedDelay == 0 {
		return
	}
	c := &m.cpus[cpu]
	c.wantSpeed = int32(min(max(speed, lowSpeed), FullSpeed))
	if c.speedTimer.Fire == nil {
		c.speedTimer.Fire = func(Time) {
			if err := m.SetSpeed(c.id, int(c.wantSpeed)); err != nil {
				panic("BUG: " + err.Error())
			}
		}
	}
	if !c.speedTimer.Armed() && c.wantSpeed != c.speed {
		m.Arm(&c.speedTimer, cpu, m.now.Add(m.costs.SpeedDelay))
	}
}

// updateRate brings c's rate up to date; work done until now counts at the old one.
func (m *Machine) updateRate(c *cpu) {
	rate := int64(m.topo.CPUs[c.id].Capacity) * int64(c.speed) / FullSpeed
	if s := m.costs.SMT; s != 0 && m.siblingBusy(c) {
		rate = rate * int64(s) / 1024
	}
	if rate = max(rate, 1); rate == c.capacity {
		return
	}
	m.progress(c)
	c.capacity = rate
	if c.step.Armed() && (c.id != m.this || !m.running) {
		m.armStep(c) // this CPU's is armed when the event has been dealt with
	}
}

// siblingBusy tells whether another thread of c's core runs a task.
func (m *Machine) siblingBusy(c *cpu) bool {
	for _, o := range m.topo.Siblings(int32(c.id)).CPUs {
		if CPU(o) != c.id && m.busy[o/64]>>(o%64)&1 != 0 {
			return true
		}
	}
	return false
}

// smtChanged updates the rates of the other threads of c's core after c went busy or idle.
func (m *Machine) smtChanged(c *cpu) {
	for _, o := range m.topo.Siblings(int32(c.id)).CPUs {
		m.updateRate(&m.cpus[o])
	}
}

// idleExit is the time that c takes to leave its idle state: longer from the deep one, in which it is when it has been idle
// for long enough.
func (m *Machine) idleExit(c *cpu) Duration {
	if d := m.costs.DeepIdleAfter; d > 0 && m.now.Sub(c.idleSince) >= d && (c.idleLimit == 0 || m.costs.DeepIdleExit <= c.idleLimit) {
		return m.costs.DeepIdleExit
	}
	return m.costs.IdleExit
}

// LimitIdle keeps a CPU out of idle states that take longer than d to leave, as power/pm_qos_resume_latency_us of sysfs does; 0:
// there is no limit.
func (m *Machine) LimitIdle(cpu CPU, d Duration) { m.cpus[cpu].idleLimit = d }

// cold is the part of the price of a move that t pays: as much as it had filled its caches, for which it needs
// Costs.Warmup.
func (m *Machine) cold(t *Task, price Duration) Duration {
	if w := m.costs.Warmup; w > 0 {
		if ran := t.SumExec - t.arrivedExec; ran < w {
			return Duration(int64(price) * int64(ran) / int64(w))
		}
	}
	return price
}
