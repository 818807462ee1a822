package sim

import (
	"fmt"

	"github.com/schedsim/schedsim/sim/topo"
)

// schedule follows __schedule (kernel/sched/core.c, 7.2). preempt tells that the current task does not block, whatever
// its state.
func (m *Machine) schedule(c *cpu, preempt bool) {
	prev := c.curr
	m.progress(c)
	c.k.SetClock(uint64(m.clock(c).Add(m.boot)))
	voluntary := !preempt && prev.State != StateRunning
	if voluntary {
		m.blockTask(c, prev)
	}
	next := m.pickNext(c, prev)
	c.next = next.rank
	c.needResched, c.lazy, c.preempting = false, false, false
	if c.resched.Armed() {
		m.q.Cancel(&c.resched) // it would find nothing to do
	}
	if next != prev {
		m.contextSwitch(c, prev, next, voluntary)
	}
	if c.dying {
		m.balancePush(c)
	}
	if c.again {
		c.again = false
		m.Resched(c.id)
	}
}

// blockTask follows block_task (kernel/sched/core.c, 7.2).
func (m *Machine) blockTask(c *cpu, t *Task) {
	f := DeqSleep | DeqNoClock
	if t.State == StateDead {
		f |= DeqSpecial
	}
	if m.classes[t.rank].Dequeue(c.id, t, f) {
		t.setOnRQ(0)
	} else if !t.SchedDelayed {
		panic(fmt.Sprintf("BUG: class %s keeps %s, which sleeps, without SchedDelayed", t.Class.Name(), t))
	}
}

// pickNext follows __pick_next_task (kernel/sched/core.c, 7.2): it asks the classes from the highest down, again from
// the start when a task of a higher class than the one asked woke up meanwhile (RETRY_TASK), and tells the classes of
// both tasks of a switch.
func (m *Machine) pickNext(c *cpu, prev *Task) *Task {
restart:
	for r := range m.classes {
		rank := int8(r)
		c.next = max(c.next, rank) // rq_modified_begin
		t := m.classes[r].Pick(c.id, prev)
		if c.next < rank { // rq_modified_above
			goto restart
		}
		if t == nil {
			continue
		}
		if t != prev {
			if t.handedAt > m.clock(c) {
				m.await(c, t)
			}
			m.classes[prev.rank].PutPrev(c.id, prev, t)
			m.AccountExec(c.id)
			m.classes[t.rank].SetNext(c.id, t, true)
		}
		return t
	}
	panic(fmt.Sprintf("BUG: cpu %d: no class has a task, not even %s", c.id, m.classes[len(m.classes)-1].Name()))
}

// handOver notes the time on c, which has put t on a runqueue or switched away from it, and holds the lock until then: no CPU runs t
// before. What c does takes time, but happens at one instant, the beginning of that time. Without the note another CPU could find the
// task in between and run it, by the clocks that programs read, before it was woken.
func (m *Machine) handOver(t *Task, c *cpu) { t.handedAt = max(t.handedAt, m.clock(c)) }

// await has c wait for the lock under which another CPU still deals with t, its next task.
func (m *Machine) await(c *cpu, t *Task) {
	d := t.handedAt.Sub(m.clock(c))
	m.progress(c)
	c.from = t.handedAt
	m.tellOverhead(c, c.curr.PID, d, CostLock)
}

// contextSwitch makes next the current task (context_switch, finish_task_switch).
func (m *Machine) contextSwitch(c *cpu, prev, next *Task, voluntary bool) {
	if next.CPU() != c.id || next.OnCPU || !next.OnRQ {
		panic(fmt.Sprintf("BUG: class %s picked %s for cpu %d: task is on cpu %d, queued %t, running %t",
			next.Class.Name(), next, c.id, next.CPU(), next.OnRQ, next.OnCPU))
	}
	c.switches++
	c.k.SetNrSwitches(c.switches)
	if voluntary {
		prev.K.SetNVCSW(prev.K.NVCSW() + 1)
	} else {
		prev.K.SetNIVCSW(prev.K.NIVCSW() + 1)
	}
	if m.Traced(TraceSwitch) {
		n := uint64(1)
		if voluntary {
			n = 0
		}
		m.runTracers(TraceArgs{Point: TraceSwitch, Task: next, Other: prev, N: n})
	}
	c.curr = next
	c.k.SetCurr(next.K.Addr)
	prev.setRunning(false)
	next.setRunning(true)
	next.PrevSumExec = next.SumExec
	next.K.SetExecStart(uint64(c.execStart.Add(m.boot)))
	m.Tell(KindSwitch, c.id, next.PID, uint64(prev.PID), uint64(prev.State))
	switch {
	case next == c.idle:
		m.busy[c.id/64] &^= 1 << (c.id % 64)
		c.idleSince = m.now
		m.Tell(KindIdle, c.id, 0, 1, 0)
	case prev == c.idle:
		m.busy[c.id/64] |= 1 << (c.id % 64)
		c.busySince = m.now
		if !m.tick.Armed() {
			m.armTick()
		}
		m.Tell(KindIdle, c.id, 0, 0, 0)
	}
	if next.toPin > 0 {
		m.SetMigrationDisabled(next, next.MigrationDisabled+next.toPin)
		next.toPin = 0
	}
	if prev.MigrationDisabled > 0 {
		m.migrateDisableSwitch(prev)
	}
	if m.costs.SMT != 0 && (next == c.idle || prev == c.idle) {
		m.smtChanged(c)
	}
	// The new task goes on where the old one was interrupted in time: progress has brought c.from up to now.
	m.Charge(c.id, CostSwitch, m.costs.Switch)
	m.handOver(prev, c)
	if next != c.idle {
		if next.lastRan != c.id {
			if next.lastRan != NoCPU {
				m.Charge(c.id, CostMigration, m.cold(next, m.migrationCost(next.lastRan, c.id)))
			}
			next.lastRan, next.arrivedExec = c.id, next.SumExec
		}
	}
	if prev.State == StateDead {
		m.reap(prev)
	}
}

// migrationCost is the price of cold caches after a move.
func (m *Machine) migrationCost(from, to CPU) Duration {
	switch m.topo.Level(int32(from), int32(to)) {
	case topo.SameCPU, topo.SameCore:
		return 0
	case topo.SameLLC:
		return m.costs.Migration
	case topo.SameNode:
		return m.costs.MigrationLLC
	}
	return m.costs.MigrationNode
}

// setRunning sets on_cpu in both places.
func (t *Task) setRunning(v bool) {
	t.OnCPU = v
	t.K.SetOnCPU(v)
}

// Values of p->on_rq.
const (
	onRQQueued    = 1
	onRQMigrating = 2
)

// setOnRQ sets p->on_rq in all places.
func (t *Task) setOnRQ(v uint8) {
	t.OnRQ = v == onRQQueued
	t.Migrating = v == onRQMigrating
	t.K.SetOnRQ(v)
}

// EnterIdle, ExitIdle and PickIdle pass the idle class's news on to the hooks of the same names.
func (m *Machine) EnterIdle(cpu CPU) {
	for _, f := range m.hooked.enterIdle {
		f(cpu)
	}
}

// ExitIdle tells the classes that cpu stops running its idle task.
func (m *Machine) ExitIdle(cpu CPU) {
	for _, f := range m.hooked.exitIdle {
		f(cpu)
	}
}

// PickIdle tells the classes that cpu picked its idle task.
func (m *Machine) PickIdle(cpu CPU) {
	for _, f := range m.hooked.pickIdle {
		f(cpu)
	}
}
