//go:build linux && amd64

package main

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/internal/fidelity"
)

// dumped is what the agent writes for CPUs with these records.
func dumped(lost uint32, cpus ...[]record) []byte {
	var b bytes.Buffer
	for _, list := range cpus {
		binary.Write(&b, binary.LittleEndian, [2]uint32{uint32(len(list)), lost})
		binary.Write(&b, binary.LittleEndian, list)
	}
	return b.Bytes()
}

func TestRecords(t *testing.T) {
	if n := binary.Size(record{}); n != 56 {
		t.Fatalf("a record has %d bytes, the recorder's 56", n)
	}
	data := dumped(0,
		[]record{{At: 100, Kind: evSwitch, PID: 5, Other: 0}, {At: 300, Kind: evTick}, {At: 900, Kind: evTick}},
		[]record{{At: 200, Kind: evWaking, PID: 5, CPU: 1}, {At: 250, Kind: evMigrate, PID: 5, CPU: 1}, {At: 300, Kind: evTick, CPU: 1}})
	all, lost, err := decodeRecords(data, 2)
	if err != nil || lost || len(all) != 6 {
		t.Fatal(len(all), lost, err)
	}
	want := []fidelity.Event{
		{At: -150, Kind: fidelity.EventSwitch, Task: 5},
		{At: -50, Kind: fidelity.EventWaking, Task: 5, CPU: 1},
		{At: 0, Kind: fidelity.EventMigrate, Task: 5, CPU: 1},
	}
	got := schedEvents(all, 250)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if at := firstTick(all, 301); at != 599 {
		t.Errorf("first tick after %d ns", at)
	}
	if at := firstTick(all, 901); at != -1 {
		t.Errorf("a tick after %d ns", at)
	}
	notes := []fidelity.Event{{At: -50, Kind: fidelity.EventUnit}}
	if m := merge(got, notes); len(m) != 4 || m[1].Kind != fidelity.EventWaking || m[2].Kind != fidelity.EventUnit {
		t.Errorf("%+v", m)
	}
	if _, lost, _ := decodeRecords(dumped(1, nil), 1); !lost {
		t.Error("the loss is lost")
	}
	for n := range len(data) {
		if _, _, err := decodeRecords(data[:n], 2); err == nil {
			t.Fatalf("%d bytes of %d: no error", n, len(data))
		}
	}
}

func TestStream(t *testing.T) {
	run := &fidelity.Run{Manifest: fidelity.Manifest{CPUs: 2}, Window: fidelity.Window{LengthNS: 1000, TickNS: 30},
		Tasks: []fidelity.Task{{Name: "a-0", PID: 7, Nice: -3}}}
	records := []record{
		{At: 90, Kind: 1, PID: 7, A: 0, B: 8, Slice: 20, VTime: 5},
		{At: 95, Kind: 1, Ret: 1, PID: 7, A: 1, B: 1, Slice: 20, VTime: 5},
		{At: 150, Kind: 4, CPU: 1, A: 1},
		{At: 1500, Kind: 2, PID: 7, A: 1},
	}
	text := func(length int64, lost bool) string {
		var b strings.Builder
		s := stream(records, run, length, 100, lost)
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := fidelity.ReadStream(strings.NewReader(b.String())); err != nil {
			t.Error(err)
		}
		return b.String()
	}
	want := "cpus 2\ntick 30\nuntil 1000\ntask 7 -3 a-0\n" +
		"-10 0 select_cpu 7 0x0 0x8 20 5\n-5 0 select_cpu_ret 7 0x1 0x1 20 5\n50 1 dispatch 0 0x1 0x0\n"
	if d := cmp.Diff(want, text(0, false)); d != "" {
		t.Error(d)
	}
	if s := text(20, false); !strings.Contains(s, "until 20\n") || strings.Contains(s, "dispatch") {
		t.Errorf("20 ns:\n%s", s)
	}
	if s := text(0, true); !strings.Contains(s, "until 50\n") {
		t.Errorf("CPU 1 has lost records since 50 ns:\n%s", s)
	}
}

