package sim

import (
	"errors"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/sim/kobj"
)

// newTask allocates a task with its task_struct and puts it into the tables.
func (m *Machine) newTask(comm string, pid int32) (*Task, error) {
	k, err := kobj.NewTask(m.mem, m.layout)
	if err != nil {
		return nil, err
	}
	if len(comm) > 15 {
		comm = comm[:15]
	}
	t := &Task{PID: pid, Comm: comm, K: k}
	t.lastRan, t.timerOn, t.stepsAt = NoCPU, NoCPU, -1
	t.timer.Fire = func() { m.fireTimer(t) }
	k.SetPID(pid)
	k.SetTGID(pid)
	k.SetComm(comm)
	k.SetGroupLeader(k.Addr)
	k.SetRealParent(k.Addr)
	k.SetParent(k.Addr)
	k.SetCgroups(m.cg.root.K.CSSSet)
	t.Cgroup = m.cg.root
	t.setSchedGroup(m.cg.root)
	m.tasks.add(t)
	return t, nil
}

// check refuses a spec that cannot be a task of this machine.
func (m *Machine) check(s *TaskSpec) error {
	switch {
	case s.Behavior == nil:
		return errors.New("no behaviour")
	case s.Nice < -20 || s.Nice > 19:
		return fmt.Errorf("nice %d, want -20 to 19", s.Nice)
	case s.RTPrio < 0 || s.RTPrio > 99:
		return fmt.Errorf("real-time priority %d, want 1 to 99", s.RTPrio)
	case s.CgroupW < 0 || s.CgroupW > 10_000:
		return fmt.Errorf("cgroup weight %d, want 1 to 10000", s.CgroupW)
	case s.Start < 0:
		return fmt.Errorf("start at %v, before the machine's", s.Start)
	case s.CPUs != nil:
		if err := m.checkCPUs(s.CPUs); err != nil {
			return err
		}
	}
	if s.Policy == PolicyDeadline {
		return s.DL.Check()
	}
	return nil
}

// checkCPUs refuses an affinity that names no CPU or one that the machine does not have.
func (m *Machine) checkCPUs(cpus []CPU) error {
	if len(cpus) == 0 {
		return fmt.Errorf("affinity: no CPU, want at least one of 0-%d", len(m.cpus)-1)
	}
	for _, c := range cpus {
		if c < 0 || int(c) >= len(m.cpus) {
			return fmt.Errorf("affinity: no CPU %d, this machine has CPUs 0-%d", c, len(m.cpus)-1)
		}
	}
	return nil
}

// Spawn creates a task as fork and wake_up_new_task do: now, or at spec.Start if that is later. Within Run the current
// task of ThisCPU is its parent, otherwise the idle task of CPU 0, which stands for init. Its PID is taken now; until
// Start it is not among Tasks, and its state is StateNew.
func (m *Machine) Spawn(spec TaskSpec) (*Task, error) {
	parent := m.cpus[0].idle
	if m.running && !spec.Orphan {
		parent = m.cpus[m.this].curr
	}
	t, err := m.spawn(&spec, parent)
	if err != nil {
		return nil, fmt.Errorf("task %q: %w", spec.Comm, err)
	}
	return t, nil
}

func (m *Machine) spawn(s *TaskSpec, parent *Task) (*Task, error) {
	if err := m.check(s); err != nil {
		return nil, err
	}
	t, err := m.copyProcess(s, parent)
	if err != nil {
		return nil, err
	}
	if s.Start > m.now {
		t.timerOn, t.timer.Tag = m.this, int32(m.this)
		m.q.Arm(&t.timer, int64(s.Start), phaseTimer)
		return t, nil
	}
	return t, m.fork(t)
}

// copyProcess makes the task that a spec describes, without telling anyone (the data part of copy_process).
func (m *Machine) copyProcess(s *TaskSpec, parent *Task) (*Task, error) {
	t, err := m.newTask(s.Comm, m.tasks.newPID())
	if err != nil {
		return nil, err
	}
	t.Group, t.Prog, t.ownW, t.kthread = s.Group, s.Behavior, s.CgroupW, s.KThread
	t.Policy, t.RTPrio, t.DL = s.Policy, s.RTPrio, s.DL
	switch s.Policy {
	case PolicyFIFO, PolicyRR:
		t.RTPrio = max(t.RTPrio, 1)
	default:
		t.RTPrio = 0
	}
	t.setNice(s.Nice)
	t.setState(StateNew)
	k := t.K
	if s.CPUs == nil {
		k.CPUsMask().Fill(len(m.cpus))
	}
	for _, c := range s.CPUs {
		k.CPUsMask().Set(int32(c))
	}
	if s.CPUs != nil {
		t.userCPUs = m.maskOf(s.CPUs)
	}
	k.SetNrCPUsAllowed(int32(k.CPUsMask().Weight()))
	if t.Cgroup = s.Cgroup; t.Cgroup == nil {
		t.Cgroup = parent.Cgroup
	}
	t.forker = parent.PID
	m.setParent(t, parent)
	if s.KThread {
		k.SetFlags(kobj.FlagKThread)
		return t, nil
	}
	if l := m.leaderFor(s, parent); l != nil {
		m.joinProcess(t, l)
		return t, nil
	}
	if t.mm, err = kobj.NewMM(m.mem, m.layout); err != nil {
		m.freeTask(t)
		return nil, err
	}
	k.SetMM(t.mm)
	if s.Process != "" {
		m.processes[s.Process] = t
	}
	return t, nil
}

