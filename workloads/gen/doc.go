// Package gen draws random durations for workloads: how long a task computes, how long it sleeps, when requests arrive.
//
// A Dist is plain data (what a workload file says); a Sampler is a Dist bound to one random stream. Samples are rounded
// to whole nanoseconds as soon as they are drawn, so that nothing after the draw depends on floating point.
package gen
