package sim_test

import (
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// worker runs and sleeps for ever, for times that it draws from a small generator of its own.
type worker struct {
	x     uint64
	sleep bool
}

func (w *worker) Next(*sim.Task, sim.Time) sim.Step {
	w.x = w.x*6364136223846793005 + 1442695040888963407
	r := sim.Duration(w.x >> 40) // up to 16.8 million
	if w.sleep = !w.sleep; w.sleep {
		return sleep(100*us + r/32)
	}
	return run(50*us + r/84)
}

// busyMachine is a machine with three such tasks per CPU: run 150 µs, sleep 360 µs on average, so that CPUs are nearly
// always busy and most wakeups have to choose.
func busyMachine(t tb, cpus int, sink sim.Sink) *rig {
	g := newRig(t, cpus, func(c *sim.Config, _ *rig) { c.Sink = sink })
	for i := range 3 * cpus {
		g.spawn(t, fmt.Sprintf("t%d", i), &worker{x: uint64(i)})
	}
	return g
}

// BenchmarkEngine runs the whole machine with a simple class: an iteration is 100 µs of simulated time.
func BenchmarkEngine(b *testing.B) {
	for _, n := range []int{8, 64, 1024} {
		b.Run(fmt.Sprintf("cpus=%d", n), func(b *testing.B) {
			g := busyMachine(b, n, nil)
			g.run(b, sim.Time(50*ms))
			start, until := g.Events(), g.Now()
			b.ReportAllocs()
			for b.Loop() {
				until = until.Add(100 * us)
				g.run(b, until)
			}
			events := float64(g.Events() - start)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/events, "ns/event")
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkPingPong is two tasks that wake each other through wait queues.
func BenchmarkPingPong(b *testing.B) {
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprintf("cpus=%d", n), func(b *testing.B) {
			g := newRig(b, n, func(c *sim.Config, _ *rig) { c.Sink = nil })
			var x, y sim.WaitQueue
			side := func(mine, other *sim.WaitQueue) sim.Behavior {
				return forever(run(10*us), sim.Step{Kind: sim.StepWake, Queue: other}, sim.Step{Kind: sim.StepWait, Queue: mine})
			}
			g.spawn(b, "ping", side(&x, &y), 0)
			g.spawn(b, "pong", side(&y, &x), sim.CPU(n-1))
			g.run(b, sim.Time(ms))
			until := g.Now()
			b.ReportAllocs()
			for b.Loop() { // one wakeup each
				until = until.Add(10 * us)
				g.run(b, until)
			}
		})
	}
}

// BenchmarkTaskByAddr looks a task up, as each kernel function that a program calls with a task does.
func BenchmarkTaskByAddr(b *testing.B) {
	g := newRig(b, 8, nil)
	var addrs []uint64
	for i := range 1000 {
		addrs = append(addrs, g.spawn(b, fmt.Sprint(i), forever(run(ms))).K.Addr)
	}
	i := 0
	for b.Loop() {
		if g.TaskByAddr(addrs[i%len(addrs)]) == nil {
			b.Fatal("not found")
		}
		i++
	}
}
