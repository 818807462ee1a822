package ext

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// stir does random operations to the machine of a rig.
type stir struct {
	*rig
	rt    *rapid.T
	rng   *rand.Rand
	paths []string // of the cgroups that come and go
	tasks []*sim.Task

	hotplugs int
}

// live is a task that has not ended, or nil.
func (s *stir) live() *sim.Task {
	if len(s.tasks) == 0 {
		return nil
	}
	if p := s.tasks[s.rng.IntN(len(s.tasks))]; s.m.TaskByPID(p.PID) == p && p.State != sim.StateDead {
		return p
	}
	return nil
}

// group is a cgroup, or nil if there is none of that path.
func (s *stir) group() *sim.Cgroup { return s.m.CgroupByPath(s.paths[s.rng.IntN(len(s.paths))]) }

// try fails for mistakes of ours; refusals are part of the game.
func (s *stir) try(err error) {
	var op *sim.OpError
	if err != nil && !errors.As(err, &op) {
		s.rt.Fatal(err)
	}
}

// spawn starts a task of one of the policies; spec has what is not left to chance.
func (s *stir) spawn(spec sim.TaskSpec, policies ...sim.Policy) {
	spec.Comm, spec.Nice, spec.Cgroup = fmt.Sprintf("t%d", len(s.tasks)), s.rng.IntN(40)-20, s.group()
	spec.Behavior = &randomTask{rng: rand.New(rand.NewPCG(s.rng.Uint64(), 2)), left: s.rng.IntN(40), n: s.m.NrCPUs()}
	spec.Policy = policies[s.rng.IntN(len(policies))]
	s.tasks = append(s.tasks, s.rig.spawn(spec))
}

// actions are operations that every test does, with those of its own.
func (s *stir) actions(own map[string]func(*rapid.T)) map[string]func(*rapid.T) {
	m := s.m
	all := map[string]func(*rapid.T){
		"run": func(rt *rapid.T) {
			s.run(m.Now().Add(sim.Duration(rapid.IntRange(1, 20_000).Draw(rt, "us")) * sim.Microsecond))
		},
		"nice": func(*rapid.T) {
			if p := s.live(); p != nil {
				m.SetNice(p, s.rng.IntN(40)-20)
			}
		},
		"kill": func(*rapid.T) {
			if p := s.live(); p != nil && s.rng.IntN(3) == 0 {
				s.try(m.Kill(p))
			}
		},
		"mkdir": func(rt *rapid.T) {
			if _, err := m.MkdirAll(s.paths[s.rng.IntN(len(s.paths))]); err != nil {
				rt.Fatal(err)
			}
		},
		"rmdir": func(*rapid.T) {
			if c := s.group(); c != nil {
				s.try(m.Rmdir(c))
			}
		},
		"hotplug": func(*rapid.T) {
			s.hotplugs++
			if cpu := sim.CPU(s.rng.IntN(m.NrCPUs())); m.Online(cpu) {
				s.try(m.CPUDown(cpu))
			} else {
				s.try(m.CPUUp(cpu))
			}
		},
	}
	for name, f := range own {
		all[name] = f
	}
	return all
}

// online brings back all CPUs.
func (s *stir) online() {
	for cpu := range sim.CPU(s.m.NrCPUs()) {
		if !s.m.Online(cpu) {
			s.try(s.m.CPUUp(cpu))
		}
	}
}
