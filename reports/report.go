package reports

import (
	"strconv"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Info says what was run. It is the head of every report.
type Info struct {
	Scheduler string       `json:"scheduler"`
	Workload  string       `json:"workload"`
	Title     string       `json:"title,omitempty"`
	Topology  string       `json:"topology"`
	CPUs      int          `json:"cpus"`
	Kernel    string       `json:"kernel"`
	Costs     string       `json:"costs"`
	Seed      uint64       `json:"seed"`
	Length    sim.Duration `json:"simulated_ns"`
}

// Report is a run summed up. Its JSON form is stable: keys keep their names and order, new ones may come.
type Report struct {
	Info   Info    `json:"run"`
	Exit   *Exit   `json:"exit"` // null: the policy was in charge until the end, or there was none
	Totals Totals  `json:"totals"`
	CPUs   []CPU   `json:"cpus"`
	Groups []Group `json:"groups"`
	Tasks  []Task  `json:"tasks"`
	// Events are sched_ext's event counters that are not zero.
	Events []Counter `json:"scx_events,omitempty"`
	// Timeline is what was done to the machine while the workload ran.
	Timeline []TimelineEntry `json:"timeline,omitempty"`
	// Schedulers are those that were in charge of all tasks, one after the other, if the timeline has changed them.
	Schedulers []Tenure `json:"schedulers,omitempty"`
	// Subs are the sub-schedulers in the order in which they were attached.
	Subs []Sub `json:"sub_schedulers,omitempty"`
	// Restarts are the exits after which the scheduler was started over (SCX_ECODE_ACT_RESTART).
	Restarts []Restart `json:"restarts,omitempty"`
}

// Tenure is the time in which a scheduler was in charge.
type Tenure struct {
	Scheduler string    `json:"scheduler"`
	FromNS    sim.Time  `json:"from_ns"`
	Exit      *Exit     `json:"exit"` // how and when it ended; null: it was in charge until the end
	Events    []Counter `json:"scx_events,omitempty"`
}

// Sub is a sub-scheduler.
type Sub struct {
	Scheduler string    `json:"scheduler"`
	Cgroup    string    `json:"cgroup"`
	FromNS    sim.Time  `json:"from_ns,omitempty"` // 0: from the beginning
	Exit      *Exit     `json:"exit"`              // null: it was in charge until the end
	Events    []Counter `json:"scx_events,omitempty"`
}

// Restart is an exit of a scheduler after which its user-space half started it over.
type Restart struct {
	AtNS    sim.Time `json:"at_ns"`
	Code    int64    `json:"code"`
	Reason  string   `json:"reason"`
	Message string   `json:"message"`
}

// TimelineEntry is one action of a workload's timeline.
type TimelineEntry struct {
	AtNS    sim.Time `json:"at_ns"`
	Text    string   `json:"text"`    // "move client to /web", and why it was refused
	Refused bool     `json:"refused"` // the machine said no
}

// Counter is a named number.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Exit says why a sched_ext policy ended.
type Exit struct {
	Kind    ops.ExitKind `json:"kind"`
	Name    string       `json:"kind_name"` // "SCX_EXIT_ERROR_STALL"
	Code    int64        `json:"code"`
	Reason  string       `json:"reason"`
	Message string       `json:"message"`
	AtNS    sim.Time     `json:"at_ns"`
	Dump    string       `json:"dump,omitempty"`
}

// ExitName is the kernel's name of an exit kind, "SCX_EXIT_ERROR_STALL".
func ExitName(k ops.ExitKind) string {
	switch k {
	case ops.ExitNone:
		return "SCX_EXIT_NONE"
	case ops.ExitDone:
		return "SCX_EXIT_DONE"
	case ops.ExitUnreg:
		return "SCX_EXIT_UNREG"
	case ops.ExitUnregBPF:
		return "SCX_EXIT_UNREG_BPF"
	case ops.ExitUnregKern:
		return "SCX_EXIT_UNREG_KERN"
	case ops.ExitSysRq:
		return "SCX_EXIT_SYSRQ"
	case ops.ExitParent:
		return "SCX_EXIT_PARENT"
	case ops.ExitError:
		return "SCX_EXIT_ERROR"
	case ops.ExitErrorBPF:
		return "SCX_EXIT_ERROR_BPF"
	case ops.ExitErrorStall:
		return "SCX_EXIT_ERROR_STALL"
	}
	return "SCX_EXIT_" + strconv.Itoa(int(k))
}

// Totals are the numbers of the whole run.
type Totals struct {
	Work         uint64       `json:"work_units"`
	WorkPerSec   float64      `json:"work_per_s"`
	Response     Latency      `json:"response"`
	Misses       uint64       `json:"misses"`
	Utilisation  float64      `json:"cpu_utilisation"`
	CPUTime      sim.Duration `json:"cpu_time_ns"`
	Switches     uint64       `json:"context_switches"`
	Preemptions  uint64       `json:"preemptions"`
	Migrations   uint64       `json:"migrations"`
	Wakeups      uint64       `json:"wakeups"`
	WakeLatency  Latency      `json:"wakeup_latency"`
	Forks        uint64       `json:"forks"`
	Overhead     sim.Duration `json:"overhead_ns"`
	OverheadPart float64      `json:"overhead_share"`
	// Fairness is Jain's index; nil where it means nothing. See the package comment.
	Fairness      *float64 `json:"fairness"`
	FairnessTasks int      `json:"fairness_tasks"`
	Callbacks     uint64   `json:"callbacks"`
	Records       uint64   `json:"records"`
}

// CPU is one CPU of the machine.
type CPU struct {
	CPU      sim.CPU      `json:"cpu"`
	Busy     sim.Duration `json:"busy_ns"`
	Switches uint64       `json:"context_switches"`
	Overhead sim.Duration `json:"overhead_ns"`
}

// Usage is what a task or a group got.
type Usage struct {
	CPUTime     sim.Duration `json:"cpu_time_ns"`
	Share       float64      `json:"share"` // of one CPU
	RunDelay    sim.Duration `json:"run_delay_ns"`
	Switches    uint64       `json:"context_switches"` // to the task
	Preemptions uint64       `json:"preemptions"`
	Migrations  uint64       `json:"migrations"`
	WakeLatency Latency      `json:"wakeup_latency"`
	Work        uint64       `json:"work_units"`
	Response    Latency      `json:"response"`
	Misses      uint64       `json:"misses"`
}

// Task is one task.
type Task struct {
	Comm   string `json:"comm"`
	PID    int32  `json:"pid"`
	Group  string `json:"group"`
	Nice   int    `json:"nice"`
	Weight uint64 `json:"weight"`
	Usage
}

// Group are all tasks that are instances of one task of the workload.
type Group struct {
	Name  string `json:"name"`
	Tasks int    `json:"tasks"`
	Usage
}

// Collector folds the records of a run into a Report. It is a sim.Sink.
type Collector struct {
	track    *tracker
	cpus     []CPU
	use      []usage // by the tracker's index
	wake     samples
	response samples
	t        Totals
}

var _ sim.Sink = (*Collector)(nil)

// usage is Usage while it is being counted.
type usage struct {
	Usage
	wake, response samples
}

// NewCollector makes a Collector for a machine with that many CPUs.
func NewCollector(cpus int, names NameFunc) *Collector {
	c := &Collector{track: newTracker(cpus, names), cpus: make([]CPU, cpus)}
	for i := range c.cpus {
		c.cpus[i].CPU = sim.CPU(i)
	}
	c.track.interval = func(i interval) {
		u := c.usage(i.t)
		switch i.mode {
		case modeOnCPU:
			u.CPUTime += i.to.Sub(i.from)
			c.cpus[i.cpu].Busy += i.to.Sub(i.from)
		case modeQueued:
			u.RunDelay += i.to.Sub(i.from)
		}
	}
	c.track.latency = func(t *taskTrack, d sim.Duration) {
		c.wake.add(d)
		c.usage(t).wake.add(d)
	}
	return c
}

func (c *Collector) usage(t *taskTrack) *usage {
	for t.idx >= len(c.use) {
		c.use = append(c.use, usage{})
	}
	return &c.use[t.idx]
}

// Record implements sim.Sink.
func (c *Collector) Record(r *sim.Record) {
	c.t.Records++
	switch r.Kind {
	case sim.KindOp:
		c.t.Callbacks++
		return
	case sim.KindOverhead:
		c.t.Overhead += sim.Duration(r.A)
		c.cpus[r.CPU].Overhead += sim.Duration(r.A)
		return
	case sim.KindOpEnd, sim.KindDSQInsert, sim.KindDSQRemove, sim.KindTick, sim.KindIPI, sim.KindIdle, sim.KindKick:
		return
	}
	c.track.record(r)
	switch r.Kind {
	case sim.KindSwitch:
		c.t.Switches++
		c.cpus[r.CPU].Switches++
		if next := c.track.task(r.Task, r.At); next != nil {
			c.usage(next).Switches++
		}
		if prev := c.track.task(int32(r.A), r.At); prev != nil && sim.State(r.B) == sim.StateRunning {
			c.t.Preemptions++
			c.usage(prev).Preemptions++
		}
	case sim.KindMigrate:
		c.t.Migrations++
		c.usage(c.track.task(r.Task, r.At)).Migrations++
	case sim.KindWaking:
		c.t.Wakeups++
	case sim.KindFork:
		c.t.Forks++
	case sim.KindMark:
		u := c.usage(c.track.task(r.Task, r.At))
		switch sim.MarkKind(r.Aux) {
		case sim.MarkWork:
			c.t.Work++
			u.Work++
			c.response.add(sim.Duration(r.A))
			u.response.add(sim.Duration(r.A))
		case sim.MarkMiss:
			c.t.Misses++
			u.Misses++
		}
	}
}

// Wants is the set of kinds that Record must see. Of others it may be told or, at the end, hear by Untold.
func (c *Collector) Wants() sim.KindSet {
	return sim.AllKinds &^ sim.Kinds(sim.KindOp, sim.KindOpEnd, sim.KindDSQInsert, sim.KindDSQRemove, sim.KindTick, sim.KindIPI,
		sim.KindIdle, sim.KindKick, sim.KindOverhead)
}

// Untold takes from t what there was of kinds that the collector does not want, if it has not been told.
func (c *Collector) Untold(t sim.Tally) {
	wants := c.Wants()
	for k, n := range t.Records {
		if !wants.Has(sim.Kind(k)) {
			c.t.Records += n
		}
	}
	c.t.Callbacks += t.Records[sim.KindOp]
	for i, d := range t.Overhead {
		c.t.Overhead += d
		c.cpus[i].Overhead += d
	}
}

// steadyPart is the part of the run in which a task must have wanted a CPU to count for fairness, in percent.
const steadyPart = 95

// Report ends the fold at the time end. The Collector must not be used afterwards.
func (c *Collector) Report(info Info, end sim.Time) *Report {
	c.track.finish(end)
	info.Length = sim.Duration(end)
	r := &Report{Info: info, Totals: c.t, CPUs: c.cpus, Groups: []Group{}, Tasks: []Task{}}
	part := func(d sim.Duration, of int) float64 {
		if end <= 0 || of == 0 {
			return 0
		}
		return float64(d) / (float64(end) * float64(of))
	}
	t := &r.Totals
	for i := range c.cpus {
		t.CPUTime += c.cpus[i].Busy
	}
	t.Utilisation = part(t.CPUTime, len(c.cpus))
	t.OverheadPart = part(t.Overhead, len(c.cpus))
	if end > 0 {
		t.WorkPerSec = float64(t.Work) / sim.Duration(end).Seconds()
	}
	t.WakeLatency, t.Response = c.wake.latency(), c.response.latency()

	groups := map[string]int{} // name to index in r.Groups
	var sums []*usage
	var fair []float64
	for _, k := range c.track.tasks {
		u := c.usage(k)
		if k.Group == "" {
			continue // a thread of the machine's own: its switches are in the totals
		}
		u.Share = part(u.CPUTime, 1)
		u.WakeLatency, u.Response = u.wake.latency(), u.response.latency()
		r.Tasks = append(r.Tasks, Task{k.Comm, k.PID, k.Group, k.Nice, k.Weight, u.Usage})
		if wanted := u.CPUTime + u.RunDelay; k.Weight > 0 && end > 0 && k.Group != sim.SchedulerGroup &&
			float64(wanted)*100 >= float64(end)*steadyPart {
			fair = append(fair, float64(u.CPUTime)/float64(k.Weight))
		}
		at, ok := groups[k.Group]
		if !ok {
			at = len(r.Groups)
			groups[k.Group] = at
			r.Groups = append(r.Groups, Group{Name: k.Group})
			sums = append(sums, &usage{})
		}
		r.Groups[at].Tasks++
		sums[at].add(u)
	}
	for i, s := range sums {
		s.Share = part(s.CPUTime, 1)
		s.WakeLatency, s.Response = s.wake.latency(), s.response.latency()
		r.Groups[i].Usage = s.Usage
	}
	if t.FairnessTasks = len(fair); len(fair) >= 2 {
		j := jain(fair)
		t.Fairness = &j
	}
	return r
}

func (u *usage) add(o *usage) {
	u.CPUTime += o.CPUTime
	u.RunDelay += o.RunDelay
	u.Switches += o.Switches
	u.Preemptions += o.Preemptions
	u.Migrations += o.Migrations
	u.Work += o.Work
	u.Misses += o.Misses
	u.wake.merge(&o.wake)
	u.response.merge(&o.response)
}

// jain is Jain's fairness index of xs; 1 if all are 0.
func jain(xs []float64) float64 {
	var sum, sq float64
	for _, x := range xs {
		sum += x
		sq += float64(x * x)
	}
	if sq == 0 {
		return 1
	}
	return float64(sum*sum) / (float64(len(xs)) * sq)
}
