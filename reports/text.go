package reports

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxTaskRows is how many tasks a table lists one by one; more are summed up by the task of the workload that they are.
const maxTaskRows = 40

// WriteText writes r as text: what was run, the totals, a table of tasks, and how the policy ended if it did.
func (r *Report) WriteText(w io.Writer, o TextOptions) error {
	if err := r.writeHead(w, o); err != nil {
		return err
	}
	totals := &table{cols: []column{{name: "total", left: true}, {name: "", left: true}}}
	for _, m := range metrics() {
		if v, ok := m.value(r); ok {
			text := m.format(v)
			if m.note != nil {
				text += m.note(r)
			}
			totals.rows = append(totals.rows, []string{m.name, text})
		}
	}
	if err := totals.write(w, o); err != nil {
		return err
	}
	if err := r.writeTasks(w, o); err != nil {
		return err
	}
	if err := r.writeTimeline(w, o); err != nil {
		return err
	}
	if err := r.writeRestarts(w); err != nil {
		return err
	}
	if err := r.writeSchedulers(w, o); err != nil {
		return err
	}
	if err := r.writeSubs(w, o); err != nil {
		return err
	}
	return r.writeExit(w, o)
}

// writeRestarts says how often the scheduler was started over, and why: once for each reason, in order of the first.
func (r *Report) writeRestarts(w io.Writer) error {
	if len(r.Restarts) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\n%s of the scheduler\n", count(uint64(len(r.Restarts)), "restart")); err != nil {
		return err
	}
	times := map[string]int{}
	var whys []string
	for _, s := range r.Restarts {
		why := s.Reason
		if s.Message != "" {
			why += " (" + s.Message + ")"
		}
		if times[why]++; times[why] == 1 {
			whys = append(whys, why)
		}
	}
	for i, why := range whys {
		if i == maxTimelineRows {
			_, err := fmt.Fprintf(w, "  and for %d other reasons\n", len(whys)-i)
			return err
		}
		if _, err := fmt.Fprintf(w, "  %d: %s\n", times[why], Plain(why)); err != nil {
			return err
		}
	}
	return nil
}

