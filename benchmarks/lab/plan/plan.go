// Package plan writes a workload as the text that the guest's player reads: everything that is known before the run is decided
// here, by the same compiler (package workloads) and with the same random draws that the simulator uses, so that the
// player is a simple thing. The player's half is benchmarks/lab/native/operator.h.
package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// Options say how a workload is played.
type Options struct {
	CPUs int    // of the machine, at least 1
	Seed uint64 // of the random durations, as for schedsim run --seed
	// Lead is how long tasks are there before T0, Phase where T0 lies between two ticks.
	Lead, Phase sim.Duration
}

// Plan is a workload for the player, and what the guest must know of it.
type Plan struct {
	Text string
	// Cgroups are the folders to make before the scheduler is attached, parents first, and the files to write then.
	Cgroups []string
	Files   []File
	// Tasks are the names of the tasks in the file, by the player's numbers; Order are the numbers of instances.
	Tasks []string
	// Duration is 0 for a workload that runs until all its tasks have ended.
	Duration sim.Duration
}

// File is the content of a file.
type File struct{ Path, Text string }

// MaxCPUs is the number of CPUs that the player knows.
const MaxCPUs = 64

// maxDraws bounds the random durations of a task; the player begins again with the first if it needs more, and says so.
const (
	maxDraws      = 8192
	maxForks      = 1024
	maxChildDraws = 64
	maxText       = 64 << 20
)

// Root is where the guest has the cgroups.
const Root = "/sys/fs/cgroup"

// Compile reads a workload and writes its plan. Errors name file, line and column where they are the file's.
func Compile(name string, data []byte, o Options) (*Plan, error) {
	if o.CPUs < 1 || o.CPUs > MaxCPUs {
		return nil, fmt.Errorf("%s: %d CPUs, the player knows 1 to %d", name, o.CPUs, MaxCPUs)
	}
	w, err := workloads.Parse(name, data, workloads.Options{CPUs: o.CPUs})
	if err != nil {
		return nil, err
	}
	if _, err := w.Bind(o.CPUs); err != nil {
		return nil, err
	}
	c := &compiler{name: name, o: o, w: w.Plan(), out: &Plan{Duration: w.Duration}}
	if w.Duration == 0 && w.Endless() {
		return nil, fmt.Errorf("%s: tasks that never end, and no duration", name)
	}
	if err := c.compile(); err != nil {
		return nil, err
	}
	c.out.Text = c.b.String()
	if len(c.out.Text) > maxText {
		return nil, fmt.Errorf("%s: its plan is longer than %d bytes", name, maxText)
	}
	return c.out, nil
}

type compiler struct {
	name string
	o    Options
	w    *workloads.Plan
	out  *Plan
	b    strings.Builder
}

func (c *compiler) line(format string, args ...any) { fmt.Fprintf(&c.b, format+"\n", args...) }

func (c *compiler) compile() error {
	w := c.w
	c.line("run %d %d %d %s", w.Duration, c.o.Lead, c.o.Phase, c.mask(nil))
	c.line("objects %d %d %d", w.Mutexes, w.Conds, w.Sems)
	c.line("barriers %d%s", len(w.Barriers), join(w.Barriers))
	c.line("timers %d%s", len(w.Timers), join(bits(w.Timers)))
	for _, g := range w.Cgroups {
		if err := c.cgroup(g.Path, &g.Settings); err != nil {
			return fmt.Errorf("%s:%d:%d: %w", c.name, g.Pos.Line, g.Pos.Col, err)
		}
	}
	for i := range w.Tasks {
		if err := c.task(&w.Tasks[i]); err != nil {
			return fmt.Errorf("%s: task %q: %w", c.name, w.Tasks[i].Name, err)
		}
	}
	if err := c.instances(); err != nil {
		return err
	}
	for _, a := range w.Actions {
		if err := c.action(a); err != nil {
			return fmt.Errorf("%s:%d:%d: %s: %w", c.name, a.At.Line, a.At.Col, a.Do, err)
		}
	}
	return nil
}

func join(list []int) string {
	var b strings.Builder
	for _, v := range list {
		fmt.Fprintf(&b, " %d", v)
	}
	return b.String()
}

func bits(list []bool) []int {
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = bit(v)
	}
	return out
}

func bit(v bool) int {
	if v {
		return 1
	}
	return 0
}

