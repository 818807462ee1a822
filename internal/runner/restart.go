package runner

import (
	"errors"
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
)

// The user-space halves of schedulers start over when the exit code asks for it (UEI_ECODE_RESTART in
// tools/sched_ext/include/scx/user_exit_info.h, 7.2): they open the object anew and attach it. So does a run, at the moment of
// the exit; a real one takes the time until its user-space half looks, and that of loading.

// maxRestarts is how often a scheduler is started over; one that ends more often stays away.
const maxRestarts = 100

// restarts are those of a run.
type restarts struct {
	due          bool // the policy has just ended and asked for it
	list         []reports.Restart
	insns, calls uint64 // of the policies that have ended
}

// restartable tells whether the policy that has just ended is to be started over: it is one that can be made again, and a
// real one, whose user-space half would do so.
func (r *run) restartable() bool {
	i := r.ext.ExitInfo()
	const actions = -1 << 48 // UEI_ECODE_SYS_ACT_MASK
	if r.o.Policy != nil || !IsObject(r.o.Scheduler) || i == nil || i.ExitCode&actions != ops.ECodeActRestart {
		return false
	}
	if len(r.restarts.list) >= maxRestarts {
		r.o.notice(fmt.Sprintf("the scheduler has been restarted %d times, and is not again", maxRestarts))
		return false
	}
	return true
}

// restart starts the policy over if it has asked for it. It tells whether the run goes on.
func (r *run) restart() (bool, error) {
	if !r.restarts.due || r.exited {
		return false, nil
	}
	r.restarts.due = false
	i := r.ext.ExitInfo()
	r.restarts.list = append(r.restarts.list, reports.Restart{AtNS: r.m.Now(), Code: i.ExitCode, Reason: i.Reason, Message: i.Msg})
	r.ended()
	if err := r.policy.Close(); err != nil {
		return false, err
	}
	r.enabled, r.policy = false, nil
	p, err := r.o.policy(r.kernel, r.space)
	if err != nil {
		return false, err
	}
	r.policy = p
	t, err := p.Open(sched.Env{Machine: r.m, Kernel: r.ext})
	if err == nil {
		if r.o.Tap != nil {
			r.o.Tap(sched.Env{Machine: r.m, Kernel: r.ext}, t)
		}
		err = r.survive(func() error {
			if err := r.ext.Enable(t); err != nil {
				return err
			}
			return r.attached(r.o.Scheduler, p)
		})
	}
	var load *LoadError
	if err != nil && !errors.As(err, &load) {
		err = &LoadError{r.o.Scheduler, fmt.Errorf("restarted at %s: %w", r.m.Now(), err)}
	}
	if r.enabled = err == nil; r.enabled {
		r.begun()
	}
	return err == nil && !r.exited && !r.over, err
}
