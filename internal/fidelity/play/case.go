package play

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sim"
)

// Lab is where a recorded case's files are, and the machine that stands for the lab's.
type Lab struct {
	// Workloads are the folders with the workloads' files; Objects those with the schedulers' objects.
	Workloads, Objects []string
	// Seeds is how many runs are made of a case, of which the medians count; 0: as many as were recorded.
	Seeds int
	// Costs are the prices of the kernel's paths on one CPU.
	Costs  sim.Costs
	Notice func(text string)
}

// MissingError says that a file is not where it was looked for; such a case is left out.
type MissingError struct {
	What, Name string
	Dirs       []string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s %s: in none of %q", e.What, e.Name, e.Dirs)
}

func find(what, name string, dirs []string) (string, error) {
	for _, d := range dirs {
		p := filepath.Join(d, name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", &MissingError{what, name, dirs}
}

// Case runs the simulator as a case was recorded, once for each seed.
func (l *Lab) Case(c *fidelity.Case) ([]*fidelity.Run, error) {
	var runs []*fidelity.Run
	seeds := l.Seeds
	if seeds == 0 {
		if seeds = max(len(c.Runs), 1); c.Digest != nil {
			seeds = c.Digest.Runs
		}
	}
	for i := range seeds {
		o, err := l.options(c, i)
		if err != nil {
			return nil, err
		}
		res, err := Run(o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name(), err)
		}
		runs = append(runs, res.Run)
	}
	return runs, nil
}

// options are those of the n-th run of a case. Ticks come when they did in the n-th recorded run.
func (l *Lab) options(c *fidelity.Case, n int) (Options, error) {
	m := &c.Manifest
	path, err := find("workload", m.Workload+".json", l.Workloads)
	if err != nil {
		return Options{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Options{}, err
	}
	if sum := sha256.Sum256(text); m.WorkloadSHA256 != "" && m.WorkloadSHA256 != hex.EncodeToString(sum[:]) {
		return Options{}, &MissingError{"workload", m.Workload + ".json as it was recorded", l.Workloads}
	}
	o := Options{
		Name: path, Workload: text, Scheduler: m.Scheduler, Case: m.Scheduler, CPUs: m.CPUs, Topo: m.Topo,
		Costs: LabCosts(l.Costs, m), Seed: uint64(n + 1), Notice: l.Notice, Own: labPlayer(m), Operator: labOperator(m), Turn: labTurn(m), Look: labLook(m),
		Lead: labLead(m),
	}
	if len(c.Runs) > 0 {
		r := c.Runs[n%len(c.Runs)]
		// With its seed random durations are those that the recorded tasks had.
		o.Tick, o.Others, o.Seed = labTick(r), labOthers(r), r.Manifest.Seed
		o.Bound, o.BoundPPB = sim.Duration(r.Window.BoundNS), r.Window.BoundPPB
		o.Start, o.Tasks = labStart(r)
		if slices.ContainsFunc(r.Tasks, func(t fidelity.Task) bool { return len(t.Before) > 0 }) {
			o.Lead = 0 // how they were made is known
		}
	} else {
		o.Threads = LabThreads(m)
		o.Tick = sim.Duration(n) * tickPeriod / 2 % tickPeriod
	}
	if m.Object != "" {
		if o.Scheduler, err = find("object", m.Object, l.Objects); err != nil {
			return o, err
		}
	}
	for name, v := range m.Globals {
		if o.Globals == nil {
			o.Globals = map[string]any{}
		}
		if o.Globals[name], err = strconv.ParseInt(v, 0, 64); err != nil {
			o.Globals[name] = v
		}
	}
	for _, text := range m.Members {
		list, err := bpf.ParseMembers(text)
		if err != nil {
			return o, fmt.Errorf("%s: %w", c.Name(), err)
		}
		o.Members = append(o.Members, list...)
	}
	return o, nil
}

// tap is what recording a callback takes: a round of pingpong-1 has eight and takes 11 us longer with it.
const tap = 1400 * sim.Nanosecond

// Streams runs the simulator beside each recorded stream of callbacks of a case and tells where the two part, with how things
// stood in the simulator then.
func (l *Lab) Streams(c *fidelity.Case) (map[uint64][]fidelity.Divergence, error) {
	out := map[uint64][]fidelity.Divergence{}
	for i, file := range c.Streams {
		if file == "" {
			continue
		}
		recorded, err := fidelity.ReadStreamFile(file)
		if err != nil {
			return nil, err
		}
		o, err := l.options(c, i)
		if err != nil {
			return nil, err
		}
		o.Stream = true
		o.Costs.Callback += tap
		o.Length = sim.Duration(recorded.Until)
		res, err := Run(o)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", c.Name(), err)
		case res.Stream == nil:
			return nil, fmt.Errorf("%s: callbacks were recorded, but there is no policy", c.Name())
		}
		list := fidelity.FirstDivergence(recorded, res.Stream)
		for j := range list {
			if d := &list[j]; d.Index >= 0 {
				o.SnapshotAt = d.Index + 1
				if res, err = Run(o); err != nil {
					return nil, fmt.Errorf("%s: %w", c.Name(), err)
				}
				d.State = res.Snapshot
			}
		}
		out[c.Runs[i].Manifest.Seed] = list
	}
	return out, nil
}
