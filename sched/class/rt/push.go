package rt

import (
	"math/bits"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// findPri follows cpupri_find: it fills lowest with the CPUs where t may run and whose best priority is the lowest
// of the machine, below that of t. CPUs with tasks of the deadline class do not count.
func (c *Class) findPri(t *sim.Task) bool {
	clear(c.lowest)
	worst, p := -1, prioOf(t)
	for i := range c.rqs {
		cpu := sim.CPU(i)
		if !c.m.CPUAllowed(t, cpu) || c.higher(cpu) {
			continue
		}
		h := c.rqs[i].highest()
		switch {
		case h <= p || h < worst:
		case h > worst:
			clear(c.lowest)
			worst = h
			fallthrough
		default:
			c.lowest[i>>6] |= 1 << (i & 63)
		}
	}
	return worst >= 0
}

// findLowest follows find_lowest_rq: the best of the CPUs of findPri for t, sim.NoCPU if there are none.
func (c *Class) findLowest(t *sim.Task) sim.CPU {
	if t.K.NrCPUsAllowed() == 1 || !c.findPri(t) {
		return sim.NoCPU
	}
	cpu, this := t.CPU(), c.m.ThisCPU()
	if c.has(cpu) {
		return cpu
	}
	for level := topo.SameCore; level <= topo.SameNode; level++ {
		if c.has(this) && c.m.Topo().Level(int32(cpu), int32(this)) <= level {
			return this
		}
		if best := c.anyWithin(cpu, level); best != sim.NoCPU {
			return best
		}
	}
	if c.has(this) {
		return this
	}
	return c.anyWithin(cpu, topo.Remote)
}

func (c *Class) has(cpu sim.CPU) bool { return c.lowest[cpu>>6]>>(cpu&63)&1 != 0 }

// anyWithin returns a CPU of lowest that is no farther from cpu than level; successive calls on a CPU go round
// (cpumask_any_and_distribute).
func (c *Class) anyWithin(cpu sim.CPU, level topo.Level) sim.CPU {
	last := &c.distribute[c.m.ThisCPU()]
	n := sim.CPU(len(c.rqs))
	for i := sim.CPU(1); i <= n; i++ {
		if o := (*last + i) % n; c.has(o) && c.m.Topo().Level(int32(cpu), int32(o)) <= level {
			*last = o
			return o
		}
	}
	return sim.NoCPU
}

// SelectCPU implements sim.Class and follows select_task_rq_rt.
func (c *Class) SelectCPU(t *sim.Task, prev sim.CPU, f sim.WakeFlags) sim.CPU {
	if f&(sim.WakeTTWU|sim.WakeFork) == 0 {
		return prev
	}
	curr := c.m.Curr(prev)
	if !rtTask(curr) || curr.K.NrCPUsAllowed() >= 2 && prioOf(curr) > prioOf(t) {
		return prev
	}
	if cpu := c.findLowest(t); cpu != sim.NoCPU && prioOf(t) < c.rqs[cpu].highest() {
		return cpu
	}
	return prev
}

// rtTask follows rt_task: also deadline tasks and stoppers are above real-time ones.
func rtTask(t *sim.Task) bool { return prioOf(t) < noPrio }

// pushable returns the best task of q that may be moved: it does not run, and may run on cpu (any other CPU for
// sim.NoCPU). It follows pick_next_pushable_task and pick_highest_pushable_task.
func (c *Class) pushable(q *runq, cpu sim.CPU) *sim.Task {
	curr := c.m.Curr(q.cpu)
	for i, w := range q.active {
		for ; w != 0; w &= w - 1 {
			for e := q.queues[i*64+bits.TrailingZeros64(w)].head; e != nil; e = e.next {
				t := e.t
				if t == curr || t.OnCPU || t.K.NrCPUsAllowed() < 2 || t.MigrationDisabled > 0 {
					continue
				}
				if cpu == sim.NoCPU || c.m.CPUAllowed(t, cpu) {
					return t
				}
			}
		}
	}
	return nil
}

// overloaded tells that q has tasks to give away.
func (c *Class) overloaded(q *runq) bool { return c.pushable(q, sim.NoCPU) != nil }

// pushTasks follows push_rt_tasks.
func (c *Class) pushTasks(q *runq) {
	for c.pushTask(q) {
	}
}

// pushTask follows push_rt_task: it moves the best task that waits on q to a CPU where it can run.
func (c *Class) pushTask(q *runq) bool {
	t := c.pushable(q, sim.NoCPU)
	if t == nil {
		return false
	}
	if prioOf(t) < prioOf(c.m.Curr(q.cpu)) {
		c.m.Resched(q.cpu)
		return false
	}
	cpu := c.findLowest(t)
	if cpu == sim.NoCPU || cpu == q.cpu || c.rqs[cpu].highest() <= prioOf(t) {
		return false
	}
	c.m.MoveQueuedTask(t, cpu)
	c.m.Resched(cpu)
	return true
}

// pullTasks follows pull_rt_task: it takes over tasks that wait elsewhere and are better than all of q's.
func (c *Class) pullTasks(q *runq) {
	pulled := false
	for i := range c.rqs {
		src := &c.rqs[i]
		if src == q || src.nr == 0 {
			continue
		}
		t := c.pushable(src, q.cpu)
		if t == nil || prioOf(t) >= q.highest() || prioOf(t) < prioOf(c.m.Curr(src.cpu)) {
			continue
		}
		c.m.MoveQueuedTask(t, q.cpu)
		pulled = true
	}
	if pulled {
		c.m.Resched(q.cpu)
	}
}

// taskWoken follows task_woken_rt.
func (c *Class) taskWoken(cpu sim.CPU, t *sim.Task) {
	curr := c.m.Curr(cpu)
	if curr != t && !c.m.NeedResched(cpu) && t.K.NrCPUsAllowed() > 1 && rtTask(curr) &&
		(curr.K.NrCPUsAllowed() < 2 || prioOf(curr) <= prioOf(t)) {
		c.pushTasks(&c.rqs[cpu])
	}
}
