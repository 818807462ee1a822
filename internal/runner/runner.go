package runner

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
	"github.com/schedsim/schedsim/sched/class"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/workloads"
)

// DefaultKernel is the kernel of runs that ask for none.
const DefaultKernel = "7.2"

// The lengths of runs for which neither the options nor the workload give one: of workloads that never end by
// themselves, and at most of others.
const (
	defaultLength = sim.Second
	maxLength     = 3600 * sim.Second
)

// DefaultBoot is how long the machine of a run has been up: long enough that no clock shows 0, which programs take for "never".
const DefaultBoot = 10 * sim.Second

// Options say what to simulate. Workload is required.
type Options struct {
	// Scheduler is the name of a built-in scheduler or the path of an object file; "" means Baseline.
	Scheduler string
	// Policy is used instead of Scheduler if it is not nil. It must be new, and needs no address space of its own.
	Policy   sched.Policy
	Workload *workloads.Workload
	// Subs are sub-schedulers, attached after the scheduler in their order.
	Subs []Sub
	Topo *topo.Topology // nil: one CPU
	// Duration is the longest that is simulated; 0 means what the workload says, and if it says nothing until every
	// task has ended, or for a second if none would.
	Duration sim.Duration
	// Settle is how long the tasks of the workload are there, asleep, before it begins; Duration does not count it. 0: they
	// are forked when the workload begins, and that is at once.
	Settle sim.Duration
	// MadeAt is when in the run, with Settle, a thread begins to make the tasks one after the other, as a program does that starts
	// them; 0: all are there at once.
	MadeAt sim.Duration
	// ByClock and Own are those of workloads.RunOptions.
	ByClock bool
	Own     workloads.Own
	// Before and Operator are those of workloads.RunOptions.
	Before   func(task string, instance int) []workloads.Awake
	Operator sim.Duration
	Seed     uint64
	Kernel   string // "": DefaultKernel
	// Engine runs BPF programs: "jit", "interp", or "" for the faster that there is.
	Engine string
	// Members, Checked, NoVerify and Permissions are those of bpf.Options.
	Members           []bpf.Member
	Checked, NoVerify bool
	Permissions       kfuncs.Permissions
	Costs             sim.Costs // the zero value is a machine without overheads
	// Machine is the name of the machine that the overheads are of, for the report; "" tells only whether there are any.
	Machine   string
	HZ        int            // ticks per second; 0: 250
	ClockSkew []sim.Duration // how far each CPU's clock is ahead; nil: they are not
	// Boot is how long the machine has been up when the run begins, for clocks that programs read. 0: DefaultBoot, below 0: not at
	// all. What reports and traces say begins at 0.
	Boot sim.Duration
	// Turn, TurnAt and TurnPPB are sim.Config's.
	Turn    sim.Duration
	TurnAt  sim.Time
	TurnPPB int64
	// Look is sim.Config.Look.
	Look sim.Duration
	// Globals are values of global variables of an object.
	Globals map[string]any
	// Recipe is the user-space half of an object; nil: the one that it is matched to. RecipeLog takes a line for each thing that
	// it does; nil for none.
	Recipe    *recipes.Recipe
	RecipeLog func(line string)
	// Trace and Profile take a Perfetto trace and a pprof profile; nil for none.
	Trace, Profile io.Writer
	// PerfMap takes a line per compiled function of an object, in the format of /tmp/perf-PID.map; nil for none.
	PerfMap io.Writer
	// Sink takes every record too; nil for none.
	Sink sim.Sink
	// Setup is called before there are tasks: it may add threads that are not the workload's. Nil for none.
	Setup func(m *sim.Machine) error
	// Tap may replace callbacks of a policy's table before it is attached, to see them being called. Nil for none.
	Tap func(e sched.Env, t *ops.Table)
	// InitCPU is the CPU on which ops.init of the scheduler runs, and so where it arms timers.
	InitCPU sim.CPU
	// Start, if not nil, is called at the time StartAt, above 0: it may change how things stand, as in a run that is followed. The policy is
	// nil if there is none.
	Start   func(m *sim.Machine, p sched.Policy)
	StartAt sim.Time
	// Ended is called when the simulation is over and nothing of it has been given up yet. Nil for none.
	Ended func()
	// Notice takes remarks that are no results: what was set in an object, what a program printed. Nil drops them.
	Notice func(text string)
}

