package sim

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim/topo"
)

// only is a class that queues nothing: CPUs run their idle tasks.
type only struct{ m *Machine }

func (only) Name() string                        { return "idle" }
func (only) Enqueue(CPU, *Task, EnqFlags)        {}
func (only) Dequeue(CPU, *Task, DeqFlags) bool   { return true }
func (o only) Pick(cpu CPU, _ *Task) *Task       { return o.m.IdleTask(cpu) }
func (only) PutPrev(CPU, *Task, *Task)           {}
func (only) SetNext(CPU, *Task, bool)            {}
func (only) Tick(CPU, *Task)                     {}
func (only) SelectCPU(*Task, CPU, WakeFlags) CPU { return 0 }

// TestTurns: with all CPUs busy, the turns of 20 us are those in which the events of recorded runs lie by their time modulo 20 us.
func TestTurns(t *testing.T) {
	type turn struct {
		CPU    CPU
		Length Duration
	}
	for _, tc := range []struct {
		name   string
		cpus   int
		insnPS int64
		skip   int // until the pattern repeats
		want   []turn
	}{
		{"one", 1, 2000, 0, []turn{{0, 20_000}, {0, 20_000}}},
		{"two", 2, 2000, 3, []turn{{0, 10_000}, {1, 5000}, {0, 2500}, {1, 2500}, {0, 10_000}}},
		{"four", 4, 2000, 8, []turn{{2, 5000}, {3, 3750}, {0, 2812}, {1, 2812}, {2, 2812}, {3, 2812}, {0, 2}, {2, 5000}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tp, err := topo.Flat(tc.cpus)
			if err != nil {
				t.Fatal(err)
			}
			m, err := New(Config{Topo: tp, Turn: 20 * Microsecond, Costs: Costs{InsnPS: tc.insnPS}, Classes: func(m *Machine) []Class { return []Class{only{m}} }})
			if err != nil {
				t.Fatal(err)
			}
			for i := range m.cpus {
				m.cpus[i].owed = Second // as after a long path
			}
			m.turns.want()
			var got []turn
			for len(got) < tc.skip+len(tc.want) {
				at, ok := m.q.Next()
				if !ok {
					t.Fatal("nothing happens")
				}
				m.now = Time(at)
				holder := m.turns.holder
				began := m.turns.started
				m.q.Pop().Fire()
				if holder != NoCPU {
					got = append(got, turn{holder, m.now.Sub(began)})
				}
			}
			if d := cmp.Diff(tc.want, got[tc.skip:]); d != "" {
				t.Error(d, got)
			}
		})
	}
}

// TestTurnBounds: the timer that bounds turns comes at the times that the configuration says.
func TestTurnBounds(t *testing.T) {
	const turn, second = 20 * Microsecond, Time(Second)
	for _, tc := range []struct {
		name      string
		at        Time
		ppb       int64
		now, want Time
	}{
		{"from the beginning", 0, 0, 0, 20_000},
		{"at one", 0, 0, 20_000, 40_000},
		{"before the given one", 400_007_000, 0, 0, 7000},
		{"just before the given one", 400_007_000, 0, 400_006_999, 400_007_000},
		{"after the given one", 7000, 0, second, second + 7000},
		{"each a little later", 0, 1000, second - 20_000, second - 19_000 + 20},
		{"each a little later, before", second, 1000, 0, 19_000},
		{"each a little earlier", 0, -1000, second - 1000, second + 19_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &turns{length: turn, origin: tc.at, ppb: tc.ppb}
			got := s.boundAfter(tc.now)
			if d := got - tc.want; d < -50 || d > 50 || tc.ppb == 0 && d != 0 {
				t.Errorf("%d, want %d", got, tc.want)
			}
			if next := s.boundAfter(got); next-got < 19_999 || next-got > 20_001 {
				t.Errorf("%d, then %d", got, next)
			}
		})
	}
}

// TestCompute: when a task that computes by its clock looks at it again, with looks every 1.6 us.
func TestCompute(t *testing.T) {
	const us = Microsecond
	for _, tc := range []struct {
		name      string
		left, ran Duration // what its clock lacks at a look, and what it executes from there
		want      Duration // until the next look
	}{
		{"far from the end", 10 * us, us, 600},
		{"after three looks", 10 * us, 5 * us, 1400},
		{"at a look", 10 * us, 3200, 0},
		{"half of what is left", 3 * us, us, 500},
		{"half of half", 3 * us, 2 * us, 250},
		{"no longer halved", 150, 100, 50},
		{"at the end", 3 * us, 3 * us, 0},
		{"looked after the end", -us, us, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &turns{look: 1600}
			for _, parts := range []Duration{1, 3, tc.ran} {
				task := &Task{}
				for done := Duration(0); done < tc.ran; {
					d := min((tc.ran+parts-1)/parts, tc.ran-done)
					done += d
					s.compute(task, d, tc.left-done)
				}
				if task.lookIn != tc.want {
					t.Errorf("in pieces of %v: %v, want %v", (tc.ran+parts-1)/parts, task.lookIn, tc.want)
				}
			}
		})
	}
}
