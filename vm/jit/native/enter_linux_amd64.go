package native

import "unsafe"

// enter runs machine code at c.pc with c.left instructions of budget, until it leaves with a reason in c.exit.
//
// Safety: c lies outside of the Go heap, and so does everything that machine code uses, since a signal handler or the
// garbage collector finds none of it. The runtime does not preempt code that is not Go's, and signals are handled on a
// stack of their own.
//
//go:noescape
func enter(c *context)

// resume goes on at c.back after a call of a helper or kfunc, with R0 = c.r0 and c.left instructions of budget. See enter.
//
//go:noescape
func resume(c *context)

// flushInstructions is for machines on which instruction fetches do not see what was stored.
func flushInstructions(unsafe.Pointer, uintptr) {}
