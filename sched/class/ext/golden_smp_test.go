package ext

import (
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// parting is the first callback on a CPU that differs from the recorded one.
type parting struct {
	cpu int
	at  int64  // ns from T0, as recorded
	op  string // as recorded
	why string
}

// twoCPUs is a recorded stream of two CPUs and where the simulator leaves it.
type twoCPUs struct {
	name, file string
	vtime      bool
	costs      sim.Costs
	part       []parting
}

// compare expects the recorded callbacks, in their order, on each CPU, up to the partings, and those to be where it is said.
func (tc *twoCPUs) compare(t *testing.T, cpus int, want []streamOp, at []int64, got []streamOp, gotAt []int64) {
	t.Helper()
	for cpu := range cpus {
		wantOps, wantAt := onCPU(want, at, cpu)
		gotOps, gotAt := onCPU(got, gotAt, cpu)
		n := 0
		for n < min(len(wantOps), len(gotOps)) && wantOps[n] == gotOps[n] {
			n++
		}
		near(t, gotOps[:n], gotAt, wantAt)
		var expect *parting
		for i := range tc.part {
			if tc.part[i].cpu == cpu {
				expect = &tc.part[i]
			}
		}
		switch {
		case n == len(wantOps) && expect == nil:
			if len(gotOps) > n {
				t.Errorf("CPU %d: %v at %v after the recorded callbacks", cpu, gotOps[n], sim.Time(gotAt[n]))
			}
		case n == len(wantOps):
			t.Errorf("CPU %d: equal, and not different at %v: %s", cpu, sim.Time(expect.at), expect.why)
		case expect == nil || wantAt[n] != expect.at || wantOps[n].String() != expect.op:
			here := "nothing"
			if n < len(gotOps) {
				here = fmt.Sprintf("%v at %v", gotOps[n], sim.Time(gotAt[n]))
			}
			t.Errorf("CPU %d: callback %d of %d at %d: recorded %q, here %s", cpu, n, len(wantOps), wantAt[n], wantOps[n], here)
		}
	}
}

// TestGoldenTwoCPUs replays two busy loops per CPU on two CPUs, with the kernel's own threads, under the recording schedulers.
//
// Which CPU has a tick first is a race that the recording decides (its lines "order"); the simulator's CPUs have it at one time.
// The order of what the CPUs do besides depends on how long the tick and the way out of idle take, so that these two cost.
func TestGoldenTwoCPUs(t *testing.T) {
	costs := sim.Costs{Tick: 3 * sim.Microsecond, IdleExit: 50 * sim.Microsecond}
	for _, tc := range []twoCPUs{
		{name: "fifo", file: "testdata/fifo_hogs_2cpus.txt", costs: costs},
		{name: "vtime", file: "testdata/vtime_hogs_2cpus.txt", costs: costs, vtime: true, part: []parting{
			{1, 118_024_326, "1 dequeue 133 0x0 0x0", "both CPUs' slices ended at the tick of 118 ms. CPU 0 gave 134 back to the queue, whose virtual " +
				"time is the smallest; CPU 1 had the queue's lock before that and took 133, and says so when it has the runqueue, 6 us after. " +
				"Here a CPU dispatches and puts its task back at one instant, so that CPU 1 finds 134"},
			{0, 142_012_478, "0 dequeue 134 0x0 0x0", "what follows: here 134 runs on CPU 1"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, at := readStream(t, tc.file)
			got, gotAt := want.simulate(t, tc.costs, tc.vtime)
			tc.compare(t, want.cpus, want.ops, at, got, gotAt)
		})
	}
}

// TestGoldenPingPongTwoCPUs replays two pairs of tasks that wake each other on two CPUs.
//
// A callback is recorded when it begins: the insertion that follows ops.enqueue, and the choice of a task before its ops.dequeue, are
// some us later and earlier, and the emulator may let the other CPU run for 20 us in between. Where what was taken from the queue
// shows that order, the wakeup or the block of the replayed task is at that time, in a file's lines "wake" and "block".
func TestGoldenPingPongTwoCPUs(t *testing.T) {
	costs := sim.Costs{Wakeup: 8 * sim.Microsecond, IdleExit: 14 * sim.Microsecond}
	for _, tc := range []twoCPUs{
		{name: "fifo", file: "testdata/fifo_pingpong_2cpus.txt", costs: costs},
		{name: "vtime", file: "testdata/vtime_pingpong_2cpus.txt", costs: costs, vtime: true, part: []parting{
			{1, 19_102_328, "1 dequeue 144 0x0 0x0", "142 and 144 are in the queue with virtual times 18 us apart, after 19 ms in which the kernel charged " +
				"some us for each switch to one task or the other, which here cost nothing: 142's is the smaller one"},
			{0, 19_112_512, "0 dequeue 142 0x0 0x0", "what follows: here it is 144 that is left"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := readReplay(t, tc.file)
			t0 := ms(40) - sim.Time(want.next/1000*1000)
			r := newRig(t, rigOptions{topo: fmt.Sprintf("1n1l%dc1t", want.cpus), costs: tc.costs, ticks: func(at sim.Time) sim.CPU {
				return sim.CPU(want.first[int64(at-t0)/int64(sim.Millisecond)])
			}})
			pid := map[*sim.Task]int32{}
			var got []streamOp
			var gotAt []int64
			r.enable(recorder(r.k, pid, tc.vtime, func(o streamOp) {
				if now := r.m.Now(); now >= t0 {
					got, gotAt = append(got, o), append(gotAt, int64(now-t0))
				}
			}))
			for _, k := range want.tasks {
				k.t0 = &t0
				b := &streamTask{cpu: k.cpu, bound: k.bound}
				first := b.behavior(t0, want.cpus).(*steps)
				first.list = first.list[:len(first.list)-1] // the last step sleeps for ever
				p := r.spawn(sim.TaskSpec{Comm: fmt.Sprint(k.pid), Behavior: &then{first, k}})
				pid[p] = k.pid
			}
			r.run(t0 - 1)
			for p, id := range pid {
				p.K.SetDSQVtime(want.byPID[id].vtime)
			}
			r.run(t0 + sim.Time(want.until) - 1)
			if err := r.k.check(); err != nil {
				t.Error(err)
			}
			tc.compare(t, want.cpus, want.ops, want.at, got, gotAt)
		})
	}
}

// then is a list of steps, and after it another behaviour.
type then struct {
	first *steps
	after sim.Behavior
}

// Next implements sim.Behavior.
func (b *then) Next(t *sim.Task, now sim.Time) sim.Step {
	if b.first.i < len(b.first.list) {
		return b.first.Next(t, now)
	}
	return b.after.Next(t, now)
}
