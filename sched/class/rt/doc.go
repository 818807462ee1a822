// Package rt is the real-time class: SCHED_FIFO and SCHED_RR with 99 priorities. It follows kernel/sched/rt.c of Linux
// 7.2, without CONFIG_RT_GROUP_SCHED as in the reference kernel: there is no throttling of real-time tasks any more, and
// what keeps them from starving the classes below is the deadline class's servers (package dl).
//
// Tasks wait in one FIFO for each priority. On several CPUs the class keeps the highest of them running: a task that
// cannot run where it wakes goes to the CPU with the lowest priority (select_task_rq_rt), one that is overtaken is pushed
// away (push_rt_task), a CPU that is left with less takes tasks from others (pull_rt_task; the kernel asks the others
// by interrupt to push, here they are asked at once).
//
// Read Class first, then push.go.
package rt
