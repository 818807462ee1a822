package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/internal/fidelity/play"
	"github.com/schedsim/schedsim/machines"
	"github.com/schedsim/schedsim/sim"
)

// defaultRecorded is where the recorded runs lie, from the root of the source tree; defaultStreams those with callbacks, whose
// recording takes time away from the tasks.
const (
	defaultRecorded = "benchmarks/lab/recorded"
	defaultStreams  = "benchmarks/lab/streams"
)

// objectsEnv lists folders with objects of schedulers.
const objectsEnv = "SCHEDSIM_OBJECTS"

type fidelityFlags struct {
	objects, workloads []string
	filter             string
	seeds              int
	json, markdown     bool
	missesOnly         bool
	streams            bool
	costs              []string
	causes             string
}

func (a *app) fidelityCommand() *cobra.Command {
	var f fidelityFlags
	cmd := &cobra.Command{
		Use:   "fidelity [flags] [DIR|FILE...]",
		Short: "Compare the simulator with recorded runs of a real kernel",
		Long: `Compare the simulator with recorded runs of a real kernel: run what was recorded, under the same scheduler on a machine like the
recorded one, and put the figures beside each other. Without arguments the runs are those of ` + defaultRecorded + `,
with --streams of ` + defaultStreams + `.

Shown are medians over the recorded runs, and over as many runs of the simulator. A figure is hit if the simulator is within its
tolerance of what the kernel did in one run, or between two. The yardstick is the kernel itself: how many of its own runs are
within tolerance of the other runs of their case. Cases whose objects are not there are left out, with a remark.

Exit codes:
   0  every judged figure is within its tolerance; all callbacks are equal
   1  a figure is beyond it; a callback is another
   2  wrong usage, or a file that cannot be used
   3  an object was rejected that the kernel had accepted`,
		Example: `  schedsim fidelity
  schedsim fidelity --case 'hogs-* eevdf *' --objects ~/scx/build/
  schedsim fidelity --misses --causes docs/fidelity.md
  schedsim fidelity --markdown --causes docs/fidelity.md > docs/fidelity-measured.md`,
		RunE: func(_ *cobra.Command, args []string) error { return a.fidelity(&f, args) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringArrayVar(&f.objects, "objects", nil, "`folder` with the recorded schedulers' objects; repeatable (default: the folders in "+objectsEnv+"), after\nexamples/bpf of the source tree")
	fs.StringArrayVar(&f.workloads, "workloads", nil, "`folder` with the recorded workloads; repeatable (default: workloads beside the folder of the runs)")
	fs.StringVar(&f.filter, "case", "", "only cases whose \"workload scheduler cpus\" matches this `pattern`, with * and ?")
	fs.IntVar(&f.seeds, "seeds", 0, "runs of the simulator per case (default: as many as were recorded)")
	fs.StringArrayVar(&f.costs, "cost", nil, "change prices of the recorded machine, as for run: `name=value,...`; repeatable")
	fs.BoolVar(&f.json, "json", false, "print the comparison as JSON")
	fs.BoolVar(&f.markdown, "markdown", false, "print the comparison as Markdown, misses first")
	fs.BoolVar(&f.missesOnly, "misses", false, "print the figures that are beyond their tolerance only, the greatest first")
	fs.StringVar(&f.causes, "causes", "", "with --markdown or --misses: name each miss's cause, from the table of causes in `file` (docs/fidelity.md)")
	fs.BoolVar(&f.streams, "streams", false, "compare recorded streams of sched_ext callbacks instead: show the first that differs on each CPU, with\nwhat came before, and how things stood in the simulator")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown", "misses")
	cmd.MarkFlagsMutuallyExclusive("markdown", "misses", "streams")
	return cmd
}

func (a *app) fidelity(f *fidelityFlags, paths []string) error {
	if len(paths) == 0 {
		if paths = []string{defaultRecorded}; f.streams {
			paths = []string{defaultStreams}
		}
	}
	cases, err := fidelity.Load(paths...)
	if err != nil {
		return err
	}
	if f.seeds < 0 || f.seeds > 1000 {
		return usage("--seeds %d: expected 1 to 1000", f.seeds)
	}
	costs, err := labCosts(f.costs)
	if err != nil {
		return usage("--cost %v", err)
	}
	causes, err := readCauses(f.causes)
	if err != nil {
		return err
	}
	lab := &play.Lab{Workloads: f.workloads, Objects: f.objects, Seeds: f.seeds, Costs: costs}
	if len(lab.Workloads) == 0 {
		lab.Workloads = workloadFolders(paths)
	}
	if len(lab.Objects) == 0 {
		lab.Objects = filepath.SplitList(os.Getenv(objectsEnv))
	}
	lab.Objects = append([]string{"examples/bpf"}, lab.Objects...)
	if cases, err = chooseCases(cases, f.filter); err != nil {
		return err
	}
	if f.streams {
		return a.fidelityStreams(f, lab, cases)
	}
	var list []*fidelity.Comparison
	for _, c := range cases {
		runs, err := lab.Case(c)
		if a.leftOut(c, err) {
			continue
		} else if err != nil {
			return err
		}
		list = append(list, fidelity.Compare(c, runs))
	}
	if len(list) == 0 {
		return usage("no case to compare")
	}
	if err := a.printFidelity(f, list, causes); err != nil {
		return err
	}
	if n := len(fidelity.Missed(list)); n > 0 {
		return &exitError{exitCheck, errSilent}
	}
	return nil
}

// readCauses reads the causes of misses; "" has none.
func readCauses(name string) ([]fidelity.Cause, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, usage("--causes: %v", err)
	}
	defer file.Close()
	causes, err := fidelity.ReadCauses(file)
	if err != nil {
		return nil, usage("--causes %s: %v", name, err)
	}
	return causes, nil
}

// chooseCases are the cases whose names match a pattern, all for "".
func chooseCases(cases []*fidelity.Case, pattern string) ([]*fidelity.Case, error) {
	if pattern == "" {
		return cases, nil
	}
	var list []*fidelity.Case
	for _, c := range cases {
		ok, err := filepath.Match(pattern, c.Name())
		if err != nil {
			return nil, usage("--case %q: %v", pattern, err)
		}
		if ok {
			list = append(list, c)
		}
	}
	return list, nil
}

// leftOut tells whether a case cannot be compared because a file is not there.
func (a *app) leftOut(c *fidelity.Case, err error) bool {
	var missing *play.MissingError
	if !errors.As(err, &missing) {
		return false
	}
	if a.missing == nil {
		a.missing = map[string]bool{}
	}
	if text := missing.Error(); !a.missing[text] {
		a.remark("%s, and perhaps others: left out: %s", c.Name(), text)
		a.missing[text] = true
	}
	return true
}

// fidelityStreams compares streams of callbacks.
func (a *app) fidelityStreams(f *fidelityFlags, lab *play.Lab, cases []*fidelity.Case) error {
	type result struct {
		Case string                `json:"case"`
		Seed uint64                `json:"seed"`
		CPUs []fidelity.Divergence `json:"cpus"`
	}
	var all []result
	parted := false
	for _, c := range cases {
		bySeed, err := lab.Streams(c)
		if a.leftOut(c, err) {
			continue
		} else if err != nil {
			return err
		}
		for _, seed := range slices.Sorted(maps.Keys(bySeed)) {
			all = append(all, result{c.Name(), seed, bySeed[seed]})
			parted = parted || slices.ContainsFunc(bySeed[seed], func(d fidelity.Divergence) bool { return d.Parted() })
		}
	}
	if len(all) == 0 {
		return usage("no recorded stream of callbacks to compare")
	}
	if f.json {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		if err := e.Encode(all); err != nil {
			return err
		}
	} else {
		for _, r := range all {
			if err := fidelity.WriteDivergences(a.out, fmt.Sprintf("%s, seed %d", r.Case, r.Seed), r.CPUs); err != nil {
				return err
			}
		}
	}
	if parted {
		return &exitError{exitCheck, errSilent}
	}
	return nil
}

func (a *app) printFidelity(f *fidelityFlags, list []*fidelity.Comparison, causes []fidelity.Cause) error {
	switch {
	case f.json:
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(list)
	case f.markdown:
		return fidelity.WriteMarkdown(a.out, list, causes)
	case f.missesOnly:
		return fidelity.WriteMisses(a.out, list, causes)
	}
	return fidelity.WriteText(a.out, list)
}

// workloadFolders are where the workloads of recorded runs may lie: in "workloads" beside a folder of runs, or beside one of
// those around it.
func workloadFolders(paths []string) []string {
	var dirs []string
	for _, p := range paths {
		p = filepath.Clean(p)
		for range 4 {
			dirs = append(dirs, filepath.Join(filepath.Dir(p), "workloads"))
			next := filepath.Dir(p)
			if next == p || strings.HasSuffix(next, "..") {
				break
			}
			p = next
		}
	}
	return dirs
}

// labCosts are the costs of the machine that runs were recorded on, with some changed.
func labCosts(changes []string) (sim.Costs, error) {
	p, err := machines.Get("lab")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, c := range changes {
		if err := p.Machine.Set(c); err != nil {
			return sim.Costs{}, err
		}
	}
	return p.Machine.Costs, nil
}
