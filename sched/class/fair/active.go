package fair

import "github.com/schedsim/schedsim/sim"

// needActive tells whether to stop the running task of env.src in order to move it, because nothing else could be moved
// for a while although tasks are spread unevenly (need_active_balance).
func (env *lbEnv) needActive() bool {
	return env.typ == migrateTask && env.sd.failed > env.sd.niceTries+2
}

// startActive has the stopper of env.src push its running task to cpu. It returns false if that task may not run there.
func (c *Class) startActive(env *lbEnv, cpu sim.CPU) (started, ok bool) {
	q := env.src
	if !allowed(c.m.Curr(q.cpu), cpu) {
		return false, false
	}
	env.allPinned = false
	if q.pushing {
		return false, true
	}
	q.pushing, q.pushTo = true, cpu
	c.m.StopCPU(q.cpu, &q.push)
	return true, true
}

// activeBalance is the stopper's part, with the task that ran before queued (active_load_balance_cpu_stop).
func (c *Class) activeBalance(q *cpuQueue) {
	q.pushing = false
	if !c.m.Online(q.cpu) || !c.m.Online(q.pushTo) || c.m.NrRunning(q.cpu) <= 1 {
		return
	}
	sd := c.base[q.pushTo]
	for sd != nil && !sd.span.set.has(q.cpu) {
		sd = sd.parent
	}
	if sd == nil {
		return
	}
	env := lbEnv{sd: sd, src: q, dst: &c.rqs[q.pushTo], idle: cpuIdle, active: true}
	for e := q.tasks.tail; e != nil; e = e.lprev {
		if c.canMigrate(e, &env) {
			c.detachTask(e, &env)
			c.attachTask(e)
			sd.failed = 0
			return
		}
	}
}
