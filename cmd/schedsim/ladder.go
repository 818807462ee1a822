package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/ladder"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

type ladderFlags struct {
	workloads, topos []string
	duration         time.Duration
	timeout          time.Duration
	seed             uint64
	kernel           string
	jobs             int
	only             []string
	checks           string
	json, markdown   bool
	list             bool
	from             []string
}

func (a *app) ladderCommand() *cobra.Command {
	var f ladderFlags
	cmd := &cobra.Command{
		Use:   "ladder [flags] FOLDER|OBJECT...",
		Short: "Run many schedulers' objects and say how far each comes",
		Long: `Run many schedulers' objects and say how far each comes: whether it verifies, attaches, and runs each workload on each machine to the
end, and whether it does what its authors say, by a check of its own. FOLDER stands for all objects (*.bpf.o) in it.

The first table is the same on every machine. The second is measured: simulated seconds per second on the largest machine,
callbacks and instructions per second, resident memory. Each run is a process of its own, so that its memory can be told and a
scheduler that is too slow can be given up.

Exit codes:
   0  every run of every object went to its end, and every check holds
   1  a row says otherwise: a file is missing, an object was refused, a scheduler ended with an error, a check does not hold
   2  wrong usage`,
		Example: `  schedsim ladder ~/scx/build/
  schedsim ladder -j 4 --duration 1s --markdown ~/scx/build/ > ladder.md
  schedsim ladder --checks only scx_simple.bpf.o
  schedsim ladder --list                                   the rungs and the checks`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.ladder(cmd.Context(), &f, args) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringSliceVar(&f.workloads, "workload", ladder.DefaultWorkloads(), "`names` of built-in workloads, by commas")
	fs.StringSliceVar(&f.topos, "topo", ladder.DefaultTopos(), "`machines` as NnLlCcTt, by commas")
	fs.DurationVar(&f.duration, "duration", time.Duration(ladder.DefaultLength), "simulated `time` of each run")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Minute, "give a run up after this wall `time`")
	fs.Uint64Var(&f.seed, "seed", 42, "`seed` of the random draws")
	fs.StringVar(&f.kernel, "kernel", "", "`version` of the kernel: "+strings.Join(kernels.List(), ", "))
	fs.IntVarP(&f.jobs, "jobs", "j", max(1, runtime.NumCPU()/2), "how many `runs` at a time")
	fs.StringSliceVar(&f.only, "only", nil, "only objects of these `names`, by commas: simple,lavd")
	fs.StringVar(&f.checks, "checks", "yes", "the checks of what schedulers say: yes, no, or only")
	fs.BoolVar(&f.json, "json", false, "print every run as JSON")
	fs.BoolVar(&f.markdown, "markdown", false, "print the tables as Markdown")
	fs.BoolVar(&f.list, "list", false, "list the known schedulers with their rungs and checks, and run nothing")
	fs.StringArrayVar(&f.from, "from", nil, "run nothing: print what earlier runs have written with --json to `FILE`; repeatable")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	cmd.MarkFlagsMutuallyExclusive("from", "list")
	cmd.AddCommand(a.ladderJobCommand())
	return cmd
}

// ladderJobCommand does one job, as a process of its own.
func (a *app) ladderJobCommand() *cobra.Command {
	return &cobra.Command{
		Use: ladderJob, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var j ladder.Job
			if err := json.NewDecoder(a.in).Decode(&j); err != nil {
				return usage("a job: %v", err)
			}
			return json.NewEncoder(a.out).Encode(ladder.Run(j))
		},
	}
}

const ladderJob = "job"

func (f *ladderFlags) options() (ladder.Options, error) {
	o := ladder.Options{Workloads: f.workloads, Topos: f.topos, Length: sim.Duration(f.duration), Seed: f.seed, Kernel: f.kernel, Jobs: f.jobs}
	for _, w := range f.workloads {
		if _, err := workloads.Example(w); err != nil {
			return o, usage("--workload: %w", err)
		}
	}
	for _, t := range f.topos {
		if _, err := topo.Parse(t); err != nil {
			return o, usage("--topo: %w", err)
		}
	}
	if f.kernel != "" {
		if _, err := kernels.Get(f.kernel); err != nil {
			return o, err
		}
	}
	switch {
	case f.duration <= 0:
		return o, usage("--duration %v: expected more than 0", f.duration)
	case f.timeout <= 0:
		return o, usage("--timeout %v: expected more than 0", f.timeout)
	case f.jobs < 1:
		return o, usage("--jobs %d: expected 1 or more", f.jobs)
	}
	switch f.checks {
	case "yes":
	case "no":
		o.NoChecks = true
	case "only":
		o.OnlyChecks = true
	default:
		return o, usage("--checks %q: expected yes, no or only", f.checks)
	}
	return o, nil
}

