package eventq

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the queue's meaning: a slice kept sorted.
type model struct {
	seq   int
	items []item
}

type item struct {
	at, phase, seq, id int
}

func (m *model) arm(id, at, phase int) {
	m.cancel(id)
	m.seq++
	m.items = append(m.items, item{at, phase, m.seq, id})
	slices.SortFunc(m.items, func(a, b item) int {
		if a.at != b.at {
			return a.at - b.at
		}
		if a.phase != b.phase {
			return a.phase - b.phase
		}
		return a.seq - b.seq
	})
}

func (m *model) cancel(id int) bool {
	i := slices.IndexFunc(m.items, func(it item) bool { return it.id == id })
	if i < 0 {
		return false
	}
	m.items = slices.Delete(m.items, i, i+1)
	return true
}

func TestQueueAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		var m model
		evs := make([]Event, rapid.IntRange(1, 40).Draw(t, "events"))
		ids := map[*Event]int{}
		for i := range evs {
			ids[&evs[i]] = i
		}
		pick := rapid.IntRange(0, len(evs)-1)
		check := func() {
			if q.Len() != len(m.items) {
				t.Fatalf("Len = %d, want %d", q.Len(), len(m.items))
			}
			at, ok := q.Next()
			if ok != (len(m.items) > 0) {
				t.Fatalf("Next ok = %t with %d events", ok, len(m.items))
			}
			if ok && int(at) != m.items[0].at {
				t.Fatalf("Next = %d, want %d", at, m.items[0].at)
			}
		}
		steps := rapid.IntRange(1, 200).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1, 2:
				i := pick.Draw(t, "arm")
				at, phase := rapid.IntRange(0, 20).Draw(t, "at"), rapid.IntRange(0, 3).Draw(t, "phase")
				q.Arm(&evs[i], int64(at), phase)
				m.arm(i, at, phase)
				if !evs[i].Armed() || evs[i].At() != int64(at) {
					t.Fatalf("event %d armed for %d: Armed %t, At %d", i, at, evs[i].Armed(), evs[i].At())
				}
			case 3:
				i := pick.Draw(t, "cancel")
				if got, want := q.Cancel(&evs[i]), m.cancel(i); got != want {
					t.Fatalf("Cancel(%d) = %t, want %t", i, got, want)
				}
				if evs[i].Armed() {
					t.Fatalf("event %d is armed after Cancel", i)
				}
			case 4:
				e := q.Pop()
				if e == nil {
					if len(m.items) > 0 {
						t.Fatalf("Pop = nil with %d events", len(m.items))
					}
					continue
				}
				if len(m.items) == 0 || ids[e] != m.items[0].id {
					t.Fatalf("Pop = event %d, want the first of %v", ids[e], m.items)
				}
				m.items = m.items[1:]
			case 5:
				// Only sometimes: Next closes the hole that Pop leaves, and both states need testing.
				check()
			}
		}
		for len(m.items) > 0 {
			if e := q.Pop(); ids[e] != m.items[0].id {
				t.Fatalf("draining: Pop = event %d, want %d", ids[e], m.items[0].id)
			}
			m.items = m.items[1:]
		}
		check()
	})
}

func TestArmAllocatesNothing(t *testing.T) {
	var q Queue
	evs := make([]Event, 100)
	for i := range evs {
		q.Arm(&evs[i], int64(i), 0)
	}
	at := int64(100)
	n := testing.AllocsPerRun(1000, func() {
		e := q.Pop()
		at++
		q.Arm(e, at, 1)
		q.Arm(&evs[at%100], at+7, 0)
		q.Cancel(&evs[at%100])
		q.Arm(&evs[at%100], at+9, 0)
	})
	if n != 0 {
		t.Errorf("%v allocations per round, want 0", n)
	}
}

func TestArmRefusesNonsense(t *testing.T) {
	for _, tc := range []struct {
		name  string
		at    int64
		phase int
	}{
		{"negative time", -1, 0},
		{"phase too large", 0, MaxPhase + 1},
		{"negative phase", 0, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			var q Queue
			q.Arm(&Event{}, tc.at, tc.phase)
		})
	}
}

// boxed is the same workload on container/heap, for comparison.
type boxed []item

func (b boxed) Len() int { return len(b) }
func (b boxed) Less(i, j int) bool {
	if b[i].at != b[j].at {
		return b[i].at < b[j].at
	}
	return b[i].seq < b[j].seq
}
func (b boxed) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b *boxed) Push(x any)   { *b = append(*b, x.(item)) }
func (b *boxed) Pop() any {
	o := *b
	x := o[len(o)-1]
	*b = o[:len(o)-1]
	return x
}

var sizes = []int{8, 100, 1024, 100_000}

// BenchmarkHold is the classic hold model: take the earliest event out, put it back later.
func BenchmarkHold(b *testing.B) {
	delays := make([]int64, 4096)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range delays {
		delays[i] = int64(r.ExpFloat64() * 1e6)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("queue/events=%d", n), func(b *testing.B) {
			var q Queue
			evs := make([]Event, n)
			for i := range evs {
				q.Arm(&evs[i], delays[i%len(delays)], 0)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				e := q.Pop()
				i++
				q.Arm(e, e.At()+delays[i%len(delays)], 0)
			}
		})
		b.Run(fmt.Sprintf("container-heap/events=%d", n), func(b *testing.B) {
			var h boxed
			for i := range n {
				heap.Push(&h, item{at: int(delays[i%len(delays)]), seq: i})
			}
			b.ReportAllocs()
			i := n
			for b.Loop() {
				x := heap.Pop(&h).(item)
				i++
				x.at += int(delays[i%len(delays)])
				x.seq = i
				heap.Push(&h, x)
			}
		})
	}
}

// BenchmarkRearm moves an armed event, as a context switch does with the end of a CPU's time slice.
func BenchmarkRearm(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			var q Queue
			evs := make([]Event, n)
			for i := range evs {
				q.Arm(&evs[i], int64(i*997%n), 0)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				q.Arm(&evs[i*7%n], int64(i*991%n), 0)
			}
		})
	}
}

// TestNextIs: it sees the earliest event, with the root in place and right after Pop.
func TestNextIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue
		evs := make([]Event, rapid.IntRange(0, 12).Draw(t, "events"))
		for i := range evs {
			evs[i].Tag = int32(rapid.IntRange(0, 1).Draw(t, "tag"))
			q.Arm(&evs[i], int64(rapid.IntRange(0, 2).Draw(t, "at")), rapid.IntRange(0, 1).Draw(t, "phase"))
		}
		type key struct {
			at    int64
			phase int
			tag   int32
		}
		for range evs {
			var is []key
			for at := range int64(3) {
				for phase := range 2 {
					for tag := range int32(2) {
						if q.NextIs(at, phase, tag) {
							is = append(is, key{at, phase, tag})
						}
					}
				}
			}
			if len(is) != 1 {
				t.Fatalf("%d answers for the next of %d events: %v", len(is), q.Len(), is)
			}
			if e := q.Pop(); is[0].at != e.At() || is[0].tag != e.Tag {
				t.Fatalf("next is said to be %v, popped one at %d with tag %d", is[0], e.At(), e.Tag)
			}
		}
		if q.NextIs(0, 0, 0) {
			t.Fatal("an empty queue has a next event")
		}
	})
}
