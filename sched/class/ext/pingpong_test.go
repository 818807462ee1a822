package ext

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// replay is a recorded stream of tasks that wake each other: what they do is given by the recorded times.
type replay struct {
	cpus        int
	until, next int64
	tasks       []*replayTask // the first one runs at T0
	byPID       map[int32]*replayTask
	ops         []streamOp
	at          []int64
	first       map[int64]int // as in stream
}

type replayTask struct {
	r     *replay
	pid   int32
	vtime uint64
	cpu   int // where it sleeps at T0, if that matters
	bound bool
	acts  []replayAct
	pos   int
	t0    *sim.Time
	queue sim.WaitQueue
}

// replayAct is something that a task does, or that a timer does to it.
type replayAct struct {
	kind string // wake, block, timer
	at   int64
	peer int32
}

func readReplay(t *testing.T, name string) *replay {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &replay{byPID: map[int32]*replayTask{}}
	scan := func(line, format string, to ...any) {
		if _, err := fmt.Sscanf(line, format, to...); err != nil {
			t.Fatal(line, err)
		}
	}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var (
			line = sc.Text()
			word string
			pid  int32
			a    replayAct
			o    streamOp
			ns   int64
		)
		scan(line, "%s", &word)
		switch word {
		case "#":
		case "cpus":
			scan(line, "cpus %d", &r.cpus)
		case "until":
			scan(line, "until %d", &r.until)
		case "next":
			scan(line, "next %d", &r.next)
		case "order":
			var at int64
			var cpu int
			scan(line, "order %d %d", &at, &cpu)
			if r.first == nil {
				r.first = map[int64]int{}
			}
			r.first[at] = cpu
		case "task", "bound":
			k := &replayTask{r: r, bound: word == "bound"}
			if r.cpus > 1 {
				scan(line, word+" %d %d %d", &k.pid, &k.vtime, &k.cpu)
			} else {
				scan(line, "task %d %d", &k.pid, &k.vtime)
			}
			r.tasks, r.byPID[k.pid] = append(r.tasks, k), k
		case "wake":
			scan(line, "wake %d %d %d", &pid, &a.at, &a.peer)
		case "block", "timer":
			scan(line, word+" %d %d", &pid, &a.at)
		case "op":
			scan(line, "op %d %d %s %d %x %x", &ns, &o.CPU, &o.Name, &o.PID, &o.A, &o.B)
			r.ops, r.at = append(r.ops, o), append(r.at, ns)
		default:
			t.Fatal(line)
		}
		if a.kind = word; a.at != 0 {
			k := r.byPID[pid]
			k.acts = append(k.acts, a)
		}
	}
	return r
}

// Next implements sim.Behavior: the task runs until the recorded time of its next act, whoever else runs meanwhile.
func (k *replayTask) Next(_ *sim.Task, now sim.Time) sim.Step {
	if k.pos == len(k.acts) { // the stream ends before the task does something
		return run(100 * sim.Second)
	}
	a := k.acts[k.pos]
	at := *k.t0 + sim.Time(a.at)
	if a.kind == "timer" { // it sleeps until then, or runs with nothing to do
		k.pos++
		if at > now {
			return sim.Step{Kind: sim.StepSleepUntil, At: at}
		}
		return k.Next(nil, now)
	}
	if at > now {
		return sim.Step{Kind: sim.StepRunWall, Dur: at.Sub(now)}
	}
	k.pos++
	if a.kind == "wake" {
		return sim.Step{Kind: sim.StepWake, Queue: &k.r.byPID[a.peer].queue, Sync: true}
	}
	if k.pos < len(k.acts) && k.acts[k.pos].kind == "timer" {
		return k.Next(nil, now)
	}
	return sim.Step{Kind: sim.StepWait, Queue: &k.queue}
}

// TestGoldenPingPong replays two tasks that wake each other, with the kernel's own threads, and expects the recorded
// callbacks with their arguments in the recorded order.
func TestGoldenPingPong(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		vtime      bool
	}{
		{"fifo", "testdata/fifo_pingpong.txt", false},
		{"vtime", "testdata/vtime_pingpong.txt", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := readReplay(t, tc.file)
			r := newRig(t, rigOptions{topo: fmt.Sprintf("1n1l%dc1t", want.cpus)})
			// The recorded ticks come some microseconds late: that much of the tick had passed.
			t0 := ms(40) - sim.Time(want.next/1000*1000)
			pid := map[*sim.Task]int32{}
			var got []streamOp
			var gotAt []sim.Time
			r.enable(recorder(r.k, pid, tc.vtime, func(o streamOp) {
				if now := r.m.Now(); now >= t0 {
					got, gotAt = append(got, o), append(gotAt, now)
				}
			}))
			for i, k := range want.tasks {
				k.t0 = &t0
				if i == 0 { // woken at T0, as if by a timer
					k.acts = append([]replayAct{{kind: "timer"}}, k.acts...)
				} else if len(k.acts) == 0 || k.acts[0].kind != "timer" {
					k.acts = append([]replayAct{{kind: "block", at: -1}}, k.acts...)
				}
				p := r.spawn(sim.TaskSpec{Comm: fmt.Sprint(k.pid), Behavior: k})
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
			// What comes before the first task runs is of its wakeup, which the stream does not have.
			skip := 0
			for skip < len(got) && got[skip] != want.ops[0] {
				skip++
			}
			got, gotAt = got[skip:], gotAt[skip:]
			if d := cmp.Diff(want.ops, got); d != "" {
				t.Fatalf("callbacks differ (-recorded +simulated):\n%.3000s", d)
			}
			for i := range got {
				if d := int64(gotAt[i]-t0) - want.at[i]; d < -60_000 || d > 60_000 {
					t.Fatalf("op %d (%v): at %v, recorded at %v", i, got[i], gotAt[i]-t0, sim.Time(want.at[i]))
				}
			}
		})
	}
}