func (o *Options) notice(text string) {
	if o.Notice != nil {
		o.Notice(text)
	}
}

// boot is how long the machine has been up.
func (o *Options) boot() sim.Duration {
	if o.Boot == 0 {
		return DefaultBoot
	}
	return max(o.Boot, 0)
}

// Result is what a run gave.
type Result struct {
	Report *reports.Report
	// Log are the lines that the kernel would have printed.
	Log []string
	// Insns and Calls are the BPF instructions executed, and the helpers and kernel functions called by programs.
	Insns, Calls uint64
	// Events is the number of events that the machine fired.
	Events uint64
}

// counting is a policy that counts what its programs execute.
type counting interface {
	Insns() uint64
	Calls() uint64
}

// Run simulates. It ends when the time is over, when every task of the workload has ended, or when the policy has
// ended (the report's Exit then says why). An error means that nothing, or not all, could be simulated: *LoadError where the
// scheduler was refused.
func Run(o Options) (res *Result, err error) {
	r := &run{o: o, known: map[int32]bool{}}
	defer func() {
		if cerr := r.close(); err == nil && cerr != nil {
			res, err = nil, cerr
		}
	}()
	if err = r.build(); err != nil {
		return nil, err
	}
	if err = r.start(); err != nil {
		return nil, err
	}
	for again := !r.exited; again; {
		if err = r.survive(r.simulate); r.failed != nil {
			err = r.failed
		} else if err == nil {
			err = r.agentError()
		}
		if err != nil {
			return nil, r.refused(err)
		}
		if again, err = r.restart(); err != nil {
			return nil, err
		}
	}
	return r.finish()
}

// survive calls f. Programs that run unverified may write to the kernel's objects; where the machine stumbles over that, as a
// kernel would, the policy has ended with an error.
func (r *run) survive(f func() error) (err error) {
	if r.unverified() {
		defer func() {
			if p := recover(); p != nil {
				r.oops, r.exitAt = fmt.Sprint(p), r.m.Now()
				r.deaf()
			}
		}()
	}
	return f()
}

// lockupSeconds is when the kernel's soft lockup watchdog, which looks every 4 s, ends a policy: at the first look after three
// quarters of twice the threshold of 10 s.
const lockupSeconds = 16

// simulate runs the machine. A policy under which time stands still is ended as the kernel's soft lockup watchdog ends
// it; it is an error if that does not help.
func (r *run) simulate() error {
	err := r.m.Run(sim.Time(r.length))
	var lockup *sim.LockupError
	if !errors.As(err, &lockup) || !r.enabled || r.exited {
		return err
	}
	r.o.notice(lockup.Error())
	r.ext.SoftLockup(lockup.CPU, lockupSeconds)
	return r.m.Run(sim.Time(r.length))
}

// run is one simulation. It is the machine's sink.
type run struct {
	o      Options
	kernel *kernels.Kernel
	space  *mem.Space
	m      *sim.Machine
	ext    *ext.Kernel
	policy sched.Policy

	startTimer sim.Timer

	name   string // of the scheduler that the run begins with
	subs   []*subRun
	load   *workloads.Instance
	length sim.Duration

	collect *reports.Collector
	sinks   []sim.Sink // further ones
	trace   *reports.Perfetto
	profile *reports.Pprof

	// known are the tasks that were spawned for later, by PID; all others that appear once the run has started are
	// forked by tasks.
	known   map[int32]bool
	started bool
	live    int  // tasks of the workload that have not ended
	over    bool // all have
	enabled bool // the policy was in charge
	exited  bool // and no longer is

	timeline []reports.TimelineEntry
	restarts restarts
	tenures  tenures
	failed   error // why an action of the timeline ended the run
	exitAt   sim.Time
	tally    sim.Tally // when it exited
	oops     string    // what the machine stumbled over: see survive
}

