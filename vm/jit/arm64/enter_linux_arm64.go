package arm64

import "unsafe"

// enter runs the machine code at pc, on the private stack at c.sp and with c.left instructions of budget, until it leaves
// with a reason in c.exit.
//
// Safety: c lies outside of the Go heap, and so does everything that machine code uses, since a signal handler or the
// garbage collector finds none of it. The runtime does not preempt code that is not Go's; SP, the frame pointer and the link
// register are those of this call all the time.
//
//go:noescape
func enter(c *context, pc uintptr)

// flushInstructions makes n bytes of new code at p visible to instruction fetches, on all processors (the others
// synchronize when they return from the kernel, before they can run this goroutine).
//
//go:noescape
func flushInstructions(p unsafe.Pointer, n uintptr)
