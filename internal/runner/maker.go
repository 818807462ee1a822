package runner

import "github.com/schedsim/schedsim/sim"

// maker is a thread that makes tasks.
type maker struct {
	at    sim.Time
	specs []sim.TaskSpec
}

// Next implements sim.Behavior.
func (k *maker) Next(_ *sim.Task, now sim.Time) sim.Step {
	if now < k.at {
		return sim.Step{Kind: sim.StepSleepUntil, At: k.at}
	}
	if len(k.specs) == 0 {
		return sim.Step{Kind: sim.StepSleepUntil, At: sim.Never}
	}
	s := &k.specs[0]
	k.specs = k.specs[1:]
	if s.CPUs != nil {
		s.Behavior, s.CPUs = &bound{s.Behavior, s.CPUs}, nil
	}
	return sim.Step{Kind: sim.StepFork, Spawn: s}
}

// bound is a task that first sets its affinity: made tasks may run where their maker may.
type bound struct {
	sim.Behavior
	cpus []sim.CPU
}

// Next implements sim.Behavior.
func (b *bound) Next(t *sim.Task, now sim.Time) sim.Step {
	if cpus := b.cpus; cpus != nil {
		b.cpus = nil
		return sim.Step{Kind: sim.StepSetAffinity, CPUs: cpus}
	}
	return b.Behavior.Next(t, now)
}

// Killed implements sim.Killable.
func (b *bound) Killed(t *sim.Task) {
	if k, ok := b.Behavior.(sim.Killable); ok {
		k.Killed(t)
	}
}
