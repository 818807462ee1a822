package class_test

import (
	"errors"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
)

// TestSetServer: what the files of debugfs say is what the class below gets, whether they are written before or after it is
// starved. The bandwidth is that of both, also of a class that has none attached.
func TestSetServer(t *testing.T) {
	ms := sim.Millisecond
	for _, tc := range []struct {
		name            string
		ext, late       bool
		runtime, period sim.Duration
		share, within   float64
	}{
		{"a fifth", false, false, 200 * ms, sim.Second, 0.2, 0.01},
		{"short periods", false, false, 20 * ms, 100 * ms, 0.2, 0.01},
		{"of sched_ext", true, false, 200 * ms, sim.Second, 0.2, 0.01},
		{"off", false, false, 0, sim.Second, 0, 0},
		{"of sched_ext, off", true, false, 0, sim.Second, 0, 0},
		{"off while it runs", false, true, 0, sim.Second, 0, 0},
		{"more while it runs", false, true, 300 * ms, sim.Second, 0.3, 0.02},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2)
			below := sim.Class(r.m.ClassByName("fair"))
			if tc.ext {
				r.enable(&ops.Table{})
				below = r.c.Ext
			}
			set := func() {
				if err := r.m.SetServer(1, below, tc.runtime, tc.period); err != nil {
					t.Fatal(err)
				}
			}
			if !tc.late {
				set()
			}
			rt := fifo("fifo", 50, hog())
			rt.CPUs = []sim.CPU{1}
			r.spawn(rt)
			lo := r.spawn(sim.TaskSpec{Comm: "low", CPUs: []sim.CPU{1}, Behavior: hog()})
			r.run(3 * sim.Second)
			if tc.late {
				set()
			}
			before := r.m.CPUTime(lo)
			r.run(13 * sim.Second)
			near(t, "share of the task below", float64(r.m.CPUTime(lo)-before)/float64(10*sim.Second), tc.share, tc.within)
			server := int64(50) << 20 / 1000
			if got, want := r.c.DL.TotalBW(), server+int64(tc.runtime)<<20/int64(tc.period); got != want {
				t.Errorf("bandwidth %d, want %d", got, want)
			}
		})
	}
}

// TestSetServerRefused: what the files of debugfs do not take changes nothing.
func TestSetServerRefused(t *testing.T) {
	ms := sim.Millisecond
	for _, tc := range []struct {
		name            string
		cpu             sim.CPU
		runtime, period sim.Duration
		errno           sim.Errno
		do              func(r *rig)
	}{
		{"more than the period", 1, 200 * ms, 100 * ms, sim.EINVAL, nil},
		{"a short period", 1, 10 * sim.Microsecond, 99 * sim.Microsecond, sim.EINVAL, nil},
		{"a long period", 1, ms, 5 * sim.Second, sim.EINVAL, nil},
		{"negative", 1, -ms, sim.Second, sim.EINVAL, nil},
		{"no such CPU", 2, ms, sim.Second, sim.ENOENT, nil},
		{"no room", 1, 900 * ms, sim.Second, sim.EBUSY, func(r *rig) {
			r.spawn(deadline("dl", 89*ms, 100*ms, 0, hog()))
			r.spawn(deadline("dl", 80*ms, 100*ms, 0, hog()))
		}},
		{"offline", 1, ms, sim.Second, sim.EBUSY, func(r *rig) {
			if err := r.m.CPUDown(1); err != nil {
				r.Fatal(err)
			}
			r.run(sim.Second)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2)
			if tc.do != nil {
				tc.do(r)
			}
			before := r.c.DL.TotalBW()
			err := r.m.SetServer(tc.cpu, r.m.ClassByName("fair"), tc.runtime, tc.period)
			var op *sim.OpError
			if !errors.As(err, &op) || op.Errno != tc.errno {
				t.Errorf("got %v, want %v", err, tc.errno)
			}
			if r.c.DL.TotalBW() != before {
				t.Error("the bandwidth has changed")
			}
		})
	}
}

// TestNoServer: before 7.0 nothing keeps real-time tasks from starving those of sched_ext, and the servers of the fair class stay.
func TestNoServer(t *testing.T) {
	r := newRig(t, 2)
	r.c.Ext.SetOld(ext.Old{Server: true})
	base := r.c.DL.TotalBW()
	r.enable(&ops.Table{})
	if got := r.c.DL.TotalBW(); got != base {
		t.Errorf("bandwidth %d, want %d", got, base)
	}
	rt := fifo("fifo", 50, hog())
	rt.CPUs = []sim.CPU{1}
	r.spawn(rt)
	lo := r.spawn(sim.TaskSpec{Comm: "low", CPUs: []sim.CPU{1}, Behavior: hog()})
	r.run(5 * sim.Second)
	if ran := r.m.CPUTime(lo); ran != 0 {
		t.Errorf("the task below ran for %v", ran)
	}
}
