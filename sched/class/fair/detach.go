package fair

import "github.com/schedsim/schedsim/sim"

// canMigrate tells whether e may be pulled (can_migrate_task): not a running task, nor one whose caches are hot or that
// would wait on the other side, too, unless balancing has failed for a while.
func (c *Class) canMigrate(e *entity, env *lbEnv) bool {
	t := e.t
	if e.delayed && env.typ != migrateLoad {
		return false
	}
	dst := c.cfsOf(t.SchedGroup, env.dst.cpu)
	if dst.throttleCount > 0 {
		return false
	}
	if env.sd.failed == 0 && c.has(PlaceLag) && dst.nrQueued != 0 && !e.cfs.eligible(e) {
		return false
	}
	if !allowed(t, env.dst.cpu) || t.MigrationDisabled != 0 {
		env.somePinned = true
		if env.idle == cpuNewlyIdle || env.dstPinned || env.active || t.MigrationDisabled != 0 {
			return false
		}
		for _, cpu := range env.sd.localGroup().cpus {
			if env.cpus.has(cpu) && allowed(t, cpu) {
				env.dstPinned, env.newDst = true, cpu
				break
			}
		}
		return false
	}
	env.allPinned = false
	if t.OnCPU || e == e.cfs.curr {
		return false
	}
	return env.active || !c.taskHot(e, env) || env.sd.failed > env.sd.niceTries
}

// taskHot follows task_hot.
func (c *Class) taskHot(e *entity, env *lbEnv) bool {
	if e.t.Policy == sim.PolicyIdle || env.sd.flags&sdShareCapacity != 0 {
		return false
	}
	if c.has(CacheHotBuddy) && c.m.NrRunning(env.dst.cpu) != 0 && e == e.cfs.next {
		return true
	}
	return c.clock(env.src)-e.execStart < migrationCostNS
}

// pullTasks moves tasks from env.src to env.dst, up to the imbalance, and returns their number (detach_tasks and
// attach_tasks).
func (c *Class) pullTasks(env *lbEnv) int {
	src := env.src
	if c.m.NrRunning(src.cpu) <= 1 {
		env.allPinned = false
		return 0
	}
	moved := 0
	var chain *entity // detached, the last one first
	for env.imbalance > 0 && src.tasks.tail != nil {
		if env.idle != cpuBusy && c.m.NrRunning(src.cpu) <= 1 {
			break
		}
		if env.loop++; env.loop > env.loopMax {
			break
		}
		e := src.tasks.tail
		if !c.canMigrate(e, env) || !env.take(c, e) {
			src.tasks.moveFront(e)
			continue
		}
		c.detachTask(e, env)
		e.lnext, chain = chain, e
		moved++
		if env.idle == cpuNewlyIdle {
			break // keeps the section with interrupts off short
		}
	}
	for chain != nil {
		e := chain
		chain, e.lnext = e.lnext, nil
		c.attachTask(e)
	}
	return moved
}

// take charges e to the imbalance, if it fits.
func (env *lbEnv) take(c *Class, e *entity) bool {
	var n int64 = 1
	switch env.typ {
	case migrateLoad:
		n = int64(max(c.taskHLoad(e), 1))
	case migrateUtil:
		n = int64(e.taskUtilEst())
	}
	// The more balancing failed, the more may be moved at once (shr_bound).
	if env.typ != migrateTask && n>>min(env.sd.failed, 63) > env.imbalance {
		return false
	}
	env.imbalance -= n
	return true
}

// detachTask takes e from its runqueue (detach_task).
func (c *Class) detachTask(e *entity, env *lbEnv) {
	c.m.Deactivate(e.t, sim.DeqNoClock)
	c.m.SetTaskCPU(e.t, env.dst.cpu)
}

// attachTask queues e, detached before, on its new CPU (attach_task).
func (c *Class) attachTask(e *entity) {
	c.m.Activate(e.t, sim.EnqNoClock)
	c.m.WakeupPreempt(e.t.CPU(), e.t, 0)
}
