// Package workloads turns workload files into tasks of the simulated machine.
//
// The files are rt-app's (package rtapp reads them), with random durations added under the key "schedsim" (package gen
// draws them). Parse gives a Workload, Bind checks it against a machine's number of CPUs, and Bound.New gives the
// []sim.TaskSpec of one run, each with a Behavior that walks its compiled program without allocating.
//
// What the records of a run mean:
//
//   - A unit of work (sim.MarkWork) is one iteration of a phase that computes (has run or runtime). Its response time runs
//     from its release to the end of its last step before the waiting that ends the iteration. It is released when the
//     waiting around it is over: for timer and sleep at the planned time, whenever the task really gets a CPU; for
//     sem_wait when the post that it takes was made; for the others when somebody woke the task; without waiting,
//     when the iteration before ended. Waiting in the middle of an iteration counts as part of it.
//   - A miss (sim.MarkMiss) is a timer that had already expired when the task came to it: the period was too short.
//     Timers whose period is drawn at random are arrivals, not deadlines, and do not miss.
//
// Locks, semaphores and conditions are those of futexes: a waiter that is woken competes anew for what it waited for.
package workloads
