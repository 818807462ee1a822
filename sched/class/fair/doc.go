// Package fair models the fair scheduling class: EEVDF as in Linux 7.2 (kernel/sched/fair.c, features.h, pelt.c and the
// domains of topology.c). It is the baseline that every sched_ext scheduler is compared with.
//
// Read Class first, then runq: runq is the arithmetic of one CPU's queue (average virtual runtime, lag, eligibility,
// placement, pick), exact to the kernel's integers on 64 bits; Class is what the machine calls and drives it. taskGroup
// and bandwidth are cgroups, of which each has a runq per CPU. cpuQueue adds the slice timer (HRTICK), domain and group the load balancer.
//
// The features are those of the reference kernel; Options switch them. Not modelled:
//
//   - autogroup;
//   - asymmetric capacity (misfit tasks, capacity-aware wakeups), asymmetric packing, energy-aware placement, cluster
//     levels, cache-aware balancing (CONFIG_SCHED_CACHE), NUMA balancing, uclamp and thermal pressure;
//   - the time that balancing takes: newidle balancing is limited by its success rate, not by its cost.
//
// PELT averages advance with real time on every CPU, whatever its capacity.
package fair
