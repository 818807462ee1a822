package main

import (
	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/machines"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/workloads"
)

// complete has shells offer values for the flags of cmd and its children that have few. Where a value can be a file too,
// shells offer files.
func complete(cmd *cobra.Command) {
	for _, f := range []struct {
		name   string
		values []string
		file   bool
	}{
		{"scheduler", runner.Names(), true},
		{"kernel", kernels.List(), false},
		{"kernels", append(kernels.List(), "all"), false},
		{"explain", allCodes(), false},
		{"engine", []string{"auto", "jit", "interp"}, false},
		{"costs", []string{"on", "off"}, false},
		{"machine", machines.Names(), false},
		{"topo", []string{"host", "1n1l4c1t", "1n2l4c2t", "2n2l8c2t", "1n1l4c2t+8c1t@512"}, true},
		{"color", []string{"auto", "always", "never"}, false},
		{"rtapp-dup", []string{"expand", "last"}, false},
		{"rtapp-unknown", []string{"refuse", "warn"}, false},
	} {
		if cmd.LocalFlags().Lookup(f.name) == nil {
			continue // the command has none, or has it from its parent
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if f.file {
			directive = cobra.ShellCompDirectiveDefault
		}
		if err := cmd.RegisterFlagCompletionFunc(f.name, cobra.FixedCompletions(f.values, directive)); err != nil {
			panic("BUG: " + err.Error())
		}
	}
	for _, c := range cmd.Commands() {
		complete(c)
	}
}

// completeWorkload offers the examples, and files.
func completeWorkload(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range workloads.Examples() {
		names = append(names, examplePrefix+n)
	}
	return names, cobra.ShellCompDirectiveDefault
}
