// Package eventq is the event queue of a discrete-event simulation.
//
// Events lie inside their owners (a CPU, a task, a timer); arming one stores a pointer to it and allocates nothing once
// the queue has grown to its working size. Events come out in the order of (time, phase, sequence): phase is a small
// number that says what comes first among events of the same time, sequence is the order of arming. The order is total,
// so that a run never depends on how the heap happens to be arranged.
//
// The queue is a 4-ary heap whose entries hold their keys, so that sifting does not touch the events except to note
// their positions, and whose comparisons are subtractions with borrow instead of branches, because on random times a
// branch is mispredicted half of the time. Designs measured and rejected: container/heap (boxing; 3 times slower at
// 1,000 events), a key of one word (43 bits of time wrap after 2.4 hours), lazy cancellation (a re-armed timer leaves a
// corpse behind on each context switch).
//
// Read Queue first.
package eventq
