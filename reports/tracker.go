package reports

import "github.com/schedsim/schedsim/sim"

// TaskInfo is what reports need to know of a task.
type TaskInfo struct {
	PID, TGID int32
	Comm      string
	Group     string // name of the task in the workload, "" for threads of the machine's own
	Nice      int
	Weight    uint64 // load weight, 1024 at nice 0
}

// NameFunc tells about a task. It is called once per task, when the task is first seen in a record.
type NameFunc func(pid int32) TaskInfo

// taskMode is what a task is doing.
type taskMode uint8

const (
	modeNone    taskMode = iota // not yet or no more
	modeOnCPU                   // runs
	modeQueued                  // could run
	modeBlocked                 // sleeps
)

// queueReason is why a task waits for a CPU.
type queueReason uint8

const (
	reasonWoken queueReason = iota
	reasonNew
	reasonPreempted
)

// taskTrack is one task at one moment.
type taskTrack struct {
	idx    int // in order of appearance
	mode   taskMode
	reason queueReason
	cpu    sim.CPU
	since  sim.Time // in this mode
	woken  sim.Time // of the wakeup that it has not answered, -1 for none
	born   sim.Time
	died   sim.Time // Never while alive
	TaskInfo
}

// interval is a span of time in which a task did one thing.
type interval struct {
	t        *taskTrack
	mode     taskMode
	reason   queueReason // of modeQueued
	cpu      sim.CPU
	from, to sim.Time
}

// tracker follows the tasks through the records. It is the part that several reports share.
type tracker struct {
	names NameFunc
	tasks []*taskTrack // by order of appearance
	byPID []*taskTrack // by PID
	curr  []int32      // per CPU, the PID that runs
	// interval takes each span when it ends; latency each wakeup that was answered.
	interval func(i interval)
	latency  func(t *taskTrack, d sim.Duration)
}

func newTracker(cpus int, names NameFunc) *tracker {
	return &tracker{names: names, curr: make([]int32, cpus)}
}

// task returns the track of a PID; nil for the idle tasks.
func (k *tracker) task(pid int32, now sim.Time) *taskTrack {
	if pid <= 0 {
		return nil
	}
	for int(pid) >= len(k.byPID) {
		k.byPID = append(k.byPID, make([]*taskTrack, max(64, int(pid)+1-len(k.byPID), len(k.byPID)))...)
	}
	t := k.byPID[pid]
	if t == nil {
		t = &taskTrack{TaskInfo: k.names(pid), idx: len(k.tasks), born: now, died: sim.Never, woken: -1, since: now}
		t.PID = pid
		k.byPID[pid] = t
		k.tasks = append(k.tasks, t)
	}
	return t
}

// to ends what t was doing and has it do something else.
func (k *tracker) to(t *taskTrack, now sim.Time, mode taskMode) {
	if t.mode != modeNone && k.interval != nil {
		k.interval(interval{t, t.mode, t.reason, t.cpu, t.since, now})
	}
	t.mode, t.since = mode, now
}

func (k *tracker) record(r *sim.Record) {
	switch r.Kind {
	case sim.KindSwitch:
		if prev := k.task(int32(r.A), r.At); prev != nil {
			switch sim.State(r.B) {
			case sim.StateRunning:
				k.to(prev, r.At, modeQueued)
				prev.reason = reasonPreempted
			case sim.StateDead:
				k.to(prev, r.At, modeNone)
				prev.died = r.At
			default:
				k.to(prev, r.At, modeBlocked)
			}
		}
		if next := k.task(r.Task, r.At); next != nil {
			k.to(next, r.At, modeOnCPU)
			next.cpu = r.CPU
			if next.woken >= 0 {
				if k.latency != nil {
					k.latency(next, r.At.Sub(next.woken))
				}
				next.woken = -1
			}
		}
		k.curr[r.CPU] = r.Task
	case sim.KindWaking:
		// A task may be woken before it is switched away from; then it never stopped.
		if t := k.task(r.Task, r.At); t.mode != modeOnCPU && t.mode != modeQueued {
			k.to(t, r.At, modeQueued)
			t.reason, t.woken, t.cpu = reasonWoken, r.At, sim.CPU(r.B)
		}
	case sim.KindWakeup:
		t := k.task(r.Task, r.At)
		if r.A == 1 {
			k.to(t, r.At, modeQueued)
			t.reason = reasonNew
		}
		if t.mode != modeOnCPU {
			t.cpu = r.CPU
		}
	case sim.KindMigrate:
		if t := k.task(r.Task, r.At); t.mode != modeOnCPU {
			t.cpu = sim.CPU(r.A)
		}
	case sim.KindFork:
		k.task(r.Task, r.At)
	}
}

// finish ends all spans at the end of the run.
func (k *tracker) finish(end sim.Time) {
	for _, t := range k.tasks {
		mode := t.mode
		k.to(t, end, modeNone)
		t.mode = mode
	}
}
