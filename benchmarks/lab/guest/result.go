//go:build linux && amd64

package main

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/schedsim/schedsim/internal/fidelity"
)

// result is what the player wrote.
type result struct {
	zero, end   int64
	counter     [][2]int64 // times, and the processor's counter then
	ended, lost bool
	problems    string
	before      string // the state of sched_ext shortly before T0, "" if it is not known
	state       string // and when the window was over
	tasks       []fidelity.Task
	notes       []fidelity.Event
}

var policies = map[int]string{0: "", 1: "SCHED_FIFO", 2: "SCHED_RR", 3: "SCHED_BATCH", 5: "SCHED_IDLE", 6: "SCHED_DEADLINE"}

// parseResult reads the player's result; names are those of the plan's tasks. Tasks come in the order of the file and of
// their making.
func parseResult(data []byte, names []string) (*result, error) {
	res := &result{}
	instances := make([]int, len(names))
	byProg := make([][]fidelity.Task, len(names))
	prog := -1
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		key, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		var err error
		switch key {
		case "zero":
			_, err = fmt.Sscan(rest, &res.zero)
		case "end":
			_, err = fmt.Sscan(rest, &res.end)
		case "ended":
			res.ended = rest == "1"
		case "clock":
		case "counter":
			var c [2]int64
			_, err = fmt.Sscan(rest, &c[0], &c[1])
			res.counter = append(res.counter, c)
		case "before":
			res.before = rest
		case "state":
			res.state = rest
		case "problem":
			count, text, _ := strings.Cut(rest, " ")
			res.problems = count + " problems; the first: " + text
		case "task":
			var t fidelity.Task
			var policy, forked, lost int
			var cgroup string
			if _, err = fmt.Sscan(rest, &t.PID, &prog, &t.Nice, &policy, &cgroup, &forked, &lost); err != nil {
				break
			}
			if prog < 0 || prog >= len(names) {
				return nil, fmt.Errorf("result, line %d: task %d of %d", n, prog, len(names))
			}
			if cgroup != "-" {
				t.Cgroup = cgroup
			}
			t.Group, t.Instance, t.Policy = names[prog], instances[prog], policies[policy]
			instances[prog]++
			res.lost = res.lost || lost != 0
			byProg[prog] = append(byProg[prog], t)
		case "name":
			if prog < 0 {
				return nil, fmt.Errorf("result, line %d: a name of no task", n)
			}
			list := byProg[prog]
			list[len(list)-1].Name = rest
		case "note":
			if prog < 0 {
				return nil, fmt.Errorf("result, line %d: a note of no task", n)
			}
			list := byProg[prog]
			var e fidelity.Event
			if e, err = parseNote(rest); err != nil {
				break
			}
			e.Task = list[len(list)-1].PID
			res.notes = append(res.notes, e)
		default:
			return nil, fmt.Errorf("result, line %d: %q", n, bytes.TrimSpace([]byte(line)))
		}
		if err != nil {
			return nil, fmt.Errorf("result, line %d: %w", n, err)
		}
	}
	for _, list := range byProg {
		res.tasks = append(res.tasks, list...)
	}
	if len(res.tasks) == 0 || res.end <= res.zero {
		return nil, fmt.Errorf("result: %d tasks, from %d to %d", len(res.tasks), res.zero, res.end)
	}
	return res, nil
}

// bound is the time from T0 to when the timer comes that bounds the turns of virtual CPUs, above 0 and at most quantum, and by how much more
// than quantum it comes again, in parts per billion: by what the kernel's clock is faster than QEMU's. 0 and 0 if they are not known. QEMU has
// it come at whole multiples of the quantum of its virtual clock, and the counter shows that clock.
func (r *result) bound(quantum int64) (at, drift int64) {
	if len(r.counter) != 2 || quantum <= 0 {
		return 0, 0
	}
	a, b := r.counter[0], r.counter[1]
	if b[0] <= a[0] || b[1] <= a[1] {
		return 0, 0
	}
	rate := float64(b[1]-a[1]) / float64(b[0]-a[0])
	zero := a[1] + int64(math.Round(float64(r.zero-a[0])*rate))
	return quantum - (zero%quantum+quantum)%quantum, int64(math.Round((1/rate - 1) * 1e9))
}

// parseNote reads "KIND AT VALUE"; there are many of them.
func parseNote(text string) (e fidelity.Event, err error) {
	kind, rest, _ := strings.Cut(text, " ")
	at, value, _ := strings.Cut(rest, " ")
	switch kind {
	case "1":
		e.Kind = fidelity.EventUnit
	case "2":
		e.Kind = fidelity.EventMiss
	default:
		return e, fmt.Errorf("a note of kind %q", kind)
	}
	if e.At, err = strconv.ParseInt(at, 10, 64); err == nil {
		e.Value, err = strconv.ParseInt(value, 10, 64)
	}
	return e, err
}