// setParent makes parent the parent of t.
func (m *Machine) setParent(t, parent *Task) {
	t.parent = parent
	parent.forked = true
	t.K.SetRealParent(parent.K.Addr)
	t.K.SetParent(parent.K.Addr)
}

// leaderFor returns the leader of the process in which the task will be a thread, nil if it gets its own.
func (m *Machine) leaderFor(s *TaskSpec, parent *Task) *Task {
	switch {
	case s.Process != "":
		l := m.processes[s.Process]
		if l != nil && l.gone && l.refs == 0 {
			return nil // the process has come to its end
		}
		return l
	case !s.Thread || parent.K.MM() == 0:
		return nil
	case parent.leader != nil:
		return parent.leader
	}
	return parent
}

// joinProcess makes t a thread of l's process, with its parent. The leader's task_struct stays until the last thread
// is gone.
func (m *Machine) joinProcess(t, l *Task) {
	m.Hold(l)
	if !l.parent.gone {
		m.setParent(t, l.parent)
	}
	t.leader = l
	t.K.SetTGID(l.PID)
	t.K.SetGroupLeader(l.K.Addr)
	t.K.SetMM(l.K.MM())
}

// ForkError says that a class refused a new task: the workload can be run, but not under this policy.
type ForkError struct{ Err error }

// Error is the reason of the class.
func (e *ForkError) Error() string { return e.Err.Error() }

// Unwrap returns the reason of the class.
func (e *ForkError) Unwrap() error { return e.Err }

// fork makes t known to the classes and wakes it for the first time: sched_fork, sched_cgroup_fork, sched_post_fork.
func (m *Machine) fork(t *Task) error {
	if t.parent.gone { // while t waited for its start
		m.setParent(t, m.cpus[0].idle)
	}
	if t.Policy == PolicyDeadline {
		if err := m.admit(t, t.Policy, t.DL); err != nil {
			t.gone = true
			m.freeTask(t)
			return err
		}
	}
	if err := m.cgroupFork(t); err != nil {
		m.refuseFork(t)
		return err
	}
	t.Class = m.classFor(t)
	t.rank = m.rankOf(t.Class)
	t.K.SetStartTime(uint64(m.Uptime()))
	t.setCPU(m.this)
	if h := m.classes[t.rank].h.TaskFork; h != nil {
		h(t)
	}
	for _, f := range m.hooked.fork {
		if err := f(t); err != nil {
			for _, f := range m.hooked.cancelFork {
				f(t)
			}
			m.refuseFork(t)
			return &ForkError{err}
		}
	}
	t.joinCgroup(t.Cgroup)
	m.tasks.link(t)
	m.Emit(Record{Kind: KindFork, CPU: m.this, Task: t.PID, A: uint64(t.forker)})
	if m.Traced(TraceFork) {
		m.runTracers(TraceArgs{Point: TraceFork, Task: t, Other: t.parent})
	}
	for _, f := range m.hooked.postFork {
		f(t)
	}
	m.wakeUpNewTask(t)
	return nil
}

// refuseFork gives back a task that nobody has seen.
func (m *Machine) refuseFork(t *Task) {
	t.gone = true
	m.dropOwnCgroup(t)
	m.freeTask(t)
}

// cgroupFork settles in which cgroup t begins (cgroup_can_fork, sched_cgroup_fork, cpuset_fork).
func (m *Machine) cgroupFork(t *Task) error {
	if !t.Cgroup.online {
		return &OpError{"fork into " + t.Cgroup.Path(), ENODEV, "the cgroup was removed"}
	}
	if t.ownW != 0 {
		c, err := m.ownCgroup(t)
		if err != nil {
			return err
		}
		t.Cgroup, t.ownW = c, 0
	}
	t.setSchedGroup(t.Cgroup)
	if t.Cgroup.Parent != nil && t.Cgroup.cpus != nil || t.Cgroup.inheritsCPUs() {
		m.cpusetUpdateTask(t)
	}
	return nil
}

