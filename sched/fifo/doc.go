// Package fifo is the smallest sensible sched_ext policy: one queue for all CPUs, first come first served.
package fifo