// build makes the machine.
func (r *run) build() error {
	o := &r.o
	if o.Workload == nil {
		panic("BUG: a run without a workload")
	}
	if o.Topo == nil {
		t, err := topo.Flat(1)
		if err != nil {
			return err
		}
		o.Topo = t
	}
	if o.Kernel == "" {
		o.Kernel = DefaultKernel
	}
	if o.Scheduler == "" {
		o.Scheduler = Baseline
	}
	var err error
	if r.kernel, err = kernels.Get(o.Kernel); err != nil {
		return err
	}
	bound, err := o.Workload.Bind(len(o.Topo.CPUs))
	if err != nil {
		return err
	}
	cpus := len(o.Topo.CPUs)
	r.collect = reports.NewCollector(cpus, r.taskInfo)
	c := sim.Config{Topo: o.Topo, Costs: o.Costs, HZ: o.HZ, Boot: o.boot(), ClockSkew: o.ClockSkew, Turn: o.Turn, TurnAt: o.TurnAt, TurnPPB: o.TurnPPB, Look: o.Look, Seed: o.Seed, Sink: r, Classes: func(m *sim.Machine) []sim.Class {
		c := class.New(m)
		r.ext = c.Ext
		return c.List()
	}}
	// Objects read kernel objects at the real kernel's offsets in their own address space; Go code does not care.
	if o.needsSpace() {
		if r.space, err = mem.New(mem.Options{}); err != nil {
			return err
		}
		c.Mem = r.space
		if c.Layout, err = kobj.NewLayout(r.kernel); err != nil {
			return fmt.Errorf("kernel %s: %w", o.Kernel, err)
		}
	}
	if r.policy, err = o.policy(r.kernel, r.space); err != nil {
		return err
	}
	if err = r.readSubs(); err != nil {
		return err
	}
	if err = r.checkAttaches(); err != nil {
		return err
	}
	if r.m, err = sim.New(c); err != nil {
		return err
	}
	if o.Trace != nil {
		r.trace = reports.NewPerfetto(o.Trace, reports.PerfettoOptions{CPUs: cpus, Names: r.taskInfo, Text: func(id uint64) string { return r.m.Text(id) }})
		r.sinks = append(r.sinks, r.trace)
	}
	if o.Profile != nil {
		r.profile = reports.NewPprof(cpus, r.taskInfo)
		r.sinks = append(r.sinks, r.profile)
	}
	if o.Sink != nil {
		r.sinks = append(r.sinks, o.Sink)
	}
	r.load = bound.New(workloads.RunOptions{Rand: r.m.Rand, Zero: sim.Time(o.Settle), Asleep: o.Settle > 0, ByClock: o.ByClock, Own: o.Own, Before: o.Before, Operator: o.Operator,
		Attach: r.attach, Detach: r.detach})
	r.name = Baseline
	if r.policy != nil {
		r.name = r.policy.Name()
	}
	r.length = o.Duration
	if r.length == 0 {
		r.length = o.Workload.Duration
	}
	if r.length == 0 {
		r.length = maxLength
		if o.Workload.Endless() {
			r.length = defaultLength
		}
	}
	r.length += o.Settle
	return nil
}

