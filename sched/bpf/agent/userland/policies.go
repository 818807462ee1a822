package userland

import (
	"errors"
	"math/bits"

	"github.com/schedsim/schedsim/sim"
)

var (
	_ ringPolicy = fifo{}
	_ ringPolicy = (*deadline)(nil)
)

// fifo is scx_rlfifo: each task goes back as it comes, with a share of the slice that is smaller the more wait.
type fifo struct{}

func (fifo) took(w *ringWorker, m *message, _ sim.Time) int {
	m.slice = uint64(w.slice) / (w.waiting + 1)
	w.next = *m
	return 0
}

func (fifo) pick(w *ringWorker, drained bool) (message, bool) { return w.next, !drained }

// back: scx_rlfifo takes for granted that there is room.
func (fifo) back(*message) error {
	return errors.New("scx_rlfifo: no room in the ring buffer dispatched")
}

func (fifo) single() bool { return false }

func (fifo) len() int { return 0 }

// deadline is scx_rustland: a turn takes all tasks that have come and gives back the one whose deadline is first: its virtual
// time plus what it ran since it slept last.
type deadline struct {
	vruntime uint64 // of all
	heap     []message
}

func (d *deadline) took(w *ringWorker, m *message, now sim.Time) int {
	if m.vtime == 0 {
		m.vtime = d.vruntime
	} else {
		m.vtime = max(m.vtime, sub(d.vruntime, uint64(w.slice)))
	}
	vslice := sub(m.stop, m.start) * 100 / m.weight
	m.vtime += vslice
	d.vruntime += vslice
	m.deadline = m.vtime + min(m.exec, 100*uint64(w.slice))
	m.slice = m.weight * uint64(w.sliceMin) / 100
	m.arrive = uint64(now)
	d.push(*m)
	return bits.Len(uint(len(d.heap)))
}

// sub is a-b, 0 if b is more.
func sub(a, b uint64) uint64 { return a - min(a, b) }

func (d *deadline) pick(_ *ringWorker, drained bool) (m message, ok bool) {
	if !drained || len(d.heap) == 0 {
		return m, false
	}
	return d.pop(), true
}

func (d *deadline) back(m *message) error {
	d.push(*m)
	return nil
}

func (d *deadline) single() bool { return true }

func (d *deadline) len() int { return len(d.heap) }

func (m *message) before(o *message) bool {
	switch {
	case m.deadline != o.deadline:
		return m.deadline < o.deadline
	case m.arrive != o.arrive:
		return m.arrive < o.arrive
	}
	return m.pid < o.pid
}

// push and pop keep a binary heap.
func (d *deadline) push(m message) {
	d.heap = append(d.heap, m)
	h := d.heap
	for i := len(h) - 1; i > 0; {
		p := (i - 1) / 2
		if !h[i].before(&h[p]) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
}

func (d *deadline) pop() message {
	h := d.heap
	m, n := h[0], len(h)-1
	h[0] = h[n]
	d.heap = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h[c+1].before(&h[c]) {
			c++
		}
		if !h[c].before(&h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	return m
}
