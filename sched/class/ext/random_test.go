package ext

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// wild is a policy that does whatever is allowed, at random: it dispatches directly, to queues of its own of both
// sorts, to the global and to local ones, keeps tasks to itself, moves them around and kicks CPUs.
type wild struct {
	k    *Kernel
	rng  *rand.Rand
	held []*sim.Task // in the policy's hands, on no DSQ
	n    int         // CPUs
	cid  bool        // it is told cids, and names local queues by them
}

// localOn is the local queue of a CPU.
func (w *wild) localOn(cpu sim.CPU) uint64 {
	if w.cid {
		return ops.DSQLocalOn | uint64(w.k.CPUToCID(cpu))
	}
	return ops.DSQLocalOn | uint64(cpu)
}

const (
	wildFIFO  = 10
	wildVtime = 11
)

func (w *wild) hold(t *sim.Task) { w.held = append(w.held, t) }

func (w *wild) drop(t *sim.Task) {
	if i := slices.Index(w.held, t); i >= 0 {
		w.held = slices.Delete(w.held, i, i+1)
	}
}

// allowedCPU is a random CPU on which the task may run.
func (w *wild) allowedCPU(t *sim.Task) sim.CPU {
	if t.MigrationDisabled > 0 {
		return t.CPU()
	}
	cpus := t.K.CPUs()
	for at := int32(w.rng.IntN(w.n)) - 1; ; at = -1 {
		if c := cpus.Next(at); c >= 0 {
			return sim.CPU(c)
		}
	}
}

// insert puts t somewhere; it returns false if it keeps it.
func (w *wild) insert(t *sim.Task, flags uint64, mayHold bool) bool {
	slice := []uint64{0, 100_000, 3_000_000, ops.SliceDfl, ops.SliceInf}[w.rng.IntN(5)]
	if slice == ops.SliceInf && w.rng.IntN(4) > 0 {
		slice = ops.SliceDfl
	}
	local := flags
	switch w.rng.IntN(6) {
	case 0:
		local |= ops.EnqPreempt
	case 1:
		local |= ops.EnqHead
	case 2:
		if flags&ops.EnqReenq == 0 {
			local |= ops.EnqImmed
		}
	}
	if flags&ops.EnqLast != 0 {
		return w.k.DSQInsert(t, ops.DSQLocal, slice, local)
	}
	switch w.rng.IntN(7) {
	case 0:
		w.k.KickCPU(t.CPU(), 0) // each node has a global queue of its own, which others do not look at
		return w.k.DSQInsert(t, ops.DSQGlobal, slice, flags)
	case 1:
		return w.k.DSQInsert(t, w.localOn(w.allowedCPU(t)), slice, local)
	case 2:
		return w.k.DSQInsert(t, w.localOn(t.CPU()), slice, local)
	case 3:
		return w.k.DSQInsert(t, wildFIFO, slice, flags)
	case 4:
		return w.k.DSQInsertVtime(t, wildVtime, slice, w.rng.Uint64N(1000), flags)
	case 5:
		if mayHold {
			return false
		}
	}
	return w.k.DSQInsert(t, wildFIFO, slice, flags)
}

// kick kicks a CPU on which t may run, which a policy owes a task that it does not put on a local DSQ, and another.
func (w *wild) kick(t *sim.Task) {
	w.k.KickCPU(w.allowedCPU(t), []uint64{0, ops.KickIdle}[w.rng.IntN(2)])
	w.k.KickCPU(sim.CPU(w.rng.IntN(w.n)), []uint64{0, ops.KickIdle, ops.KickPreempt, ops.KickWait, ops.KickPreempt | ops.KickWait}[w.rng.IntN(5)])
}

