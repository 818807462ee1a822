package workloads

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// The timeline is what an administrator does to the machine while the workload runs: cgroups, CPUs that come and go,
// tasks that are moved, bound, killed. Its actions take no time on the machine's CPUs.

// action is an action of the timeline with what is known before the run.
type action struct {
	*rtapp.Action
	spawn *taskProg
	cpus  []sim.CPU
}

// timeline checks what only the whole file can tell.
func (c *compiler) timeline() {
	for _, a := range c.f.Global.Timeline {
		x := &action{Action: a}
		if a.CPUs != nil {
			x.cpus = newCPUSet(a.CPUs).cpus
		}
		if a.Settings.CPUs != nil {
			x.cpus = newCPUSet(a.Settings.CPUs).cpus
		}
		if a.Do == rtapp.DoSpawn {
			for _, t := range c.w.tasks {
				if t.name == a.Task {
					x.spawn = t
				}
			}
		}
		if a.Do == rtapp.DoPolicy && a.Sched.Policy == rtapp.PolicyNone {
			c.errorf(a.At, "policy: found no policy")
		}
		c.w.actions = append(c.w.actions, x)
	}
	c.w.cgroups = c.f.Global.Cgroups
}

// bindTimeline checks the CPUs of the timeline and the cgroups against a machine.
func (w *Workload) bindTimeline(cpus int) (errs rtapp.Errors) {
	check := func(s *rtapp.CPUSet) {
		if s == nil {
			return
		}
		for j, cpu := range s.CPUs {
			if cpu >= cpus {
				errs = append(errs, &rtapp.Error{File: w.Name, Pos: s.At[j],
					Msg: fmt.Sprintf("cpus: found CPU %d, expected one that the machine has (0 to %d)", cpu, cpus-1)})
			}
		}
	}
	for _, c := range w.cgroups {
		check(c.CPUs)
	}
	for _, a := range w.actions {
		check(a.Action.CPUs)
		check(a.Settings.CPUs)
	}
	return errs
}

// event is an action on its machine.
type event struct {
	*action
	timer sim.Timer
	left  int
	next  sim.Time
}

// Prepare makes the workload's cgroups on m and arms its timeline. Call it before the tasks are spawned, and before a
// scheduler is attached that is to find the cgroups there.
func (r *Instance) Prepare(m *sim.Machine) error {
	r.m = m
	for _, c := range r.b.w.cgroups {
		g, err := m.MkdirAll(c.Path)
		if err == nil {
			err = r.apply(g, &c.Settings)
		}
		if err != nil {
			return &rtapp.Error{File: r.b.w.Name, Pos: c.Pos, Msg: err.Error()}
		}
	}
	i := 0
	for _, t := range r.b.w.tasks {
		for range t.instances {
			g, err := r.cgroup(t)
			if err != nil {
				return err
			}
			r.Specs[i].Cgroup = g
			i++
		}
	}
	r.events = make([]event, len(r.b.w.actions))
	for i, a := range r.b.w.actions {
		e := &r.events[i]
		e.action, e.left, e.next = a, a.Times, r.zero.Add(a.Time+r.operator)
		e.timer.Fire = func(now sim.Time) { r.fire(e, now) }
		m.Arm(&e.timer, 0, e.next)
	}
	return nil
}

// cgroup is the cgroup in which a task begins, made if it is missing; nil if the file names none.
func (r *Instance) cgroup(t *taskProg) (*sim.Cgroup, error) {
	if t.cgroup == "" || r.m == nil {
		return nil, nil
	}
	g, err := r.m.MkdirAll(t.cgroup)
	if err != nil {
		return nil, &rtapp.Error{File: r.b.w.Name, Pos: t.cgroupPos, Msg: "taskgroup: " + err.Error()}
	}
	return g, nil
}

// SpawnsLeft tells whether the timeline will still create tasks.
func (r *Instance) SpawnsLeft() bool {
	for i := range r.events {
		if e := &r.events[i]; e.Do == rtapp.DoSpawn && e.left > 0 {
			return true
		}
	}
	return false
}

// fire does an action and arms it for its next time.
func (r *Instance) fire(e *event, now sim.Time) {
	e.left--
	text, err := r.do(e.action, now)
	if err != nil {
		text += ": " + reason(err)
		r.problems++
		if r.firstProblem == "" {
			r.firstProblem = fmt.Sprintf("%s:%d: at %v: %s", r.b.w.Name, e.At.Line, now, text)
		}
	}
	r.m.Note(text, err != nil)
	if e.left > 0 && e.Every > 0 {
		e.next = e.next.Add(e.Every)
		r.m.Arm(&e.timer, 0, e.next)
	}
}

// reason is why an operation was refused, without repeating what was asked.
func reason(err error) string {
	var op *sim.OpError
	if !errors.As(err, &op) {
		return err.Error()
	}
	if op.Why == "" {
		return op.Errno.Error()
	}
	return fmt.Sprintf("%v (%s)", op.Errno, op.Why)
}