// writeSchedulers lists the schedulers that the timeline has put in charge and taken off.
func (r *Report) writeSchedulers(w io.Writer, o TextOptions) error {
	if len(r.Schedulers) == 0 {
		return nil
	}
	t := &table{cols: []column{{name: "from"}, {name: "to"}, {name: "scheduler", left: true}, {name: "end", left: true}}}
	for i, s := range r.Schedulers {
		if i == maxTimelineRows {
			t.rows = append(t.rows, []string{"", "", fmt.Sprintf("and %d more", len(r.Schedulers)-i), ""})
			break
		}
		row := []string{Dur(s.FromNS), "-", Plain(s.Scheduler), "in charge until the end"}
		if s.Exit != nil {
			row[1], row[3] = Dur(s.Exit.AtNS), Plain(s.Exit.Reason)
		}
		t.rows = append(t.rows, row)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return t.write(w, o)
}

// writeSubs says how the sub-schedulers fared.
func (r *Report) writeSubs(w io.Writer, o TextOptions) error {
	for _, s := range r.Subs {
		from, end := "", ""
		if s.FromNS > 0 {
			from = ", from " + Dur(s.FromNS)
		}
		if s.Exit == nil {
			end = ": in charge until the end\n"
		}
		if _, err := fmt.Fprintf(w, "\nsub-scheduler %s of %s%s%s", Plain(s.Scheduler), Plain(s.Cgroup), from, end); err != nil {
			return err
		}
		if err := s.Exit.write(w, o); err != nil {
			return err
		}
	}
	return nil
}

// maxTimelineRows is how many actions are listed.
const maxTimelineRows = 30

// writeTimeline lists what was done to the machine.
func (r *Report) writeTimeline(w io.Writer, o TextOptions) error {
	if len(r.Timeline) == 0 {
		return nil
	}
	t := &table{cols: []column{{name: "at"}, {name: "timeline", left: true}}}
	for i, e := range r.Timeline {
		if i == maxTimelineRows {
			t.rows = append(t.rows, []string{"", fmt.Sprintf("and %d more", len(r.Timeline)-i)})
			break
		}
		text := Plain(e.Text)
		if e.Refused {
			text = "refused: " + text
		}
		t.rows = append(t.rows, []string{Dur(e.AtNS), text})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return t.write(w, o)
}

func (r *Report) writeHead(w io.Writer, o TextOptions) error {
	i := &r.Info
	head := fmt.Sprintf("%s on %s (%s), %s", i.Scheduler, i.Topology, count(uint64(i.CPUs), "CPU"), i.Workload)
	if i.Title != "" {
		head += ": " + i.Title
	}
	set := []string{"simulated " + Dur(i.Length), "seed " + strconv.FormatUint(i.Seed, 10), "kernel " + i.Kernel, "costs " + i.Costs}
	_, err := fmt.Fprintf(w, "%s\n%s\n\n", o.paint(ansiBold, Plain(head)), strings.Join(set, ", "))
	return err
}

// taskColumns head the table of tasks and that of groups.
func taskColumns(first ...column) []column {
	return append(first, []column{
		{name: "cpu time"}, {name: "share"}, {name: "run delay", drop: 3}, {name: "switches", drop: 6},
		{name: "preempted", drop: 8}, {name: "migrated", drop: 7},
		{name: "wakeups", drop: 9}, {name: "wake p50", drop: 5}, {name: "wake p99", drop: 1}, {name: "wake max", drop: 4},
		{name: "work", drop: 2}, {name: "resp p50", drop: 11}, {name: "resp p99", drop: 10}, {name: "resp max", drop: 12},
		{name: "misses", drop: 2},
	}...)
}

func (u *Usage) cells() []string {
	wake := func(v int64) string { return orDash(u.WakeLatency.Count, func() string { return Dur(v) }) }
	resp := func(v int64) string { return orDash(u.Response.Count, func() string { return Dur(v) }) }
	return []string{
		Dur(u.CPUTime), Percent(u.Share), Dur(u.RunDelay), count(u.Switches, ""), count(u.Preemptions, ""), count(u.Migrations, ""),
		strconv.FormatInt(u.WakeLatency.Count, 10), wake(u.WakeLatency.P50), wake(u.WakeLatency.P99), wake(u.WakeLatency.Max),
		count(u.Work, ""), resp(u.Response.P50), resp(u.Response.P99), resp(u.Response.Max), count(u.Misses, ""),
	}
}

func (r *Report) writeTasks(w io.Writer, o TextOptions) error {
	if len(r.Tasks) == 0 {
		_, err := fmt.Fprintln(w, "\nno tasks")
		return err
	}
	t := &table{}
	if len(r.Tasks) <= maxTaskRows {
		t.cols = taskColumns(column{name: "task", left: true}, column{name: "pid", drop: 13}, column{name: "nice"})
		for i := range r.Tasks {
			k := &r.Tasks[i]
			t.rows = append(t.rows, append([]string{Plain(k.Comm), strconv.Itoa(int(k.PID)), strconv.Itoa(k.Nice)}, k.cells()...))
		}
	} else {
		t.cols = taskColumns(column{name: "tasks of", left: true}, column{name: "number"})
		for i := range r.Groups {
			g := &r.Groups[i]
			t.rows = append(t.rows, append([]string{Plain(g.Name), strconv.Itoa(g.Tasks)}, g.cells()...))
		}
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return t.write(w, o)
}

func (r *Report) writeExit(w io.Writer, o TextOptions) error { return r.Exit.write(w, o) }

func (e *Exit) write(w io.Writer, o TextOptions) error {
	if e == nil {
		return nil
	}
	text := e.Reason
	if e.Message != "" {
		text += " (" + e.Message + ")"
	}
	code := ""
	if e.Code != 0 {
		code = fmt.Sprintf(", code %#x", uint64(e.Code))
	}
	line := fmt.Sprintf("EXIT: %s\nkind %s (%d)%s, at %s", Plain(text), e.Name, e.Kind, code, Dur(e.AtNS))
	if e.Kind >= exitErrorKinds {
		line = o.paint(ansiRed, line)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", line)
	if err == nil && e.Dump != "" {
		_, err = fmt.Fprintf(w, "\n%s\n", strings.TrimRight(Plain(e.Dump), "\n"))
	}
	return err
}
