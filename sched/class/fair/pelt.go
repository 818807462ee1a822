package fair

import "math/bits"

// Load tracking: each entity and each runqueue has geometric averages of its load (weight while queued), of being
// runnable and of running, with a half-life of 32 periods of 1024 µs (kernel/sched/pelt.c, 7.2). A runqueue's averages
// are the sums of its entities', blocked ones included.

// Constants of PELT (sched-pelt.h).
const (
	peltPeriod = 32    // LOAD_AVG_PERIOD
	peltMax    = 47742 // LOAD_AVG_MAX
	peltMin    = peltMax - 1024

	utilUnchanged = 1 << 31             // UTIL_AVG_UNCHANGED
	utilMargin    = capacityScale / 100 // UTIL_EST_MARGIN
)

// peltInv holds 2^32 * y^n with y^32 = 1/2 (runnable_avg_yN_inv).
var peltInv = [peltPeriod]uint32{
	0xffffffff, 0xfa83b2da, 0xf5257d14, 0xefe4b99a, 0xeac0c6e6, 0xe5b906e6, 0xe0ccdeeb, 0xdbfbb796,
	0xd744fcc9, 0xd2a81d91, 0xce248c14, 0xc9b9bd85, 0xc5672a10, 0xc12c4cc9, 0xbd08a39e, 0xb8fbaf46,
	0xb504f333, 0xb123f581, 0xad583ee9, 0xa9a15ab4, 0xa5fed6a9, 0xa2704302, 0x9ef5325f, 0x9b8d39b9,
	0x9837f050, 0x94f4efa8, 0x91c3d373, 0x8ea4398a, 0x8b95c1e3, 0x88980e80, 0x85aac367, 0x82cd8698,
}

// loadAvg is struct sched_avg. The averages are in units of capacity and of nice weights (1024 each at full).
type loadAvg struct {
	last     int64 // time of the last update in ns
	attached bool  // an entity's: it is part of its CPU's averages (last_update_time != 0)
	contrib  uint32

	loadSum, runnableSum, utilSum uint64
	load, runnable, util          uint64

	// est is the estimated utilization: of an entity when it last slept, of a runqueue the sum over its queue.
	est uint32
}

// init gives a new entity the load of a task that always runs (init_entity_runnable_average).
func (a *loadAvg) init(weight uint64) {
	*a = loadAvg{load: weight >> loadShift}
}

// decayLoad returns v * y^n (decay_load).
func decayLoad(v, n uint64) uint64 {
	if n > peltPeriod*63 {
		return 0
	}
	v >>= n / peltPeriod
	hi, lo := bits.Mul64(v, uint64(peltInv[n%peltPeriod]))
	return hi<<32 | lo>>32
}

// update accumulates the time until now, in which the owner had the load weight (0: none), nr runnable entities and
// did or did not run; it tells whether a period ended (___update_load_sum).
func (a *loadAvg) update(now int64, load, nr uint64, running bool) bool {
	delta := now - a.last
	if delta < 0 {
		a.last = now
		return false
	}
	d := uint64(delta) >> 10
	if d == 0 {
		return false
	}
	a.last += int64(d << 10)

	contrib := d
	d += uint64(a.contrib)
	periods := d / 1024
	if periods != 0 {
		a.loadSum = decayLoad(a.loadSum, periods)
		a.runnableSum = decayLoad(a.runnableSum, periods)
		a.utilSum = decayLoad(a.utilSum, periods)
		d %= 1024
		// The rest of the first period, the full periods and the begun one.
		contrib = decayLoad(1024-uint64(a.contrib), periods) + peltMax - decayLoad(peltMax, periods) - 1024 + d
	}
	a.contrib = uint32(d)
	if load != 0 {
		a.loadSum += load * contrib
		a.runnableSum += nr * contrib << 10
		if running {
			a.utilSum += contrib << 10
		}
	}
	return periods != 0
}

// divider is the greatest possible sum at this place in the period (get_pelt_divider).
func (a *loadAvg) divider() uint64 { return peltMin + uint64(a.contrib) }

// average brings the averages up to the sums; weight is the entity's weight, 1 for a runqueue, whose sum is weighted
// already (___update_load_avg).
func (a *loadAvg) average(weight uint64) {
	d := a.divider()
	a.load = weight * a.loadSum / d
	a.runnable = a.runnableSum / d
	a.util = a.utilSum / d
}

// seWeight is the nice weight of an entity (se_weight).
func seWeight(weight uint64) uint64 { return weight >> loadShift }

// updateEntityAvg follows __update_load_avg_se.
func (r *runq) updateEntityAvg(e *entity, now int64) {
	var load, nr uint64
	if e.onRQ {
		load = 1
		switch {
		case e.delayed:
		case e.my != nil:
			nr = uint64(e.runnableWeight)
		default:
			nr = 1
		}
	}
	if e.avg.update(now, load, nr, r.curr == e) {
		e.avg.average(seWeight(e.weight))
		e.avg.est &^= utilUnchanged
	}
}

