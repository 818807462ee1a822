// Package reports says what happened in a run: summaries, tables, comparisons, and traces for other programs.
//
// Every report is a fold over the run's records (sim.Record) and nothing else, so what it says can be checked against
// them. Collector is the fold behind the tables and JSON; Perfetto and Pprof write files for the programs of these names.
//
// Definitions, for all of them:
//
//   - CPU time of a task: from the switch to it until the switch away, overhead charged to the CPU meanwhile included.
//   - Share: CPU time over the length of the run, so 100 % is one CPU. Utilisation: the time in which CPUs did not run
//     their idle task, over the time of all CPUs.
//   - Context switches: all, those from and to the idle task included. Preemptions: switches away from a task that could
//     have gone on (sched_yield is one, as in the kernel's nonvoluntary_ctxt_switches).
//   - Wakeup latency: from sched_waking to the switch to the task. New tasks are not woken and do not count.
//   - Run delay: all the time in which a task could have run and did not.
//   - Units of work, response times and misses: what package workloads marks.
//   - Overhead: what the machine charged to CPUs for scheduling (sim.KindOverhead), over the time of all CPUs.
//   - Fairness: Jain's index (sum x)^2 / (n * sum x^2) of x = CPU time / load weight, over the n tasks that wanted a CPU
//     throughout the run (they ran or waited in at least 95 % of it). 1 is perfectly fair, 1/n is one task that got all. Absent
//     for fewer than two such tasks. Tasks that sleep get what they ask for and would say nothing.
//   - Percentiles: the smallest value that at least this part of the samples do not exceed, to 3 significant digits where
//     there are many samples. The maximum is exact.
package reports
