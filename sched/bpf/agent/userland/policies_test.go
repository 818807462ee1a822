package userland

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// Messages leave the heap by deadline, then by arrival, then by pid.
func TestHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &deadline{}
		var in []message
		for i := range rapid.IntRange(0, 200).Draw(t, "n") {
			m := message{pid: int32(i), deadline: rapid.Uint64Range(0, 20).Draw(t, "deadline"), arrive: rapid.Uint64Range(0, 3).Draw(t, "arrive")}
			in = append(in, m)
			d.push(m)
		}
		slices.SortFunc(in, func(a, b message) int {
			if a.before(&b) {
				return -1
			}
			return 1
		})
		for i, want := range in {
			m, ok := d.pick(nil, true)
			if !ok || m != want {
				t.Fatalf("%d: %+v, want %+v", i, m, want)
			}
		}
		if _, ok := d.pick(nil, true); ok || d.len() != 0 {
			t.Fatal("more than went in")
		}
	})
}

// The list is in order of virtual time whatever comes, a task stands in it once, and one that waited long gets no credit.
func TestList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &queueWorker{cost: queueCosts(), tasks: map[int32]*listed{}, pid: place{0, 4}, sumExec: place{8, 8}, weight: place{16, 8}}
		ran := map[int32]uint64{}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if w.first != nil && rapid.Bool().Draw(t, "take") {
				x := w.first
				w.minVruntime = x.vruntime
				w.remove(x)
				continue
			}
			pid := rapid.Int32Range(1, 20).Draw(t, "pid")
			ran[pid] += rapid.Uint64Range(0, 1e7).Draw(t, "ran")
			b := make([]byte, 24)
			binary.LittleEndian.PutUint32(b, uint32(pid))
			binary.LittleEndian.PutUint64(b[8:], ran[pid])
			binary.LittleEndian.PutUint64(b[16:], rapid.Uint64Range(1, 10000).Draw(t, "weight"))
			if cost := w.insert(b); cost < 0 || cost > sim.Duration(w.waiting)*w.cost.Pass {
				t.Fatalf("cost %v of %d", cost, w.waiting)
			}
			if w.tasks[pid].vruntime < w.minVruntime {
				t.Fatalf("pid %d: %d, before %d", pid, w.tasks[pid].vruntime, w.minVruntime)
			}
		}
		seen := map[int32]bool{}
		n := 0
		for x := w.first; x != nil; x = x.next {
			if seen[x.pid] || x.next != nil && (x.next.vruntime < x.vruntime || x.next.prev != x) {
				t.Fatalf("pid %d out of place", x.pid)
			}
			seen[x.pid] = true
			n++
		}
		if n != w.waiting {
			t.Fatalf("%d in the list, %d said", n, w.waiting)
		}
	})
}

// Virtual time and deadline of scx_rustland: what a task is told to have run counts by its weight, and sleepers get credit for
// one slice at most.
func TestDeadline(t *testing.T) {
	w := &ringWorker{slice: 20 * sim.Millisecond, sliceMin: sim.Millisecond}
	for _, tc := range []struct {
		name               string
		now                uint64 // virtual time of all
		m                  message
		vtime, dead, slice uint64
	}{
		{"new", 5e9, message{weight: 100}, 5e9, 5e9, 1e6},
		{"ran", 5e9, message{weight: 100, vtime: 5e9, start: 10, stop: 10 + 3e6, exec: 4e6}, 5e9 + 3e6, 5e9 + 7e6, 1e6},
		{"light", 5e9, message{weight: 50, vtime: 5e9, start: 10, stop: 10 + 3e6}, 5e9 + 6e6, 5e9 + 6e6, 5e5},
		{"slept", 5e9, message{weight: 100, vtime: 1e9}, 5e9 - 2e7, 5e9 - 2e7, 1e6},
		{"much", 5e9, message{weight: 100, vtime: 5e9, exec: 1e12}, 5e9, 5e9 + 2e9, 1e6},
		{"stopped before it started", 1, message{weight: 100, vtime: 9, start: 10, stop: 3}, 9, 9, 1e6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &deadline{vruntime: tc.now}
			m := tc.m
			d.took(w, &m, 0)
			if m.vtime != tc.vtime || m.deadline != tc.dead || m.slice != tc.slice {
				t.Errorf("vtime %d, deadline %d, slice %d; want %d, %d, %d", m.vtime, m.deadline, m.slice, tc.vtime, tc.dead, tc.slice)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		name, kind string
		args       map[string]any
		want       string // of the error; "" for none
	}{
		{"none", "userland", nil, ""},
		{"all", "userland", map[string]any{"turn": "1us", "take": int64(5), "pass": 1, "select": uint64(7), "give": "3ns", "batch": 2, "comm": "x"}, ""},
		{"slices", "rustland", map[string]any{"slice": "10ms", "slice_min": "500us"}, ""},
		{"nobody", "rustlnd", nil, `no user-space scheduler "rustlnd"; did you mean "rustland"?`},
		{"mistyped", "rlfifo", map[string]any{"slise": 5}, `agent rlfifo: "slise" is no setting of it; did you mean "slice"?`},
		{"not its", "rlfifo", map[string]any{"batch": 5}, `agent rlfifo: "batch" is no setting of it`},
		{"nothing", "userland", map[string]any{"take": 0}, "agent userland: take: 0, want 1 or more, and at most a second where it is a time"},
		{"forever", "userland", map[string]any{"take": "2s"}, "agent userland: take: 2s, want 1 or more, and at most a second where it is a time"},
		{"text", "userland", map[string]any{"turn": "soon"}, "agent userland: turn: soon, want a duration such as 300ns"},
		{"number", "userland", map[string]any{"comm": 7}, "agent userland: comm: 7, want a name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(tc.kind, tc.args)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}