func TestResult(t *testing.T) {
	const text = `zero 1000
end 2000
ended 1
clock 700 130 2000
counter 900 500
counter 2100 1700
before enabling
state enabled
problem 2 at 5 ns: kill 0 -: no such task
task 12 1 5 0 /web 0 0
name b-1
note 1 100 40
task 11 0 0 1 - 0 0
name a-0
note 2 200 7
task 13 1 5 0 - 1 0
name b-2-0000
`
	r, err := parseResult([]byte(text), []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	tasks := []fidelity.Task{
		{Name: "a-0", Group: "a", PID: 11, Policy: "SCHED_FIFO"},
		{Name: "b-1", Group: "b", PID: 12, Nice: 5, Cgroup: "/web"},
		{Name: "b-2-0000", Group: "b", Instance: 1, PID: 13, Nice: 5},
	}
	if d := cmp.Diff(tasks, r.tasks); d != "" {
		t.Error(d)
	}
	notes := []fidelity.Event{{At: 100, Value: 40, Task: 12, Kind: fidelity.EventUnit}, {At: 200, Value: 7, Task: 11, Kind: fidelity.EventMiss}}
	if d := cmp.Diff(notes, r.notes); d != "" {
		t.Error(d)
	}
	if r.zero != 1000 || r.end != 2000 || !r.ended || r.before != "enabling" || r.state != "enabled" || r.problems != "2 problems; the first: at 5 ns: kill 0 -: no such task" {
		t.Errorf("%+v", r)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "result: 0 tasks, from 0 to 0"},
		{"unknown", "hello\n", `result, line 1: "hello"`},
		{"number", "zero x\n", "result, line 1: expected integer"},
		{"task", "task 1 5 0 0 - 0 0\n", "result, line 1: task 5 of 1"},
		{"note", "note 1 2 3\n", "result, line 1: a note of no task"},
		{"kind", "task 1 0 0 0 - 0 0\nnote 3 2 3\n", `result, line 2: a note of kind "3"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := parseResult([]byte(tc.text), []string{"a"}); err == nil || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// TestBound: from what the processor's counter shows at two times follows when turns end after T0.
func TestBound(t *testing.T) {
	const ms = 1_000_000
	for _, tc := range []struct {
		name      string
		zero      int64
		counter   [][2]int64
		at, drift int64
	}{
		{"none", 50 * ms, nil, 0, 0},
		{"one", 50 * ms, [][2]int64{{40 * ms, 90 * ms}}, 0, 0},
		{"one rate", 50 * ms, [][2]int64{{40 * ms, 90*ms + 1500}, {1040 * ms, 1090*ms + 1500}}, 18_500, 0},
		{"at a bound", 50 * ms, [][2]int64{{40 * ms, 90 * ms}, {1040 * ms, 1090 * ms}}, 20_000, 0},
		{"a fast clock", 540 * ms, [][2]int64{{40 * ms, 90 * ms}, {1040*ms + 1000, 1090 * ms}}, 500, 1000},
		{"backwards", 50 * ms, [][2]int64{{40 * ms, 90 * ms}, {30 * ms, 1090 * ms}}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &result{zero: tc.zero, counter: tc.counter}
			if at, drift := r.bound(20_000); at != tc.at || drift != tc.drift {
				t.Errorf("%d, %d, want %d, %d", at, drift, tc.at, tc.drift)
			}
		})
	}
	if at, _ := (&result{counter: [][2]int64{{0, 0}, {1, 1}}}).bound(0); at != 0 {
		t.Error("a machine without turns has a bound")
	}
}

func TestLoggedExit(t *testing.T) {
	for _, tc := range []struct {
		name string
		log  []string
		want *fidelity.Exit
	}{
		{"nothing", []string{`6,1,2,-;sched_ext: BPF scheduler "a" enabled`}, nil},
		{"orderly", []string{`6,1,2,-;sched_ext: BPF scheduler "a" disabled (unregistered from user space)`},
			&fidelity.Exit{Kind: 64, Reason: "unregistered from user space", AtNS: -1}},
		{"the last", []string{
			`6,1,2,-;sched_ext: BPF scheduler "a" disabled (unregistered from BPF)`,
			`3,2,2,-;sched_ext: BPF scheduler "b" disabled (runtime error)`, `3,3,2,-;sched_ext: b: non-existent DSQ 0x7`, `3,4,2,-;   foo+0x1`,
		}, &fidelity.Exit{Kind: 1024, Reason: "runtime error", Message: "non-existent DSQ 0x7", AtNS: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, loggedExit(tc.log)); d != "" {
				t.Error(d)
			}
		})
	}
}