// mask writes CPUs as bits; nil are all of the machine.
func (c *compiler) mask(cpus []sim.CPU) string {
	var m uint64
	if cpus == nil {
		m = ^uint64(0) >> (MaxCPUs - c.o.CPUs)
	}
	for _, cpu := range cpus {
		m |= 1 << cpu
	}
	return fmt.Sprintf("%x", m)
}

// params writes scheduling parameters as sched_setattr takes them.
func params(s sim.SchedParams) string {
	return fmt.Sprintf("%d %d %d %d %d %d", s.Policy, s.Nice, s.RTPrio, s.DL.Runtime, s.DL.Deadline, s.DL.Period)
}

func (c *compiler) task(t *workloads.PlanTask) error {
	c.out.Tasks = append(c.out.Tasks, t.Name)
	if strings.ContainsAny(t.Name, " \n\t") || t.Name == "" || len(t.Name) > 63 {
		return fmt.Errorf("the lab needs names of 1 to 63 characters without spaces")
	}
	cgroup := "-"
	if t.Cgroup != "" {
		cgroup = t.Cgroup
		c.mkdirs(t.Cgroup)
	}
	if t.CgroupWeight != 0 {
		return fmt.Errorf("cgroup_weight: not known to the player, use cgroups and taskgroup")
	}
	c.line("task %s %s %d %d %s %d %d%s", t.Name, cgroup, t.Delay, t.Loop, params(t.Sched), len(t.Phases), len(t.Uniques),
		join(bits(t.Uniques)))
	for i := range t.Phases {
		ph := &t.Phases[i]
		var s sim.SchedParams
		if ph.Sched != nil {
			s = *ph.Sched
		}
		c.line("phase %d %s %d %s %d", ph.Loop, c.mask(ph.CPUs), bit(ph.Sched != nil), params(s), len(ph.Ops))
		for j := range ph.Ops {
			o := &ph.Ops[j]
			kind := "mark"
			if !o.Mark {
				kind = o.Kind.String()
			}
			c.line("op %s %d %d %d %d %d %d %d", kind, bit(o.Edge), bit(o.Unique), o.Obj, o.Mutex, bit(o.Dist >= 0), o.Fork, o.Dur)
		}
	}
	return nil
}

// instances writes the tasks that are there at T0, in the simulator's order and with its names and draws.
func (c *compiler) instances() error {
	n := 0
	for i := range c.w.Tasks {
		t := &c.w.Tasks[i]
		for range t.Instances {
			suffix := fmt.Sprintf("-%d", n)
			n++
			d, forks := c.draw(t, t.Name+suffix)
			c.line("instance %d %s %d%s", i, suffix, len(d), joinDurations(d))
			if len(forks) == 0 {
				continue
			}
			fmt.Fprintf(&c.b, "forks %d", len(forks))
			for k, f := range forks {
				child := &c.w.Tasks[f]
				cd, more := c.draw(child, fmt.Sprintf("%s/%d:%s", t.Name+suffix, k, child.Name))
				if len(more) > 0 {
					return fmt.Errorf("%s: task %q: a forked task that forks tasks with random durations: not known to the player", c.name, child.Name)
				}
				cd = cd[:min(len(cd), maxChildDraws)]
				fmt.Fprintf(&c.b, " %d%s", len(cd), joinDurations(cd))
			}
			c.b.WriteByte('\n')
		}
	}
	return nil
}

func joinDurations(list []sim.Duration) string {
	var b strings.Builder
	for _, v := range list {
		fmt.Fprintf(&b, " %d", v)
	}
	return b.String()
}

// random tells whether a task has random durations: one that the timeline spawns has no stream before the run.
func (c *compiler) random(task string) bool {
	return slices.ContainsFunc(c.w.Tasks, func(t workloads.PlanTask) bool { return t.Name == task && len(t.Dists) > 0 })
}

