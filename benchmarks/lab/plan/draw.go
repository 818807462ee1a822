package plan

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads"
	"github.com/schedsim/schedsim/workloads/gen"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// draw goes through what a task does and draws its random durations in the order in which it will need them, from the
// stream that the simulator gives it. What it does next never depends on time, so the order is known. forks are the
// tasks that it forks, if any of those has random durations.
func (c *compiler) draw(t *workloads.PlanTask, stream string) (draws []sim.Duration, forks []int) {
	random := len(t.Dists) > 0
	childRandom := c.forksRandom(t)
	if !random && !childRandom || len(t.Phases) == 0 {
		return nil, nil
	}
	var samplers []*gen.Sampler
	if random {
		src := sim.Stream(c.o.Seed, stream)
		for _, d := range t.Dists {
			samplers = append(samplers, gen.NewSampler(d, src))
		}
	}
	full := func() bool {
		return (!random || len(draws) >= maxDraws) && (!childRandom || len(forks) >= maxForks)
	}
	for round := 0; (t.Loop < 0 || round < t.Loop) && !full(); round++ {
		for i := range t.Phases {
			ph := &t.Phases[i]
			for iter := 0; (ph.Loop <= 0 || iter < ph.Loop) && !full(); iter++ {
				for j := range ph.Ops {
					o := &ph.Ops[j]
					if o.Dist >= 0 && len(draws) < maxDraws {
						draws = append(draws, samplers[o.Dist].Sample())
					}
					if childRandom && !o.Mark && o.Kind == rtapp.Fork && len(forks) < maxForks {
						forks = append(forks, o.Fork)
					}
				}
			}
		}
	}
	return draws, forks
}

// forksRandom tells whether t forks tasks with random durations.
func (c *compiler) forksRandom(t *workloads.PlanTask) bool {
	for i := range t.Phases {
		for _, o := range t.Phases[i].Ops {
			if !o.Mark && o.Kind == rtapp.Fork && len(c.w.Tasks[o.Fork].Dists) > 0 {
				return true
			}
		}
	}
	return false
}
