package ext

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// TestSelectCPUDfl: the built-in pick on machines where some CPUs are idle. CPUs of "1n2l2c2t" by LLC and core: LLC 0
// has cores {0,4} and {1,5}, LLC 1 has {2,6} and {3,7}.
func TestSelectCPUDfl(t *testing.T) {
	for _, tc := range []struct {
		name  string
		topo  string
		flags uint64 // of the policy
		idle  []sim.CPU
		cpus  []sim.CPU // of the task; nil: all
		prev  sim.CPU
		wake  uint64
		pick  uint64 // SCX_PICK_IDLE_*
		want  sim.CPU
		next  sim.CPU // of a second pick right after
	}{
		{"previous CPU is idle", "1n1l4c1t", 0, []sim.CPU{1, 2, 3}, nil, 2, 0, 0, 2, 1},
		{"previous CPU is busy: goes round from 1", "1n1l4c1t", 0, []sim.CPU{1, 3}, nil, 2, 0, 0, 1, 3},
		{"none is idle", "1n1l4c1t", 0, nil, nil, 2, 0, 0, -16, -16},
		{"affinity", "1n1l4c1t", 0, []sim.CPU{1, 3}, []sim.CPU{0, 3}, 0, 0, 0, 3, -16},
		{"whole core before previous CPU", "1n2l2c2t", 0, []sim.CPU{0, 1, 5}, nil, 0, 0, 0, 1, 0},
		{"previous CPU of a whole core", "1n2l2c2t", 0, []sim.CPU{1, 5, 2, 6}, nil, 5, 0, 0, 5, 2},
		{"whole core of another LLC before part of one here", "1n2l2c2t", 0, []sim.CPU{5, 2, 6}, nil, 0, 0, 0, 2, 5},
		{"sibling before the LLC", "1n2l2c2t", 0, []sim.CPU{4, 5}, nil, 0, 0, 0, 4, 5},
		{"LLC before others", "1n2l2c2t", 0, []sim.CPU{2, 5}, nil, 0, 0, 0, 5, 2},
		{"whole cores only", "1n2l2c2t", 0, []sim.CPU{0, 5}, nil, 0, 0, ops.PickIdleCore, -16, -16},
		{"NUMA node before others", "2n2l1c1t", 0, []sim.CPU{1, 2, 3}, nil, 0, 0, 0, 1, 2},
		{"node by node", "2n1l2c1t", ops.FlagBuiltinIdlePerNode, []sim.CPU{0, 1, 3}, nil, 2, 0, 0, 3, 0},
		{"this node only", "2n1l2c1t", ops.FlagBuiltinIdlePerNode, []sim.CPU{0, 1}, nil, 2, 0, ops.PickIdleInNode, -16, -16},
		// The waker is CPU 0; these are its rules.
		{"sync: previous CPU shares the cache", "1n1l4c1t", 0, []sim.CPU{1, 2}, nil, 2, ops.WakeSync, 0, 2, 0},
		{"sync: the waker's CPU", "1n2l2c1t", 0, []sim.CPU{1, 2}, nil, 3, ops.WakeSync, 0, 0, 0},
		{"sync: machine is full", "1n1l4c1t", 0, nil, nil, 2, ops.WakeSync, 0, -16, -16},
		{"sync: the waker's CPU is not allowed", "1n2l2c1t", 0, []sim.CPU{1, 2}, []sim.CPU{2, 3}, 3, ops.WakeSync, 0, 2, -16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{topo: tc.topo})
			tb := fifoTable(r.k)
			tb.Flags = tc.flags
			r.enable(tb)
			p := r.spawn(sim.TaskSpec{Comm: "t", CPUs: tc.cpus, Start: ms(1), Behavior: hog()})
			for i := range r.k.rqs {
				r.k.updateBuiltinIdle(sim.CPU(i), false)
			}
			for _, c := range tc.idle {
				r.k.updateBuiltinIdle(c, true)
			}
			pick := func() sim.CPU { return r.k.selectCPUDfl(p, tc.prev, tc.wake, nil, tc.pick) }
			if got, next := pick(), pick(); got != tc.want || next != tc.next {
				t.Errorf("picked %d and then %d, want %d and %d", got, next, tc.want, tc.next)
			}
		})
	}
}