// inheritsCPUs tells whether a cgroup above c has cpuset.cpus.
func (c *Cgroup) inheritsCPUs() bool {
	for p := c.Parent; p != nil; p = p.Parent {
		if p.cpus != nil {
			return true
		}
	}
	return false
}

// dropOwnCgroup removes the cgroup that was made for t alone, unless somebody else uses it now.
func (m *Machine) dropOwnCgroup(t *Task) {
	if c := t.own; c != nil && c.online && c.populated == 0 && c.first == nil {
		m.destroyCgroup(c)
	}
}

// ownCgroup makes the cgroup in which t is alone; it goes with the task. Names are those of tasks, numbered if they are
// taken.
func (m *Machine) ownCgroup(t *Task) (*Cgroup, error) {
	name := strings.ReplaceAll(t.Comm, "/", "_")
	if name == "" || name == "." || name == ".." || t.Cgroup.child(name) != nil {
		name = fmt.Sprintf("%s.%d", name, t.PID)
	}
	c, err := m.Mkdir(t.Cgroup, name)
	if err != nil {
		return nil, err
	}
	t.own = c
	if err := m.SetCgroupWeight(c, uint64(t.ownW)); err != nil {
		return nil, err
	}
	return c, nil
}

// wakeUpNewTask follows wake_up_new_task (kernel/sched/core.c, 7.2).
func (m *Machine) wakeUpNewTask(t *Task) {
	f := WakeFork
	t.setState(StateRunning)
	t.K.SetRecentUsedCPU(int32(t.cpu))
	cpu := m.selectTaskRQ(t, t.CPU(), &f)
	t.setCPU(cpu) // not SetTaskCPU: nothing migrates yet
	m.Activate(t, EnqNoClock|EnqInitial)
	m.Emit(Record{Kind: KindWakeup, CPU: cpu, Task: t.PID, A: 1})
	m.trace(TraceWakeupNew, t, nil, 0)
	m.WakeupPreempt(cpu, t, f)
	if h := m.classes[t.rank].h.TaskWoken; h != nil {
		h(cpu, t)
	}
}

// exit ends t, the current task of c: do_exit and do_task_dead. Its state goes to dead; the switch away from it reaps.
//
// On its way every task leaves its autogroup (sched_autogroup_exit_task), also one that is in none: it is taken out of its queue and
// put back, and its CPU reschedules. One whose slice is over, or that has equals of real time, is so preempted once more before it is
// gone; Costs.ExitRest is what it does then.
func (m *Machine) exit(c *cpu, t *Task) {
	switch {
	case t.ending == 0:
		t.ending = 1
		t.Exiting = true
		t.K.SetFlags(t.K.Flags() | kobj.FlagExiting)
		m.Emit(Record{Kind: KindExit, CPU: c.id, Task: t.PID})
		m.trace(TraceExit, t, nil, 0)
		m.moveTask(t, t.SchedGroup, true)
	case t.ending == 1 && m.costs.ExitRest > 0:
		t.ending = 2
		m.Charge(c.id, CostExit, m.costs.ExitRest)
	default:
		t.setState(StateDead)
		m.schedule(c, false)
	}
}

// reap forgets the dead t after the last switch away from it (finish_task_switch, sched_ext_dead).
func (m *Machine) reap(t *Task) {
	for _, f := range m.hooked.dead {
		f(t)
	}
	m.tasks.unlink(t)
	t.joinCgroup(nil)
	m.dropOwnCgroup(t)
	t.gone = true
	if t.forked { // its children get a new parent (forget_original_parent)
		for c := m.tasks.first; c != nil; c = c.next {
			if c.parent == t {
				m.setParent(c, m.cpus[0].idle)
			}
		}
	}
	if t.refs == 0 {
		m.freeTask(t)
	}
}

// freeTask gives back t's task_struct and Index, and its hold on its process (free_task).
func (m *Machine) freeTask(t *Task) {
	for _, f := range m.onFree {
		f(t)
	}
	m.tasks.drop(t)
	if t.mm != 0 {
		kobj.FreeMM(m.mem, m.layout, t.mm)
	}
	t.K.Free(m.mem)
	if t.leader != nil {
		m.Release(t.leader)
	}
}

// OnTaskFree makes f run when a task_struct is about to be given back: nobody will see the task again.
func (m *Machine) OnTaskFree(f func(t *Task)) { m.onFree = append(m.onFree, f) }

// Hold keeps the task_struct and the Index of t after its end until Release (get_task_struct).
func (m *Machine) Hold(t *Task) { t.refs++ }

// Release undoes one Hold (put_task_struct).
func (m *Machine) Release(t *Task) {
	if t.refs--; t.refs < 0 {
		panic("BUG: " + t.String() + " released too often")
	}
	if t.refs == 0 && t.gone {
		m.freeTask(t)
	}
}
