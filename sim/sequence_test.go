package sim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
)

// Calls of a class in the kernel's order and with the kernel's flags: the sequences of kernel/sched/core.c and
// syscalls.c of 7.2, with the flags that traces of a real kernel show (runnable 0x80008 after fork, 0x9 and 0x100009
// after a wakeup on one and on several CPUs, quiescent 0x9 at a sleep and 0x10009 at the end, 0xe for a policy).
func TestSequences(t *testing.T) {
	type world struct {
		*rig
		t   *testing.T
		low *rr // a second class below the first
	}
	hog := func(w *world, comm string, cpus ...sim.CPU) *sim.Task {
		return w.spawn(w.t, comm, forever(run(sim.Second)), cpus...)
	}
	for _, tc := range []struct {
		name  string
		cpus  int
		setup func(w *world) // not logged
		act   func(w *world) // logged, and 1 µs of running after it
		want  []string
	}{
		{
			name: "fork on one CPU", cpus: 1,
			act: func(w *world) { hog(w, "a") },
			want: []string{
				"enqueue a[1] cpu=0 flags=0x80008",
				"set_next a[1] cpu=0 first=true",
			},
		},
		{
			name: "fork on two CPUs", cpus: 2,
			act: func(w *world) { hog(w, "a") },
			want: []string{
				"select a[1] prev=0 flags=0x4",
				"enqueue a[1] cpu=0 flags=0x80008",
				"set_next a[1] cpu=0 first=true",
			},
		},
		{
			name: "fork bound to one of two CPUs", cpus: 2,
			act: func(w *world) { hog(w, "a", 1) },
			want: []string{
				"enqueue a[1] cpu=1 flags=0x80008",
				"set_next a[1] cpu=1 first=true",
			},
		},
		{
			name: "sleep and wakeup on one CPU", cpus: 1,
			act: func(w *world) { w.spawn(w.t, "a", steps(sleep(500), run(sim.Second))) },
			want: []string{
				"enqueue a[1] cpu=0 flags=0x80008",
				"set_next a[1] cpu=0 first=true",
				"dequeue a[1] cpu=0 flags=0x9",
				"put_prev a[1] cpu=0 next=swapper/0[0]",
				"enqueue a[1] cpu=0 flags=0x9",
				"woken a[1] cpu=0",
				"set_next a[1] cpu=0 first=true",
			},
		},
		{
			name: "wakeup that migrates", cpus: 2,
			setup: func(w *world) {
				w.spawn(w.t, "a", steps(sleep(1500), run(sim.Second)))
				hog(w, "b", 0)
			},
			act: func(w *world) {},
			want: []string{
				"select a[1] prev=0 flags=0x8",
				"migrate a[1] cpu=1",
				"enqueue a[1] cpu=1 flags=0x140009",
				"woken a[1] cpu=1",
				"set_next a[1] cpu=1 first=true",
			},
		},
		{
			name: "synchronous wakeup", cpus: 2,
			setup: func(w *world) {
				var q sim.WaitQueue
				w.spawn(w.t, "a", steps(sim.Step{Kind: sim.StepWait, Queue: &q}, run(sim.Second)), 0)
				hog(w, "b", 0)
				w.run(w.t, w.Now().Add(500))
				w.spawn(w.t, "c", steps(run(1500), sim.Step{Kind: sim.StepWake, Queue: &q, Sync: true}, run(sim.Second)), 1)
				if err := w.SetAffinity(w.TaskByPID(1), []sim.CPU{0, 1}); err != nil {
					w.t.Fatal(err)
				}
			},
			act: func(w *world) {},
			want: []string{
				"select a[1] prev=0 flags=0x18",
				"enqueue a[1] cpu=0 flags=0x100009",
				"preempt a[1] cpu=0 flags=0x98",
				"woken a[1] cpu=0",
			},
		},
		{
			name: "end", cpus: 1,
			setup: func(w *world) { w.spawn(w.t, "a", steps(run(1500))) },
			act:   func(w *world) {},
			want: []string{
				"dequeue a[1] cpu=0 flags=0xe", // sched_autogroup_exit_task
				"put_prev a[1] cpu=0 next=<nil>",
				"enqueue a[1] cpu=0 flags=0xe",
				"set_next a[1] cpu=0 first=false",
				"prio_changed a[1] from 120 to 120",
				"dequeue a[1] cpu=0 flags=0x10009",
				"put_prev a[1] cpu=0 next=swapper/0[0]",
				"dead a[1]",
			},
		},
		{
			name: "yield", cpus: 1,
			setup: func(w *world) {
				w.spawn(w.t, "a", steps(run(1500), sim.Step{Kind: sim.StepYield}, run(sim.Second)))
				hog(w, "b")
			},
			act: func(w *world) {},
			want: []string{
				"yield cpu=0",
				"put_prev a[1] cpu=0 next=b[2]",
				"set_next b[2] cpu=0 first=true",
			},
		},
		{
			name: "nice of a queued task", cpus: 1,
			setup: func(w *world) { hog(w, "a"); hog(w, "b") },
			act:   func(w *world) { w.SetNice(w.TaskByPID(2), 5) },
			want: []string{
				"dequeue b[2] cpu=0 flags=0xa",
				"reweight b[2] to 335",
				"enqueue b[2] cpu=0 flags=0xa",
				"prio_changed b[2] from 120 to 125",
			},
		},
		{
			name: "nice of a running task", cpus: 1,
			setup: func(w *world) { hog(w, "a") },
			act:   func(w *world) { w.SetNice(w.TaskByPID(1), -5) },
			want: []string{
				"dequeue a[1] cpu=0 flags=0xa",
				"put_prev a[1] cpu=0 next=<nil>",
				"reweight a[1] to 3121",
				"enqueue a[1] cpu=0 flags=0xa",
				"set_next a[1] cpu=0 first=false",
				"prio_changed a[1] from 120 to 115",
			},
		},
		{
			name: "nice of a sleeping task", cpus: 1,
			setup: func(w *world) { w.spawn(w.t, "a", steps(sleep(sim.Second))) },
			act:   func(w *world) { w.SetNice(w.TaskByPID(1), 1) },
			want:  []string{"reweight a[1] to 820", "prio_changed a[1] from 120 to 121"},
		},
		{
			name: "the same nice", cpus: 1,
			setup: func(w *world) { hog(w, "a") },
			act:   func(w *world) { w.SetNice(w.TaskByPID(1), 0); w.SetNice(w.TaskByPID(1), 20) },
			want:  nil,
		},
		{
			name: "policy of a running task", cpus: 1,
			setup: func(w *world) { hog(w, "a") },
			act: func(w *world) {
				if err := w.SetScheduler(w.TaskByPID(1), sim.PolicyBatch, 0, 0); err != nil {
					w.t.Fatal(err)
				}
			},
			want: []string{
				"dequeue a[1] cpu=0 flags=0xe",
				"put_prev a[1] cpu=0 next=<nil>",
				"enqueue a[1] cpu=0 flags=0xe",
				"set_next a[1] cpu=0 first=false",
				"prio_changed a[1] from 120 to 120",
			},
		},
		{
			name: "affinity that still fits", cpus: 2,
			setup: func(w *world) { hog(w, "a") },
			act: func(w *world) {
				if err := w.SetAffinity(w.TaskByPID(1), []sim.CPU{0}); err != nil {
					w.t.Fatal(err)
				}
			},
			want: []string{
				"dequeue a[1] cpu=0 flags=0xa",
				"put_prev a[1] cpu=0 next=<nil>",
				"set_cpus_allowed a[1] 0x1",
				"enqueue a[1] cpu=0 flags=0xa",
				"set_next a[1] cpu=0 first=false",
				"prio_changed a[1] from 120 to 120",
			},
		},
		{
			name: "affinity moves a queued task", cpus: 2,
			setup: func(w *world) { hog(w, "a", 0); hog(w, "b", 0) },
			act: func(w *world) {
				if err := w.SetAffinity(w.TaskByPID(2), []sim.CPU{1}); err != nil {
					w.t.Fatal(err)
				}
			},
			want: []string{
				"dequeue b[2] cpu=0 flags=0xa",
				"set_cpus_allowed b[2] 0x2",
				"enqueue b[2] cpu=0 flags=0xa",
				"prio_changed b[2] from 120 to 120",
				"dequeue b[2] cpu=0 flags=0x8",
				"migrate b[2] cpu=1",
				"enqueue b[2] cpu=1 flags=0x40000",
				"set_next b[2] cpu=1 first=true",
			},
		},
		{
			name: "affinity moves a running task", cpus: 2,
			setup: func(w *world) { hog(w, "a", 0) },
			act: func(w *world) {
				if err := w.SetAffinity(w.TaskByPID(1), []sim.CPU{1}); err != nil {
					w.t.Fatal(err)
				}
			},
			want: []string{
				"dequeue a[1] cpu=0 flags=0xa",
				"put_prev a[1] cpu=0 next=<nil>",
				"set_cpus_allowed a[1] 0x2",
				"enqueue a[1] cpu=0 flags=0xa",
				"set_next a[1] cpu=0 first=false",
				"prio_changed a[1] from 120 to 120",
				"preempt migration/0[2] cpu=0 flags=0x8",
				"put_prev a[1] cpu=0 next=migration/0[2]",
				"dequeue a[1] cpu=0 flags=0x8",
				"migrate a[1] cpu=1",
				"enqueue a[1] cpu=1 flags=0x40000",
				"set_next a[1] cpu=1 first=true",
			},
		},
		{
			name: "a task moves itself", cpus: 2,
			setup: func(w *world) {
				w.spawn(w.t, "a", steps(run(1500), sim.Step{Kind: sim.StepSetAffinity, CPUs: []sim.CPU{1}}, run(sim.Second)), 0)
			},
			act: func(w *world) {},
			want: []string{
				"dequeue a[1] cpu=0 flags=0xa",
				"put_prev a[1] cpu=0 next=<nil>",
				"set_cpus_allowed a[1] 0x2",
				"enqueue a[1] cpu=0 flags=0xa",
				"set_next a[1] cpu=0 first=false",
				"prio_changed a[1] from 120 to 120",
				"preempt migration/0[2] cpu=0 flags=0x8",
				"put_prev a[1] cpu=0 next=migration/0[2]",
				"dequeue a[1] cpu=0 flags=0x8",
				"migrate a[1] cpu=1",
				"enqueue a[1] cpu=1 flags=0x40000",
				"set_next a[1] cpu=1 first=true",
			},
		},
		{
			name: "affinity of a sleeping task", cpus: 2,
			setup: func(w *world) {
				w.spawn(w.t, "a", steps(sleep(1500), run(sim.Second)), 0)
				w.run(w.t, w.Now().Add(100))
				if err := w.SetAffinity(w.TaskByPID(1), []sim.CPU{1}); err != nil {
					w.t.Fatal(err)
				}
			},
			act: func(w *world) {},
			want: []string{
				"migrate a[1] cpu=1",
				"enqueue a[1] cpu=1 flags=0x40009",
				"woken a[1] cpu=1",
				"set_next a[1] cpu=1 first=true",
			},
		},
		{
			name: "a running task goes down a class", cpus: 1,
			setup: func(w *world) { hog(w, "a"); hog(w, "b") },
			act:   func(w *world) { w.SetClass(w.TaskByPID(1), w.low) },
			want: []string{
				"switching_from a[1]",
				"dequeue a[1] cpu=0 flags=0x4e",
				"put_prev a[1] cpu=0 next=<nil>",
				"switched_from a[1]",
				"low: switching_to a[1]",
				"low: enqueue a[1] cpu=0 flags=0x4e",
				"low: set_next a[1] cpu=0 first=false",
				"low: switched_to a[1]",
				"low: put_prev a[1] cpu=0 next=b[2]",
				"set_next b[2] cpu=0 first=true",
			},
		},
		{
			name: "a queued task goes up a class and preempts", cpus: 1,
			setup: func(w *world) {
				w.SetClassFor(func(*sim.Task) sim.Class { return w.low })
				hog(w, "a")
				hog(w, "b")
			},
			act: func(w *world) { w.SetClass(w.TaskByPID(2), w.rr) },
			want: []string{
				"low: switching_from b[2]",
				"low: dequeue b[2] cpu=0 flags=0x4e",
				"low: switched_from b[2]",
				"switching_to b[2]",
				"enqueue b[2] cpu=0 flags=0x4e",
				"switched_to b[2]",
				"low: preempt b[2] cpu=0 flags=0x0",
				"low: put_prev a[1] cpu=0 next=b[2]",
				"set_next b[2] cpu=0 first=true",
			},
		},
		{
			name: "a higher class wakes up while a lower one runs", cpus: 1,
			setup: func(w *world) {
				w.SetClassFor(func(t *sim.Task) sim.Class {
					if t.Comm == "high" {
						return w.rr
					}
					return w.low
				})
				w.spawn(w.t, "high", steps(sleep(1500), run(sim.Second)))
				hog(w, "a")
			},
			act: func(w *world) {},
			want: []string{
				"enqueue high[1] cpu=0 flags=0x9",
				"low: preempt high[1] cpu=0 flags=0x8",
				"woken high[1] cpu=0",
				"low: put_prev a[2] cpu=0 next=high[1]",
				"set_next high[1] cpu=0 first=true",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{t: t}
			var log []string
			w.rig = newRig(t, tc.cpus, func(c *sim.Config, g *rig) {
				c.Classes = func(m *sim.Machine) []sim.Class {
					g.rr = newRR(m)
					w.low = newRR(m)
					w.low.name = "low"
					logHooks(g.rr, "", &log)
					logHooks(w.low, "low: ", &log)
					return []sim.Class{g.rr, w.low, idle.New(m)}
				}
			})
			if tc.setup != nil {
				tc.setup(w)
				w.run(t, w.Now().Add(1000))
			}
			log = nil
			w.rr.keepLog, w.low.keepLog = true, true
			tc.act(w)
			w.run(t, w.Now().Add(1000))
			if d := cmp.Diff(tc.want, log); d != "" {
				t.Errorf("calls (-want +got)\n%s", d)
			}
		})
	}
}

