package dl

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// findMask follows cpudl_find: it fills later with the CPUs where t may run and that have no reservation to run; if there
// is none, with the one whose earliest deadline is the latest of all, if that is later than t's.
func (c *Class) findMask(t *sim.Task) bool {
	clear(c.later)
	free, best := false, -1
	for i := range c.rqs {
		if !c.m.CPUAllowed(t, sim.CPU(i)) {
			continue
		}
		e := c.rqs[i].first()
		switch {
		case e == nil:
			c.later[i>>6] |= 1 << (i & 63)
			free = true
		case best < 0 || e.deadline > c.rqs[best].first().deadline:
			best = i
		}
	}
	if free {
		return true
	}
	if best >= 0 && c.entity(t).deadline < c.rqs[best].first().deadline {
		c.later[best>>6] |= 1 << (best & 63)
		return true
	}
	return false
}

func (c *Class) has(cpu sim.CPU) bool { return c.later[cpu>>6]>>(cpu&63)&1 != 0 }

// findLater follows find_later_rq: where t should go, sim.NoCPU if nowhere.
func (c *Class) findLater(t *sim.Task) sim.CPU {
	if t.K.NrCPUsAllowed() == 1 || !c.findMask(t) {
		return sim.NoCPU
	}
	cpu, this := t.CPU(), c.m.ThisCPU()
	if c.has(cpu) {
		return cpu
	}
	for level := topo.SameCore; level <= topo.Remote; level++ {
		if c.has(this) && c.m.Topo().Level(int32(cpu), int32(this)) <= level {
			return this
		}
		for i := range c.rqs {
			if c.has(sim.CPU(i)) && c.m.Topo().Level(int32(cpu), int32(i)) <= level {
				return sim.CPU(i)
			}
		}
	}
	return sim.NoCPU
}

// earliest follows dl_task_is_earliest_deadline.
func (c *Class) earliest(t *sim.Task, q *runq) bool {
	e := q.first()
	return e == nil || c.entity(t).deadline < e.deadline
}

// SelectCPU implements sim.Class and follows select_task_rq_dl.
func (c *Class) SelectCPU(t *sim.Task, prev sim.CPU, f sim.WakeFlags) sim.CPU {
	if f&sim.WakeTTWU == 0 {
		return prev
	}
	curr := c.m.Curr(prev)
	if !c.mine(curr) || t.K.NrCPUsAllowed() < 2 ||
		curr.K.NrCPUsAllowed() >= 2 && c.entity(t).deadline < c.entity(curr).deadline {
		return prev
	}
	if cpu := c.findLater(t); cpu != sim.NoCPU && c.earliest(t, &c.rqs[cpu]) {
		return cpu
	}
	return prev
}

// pushable returns the earliest task of q that may be moved to cpu, to any for sim.NoCPU.
func (c *Class) pushable(q *runq, cpu sim.CPU) *sim.Task {
	for _, e := range q.list {
		t := e.t
		if t == nil || t.OnCPU || t == c.m.Curr(q.cpu) || t.K.NrCPUsAllowed() < 2 || t.MigrationDisabled > 0 {
			continue
		}
		if cpu == sim.NoCPU || c.m.CPUAllowed(t, cpu) {
			return t
		}
	}
	return nil
}

// pushTasks follows push_dl_tasks.
func (c *Class) pushTasks(q *runq) {
	for c.pushTask(q) {
	}
}

// pushTask follows push_dl_task.
func (c *Class) pushTask(q *runq) bool {
	t := c.pushable(q, sim.NoCPU)
	if t == nil {
		return false
	}
	curr := c.m.Curr(q.cpu)
	if c.mine(curr) && c.entity(t).deadline < c.entity(curr).deadline && curr.K.NrCPUsAllowed() > 1 {
		c.m.Resched(q.cpu)
		return false
	}
	cpu := c.findLater(t)
	if cpu == sim.NoCPU || cpu == q.cpu || !c.earliest(t, &c.rqs[cpu]) {
		return false
	}
	c.m.MoveQueuedTask(t, cpu)
	c.m.Resched(cpu)
	return true
}

// pullTasks follows pull_dl_task.
func (c *Class) pullTasks(q *runq) {
	pulled := false
	for i := range c.rqs {
		src := &c.rqs[i]
		if src == q || src.tasks == 0 {
			continue
		}
		t := c.pushable(src, q.cpu)
		if t == nil || !c.earliest(t, q) {
			continue
		}
		if curr := c.m.Curr(src.cpu); c.mine(curr) && c.entity(t).deadline < c.entity(curr).deadline {
			continue // about to run there
		}
		c.m.MoveQueuedTask(t, q.cpu)
		pulled = true
	}
	if pulled {
		c.m.Resched(q.cpu)
	}
}

// taskWoken follows task_woken_dl.
func (c *Class) taskWoken(cpu sim.CPU, t *sim.Task) {
	curr := c.m.Curr(cpu)
	if curr != t && !c.m.NeedResched(cpu) && t.K.NrCPUsAllowed() > 1 && c.mine(curr) &&
		(curr.K.NrCPUsAllowed() < 2 || c.entity(t).deadline >= c.entity(curr).deadline) {
		c.pushTasks(&c.rqs[cpu])
	}
}
