package play

import (
	"slices"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads"
)

// LabCosts are the costs of a recorded run on a machine whose costs on one CPU are c. Under icount virtual time is the sum of
// what all virtual CPUs execute, so a path takes as many times longer as there are CPUs busy; the recorded workloads keep
// all of them busy.
func LabCosts(c sim.Costs, m *fidelity.Manifest) sim.Costs {
	if m.Mode != "icount" || m.CPUs < 2 || labTurn(m) > 0 {
		return c
	}
	k := sim.Duration(m.CPUs)
	c.Switch *= k
	c.Wakeup *= k
	c.Fork *= k
	c.Tick *= k
	c.Timer *= k
	c.IPI *= k
	c.Move *= k
	c.IdleExit *= k
	c.InsnPS *= int64(k)
	c.KfuncNS *= int64(k)
	c.Callback *= k
	return c
}

// labTurn is how long a CPU of the lab executes at most before another has its turn, 0 for a machine whose CPUs do at once.
func labTurn(m *fidelity.Manifest) sim.Duration {
	if m.Mode != "icount" || m.CPUs < 2 {
		return 0
	}
	return sim.Duration(m.QuantumUS) * sim.Microsecond
}

// lead is how long before T0 the lab's player makes its tasks.
const lead = 303 * sim.Millisecond

// labLead is lead where it matters on which CPU a task was made: its timer is there.
func labLead(m *fidelity.Manifest) sim.Duration {
	if m.Tools["guest"] == "" || m.CPUs < 2 {
		return 0
	}
	return lead
}

// LabThreads are the threads of the lab's kernel that ran in recorded runs beside the workload: one that comes back 40 ms or
// so after it ran, and some that come once or twice a second.
func LabThreads(m *fidelity.Manifest) []Thread {
	k := sim.Duration(m.CPUs)
	return []Thread{
		{Name: "kworker/u8:1", Every: 40 * sim.Millisecond, Run: 28 * sim.Microsecond * k},
		{Name: "kcompactd0", Every: 508 * sim.Millisecond, Run: 9 * sim.Microsecond * k},
		{Name: "kworker/0:1", Every: 700 * sim.Millisecond, Run: 16 * sim.Microsecond * k},
	}
}

// labPlayer is what the lab's player needs itself: for looks at the clock, notes, semaphores. From event streams of hack-1: senders
// take 0.25 us for a post before a receiver has waited, 1.45 us after that, and receivers 0.75 us more than the burst.
func labPlayer(m *fidelity.Manifest) workloads.Own {
	if m.Tools["guest"] == "" {
		return workloads.Own{} // another player
	}
	k := sim.Duration(1)
	if labTurn(m) == 0 {
		k = sim.Duration(m.CPUs)
	}
	own := workloads.Own{Iteration: 750 * k, Post: 250 * k, Call: 1200 * k}
	if labTurn(m) > 0 {
		own.Clock, own.Gap = 1880, 8*sim.Microsecond+24*sim.Microsecond*sim.Duration(m.CPUs-1)
	}
	return own
}

// labLook is how long a task of the lab's player executes between two looks at the clock: it spins for 1500 ns and looks for 130.
func labLook(m *fidelity.Manifest) sim.Duration {
	if m.Tools["guest"] == "" {
		return 0
	}
	return 1640
}

// labTick is the time from T0 to the first tick of a recorded run. The lab has T0 at a whole multiple of 100 us after a tick; what is
// above one is the way from the interrupt to where ticks are noted.
func labTick(r *fidelity.Run) sim.Duration {
	tick := sim.Duration(max(0, r.Window.TickNS))
	if r.Manifest.Tools["guest"] != "" {
		tick -= tick % (100 * sim.Microsecond)
	}
	return tick
}

// operatorDelay is what the thread that does the timeline needs from the time of an action until it does it: its wakeup, the switch,
// which comes 11 to 13 us after that time, and the call.
const operatorDelay = 15 * sim.Microsecond

func labOperator(m *fidelity.Manifest) sim.Duration {
	if m.Tools["guest"] == "" {
		return 0
	}
	return operatorDelay
}

// labOthers are the threads of a recorded run that were woken whatever the workload did: not the operator because all tasks had ended.
func labOthers(r *fidelity.Run) []fidelity.Other {
	if !r.Window.AllEnded {
		return r.Others
	}
	out := slices.Clone(r.Others)
	for i := range out {
		if o := &out[i]; o.Name == maker {
			o.Wakes = slices.DeleteFunc(slices.Clone(o.Wakes), func(w [2]int64) bool { return w[0] > 0 && w[1] == 0 || w[0] > r.Window.LengthNS-int64(ending) })
		}
	}
	return out
}

// ending is how long the operator may run when all tasks have ended, before it notes the time.
const ending = 50 * sim.Microsecond
