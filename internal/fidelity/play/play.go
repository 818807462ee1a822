package play

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

// Options say what to run. Workload and Scheduler are required.
type Options struct {
	// Name is the workload's file, Workload its text.
	Name     string
	Workload []byte
	// Scheduler is a built-in scheduler's name or the path of an object; Case is how the run is called, "" for the same.
	Scheduler, Case string
	Globals         map[string]any
	Members         []bpf.Member
	CPUs            int // 0: one
	// Topo is the machine as for --topo; "": CPUs CPUs, flat.
	Topo   string
	Kernel string // "": the runner's default
	Costs  sim.Costs
	// Length is the longest that is measured; 0: what the workload says.
	Length sim.Duration
	// Tick is the time from T0 to the first tick; 0 is right for an unknown one.
	Tick sim.Duration
	Seed uint64
	// Own is what the player needs itself.
	Own workloads.Own
	// Lead is how long before T0 a thread makes the tasks, one after the other; 0: all are there from the beginning.
	Lead sim.Duration
	// Operator is how long after its time an action of the timeline is done.
	Operator sim.Duration
	// Turn is sim.Config.Turn: CPUs execute in turns of at most that time.
	Turn sim.Duration
	// Bound is the time from T0 to when the timer comes that bounds turns, BoundPPB sim.Config.TurnPPB.
	Bound    sim.Duration
	BoundPPB int64
	// Look is sim.Config.Look.
	Look sim.Duration
	// Threads are the kernel's own; Others those of a recorded run, which are woken when they were then.
	Threads []Thread
	Others  []fidelity.Other
	// Tasks are those of a recorded run: before T0 they do what they did then.
	Tasks []fidelity.Task
	// Start is how the kernel stood before T0 then; nil: not known.
	Start *fidelity.Start
	// Stream asks for the callbacks. SnapshotAt, above 0, is the number of the callback, from 1, at which Result.Snapshot is taken.
	Stream     bool
	SnapshotAt int
	Notice     func(text string)
}

// settle is how long tasks are there before T0: long enough for what their creation did to loads and lags to fade.
const settle = 400 * sim.Millisecond

// Result is what a run gave.
type Result struct {
	Run *fidelity.Run
	// Events are those that Run was measured from.
	Events []fidelity.Event
	Stream *fidelity.Stream // nil unless asked for, or if no policy was in charge
	Report *reports.Report  // of the whole run, the time before T0 included
	// Snapshot is how things stood at the callback that was asked for.
	Snapshot string
}

// Run simulates.
func Run(o Options) (*Result, error) {
	tp, err := topology(&o)
	if err != nil {
		return nil, err
	}
	w, err := workloads.Parse(o.Name, o.Workload, workloads.Options{CPUs: len(tp.CPUs)})
	if err != nil {
		return nil, err
	}
	t0 := sim.Time(settle - o.Tick%tickPeriod)
	taking := 1 // turns
	if o.Turn > 0 {
		taking = len(tp.CPUs)
	}
	p := &player{t0: t0, snapshotAt: o.SnapshotAt}
	r := runner.Options{
		Scheduler: o.Scheduler, Workload: w, Topo: tp, Duration: o.Length, Settle: sim.Duration(t0), ByClock: true, Own: o.Own,
		Before: before(o.Tasks, t0, o.Costs), Operator: o.Operator, Seed: o.Seed, Kernel: o.Kernel,
		Members: o.Members, Globals: o.Globals, Costs: o.Costs, Turn: o.Turn, TurnAt: t0.Add(o.Bound), TurnPPB: o.BoundPPB, Look: o.Look, Sink: p, Notice: o.Notice,
		Setup: func(m *sim.Machine) error {
			p.m = m
			return errors.Join(spawnThreads(m, o.Threads), spawnOthers(m, o.Others, t0, o.Tick, taking))
		},
	}
	if o.Start != nil {
		s := &start{p: p, tasks: o.Tasks, from: o.Start}
		r.Start, r.StartAt = s.begin, s.at()
		if s.from.InitCPU != nil {
			r.InitCPU = sim.CPU(*s.from.InitCPU)
		}
	}
	if o.Lead > 0 {
		r.Before = nil
		r.MadeAt = sim.Duration(t0) - o.Lead
	}
	if o.Stream {
		p.stream = &fidelity.Stream{CPUs: len(tp.CPUs), Tick: int64(o.Tick)}
		r.Tap = p.tap
	}
	res, err := runner.Run(r)
	if err != nil {
		return nil, err
	}
	run := p.run(&o, res.Report)
	run.Manifest.CPUs = len(tp.CPUs)
	run.Window.AllEnded = o.Length == 0 && w.Duration == 0 && !w.Endless()
	run.Measure(p.events)
	for i := range run.Others {
		if t := p.m.TaskByPID(run.Others[i].PID); t != nil {
			run.Others[i].Name = t.Comm
		}
	}
	out := &Result{Run: run, Events: p.events, Report: res.Report, Snapshot: p.snapshot}
	if p.stream != nil && p.tapped {
		p.stream.Until = run.Window.LengthNS
		for _, t := range run.Tasks {
			p.stream.Tasks = append(p.stream.Tasks, fidelity.StreamTask{PID: t.PID, Nice: t.Nice, Name: t.Name})
		}
		out.Stream = p.stream
	}
	return out, nil
}

