package workloads

import (
	"slices"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/gen"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// Plan is a workload as it was compiled, for players other than the simulator's tasks: what each task does step by step, with
// objects, timers and forked tasks by number. It shares nothing that changes with the Workload.
type Plan struct {
	Duration sim.Duration // 0: until every task has ended
	Tasks    []PlanTask
	// Mutexes, Conds and Sems are how many of them there are; Barriers the users of each barrier, Timers which of the shared
	// timers are absolute.
	Mutexes, Conds, Sems int
	Barriers             []int
	Timers               []bool
	Cgroups              []*rtapp.Cgroup
	Actions              []*rtapp.Action
}

// PlanTask is a task of the file. Instances is 0 for one that others fork or the timeline spawns.
type PlanTask struct {
	Name      string
	Instances int
	Delay     sim.Duration
	Loop      int // -1: for ever
	Phases    []PlanPhase
	Sched     sim.SchedParams
	// Cgroup is the path of the cgroup that it starts in, "" for that of its parent; CgroupWeight, above 0, puts each instance
	// into one of its own.
	Cgroup       string
	CgroupWeight int
	Dists        []gen.Dist
	Uniques      []bool // the timers of each instance: which are absolute
}

// PlanPhase is a phase. Before each iteration the task takes CPUs, and Sched unless it is nil, if it does not have them yet.
type PlanPhase struct {
	Ops   []PlanOp
	Loop  int       // 0 and below: for ever
	CPUs  []sim.CPU // nil: all
	Sched *sim.SchedParams
}

// PlanOp is one step.
type PlanOp struct {
	Kind rtapp.EventKind
	// Mark says that this is no event, but the end of a unit of work: its response time began when the last waiting at an edge ended.
	Mark bool
	// Edge says that the waiting of this step is at the edge of the iteration.
	Edge bool
	// Unique says that Obj is one of the task's own timers.
	Unique     bool
	Obj, Mutex int
	Dist       int // of PlanTask.Dists, replaces Dur; -1 for none
	Dur        sim.Duration
	Fork       int // of Plan.Tasks
}

// Plan returns the compiled workload.
func (w *Workload) Plan() *Plan {
	n := &w.objects
	p := &Plan{
		Duration: w.Duration, Mutexes: len(n.mutex), Conds: len(n.cond), Sems: len(n.sem),
		Barriers: slices.Clone(w.barriers), Timers: slices.Clone(w.absolute), Cgroups: w.cgroups,
	}
	for _, a := range w.actions {
		p.Actions = append(p.Actions, a.Action)
	}
	for _, t := range w.tasks {
		out := PlanTask{
			Name: t.name, Instances: t.instances, Delay: t.delay, Loop: t.loop, Sched: t.sched, Cgroup: t.cgroup,
			CgroupWeight: t.cgroupW, Dists: slices.Clone(t.dists), Uniques: slices.Clone(t.uniqueAbs),
		}
		for i := range t.phases {
			out.Phases = append(out.Phases, w.planPhase(&t.phases[i]))
		}
		p.Tasks = append(p.Tasks, out)
	}
	return p
}

func (w *Workload) planPhase(ph *phaseProg) PlanPhase {
	out := PlanPhase{Loop: ph.loop}
	if ph.cpus != nil {
		out.CPUs = slices.Clone(ph.cpus.cpus)
	}
	if ph.setNice {
		s := ph.sched
		out.Sched = &s
	}
	for i := range ph.ops {
		o := &ph.ops[i]
		op := PlanOp{Kind: o.kind, Mark: o.kind == opMark, Edge: o.edge, Unique: o.unique, Obj: int(o.obj), Mutex: int(o.mutex),
			Dist: int(o.dist), Dur: o.dur}
		if o.fork != nil {
			op.Fork = slices.Index(w.tasks, o.fork)
		}
		out.Ops = append(out.Ops, op)
	}
	return out
}

// Comm is the kernel's name of a task of that name in the file: the name, shortened where it must be, and the suffix.
func Comm(name, suffix string) string { return comm(name, suffix) }