// start attaches the policy, then starts the workload, as one does on a real machine.
func (r *run) start() error {
	if err := r.load.Prepare(r.m); err != nil {
		return err
	}
	if r.o.Setup != nil {
		if err := r.o.Setup(r.m); err != nil {
			return err
		}
	}
	if r.o.Start != nil {
		r.startTimer.Fire = func(sim.Time) { r.o.Start(r.m, r.policy) }
		r.m.Arm(&r.startTimer, 0, r.o.StartAt)
	}
	if r.policy == nil {
		return r.begin(nil)
	}
	t, err := r.policy.Open(sched.Env{Machine: r.m, Kernel: r.ext})
	if err != nil {
		return &LoadError{r.o.Scheduler, err}
	}
	if r.o.Tap != nil {
		r.o.Tap(sched.Env{Machine: r.m, Kernel: r.ext}, t)
	}
	if init, cpu := t.Init, r.o.InitCPU; init != nil && cpu > 0 && int(cpu) < r.m.NrCPUs() {
		t.Init = func() (ret int32) {
			r.m.On(cpu, func() { ret = init() })
			return ret
		}
	}
	return r.survive(func() error { return r.begin(t) })
}

// begin puts the policy in charge, if there is one, and creates the tasks.
func (r *run) begin(t *ops.Table) error {
	if t != nil {
		if err := r.ext.Enable(t); err != nil {
			return &LoadError{r.o.Scheduler, err}
		}
		r.enabled = true
		r.begun()
		if err := r.attached(r.o.Scheduler, r.policy); err != nil {
			return err
		}
	}
	if err := r.attachSubs(); err != nil {
		return err
	}
	if r.o.MadeAt > 0 && len(r.load.Specs) > 0 {
		if _, err := r.m.Spawn(sim.TaskSpec{Comm: "operator", KThread: true, Behavior: &maker{at: sim.Time(r.o.MadeAt), specs: r.load.Specs}}); err != nil {
			return err
		}
		r.started = true
		return nil
	}
	r.live = len(r.load.Specs)
	r.over = r.live == 0 && !r.load.SpawnsLeft()
	for _, s := range r.load.Specs {
		t, err := r.m.Spawn(s)
		if err != nil {
			return r.refused(err)
		}
		r.known[t.PID] = true
	}
	r.started = true
	return nil
}

// refused makes the refusal of a task by the policy's init_task one of the policy. On a real machine fork fails, which
// ends most programs.
func (r *run) refused(err error) error {
	if fork := (*sim.ForkError)(nil); r.enabled && errors.As(err, &fork) {
		return &LoadError{r.o.Scheduler, fmt.Errorf("ops.init_task refused a new task: %w", err)}
	}
	return err
}

// taskInfo tells the reports about a task.
func (r *run) taskInfo(pid int32) reports.TaskInfo {
	t := r.m.TaskByPID(pid)
	if t == nil {
		return reports.TaskInfo{PID: pid, TGID: pid, Comm: fmt.Sprintf("pid-%d", pid)}
	}
	return reports.TaskInfo{PID: pid, TGID: t.K.TGID(), Comm: t.Comm, Group: t.Group, Nice: t.Nice, Weight: t.Weight}
}

// deaf ends what is recorded: the policy has left, or is about to.
func (r *run) deaf() {
	if !r.exited {
		r.exited, r.tally = true, r.m.Tally()
	}
}

// Wants implements sim.Chooser: a summary alone needs few of the records.
func (r *run) Wants() sim.KindSet {
	if r.o.Trace != nil || r.o.Profile != nil || r.o.Sink != nil {
		return sim.AllKinds
	}
	return r.collect.Wants()
}

// Record implements sim.Sink: it passes a record on and looks for the end.
func (r *run) Record(rec *sim.Record) {
	if r.exited || r.over && r.m.Now() > r.exitAt {
		return
	}
	r.collect.Record(rec)
	for _, s := range r.sinks {
		s.Record(rec)
	}
	switch rec.Kind {
	case sim.KindFork:
		if r.started && !r.known[rec.Task] {
			r.live++
		}
	case sim.KindSwitch:
		if sim.State(rec.B) == sim.StateDead && rec.A != 0 {
			if r.live--; r.live == 0 && !r.load.SpawnsLeft() {
				r.over, r.exitAt = true, rec.At
				r.m.Stop()
			}
		}
	case sim.KindTimeline:
		r.timeline = append(r.timeline, reports.TimelineEntry{AtNS: rec.At, Text: r.m.Text(rec.A), Refused: rec.B != 0})
	case sim.KindExtState:
		if r.enabled && ops.EnableState(rec.A) == ops.Disabled && !(r.tenures.leaving && r.ext.ExitInfo().Kind == ops.ExitUnreg) {
			r.m.Stop()
			if r.restarts.due = r.restartable(); !r.restarts.due {
				r.exitAt = rec.At
				r.deaf()
			}
		}
	}
}

