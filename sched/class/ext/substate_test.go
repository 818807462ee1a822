package ext

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// kin is a policy of a hierarchy: wild, with sub-schedulers that it lets dispatch.
type kin struct {
	wild
	v        monitor
	children []uint64 // cgroups of those below it
	path     string
	sub      *Sub // nil for the root
	faulted  bool
}

// table is that of wild in the cid form. CPUs are chosen by the core, since callbacks are told cids.
func (p *kin) table(flags uint64, id uint64) *ops.Table {
	tb := p.wild.table(flags)
	tb.CID, tb.SubCgroupID, tb.SelectCPU = true, id, nil
	tb.SubAttach = func(a *ops.SubArgs) int32 {
		if p.rng.IntN(6) == 0 {
			return -int32(sim.EBUSY)
		}
		p.children = append(p.children, a.Ops.SubCgroupID)
		return 0
	}
	tb.SubDetach = func(a *ops.SubArgs) {
		i := slices.Index(p.children, a.Ops.SubCgroupID)
		if i < 0 {
			p.v.fail("sub_detach of %d, which was not attached", a.Ops.SubCgroupID)
			return
		}
		p.children = slices.Delete(p.children, i, i+1)
	}
	dispatch := tb.Dispatch
	tb.Dispatch = func(cid sim.CPU, prev *sim.Task) {
		children := slices.Clone(p.children)
		p.rng.Shuffle(len(children), func(i, j int) { children[i], children[j] = children[j], children[i] })
		if p.rng.IntN(2) == 0 {
			dispatch(cid, prev)
		}
		for _, c := range children {
			if p.k.SubDispatch(c) {
				return
			}
		}
		dispatch(cid, prev)
	}
	p.v.watch(tb)
	if id != 0 { // only the root is told of cgroups
		tb.CgroupInit, tb.CgroupExit, tb.CgroupPrepMove, tb.CgroupMove, tb.CgroupCancelMove = nil, nil, nil, nil, nil
		tb.CgroupSetWeight, tb.CgroupSetBandwidth, tb.CgroupSetIdle = nil, nil, nil
		tb.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 {
			if p.v.tasks[t] != nil {
				p.v.fail("%v: initialised twice", t)
			}
			p.v.tasks[t] = &taskLife{}
			return 0
		}
	}
	return tb
}

