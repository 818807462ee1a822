package eventq

import (
	"fmt"
	"math"
	"math/bits"
)

// MaxPhase is the largest phase.
const MaxPhase = 15

// phaseShift leaves 60 bits for the sequence: a billion arms per second for 36 years.
const phaseShift = 60

// Event is something that will happen at a time. Its owner embeds it; the zero value with Fire set is ready to use.
//
// Invariant: an armed event must not be copied or moved.
type Event struct {
	// Fire is what the queue's user calls after Pop. The queue itself never calls it.
	Fire func()
	// Tag is the owner's, for NextIs.
	Tag int32
	at  uint64
	pos int32 // 1 + index in the heap; 0 when not armed
}

// Armed tells whether e is in a queue.
func (e *Event) Armed() bool { return e.pos != 0 }

// At is the time for which e is armed, or was armed last.
func (e *Event) At() int64 { return int64(e.at) }

// entry is one place of the heap. The key (at, ord) lies beside the pointer: a comparison touches no event.
type entry struct {
	at  uint64
	ord uint64 // phase, then sequence
	ev  *Event
}

// less returns 1 if a comes before b, 0 if not, without a branch: the borrow of the 128-bit difference.
func less(a, b *entry) int {
	_, borrow := bits.Sub64(a.ord, b.ord, 0)
	_, borrow = bits.Sub64(a.at, b.at, borrow)
	return int(borrow)
}

// Queue holds armed events. The zero value is empty.
type Queue struct {
	heap []entry
	seq  uint64
	// hole tells that the root was popped and its place not filled yet. An event that is armed next, most often by
	// the handler of the popped one, goes there and is sifted down once, instead of one sift for Pop and one for Arm.
	hole bool
}

// Len is the number of armed events.
func (q *Queue) Len() int {
	if q.hole {
		return len(q.heap) - 1
	}
	return len(q.heap)
}

// Arm puts e into the queue, or moves it if it is armed: it will come out at the time at, among events of that time by
// phase (0 first, at most MaxPhase), among those in the order of arming.
//
// Precondition: at is not negative.
func (q *Queue) Arm(e *Event, at int64, phase int) {
	if at < 0 || uint(phase) > MaxPhase {
		panic(fmt.Sprintf("BUG: event armed for time %d, phase %d", at, phase))
	}
	q.seq++
	e.at = uint64(at)
	n := entry{at: uint64(at), ord: uint64(phase)<<phaseShift | q.seq, ev: e}
	switch {
	case e.pos != 0:
		q.fill()
		q.sift(int(e.pos-1), n)
	case q.hole:
		q.hole = false
		q.down(0, n)
	default:
		q.heap = append(q.heap, n)
		q.up(len(q.heap)-1, n)
	}
}

// Cancel takes e out of the queue and tells whether it was armed.
func (q *Queue) Cancel(e *Event) bool {
	if e.pos == 0 {
		return false
	}
	q.fill()
	i := int(e.pos - 1)
	e.pos = 0
	last := len(q.heap) - 1
	n := q.heap[last]
	q.heap[last] = entry{}
	q.heap = q.heap[:last]
	if i < last {
		q.sift(i, n)
	}
	return true
}

// Next returns the time of the earliest event; ok is false if there is none.
func (q *Queue) Next() (at int64, ok bool) {
	q.fill()
	if len(q.heap) == 0 {
		return 0, false
	}
	return int64(q.heap[0].at), true
}

// Peek returns the earliest event and its time; nil if there is none.
func (q *Queue) Peek() (e *Event, at int64) {
	at, ok := q.Next()
	if !ok {
		return nil, 0
	}
	return q.heap[0].ev, at
}

// NextIs tells whether the earliest event is of the time, phase and tag given. It leaves the place of a popped event open.
func (q *Queue) NextIs(at int64, phase int, tag int32) bool {
	e := q.first()
	return e != nil && e.at == uint64(at) && e.ord>>phaseShift == uint64(phase) && e.ev.Tag == tag
}

// NextIn tells whether the earliest event is of the time and phase given. It leaves the place of a popped event open.
func (q *Queue) NextIn(at int64, phase int) bool {
	e := q.first()
	return e != nil && e.at == uint64(at) && e.ord>>phaseShift == uint64(phase)
}

// NextPhase is the phase of the earliest event, 0 if there is none.
func (q *Queue) NextPhase() int {
	if e := q.first(); e != nil {
		return int(e.ord >> phaseShift)
	}
	return 0
}

// After returns the time of the earliest event that is of one of the phases from first to last and comes after the time at; ok is
// false if there is none. It looks at every event.
func (q *Queue) After(at int64, first, last int) (next int64, ok bool) {
	q.fill()
	best := uint64(math.MaxUint64)
	for i := range q.heap {
		e := &q.heap[i]
		if p := int(e.ord >> phaseShift); e.at > uint64(at) && e.at < best && p >= first && p <= last {
			best, ok = e.at, true
		}
	}
	return int64(best), ok
}

// first is the earliest entry, nil if there is none. It leaves the place of a popped event open.
func (q *Queue) first() *entry {
	best, end := 0, 1
	if q.hole { // the earliest is a child of the hole
		best, end = 1, 5
	}
	if best >= len(q.heap) {
		return nil
	}
	for i := best + 1; i < min(end, len(q.heap)); i++ {
		best += (i - best) * less(&q.heap[i], &q.heap[best])
	}
	return &q.heap[best]
}

// Pop takes out the earliest event, nil if there is none.
func (q *Queue) Pop() *Event {
	q.fill()
	if len(q.heap) == 0 {
		return nil
	}
	e := q.heap[0].ev
	e.pos = 0
	q.hole = true
	return e
}

// fill closes the hole that Pop left.
func (q *Queue) fill() {
	if !q.hole {
		return
	}
	q.hole = false
	last := len(q.heap) - 1
	n := q.heap[last]
	q.heap[last] = entry{}
	q.heap = q.heap[:last]
	if last > 0 {
		q.down(0, n)
	}
}

// sift places n at i or where it belongs above or below.
func (q *Queue) sift(i int, n entry) {
	if i > 0 && less(&n, &q.heap[(i-1)/4]) != 0 {
		q.up(i, n)
		return
	}
	q.down(i, n)
}

// up places n at i or above.
func (q *Queue) up(i int, n entry) {
	h := q.heap
	for i > 0 {
		parent := (i - 1) / 4
		if less(&n, &h[parent]) == 0 {
			break
		}
		h[i] = h[parent]
		h[i].ev.pos = int32(i + 1)
		i = parent
	}
	h[i] = n
	n.ev.pos = int32(i + 1)
}

// down places n at i or below.
func (q *Queue) down(i int, n entry) {
	h := q.heap
	for {
		c := 4*i + 1
		var best int
		switch {
		case c+3 < len(h):
			k := h[c : c+4 : c+4]
			a := less(&k[1], &k[0])
			b := 2 + less(&k[3], &k[2])
			best = c + a + (b-a)*less(&k[b&3], &k[a&3])
		case c < len(h):
			best = c
			for j := c + 1; j < len(h); j++ {
				best += (j - best) * less(&h[j], &h[best])
			}
		default:
			h[i] = n
			n.ev.pos = int32(i + 1)
			return
		}
		if less(&h[best], &n) == 0 {
			h[i] = n
			n.ev.pos = int32(i + 1)
			return
		}
		h[i] = h[best]
		h[i].ev.pos = int32(i + 1)
		i = best
	}
}
