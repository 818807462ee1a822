// Package vtime is a fair policy in the manner of the kernel's scx_simple: one queue in the order of virtual time, which
// passes for a task in inverse proportion to its weight.
package vtime