func (w *wild) table(flags uint64) *ops.Table {
	k := w.k
	return &ops.Table{
		Name:      "wild",
		Flags:     flags,
		TimeoutMS: 30_000,
		Init:      func() int32 { return min(k.CreateDSQ(wildFIFO, -1), k.CreateDSQ(wildVtime, -1)) },
		SelectCPU: func(t *sim.Task, prev sim.CPU, f uint64) sim.CPU {
			cpu, idle := k.SelectCPUDfl(t, prev, f)
			switch w.rng.IntN(4) {
			case 0:
				cpu = w.allowedCPU(t)
			case 1:
				k.DSQInsert(t, w.localOn(w.allowedCPU(t)), ops.SliceDfl, 0)
			default:
				if idle {
					k.DSQInsert(t, ops.DSQLocal, ops.SliceDfl, 0)
				}
			}
			return cpu
		},
		Enqueue: func(t *sim.Task, f uint64) {
			if !w.insert(t, f, true) {
				w.hold(t)
			}
			w.kick(t)
			if w.rng.IntN(20) == 0 {
				k.DSQReenq(w.localOn(sim.CPU(w.rng.IntN(w.n))), 0)
			}
			if w.rng.IntN(20) == 0 {
				k.DSQReenq(wildFIFO, ReenqAny)
			}
		},
		Dequeue: func(t *sim.Task, _ uint64) { w.drop(t) },
		Dispatch: func(cpu sim.CPU, _ *sim.Task) {
			if w.rng.IntN(3) == 0 {
				it, _ := k.NewDSQIter(wildVtime, []uint64{0, ops.DSQIterRev}[w.rng.IntN(2)])
				for t := it.Next(); t != nil; t = it.Next() {
					switch w.rng.IntN(6) {
					case 0:
						it.SetSlice(1_000_000)
						k.DSQMove(it, t, w.localOn(w.allowedCPU(t)), 0, false)
					case 1:
						k.DSQMove(it, t, wildFIFO, 0, false)
						w.kick(t)
					case 2:
						it.SetVtime(w.rng.Uint64N(1000))
						k.DSQMove(it, t, wildVtime, 0, true)
					}
				}
				it.Close()
			}
			for len(w.held) > 0 && k.DispatchNrSlots() > 0 {
				t := w.held[0]
				w.held = w.held[1:]
				w.insert(t, 0, false)
				w.kick(t)
				if w.rng.IntN(10) == 0 { // think again
					k.DispatchCancel()
					w.hold(t)
					w.kick(t)
					break
				}
			}
			if w.rng.IntN(2) == 0 {
				k.DSQMoveToLocal(wildVtime, 0)
			}
			k.DSQMoveToLocal(wildFIFO, 0)
			k.DSQMoveToLocal(wildVtime, 0)
		},
		ExitTask: func(t *sim.Task, _ *ops.ExitTaskArgs) { w.drop(t) },
	}
}

// randomTask behaves at random, for a while or for ever.
type randomTask struct {
	rng  *rand.Rand
	left int // steps; negative: for ever
	n    int
}

func (b *randomTask) Next(*sim.Task, sim.Time) sim.Step {
	if b.left == 0 {
		return sim.Step{Kind: sim.StepExit}
	}
	b.left--
	us := func(n int) sim.Duration { return sim.Duration(1+b.rng.IntN(n)) * sim.Microsecond }
	switch b.rng.IntN(12) {
	case 0, 1, 2:
		return sleep(us(8000))
	case 3:
		return sim.Step{Kind: sim.StepYield}
	case 4:
		return sim.Step{Kind: sim.StepSetNice, N: int32(b.rng.IntN(40) - 20)}
	case 5:
		var cpus []sim.CPU
		for i := range b.n {
			if b.rng.IntN(2) == 0 {
				cpus = append(cpus, sim.CPU(i))
			}
		}
		if len(cpus) == 0 {
			cpus = []sim.CPU{sim.CPU(b.rng.IntN(b.n))}
		}
		return sim.Step{Kind: sim.StepSetAffinity, CPUs: cpus}
	case 6:
		if b.rng.IntN(4) == 0 {
			return sim.Step{Kind: sim.StepFork, Spawn: &sim.TaskSpec{
				Comm: "child", Behavior: &randomTask{rng: rand.New(rand.NewPCG(b.rng.Uint64(), 1)), left: 6, n: b.n},
			}}
		}
	}
	return run(us(3000))
}

