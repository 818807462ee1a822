package runner

import (
	"errors"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
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
	policy   sched.Policy
	handle   *ext.Sub
	attached sim.Time
	closed   bool // it was detached, and its policy is closed
}

// needsSpace: an object reads kernel objects at the real kernel's offsets.
func (o *Options) needsSpace() bool {
	for _, a := range o.Workload.Attaches() {
		if IsObject(a.Scheduler) {
			return true
		}
	}
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
		p, err := r.make(s.Scheduler, s.Cgroup)
		if err != nil {
			return err
		}
		r.subs = append(r.subs, &subRun{Sub: s, policy: p})
	}
	return nil
}

// attachSubs puts the sub-schedulers in charge of their cgroups.
func (r *run) attachSubs() error {
	for _, s := range r.subs {
		if r.m.CgroupByPath(s.Cgroup) == nil {
			return s.refused(errors.New("the workload has no such cgroup when schedulers are attached"))
		}
		if err := r.enableSub(s); err != nil {
			return loadError(s.Scheduler, s.refused(err))
		}
	}
	return nil
}

func (s *subRun) refused(err error) error {
	var load *LoadError
	if errors.As(err, &load) {
		err = load.Err
	}
	return &LoadError{s.Scheduler, fmt.Errorf("sub-scheduler of %s: %w", s.Cgroup, err)}
}

// attachSub makes a sub-scheduler and puts it in charge of its cgroup.
func (r *run) attachSub(s *subRun) error {
	if r.m.CgroupByPath(s.Cgroup) == nil {
		return &sim.OpError{Op: "attach", Errno: sim.ENOENT, Why: "no such cgroup"}
	}
	var err error
	if s.policy, err = r.make(s.Scheduler, s.Cgroup); err != nil {
		return loadError(s.Scheduler, err)
	}
	if err = r.enableSub(s); s.handle == nil {
		return errors.Join(err, s.policy.Close())
	}
	r.subs = append(r.subs, s) // also one that has ended at once: the report says how
	return err
}

// enableSub attaches a sub-scheduler that was made. An error is a LoadError where it is not the kernel that refuses.
func (r *run) enableSub(s *subRun) error {
	t, err := s.policy.Open(sched.Env{Machine: r.m, Kernel: r.ext})
	if err != nil {
		return &LoadError{s.Scheduler, err}
	}
	if !IsObject(s.Scheduler) {
		cidForm(t, r.ext)
		t.SubCgroupID = r.m.CgroupByPath(s.Cgroup).ID
	}
	s.attached = r.m.Now()
	if s.handle, err = r.ext.EnableSub(t); err != nil {
		return err
	}
	return r.attached(s.Scheduler, s.policy)
}

// cidForm makes a table whose callbacks are told CPUs one of the cid form, which sub-schedulers need. Where tasks wake is left
// to the core, which knows whether the root tracks idle CPUs.
func cidForm(t *ops.Table, k *ext.Kernel) {
	t.CID, t.SelectCPU = true, nil
	if dispatch := t.Dispatch; dispatch != nil {
		t.Dispatch = func(cid sim.CPU, prev *sim.Task) { dispatch(sim.CPU(k.CIDToCPU(int32(cid))), prev) }
	}
}

// policies are all of a run that are not closed.
func (r *run) policies() []sched.Policy {
	var out []sched.Policy
	if r.policy != nil {
		out = append(out, r.policy)
	}
	for _, s := range r.subs {
		if !s.closed {
			out = append(out, s.policy)
		}
	}
	return out
}

// unverified tells whether any of their programs is, or one that the timeline attaches may be.
func (r *run) unverified() bool {
	if (r.o.NoVerify || r.o.Checked) && len(r.o.Workload.Attaches()) > 0 {
		return true
	}
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
		out = append(out, reports.Sub{Scheduler: s.policy.Name(), Cgroup: s.Cgroup, FromNS: s.attached})
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
