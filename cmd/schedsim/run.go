package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
)

func (a *app) runCommand() *cobra.Command {
	var f simFlags
	var scheduler, trace, pprof string
	var subs []string
	cmd := &cobra.Command{
		Use:   "run [flags] WORKLOAD",
		Short: "Simulate a workload under one scheduler and report",
		Long:  "Simulate a workload under one scheduler and report.\n\n" + workloadText() + exitCodesHelp,
		Example: `  schedsim run example:hogs
  schedsim run -s vtime --cpus 4 example:periodic
  schedsim run -s my.bpf.o --topo 1n2l4c2t --trace run.pftrace workload.json     then open run.pftrace in ui.perfetto.dev
  schedsim run -s fifo --pprof run.pb.gz example:requests                        then go tool pprof -top run.pb.gz
  schedsim run -s parent.bpf.o --sub /jobs=child.bpf.o workload.json             a sub-scheduler for the tasks of a cgroup
  generate | schedsim run --json - | jq .totals`,
		Args:              exactArgs(1, "a workload"),
		ValidArgsFunction: completeWorkload,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.simulate(&f, scheduler, subs, trace, pprof, args[0])
		},
	}
	cmd.Flags().StringVarP(&scheduler, "scheduler", "s", runner.Baseline, "`scheduler`: "+strings.Join(runner.Names(), ", ")+", or the path of an object (.bpf.o)")
	cmd.Flags().StringArrayVar(&subs, "sub", nil, "attach a sub-scheduler for the tasks of a cgroup of the workload: `/CGROUP=SCHEDULER`; repeatable, parents first")
	f.register(cmd)
	cmd.Flags().StringVar(&trace, "trace", "", "write a Perfetto trace to `FILE` (.pftrace)")
	cmd.Flags().StringVar(&pprof, "pprof", "", "write a profile of where the tasks' time went to `FILE` (.pb.gz)")
	return cmd
}

// exactArgs is cobra.ExactArgs with a message that says what is missing.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usage("%s is missing; see '%s --help'", what, cmd.CommandPath())
		case len(args) > n:
			return usage("unexpected argument %q; see '%s --help'", args[n], cmd.CommandPath())
		}
		return nil
	}
}

func (a *app) simulate(f *simFlags, scheduler string, subs []string, trace, pprof, workload string) error {
	text, err := a.textOptions()
	if err != nil {
		return err
	}
	if err := runner.CheckScheduler(scheduler); err != nil {
		return err
	}
	o, err := a.options(f, []string{scheduler}, workload)
	if err != nil {
		return err
	}
	o.Scheduler = scheduler
	schedulers := []string{scheduler}
	for _, s := range subs {
		sub, err := runner.ParseSub(s)
		if err != nil {
			return usage("--sub %v", err)
		}
		o.Subs, schedulers = append(o.Subs, sub), append(schedulers, sub.Scheduler)
	}
	inputs := []string{workload}
	for _, s := range schedulers {
		if runner.IsObject(s) {
			inputs = append(inputs, runner.ObjectFile(s))
		}
	}
	res, err := runToFiles(o, trace, pprof, inputs)
	if err != nil {
		return err
	}
	if f.json {
		err = reports.WriteJSON(a.out, res.Report)
	} else {
		err = res.Report.WriteText(a.out, text)
	}
	if err != nil {
		return err
	}
	return a.policyEnd([]*runner.Result{res})
}

// runToFiles runs with the trace and the profile going to files, which stay only if all goes well.
func runToFiles(o runner.Options, trace, pprof string, inputs []string) (*runner.Result, error) {
	t, err := create(trace, inputs...)
	if err != nil {
		return nil, err
	}
	if trace != "" {
		inputs = append(inputs, trace)
	}
	p, err := create(pprof, inputs...)
	if err != nil {
		return nil, t.finish(err)
	}
	if t != nil || p != nil {
		defer removeIfInterrupted(t, p)()
	}
	o.Trace, o.Profile = t.writer(), p.writer()
	res, err := runner.Run(o)
	if err = p.finish(t.finish(err)); err != nil {
		return nil, err
	}
	return res, nil
}

// policyEnd writes one line for machines for each policy that ended, and turns an error of one into the exit code.
func (a *app) policyEnd(results []*runner.Result) error {
	var failed error
	tell := func(e *reports.Exit, scheduler, sub string) {
		if e == nil {
			return
		}
		fmt.Fprintf(a.err, "schedsim: exit kind=%d name=%s code=%#x reason=%q msg=%q t=%.9fs scheduler=%q%s\n",
			e.Kind, e.Name, uint64(e.Code), e.Reason, e.Message, float64(e.AtNS)/1e9, scheduler, sub)
		if e.Kind >= ops.ExitError {
			failed = errPolicy
		}
	}
	for _, res := range results {
		tell(res.Report.Exit, res.Report.Info.Scheduler, "")
		for _, s := range res.Report.Subs {
			tell(s.Exit, s.Scheduler, fmt.Sprintf(" cgroup=%q", s.Cgroup))
		}
	}
	return failed
}
