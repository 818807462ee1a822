package runner

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/builtin"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
)

// Sub is a sub-scheduler: a scheduler for the tasks of a cgroup of the workload and of those below it.
type Sub struct {
	Cgroup    string // "/jobs"
	Scheduler string // as Options.Scheduler, but no Baseline
}

// ParseSub reads "/CGROUP=SCHEDULER".
func ParseSub(s string) (Sub, error) {
	cgroup, scheduler, ok := strings.Cut(s, "=")
	switch {
	case !ok || scheduler == "":
		return Sub{}, fmt.Errorf("%q: expected /CGROUP=SCHEDULER", s)
	case !strings.HasPrefix(cgroup, "/") || strings.Trim(cgroup, "/") == "":
		return Sub{}, fmt.Errorf("%q: expected the path of a cgroup below the root, such as /jobs", cgroup)
	case scheduler == Baseline:
		return Sub{}, fmt.Errorf("%s is no sched_ext scheduler", Baseline)
	}
	return Sub{cgroup, scheduler}, CheckScheduler(scheduler)
}

// subRun is a sub-scheduler of a run; handle is nil until it is attached.
type subRun struct {
	Sub
	policy sched.Policy
	handle *ext.Sub
}

// needsSpace: an object reads kernel objects at the real kernel's offsets.
func (o *Options) needsSpace() bool {
	for _, s := range o.Subs {
		if IsObject(s.Scheduler) {
			return true
		}
	}
	return o.Policy == nil && IsObject(o.Scheduler)
}

// readSubs makes the policies of the sub-schedulers.
func (r *run) readSubs() error {
	for _, s := range r.o.Subs {
		sub := &subRun{Sub: s}
		if IsObject(s.Scheduler) {
			p, err := r.o.object(r.kernel, r.space, s.Scheduler, bpf.Options{Cgroup: s.Cgroup})
			if err != nil {
				return err
			}
			sub.policy = p
		} else {
			p, ok := builtin.ByName(s.Scheduler)
			if !ok {
				return CheckScheduler(s.Scheduler)
			}
			sub.policy = p
		}
		r.subs = append(r.subs, sub)
	}
	return nil
}

// attachSubs puts the sub-schedulers in charge of their cgroups.
func (r *run) attachSubs() error {
	for _, s := range r.subs {
		refused := func(err error) error {
			return &LoadError{s.Scheduler, fmt.Errorf("sub-scheduler of %s: %w", s.Cgroup, err)}
		}
		c := r.m.CgroupByPath(s.Cgroup)
		if c == nil {
			return refused(fmt.Errorf("the workload has no such cgroup when schedulers are attached"))
		}
		t, err := s.policy.Open(sched.Env{Machine: r.m, Kernel: r.ext})
		if err != nil {
			return refused(err)
		}
		if !IsObject(s.Scheduler) {
			cidForm(t, r.ext)
			t.SubCgroupID = c.ID
		}
		if s.handle, err = r.ext.EnableSub(t); err != nil {
			return refused(err)
		}
		if err := r.attached(s.Scheduler, s.policy); err != nil {
			return err
		}
	}
	return nil
}

// cidForm makes a table whose callbacks are told CPUs one of the cid form, which sub-schedulers need. Where tasks wake is left
// to the core, which knows whether the root tracks idle CPUs.
func cidForm(t *ops.Table, k *ext.Kernel) {
	t.CID, t.SelectCPU = true, nil
	if dispatch := t.Dispatch; dispatch != nil {
		t.Dispatch = func(cid sim.CPU, prev *sim.Task) { dispatch(sim.CPU(k.CIDToCPU(int32(cid))), prev) }
	}
}

// policies are all of a run.
func (r *run) policies() []sched.Policy {
	var out []sched.Policy
	if r.policy != nil {
		out = append(out, r.policy)
	}
	for _, s := range r.subs {
		out = append(out, s.policy)
	}
	return out
}

// unverified tells whether any of their programs is.
func (r *run) unverified() bool {
	for _, p := range r.policies() {
		if u, ok := p.(interface{ Unverified() bool }); ok && u.Unverified() {
			return true
		}
	}
	return false
}

// subReports tell how the sub-schedulers fared.
func (r *run) subReports() []reports.Sub {
	var out []reports.Sub
	for _, s := range r.subs {
		out = append(out, reports.Sub{Scheduler: s.policy.Name(), Cgroup: s.Cgroup})
		if s.handle == nil {
			continue
		}
		o := &out[len(out)-1]
		if i := s.handle.ExitInfo(); i != nil {
			o.Exit = exitOf(i, s.handle.ExitedAt())
		}
		o.Events = counters(s.handle.Events())
	}
	return out
}

// counters are the event counters that are not zero.
func counters(e *ext.Events) []reports.Counter {
	var out []reports.Counter
	for _, c := range e.List() {
		if c.Value != 0 {
			out = append(out, reports.Counter{Name: c.Name, Value: c.Value})
		}
	}
	return out
}
