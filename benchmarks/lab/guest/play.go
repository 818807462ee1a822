//go:build linux && amd64

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
	"github.com/schedsim/schedsim/internal/fidelity"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	resultFile = "/tmp/result"
	eventsFile = "/tmp/events"
	callsFile  = "/tmp/calls"
)

// play plays a workload under a scheduler and emits the run.
func (g *guest) play(p *job.Play, cpus int) error {
	a, err := g.recorder(cpus)
	if err != nil {
		return err
	}
	if err := makeCgroups(p); err != nil {
		return err
	}
	defer removeCgroups()
	init, err := g.attach(a, p, cpus)
	if err != nil {
		return err
	}
	defer os.Remove(resultFile)
	if _, err = a.do("on"); err != nil {
		return err
	}
	// A pipe that nobody reads until the end; what the player has to say is short.
	var text bytes.Buffer
	cmd := exec.Command(job.PlayerFile, p.Plan, resultFile)
	cmd.Stderr = &text
	err = cmd.Run()
	if _, e := a.do("off"); err == nil {
		err = e
	}
	exit, events, e := g.detach(a, p)
	if err != nil {
		err = fmt.Errorf("player: %w: %s", err, bytes.TrimSpace(text.Bytes()))
	}
	if err = errors.Join(err, e); err != nil {
		return err
	}
	seen, err := a.looked(init)
	if err != nil {
		return err
	}
	return g.report(a, p, cpus, int32(cmd.Process.Pid), exit, events, seen)
}

// attach brings the scheduler into charge and tells the CPU on which its ops.init ran, nil if it has none.
func (g *guest) attach(a *agent, p *job.Play, cpus int) (init *int, err error) {
	for _, c := range p.Agent {
		answer, err := a.do("%s", c)
		if err != nil {
			if !strings.HasPrefix(c, "open ") {
				a.do("close")
			}
			return nil, err
		}
		switch c {
		case "load":
			if p.Stream {
				_, err = a.do("tap %s %d %d", job.TapFile, cpus, job.Records)
			}
			if err == nil {
				_, err = a.do("init %s", job.InitFile)
			}
		case "attach":
			init, err = parseInit(answer)
		}
		if err != nil {
			a.do("close")
			return nil, err
		}
	}
	if len(p.Agent) > 0 {
		// Whoever was being moved from one class to the other has arrived.
		time.Sleep(50 * time.Millisecond)
	}
	return init, nil
}