// updateAvg follows __update_load_avg_cfs_rq; it is also how the load of an idle CPU decays.
func (r *runq) updateAvg(now int64) {
	if r.avg.update(now, seWeight(r.load), uint64(r.nrRunnable), r.curr != nil) {
		r.avg.average(1)
	}
}

// updateLoadAvg brings e and the runqueue up to now (update_load_avg).
func (r *runq) updateLoadAvg(e *entity, now int64) {
	if e.avg.attached {
		r.updateEntityAvg(e, now)
	}
	r.updateAvg(now)
	if e.my != nil {
		r.propagateFrom(e)
	}
}

// attach adds e's averages to the runqueue's, which is up to date (attach_entity_load_avg).
func (r *runq) attach(e *entity) {
	a := &e.avg
	a.attached = true
	a.last, a.contrib = r.avg.last, r.avg.contrib
	d := r.avg.divider()
	a.utilSum, a.runnableSum = a.util*d, a.runnable*d
	a.loadSum = a.load * d
	if w := seWeight(e.weight); w < a.loadSum {
		a.loadSum /= w
	} else {
		a.loadSum = 1
	}
	r.avg.addLoad(a, e.weight)
	r.avg.util += a.util
	r.avg.utilSum += a.utilSum
	r.avg.runnable += a.runnable
	r.avg.runnableSum += a.runnableSum
	r.addPropagate(int64(a.loadSum))
}

// detach brings e up to now and takes its averages out of the runqueue's (detach_entity_load_avg and
// remove_entity_load_avg, which the kernel defers because it may not hold the lock).
func (r *runq) detach(e *entity, now int64) {
	a := &e.avg
	if !a.attached {
		return
	}
	r.updateLoadAvg(e, now)
	r.avg.subLoad(a, e.weight)
	r.avg.util, r.avg.utilSum = r.avg.less(r.avg.util, a.util, r.avg.utilSum, a.utilSum)
	r.avg.runnable, r.avg.runnableSum = r.avg.less(r.avg.runnable, a.runnable, r.avg.runnableSum, a.runnableSum)
	r.addPropagate(-int64(a.loadSum))
	a.attached = false
}

// addLoad adds an entity's load (enqueue_load_avg).
func (a *loadAvg) addLoad(e *loadAvg, weight uint64) {
	if !e.attached {
		return
	}
	a.load += e.load
	a.loadSum = max(a.loadSum+seWeight(weight)*e.loadSum, a.load*peltMin)
}

// subLoad takes an entity's load away (dequeue_load_avg).
func (a *loadAvg) subLoad(e *loadAvg, weight uint64) {
	if !e.attached {
		return
	}
	a.load, a.loadSum = a.less(a.load, e.load, a.loadSum, seWeight(weight)*e.loadSum)
}

// less subtracts an average and its sum, not below zero, and keeps the two consistent (__update_sa).
func (a *loadAvg) less(avg, davg, sum, dsum uint64) (uint64, uint64) {
	avg -= min(avg, davg)
	sum -= min(sum, dsum)
	return avg, max(sum, avg*peltMin)
}

// reweight follows the load average of reweight_entity.
func (a *loadAvg) reweight(weight uint64) {
	if a.loadSum == 0 && !a.attached {
		a.load = seWeight(weight) // has not run yet
		return
	}
	a.load = seWeight(weight) * a.loadSum / a.divider()
}

// initUtil gives a new task a share of the spare capacity of its CPU as utilization (post_init_entity_util_avg).
func (r *runq) initUtil(e *entity, capacity uint64) {
	limit := (int64(capacity) - int64(r.avg.util)) / 2
	if limit > 0 {
		if r.avg.util != 0 {
			e.avg.util = min(r.avg.util*seWeight(e.weight)/(r.avg.load+1), uint64(limit))
		} else {
			e.avg.util = uint64(limit)
		}
	}
	e.avg.runnable = e.avg.util
}

// taskUtilEst is the utilization to expect of e (task_util_est).
func (e *entity) taskUtilEst() uint64 {
	return max(e.avg.util, uint64(e.avg.est&^utilUnchanged))
}

// estEnqueue and estDequeue keep the runqueue's sum of estimates (util_est_enqueue, util_est_dequeue).
func (r *runq) estEnqueue(e *entity) {
	if r.has(UtilEst) {
		r.avg.est += e.avg.est &^ utilUnchanged
	}
}

func (r *runq) estDequeue(e *entity) {
	if r.has(UtilEst) {
		r.avg.est -= min(r.avg.est, e.avg.est&^utilUnchanged)
	}
}

// estUpdate takes a sample when e goes to sleep: the estimate follows increases at once and decreases by a quarter
// (util_est_update).
func (r *runq) estUpdate(e *entity) {
	if !r.has(UtilEst) {
		return
	}
	est := e.avg.est
	if est&utilUnchanged != 0 {
		return
	}
	util := uint32(e.avg.util)
	switch diff := est - util; {
	case est <= util:
		est = util
	case diff < utilMargin:
	case uint64(util)+utilMargin < e.avg.runnable:
		// The task did not get all the CPU time that it wanted.
	default:
		est = (est<<2 - diff) >> 2
	}
	e.avg.est = est | utilUnchanged
}