// TestSelectCPUAnd: the pick within a mask.
func TestSelectCPUAnd(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l4c1t"})
	r.enable(fifoTable(r.k))
	p := r.spawn(sim.TaskSpec{Comm: "t", CPUs: []sim.CPU{0, 1, 2}, Start: ms(1), Behavior: hog()})
	q := r.spawn(sim.TaskSpec{Comm: "q", CPUs: []sim.CPU{3}, Start: ms(1), Behavior: hog()})
	mask := r.k.newMask()
	mask.Set(2)
	mask.Set(3)
	got := []int32{
		r.k.SelectCPUAnd(p, 0, 0, mask, 0), // 2
		r.k.SelectCPUAnd(p, 0, 0, mask, 0), // 3 is not p's
		r.k.SelectCPUAnd(q, 0, 0, mask, 0), // its only CPU
		r.k.SelectCPUAnd(q, 0, 0, mask, 0), // taken
		r.k.SelectCPUAnd(q, 9, 0, mask, 0), // ends the policy
	}
	if d := cmp.Diff([]int32{2, -EBUSY, 3, -EBUSY, -EINVAL}, got); d != "" {
		t.Error(d)
	}
	r.run(1)
	if e := r.k.ExitInfo(); e == nil || e.Msg != "invalid CPU 9" {
		t.Errorf("exit %+v", e)
	}
}

// TestIdleMasks: the masks follow what the CPUs do, and ops.update_idle tells each change once.
func TestIdleMasks(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c2t"})
	state := map[sim.CPU]bool{}
	tb := fifoTable(r.k)
	tb.Flags = ops.FlagKeepBuiltinIdle
	tb.UpdateIdle = func(cpu sim.CPU, idle bool) {
		if was, ok := state[cpu]; ok && was == idle {
			t.Errorf("cpu %d: idle %t twice", cpu, idle)
		}
		state[cpu] = idle
		if r.k.IdleCPUMask().Test(int32(cpu)) != idle {
			t.Errorf("cpu %d: idle %t and mask disagree", cpu, idle)
		}
	}
	r.enable(tb)
	masks := func() [2]uint64 {
		return [2]uint64{r.k.IdleCPUMask().Words()[0], r.k.IdleSMTMask().Words()[0]}
	}
	want := func(when string, cpus, smt uint64) {
		t.Helper()
		if got := masks(); got != [2]uint64{cpus, smt} {
			t.Errorf("%s: idle %04b, cores %04b, want %04b, %04b", when, got[0], got[1], cpus, smt)
		}
	}
	want("attach", 0b1111, 0b1111)
	r.spawn(sim.TaskSpec{Comm: "t", CPUs: []sim.CPU{1}, Behavior: &steps{once: true, list: []sim.Step{run(10 * sim.Millisecond)}}})
	r.run(ms(5))
	want("CPU 1 busy", 0b1101, 0b0101)
	if !r.k.TestAndClearCPUIdle(0) || r.k.TestAndClearCPUIdle(0) {
		t.Error("CPU 0 is claimed not once")
	}
	want("CPU 0 claimed", 0b1100, 0)
	r.k.KickCPU(0, ops.KickIdle) // nothing to do: it goes back to idle, silently
	r.run(ms(6))
	want("CPU 0 kicked", 0b1101, 0b0101)
	r.run(ms(20))
	want("CPU 1 idle", 0b1111, 0b1111)
	if got := r.k.PickAnyCPU(r.k.PossibleCPUMask(), 0); got < 0 {
		t.Errorf("any CPU: %d", got)
	}
	if got := r.k.PickIdleCPU(r.k.idle.none, 0); got != -EBUSY {
		t.Errorf("idle CPU of none: %d", got)
	}
	if got := r.k.PickAnyCPU(r.k.idle.none, 0); got != -EBUSY {
		t.Errorf("any CPU of none: %d", got)
	}
}

// TestBypassBalance: in bypass mode, CPUs with many waiting tasks give some to those without.
func TestBypassBalance(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c1t"})
	r.enable(fifoTable(r.k))
	var tasks []*sim.Task
	for range 100 {
		p := r.spawn(sim.TaskSpec{Comm: "t", CPUs: []sim.CPU{0}, Behavior: hog()})
		tasks = append(tasks, p)
	}
	r.k.scxBypass(r.k.sch, true)
	for _, p := range tasks {
		if err := r.m.SetAffinity(p, []sim.CPU{0, 1}); err != nil {
			t.Fatal(err)
		}
	}
	r.run(ms(400))
	if n := r.k.rqs[1].nrRunning; n != 0 {
		t.Errorf("%d tasks on CPU 1 before the balancer ran", n)
	}
	r.run(ms(2000))
	if err := r.k.check(); err != nil {
		t.Error(err)
	}
	// A donor keeps up to 125 % of the mean and what is not worth moving: 25 slices of 5 ms are 125 ms.
	if n := r.k.rqs[1].nrRunning; n == 0 || r.m.BusyTime(1) < 1200*sim.Millisecond {
		t.Errorf("%d tasks on CPU 1, busy %v", n, r.m.BusyTime(1))
	}
	r.k.scxBypass(r.k.sch, false)
	r.run(ms(2100))
	if err := r.k.check(); err != nil {
		t.Error(err)
	}
	if d := r.k.Events().BypassDuration; d != 2_000_000_000 {
		t.Errorf("bypass lasted %d ns", d)
	}
}