// detach ends the scheduler. The exit is nil if it was in charge until now.
func (g *guest) detach(a *agent, p *job.Play) (*fidelity.Exit, []fidelity.Counter, error) {
	if len(p.Agent) == 0 {
		return nil, nil, nil
	}
	counters := schedExtEvents()
	running := read("/sys/kernel/sched_ext/state") == "enabled"
	var exit *fidelity.Exit
	if !running {
		var err error
		if exit, err = g.why(a); err != nil {
			return nil, nil, err
		}
	}
	if p.Stream {
		if _, err := a.do("calls %s", callsFile); err != nil {
			return nil, nil, err
		}
	}
	if _, err := a.do("close"); err != nil {
		return nil, nil, err
	}
	for range 100 { // the kernel ends a scheduler in the background
		if s := read("/sys/kernel/sched_ext/state"); s == "disabled" {
			return exit, counters, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return exit, counters, errors.New("the scheduler did not end")
}

// schedExtEvents are the counters of the scheduler in charge that are not zero.
func schedExtEvents() []fidelity.Counter {
	var out []fidelity.Counter
	for line := range strings.Lines(read("/sys/kernel/sched_ext/root/events")) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil && v != 0 {
			out = append(out, fidelity.Counter{Name: name, Value: v})
		}
	}
	return out
}

// makeCgroups makes the workload's cgroups with the controllers enabled everywhere.
func makeCgroups(p *job.Play) error {
	if len(p.Cgroups) == 0 {
		return nil
	}
	enable := func(dir string) error {
		return os.WriteFile(dir+"/cgroup.subtree_control", []byte("+cpu +cpuset"), 0)
	}
	if err := enable(cgroupRoot); err != nil {
		return err
	}
	for _, dir := range p.Cgroups {
		if parent := filepath.Dir(dir); parent != cgroupRoot {
			if err := enable(parent); err != nil {
				return err
			}
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, f := range p.Files {
		text := f[1]
		if text == "" {
			text = "\n"
		}
		if err := os.WriteFile(f[0], []byte(text), 0); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes all cgroups, deepest first.
func removeCgroups() {
	var dirs []string
	filepath.WalkDir(cgroupRoot, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != cgroupRoot {
			dirs = append(dirs, path)
		}
		return nil
	})
	slices.SortFunc(dirs, func(a, b string) int { return len(b) - len(a) })
	for _, d := range dirs {
		os.Remove(d)
	}
	// Without cgroups the controllers have no effect on the next run.
	os.WriteFile(cgroupRoot+"/cgroup.subtree_control", []byte("-cpu -cpuset"), 0)
}

// operatorPrio is the player's, while it operates.
const operatorPrio = 98

// report measures the run and emits it. The player's first process was player; seen is what was seen before T0.
func (g *guest) report(a *agent, p *job.Play, cpus int, player int32, exit *fidelity.Exit, counters []fidelity.Counter, seen *look) error {
	if _, err := a.do("events %s", eventsFile); err != nil {
		return err
	}
	data, err := os.ReadFile(resultFile)
	if err != nil {
		return err
	}
	res, err := parseResult(data, p.Tasks)
	if err != nil {
		return err
	}
	if len(p.Agent) > 0 && res.before != "" && res.before != "enabled" {
		why := "it is " + res.before
		if exit != nil {
			why = exit.Reason + ": " + exit.Message
		}
		return fmt.Errorf("the scheduler was not in charge when the workload began: %s", why)
	}
	records, lost, err := readRecords(eventsFile, cpus)
	if err != nil {
		return err
	}
	m := p.Manifest
	m.Kernel = release()
	if res.problems != "" {
		m.Note = strings.TrimPrefix(m.Note+"; "+res.problems, "; ")
	}
	if exit != nil && res.state == "enabled" {
		m.Note = strings.TrimPrefix(fmt.Sprintf("%s; the scheduler ended after the window: %s: %s", m.Note, exit.Reason, exit.Message), "; ")
		exit = nil
	}
	run := &fidelity.Run{Format: fidelity.Format, Manifest: m, Tasks: res.tasks, Exit: exit, Events: counters,
		Window: fidelity.Window{LengthNS: res.end - res.zero, AllEnded: p.Duration == 0 && res.ended, Overflow: lost || res.lost}}
	events := merge(schedEvents(records, res.zero), res.notes)
	run.Window.TickNS = firstTick(records, res.zero)
	run.Window.BoundNS, run.Window.BoundPPB = res.bound(int64(m.QuantumUS) * 1000)
	run.Start = seen.start(res.zero, run.Window.TickNS, len(p.Agent) == 0)
	seen.asleep(run.Tasks)
	run.Measure(events)
	for i := range run.Others {
		o := &run.Others[i]
		if o.PID == player {
			o.Name, o.Policy, o.RTPrio = "operator", policies[1], operatorPrio
			continue
		}
		o.Name, o.CPUs = threadOf(o.PID, cpus)
		o.Nice, o.RTPrio, o.Policy = policyOf(o.PID)
	}
	if err := run.Check(); err != nil {
		return fmt.Errorf("what was recorded cannot be: %w", err)
	}
	name := m.FileName()
	var b bytes.Buffer
	if err := run.Write(&b); err != nil {
		return err
	}
	g.raw(name, b.Bytes())
	base := strings.TrimSuffix(name, ".json")
	if p.Events {
		g.raw(base+".events", eventText(events))
	}
	if p.Stream && len(p.Agent) > 0 {
		calls, lost, err := readRecords(callsFile, cpus)
		if err != nil {
			return err
		}
		b.Reset()
		if err := stream(calls, run, p.StreamNS, res.zero, lost).Write(&b); err != nil {
			return err
		}
		g.raw(base+".ops", b.Bytes())
	}
	return nil
}

// threadOf names a thread that still lives and tells its CPUs, nil for all.
func threadOf(pid int32, cpus int) (string, []int) {
	status := read(fmt.Sprintf("/proc/%d/status", pid))
	var name string
	var set []int
	for line := range strings.Lines(status) {
		key, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch v = strings.TrimSpace(v); key {
		case "Name":
			name = v
		case "Cpus_allowed_list":
			for part := range strings.SplitSeq(v, ",") {
				from, to, ranged := strings.Cut(part, "-")
				first, err := strconv.Atoi(from)
				last := first
				if ranged {
					last, err = strconv.Atoi(to)
				}
				for c := first; err == nil && c <= last && c < cpus; c++ {
					set = append(set, c)
				}
			}
		}
	}
	if len(set) == cpus {
		set = nil
	}
	return name, set
}

// policyOf tells nice value, priority and policy of a thread that still lives.
func policyOf(pid int32) (nice, prio int, policy string) {
	_, rest, _ := strings.Cut(read(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	f := strings.Fields(rest) // from the state on, the third field
	if len(f) < 39 {
		return 0, 0, ""
	}
	nice, _ = strconv.Atoi(f[16])
	prio, _ = strconv.Atoi(f[37])
	n, _ := strconv.Atoi(f[38])
	return nice, prio, policies[n]
}