// TestRandom drives a machine with random workloads, changes from outside and policies that come and go, and checks the
// invariants of the core all along: no task is lost or on two queues, the counts are right. In the end all tasks that
// are to end have ended.
func TestRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tp := rapid.SampledFrom([]string{"1n1l1c1t", "1n1l2c1t", "1n1l2c2t", "2n1l2c2t", "2n2l2c1t"}).Draw(rt, "topo")
		seed := rapid.Uint64().Draw(rt, "seed")
		costs := sim.Costs{}
		if rapid.Bool().Draw(rt, "costs") {
			costs = sim.Costs{Switch: 1500, Wakeup: 700, Tick: 900, IPI: 1000, IdleExit: 2000, Migration: 3000, Callback: 300}
		}
		r := newRig(t, rigOptions{topo: tp, costs: costs, fair: rapid.Bool().Draw(rt, "fair")})
		rng := rand.New(rand.NewPCG(seed, 0))
		w := &wild{k: r.k, rng: rng, n: r.m.NrCPUs()}
		var tasks []*sim.Task
		child := func() *rand.Rand { return rand.New(rand.NewPCG(rng.Uint64(), 2)) }
		check := func() {
			if err := r.k.check(); err != nil {
				rt.Fatal(err)
			}
			if e := r.k.ExitInfo(); e != nil && e.Kind >= ops.ExitError {
				rt.Fatalf("policy ended: %s: %s", e.Reason, e.Msg)
			}
		}
		live := func() *sim.Task {
			if len(tasks) == 0 {
				return nil
			}
			p := tasks[rng.IntN(len(tasks))]
			if r.m.TaskByPID(p.PID) != p || p.State == sim.StateDead {
				return nil
			}
			return p
		}
		now := sim.Time(0)
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"run": func(rt *rapid.T) {
				now = now.Add(sim.Duration(rapid.IntRange(1, 30_000).Draw(rt, "us")) * sim.Microsecond)
				r.run(now)
			},
			"spawn": func(rt *rapid.T) {
				for range rapid.IntRange(1, 6).Draw(rt, "n") {
					p := r.spawn(sim.TaskSpec{
						Comm: fmt.Sprintf("t%d", len(tasks)), Nice: rng.IntN(40) - 20,
						Behavior: &randomTask{rng: child(), left: rng.IntN(40), n: w.n},
						Policy:   []sim.Policy{sim.PolicyNormal, sim.PolicyNormal, sim.PolicyBatch, sim.PolicyIdle, sim.PolicyExt}[rng.IntN(5)],
					})
					tasks = append(tasks, p)
				}
			},
			"nice": func(*rapid.T) {
				if p := live(); p != nil {
					r.m.SetNice(p, rng.IntN(40)-20)
				}
			},
			"affinity": func(*rapid.T) {
				if p := live(); p != nil && p.MigrationDisabled == 0 {
					if err := r.m.SetAffinity(p, []sim.CPU{sim.CPU(rng.IntN(w.n)), sim.CPU(rng.IntN(w.n))}); err != nil {
						rt.Fatal(err)
					}
				}
			},
			"policy": func(*rapid.T) {
				if p := live(); p != nil {
					policy := []sim.Policy{sim.PolicyNormal, sim.PolicyFIFO, sim.PolicyExt, sim.PolicyIdle}[rng.IntN(4)]
					rtPrio := 0
					if policy == sim.PolicyFIFO {
						rtPrio = 1
					}
					if err := r.m.SetScheduler(p, policy, rtPrio, p.Nice); err != nil {
						rt.Fatal(err)
					}
				}
			},
			"enable": func(rt *rapid.T) {
				flags := rapid.Uint64Range(0, ops.FlagAll).Draw(rt, "flags")
				if r.k.State() != ops.Disabled {
					if err := r.k.Enable(w.table(flags)); !errors.Is(err, ErrBusy) {
						rt.Fatal("enabled twice:", err)
					}
					return
				}
				w.held = nil
				if err := r.k.Enable(w.table(flags)); err != nil {
					rt.Fatal(err)
				}
			},
			"disable": func(*rapid.T) { r.k.Disable(ops.ExitUnreg) },
		})
		for _, p := range tasks {
			if r.m.TaskByPID(p.PID) == p && p.Policy == sim.PolicyFIFO {
				if err := r.m.SetScheduler(p, sim.PolicyNormal, 0, p.Nice); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for range 100 {
			now = now.Add(100 * sim.Millisecond)
			r.run(now)
			check()
		}
		if n := r.m.NrTasks(); n != 0 {
			rt.Errorf("%d tasks have not ended", n)
			r.m.Tasks(func(p *sim.Task) {
				rt.Logf("%v: class %s cpu %d state %#x queued %t running %t", p, p.Class.Name(), p.CPU(), p.State, p.OnRQ, p.OnCPU)
			})
		}
	})
}