// TestSubMachine does random operations to a machine under a hierarchy of policies, which are attached and detached while tasks run,
// end by errors and lose their cgroups. What TestStateMachine checks is checked here, of each policy.
func TestSubMachine(t *testing.T) {
	var sequences, steps, roots, subs, refused, errored, detached, moves int
	rapid.Check(t, func(rt *rapid.T) {
		tp := rapid.SampledFrom([]string{"1n1l1c1t", "1n1l2c1t", "1n1l2c2t", "2n1l2c1t"}).Draw(rt, "topo")
		r := newRig(t, rigOptions{topo: tp, fair: rapid.Bool().Draw(rt, "fair")})
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		r.rng = rng
		m := r.m
		sequences++
		st := &stir{rig: r, rt: rt, rng: rng, paths: []string{"/", "/a", "/a/x", "/a/x/p", "/a/y", "/b"}}
		var all []*kin // that are attached, or were
		newKin := func(path string) *kin {
			p := &kin{wild: wild{k: r.k, rng: rng, n: m.NrCPUs(), cid: true}, path: path}
			p.v.r = r
			return p
		}
		active := func() []*kin {
			var out []*kin
			for _, p := range all {
				if p.sub != nil && p.sub.ExitInfo() == nil {
					out = append(out, p)
				}
			}
			return out
		}
		check := func(*rapid.T) {
			steps++
			errs := []error{r.k.check(), r.k.checkIdle(), checkMachine(m)}
			for _, p := range all {
				errs = append(errs, p.v.err)
				i := r.k.ExitInfo()
				if p.sub != nil {
					i = p.sub.ExitInfo()
				}
				if i != nil && i.Kind >= ops.ExitError && !p.faulted {
					errs = append(errs, fmt.Errorf("policy of %q ended: %s: %s", p.path, i.Reason, i.Msg))
				}
				if p.sub != nil && p.sub.s.exitKind == ops.ExitDone && len(p.v.tasks) != 0 {
					errs = append(errs, fmt.Errorf("policy of %q ended with %d tasks", p.path, len(p.v.tasks)))
				}
			}
			for _, err := range errs {
				if err != nil {
					rt.Fatal(err)
				}
			}
		}
		attachRoot := func(flags uint64) {
			all = all[:0]
			p := newKin("")
			tb := p.table(flags, 0)
			tb.CPUOnline, tb.CPUOffline = func(sim.CPU) {}, func(sim.CPU) {}
			roots++
			if err := r.k.Enable(tb); err != nil {
				rt.Fatal(err)
			}
			all = append(all, p)
		}
		for _, path := range st.paths[1:] {
			if _, err := m.MkdirAll(path); err != nil {
				rt.Fatal(err)
			}
		}
		attachRoot(0)
		rt.Repeat(st.actions(map[string]func(*rapid.T){
			"": check,
			"spawn": func(rt *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(rt, "n") {
					st.spawn(sim.TaskSpec{}, sim.PolicyNormal, sim.PolicyBatch, sim.PolicyExt)
				}
			},
			// Not to the cgroup of another policy: 7.2 leaves the task with its own, and loses sight of it when a third one comes.
			"move": func(*rapid.T) {
				if c, p := st.group(), st.live(); c != nil && p != nil && (r.k.sch == nil || r.k.cgroupSched(c) == r.k.cgroupSched(p.Cgroup)) {
					st.try(m.MoveTasks(c, p))
					moves++
				}
			},
			"root": func(rt *rapid.T) {
				if r.k.State() != ops.Disabled {
					if rng.IntN(8) == 0 {
						r.k.Disable(ops.ExitUnreg)
					}
					return
				}
				attachRoot(rapid.Uint64Range(0, ops.FlagAll).Draw(rt, "flags"))
			},
			"sub": func(rt *rapid.T) {
				c := st.group()
				if c == nil {
					return
				}
				p := newKin(c.Path())
				tb := p.table(rapid.Uint64Range(0, ops.FlagAll).Draw(rt, "flags")&^ops.FlagTIDToTask, c.ID)
				tb.CPUOnline, tb.CPUOffline = func(sim.CPU) {}, func(sim.CPU) {}
				sub, err := r.k.EnableSub(tb)
				if err != nil {
					refused++
					if p.sub = sub; sub != nil && sub.ExitInfo() == nil {
						rt.Fatalf("%v, but it has not ended", err)
					}
					return
				}
				subs++
				p.sub = sub
				all = append(all, p)
			},
			"detach": func(*rapid.T) {
				if l := active(); len(l) > 0 {
					detached++
					l[rng.IntN(len(l))].sub.Disable(ops.ExitUnreg)
				}
			},
			"error": func(*rapid.T) {
				if l := active(); len(l) > 0 && rng.IntN(2) == 0 {
					errored++
					p := l[rng.IntN(len(l))]
					p.faulted = true
					p.sub.Do(func() { r.k.Fault("an error of the policy") })
				}
			},
		}))
		r.k.Disable(ops.ExitUnreg)
		st.online()
		for range 20 {
			r.run(m.Now().Add(500 * sim.Millisecond))
			check(nil)
		}
		if n := m.NrTasks(); n != 0 {
			rt.Fatalf("%d tasks have not ended", n)
		}
	})
	t.Logf("%d sequences, %d steps: %d roots and %d sub-schedulers attached, %d refused, %d detached, %d ended by an error, %d moves", sequences, steps, roots,
		subs, refused, detached, errored, moves)
}