// do does one action and says what it did.
func (r *Instance) do(a *action, now sim.Time) (string, error) {
	m := r.m
	switch a.Do {
	case rtapp.DoMkdir:
		text := "mkdir " + a.Cgroup
		if m.CgroupByPath(a.Cgroup) != nil {
			return text, sim.EEXIST
		}
		g, err := m.MkdirAll(a.Cgroup)
		if err != nil {
			return text, err
		}
		return text + describe(&a.Settings), r.apply(g, &a.Settings)
	case rtapp.DoRmdir:
		g := m.CgroupByPath(a.Cgroup)
		if g == nil {
			return "rmdir " + a.Cgroup, sim.ENOENT
		}
		return "rmdir " + a.Cgroup, m.Rmdir(g)
	case rtapp.DoSet:
		g := m.CgroupByPath(a.Cgroup)
		if g == nil {
			return "set " + a.Cgroup, sim.ENOENT
		}
		return "set " + a.Cgroup + describe(&a.Settings), r.apply(g, &a.Settings)
	case rtapp.DoMove:
		text := "move " + a.Task + " to " + a.Cgroup
		g := m.CgroupByPath(a.Cgroup)
		if g == nil {
			return text, sim.ENOENT
		}
		ts := r.tasks(a.Task)
		if len(ts) == 0 {
			return text, sim.ESRCH
		}
		return text, m.MoveTasks(g, ts...)
	case rtapp.DoOffline:
		return "offline CPU " + list(a.cpus), r.eachCPU(a.cpus, m.CPUDown)
	case rtapp.DoOnline:
		return "online CPU " + list(a.cpus), r.eachCPU(a.cpus, m.CPUUp)
	case rtapp.DoSpeed:
		return fmt.Sprintf("speed of CPU %s %d %%", list(a.cpus), a.Value),
			r.eachCPU(a.cpus, func(cpu sim.CPU) error { return m.SetSpeed(cpu, max(1, a.Value*sim.FullSpeed/100)) })
	case rtapp.DoAffinity:
		return "affinity of " + a.Task + " " + list(a.cpus), r.eachTask(a.Task, func(t *sim.Task) error { return m.SetAffinity(t, a.cpus) })
	case rtapp.DoNice:
		return fmt.Sprintf("nice of %s %d", a.Task, a.Value), r.eachTask(a.Task, func(t *sim.Task) error { m.SetNice(t, a.Value); return nil })
	case rtapp.DoPolicy:
		return "policy of " + a.Task + " " + a.Sched.Policy.String(), r.eachTask(a.Task, func(t *sim.Task) error { return r.setPolicy(t, &a.Sched) })
	case rtapp.DoKill:
		return "kill " + a.Task, r.eachTask(a.Task, m.Kill)
	case rtapp.DoRename:
		return "rename " + a.Task + " " + a.Name, r.eachTask(a.Task, func(t *sim.Task) error { m.Rename(t, a.Name); return nil })
	case rtapp.DoPin:
		return "migrate_disable " + a.Task, r.eachTask(a.Task, func(t *sim.Task) error { m.MigrateDisable(t); return nil })
	case rtapp.DoUnpin:
		return "migrate_enable " + a.Task, r.eachTask(a.Task, m.MigrateEnable)
	case rtapp.DoAttach, rtapp.DoDetach, rtapp.DoReplace:
		return r.schedulers(a)
	case rtapp.DoFairServer, rtapp.DoExtServer:
		return r.server(a)
	case rtapp.DoSpawn:
		return fmt.Sprintf("spawn %d %s", a.Value, a.Task), r.spawn(a, now)
	}
	panic(fmt.Sprintf("BUG: action %d", a.Do))
}

// apply writes the files of a cgroup.
func (r *Instance) apply(g *sim.Cgroup, s *rtapp.Settings) error {
	m := r.m
	var err error
	also := func(e error) {
		if err == nil {
			err = e
		}
	}
	if s.Idle != nil {
		also(m.SetCgroupIdle(g, *s.Idle))
	}
	if s.Weight != nil {
		also(m.SetCgroupWeight(g, uint64(*s.Weight)))
	}
	if s.Nice != nil {
		also(m.SetCgroupWeightNice(g, *s.Nice))
	}
	if s.Max != nil || s.Burst != nil {
		period, quota, burst := g.PeriodUS, g.QuotaUS, g.BurstUS
		if s.Max != nil {
			if quota = sim.QuotaMax; s.Max.Quota > 0 {
				quota = uint64(s.Max.Quota / sim.Microsecond)
			}
			if s.Max.Period > 0 {
				period = uint64(s.Max.Period / sim.Microsecond)
			}
		}
		if s.Burst != nil {
			burst = uint64(*s.Burst / sim.Microsecond)
		}
		also(m.SetCgroupBandwidth(g, period, quota, burst))
	}
	switch {
	case s.AllCPUs:
		also(m.SetCgroupCPUs(g, nil))
	case s.CPUs != nil:
		also(m.SetCgroupCPUs(g, newCPUSet(s.CPUs).cpus))
	}
	return err
}

