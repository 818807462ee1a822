package fair

import (
	"math/bits"

	"github.com/schedsim/schedsim/sim"
)

// The slice timer. It is armed when a task is switched to and others wait, and when a second task joins a running one
// whose timer is not armed. A task that is picked again when its slice ends is not switched to, so its next slice has no
// timer and ends at a tick: that is the kernel's behaviour, too.

// hrtickStart arms the timer for the virtual deadline of e, current or about to be, counted from after (hrtick_start_fair).
func (c *Class) hrtickStart(q *cpuQueue, e *entity, after sim.Duration) {
	if !c.has(HRTick) || q.hQueued <= 1 {
		return
	}
	vdelta := int64(e.deadline - e.vruntime)
	if vdelta < 0 {
		if e.cfs.curr == e {
			c.m.Resched(q.cpu)
		}
		return
	}
	// Rounded up: a timer never fires early, and the deadline must be reached when it does.
	hi, lo := bits.Mul64(e.weight, uint64(vdelta))
	lo, carry := bits.Add64(lo, nice0Load-1, 0)
	delta := (hi+carry)<<(64-20) | lo>>20
	at := c.m.RQClock(q.cpu).Add(after + sim.Duration(max(delta, hrtickMinNS)))
	if q.hrtickOn {
		if d := at.Sub(q.hrtickAt); -hrtickFuzzNS <= d && d <= hrtickFuzzNS {
			return
		}
	}
	q.hrtickOn, q.hrtickAt = true, at
	c.m.Arm(&q.hrtick, q.cpu, at)
}

// hrtickUpdate arms the timer after an enqueue if it is not armed (hrtick_update).
func (c *Class) hrtickUpdate(q *cpuQueue) {
	if q.curr == nil || q.hrtickOn {
		return
	}
	if e := q.leaf(); e != nil && c.m.Curr(q.cpu) == e.t {
		c.hrtickStart(q, e, 0)
	}
}

// hrtickStop disarms the timer when the class gives up the CPU.
func (c *Class) hrtickStop(q *cpuQueue) {
	if q.hrtickOn {
		q.hrtickOn = false
		c.m.Cancel(&q.hrtick)
	}
}

// hrtickFire is the timer's interrupt (hrtick, and entity_tick with queued set).
func (c *Class) hrtickFire(q *cpuQueue) {
	q.hrtickOn = false
	c.m.TimerInterrupt(q.cpu)
	if q.curr == nil {
		return
	}
	for e := q.leaf(); e != nil; e = e.parent {
		c.entityTick(e)
	}
	c.m.Resched(q.cpu)
}
