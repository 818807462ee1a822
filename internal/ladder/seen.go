package ladder

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// Span is a time in which a task ran on a CPU.
type Span struct {
	PID      int32
	CPU      sim.CPU
	From, To sim.Time
	// Preempted tells that the task could have gone on.
	Preempted bool
}

// Length is how long it took.
func (s Span) Length() sim.Duration { return s.To.Sub(s.From) }

// Insert is a task put on a queue.
type Insert struct {
	At  sim.Time
	PID int32
	DSQ uint64 // as records have it: a local queue by its CPU
	// In is the callback that did it, or that had just ended: what it inserts is often put on the queue when it returns. On is the
	// CPU that ran it.
	In ops.Callback
	On sim.CPU
	// Queued is the number of tasks there after it.
	Queued int
}

// Op is a callback.
type Op struct {
	At   sim.Time
	CPU  sim.CPU
	PID  int32
	Call ops.Callback
}

// Wake is a wakeup that was answered.
type Wake struct {
	PID      int32
	From, On sim.CPU // where the task was, where it runs
	At, Ran  sim.Time
	// FromIdle tells that the CPU where it was had nothing to do.
	FromIdle bool
}

// Latency is the time from the wakeup until the task runs.
func (w Wake) Latency() sim.Duration { return w.Ran.Sub(w.At) }

// Tick is a tick, with the slice of the task that ran.
type Tick struct {
	At    sim.Time
	PID   int32
	CPU   sim.CPU
	Slice uint64
}

// Seen is what the checks look at: the records of a run, put together.
type Seen struct {
	Topo    *topo.Topology
	Report  *reports.Report
	End     sim.Time
	Spans   []Span // in the order of their ends
	Inserts []Insert
	Ops     []Op
	Wakes   []Wake
	Ticks   []Tick
	Kicks   []sim.Record

	machine *sim.Machine
	running []Span // per CPU; PID 0: idle
	open    []Op   // callbacks that have begun
	last    Op     // that has ended
	waking  map[int32]Wake
	group   map[int32]string
}

func newSeen(t *topo.Topology) *Seen {
	return &Seen{Topo: t, running: make([]Span, len(t.CPUs)), waking: map[int32]Wake{}}
}

// Record implements sim.Sink.
func (s *Seen) Record(r *sim.Record) {
	switch r.Kind {
	case sim.KindSwitch:
		c := &s.running[r.CPU]
		if c.PID > 0 {
			c.To, c.Preempted = r.At, sim.State(r.B) == sim.StateRunning
			s.Spans = append(s.Spans, *c)
		}
		*c = Span{PID: r.Task, CPU: r.CPU, From: r.At}
		if w, ok := s.waking[r.Task]; ok && r.Task > 0 {
			w.On, w.Ran = r.CPU, r.At
			s.Wakes = append(s.Wakes, w)
			delete(s.waking, r.Task)
		}
	case sim.KindWaking:
		from := sim.CPU(r.B)
		s.waking[r.Task] = Wake{PID: r.Task, From: from, At: r.At, FromIdle: s.running[from].PID == 0}
	case sim.KindOp:
		op := Op{At: r.At, CPU: r.CPU, PID: r.Task, Call: ops.Callback(r.A)}
		s.open = append(s.open, op)
		s.Ops = append(s.Ops, op)
	case sim.KindOpEnd:
		if n := len(s.open); n > 0 {
			s.last, s.open = s.open[n-1], s.open[:n-1]
		}
	case sim.KindDSQInsert:
		by := s.last
		if n := len(s.open); n > 0 {
			by = s.open[n-1]
		}
		s.Inserts = append(s.Inserts, Insert{At: r.At, PID: r.Task, DSQ: r.A, In: by.Call, On: by.CPU, Queued: int(r.B)})
	case sim.KindTick:
		t := Tick{At: r.At, CPU: r.CPU, PID: r.Task}
		if s.machine != nil && r.Task > 0 {
			if task := s.machine.TaskByPID(r.Task); task != nil {
				t.Slice = task.K.Slice()
			}
		}
		s.Ticks = append(s.Ticks, t)
	case sim.KindKick:
		s.Kicks = append(s.Kicks, *r)
	}
}

// finish ends the spans that are open.
func (s *Seen) finish(r *reports.Report) *Seen {
	s.Report, s.End = r, sim.Time(r.Info.Length)
	for _, c := range s.running {
		if c.PID > 0 && c.From < s.End {
			c.To, c.Preempted = s.End, true
			s.Spans = append(s.Spans, c)
		}
	}
	s.group = map[int32]string{}
	for _, t := range r.Tasks {
		if t.Group != sim.SchedulerGroup {
			s.group[t.PID] = t.Group
		}
	}
	return s
}

// Group is the name of the workload's task that pid is an instance of, "" for others.
func (s *Seen) Group(pid int32) string { return s.group[pid] }

// CPUTime is what tasks got from a time on, by PID.
func (s *Seen) CPUTime(from sim.Time) map[int32]sim.Duration {
	got := map[int32]sim.Duration{}
	for _, sp := range s.Spans {
		if sp.To > from {
			got[sp.PID] += sp.To.Sub(max(sp.From, from))
		}
	}
	return got
}

// GroupTime is the same by the workload's tasks.
func (s *Seen) GroupTime(from sim.Time) map[string]sim.Duration {
	got := map[string]sim.Duration{}
	for pid, d := range s.CPUTime(from) {
		got[s.group[pid]] += d
	}
	return got
}
