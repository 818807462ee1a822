package workloads

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// stream is the stream that sim.Machine.Rand would give.
func stream(name string) *rand.Rand {
	var seed uint64
	for _, c := range name {
		seed = seed*31 + uint64(c)
	}
	return rand.New(rand.NewPCG(1, seed))
}

func newInstance(t testing.TB, text string, cpus int) *Instance {
	t.Helper()
	w, err := Parse("w.json", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bind(cpus)
	if err != nil {
		t.Fatal(err)
	}
	return b.New(RunOptions{Rand: stream})
}

// alone runs the first task as if it had a CPU for itself and nobody else existed, for at most n steps, and writes one
// line per step: the time in us and the step.
func alone(s sim.TaskSpec, n int, slow sim.Duration) string {
	var b strings.Builder
	now := s.Start
	for range n {
		step := s.Behavior.Next(nil, now)
		fmt.Fprintf(&b, "%d ", int64(now)/1000)
		switch step.Kind {
		case sim.StepExit:
			b.WriteString("exit\n")
			return b.String()
		case sim.StepRun:
			fmt.Fprintf(&b, "run %v\n", step.Dur)
			now = now.Add(step.Dur + slow)
		case sim.StepRunClock:
			fmt.Fprintf(&b, "clock %v\n", step.Dur)
			now = now.Add(step.Dur)
		case sim.StepRunWall:
			fmt.Fprintf(&b, "runwall %v\n", step.Dur)
			now = now.Add(step.Dur)
		case sim.StepSleep:
			fmt.Fprintf(&b, "sleep %v\n", step.Dur)
			now = now.Add(step.Dur + slow)
		case sim.StepSleepUntil:
			fmt.Fprintf(&b, "until %d\n", int64(step.At)/1000)
			now = max(now, step.At).Add(slow)
		case sim.StepMark:
			fmt.Fprintf(&b, "%s %d\n", [...]string{"work", "miss"}[step.Mark], step.A/1000)
		case sim.StepSetNice:
			fmt.Fprintf(&b, "nice %d\n", step.N)
		case sim.StepSetAffinity:
			fmt.Fprintf(&b, "cpus %v\n", step.CPUs)
		case sim.StepYield:
			b.WriteString("yield\n")
		case sim.StepFork:
			fmt.Fprintf(&b, "fork %s of %s\n", step.Spawn.Comm, step.Spawn.Group)
		case sim.StepWait:
			fmt.Fprintf(&b, "wait %s\n", step.Queue.Name)
			return b.String()
		default:
			fmt.Fprintf(&b, "step %d\n", step.Kind)
		}
	}
	return b.String()
}

// TestSteps: what a task does, alone on its CPU. slow delays the end of each run and sleep.
func TestSteps(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		steps    int
		slow     sim.Duration
		want     string
	}{
		{"run and sleep", `{"tasks":{"a":{"loop":2,"run":100,"sleep":50}}}`, 20, 0, `
0 run 100µs
100 work 100
100 sleep 50µs
150 run 100µs
250 work 100
250 sleep 50µs
300 exit`},
		{"the response counts from the planned end of the sleep", `{"tasks":{"a":{"loop":2,"run":100,"sleep":50}}}`, 20,
			10 * sim.Microsecond, `
0 run 100µs
110 work 110
110 sleep 50µs
170 run 100µs
280 work 120
280 sleep 50µs
340 exit`},
		{"sleep first", `{"tasks":{"a":{"loop":1,"delay":5,"sleep":50,"run":100}}}`, 20, 0, `
5 sleep 50µs
55 run 100µs
155 work 100
155 exit`},
		{"sleep in the middle is part of the work", `{"tasks":{"a":{"loop":1,"run":100,"sleep":50,"run1":1}}}`, 20, 0, `
0 run 100µs
100 sleep 50µs
150 run 1µs
151 work 151
151 exit`},
		{"runtime", `{"tasks":{"a":{"loop":1,"runtime":100,"runtime1":1}}}`, 20, 0, `
0 runwall 100µs
100 runwall 32µs
132 work 132
132 exit`},
		{"periodic", `{"tasks":{"a":{"delay":7,"loop":2,"run":100,"timer":{"ref":"unique","period":150}}}}`, 20, 0, `
7 run 100µs
107 work 100
107 until 157
157 run 100µs
257 work 100
257 until 307
307 exit`},
		{"late, relative: starts anew", `{"tasks":{"a":{"loop":3,"run":100,"timer":{"ref":"unique","period":70}}}}`, 20, 0, `
0 run 100µs
100 work 100
100 miss 30
100 run 100µs
200 work 100
200 miss 30
200 run 100µs
300 work 100
300 miss 30
300 exit`},
		{"late, absolute: catches up",
			`{"tasks":{"a":{"phases":{"p":{"loop":2,"run":100,"timer":{"ref":"unique","period":70,"mode":"absolute"}},
				"q":{"loop":2,"run":10,"timer":{"ref":"unique","period":70,"mode":"absolute"}}},"loop":1}}}`, 20, 0, `
0 run 100µs
100 work 100
100 miss 30
100 run 100µs
200 work 130
200 miss 60
200 run 10µs
210 work 70
210 run 10µs
220 work 10
220 until 280
280 exit`},
		{"phases", `{"tasks":{"a":{"priority":1,"cpus":[1],"loop":2,"phases":{"p":{"run":1,"cpus":[0]},"q":{"loop":2,"run":2,"priority":5}}}}}`,
			40, 0, `
0 run 1µs
1 work 1
1 cpus [1]
1 nice 5
1 run 2µs
3 work 2
3 run 2µs
5 work 2
5 cpus [0]
5 run 1µs
6 work 1
6 cpus [1]
6 run 2µs
8 work 2
8 run 2µs
10 work 2
10 exit`},
		{"back to all CPUs", `{"tasks":{"a":{"loop":1,"phases":{"p":{"run":1,"cpus":["2",0,2]},"q":{"run":1}}}}}`, 40, 0, `
0 run 1µs
1 work 1
1 cpus [0 1 2 3]
1 run 1µs
2 work 1
2 exit`},
		{"loop 0 never runs", `{"tasks":{"a":{"loop":0,"phases":{"p":{"run":1}}}}}`, 5, 0, `0 exit`},
		{"no phases", `{"tasks":{"a":{"phases":{}}}}`, 5, 0, `0 exit`},
		{"yield", `{"tasks":{"a":{"loop":1,"yield":""}}}`, 5, 0, "0 yield\n0 exit"},
		{"a wait at the end of work", `{"tasks":{"a":{"run":5,"lock":"m","unlock":"m","sem_wait":"s"}}}`, 5, 0, `
0 run 5µs
5 work 5
5 wait sem s`},
		{"no work, no mark", `{"tasks":{"a":{"loop":1,"sleep":5,"sem_post":"s"}}}`, 5, 0, "0 sleep 5µs\n5 exit"},
		{"fork", `{"tasks":{"a":{"loop":2,"fork":"child","run":1},"child":{"instance":0,"loop":1,"run":1}}}`, 20, 0, `
0 fork child-1-0000 of child
0 run 1µs
1 work 1
1 fork child-2-0001 of child
1 run 1µs
2 work 1
2 exit`},
		{"a wait alone waits", `{"tasks":{"a":{"lock":"m","wait":{"ref":"c","mutex":"m"},"unlock":"m"}}}`, 5, 0, `0 wait wait c`},
		{"barrier of one", `{"tasks":{"a":{"loop":1,"barrier":"b","run":1}}}`, 5, 0, "0 run 1µs\n1 work 1\n1 exit"},
		{"lost resume", `{"tasks":{"a":{"loop":1,"resume":"a","suspend":"a"}}}`, 5, 0, "0 wait wait a"},
		{"a lock taken twice", `{"tasks":{"a":{"loop":1,"lock":"m","lock1":"m"}}}`, 5, 0, "0 wait lock m"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newInstance(t, tc.in, 4)
			got := alone(r.Specs[0], tc.steps, tc.slow)
			if diff := cmp.Diff(strings.TrimSpace(tc.want), strings.TrimSpace(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpecs(t *testing.T) {
	r := newInstance(t, `{"tasks":{
		"a":{"instance":2,"priority":-3,"cpus":[1,0],"run":1},
		"template":{"instance":0,"run":1},
		"quite_a_long_name_it_is":{"policy":"SCHED_BATCH","delay":250,"run":1,"schedsim":{"cgroup_weight":300}}}}`, 2)
	var got []sim.TaskSpec
	for _, s := range r.Specs {
		s.Behavior = nil
		got = append(got, s)
	}
	want := []sim.TaskSpec{
		{Comm: "a-0", Group: "a", Nice: -3, CPUs: []sim.CPU{0, 1}},
		{Comm: "a-1", Group: "a", Nice: -3, CPUs: []sim.CPU{0, 1}},
		{Comm: "quite_a_long_-2", Group: "quite_a_long_name_it_is", Policy: sim.PolicyBatch, Start: 250_000, CgroupW: 300},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTimeGoesOn: a loop without anything that takes time does not stop the clock.
func TestTimeGoesOn(t *testing.T) {
	for _, in := range []string{
		`{"tasks":{"a":{"signal":"x"}}}`, `{"tasks":{"a":{"run":0}}}`, `{"tasks":{"a":{"sem_post":"x"}}}`,
		`{"tasks":{"a":{"timer":{"period":0}}}}`, `{"tasks":{"a":{"yield":1}}}`,
	} {
		b := newInstance(t, in, 1).Specs[0].Behavior
		now := sim.Time(0)
		for range 10 * maxSpins {
			if s := b.Next(nil, now); s.Kind == sim.StepRun {
				now = now.Add(s.Dur)
			}
		}
		if now == 0 {
			t.Errorf("%s: no time passed", in)
		}
	}
}

// TestStreams: a task's draws depend on its own name only.
func TestStreams(t *testing.T) {
	const dist = `"schedsim":{"run":{"dist":"exponential","mean":"1ms"}}`
	one := newInstance(t, `{"tasks":{"a":{"loop":5,"run":1,`+dist+`}}}`, 1)
	more := newInstance(t, `{"tasks":{"a":{"loop":5,"run":1,`+dist+`},"b":{"instance":2,"loop":5,"run":1,`+dist+`}}}`, 1)
	b1 := alone(more.Specs[1], 100, 0)
	b2 := alone(more.Specs[2], 100, 0)
	if a, again := alone(one.Specs[0], 100, 0), alone(more.Specs[0], 100, 0); a != again {
		t.Errorf("another task changed the draws:\n%s\n%s", a, again)
	}
	if b1 == b2 {
		t.Errorf("two instances drew the same:\n%s", b1)
	}
}

func TestForkLimit(t *testing.T) {
	r := newInstance(t, `{"tasks":{"a":{"fork":"a"}}}`, 1)
	forks := 0
	for now := sim.Time(0); r.refused == 0; now++ {
		if r.Specs[0].Behavior.Next(nil, now).Kind == sim.StepFork {
			forks++
		}
	}
	if forks != maxLive || len(r.Problems()) != 1 {
		t.Errorf("%d forks, problems %q", forks, r.Problems())
	}
}

// TestSem: a semaphore remembers when posts were made, in their order.
func TestSem(t *testing.T) {
	var s sem
	next := sim.Time(0)
	for i := sim.Time(0); i < 1000; i++ {
		s.post(i)
		if i%3 != 0 {
			if at, ok := s.take(); !ok || at != next {
				t.Fatalf("took %v, %v, want %v", at, ok, next)
			}
			next++
		}
	}
	for next < 1000 {
		if at, ok := s.take(); !ok || at != next {
			t.Fatalf("took %v, %v, want %v", at, ok, next)
		}
		next++
	}
	if _, ok := s.take(); ok {
		t.Error("took a post that nobody made")
	}
}

func TestNextAllocs(t *testing.T) {
	for _, in := range []string{
		`{"tasks":{"a":{"run":10,"sleep":10}}}`,
		`{"tasks":{"a":{"run":10,"timer":{"ref":"unique","period":100}}}}`,
		`{"tasks":{"a":{"run":10,"lock":"m","unlock":"m","schedsim":{"run":{"dist":"lognormal","mean":"1ms","sd":"1ms"}}}}}`,
		`{"tasks":{"a":{"sem_post":"s","sem_wait":"s","run":1}}}`,
		`{"tasks":{"a":{"phases":{"p":{"cpus":[0],"run":1},"q":{"run":1,"priority":3}}}}}`,
	} {
		b := newInstance(t, in, 2).Specs[0].Behavior
		now := sim.Time(0)
		b.Next(nil, now)
		if n := testing.AllocsPerRun(1000, func() {
			s := b.Next(nil, now)
			now = max(now.Add(s.Dur), s.At)
		}); n != 0 {
			t.Errorf("%s: %v allocations per step", in, n)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	p := newInstance(b, `{"tasks":{"a":{"run":10,"sleep":10}}}`, 1).Specs[0].Behavior
	now := sim.Time(0)
	b.ReportAllocs()
	for b.Loop() {
		s := p.Next(nil, now)
		now = now.Add(s.Dur)
	}
}

// TestBefore: a task that was there before its time is made, runs and is woken as it was told, and then sleeps until its time comes.
func TestBefore(t *testing.T) {
	w, err := Parse("w.json", []byte(`{"tasks": {"a": {"instance": 2, "loop": 1, "run": 10}}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bind(1)
	if err != nil {
		t.Fatal(err)
	}
	const us = sim.Microsecond
	r := b.New(RunOptions{Rand: stream, Zero: sim.Time(1000 * us), Asleep: true, Before: func(task string, instance int) []Awake {
		if task != "a" || instance != 1 {
			return nil
		}
		return []Awake{{At: sim.Time(100 * us), Run: 20 * us}, {At: sim.Time(300 * us), Run: 5 * us}}
	}})
	if r.Specs[0].Start != 0 {
		t.Errorf("the first starts at %v", r.Specs[0].Start)
	}
	want := "100 clock 20µs\n120 until 300\n300 clock 5µs\n305 until 1000\n1000 run 10µs\n1010 work 10\n1010 exit\n"
	if got := alone(r.Specs[1], 20, 0); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestOwnClock: a task that computes by its clock asks for its CPU time first, as part of what it computes, unless it has looked at the
// time recently.
func TestOwnClock(t *testing.T) {
	w, err := Parse("w.json", []byte(`{"tasks": {"a": {"loop": 1, "run0": 100, "run1": 50, "sleep0": 5, "run2": 20, "sleep1": 40, "run3": 20, "run4": 2}}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bind(1)
	if err != nil {
		t.Fatal(err)
	}
	in := b.New(RunOptions{Rand: stream, ByClock: true, Own: Own{Clock: 3 * sim.Microsecond, Gap: 8 * sim.Microsecond}})
	task, now := in.Specs[0].Behavior, sim.Time(sim.Millisecond)
	var got []string
	for {
		s := task.Next(nil, now)
		if s.Kind == sim.StepExit {
			break
		}
		if s.Kind == sim.StepMark {
			continue
		}
		got = append(got, fmt.Sprintf("%s %d", map[sim.StepKind]string{sim.StepRun: "run", sim.StepRunClock: "clock", sim.StepSleep: "sleep"}[s.Kind], s.Dur))
		now = now.Add(s.Dur)
	}
	want := []string{"run 3000", "clock 97000", "clock 50000", "sleep 5000", "clock 20000", "sleep 40000", "run 3000", "clock 17000", "clock 2000"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
