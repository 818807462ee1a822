//go:build linux && amd64

package main

import (
	"encoding/json"
	"fmt"

	"github.com/schedsim/schedsim/internal/fidelity"
)

// look is what native/look.bpf.c saw shortly before T0, and where native/init.bpf.c saw ops.init.
type look struct {
	At, Jiffies int64
	Timers      [][2]int64
	Tasks       [][6]int64  // as struct task_look
	CPUs        [][16]int64 // as struct cpu_look
	init        *int
}

// lookPin is where the player finds the program.
const lookPin = "/sys/fs/bpf/look"

// parseInit reads what the agent says of an attached scheduler: the CPU of ops.init, nil if it has none.
func parseInit(answer []byte) (*int, error) {
	var v struct {
		CPU *int `json:"cpu"`
		At  int64
	}
	err := json.Unmarshal(answer, &v)
	return v.CPU, err
}

// jiffy is that of the reference kernel, HZ=250.
const jiffy = 4_000_000

// start is that with times from T0, tick being the time from it to the first tick, negative if it is not known. What balancing keeps is told where
// the fair class has the tasks, on more than one CPU. It returns nil for nothing.
func (l *look) start(zero, tick int64, fair bool) *fidelity.Start {
	s := &fidelity.Start{InitCPU: l.init}
	if l.At == 0 || l.At >= zero || tick < 0 {
		if s.InitCPU == nil {
			return nil
		}
		return s
	}
	s.AtNS = l.At - zero
	for _, t := range l.Timers {
		s.Timers = append(s.Timers, [2]int64{t[0], t[1] - zero})
	}
	// The ticks at tick-jiffy, tick-2*jiffy and so on, as many as came since then.
	now := l.Jiffies
	for at := tick - jiffy; at > s.AtNS; at -= jiffy {
		if at <= 0 {
			now++
		}
	}
	if fair && len(l.CPUs) > 1 {
		for _, c := range l.CPUs {
			if c[0] == 0 { // no domain
				s.CPUs = nil
				break
			}
			b := fidelity.Balancing{Call: int(c[1]), Success: int(c[2]), Ratio: int(c[3]), StampNS: c[4] - zero, CostNS: c[5], DecayTick: c[6] - now,
				LastTick: c[7] - now, IntervalMS: c[8], Failed: c[9], NextTick: c[10] - now, AvgIdleNS: c[11], MaxIdleCostNS: c[12],
				Load: c[13], Runnable: c[14], Util: c[15]}
			s.CPUs = append(s.CPUs, b)
		}
	}
	return s
}

// asleep gives the workload's tasks what was seen of them.
func (l *look) asleep(tasks []fidelity.Task) {
	for _, s := range l.Tasks {
		for i := range tasks {
			if t := &tasks[i]; int64(t.PID) == s[0] {
				t.Asleep = [5]int64(s[1:])
			}
		}
	}
}

// looked asks for what was seen since it was last asked.
func (a *agent) looked(init *int) (*look, error) {
	answer, err := a.do("look")
	if err != nil {
		return nil, err
	}
	l := &look{init: init}
	if err := json.Unmarshal(answer, l); err != nil {
		return nil, fmt.Errorf("look: %w", err)
	}
	return l, nil
}
