package rtapp

import (
	"github.com/tailscale/hujson"

	"github.com/schedsim/schedsim/sim"
)

// scheduler reads what is attached. A scheduler is the name of a built-in one or the path of an object; without one it is that of
// the run, of which sub-schedulers have no counterpart.
func (p *parser) scheduler(a *Action, o *object) {
	name, m := p.stringKey(o, "scheduler", "")
	switch {
	case m == nil && a.Cgroup != "":
		p.errorf(o.off, "%s: found no key \"scheduler\", which a sub-scheduler needs", a.Do)
		return
	case m == nil:
		a.SchedulerPos = a.At
		return
	case name == "" && m.kind() == '"':
		p.errorf(m.val.StartOffset, "scheduler: found %s, expected the name of a built-in one or the path of an object", describe(m.val))
	}
	a.Scheduler, a.SchedulerPos = name, p.lines.pos(m.val.StartOffset)
}

// The limits of a server's period (dl_server_period_min and _max, kernel/sched/debug.c, 7.2).
const (
	serverPeriodMin = 100 * sim.Microsecond
	serverPeriodMax = 1 << 22 * sim.Microsecond
)

// server reads the parameters of a deadline server, and checks what the kernel would refuse whatever is in the other file.
func (p *parser) server(a *Action, o *object) {
	read := func(key string) (*sim.Duration, *hujson.Value) {
		m := o.find(key)
		if m == nil {
			return nil, nil
		}
		d, ok := p.duration(m.val, key)
		if !ok {
			return nil, nil
		}
		return &d, m.val
	}
	before := len(p.errs)
	runtime, at := read("runtime")
	period, periodAt := read("period")
	limit := serverPeriodMax
	if period != nil {
		limit = *period
	}
	switch {
	case len(p.errs) > before:
	case runtime == nil && period == nil:
		p.errorf(o.off, "%s: found neither \"runtime\" nor \"period\", expected one of them or both", a.Do)
	case period != nil && (*period < serverPeriodMin || *period > serverPeriodMax):
		p.errorf(periodAt.StartOffset, "period: found %v, expected %v to %v", *period, serverPeriodMin, serverPeriodMax)
	case runtime != nil && *runtime > limit:
		p.errorf(at.StartOffset, "runtime: found %v, expected at most the period of %v", *runtime, limit)
	}
	a.Runtime, a.Period = runtime, period
}