func topology(o *Options) (*topo.Topology, error) {
	if o.Topo != "" {
		return topo.Parse(o.Topo)
	}
	return topo.Flat(max(o.CPUs, 1))
}

// player takes the records of a run.
type player struct {
	t0     sim.Time
	events []fidelity.Event
	stream *fidelity.Stream
	tapped bool
	m      *sim.Machine

	snapshotAt int
	snapshot   string
}

// Record implements sim.Sink.
func (p *player) Record(r *sim.Record) {
	e := fidelity.Event{At: int64(r.At - p.t0), Task: r.Task, CPU: int32(r.CPU)}
	switch r.Kind {
	case sim.KindSwitch:
		e.Kind, e.Other, e.State = fidelity.EventSwitch, int32(r.A), uint32(r.B)
	case sim.KindWaking:
		e.Kind = fidelity.EventWaking
	case sim.KindWakeup:
		e.Kind = fidelity.EventWakeup
	case sim.KindMigrate:
		e.Kind = fidelity.EventMigrate
	case sim.KindMark:
		e.Kind, e.Value = fidelity.EventUnit, int64(r.A)
		if sim.MarkKind(r.Aux) == sim.MarkMiss {
			e.Kind = fidelity.EventMiss
		}
	default:
		return
	}
	p.events = append(p.events, e)
}

// run is the recorded form of a run, not measured yet.
func (p *player) run(o *Options, r *reports.Report) *fidelity.Run {
	sum := sha256.Sum256(o.Workload)
	run := &fidelity.Run{
		Format: fidelity.Format,
		Manifest: fidelity.Manifest{
			Workload: strings.TrimSuffix(filepath.Base(o.Name), ".json"), WorkloadSHA256: hex.EncodeToString(sum[:]),
			Scheduler: o.Case, Topo: o.Topo, Kernel: r.Info.Kernel, Mode: "simulator", Seed: o.Seed,
		},
		Window: fidelity.Window{LengthNS: int64(sim.Time(r.Info.Length) - p.t0), TickNS: int64(o.Tick)},
	}
	if o.Case == "" {
		run.Manifest.Scheduler = o.Scheduler
	}
	nth := map[string]int{}
	for _, t := range r.Tasks {
		run.Tasks = append(run.Tasks, fidelity.Task{Name: t.Comm, Group: t.Group, Instance: nth[t.Group], PID: t.PID, Nice: t.Nice})
		nth[t.Group]++
	}
	if e := r.Exit; e != nil {
		run.Exit = &fidelity.Exit{Kind: int(e.Kind), Code: e.Code, Reason: e.Reason, Message: e.Message, AtNS: int64(e.AtNS - p.t0), Dump: e.Dump}
	}
	for _, c := range r.Events {
		run.Events = append(run.Events, fidelity.Counter{Name: c.Name, Value: c.Value})
	}
	return run
}

// tap has every callback of the table noted, with its arguments.
func (p *player) tap(e sched.Env, tb *ops.Table) {
	m := e.Machine
	p.tapped = true
	note := func(name string, t *sim.Task, a, b fidelity.Value) {
		o := fidelity.Op{At: int64(m.Now() - p.t0), CPU: int32(m.ThisCPU()), Name: name, A: a, B: b}
		if t != nil {
			o.PID, o.Slice, o.VTime = t.PID, fidelity.Num(t.K.Slice()), fidelity.Num(t.K.DSQVtime())
		}
		if p.stream.Ops = append(p.stream.Ops, o); len(p.stream.Ops) == p.snapshotAt {
			p.snapshot = e.Kernel.Snapshot()
		}
	}
	wrap(tb, note)
}
