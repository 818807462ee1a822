//go:build linux && amd64

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"github.com/schedsim/schedsim/internal/fidelity"
)

// record is struct record of native/record.bpf.h.
type record struct {
	At, A, B, Slice, VTime uint64
	PID, Other             int32
	State                  uint32
	Kind, Ret              uint8
	CPU                    uint16
}

// The kinds of records of the recorder.
const (
	evSwitch = iota + 1
	evWaking
	evWakeup
	evMigrate
	evTick
)

// readRecords reads what the agent dumped: the records of all CPUs in order of time.
func readRecords(file string, cpus int) ([]record, bool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, false, err
	}
	defer os.Remove(file)
	return decodeRecords(data, cpus)
}

func decodeRecords(data []byte, cpus int) (all []record, lost bool, err error) {
	r := bytes.NewReader(data)
	for cpu := range cpus {
		var head [2]uint32
		if err := binary.Read(r, binary.LittleEndian, &head); err != nil {
			return nil, false, fmt.Errorf("records of CPU %d: %w", cpu, err)
		}
		if int64(head[0])*int64(binary.Size(record{})) > int64(r.Len()) {
			return nil, false, fmt.Errorf("records of CPU %d: %d, which is more than there are", cpu, head[0])
		}
		list := make([]record, head[0])
		if err := binary.Read(r, binary.LittleEndian, list); err != nil {
			return nil, false, fmt.Errorf("records of CPU %d: %w", cpu, err)
		}
		lost = lost || head[1] != 0
		all = append(all, list...)
	}
	slices.SortStableFunc(all, func(a, b record) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	return all, lost, nil
}

// schedEvents are the scheduler's events in the form that is measured.
func schedEvents(records []record, zero int64) []fidelity.Event {
	out := make([]fidelity.Event, 0, len(records))
	for i := range records {
		r := &records[i]
		e := fidelity.Event{At: int64(r.At) - zero, Task: r.PID, CPU: int32(r.CPU)}
		switch r.Kind {
		case evSwitch:
			e.Kind, e.Other, e.State, e.Value = fidelity.EventSwitch, r.Other, r.State, int64(r.A)
		case evWaking:
			e.Kind = fidelity.EventWaking
		case evWakeup:
			e.Kind = fidelity.EventWakeup
		case evMigrate:
			e.Kind = fidelity.EventMigrate
		default:
			continue
		}
		out = append(out, e)
	}
	return out
}

// firstTick is the time from T0 to the first tick of CPU 0, -1 if none was seen.
func firstTick(records []record, zero int64) int64 {
	for i := range records {
		if r := &records[i]; r.Kind == evTick && r.CPU == 0 && int64(r.At) >= zero {
			return int64(r.At) - zero
		}
	}
	return -1
}

// merge brings two lists in order of time together; at equal times the first one's come first.
func merge(a, b []fidelity.Event) []fidelity.Event {
	out := append(slices.Clone(a), b...)
	slices.SortStableFunc(out, func(x, y fidelity.Event) int {
		switch {
		case x.At < y.At:
			return -1
		case x.At > y.At:
			return 1
		}
		return 0
	})
	return out
}

// callNames are the callbacks by their numbers in native/tap.bpf.c.
var callNames = [...]string{"", "select_cpu", "enqueue", "dequeue", "dispatch", "tick", "runnable", "running", "stopping", "quiescent", "yield",
	"set_weight", "set_cpumask", "update_idle", "cpu_acquire", "cpu_release", "init_task", "exit_task", "enable", "disable", "cpu_online",
	"cpu_offline"}

// stream is what was recorded of callbacks, as text: length of the window, all if it is 0, or up to the first loss.
func stream(records []record, run *fidelity.Run, length, zero int64, lost bool) *fidelity.Stream {
	s := &fidelity.Stream{CPUs: run.Manifest.CPUs, Tick: run.Window.TickNS, Until: run.Window.LengthNS}
	if length > 0 {
		s.Until = min(s.Until, length)
	}
	for _, t := range run.Tasks {
		s.Tasks = append(s.Tasks, fidelity.StreamTask{PID: t.PID, Nice: t.Nice, Name: t.Name})
	}
	last := map[uint16]int64{}
	for i := range records {
		r := &records[i]
		at := int64(r.At) - zero
		last[r.CPU] = at
		if int(r.Kind) >= len(callNames) || at > s.Until {
			continue
		}
		op := fidelity.Op{At: at, CPU: int32(r.CPU), Name: callNames[r.Kind], PID: r.PID}
		if r.Ret != 0 {
			op.Name += "_ret"
		}
		a, b, _ := fidelity.OpArgs(op.Name)
		if a != "" {
			op.A = fidelity.Num(r.A)
		}
		if b != "" {
			op.B = fidelity.Num(r.B)
		}
		if r.PID != 0 {
			op.Slice, op.VTime = fidelity.Num(r.Slice), fidelity.Num(r.VTime)
		}
		s.Ops = append(s.Ops, op)
	}
	if lost {
		for _, at := range last {
			s.Until = min(s.Until, at)
		}
	}
	return s
}

// eventText is the stream of scheduler events: T KIND CPU TASK OTHER STATE VALUE.
func eventText(events []fidelity.Event) []byte {
	var b []byte
	for i := range events {
		e := &events[i]
		b = fmt.Appendf(b, "%d %d %d %d %d %d %d\n", e.At, e.Kind, e.CPU, e.Task, e.Other, e.State, e.Value)
	}
	return b
}