// action writes an action of the timeline as the player's operator does it.
func (c *compiler) action(a *rtapp.Action) error {
	put := func(format string, args ...any) {
		c.line("action %d %d %d "+format, append([]any{a.Time, a.Every, a.Times}, args...)...)
	}
	switch a.Do {
	case rtapp.DoMkdir, rtapp.DoSet:
		if a.Do == rtapp.DoMkdir {
			put("mkdir %s", Root+a.Cgroup)
		}
		files, err := settings(a.Cgroup, &a.Settings)
		if err != nil {
			return err
		}
		for _, f := range files {
			put("write %s %s", f.Path, f.Text)
		}
		return nil
	case rtapp.DoRmdir:
		put("rmdir %s", Root+a.Cgroup)
		return nil
	case rtapp.DoOffline, rtapp.DoOnline:
		for _, cpu := range a.CPUs.CPUs {
			put("write /sys/devices/system/cpu/cpu%d/online %d", cpu, bit(a.Do == rtapp.DoOnline))
		}
		return nil
	case rtapp.DoSpawn:
		if c.random(a.Task) {
			return fmt.Errorf("task %q has random durations: not known to the player", a.Task)
		}
		put("spawn %d %d", slices.Index(c.out.Tasks, a.Task), a.Value)
		return nil
	case rtapp.DoFairServer, rtapp.DoExtServer:
		for _, cpu := range a.CPUs.CPUs {
			for _, f := range serverFiles(a) {
				put("write %s/%s/cpu%d/%s", servers, a.Do, cpu, f)
			}
		}
		return nil
	case rtapp.DoRename:
		// Tasks are processes, and the kernel lets none but a thread of the same process name one (comm_write, 7.2).
		return fmt.Errorf("not known to the player")
	case rtapp.DoPin, rtapp.DoUnpin, rtapp.DoSpeed, rtapp.DoAttach, rtapp.DoDetach, rtapp.DoReplace:
		return fmt.Errorf("not known to the player")
	}
	who, err := c.who(a.Task)
	if err != nil {
		return err
	}
	switch a.Do {
	case rtapp.DoMove:
		put("move %s %s", a.Cgroup, who)
	case rtapp.DoAffinity:
		put("affinity %s %s", c.mask(cpus(a.CPUs)), who)
	case rtapp.DoNice:
		put("nice %d %s", a.Value, who)
	case rtapp.DoPolicy:
		put("policy %s %s", params(schedParams(&a.Sched)), who)
	case rtapp.DoKill:
		put("kill %s", who)
	default:
		panic("BUG: action " + a.Do.String())
	}
	return nil
}

// servers is where the kernel has the files of the deadline servers.
const servers = "/sys/kernel/debug/sched"

// serverFiles are the files of a server and what is written to them. The kernel refuses a runtime above the period, so that one which is
// longer than the period that a server has at first is written after the period, any other before it.
func serverFiles(a *rtapp.Action) []string {
	const period = sim.Second
	var files []string
	if a.Runtime != nil {
		files = append(files, fmt.Sprintf("runtime %d", *a.Runtime))
	}
	if a.Period != nil {
		files = append(files, fmt.Sprintf("period %d", *a.Period))
	}
	if a.Runtime != nil && *a.Runtime > period {
		slices.Reverse(files)
	}
	return files
}

// who writes the tasks that a name stands for: the number of a task, and "-" or the suffix of one instance.
func (c *compiler) who(name string) (string, error) {
	if i := slices.Index(c.out.Tasks, name); i >= 0 {
		return fmt.Sprintf("%d -", i), nil
	}
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		if i := slices.Index(c.out.Tasks, name[:at]); i >= 0 {
			return fmt.Sprintf("%d %s", i, name[at:]), nil
		}
	}
	return "", fmt.Errorf("no task %q", name)
}

func cpus(set *rtapp.CPUSet) []sim.CPU {
	out := []sim.CPU{}
	for _, n := range set.CPUs {
		out = append(out, sim.CPU(n))
	}
	return out
}

// schedParams are the parameters of an action, by the rules of sched_setscheduler by somebody else.
func schedParams(s *rtapp.Sched) sim.SchedParams {
	us := func(n int) sim.Duration { return sim.Duration(n) * sim.Microsecond }
	switch s.Policy {
	case rtapp.PolicyFIFO, rtapp.PolicyRR:
		p := sim.SchedParams{Policy: sim.PolicyFIFO, RTPrio: 10}
		if s.Policy == rtapp.PolicyRR {
			p.Policy = sim.PolicyRR
		}
		if s.HasPriority {
			p.RTPrio = s.Priority
		}
		return p
	case rtapp.PolicyDeadline:
		return sim.SchedParams{Policy: sim.PolicyDeadline, DL: sim.Deadline{Runtime: us(s.DLRuntime), Deadline: us(s.DLDeadline), Period: us(s.DLPeriod)}}
	case rtapp.PolicyBatch:
		return sim.SchedParams{Policy: sim.PolicyBatch, Nice: s.Priority}
	case rtapp.PolicyIdle:
		return sim.SchedParams{Policy: sim.PolicyIdle, Nice: s.Priority}
	}
	return sim.SchedParams{Nice: s.Priority}
}
