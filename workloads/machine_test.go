package workloads_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

// played is what came of a workload on a real machine without overheads.
type played struct {
	m     *sim.Machine
	comms map[int32]string
	exits map[string]sim.Time
	marks []string // "time task work|miss"
	work  map[string]int
	ran   map[string]sim.Duration
	in    map[string][][2]sim.Time // spans on a CPU
}

// play runs a workload until the time given.
func play(t *testing.T, text string, cpus int, until sim.Duration) *played {
	t.Helper()
	w, err := workloads.Parse("w.json", []byte(text), workloads.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bind(cpus)
	if err != nil {
		t.Fatal(err)
	}
	tp, err := topo.Flat(cpus)
	if err != nil {
		t.Fatal(err)
	}
	p := &played{comms: map[int32]string{}, exits: map[string]sim.Time{}, work: map[string]int{}, ran: map[string]sim.Duration{},
		in: map[string][][2]sim.Time{}}
	since := map[int32]sim.Time{}
	p.m, err = sim.New(sim.Config{Topo: tp, Seed: 1,
		Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{fair.New(m), idle.New(m)} },
		Sink: sim.SinkFunc(func(r *sim.Record) {
			if r.Task != 0 && p.comms[r.Task] == "" {
				p.comms[r.Task] = p.m.TaskByPID(r.Task).Comm
			}
			name := p.comms[r.Task]
			switch r.Kind {
			case sim.KindSwitch:
				if prev := int32(r.A); prev != 0 {
					p.ran[p.comms[prev]] += r.At.Sub(since[prev])
					p.in[p.comms[prev]] = append(p.in[p.comms[prev]], [2]sim.Time{since[prev], r.At})
				}
				since[r.Task] = r.At
			case sim.KindExit:
				p.exits[name] = r.At
			case sim.KindMark:
				what := [...]string{"work", "miss"}[r.Aux]
				if what == "work" {
					p.work[name]++
				}
				p.marks = append(p.marks, fmt.Sprintf("%d %s %s %d", r.At/1000, name, what, r.A/1000))
			}
		})})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range b.New(workloads.RunOptions{Rand: p.m.Rand}).Specs {
		if _, err := p.m.Spawn(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.m.Run(sim.Time(until)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *played) ended() string {
	var names []string
	for n := range p.exits {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestTogether: tasks that meet at locks, semaphores, conditions and barriers.
func TestTogether(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		cpus     int
		ended    string
		work     map[string]int
		at       map[string]sim.Time // of exits, us
	}{
		{"semaphores hand over", `{"tasks":{
			"a":{"loop":10,"run":100,"sem_post":"B","sem_wait":"A"}, "b":{"loop":10,"sem_wait":"B","run":50,"sem_post":"A"}}}`, 2,
			"a-0 b-1", map[string]int{"a-0": 10, "b-1": 10}, map[string]sim.Time{"a-0": 1500, "b-1": 1500}},
		{"a semaphore remembers posts", `{"tasks":{
			"p":{"loop":3,"sem_post":"S","run":1}, "c":{"loop":3,"delay":100,"sem_wait":"S","run":10}}}`, 2,
			"c-1 p-0", map[string]int{"p-0": 3, "c-1": 3}, map[string]sim.Time{"p-0": 3, "c-1": 130}},
		{"more waits than posts", `{"tasks":{"p":{"loop":2,"run":5,"sem_post":"S"}, "c":{"loop":3,"sem_wait":"S","run":1}}}`, 2,
			"p-0", map[string]int{"p-0": 2, "c-1": 2}, map[string]sim.Time{"p-0": 10}},
		{"one holds the lock", `{"tasks":{"a":{"instance":4,"loop":5,"lock":"m","run":100,"unlock":"m"}}}`, 4,
			"a-0 a-1 a-2 a-3", map[string]int{"a-0": 5, "a-1": 5, "a-2": 5, "a-3": 5}, nil},
		{"wait gives up the lock", `{"tasks":{
			"a":{"loop":1,"lock":"m","wait":{"ref":"c","mutex":"m"},"unlock":"m","run":1},
			"b":{"loop":1,"sleep":20000,"lock":"m","signal":"c","run":5,"unlock":"m"}}}`, 2,
			"a-0 b-1", map[string]int{"a-0": 1, "b-1": 1}, map[string]sim.Time{"a-0": 20006, "b-1": 20005}},
		{"signal wakes one", `{"tasks":{
			"w":{"instance":3,"loop":1,"wait":{"ref":"c","mutex":"m"},"unlock":"m","run":1}, "s":{"loop":1,"sleep":10,"signal":"c"}}}`, 4,
			"s-3 w-0", map[string]int{"w-0": 1}, nil},
		{"broadcast wakes all", `{"tasks":{
			"w":{"instance":3,"loop":1,"wait":{"ref":"c","mutex":"m"},"unlock":"m","run":1}, "s":{"loop":1,"sleep":10,"broad":"c"}}}`, 4,
			"s-3 w-0 w-1 w-2", map[string]int{"w-0": 1, "w-1": 1, "w-2": 1}, nil},
		{"a signal to nobody is lost", `{"tasks":{
			"w":{"loop":1,"sleep":100,"wait":{"ref":"c","mutex":"m"},"run":1}, "s":{"loop":1,"signal":"c","run":1}}}`, 2,
			"s-1", map[string]int{"s-1": 1}, nil},
		{"sync signals and waits", `{"tasks":{
			"a":{"loop":3,"lock":"m","sync":{"ref":"c","mutex":"m"},"unlock":"m","run":10},
			"b":{"loop":3,"sleep":100,"lock":"m","signal":"c","unlock":"m"}}}`, 2,
			"a-0 b-1", map[string]int{"a-0": 3}, map[string]sim.Time{"a-0": 310, "b-1": 300}},
		{"barrier", `{"tasks":{
			"fast":{"loop":3,"run":10,"barrier":"B"}, "slow":{"instance":2,"loop":3,"run":100,"barrier":"B"}}}`, 3,
			"fast-0 slow-1 slow-2", map[string]int{"fast-0": 3, "slow-1": 3, "slow-2": 3},
			map[string]sim.Time{"fast-0": 300, "slow-1": 300, "slow-2": 300}},
		{"resume wakes a suspended task", `{"tasks":{
			"s":{"loop":2,"suspend":"","run":10}, "r":{"loop":2,"sleep":100,"resume":"s"}}}`, 2,
			"r-1 s-0", map[string]int{"s-0": 2}, map[string]sim.Time{"s-0": 210, "r-1": 200}},
		{"suspend and resume lose a wakeup", `{"tasks":{
			"a":{"run":100,"resume":"b","suspend":"a"}, "b":{"suspend":"b","run":100,"resume":"a"}}}`, 1,
			"", map[string]int{"a-0": 1}, nil},
		{"fork", `{"tasks":{
			"f":{"loop":3,"run":10,"fork":"c","sleep":100}, "c":{"instance":0,"loop":2,"run":5}}}`, 2,
			"c-1-0000 c-2-0001 c-3-0002 f-0", map[string]int{"f-0": 3, "c-1-0000": 2, "c-2-0001": 2, "c-3-0002": 2}, nil},
		{"a forked task that is delayed", `{"tasks":{"f":{"loop":1,"run":10,"fork":"c"}, "c":{"instance":0,"loop":1,"delay":500,"run":5}}}`, 2,
			"c-1-0000 f-0", map[string]int{"f-0": 1, "c-1-0000": 1}, map[string]sim.Time{"f-0": 10, "c-1-0000": 505}},
		{"a timer of two tasks moves twice", `{"tasks":{
			"a":{"loop":2,"run":10,"timer":{"ref":"T","period":100}}, "b":{"loop":2,"run":10,"timer":{"ref":"T","period":100}}}}`, 2,
			"a-0 b-1", map[string]int{"a-0": 2, "b-1": 2}, nil},
		{"runtime counts waiting", `{"tasks":{"a":{"loop":1,"runtime":40000}, "b":{"loop":1,"runtime":40000}}}`, 1,
			"a-0 b-1", map[string]int{"a-0": 1, "b-1": 1}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := play(t, tc.in, tc.cpus, sim.Second)
			if got := p.ended(); got != tc.ended {
				t.Errorf("ended: %s; want %s", got, tc.ended)
			}
			if diff := cmp.Diff(tc.work, p.work); diff != "" {
				t.Errorf("work (-want +got):\n%s", diff)
			}
			for name, at := range tc.at {
				if p.exits[name] != at*1000 {
					t.Errorf("%s ended at %v, want %v", name, p.exits[name], sim.Time(at*1000))
				}
			}
		})
	}
}

// TestLockExcludes: whoever runs in the critical section is alone there.
func TestLockExcludes(t *testing.T) {
	p := play(t, `{"tasks":{"a":{"instance":4,"loop":50,"lock":"m","run":100,"unlock":"m"}}}`, 4, sim.Second)
	var spans [][2]sim.Time
	for _, s := range p.in {
		for _, span := range s {
			if span[0] < span[1] { // to find the lock taken takes no time
				spans = append(spans, span)
			}
		}
	}
	slices.SortFunc(spans, func(a, b [2]sim.Time) int { return int(a[0] - b[0]) })
	for i := 1; i < len(spans); i++ {
		if spans[i][0] < spans[i-1][1] {
			t.Fatalf("two tasks ran from %v to %v", spans[i][0], min(spans[i-1][1], spans[i][1]))
		}
	}
	var total sim.Duration
	for _, d := range p.ran {
		total += d
	}
	if want := sim.Duration(4 * 50 * 100_000); total != want || p.m.Now() < sim.Time(want) {
		t.Errorf("ran %v until %v, want %v and no less", total, p.m.Now(), want)
	}
}

// TestDeadlines: a periodic task on a CPU of its own never misses; one that needs more than its period always does.
func TestDeadlines(t *testing.T) {
	p := play(t, `{"tasks":{
		"good":{"cpus":[0],"loop":5,"run":400,"timer":{"ref":"unique","period":1000}},
		"bad":{"cpus":[1],"loop":3,"run":1500,"timer":{"ref":"unique","period":1000}}}}`, 2, sim.Second)
	want := []string{
		"400 good-0 work 400", "1400 good-0 work 400", "1500 bad-1 work 1500", "1500 bad-1 miss 500", "2400 good-0 work 400",
		"3000 bad-1 work 1500", "3000 bad-1 miss 500", "3400 good-0 work 400", "4400 good-0 work 400", "4500 bad-1 work 1500",
		"4500 bad-1 miss 500",
	}
	if diff := cmp.Diff(want, p.marks); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

// TestQueueing: the response of a worker counts from the post that it takes, queueing at the semaphore included.
func TestQueueing(t *testing.T) {
	p := play(t, `{"tasks":{
		"arrivals":{"cpus":[0],"loop":3,"sem_post":"q","sleep":100},
		"worker":{"cpus":[1],"loop":3,"sem_wait":"q","run":250}}}`, 2, sim.Second)
	// Posts at 0, 100, 200; served until 250, 500, 750.
	want := []string{"250 worker-1 work 250", "500 worker-1 work 400", "750 worker-1 work 550"}
	if diff := cmp.Diff(want, p.marks); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

// TestAffinity: a task runs where its phase says.
func TestAffinity(t *testing.T) {
	p := play(t, `{"tasks":{"a":{"loop":2,"phases":{"p":{"cpus":[0],"run":500},"q":{"cpus":[1],"run":500}}}}}`, 2, sim.Second)
	if p.exits["a-0"] != 2_000_000 {
		t.Errorf("ended at %v, want 2ms", p.exits["a-0"])
	}
	if n := len(p.in["a-0"]); n < 4 {
		t.Errorf("%d spans on a CPU, want one for each phase", n)
	}
}
