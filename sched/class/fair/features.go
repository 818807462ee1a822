package fair

// Feature is a set of the class's features, after kernel/sched/features.h (7.2).
type Feature uint32

// The features. The comment says what the kernel does with the feature on.
const (
	// PlaceLag keeps a task's lag over sleep and migration.
	PlaceLag Feature = 1 << iota
	// PlaceDeadlineInitial gives a new task half a slice to begin with.
	PlaceDeadlineInitial
	// PlaceRelDeadline keeps the distance to the virtual deadline over a migration.
	PlaceRelDeadline
	// RunToParity protects the running task until its slice, or the shortest waiting one, is used up.
	RunToParity
	// PreemptShort lets a waking task with a shorter slice override that protection.
	PreemptShort
	// NextBuddy prefers the task that was woken last.
	NextBuddy
	// PickBuddy obeys the buddy set by NextBuddy.
	PickBuddy
	// CacheHotBuddy takes buddies for cache hot in load balancing.
	CacheHotBuddy
	// DelayDequeue keeps a sleeping task with negative lag queued until it is picked.
	DelayDequeue
	// DelayZero clips the lag of such a task to zero.
	DelayZero
	// WakeupPreemption lets a waking task preempt the running one.
	WakeupPreemption
	// HRTick ends a slice by a high-resolution timer instead of at the next tick.
	HRTick
	// SISUtil limits the search for an idle CPU by the utilization of the LLC.
	SISUtil
	// WAIdle and WAWeight are the two ways in which a wakeup may move a task to the waker's CPU.
	WAIdle
	WAWeight
	// WABias biases WAWeight in favour of the waker's CPU.
	WABias
	// UtilEst estimates a sleeping task's utilization by its last activations.
	UtilEst
	// NIRandom and NIRate run newidle balancing in proportion to its success.
	NIRandom
	NIRate
)

// DefaultFeatures are the features that are on in the reference kernel (7.2, CONFIG_HRTIMER_REARM_DEFERRED).
const DefaultFeatures = PlaceLag | PlaceDeadlineInitial | PlaceRelDeadline | RunToParity | PreemptShort | PickBuddy |
	CacheHotBuddy | DelayDequeue | DelayZero | WakeupPreemption | HRTick | SISUtil | WAIdle | WAWeight | WABias |
	UtilEst | NIRandom | NIRate

// Preempt is the kernel's preemption model, as far as the class sees it.
type Preempt uint8

// The preemption models.
const (
	// PreemptLazy lets a task of the class run on until its CPU next enters the kernel (tick, slice timer, interrupt
	// or system call) when another CPU finds that it should be preempted. It is the reference kernel's default.
	PreemptLazy Preempt = iota
	// PreemptFull sends an interrupt at once.
	PreemptFull
)

// Options tune the class. The zero value is the reference kernel.
type Options struct {
	// Enable and Disable change DefaultFeatures; Disable wins.
	Enable, Disable Feature
	// Preempt is the preemption model.
	Preempt Preempt
	// BaseSliceNS is the slice before scaling by the number of CPUs; 0 means 700 000.
	BaseSliceNS uint64
}

// Kernel constants of fair.c and sched.h (7.2).
const (
	nice0Load       = 1 << 20 // NICE_0_LOAD on 64 bits
	loadShift       = 10      // SCHED_FIXEDPOINT_SHIFT between nice weights and load weights
	baseSliceNS     = 700_000
	migrationCostNS = 500_000 // sysctl_sched_migration_cost
	hrtickMinNS     = 10_000  // hrtick_start
	hrtickFuzzNS    = 5_000   // hrtick_needs_rearm
	capacityScale   = 1024    // SCHED_CAPACITY_SCALE
	nrMigrate       = 8       // SCHED_NR_MIGRATE_BREAK, sysctl_sched_nr_migrate
)

// config is what the entity arithmetic needs to know of the machine and the options.
type config struct {
	feat      Feature
	baseSlice uint64 // sysctl_sched_base_slice
	normSlice uint64 // normalized_sysctl_sched_base_slice
	tickNS    uint64 // TICK_NSEC

	nrTasks int // queued on all runqueues of the class, which share the config
}

func (c *config) has(f Feature) bool { return c.feat&f != 0 }

// newConfig follows sched_init_granularity: the slice grows with the logarithm of the number of CPUs, up to 8.
func newConfig(o Options, cpus int, tickNS uint64) config {
	norm := o.BaseSliceNS
	if norm == 0 {
		norm = baseSliceNS
	}
	factor := uint64(1)
	for n := min(cpus, 8); n > 1; n >>= 1 {
		factor++
	}
	return config{
		feat:      (DefaultFeatures | o.Enable) &^ o.Disable,
		baseSlice: norm * factor,
		normSlice: norm,
		tickNS:    tickNS,
	}
}
