package runner

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/builtin"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads"
)

// The timeline of a workload attaches and detaches schedulers. Loading takes no time, and what a kernel would refuse to attach is
// noted like any other refusal; an object that cannot be loaded is the user's mistake and ends the run with a LoadError.

// tenures are the schedulers that were in charge of all tasks, for workloads whose timeline changes them.
type tenures struct {
	list    []reports.Tenure
	leaving bool // the one in charge is being detached
	changed bool // the timeline has attached or detached one
}

// begun notes that the policy is in charge from now on.
func (r *run) begun() {
	r.tenures.list = append(r.tenures.list, reports.Tenure{Scheduler: r.policy.Name(), FromNS: r.m.Now()})
}

// ended notes that the policy no longer is, and counts what it did.
func (r *run) ended() {
	t := &r.tenures.list[len(r.tenures.list)-1]
	t.Exit, t.Events = exitOf(r.ext.ExitInfo(), r.m.Now()), counters(r.ext.Events())
	r.count(r.policy)
}

// count adds what the programs of a policy did that is about to be closed.
func (r *run) count(p sched.Policy) {
	if c, ok := p.(counting); ok {
		r.restarts.insns += c.Insns()
		r.restarts.calls += c.Calls()
	}
}

// named is the scheduler that an action means: a name, or a path as seen from where the workload lies.
func (r *run) named(a *workloads.Attach) string {
	switch {
	case a.Scheduler == "":
		return r.o.Scheduler
	case !IsObject(a.Scheduler) || filepath.IsAbs(a.Scheduler):
		return a.Scheduler
	}
	return filepath.Join(filepath.Dir(r.o.Workload.Name), a.Scheduler)
}

// checkAttaches looks at the schedulers of the timeline before the run.
func (r *run) checkAttaches() error {
	var errs []error
	for _, a := range r.o.Workload.Attaches() {
		name := r.named(&a)
		if a.Scheduler == "" {
			continue // that of the run, which may be one that attaching refuses
		}
		if name == Baseline {
			errs = append(errs, a.Errorf("scheduler: %s is no sched_ext scheduler; detach leaves the tasks to it", Baseline))
			continue
		}
		p, err := r.make(name, a.Cgroup)
		if err != nil {
			errs = append(errs, a.Errorf("scheduler: %v", err))
			continue
		}
		if err := p.Close(); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// make makes the policy of a scheduler: of all tasks, or below a cgroup.
func (r *run) make(name, cgroup string) (sched.Policy, error) {
	switch {
	case !IsObject(name):
		if err := CheckScheduler(name); err != nil {
			return nil, err
		}
		p, ok := builtin.ByName(name)
		if !ok {
			return nil, fmt.Errorf("%s is no sched_ext scheduler", name)
		}
		return p, nil
	case cgroup != "":
		return r.o.object(r.kernel, r.space, name, bpf.Options{Cgroup: cgroup})
	case name == r.o.Scheduler:
		return r.o.policy(r.kernel, r.space)
	}
	return r.o.object(r.kernel, r.space, name, bpf.Options{})
}

// attach is what the timeline's action does.
func (r *run) attach(a workloads.Attach) error {
	var fatal *LoadError
	err := r.attachNow(&a)
	if errors.As(err, &fatal) {
		r.fail(&LoadError{fatal.Scheduler, fmt.Errorf("%s: attached at %v: %w", a.Place(), r.m.Now(), fatal.Err)})
	}
	return err
}

// fail ends the run with an error.
func (r *run) fail(err error) {
	if r.failed == nil {
		r.failed = err
		r.m.Stop()
	}
}

func (r *run) attachNow(a *workloads.Attach) error {
	name := r.named(a)
	switch {
	case a.Cgroup != "":
		return r.attachSub(&subRun{Sub: Sub{a.Cgroup, name}})
	case name == Baseline:
		return fmt.Errorf("%s is no sched_ext scheduler", Baseline)
	case a.Scheduler == "" && r.o.Policy != nil:
		return fmt.Errorf("%s cannot be attached again", r.o.Policy.Name())
	case r.ext.State() != ops.Disabled:
		return &sim.OpError{Op: "attach", Errno: sim.EBUSY, Why: "another scheduler is enabled"}
	}
	p, err := r.make(name, "")
	if err != nil {
		return loadError(name, err)
	}
	t, err := p.Open(sched.Env{Machine: r.m, Kernel: r.ext})
	if err != nil {
		return errors.Join(&LoadError{name, err}, p.Close())
	}
	if r.o.Tap != nil {
		r.o.Tap(sched.Env{Machine: r.m, Kernel: r.ext}, t)
	}
	r.tenures.changed = true
	if err := r.ext.Enable(t); err != nil {
		return errors.Join(err, p.Close())
	}
	r.policy, r.enabled = p, true
	r.begun()
	return r.attached(name, p)
}

// loadError makes err a LoadError, if it is none yet.
func loadError(name string, err error) error {
	var load *LoadError
	if errors.As(err, &load) {
		return err
	}
	return &LoadError{name, err}
}

// detach is what the timeline's action does: it ends a scheduler as its user-space half does when it ends.
func (r *run) detach(cgroup string) error {
	if cgroup != "" {
		return r.detachSub(cgroup)
	}
	if !r.enabled || r.exited {
		return &sim.OpError{Op: "detach", Errno: sim.ENOENT, Why: "no scheduler is enabled"}
	}
	r.tenures.leaving, r.tenures.changed = true, true
	r.ext.Disable(ops.ExitUnreg)
	r.tenures.leaving = false
	r.ended()
	err := r.policy.Close()
	r.policy, r.enabled = nil, false
	return err
}

// detachSub ends the sub-scheduler of a cgroup.
func (r *run) detachSub(cgroup string) error {
	i := slices.IndexFunc(r.subs, func(s *subRun) bool { return s.Cgroup == cgroup && s.handle != nil && s.handle.ExitInfo() == nil })
	if i < 0 {
		return &sim.OpError{Op: "detach", Errno: sim.ENOENT, Why: "the cgroup has no scheduler"}
	}
	s := r.subs[i]
	s.handle.Disable(ops.ExitUnreg)
	r.count(s.policy)
	s.closed = true
	return s.policy.Close()
}
