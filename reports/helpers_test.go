package reports

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// names are tasks named after their PID, in groups of two; nice value 0 for the even ones, 5 for the others.
func names(pid int32) TaskInfo {
	t := TaskInfo{PID: pid, TGID: pid, Comm: fmt.Sprintf("task-%d", pid), Group: fmt.Sprintf("group%d", pid/2), Weight: 1024}
	if pid%2 == 1 {
		t.Nice, t.Weight = 5, 335
	}
	return t
}

// toy makes up the records of a run that obeys the rules of a machine but of no scheduler: random tasks run, sleep and wake
// on random CPUs. It keeps accounts of its own, millisecond by millisecond, that owe nothing to the tracker.
type toy struct {
	records  []sim.Record
	end      sim.Time
	cpus     int
	onCPU    map[int32]sim.Duration
	queued   map[int32]sim.Duration
	blocked  map[int32]sim.Duration
	latency  map[int32][]sim.Duration
	switches map[int32]uint64
}

const toyStep = sim.Millisecond

func newToy(seed uint64, cpus, tasks, steps int) *toy {
	rng := rand.New(rand.NewPCG(seed, 0))
	y := &toy{cpus: cpus, onCPU: map[int32]sim.Duration{}, queued: map[int32]sim.Duration{}, blocked: map[int32]sim.Duration{},
		latency: map[int32][]sim.Duration{}, switches: map[int32]uint64{}}
	const (
		unborn = iota
		queued
		running
		asleep
		dead
	)
	mode := make([]int, tasks+1)
	where := make([]sim.CPU, tasks+1)
	woken := make([]sim.Time, tasks+1)
	curr := make([]int32, cpus)
	now := sim.Time(0)
	emit := func(r sim.Record) { r.At = now; y.records = append(y.records, r) }
	for range steps {
		for range rng.IntN(4) {
			pid := int32(1 + rng.IntN(tasks))
			cpu := sim.CPU(rng.IntN(cpus))
			switch mode[pid] {
			case unborn:
				emit(sim.Record{Kind: sim.KindFork, CPU: cpu, Task: pid})
				emit(sim.Record{Kind: sim.KindWakeup, CPU: cpu, Task: pid, A: 1})
				mode[pid], where[pid], woken[pid] = queued, cpu, -1
			case asleep:
				waker := sim.CPU(rng.IntN(cpus))
				emit(sim.Record{Kind: sim.KindWaking, CPU: waker, Task: pid, A: uint64(curr[waker]), B: uint64(where[pid])})
				if where[pid] != cpu {
					emit(sim.Record{Kind: sim.KindMigrate, CPU: where[pid], Task: pid, A: uint64(cpu)})
					where[pid] = cpu
				}
				emit(sim.Record{Kind: sim.KindWakeup, CPU: cpu, Task: pid})
				mode[pid], woken[pid] = queued, now
			}
		}
		for cpu := range sim.CPU(cpus) {
			if rng.IntN(2) == 0 {
				continue
			}
			prev := curr[cpu]
			next := int32(0)
			for range 3 {
				if pid := int32(1 + rng.IntN(tasks)); mode[pid] == queued && where[pid] == cpu {
					next = pid
					break
				}
			}
			if next == prev {
				continue
			}
			state := sim.StateRunning
			if prev != 0 {
				switch rng.IntN(5) {
				case 0:
					mode[prev] = queued
				case 1:
					mode[prev], state = dead, sim.StateDead
					emit(sim.Record{Kind: sim.KindExit, CPU: cpu, Task: prev})
				default:
					mode[prev], state = asleep, sim.StateInterruptible
				}
			}
			emit(sim.Record{Kind: sim.KindSwitch, CPU: cpu, Task: next, A: uint64(prev), B: uint64(state)})
			curr[cpu] = next
			if next != 0 {
				mode[next] = running
				y.switches[next]++
				if woken[next] >= 0 {
					y.latency[next] = append(y.latency[next], now.Sub(woken[next]))
					woken[next] = -1
				}
			}
		}
		for pid := int32(1); pid <= int32(tasks); pid++ {
			switch mode[pid] {
			case running:
				y.onCPU[pid] += toyStep
			case queued:
				y.queued[pid] += toyStep
			case asleep:
				y.blocked[pid] += toyStep
			}
		}
		now = now.Add(toyStep)
	}
	y.end = now
	return y
}

func (y *toy) play(sinks ...sim.Sink) {
	for i := range y.records {
		for _, s := range sinks {
			s.Record(&y.records[i])
		}
	}
}
