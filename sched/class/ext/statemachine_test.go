package ext

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// monitor checks what a policy may rely on: callbacks come in pairs and in order, for tasks as for cgroups.
type monitor struct {
	r       *rig
	tasks   map[*sim.Task]*taskLife
	cgroups map[uint64]bool // initialised
	moving  map[*sim.Task]uint64
	err     error
}

// taskLife is what a policy has been told of a task.
type taskLife struct{ enabled, runnable, running bool }

func (v *monitor) fail(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

// flip checks that a state changes, and changes it.
func (v *monitor) flip(t *sim.Task, what string, state *bool, to bool) {
	if *state == to {
		v.fail("%v: %s is %t already", t, what, to)
	}
	*state = to
}

func (v *monitor) life(t *sim.Task, what string) *taskLife {
	l := v.tasks[t]
	if l == nil {
		v.fail("%v: %s of a task that was not initialised", t, what)
		l = &taskLife{}
		v.tasks[t] = l
	}
	return l
}

func (v *monitor) known(c uint64, what string) {
	if !v.cgroups[c] {
		v.fail("%s: cgroup %#x was not initialised", what, c)
	}
}

// watch adds the checks to a table.
func (v *monitor) watch(tb *ops.Table) {
	v.tasks, v.cgroups, v.moving = map[*sim.Task]*taskLife{}, map[uint64]bool{}, map[*sim.Task]uint64{}
	exitTask := tb.ExitTask
	tb.InitTask = func(t *sim.Task, a *ops.InitTaskArgs) int32 {
		if v.tasks[t] != nil {
			v.fail("%v: initialised twice", t)
		}
		v.tasks[t] = &taskLife{}
		v.known(a.Cgroup, "init_task")
		return 0
	}
	tb.ExitTask = func(t *sim.Task, a *ops.ExitTaskArgs) {
		if l := v.life(t, "exit_task"); l.enabled {
			v.fail("%v: exit_task while enabled", t)
		}
		delete(v.tasks, t)
		exitTask(t, a)
	}
	tb.Enable = func(t *sim.Task) { v.flip(t, "enabled", &v.life(t, "enable").enabled, true) }
	tb.Disable = func(t *sim.Task) { v.flip(t, "enabled", &v.life(t, "disable").enabled, false) }
	tb.Runnable = func(t *sim.Task, _ uint64) { v.flip(t, "runnable", &v.life(t, "runnable").runnable, true) }
	tb.Quiescent = func(t *sim.Task, _ uint64) {
		l := v.life(t, "quiescent")
		if l.running {
			v.fail("%v: quiescent while running", t)
		}
		v.flip(t, "runnable", &l.runnable, false)
	}
	tb.Running = func(t *sim.Task) {
		l := v.life(t, "running")
		if !l.runnable {
			v.fail("%v: running while not runnable", t)
		}
		v.flip(t, "running", &l.running, true)
	}
	tb.Stopping = func(t *sim.Task, _ bool) { v.flip(t, "running", &v.life(t, "stopping").running, false) }
	tb.CgroupInit = func(c uint64, _ *ops.CgroupInitArgs) int32 {
		if v.cgroups[c] {
			v.fail("cgroup %#x initialised twice", c)
		}
		v.cgroups[c] = true
		return 0
	}
	tb.CgroupExit = func(c uint64) {
		v.known(c, "cgroup_exit")
		delete(v.cgroups, c)
	}
	tb.CgroupPrepMove = func(t *sim.Task, from, to uint64) int32 {
		v.known(from, "prep_move from")
		v.known(to, "prep_move to")
		if v.moving[t] != 0 || from == to {
			v.fail("%v: prep_move twice, or to where it is", t)
		}
		if v.r.rng.IntN(5) == 0 {
			return -int32(sim.EBUSY)
		}
		v.moving[t] = to
		return 0
	}
	tb.CgroupMove = func(t *sim.Task, _, to uint64) {
		if v.moving[t] != to || t.SchedGroup.K.Addr != to {
			v.fail("%v: move to %#x that was not prepared", t, to)
		}
		delete(v.moving, t)
	}
	tb.CgroupCancelMove = func(t *sim.Task, _, to uint64) {
		if v.moving[t] != to {
			v.fail("%v: cancel_move to %#x that was not prepared", t, to)
		}
		delete(v.moving, t)
	}
	known := func(c uint64) { v.known(c, "file of a cgroup") }
	tb.CgroupSetWeight = func(c uint64, _ uint32) { known(c) }
	tb.CgroupSetBandwidth = func(c uint64, _, _, _ uint64) { known(c) }
	tb.CgroupSetIdle = func(c uint64, _ bool) { known(c) }
}

// idle checks that no CPU sits idle while a task waits in its local DSQ.
func (k *Kernel) checkIdle() error {
	for i := range k.rqs {
		r := &k.rqs[i]
		if k.enabled && k.m.Online(r.cpu) && k.currIdle(r.cpu) && r.local.nr > 0 && !k.m.NeedResched(r.cpu) {
			return fmt.Errorf("cpu %d is idle with %d tasks in its local DSQ", i, r.local.nr)
		}
	}
	return nil
}

// checkMachine checks that tasks, cgroups and CPUs agree with each other.
func checkMachine(m *sim.Machine) error {
	var err error
	in := map[*sim.Cgroup]int{}
	m.Tasks(func(t *sim.Task) {
		in[t.Cgroup]++
		switch {
		case !t.Cgroup.Online():
			err = fmt.Errorf("%v is in %s, which was removed", t, t.Cgroup.Path())
		case t.SchedGroup != t.Cgroup:
			err = fmt.Errorf("%v is in %s and scheduled in %s", t, t.Cgroup.Path(), t.SchedGroup.Path())
		case t.State == sim.StateRunning && !t.OnRQ:
			err = fmt.Errorf("%v is runnable and on no runqueue", t)
		case t.OnRQ && !m.Online(t.CPU()):
			err = fmt.Errorf("%v is queued on CPU %d, which is offline", t, t.CPU())
		case t.OnCPU && m.Curr(t.CPU()) != t:
			err = fmt.Errorf("%v runs on CPU %d, which runs %v", t, t.CPU(), m.Curr(t.CPU()))
		case t.K.Cgroups() != t.Cgroup.K.CSSSet || t.K.SchedTaskGroup() != t.SchedGroup.K.Group:
			err = fmt.Errorf("%v: its task_struct points at another cgroup", t)
		}
	})
	root := m.Root()
	for c := root; c != nil; c = c.NextPre(root) {
		if c.NrTasks() != in[c] {
			err = fmt.Errorf("%s has %d tasks, says %d", c.Path(), in[c], c.NrTasks())
		}
	}
	return err
}

// TestStateMachine does random operations to a machine with tasks, cgroups and CPUs that come and go, under policies that
// come and go too and end by errors, and checks the invariants after each.
func TestStateMachine(t *testing.T) {
	var sequences, steps, attached, errored, hotplugs, moves int
	rapid.Check(t, func(rt *rapid.T) {
		tp := rapid.SampledFrom([]string{"1n1l1c1t", "1n1l2c1t", "1n1l2c2t", "2n2l2c1t"}).Draw(rt, "topo")
		seed := rapid.Uint64().Draw(rt, "seed")
		r := newRig(t, rigOptions{topo: tp, fair: rapid.Bool().Draw(rt, "fair")})
		rng := rand.New(rand.NewPCG(seed, 0))
		r.rng = rng
		m := r.m
		w := &wild{k: r.k, rng: rng, n: m.NrCPUs()}
		v := &monitor{r: r}
		sequences++
		st := &stir{rig: r, rt: rt, rng: rng, paths: []string{"/", "/a", "/a/x", "/a/y", "/b"}}
		faulted := false
		check := func(*rapid.T) {
			steps++
			for _, err := range []error{r.k.check(), r.k.checkIdle(), checkMachine(m), v.err} {
				if err != nil {
					rt.Fatal(err)
				}
			}
			if e := r.k.ExitInfo(); e != nil && e.Kind >= ops.ExitError && !faulted {
				rt.Fatalf("policy ended: %s: %s", e.Reason, e.Msg)
			}
		}
		rt.Repeat(st.actions(map[string]func(*rapid.T){
			"": check,
			"spawn": func(rt *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(rt, "n") {
					st.spawn(sim.TaskSpec{CgroupW: []int{0, 0, 0, 200}[rng.IntN(4)]}, sim.PolicyNormal, sim.PolicyBatch, sim.PolicyIdle, sim.PolicyExt)
				}
			},
			"affinity": func(*rapid.T) {
				if p := st.live(); p != nil {
					_ = m.SetAffinity(p, []sim.CPU{sim.CPU(rng.IntN(w.n)), sim.CPU(rng.IntN(w.n))}) // those may be offline
				}
			},
			"migrate_disable": func(*rapid.T) {
				if p := st.live(); p != nil {
					if p.MigrationDisabled > 0 {
						// As far as others can tell: the task may move again.
						st.try(m.MigrateEnable(p))
					} else {
						m.MigrateDisable(p)
					}
				}
			},
			"move": func(*rapid.T) {
				if c := st.group(); c != nil {
					var ts []*sim.Task
					for range 1 + rng.IntN(3) {
						if p := st.live(); p != nil && (len(ts) == 0 || ts[len(ts)-1] != p) && len(ts) < 2 {
							ts = append(ts, p)
						}
					}
					st.try(m.MoveTasks(c, ts...))
					moves++
				}
			},
			"files": func(*rapid.T) {
				if c := st.group(); c != nil {
					switch rng.IntN(4) {
					case 0:
						st.try(m.SetCgroupWeight(c, 1+rng.Uint64N(10_000)))
					case 1:
						st.try(m.SetCgroupIdle(c, rng.IntN(2) == 0))
					case 2:
						st.try(m.SetCgroupBandwidth(c, 10_000, []uint64{3000, 8000, sim.QuotaMax}[rng.IntN(3)], 0))
					case 3:
						st.try(m.SetCgroupCPUs(c, [][]sim.CPU{nil, {0}, {sim.CPU(w.n - 1)}}[rng.IntN(3)]))
					}
				}
			},
			"attach": func(rt *rapid.T) {
				if r.k.State() != ops.Disabled {
					r.k.Disable(ops.ExitUnreg)
					return
				}
				w.held, faulted = nil, false
				tb := w.table(rapid.Uint64Range(0, ops.FlagAll).Draw(rt, "flags"))
				v.watch(tb)
				if rng.IntN(3) > 0 {
					tb.CPUOnline, tb.CPUOffline = func(sim.CPU) {}, func(sim.CPU) {}
				}
				attached++
				if err := r.k.Enable(tb); err != nil {
					rt.Fatal(err)
				}
			},
			"error": func(*rapid.T) {
				if r.k.State() == ops.Enabled && rng.IntN(4) == 0 {
					faulted = true
					errored++
					r.k.Fault("an error of the policy")
				}
			},
		}))
		// Everything that was taken away comes back, and all tasks come to their end.
		r.k.Disable(ops.ExitUnreg)
		for _, p := range st.tasks {
			for m.TaskByPID(p.PID) == p && m.MigrateEnable(p) == nil {
			}
		}
		r.run(m.Now().Add(sim.Millisecond)) // CPUs that waited for them are offline now
		st.online()
		root := m.Root()
		for c := root; c != nil; c = c.NextPre(root) {
			st.try(m.SetCgroupBandwidth(c, 10_000, sim.QuotaMax, 0))
			st.try(m.SetCgroupIdle(c, false))
		}
		for range 20 {
			r.run(m.Now().Add(500 * sim.Millisecond))
			check(nil)
		}
		if n := m.NrTasks(); n != 0 {
			m.Tasks(func(p *sim.Task) {
				rt.Logf("%v: class %s cpu %d state %#x queued %t running %t in %s", p, p.Class.Name(), p.CPU(), p.State, p.OnRQ, p.OnCPU, p.Cgroup.Path())
			})
			rt.Fatalf("%d tasks have not ended", n)
		}
		hotplugs += st.hotplugs
		for c := root.FirstPost(); c != root; c = c.NextPost(root) {
			if c.Online() {
				if err := m.Rmdir(c); err != nil {
					rt.Fatal(err)
				}
			}
		}
		r.run(m.Now().Add(200 * sim.Millisecond))
		if m.Root().First() != nil {
			rt.Fatal("cgroups are left")
		}
	})
	t.Logf("%d sequences, %d steps: %d policies attached, %d ended by an error, %d CPUs went or came, %d moves", sequences, steps, attached, errored,
		hotplugs, moves)
}