// finish folds the reports.
func (r *run) finish() (*Result, error) {
	if r.o.Ended != nil {
		r.o.Ended()
	}
	end := sim.Time(r.length)
	if r.over || r.exited {
		end = r.exitAt
	}
	info := reports.Info{
		Scheduler: r.name, Workload: filepath.Base(r.o.Workload.Name), Title: r.o.Workload.Title,
		Topology: r.o.Topo.Name, CPUs: len(r.o.Topo.CPUs), Kernel: r.o.Kernel, Costs: "on", Seed: r.o.Seed,
	}
	switch {
	case r.o.Machine != "":
		info.Costs = r.o.Machine
	case r.o.Costs == (sim.Costs{}):
		info.Costs = "off"
	}
	if !r.exited {
		r.tally = r.m.Tally()
	}
	if r.Wants() != sim.AllKinds {
		r.collect.Untold(r.tally)
	}
	res := &Result{Report: r.collect.Report(info, end), Events: r.m.Events()}
	res.Insns, res.Calls = r.restarts.insns, r.restarts.calls
	for _, p := range r.policies() {
		if c, ok := p.(counting); ok {
			res.Insns, res.Calls = res.Insns+c.Insns(), res.Calls+c.Calls()
		}
	}
	if r.exited {
		res.Report.Exit = r.exit()
	}
	res.Report.Events = counters(r.ext.Events())
	if r.tenures.changed {
		if r.enabled {
			last := &r.tenures.list[len(r.tenures.list)-1]
			last.Exit, last.Events = res.Report.Exit, res.Report.Events
		}
		res.Report.Schedulers = r.tenures.list
	}
	res.Report.Timeline, res.Report.Restarts, res.Report.Subs = r.timeline, r.restarts.list, r.subReports()
	for _, p := range r.load.Problems() {
		r.o.notice(p)
	}
	if !r.over && !r.exited && r.o.Duration == 0 && r.o.Workload.Duration == 0 && !r.o.Workload.Endless() {
		r.o.notice(fmt.Sprintf("%d tasks have not ended after %v", r.live, r.length))
	}
	// From here on nothing is recorded: the policy leaves in order, so that its last callbacks run.
	if r.enabled && !r.exited {
		r.deaf()
		if _ = r.survive(func() error { r.ext.Disable(ops.ExitUnreg); return nil }); r.oops != "" {
			res.Report.Exit = r.exit()
		}
	}
	res.Log = r.ext.Log()
	var err error
	if r.trace != nil {
		err = r.trace.Close()
	}
	if r.profile != nil {
		err = errors.Join(err, r.profile.Write(r.o.Profile, info, end))
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// exit tells why the policy ended.
func (r *run) exit() *reports.Exit {
	if r.oops != "" {
		return &reports.Exit{Kind: ops.ExitError, Name: reports.ExitName(ops.ExitError), Reason: "kernel oops", AtNS: r.exitAt,
			Message: "a program that was not verified has written to memory of the kernel: " + r.oops}
	}
	return exitOf(r.ext.ExitInfo(), r.exitAt)
}

func exitOf(i *ops.ExitInfo, at sim.Time) *reports.Exit {
	return &reports.Exit{
		Kind: i.Kind, Name: reports.ExitName(i.Kind), Code: i.ExitCode, Reason: i.Reason, Message: i.Msg, AtNS: at, Dump: i.Dump,
	}
}

func (r *run) close() error {
	var err error
	for _, p := range r.policies() {
		err = errors.Join(err, p.Close())
	}
	if r.space != nil {
		err = errors.Join(err, r.space.Close())
	}
	return err
}
