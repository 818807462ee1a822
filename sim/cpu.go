package sim

import (
	"fmt"
	"math"

	"github.com/schedsim/schedsim/internal/eventq"
	"github.com/schedsim/schedsim/sim/kobj"
)

// cpu is one logical CPU with its runqueue, the machine's part of struct rq.
type cpu struct {
	id   CPU
	curr *Task
	idle *Task
	k    kobj.RQ

	// from is the time from which the current task makes progress: everything before is done and accounted in its
	// left field, or is overhead. While it lies in the future the CPU is busy with the overhead that was charged.
	from Time
	// execStart is the time up to which the current task's CPU time is accounted (se.exec_start).
	execStart Time
	busySince Time // when it last left idle
	irqAt     Time // of its last timer interrupt
	busyTime  Duration

	capacity    int64 // its rate: what it does now, see speed.go
	speed       int32 // frequency in 1024ths of the highest
	wantSpeed   int32
	speedTimer  Timer
	skew        Duration // of its clock, see Clock
	idleSince   Time
	idleLimit   Duration // the longest exit of an idle state that it may enter; 0: any
	exitCost    Duration // of the idle state that it is leaving
	nrRunning   int32
	next        int8 // rank of rq->next_class
	needResched bool
	lazy        bool // TIF_NEED_RESCHED_LAZY
	preempting  bool // Costs.Preempt was charged
	dying       bool // on its way offline

	inIRQ  bool          // with turns: in an interrupt of a timer that has been charged for
	held   bool          // it is not its turn, see turns
	owed   Duration      // while held: the overhead that it is still busy with
	parked []parkedEvent // while held: what has come for it
	tick   eventq.Event  // with turns: its own

	elapsing bool         // in Elapse
	again    bool         // asked meanwhile to reschedule
	pause    eventq.Event // it has got through what it elapses

	step    eventq.Event // the current task's step ends, or the overhead does
	resched eventq.Event // a reschedule interrupt arrives

	only     kobj.CPUMask // cpumask_of, made when it is first needed
	stopper  *Task        // the migration thread, nil until first needed
	stopWork *StopWork
	irq      irqWorks
	wakes    wakeList
	notify   IRQWork // does nothing: the interrupt is what is wanted
	switches uint64
	overhead Duration // charged so far
}

func (m *Machine) initCPU(id CPU) error {
	c := &m.cpus[id]
	c.id = id
	c.capacity, c.speed = int64(m.topo.CPUs[id].Capacity), FullSpeed
	if c.capacity <= 0 {
		return fmt.Errorf("capacity %d, want 1 to 1024", c.capacity)
	}
	var err error
	if c.k, err = kobj.NewRQ(m.mem, m.layout, int32(id)); err != nil {
		return err
	}
	if c.idle, err = m.newTask(fmt.Sprintf("swapper/%d", id), 0); err != nil {
		return err
	}
	t := c.idle
	t.Policy = PolicyNormal
	t.setNice(0)
	t.K.SetPrio(idlePrio)
	t.K.SetFlags(kobj.FlagIdle | kobj.FlagKThread)
	t.setCPU(id)
	t.K.CPUsMask().Set(int32(id))
	t.K.SetNrCPUsAllowed(1)
	t.setState(StateRunning)
	t.setRunning(true)
	t.OnRQ = true
	t.K.SetOnRQ(onRQQueued)
	c.curr = t
	c.k.SetIdle(t.K.Addr)
	c.k.SetCurr(t.K.Addr)
	c.notify.Do = func() {}
	c.step.Fire = func() { m.fireStep(c) }
	c.resched.Fire = func() { m.fireResched(c) }
	c.pause.Fire = func() {}
	c.step.Tag, c.resched.Tag, c.pause.Tag = int32(id), int32(id), int32(id)
	return nil
}

// clock is the time on c: later than now while the CPU is busy with overhead that was charged to it.
func (m *Machine) clock(c *cpu) Time { return max(m.now, c.from) }

// Clock is the runqueue clock of cpu (rq_clock, sched_clock_cpu) as scx_bpf_now reads it: RQClock, plus Config.ClockSkew. It
// never goes back, but those of two CPUs may differ.
func (m *Machine) Clock(cpu CPU) Time {
	c := &m.cpus[cpu]
	return m.clock(c).Add(c.skew)
}

// RQClock is the time on cpu: Now, plus the overhead that the CPU is still busy with. Timers go by it.
func (m *Machine) RQClock(cpu CPU) Time { return m.clock(&m.cpus[cpu]) }

// Curr is the task that runs on cpu; its idle task if none does. While cpu schedules, it is the task that ran before,
// until SetNext has been called on the next one.
func (m *Machine) Curr(cpu CPU) *Task { return m.cpus[cpu].curr }

// IdleTask is the idle task of cpu.
func (m *Machine) IdleTask(cpu CPU) *Task { return m.cpus[cpu].idle }

// IdleCPU tells whether cpu runs its idle task and has nothing queued (available_idle_cpu).
func (m *Machine) IdleCPU(cpu CPU) bool {
	c := &m.cpus[cpu]
	return c.curr == c.idle && c.nrRunning == 0 && c.wakes.head == nil
}

// RQ is cpu's struct rq.
func (m *Machine) RQ(cpu CPU) kobj.RQ { return m.cpus[cpu].k }

// NrRunning is the number of tasks enqueued on cpu, over all classes (rq->nr_running).
func (m *Machine) NrRunning(cpu CPU) int { return int(m.cpus[cpu].nrRunning) }

