package ext

import (
	"errors"
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// A policy without cpu_online and cpu_offline is asked to start anew when a CPU comes or goes, with the kernel's code and
// text (handle_hotplug).
func TestHandleHotplug(t *testing.T) {
	for _, tc := range []struct {
		name            string
		online, offline bool // the policy has the callback
		want            string
		calls           string
	}{
		{"neither", false, false, "cpu 1 going offline, exiting scheduler", ""},
		{"online only", true, false, "cpu 1 going offline, exiting scheduler", ""},
		{"offline only", false, true, "cpu 1 going online, exiting scheduler", "offline 1"},
		{"both", true, true, "", "offline 1\nonline 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{topo: "1n1l2c1t"})
			var log []string
			tb := fifoTable(r.k)
			if tc.online {
				tb.CPUOnline = func(cpu sim.CPU) { log = append(log, fmt.Sprint("online ", cpu)) }
			}
			if tc.offline {
				tb.CPUOffline = func(cpu sim.CPU) { log = append(log, fmt.Sprint("offline ", cpu)) }
			}
			for i := range 4 {
				r.spawn(sim.TaskSpec{Comm: fmt.Sprint("t", i), Behavior: hog()})
			}
			r.enable(tb)
			r.run(ms(5))
			must(t, r.m.CPUDown(1))
			r.run(ms(50))
			if r.m.Online(1) {
				t.Fatal("CPU 1 is online")
			}
			r.m.Tasks(func(p *sim.Task) {
				if p.CPU() != 0 {
					t.Errorf("%v is on CPU %d", p, p.CPU())
				}
			})
			before := r.m.BusyTime(1)
			r.run(ms(80))
			if r.m.BusyTime(1) != before {
				t.Error("CPU 1 works while it is offline")
			}
			must(t, r.m.CPUUp(1))
			r.run(ms(120))
			if r.k.State() == ops.Enabled && r.m.BusyTime(1)-before < 35*sim.Millisecond {
				t.Errorf("CPU 1 has worked for %v in 40ms", r.m.BusyTime(1)-before)
			}
			diffLog(t, "callbacks", log, tc.calls)
			info := r.k.ExitInfo()
			if tc.want == "" {
				if info != nil {
					t.Errorf("exit %+v", info)
				}
				checkProgress(t, r, "ext")
				return
			}
			if info == nil || info.Kind != ops.ExitUnregKern || info.ExitCode != ops.ECodeActRestart|ops.ECodeRsnHotplug || info.Msg != tc.want {
				t.Errorf("exit %+v", info)
			}
			checkProgress(t, r, "fair")
		})
	}
}

// A policy that was prepared before a CPU came or went is not enabled (check_hotplug_seq).
func TestHotplugSeq(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c1t"})
	seq := r.k.HotplugSeq()
	must(t, r.m.CPUDown(1))
	r.run(ms(1))
	must(t, r.m.CPUUp(1))
	if got := r.k.HotplugSeq(); got != seq+2 {
		t.Errorf("hotplug_seq %d, was %d", got, seq)
	}
	tb := fifoTable(r.k)
	tb.HotplugSeq = seq + 1
	if err := r.k.Enable(tb); err == nil {
		t.Error("enabled")
	}
	if i := r.k.ExitInfo(); i == nil || i.Kind != ops.ExitUnregKern || i.ExitCode != ops.ECodeActRestart|ops.ECodeRsnHotplug ||
		i.Msg != fmt.Sprintf("expected hotplug seq %d did not match actual %d", seq+1, seq+2) {
		t.Errorf("exit %+v", i)
	}
	tb.HotplugSeq = seq + 2
	must(t, r.k.Enable(tb))
}

// A CPU on its way offline no longer asks the policy for tasks: those in its queues go through its local DSQ and away
// (rq_offline_scx, balance_push). A task that may run nowhere else gets all CPUs (select_fallback_rq).
func TestRQOffline(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l4c1t"})
	var late []sim.CPU
	down := false
	tb := fifoTable(r.k)
	dispatch := tb.Dispatch
	tb.Dispatch = func(cpu sim.CPU, prev *sim.Task) {
		if down && cpu == 3 {
			late = append(late, cpu)
		}
		dispatch(cpu, prev)
	}
	tb.CPUOffline = func(sim.CPU) {}
	tb.CPUOnline = func(sim.CPU) {}
	bound := r.spawn(sim.TaskSpec{Comm: "bound", CPUs: []sim.CPU{3}, Behavior: hog()})
	bound2 := r.spawn(sim.TaskSpec{Comm: "bound2", CPUs: []sim.CPU{3}, Behavior: napper()})
	for i := range 6 {
		r.spawn(sim.TaskSpec{Comm: fmt.Sprint("t", i), Behavior: hog()})
	}
	r.enable(tb)
	r.run(ms(30))
	must(t, r.m.CPUDown(3))
	down = true
	for at := int64(31); at < 200; at++ {
		r.run(ms(at))
		if err := r.k.check(); err != nil {
			t.Fatal(err)
		}
	}
	if len(late) > 0 {
		t.Errorf("dispatch was called %d times for the offline CPU", len(late))
	}
	for _, p := range []*sim.Task{bound, bound2} {
		if p.CPU() == 3 || p.K.NrCPUsAllowed() != 4 {
			t.Errorf("%v is on CPU %d and may use %d CPUs", p, p.CPU(), p.K.NrCPUsAllowed())
		}
	}
	checkProgress(t, r, "ext")
	down = false
	must(t, r.m.CPUUp(3))
	before := r.m.BusyTime(3)
	r.run(r.m.Now().Add(100 * sim.Millisecond))
	if r.m.BusyTime(3)-before < 90*sim.Millisecond {
		t.Errorf("CPU 3 has worked for %v in 100ms", r.m.BusyTime(3)-before)
	}
}

// What cannot go offline, or online, is refused.
func TestHotplugRefused(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c1t"})
	for _, tc := range []struct {
		name string
		do   func() error
		want sim.Errno
	}{
		{"boot CPU", func() error { return r.m.CPUDown(0) }, sim.ENOENT},
		{"no such CPU", func() error { return r.m.CPUDown(2) }, sim.ENODEV},
		{"no such CPU to bring up", func() error { return r.m.CPUUp(-1) }, sim.ENODEV},
		{"online already", func() error { return r.m.CPUUp(1) }, sim.EINVAL},
		{"down", func() error { return r.m.CPUDown(1) }, 0},
		{"twice", func() error { return r.m.CPUDown(1) }, sim.EBUSY},
		{"up on the way", func() error { return r.m.CPUUp(1) }, sim.EBUSY},
		{"offline already", func() error { r.run(ms(1)); return r.m.CPUDown(1) }, sim.EINVAL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.do(); tc.want == 0 && err != nil || tc.want != 0 && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}