func (a *app) ladder(ctx context.Context, f *ladderFlags, paths []string) error {
	text, err := a.textOptions()
	if err != nil {
		return err
	}
	if f.list {
		return a.listLadder(f, text)
	}
	if len(f.from) > 0 {
		table, err := readLadder(f.from)
		if err != nil {
			return err
		}
		return a.printLadder(f, table, text)
	}
	if len(paths) == 0 {
		return usage("a folder or an object is missing; see 'schedsim ladder --help'")
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	objects, err := ladder.Objects(paths...)
	if err != nil {
		return usage("%w", err)
	}
	if len(f.only) > 0 {
		objects = slices.DeleteFunc(objects, func(obj ladder.Object) bool {
			return !slices.ContainsFunc(f.only, func(n string) bool { return obj.Named(n) })
		})
		if len(objects) == 0 {
			return usage("--only %s: no object has such a name", strings.Join(f.only, ","))
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(orBackground(ctx), os.Interrupt)
	defer stop()
	o.Do = func(ctx context.Context, j ladder.Job) ladder.Outcome { return inProcess(ctx, self, f.timeout, j) }
	progress := a.progress(o.Count(objects), "runs done")
	whole := o.Effort(objects)
	o.Done = func(out ladder.Outcome) { progress.doneOf(out.Job.Effort() / whole) }
	table, stopped := ladder.Climb(ctx, objects, o)
	stop() // a second interrupt ends the process
	progress.end()
	err = a.printLadder(f, table, text)
	if code := (*exitError)(nil); stopped != nil && (err == nil || errors.As(err, &code)) {
		return &exitError{exitInterrupted, errors.New("interrupted: what was not done is not in the tables")}
	}
	return err
}

// printLadder prints a table in the form that is asked for, and turns what it says into the exit code.
func (a *app) printLadder(f *ladderFlags, table *ladder.Table, text reports.TextOptions) error {
	var err error
	switch {
	case f.json:
		err = table.WriteJSON(a.out)
	case f.markdown:
		err = table.WriteMarkdown(a.out)
	default:
		err = table.WriteText(a.out, text)
	}
	if err == nil && !table.OK() {
		err = &exitError{exitCheck, errSilent}
	}
	return err
}

// readLadder reads the results in files.
func readLadder(names []string) (*ladder.Table, error) {
	var from []io.Reader
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = append(from, f)
	}
	table, err := ladder.Read(from...)
	if err != nil {
		return nil, usage("--from: %w", err)
	}
	return table, nil
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// inProcess does a job in a process of its own.
func inProcess(ctx context.Context, self string, timeout time.Duration, j ladder.Job) ladder.Outcome {
	failed := func(format string, args ...any) ladder.Outcome {
		return ladder.Outcome{Job: j, Result: ladder.Result{Stage: ladder.StageRun, Reason: fmt.Sprintf(format, args...)}}
	}
	in, err := json.Marshal(j)
	if err != nil {
		return failed("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "ladder", ladderJob)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errOut
	cmd.WaitDelay = time.Second
	var o ladder.Outcome
	switch err := cmd.Run(); {
	case ctx.Err() == context.DeadlineExceeded:
		return failed("given up after %v", timeout)
	case err != nil:
		why := strings.TrimSpace(errOut.String())
		why, _, _ = strings.Cut(why, "\n")
		return failed("schedsim itself failed: %s", strings.TrimPrefix(why, "schedsim: "))
	}
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		return failed("what the run said cannot be read: %v", err)
	}
	return o
}

// listLadder prints the rungs and checks.
func (a *app) listLadder(f *ladderFlags, o reports.TextOptions) error {
	if f.markdown {
		return ladder.WriteList(a.out)
	}
	l := reports.NewList("rung", "scheduler", "checks").Right("rung")
	for _, e := range ladder.Entries() {
		l.Add(fmt.Sprint(e.Rung), e.Name, strings.Join(e.Checks, ", "))
	}
	if f.json {
		return reports.WriteJSON(a.out, l)
	}
	if err := l.WriteText(a.out, o); err != nil {
		return err
	}
	for _, c := range ladder.Checks() {
		fmt.Fprintf(a.out, "\n%s\n%s%s", o.Bold(c.Name), o.Wrap("  ", c.Says+"."), o.Wrap("  ", "Limit: "+c.Limit+"."))
	}
	return nil
}
