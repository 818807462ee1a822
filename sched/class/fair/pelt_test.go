package fair

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

const ms = 1_000_000

// TestPELTDecay checks the averages against the geometric series in floating point: half after 32 periods.
func TestPELTDecay(t *testing.T) {
	for _, tc := range []struct {
		name    string
		on, off int64 // ns queued and running, then sleeping
		want    float64
	}{
		{"one half-life", 32 * 1024 * 1024, 0, 512},
		{"two half-lives", 64 * 1024 * 1024, 0, 768},
		{"long", 2000 * ms, 0, 1024},
		{"long, then one half-life of sleep", 2000 * ms, 32 * 1024 * 1024, 512},
		{"long, then three", 2000 * ms, 96 * 1024 * 1024, 128},
		{"long sleep", 2000 * ms, 4000 * ms, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a loadAvg
			for now := int64(0); now <= tc.on; now += ms {
				if a.update(now, 1, 1, true) {
					a.average(1024)
				}
			}
			if a.update(tc.on, 1, 1, true) {
				a.average(1024)
			}
			if a.update(tc.on+tc.off, 0, 0, false) {
				a.average(1024)
			}
			for _, v := range []struct {
				name string
				got  uint64
			}{{"load", a.load}, {"runnable", a.runnable}, {"util", a.util}} {
				if math.Abs(float64(v.got)-tc.want) > 8 {
					t.Errorf("%s %d, want %.0f", v.name, v.got, tc.want)
				}
			}
		})
	}
}

// TestPELTSteps checks that the averages do not depend on how often they are updated, but for rounding.
func TestPELTSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, b loadAvg
		now := int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "phases") {
			on := rapid.Bool().Draw(t, "on")
			load := uint64(0)
			if on {
				load = 1
			}
			end := now + rapid.Int64Range(1, 20*ms).Draw(t, "length")
			b.update(end, load, load, on)
			for now < end {
				now = min(end, now+rapid.Int64Range(1024, 5*ms).Draw(t, "step"))
				a.update(now, load, load, on)
			}
		}
		a.average(1024)
		b.average(1024)
		if d := int64(a.util) - int64(b.util); abs(d) > 3 {
			t.Fatalf("util %d in many steps, %d in few", a.util, b.util)
		}
		if a.util > 1024 || a.load > 1024 {
			t.Fatalf("util %d, load %d beyond 1024", a.util, a.load)
		}
	})
}

// TestAttach checks that a runqueue's averages are the sum of its entities' as they come and go.
func TestAttach(t *testing.T) {
	r := testQueue(1, Options{})
	a, b := testEntity(1024<<10), testEntity(335<<10)
	a.avg.util, b.avg.util = 400, 200
	for _, e := range []*entity{a, b} {
		r.updateAvg(0)
		r.attach(e)
	}
	if r.avg.load != 1024+335 || r.avg.util != 600 {
		t.Errorf("load %d, util %d after attaching, want 1359 and 600", r.avg.load, r.avg.util)
	}
	r.detach(a, 0)
	if r.avg.load != 335 || r.avg.util != 200 {
		t.Errorf("load %d, util %d after detaching, want 335 and 200", r.avg.load, r.avg.util)
	}
	r.detach(a, 0) // nothing left to take
	r.detach(b, 3*1024*ms)
	if r.avg.load != 0 || r.avg.util != 0 || b.avg.load != 0 {
		t.Errorf("load %d, util %d, entity %d after three seconds asleep, want 0", r.avg.load, r.avg.util, b.avg.load)
	}
}

// TestUtilEst follows the estimate over activations: up at once, down by a quarter of the difference.
func TestUtilEst(t *testing.T) {
	r := testQueue(1, Options{})
	e := testEntity(nice0Load)
	for _, s := range []struct{ util, runnable, want uint64 }{
		{400, 400, 400}, {600, 600, 600}, {200, 200, 500}, {495, 495, 500}, {100, 300, 500}, {100, 100, 400},
	} {
		e.avg.est &^= utilUnchanged
		e.avg.util, e.avg.runnable = s.util, s.runnable
		r.estUpdate(e)
		if got := e.avg.est &^ utilUnchanged; uint64(got) != s.want {
			t.Errorf("estimate %d after an activation of %d, want %d", got, s.util, s.want)
		}
	}
}
