package fidelity

// Start is how the kernel stood shortly before T0: what is left of its past and decides what it does in the window.
type Start struct {
	// InitCPU is the CPU on which ops.init of the scheduler ran; nil: it has none, or that is not known.
	InitCPU *int `json:"init_cpu,omitempty"`
	// Timers are the timers of programs that were armed at AtNS: the CPU of each, and when it was to expire.
	Timers [][2]int64 `json:"timers,omitempty"`
	// AtNS is when that, and what CPUs tell, was read: some milliseconds before T0, and so negative; 0: it was not.
	AtNS int64 `json:"at_ns,omitempty"`
	// CPUs tell what load balancing keeps for each CPU, in order of number; none where tasks were not the fair class's, or of one CPU.
	CPUs []Balancing `json:"cpus,omitzero"`
}

// Balancing is what load balancing keeps for a CPU: in its runqueue, and in its lowest domain (struct sched_domain, of which the names are).
// Ticks count from that before T0, which is 0.
type Balancing struct {
	AvgIdleNS     int64 `json:"avg_idle_ns"`            // rq->avg_idle
	MaxIdleCostNS int64 `json:"max_idle_cost_ns"`       // rq->max_idle_balance_cost
	NextTick      int64 `json:"next_balance"`           // rq->next_balance, in ticks
	LastTick      int64 `json:"last_balance"`           // in ticks
	IntervalMS    int64 `json:"balance_interval_ms"`    // balance_interval
	Failed        int64 `json:"nr_balance_failed"`      // nr_balance_failed
	Call          int   `json:"newidle_call"`           // newidle_call
	Success       int   `json:"newidle_success"`        // newidle_success
	Ratio         int   `json:"newidle_ratio"`          // newidle_ratio; 0 of kernels without it
	StampNS       int64 `json:"newidle_stamp_ns"`       // newidle_stamp, from T0
	CostNS        int64 `json:"max_newidle_lb_cost_ns"` // max_newidle_lb_cost
	Load          int64 `json:"load_avg"`               // rq->cfs.avg.load_avg
	Runnable      int64 `json:"runnable_avg"`           // rq->cfs.avg.runnable_avg
	Util          int64 `json:"util_avg"`               // rq->cfs.avg.util_avg
	DecayTick     int64 `json:"last_decay"`             // last_decay_max_lb_cost, in ticks
}

// The places of Task.Asleep.
const (
	AsleepCPU       = iota // task_cpu
	AsleepRecentCPU        // recent_used_cpu
	AsleepVLag             // se.vlag
	AsleepSlice            // scx.slice, ns
	AsleepVTime            // scx.dsq_vtime
	asleepPlaces
)