// logHooks makes r note the calls of its hooks, and all its notes in log.
func logHooks(r *rr, prefix string, log *[]string) {
	note := func(format string, args ...any) {
		if r.keepLog {
			r.note(format, args...)
		}
	}
	r.sink = func(line string) { *log = append(*log, prefix+line) }
	r.hooks = sim.Hooks{
		WakeupPreempt: func(cpu sim.CPU, t *sim.Task, f sim.WakeFlags) {
			note("preempt %s cpu=%d flags=%#x", t, cpu, uint64(f))
		},
		SwitchingFrom: func(_ sim.CPU, t *sim.Task) { note("switching_from %s", t) },
		SwitchedFrom:  func(_ sim.CPU, t *sim.Task) { note("switched_from %s", t) },
		SwitchingTo:   func(_ sim.CPU, t *sim.Task) { note("switching_to %s", t) },
		SwitchedTo:    func(_ sim.CPU, t *sim.Task) { note("switched_to %s", t) },
		PrioChanged: func(_ sim.CPU, t *sim.Task, old int32) {
			note("prio_changed %s from %d to %d", t, old, t.K.Prio())
		},
		SetAffinity: func(t *sim.Task) { note("set_cpus_allowed %s %#x", t, t.K.CPUs().Words()[0]) },
		Reweight:    func(_ sim.CPU, t *sim.Task) { note("reweight %s to %d", t, t.Weight) },
		Migrate:     func(t *sim.Task, cpu sim.CPU) { note("migrate %s cpu=%d", t, cpu) },
		TaskWoken: func(cpu sim.CPU, t *sim.Task) {
			if t.K.NVCSW() > 0 { // not after fork
				note("woken %s cpu=%d", t, cpu)
			}
		},
	}
	if prefix == "" {
		r.hooks.Dead = func(t *sim.Task) { note("dead %s", t) }
	}
}
