package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/reports"
)

func (a *app) compareCommand() *cobra.Command {
	var f simFlags
	var schedulers []string
	cmd := &cobra.Command{
		Use:   "compare -s A -s B ... [flags] WORKLOAD",
		Short: "Simulate a workload under several schedulers and compare",
		Long: "Simulate a workload under several schedulers and compare. The first is what the others are measured by.\n" +
			"Every scheduler gets the same machine, the same tasks and the same random draws.\n\n" + workloadText() + exitCodesHelp,
		Example: `  schedsim compare -s eevdf -s fifo -s rr -s vtime --cpus 4 example:requests
  schedsim compare -s old.bpf.o -s new.bpf.o --topo 2n2l4c2t --json workload.json`,
		Args:              exactArgs(1, "a workload"),
		ValidArgsFunction: completeWorkload,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.compare(&f, schedulers, args[0])
		},
	}
	cmd.Flags().StringArrayVarP(&schedulers, "scheduler", "s", nil, "`scheduler`, at least two: "+strings.Join(runner.Names(), ", ")+", or the path of an object (.bpf.o)")
	f.register(cmd)
	return cmd
}

func (a *app) compare(f *simFlags, schedulers []string, workload string) error {
	text, err := a.textOptions()
	if err != nil {
		return err
	}
	if len(schedulers) < 2 {
		return usage("compare needs at least two schedulers, -s A -s B; got %d", len(schedulers))
	}
	for _, s := range schedulers {
		if err := runner.CheckScheduler(s); err != nil {
			return err
		}
	}
	o, err := a.options(f, schedulers, workload)
	if err != nil {
		return err
	}
	results, err := a.runAll(o, schedulers)
	if err != nil {
		return err
	}
	runs := make([]*reports.Report, len(results))
	for i, r := range results {
		runs[i] = r.Report
	}
	tellApart(runs, schedulers)
	c := reports.Compare(runs)
	if f.json {
		err = reports.WriteJSON(a.out, c)
	} else {
		err = c.WriteText(a.out, text)
	}
	if err != nil {
		return err
	}
	return a.policyEnd(results)
}

// tellApart names by their files the schedulers that different files give one name, such as two builds of an object.
func tellApart(runs []*reports.Report, schedulers []string) {
	files := map[string]string{}
	clash := map[string]bool{}
	for i, r := range runs {
		name := r.Info.Scheduler
		if f, ok := files[name]; ok && f != schedulers[i] {
			clash[name] = true
		}
		files[name] = schedulers[i]
	}
	for i, r := range runs {
		if clash[r.Info.Scheduler] {
			r.Info.Scheduler = schedulers[i]
		}
	}
}

// runAll runs o under each scheduler, as many at once as there are CPUs. Simulations share nothing, and results and remarks
// are put in the order of the schedulers, so the output does not depend on who ends first.
func (a *app) runAll(o runner.Options, schedulers []string) ([]*runner.Result, error) {
	type outcome struct {
		res   *runner.Result
		err   error
		notes []string
	}
	outcomes := make([]outcome, len(schedulers))
	next := make(chan int)
	var wg sync.WaitGroup
	progress := a.progress(len(schedulers), "runs done")
	for range min(runtime.GOMAXPROCS(0), len(schedulers)) {
		wg.Go(func() {
			for i := range next {
				one := o
				one.Scheduler = schedulers[i]
				one.Notice = func(text string) { outcomes[i].notes = append(outcomes[i].notes, text) }
				outcomes[i].res, outcomes[i].err = guarded(one)
				progress.done()
			}
		})
	}
	for i := range schedulers {
		next <- i
	}
	close(next)
	wg.Wait()
	progress.end()
	results := make([]*runner.Result, len(schedulers))
	var failed error
	for i, oc := range outcomes {
		for _, n := range oc.notes {
			a.remark("%s: %s", schedulers[i], strings.TrimPrefix(n, filepath.Base(schedulers[i])+": "))
		}
		if oc.err != nil && failed == nil {
			failed = oc.err
		}
		results[i] = oc.res
	}
	return results, failed
}

// guarded is runner.Run with a panic as an error, for goroutines.
func guarded(o runner.Options) (res *runner.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return runner.Run(o)
}

// progress is a line on a terminal that says how many runs are done and, where that takes long, for how long it will go on.
type progress struct {
	a     *app
	mu    sync.Mutex
	on    bool
	n, of int
	what  string
	// part is how much of the work is done, 0 to 1; it is n of of unless somebody knows better.
	part    float64
	started time.Time
}

// progress starts a line for so many things, of which what is done.
func (a *app) progress(of int, what string) *progress {
	_, tty := terminal(a.err)
	p := &progress{a: a, on: tty && !a.quiet, of: of, what: what, started: time.Now()}
	p.show()
	return p
}

func (p *progress) show() {
	if p.on {
		fmt.Fprintf(p.a.err, "\rschedsim: %d of %d %s%s\x1b[K", p.n, p.of, p.what, remaining(time.Since(p.started), p.part))
	}
}

// remaining is for how long it will go on, after a time in which a part of it was done; "" as long as nobody can tell.
func remaining(spent time.Duration, part float64) string {
	if spent < 10*time.Second || part < 0.02 || part >= 1 {
		return ""
	}
	left := time.Duration(float64(spent) * (1 - part) / part)
	if left < 2*time.Minute {
		return fmt.Sprintf(", some %d s left", max(5, int(left.Seconds()+2.5)/5*5))
	}
	return fmt.Sprintf(", some %d min left", int(left.Minutes()+0.5))
}

func (p *progress) done() { p.doneOf(1 / float64(max(p.of, 1))) }

// doneOf is done for one that is that part of the whole work.
func (p *progress) doneOf(part float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	p.part += part
	p.show()
}

func (p *progress) end() {
	if p.on {
		fmt.Fprint(p.a.err, "\r\x1b[K")
	}
}
