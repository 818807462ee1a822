package sim

import (
	"errors"
	"fmt"
)

// Deadline are the parameters of SCHED_DEADLINE (struct sched_attr): Runtime of CPU time within Deadline of each start,
// one start per Period.
type Deadline struct {
	Runtime, Deadline Duration
	Period            Duration // 0: Deadline
}

// The period of a deadline task is between these (sysctl_sched_dl_period_min and _max), its runtime above dlMinRuntime
// (1 << DL_SCALE).
const (
	dlMinPeriod  = 100 * Microsecond
	dlMaxPeriod  = (1 << 22) * Microsecond
	dlMinRuntime = 1024 * Nanosecond
)

// Check follows __checkparam_dl (kernel/sched/deadline.c, 7.2).
func (d Deadline) Check() error {
	period := d.Period
	if period == 0 {
		period = d.Deadline
	}
	switch {
	case d.Deadline <= 0:
		return errors.New("deadline: none given")
	case d.Runtime < dlMinRuntime:
		return fmt.Errorf("deadline: runtime %v, want at least %v", d.Runtime, dlMinRuntime)
	case d.Deadline < d.Runtime:
		return fmt.Errorf("deadline: runtime %v is longer than the deadline %v", d.Runtime, d.Deadline)
	case period < d.Deadline:
		return fmt.Errorf("deadline: period %v is shorter than the deadline %v", period, d.Deadline)
	case period < dlMinPeriod, period > dlMaxPeriod:
		return fmt.Errorf("deadline: period %v, want %v to %v", period, dlMinPeriod, dlMaxPeriod)
	}
	return nil
}

// SchedParams are the scheduling parameters of a task (struct sched_attr).
type SchedParams struct {
	Policy Policy
	Nice   int
	RTPrio int      // for PolicyFIFO and PolicyRR
	DL     Deadline // for PolicyDeadline
}

// SetSchedParams sets all scheduling parameters of t: SetScheduler or SetDeadline.
func (m *Machine) SetSchedParams(t *Task, p SchedParams) error {
	if p.Policy == PolicyDeadline {
		return m.SetDeadline(t, p.DL)
	}
	return m.SetScheduler(t, p.Policy, p.RTPrio, p.Nice)
}

// Servers are what the deadline class offers to the classes below it: for each of them a reservation on every CPU that
// runs its tasks when real-time tasks would starve them (dl_server_start and its relatives, kernel/sched/deadline.c, 7.2).
// A machine without a deadline class has none, and the methods of Machine that ask for them do nothing.
type Servers struct {
	// Start tells that the first task of class was queued on cpu (dl_server_start).
	Start func(cpu CPU, class Class)
	// Update charges ran to the server of class on cpu: time in which a task of class ran there (dl_server_update).
	Update func(cpu CPU, class Class, ran Duration)
	// UpdateIdle charges idle time to all servers of cpu (dl_server_update_idle).
	UpdateIdle func(cpu CPU, ran Duration)
	// Attach and Detach reserve and give back the bandwidth of a class's servers on cpu; a detached server does not
	// start. Attach returns false if there is no room (dl_server_attach_bw, dl_server_detach_bw).
	Attach func(cpu CPU, class Class) bool
	Detach func(cpu CPU, class Class)
	// SetParams changes the reservation of class on cpu (dl_server_apply_params).
	SetParams func(cpu CPU, class Class, runtime, period Duration) Errno
	// Params are the reservation of class on cpu; ok is false if it has no server there.
	Params func(cpu CPU, class Class) (runtime, period Duration, ok bool)
}

// SetServers makes s the servers of the machine. The deadline class calls it when it is built.
func (m *Machine) SetServers(s Servers) { m.servers = s }

// ServerStart tells the server of class on cpu that it has work.
func (m *Machine) ServerStart(cpu CPU, class Class) {
	if f := m.servers.Start; f != nil {
		f(cpu, class)
	}
}

// ServerUpdate charges the server of class on cpu.
func (m *Machine) ServerUpdate(cpu CPU, class Class, ran Duration) {
	if f := m.servers.Update; f != nil {
		f(cpu, class, ran)
	}
}

// ServerUpdateIdle charges idle time to the servers of cpu.
func (m *Machine) ServerUpdateIdle(cpu CPU, ran Duration) {
	if f := m.servers.UpdateIdle; f != nil {
		f(cpu, ran)
	}
}

// ServerAttach reserves bandwidth for class on cpu and tells whether there was room.
func (m *Machine) ServerAttach(cpu CPU, class Class) bool {
	f := m.servers.Attach
	return f == nil || f(cpu, class)
}

// ServerDetach gives the bandwidth of class on cpu back.
func (m *Machine) ServerDetach(cpu CPU, class Class) {
	if f := m.servers.Detach; f != nil {
		f(cpu, class)
	}
}

// Server is what the server of class on cpu gives it when real-time tasks starve it: runtime in each period. ok is false if there
// is none.
func (m *Machine) Server(cpu CPU, class Class) (runtime, period Duration, ok bool) {
	if cpu < 0 || int(cpu) >= len(m.cpus) || m.servers.Params == nil {
		return 0, 0, false
	}
	return m.servers.Params(cpu, class)
}

// SetServer changes what the server of class on cpu gives it when real-time tasks starve it: runtime in each period; 0 turns it
// off. It is what writing to the files runtime and period of a CPU in /sys/kernel/debug/sched/fair_server and ext_server does
// (sched_server_write_common, kernel/sched/debug.c, 7.2).
func (m *Machine) SetServer(cpu CPU, class Class, runtime, period Duration) error {
	op := fmt.Sprintf("server of %s on CPU %d", class.Name(), cpu)
	switch {
	case cpu < 0 || int(cpu) >= len(m.cpus) || m.servers.SetParams == nil:
		return &OpError{op, ENOENT, "there is none"}
	case runtime < 0 || runtime > period || period > 1<<22*Microsecond || period < 100*Microsecond:
		return &OpError{op, EINVAL, fmt.Sprintf("%v of %v: want a period of 100us to %v, and no more runtime than that", runtime, period, 1<<22*Microsecond)}
	case !m.Online(cpu):
		return &OpError{op, EBUSY, "the CPU is offline"}
	}
	switch e := m.servers.SetParams(cpu, class, runtime, period); e {
	case 0:
		return nil
	case EBUSY:
		return &OpError{op, e, "no room for that much bandwidth"}
	default:
		return &OpError{op, e, "there is none"}
	}
}

// ServerPick asks class for the task to run on cpu on behalf of its server, whatever higher classes have (server_pick_task).
// It is for the deadline class, while it picks.
func (m *Machine) ServerPick(cpu CPU, class Class, prev *Task) *Task {
	rank := m.rankOf(class)
	c := &m.cpus[cpu]
	c.next = max(c.next, rank) // rq_modified_begin
	return m.classes[rank].Pick(cpu, prev)
}
