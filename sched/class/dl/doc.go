// Package dl is the deadline class, SCHED_DEADLINE: earliest deadline first, each task within a reservation that a
// constant bandwidth server enforces. It follows kernel/sched/deadline.c of Linux 7.2.
//
// It also has the deadline servers of the fair and the sched_ext class on every CPU (Server): reservations of 50 ms per
// second in whose time the class below runs before real-time tasks. A server defers: it does nothing while its class gets
// its runtime anyway, and steps in at the last moment at which the runtime still fits (zero laxity).
//
// Admission keeps the sum of all reservations, the servers' included, below 95 % of the machine (Class.Admit). Not
// modelled: bandwidth reclaiming (GRUB), whose active utilisation nothing else looks at, and the delay with which the
// kernel gives back the bandwidth of a task that left (its 0-lag time).
//
// Read entity first: it is a reservation, of a task or of a server. Then server.go.
package dl
