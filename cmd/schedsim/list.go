package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/internal/verdict"
	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/machines"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched/builtin"
	"github.com/schedsim/schedsim/vm/verifier"
	"github.com/schedsim/schedsim/workloads"
)

func (a *app) listCommand() *cobra.Command {
	var kernel string
	var json bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List schedulers, callbacks, kernel functions, example workloads, machines or codes of refusals",
		Example: "  schedsim list schedulers\n  schedsim list kfuncs | grep dsq\n  schedsim list callbacks --json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("cannot list %q: expected schedulers, callbacks, kfuncs, examples, machines or codes", args[0])
			}
			return usage("what to list is missing: schedulers, callbacks, kfuncs, examples, machines or codes; see '%s --help'", cmd.CommandPath())
		},
	}
	cmd.PersistentFlags().StringVar(&kernel, "kernel", runner.DefaultKernel, "`version` of the kernel: "+strings.Join(kernels.List(), ", "))
	cmd.PersistentFlags().BoolVar(&json, "json", false, "print JSON")
	add := func(use, short string, example string, list func(k *kernels.Kernel) (*reports.List, error)) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Example: "  schedsim list " + use + example, Args: exactArgs(0, ""),
			RunE: func(*cobra.Command, []string) error {
				text, err := a.textOptions()
				if err != nil {
					return err
				}
				k, err := kernels.Get(kernel)
				if err != nil {
					return err
				}
				l, err := list(k)
				if err != nil {
					return err
				}
				if json {
					return reports.WriteJSON(a.out, l)
				}
				return l.WriteText(a.out, text)
			},
		})
	}
	add("schedulers", "List the schedulers that need no object file", "", listSchedulers)
	add("callbacks", "List the callbacks of struct sched_ext_ops", " --json", listCallbacks)
	add("kfuncs", "List the kernel functions that programs may call, and from where", " | grep dsq", listKfuncs)
	add("examples", "List the workloads that come with schedsim", "", listExamples)
	add("machines", "List what machines cost: the numbers that --machine sets and --cost changes", "", listMachines)
	add("codes", "List the reasons to refuse a program, and the remarks of verify --lint", " | grep lock", listCodes)
	return cmd
}

func listSchedulers(*kernels.Kernel) (*reports.List, error) {
	l := reports.NewList("name", "description")
	l.Add(runner.Baseline, "the kernel's fair class (EEVDF), sched_ext not in use: the baseline")
	for _, e := range builtin.All() {
		l.Add(e.Name, e.Title)
	}
	return l, nil
}

// listMachines shows the numbers of each machine.
func listMachines(*kernels.Kernel) (*reports.List, error) {
	l := reports.NewList(append(append([]string{"number"}, machines.Names()...), "description")...)
	for _, p := range machines.Params() {
		row := []string{p.Name}
		for _, m := range machines.Profiles() {
			row = append(row, p.Text(&m.Machine))
		}
		l.Add(append(row, p.Doc)...)
	}
	return l, nil
}

func listCodes(*kernels.Kernel) (*reports.List, error) {
	l := reports.NewList("code", "rule")
	for _, c := range append(verifier.Codes(), loadCode()) {
		l.Add(string(c.Code), c.Rule)
	}
	for _, r := range verdict.Rules() {
		l.Add(r.Name, r.Rule)
	}
	return l, nil
}

func listExamples(*kernels.Kernel) (*reports.List, error) {
	l := reports.NewList("name", "description")
	for _, name := range workloads.Examples() {
		data, err := workloads.Example(name)
		if err != nil {
			return nil, err
		}
		w, err := workloads.Parse(name, data, workloads.Options{})
		if err != nil {
			return nil, err
		}
		l.Add(examplePrefix+name, w.Title)
	}
	return l, nil
}

func listCallbacks(k *kernels.Kernel) (*reports.List, error) {
	l := reports.NewList("name", "cid form", "sleepable", "kfunc groups", "prototype")
	for _, r := range ops.Rows() {
		if _, _, ok := k.Field("sched_ext_ops." + r.Name); r.Name == "" || !ok {
			continue
		}
		if _, _, ok := k.Field("sched_ext_ops_cid." + r.CIDName); !ok {
			r.CIDName = ""
		}
		var args []string
		for _, arg := range r.Args {
			args = append(args, cDecl(arg.Type, arg.Name))
		}
		if args == nil {
			args = []string{"void"}
		}
		l.Add(r.Name, orDash(r.CIDName), yesNo(r.Sleepable), orDash(strings.Join(ops.GroupNames(r.Allows), ", ")),
			fmt.Sprintf("%s %s(%s)", r.Ret, r.Name, strings.Join(args, ", ")))
	}
	return l, nil
}

// cDecl is a C parameter.
func cDecl(typ, name string) string {
	if strings.HasSuffix(typ, "*") {
		return typ + name
	}
	return typ + " " + name
}

func listKfuncs(k *kernels.Kernel) (*reports.List, error) {
	known := map[string]kfuncs.Info{}
	for _, i := range kfuncs.List() {
		known[i.Name] = i
	}
	l := reports.NewList("name", "state", "groups", "flags", "prototype")
	for _, f := range k.Kfuncs() {
		i, ok := known[f.Name]
		state := "not known"
		switch {
		case ok && i.Implemented:
			state = "works"
		case ok:
			state = "refused at load"
		}
		l.Add(f.Name, state, orDash(strings.Join(i.Groups, ", ")), orDash(kernels.FlagNames(f.Flags)), f.Proto)
	}
	return l, nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
