//go:build linux && amd64

package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/internal/fidelity"
)

// TestLook: what the agent says becomes times from T0. T0 is at 100 ms, its first tick 1 ms later; the look was at 90 ms, in jiffy 1000, and
// since then ticks came at 93 and 97 ms.
func TestLook(t *testing.T) {
	const (
		zero = 100_000_000
		tick = 1_000_000
		seen = `{"at":90000000,"jiffies":1000,"timers":[[1,90500000]],"tasks":[[7,1,0,-5,20,30],[9,1,1,1,1,1]],
			"cpus":[[1,600,300,512,40000000,21000,990,998,2,1,1001,1000000,500000,18,4,3],[1,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]]}`
	)
	cpu := 1
	read := func(text string, init *int) *look {
		l := &look{init: init}
		if err := json.Unmarshal([]byte(text), l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := fidelity.Balancing{Call: 600, Success: 300, Ratio: 512, StampNS: -60_000_000, CostNS: 21000, DecayTick: -12, LastTick: -4, IntervalMS: 2,
		Failed: 1, NextTick: -1, AvgIdleNS: 1_000_000, MaxIdleCostNS: 500_000, Load: 18, Runnable: 4, Util: 3}
	got := read(seen, nil).start(zero, tick, true)
	if len(got.CPUs) != 2 {
		t.Fatalf("%+v", got)
	}
	if d := cmp.Diff(first, got.CPUs[0]); d != "" {
		t.Error(d)
	}
	timers := [][2]int64{{1, -9_500_000}}
	for _, tc := range []struct {
		name string
		text string
		init *int
		tick int64
		want *fidelity.Start
	}{
		{"a scheduler", seen, &cpu, tick, &fidelity.Start{InitCPU: &cpu, Timers: timers, AtNS: -10_000_000}},
		{"without init", seen, nil, tick, &fidelity.Start{Timers: timers, AtNS: -10_000_000}},
		{"no tick", seen, &cpu, -1, &fidelity.Start{InitCPU: &cpu}},
		{"nothing seen", "{}", &cpu, tick, &fidelity.Start{InitCPU: &cpu}},
		{"nothing", "{}", nil, tick, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, read(tc.text, tc.init).start(zero, tc.tick, false)); d != "" {
				t.Error(d)
			}
		})
	}
	tasks := []fidelity.Task{{PID: 6}, {PID: 7}}
	read(seen, nil).asleep(tasks)
	if d := cmp.Diff([]fidelity.Task{{PID: 6}, {PID: 7, Asleep: [5]int64{1, 0, -5, 20, 30}}}, tasks); d != "" {
		t.Error(d)
	}
	for _, tc := range []struct {
		text string
		want *int
	}{{"{}", nil}, {`{"cpu":1,"at":5}`, &cpu}} {
		if got, err := parseInit([]byte(tc.text)); err != nil || !cmp.Equal(tc.want, got) {
			t.Errorf("%s: %v, %v", tc.text, got, err)
		}
	}
}
