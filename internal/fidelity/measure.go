package fidelity

import (
	"math"
	"slices"
)

// EventKind says what an Event tells.
type EventKind uint8

// The kinds of events. The first four are the kernel's tracepoints, the others what the workload's player notes.
const (
	// sched_switch: CPU switches to Task from Other, whose state is State (0: preempted); Value is Other's CPU time so far as the kernel
	// accounts it, 0 if it is not known.
	EventSwitch  EventKind = iota + 1
	EventWaking            // sched_waking of Task
	EventWakeup            // sched_wakeup or sched_wakeup_new of Task
	EventMigrate           // sched_migrate_task of Task
	EventUnit              // Task did a unit of work; Value is its response time in ns
	EventMiss              // a timer of Task had expired before it came to it
)

// Event is one thing that happened, At ns after T0 (before it if negative). Tasks are named by PID, 0 is idle.
type Event struct {
	At          int64
	Value       int64
	Task, Other int32
	CPU         int32
	State       uint32
	Kind        EventKind
}

// Measure folds events, in order of time, into the numbers of r: of r.Tasks, found by PID, and of r.Totals, in the window
// [0, r.Window.LengthNS]. Events before T0 tell where tasks run then, and how the workload came to be (Task.Before); what
// began before T0 counts from T0.
func (r *Run) Measure(events []Event) {
	f := fold{r: r, byPID: map[int32]*taskFold{}, curr: make([]current, r.Manifest.CPUs)}
	f.tasks = make([]taskFold, len(r.Tasks))
	for i := range r.Tasks {
		r.Tasks[i].Usage = Usage{}
		t := &f.tasks[i]
		*t = taskFold{u: &r.Tasks[i].Usage, lastCPU: -1, woken: -1}
		r.Tasks[i].Before, r.Tasks[i].BeforeCPUs = nil, nil
		f.byPID[r.Tasks[i].PID] = t
	}
	r.Totals, r.Others = Totals{}, nil
	f.others = map[int32]*otherFold{}
	for i := range events {
		f.event(&events[i])
	}
	for cpu := range f.curr {
		f.off(int32(cpu), r.Window.LengthNS)
	}
	for _, o := range f.others {
		o.Wakes = slices.DeleteFunc(o.Wakes, func(w [2]int64) bool { return w[0] < 0 && w[1] == 0 })
		r.Others = append(r.Others, o.Other)
	}
	slices.SortFunc(r.Others, func(a, b Other) int { return int(a.PID) - int(b.PID) })
	t := &r.Totals
	var slice, wake, response []int64
	for i := range f.tasks {
		k := &f.tasks[i]
		r.Tasks[i].Before = k.before
		if r.Manifest.CPUs > 1 {
			r.Tasks[i].BeforeCPUs = k.beforeCPUs
		}
		k.u.Slice, k.u.Wake, k.u.Response = Summarize(k.slice), Summarize(k.wake), Summarize(k.response)
		slice, wake, response = append(slice, k.slice...), append(wake, k.wake...), append(response, k.response...)
		t.CPUNS += k.u.CPUNS
		t.Switches += k.u.Switches
		t.Preemptions += k.u.Preemptions
		t.Migrations += k.u.Migrations
		t.Units += k.u.Units
		t.Misses += k.u.Misses
	}
	t.Slice, t.Wake, t.Response = Summarize(slice), Summarize(wake), Summarize(response)
	t.IdleNS = max(0, r.Window.LengthNS*int64(r.Manifest.CPUs)-t.CPUNS-t.OtherCPUNS)
}

// Summarize sorts samples and sums them up.
func Summarize(samples []int64) Quantiles {
	n := len(samples)
	if n == 0 {
		return Quantiles{}
	}
	slices.Sort(samples)
	at := func(q float64) int64 { return samples[max(int(math.Ceil(float64(q*float64(n)))), 1)-1] }
	return Quantiles{int64(n), at(0.50), at(0.90), at(0.99), samples[n-1]}
}

// fold is Measure at work.
type fold struct {
	r     *Run
	tasks []taskFold
	byPID map[int32]*taskFold
	curr  []current

	others map[int32]*otherFold
	// begun says that the workload's first task was made, begunAt when.
	begun   bool
	begunAt int64
}

type otherFold struct {
	Other
	awake bool
}

// other is the thread with that PID that is not the workload's.
func (f *fold) other(pid int32) *otherFold {
	o := f.others[pid]
	if o == nil {
		o = &otherFold{Other: Other{PID: pid}}
		f.others[pid] = o
	}
	return o
}

// current is what a CPU runs.
type current struct {
	pid   int32
	since int64
	known bool
}

type taskFold struct {
	u                     *Usage
	lastCPU               int32
	woken                 int64 // sched_waking that has not been answered, -1 for none
	running               bool
	before                [][2]int64
	beforeCPUs            []int
	used                  int64 // CPU time before the last of these
	slice, wake, response []int64
}