// AddNrRunning is add_nr_running and sub_nr_running: a class calls it as it queues and unqueues tasks.
func (m *Machine) AddNrRunning(cpu CPU, n int) {
	c := &m.cpus[cpu]
	c.nrRunning += int32(n)
	if c.nrRunning < 0 {
		panic(fmt.Sprintf("BUG: cpu %d: nr_running %d", cpu, c.nrRunning))
	}
	c.k.SetNrRunning(uint32(c.nrRunning))
}

// NrSwitches is the number of context switches of cpu (rq->nr_switches).
func (m *Machine) NrSwitches(cpu CPU) uint64 { return m.cpus[cpu].switches }

// AccountExec accounts the CPU time of cpu's current task up to now and returns what was added since the last time.
// It is the machine's half of update_curr_common: a class calls it from its UpdateCurr, at least in Tick, PutPrev and
// Dequeue of the current task, and applies the result to its slices or virtual times. What a class leaves unaccounted
// the machine accounts itself when the task is switched out, so that CPU time is conserved whatever classes do.
//
// In SetNext the current task is still the previous one: there is nothing to account then.
func (m *Machine) AccountExec(cpu CPU) Duration {
	c := &m.cpus[cpu]
	now := m.clock(c)
	d := now.Sub(c.execStart)
	if d <= 0 {
		return 0
	}
	c.execStart = now
	t := c.curr
	t.SumExec += d
	t.K.SetSumExec(uint64(t.SumExec))
	if t != c.idle {
		c.busyTime += d
	}
	return d
}

// UpdateCurr has the class of cpu's current task bring its accounting up to date (update_curr).
func (m *Machine) UpdateCurr(cpu CPU) {
	if f := m.classes[m.cpus[cpu].curr.rank].h.UpdateCurr; f != nil {
		f(cpu)
	}
}

// CPUTime is the CPU time that t has used up to now (task_sched_runtime), accounted or not.
func (m *Machine) CPUTime(t *Task) Duration {
	d := t.SumExec
	if c := &m.cpus[t.CPU()]; c.curr == t {
		d += max(0, m.clock(c).Sub(c.execStart))
	}
	return d
}

// IdleTime and BusyTime are the time that cpu has spent in its idle task, and in others, up to RQClock(cpu).
func (m *Machine) IdleTime(cpu CPU) Duration { return m.CPUTime(m.cpus[cpu].idle) }

// BusyTime is the time that cpu has spent in tasks other than its idle task.
func (m *Machine) BusyTime(cpu CPU) Duration {
	c := &m.cpus[cpu]
	d := c.busyTime
	if c.curr != c.idle {
		d += max(0, m.clock(c).Sub(c.execStart))
	}
	return d
}

// Charge adds scheduler overhead to cpu: the task running there, or the one about to, makes no progress for d.
func (m *Machine) Charge(cpu CPU, kind CostKind, d Duration) {
	if d <= 0 {
		return
	}
	c := &m.cpus[cpu]
	m.progress(c)
	if m.dice != nil && kind != CostCallback {
		j := int64(m.costs.Jitter)
		d += Duration(int64(d) * (m.dice.Int64N(2*j+1) - j) >> 10)
	}
	if c.held {
		c.owed += d
	} else {
		c.from = m.clock(c).Add(d)
	}
	m.tellOverhead(c, c.curr.PID, d, kind)
	if c.pause.Armed() && !c.held {
		m.q.Arm(&c.pause, int64(c.from), phaseStep)
	}
	if c.step.Armed() && (cpu != m.this || !m.running) {
		m.armStep(c) // this CPU's is armed when the event has been dealt with
	}
}

// progress brings the current task's step up to now.
func (m *Machine) progress(c *cpu) {
	t := c.curr
	d := m.now.Sub(c.from)
	if d >= 0 {
		c.from = m.now
	}
	switch t.doing {
	case doRun:
		if d > 0 && !c.held {
			t.left -= int64(d) * c.capacity
		}
		if t.left <= 0 {
			t.left, t.doing = 0, doNext
		}
	case doRunWall:
		if c.from >= t.wallEnd {
			t.doing = doNext
		}
	case doRunClock:
		left := t.clockEnd - m.CPUTime(t)
		if m.turns != nil && d > 0 && !c.held {
			m.turns.compute(t, d, left)
		}
		if left <= 0 && t.lookIn == 0 {
			t.doing = doNext
		}
	}
}

// armStep arms c's step event for the time when its current task needs attention.
func (m *Machine) armStep(c *cpu) {
	if c.held {
		m.q.Arm(&c.step, parkTime, phaseStep)
		return
	}
	t := c.curr
	at := m.clock(c)
	switch {
	case c.needResched: // as soon as the overhead is over
	case t.doing == doRun:
		if c.capacity == 1024 {
			at = at.Add(Duration((t.left + 1023) >> 10))
		} else {
			at = at.Add(Duration((t.left + c.capacity - 1) / c.capacity))
		}
	case t.doing == doRunWall:
		at = max(at, t.wallEnd)
	case t.doing == doRunClock:
		at = at.Add(max(t.clockEnd-m.CPUTime(t), t.lookIn, 0))
	}
	if !c.step.Armed() || c.step.At() != int64(at) {
		m.q.Arm(&c.step, int64(at), phaseStep)
	}
}

// runLeft converts a StepRun's duration to left; durations beyond 52 days never end.
func runLeft(d Duration) int64 {
	if d > math.MaxInt64/2048 {
		return math.MaxInt64 / 2
	}
	return int64(d) * 1024
}
