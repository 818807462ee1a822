package sim

import (
	"fmt"

	"github.com/schedsim/schedsim/sim/kobj"
)

// Killable is a Behavior that wants to know that its task was killed: Next is not called again.
type Killable interface{ Killed(t *Task) }

// Kill ends t as SIGKILL does: a sleeping task is woken for it, one that runs ends after the next interrupt. What it holds
// in the workload, such as a lock, it keeps for ever.
func (m *Machine) Kill(t *Task) error {
	switch {
	case t.gone || t.State == StateDead:
		return &OpError{"kill " + t.String(), ESRCH, ""}
	case t.IsIdle() || t.kthread:
		return &OpError{"kill " + t.String(), EINVAL, "a thread of the kernel"}
	case t.killed:
		return nil
	}
	t.killed = true
	if t.State == StateInterruptible {
		m.Wake(t, 0)
	} else if c := &m.cpus[max(t.CPU(), 0)]; c.curr == t {
		m.QueueIRQWork(c.id, &c.notify)
	}
	return nil
}

// die is the end of the killed t, the current task of c (do_group_exit in get_signal).
func (m *Machine) die(c *cpu, t *Task) {
	t.work, t.doing = nil, doNext
	for t.wakes.n > 0 { // it ends when it is back from the kernel
		m.wakeUpQ(c, t)
	}
	if k, ok := t.Prog.(Killable); ok {
		k.Killed(t)
	}
	m.exit(c, t)
}

// Rename changes the name of t (__set_task_comm).
func (m *Machine) Rename(t *Task, comm string) {
	if len(comm) > 15 {
		comm = comm[:15]
	}
	if m.Traced(TraceRename) {
		m.runTracers(TraceArgs{Point: TraceRename, Task: t, Text: comm})
	}
	t.Comm = comm
	t.K.SetComm(comm)
}

// MigrateDisable keeps t on its CPU until MigrateEnable was called as often (migrate_disable). Tasks do that themselves, so
// one that does not run does it when it next runs.
func (m *Machine) MigrateDisable(t *Task) {
	if !t.OnCPU {
		t.toPin++
		return
	}
	m.SetMigrationDisabled(t, t.MigrationDisabled+1)
}

// MigrateEnable undoes one MigrateDisable (migrate_enable).
func (m *Machine) MigrateEnable(t *Task) error {
	if t.toPin > 0 {
		t.toPin--
		return nil
	}
	if t.MigrationDisabled == 0 {
		return &OpError{"migrate_enable " + t.String(), EINVAL, "migration is not disabled"}
	}
	m.SetMigrationDisabled(t, t.MigrationDisabled-1)
	return nil
}

// migrateDisableSwitch follows migrate_disable_switch: from the first time that a task is switched out while it must not
// migrate, p->cpus_ptr shows the one CPU that it has.
func (m *Machine) migrateDisableSwitch(t *Task) {
	if t.K.CPUsPtr() != t.K.CPUsMask().Addr {
		return
	}
	c := &m.cpus[t.CPU()]
	if !c.only.Valid() {
		mask, err := kobj.NewCPUMask(m.mem, m.layout)
		if err != nil {
			m.fail(fmt.Errorf("cpu %d: %w", c.id, err))
			return
		}
		c.only = mask
		c.only.Set(int32(c.id))
	}
	m.setCPUsPtr(t, c.only.Addr)
}

// setCPUsPtr changes p->cpus_ptr (do_set_cpus_allowed with SCA_MIGRATE_DISABLE or SCA_MIGRATE_ENABLE).
func (m *Machine) setCPUsPtr(t *Task, addr uint64) {
	m.Change(t, DeqSave, func() {
		t.K.SetCPUsPtr(addr)
		if h := m.classes[t.rank].h.SetAffinity; h != nil {
			h(t)
		}
	})
}

// Note writes into the records what somebody outside the tasks did, or was refused.
func (m *Machine) Note(text string, refused bool) {
	m.texts = append(m.texts, text)
	r := Record{Kind: KindTimeline, CPU: m.this, A: uint64(len(m.texts) - 1)}
	if refused {
		r.B = 1
	}
	m.Emit(r)
}
