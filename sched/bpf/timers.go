package bpf

import (
	"cmp"
	"slices"

	"github.com/schedsim/schedsim/sim"
)

// ArmedTimer is a timer of a program that is armed.
type ArmedTimer struct {
	CPU sim.CPU
	At  sim.Time
}

// Timers are the armed timers of the policy's programs, the first to expire first.
func (p *Policy) Timers() []ArmedTimer {
	var out []ArmedTimer
	for _, t := range p.armed() {
		out = append(out, ArmedTimer{t.CPU(), t.At()})
	}
	return out
}

// SetTimers has the armed timers of the policy's programs expire on other CPUs and at other times, in the order of their expiry, as
// they did on a machine that is followed. It does nothing, and says so, if there are more or fewer of them.
func (p *Policy) SetTimers(list []ArmedTimer) bool {
	armed := p.armed()
	if len(armed) != len(list) {
		return false
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b ArmedTimer) int { return cmp.Compare(a.At, b.At) })
	for i, t := range armed {
		p.env.Machine.Arm(&t.Timer, list[i].CPU, list[i].At)
	}
	return true
}

func (p *Policy) armed() []*timer {
	if p.host == nil {
		return nil
	}
	var out []*timer
	for _, t := range p.host.order {
		if t.Armed() {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *timer) int { return cmp.Compare(a.At(), b.At()) })
	return out
}