// made notes that the task was made or woken before T0.
func (t *taskFold) made(at int64) {
	t.before, t.beforeCPUs = append(t.before, [2]int64{at, 0}), append(t.beforeCPUs, -1)
}

// ran adds to the time since the last wakeup.
func ran(wakes [][2]int64, d int64) {
	if n := len(wakes); n > 0 && d > 0 {
		wakes[n-1][1] += d
	}
}

// off ends the time of what a CPU runs.
func (f *fold) off(cpu int32, now int64) {
	c := &f.curr[cpu]
	if !c.known || c.pid == 0 {
		return
	}
	t := f.byPID[c.pid]
	if t != nil {
		ran(t.before, min(now, 0)-c.since)
	} else if f.begun {
		ran(f.other(c.pid).Wakes, min(now, f.r.Window.LengthNS)-max(c.since, f.begunAt))
	}
	if d := min(now, f.r.Window.LengthNS) - max(c.since, 0); d > 0 {
		if t != nil {
			t.u.CPUNS += d
		} else {
			f.r.Totals.OtherCPUNS += d
			f.other(c.pid).CPUNS += d
		}
	}
}

// begin notes that the workload's first task was made. Who runs then is its maker.
func (f *fold) begin(e *Event) {
	f.begun, f.begunAt = true, min(e.At, 0)
	if int(e.CPU) >= len(f.curr) {
		return
	}
	if c := &f.curr[e.CPU]; e.At < 0 && c.known && c.pid != 0 && f.byPID[c.pid] == nil {
		o := f.other(c.pid)
		o.awake, o.Wakes = true, append(o.Wakes, [2]int64{e.At, 0})
	}
}

func (f *fold) event(e *Event) {
	in := e.At >= 0 && e.At <= f.r.Window.LengthNS
	t := f.byPID[e.Task]
	if !f.begun && (t != nil || e.At >= 0) {
		f.begin(e)
	}
	switch e.Kind {
	case EventSwitch:
		f.switchTo(e, t, in)
	case EventWakeup:
		if t != nil && e.At < 0 && len(t.before) == 0 {
			t.made(e.At)
		}
	case EventWaking:
		if t != nil && e.At < 0 && len(t.before) > 0 {
			t.used += t.before[len(t.before)-1][1]
			t.made(e.At)
		}
		switch {
		case t == nil && e.Task != 0 && f.begun && e.At <= f.r.Window.LengthNS:
			if o := f.other(e.Task); !o.awake {
				o.awake = true
				o.Wakes = append(o.Wakes, [2]int64{e.At, 0})
			}
		case t != nil && !t.running:
			t.woken = e.At
		}
	case EventUnit:
		if t != nil && in {
			t.u.Units++
			t.response = append(t.response, e.Value)
		}
	case EventMiss:
		if t != nil && in {
			t.u.Misses++
		}
	}
}

func (f *fold) switchTo(e *Event, next *taskFold, in bool) {
	if int(e.CPU) >= len(f.curr) {
		return
	}
	f.off(e.CPU, e.At)
	c := &f.curr[e.CPU]
	if o := f.others[e.Other]; o != nil && e.State != 0 {
		o.awake = false
	}
	if prev := f.byPID[e.Other]; prev != nil {
		prev.running = false
		if n := len(prev.before); n > 0 && e.At < 0 && e.Value > 0 {
			prev.before[n-1][1] = e.Value - prev.used // better than what events say
		}
		if in && e.State == 0 {
			prev.u.Preemptions++
			if c.known && c.pid == e.Other {
				prev.slice = append(prev.slice, e.At-c.since)
			}
		}
	}
	*c = current{e.Task, e.At, true}
	if f.begun && next == nil && e.Task != 0 && e.At <= f.r.Window.LengthNS {
		if o := f.other(e.Task); !o.awake { // since before all that is known
			o.awake, o.Wakes = true, append(o.Wakes, [2]int64{e.At, 0})
		}
	}
	if in {
		f.r.Totals.AllSwitches++
		switch {
		case e.Task == 0:
			f.r.Totals.IdleSwitches++
		case next == nil:
			f.r.Totals.OtherSwitches++
			f.other(e.Task).Switches++
		}
	}
	if next == nil {
		return
	}
	next.running = true
	if n := len(next.beforeCPUs); n > 0 && e.At < 0 {
		next.beforeCPUs[n-1] = int(e.CPU)
	}
	if in {
		next.u.Switches++
		if next.lastCPU >= 0 && next.lastCPU != e.CPU {
			next.u.Migrations++
		}
		if next.woken >= 0 {
			next.wake = append(next.wake, e.At-next.woken)
		}
	}
	next.woken, next.lastCPU = -1, e.CPU
}
