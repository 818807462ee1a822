package fair

import "github.com/schedsim/schedsim/sim"

// Balancing is what load balancing keeps for a CPU, in its runqueue and in its lowest domain: how a machine has come to know how often
// looking for tasks elsewhere was of use. Recorded runs begin with what they had.
type Balancing struct {
	AvgIdle     sim.Duration // rq->avg_idle
	NextBalance int64        // rq->next_balance, in ticks from now
	Last        int64        // last_balance, in ticks from now
	Interval    sim.Duration // balance_interval; 0: as it is
	Failed      int          // nr_balance_failed

	Call, Success, Ratio int          // newidle_call, newidle_success, newidle_ratio
	Stamp                sim.Time     // newidle_stamp
	Cost                 sim.Duration // max_newidle_lb_cost
}

// SetBalancing gives a CPU that state. It tells whether there is anything to balance with.
func (c *Class) SetBalancing(cpu sim.CPU, b Balancing) bool {
	sd := c.base[cpu]
	if sd == nil {
		return false
	}
	q, now := &c.rqs[cpu], c.ticks()
	q.avgIdle, q.nextBalance = int64(b.AvgIdle), now+b.NextBalance
	sd.last, sd.failed = now+b.Last, b.Failed
	if b.Interval > 0 {
		sd.interval = int64(b.Interval / sim.Millisecond)
	}
	sd.newidleCall, sd.newidleSuccess, sd.newidleRatio = b.Call, b.Success, b.Ratio
	sd.newidleStamp, sd.newidleCost = int64(b.Stamp), int64(b.Cost)
	return true
}

// Balancing is the state of a CPU, all 0 where there is nothing to balance with.
func (c *Class) Balancing(cpu sim.CPU) Balancing {
	sd := c.base[cpu]
	if sd == nil {
		return Balancing{}
	}
	q, now := &c.rqs[cpu], c.ticks()
	return Balancing{AvgIdle: sim.Duration(q.avgIdle), NextBalance: q.nextBalance - now, Last: sd.last - now,
		Interval: sim.Duration(sd.interval) * sim.Millisecond, Failed: sd.failed, Call: sd.newidleCall, Success: sd.newidleSuccess,
		Ratio: sd.newidleRatio, Stamp: sim.Time(sd.newidleStamp), Cost: sim.Duration(sd.newidleCost)}
}