// describe lists settings for a record.
func describe(s *rtapp.Settings) string {
	var b strings.Builder
	if s.Weight != nil {
		fmt.Fprintf(&b, " weight %d", *s.Weight)
	}
	if s.Nice != nil {
		fmt.Fprintf(&b, " nice %d", *s.Nice)
	}
	if s.Idle != nil {
		fmt.Fprintf(&b, " idle %t", *s.Idle)
	}
	if s.Max != nil {
		if b.WriteString(" max "); s.Max.Quota < 0 {
			b.WriteString("max")
		} else {
			b.WriteString(s.Max.Quota.String())
		}
		if s.Max.Period > 0 {
			b.WriteString("/" + s.Max.Period.String())
		}
	}
	if s.Burst != nil {
		b.WriteString(" burst " + s.Burst.String())
	}
	if s.AllCPUs {
		b.WriteString(" cpus all")
	} else if s.CPUs != nil {
		b.WriteString(" cpus " + list(newCPUSet(s.CPUs).cpus))
	}
	return b.String()
}

// list writes CPUs as the kernel does: "0-3,6".
func list(cpus []sim.CPU) string {
	var b strings.Builder
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(cpus[i])))
		if j > i {
			b.WriteString("-" + strconv.Itoa(int(cpus[j])))
		}
		i = j + 1
	}
	return b.String()
}

func (r *Instance) eachCPU(cpus []sim.CPU, f func(sim.CPU) error) error {
	var first error
	for _, cpu := range cpus {
		if err := f(cpu); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// tasks are the live tasks that a name stands for: the instances of a task of the file, or one instance.
func (r *Instance) tasks(name string) []*sim.Task {
	var ts []*sim.Task
	group, suffix := name, ""
	if i := strings.LastIndexByte(name, '-'); i >= 0 && !r.b.w.has(name) {
		group, suffix = name[:i], name[i:]
	}
	r.m.Tasks(func(t *sim.Task) {
		if t.Group == group && t.State != sim.StateDead && (suffix == "" || t.Comm == comm(group, suffix)) {
			ts = append(ts, t)
		}
	})
	return ts
}

// has tells whether the file has a task of that name.
func (w *Workload) has(name string) bool {
	for _, t := range w.tasks {
		if t.name == name {
			return true
		}
	}
	return false
}

func (r *Instance) eachTask(name string, f func(t *sim.Task) error) error {
	ts := r.tasks(name)
	if len(ts) == 0 {
		return sim.ESRCH
	}
	var first error
	for _, t := range ts {
		if err := f(t); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// setPolicy is sched_setscheduler by somebody else.
func (r *Instance) setPolicy(t *sim.Task, s *rtapp.Sched) error {
	nice, prio := t.Nice, 0
	switch s.Policy {
	case rtapp.PolicyFIFO, rtapp.PolicyRR:
		if prio = 10; s.HasPriority { // rt-app's default
			prio = s.Priority
		}
	case rtapp.PolicyDeadline:
		us := func(n int) sim.Duration { return sim.Duration(n) * sim.Microsecond }
		return r.m.SetDeadline(t, sim.Deadline{Runtime: us(s.DLRuntime), Deadline: us(s.DLDeadline), Period: us(s.DLPeriod)})
	default:
		if s.HasPriority {
			nice = s.Priority
		}
	}
	return r.m.SetScheduler(t, simPolicy(s.Policy), prio, nice)
}

// simPolicy is the machine's number of a policy.
func simPolicy(p rtapp.Policy) sim.Policy {
	switch p {
	case rtapp.PolicyBatch:
		return sim.PolicyBatch
	case rtapp.PolicyIdle:
		return sim.PolicyIdle
	case rtapp.PolicyFIFO:
		return sim.PolicyFIFO
	case rtapp.PolicyRR:
		return sim.PolicyRR
	case rtapp.PolicyDeadline:
		return sim.PolicyDeadline
	}
	return sim.PolicyNormal
}

// spawn creates instances of a task.
func (r *Instance) spawn(a *action, now sim.Time) error {
	for range a.Value {
		suffix := "-" + strconv.Itoa(r.threads)
		p := r.newProc(a.spawn, a.spawn.name+suffix)
		p.release = now
		spec := p.spec(suffix, 0)
		spec.Orphan = true
		g, err := r.cgroup(a.spawn)
		if err != nil {
			return err
		}
		spec.Cgroup = g
		if _, err := r.m.Spawn(spec); err != nil {
			return err
		}
	}
	return nil
}
