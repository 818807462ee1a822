package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
	"github.com/schedsim/schedsim/sched/class"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads"
)

func (a *app) recipeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recipe",
		Short: "Show and check what is done for a scheduler that its own loader would do",
		Long: "A recipe says what the user-space half of a scheduler does: which variables it sets, what it writes into maps, which\n" +
			"programs it runs, and what it goes on doing. An object is matched to its recipe by the name in its ops table.",
		Example: "  schedsim recipe list\n  schedsim recipe show lavd\n  schedsim recipe check lavd scx_lavd.bpf.o --topo 1n2l4c2t",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("cannot do %q with recipes: expected list, show or check", args[0])
			}
			return usage("what to do with recipes is missing: list, show or check; see '%s --help'", cmd.CommandPath())
		},
	}
	cmd.AddCommand(a.recipeList(), a.recipeShow(), a.recipeCheck())
	return cmd
}

func (a *app) recipeList() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the recipes that come with schedsim", Example: "  schedsim recipe list", Args: exactArgs(0, ""),
		RunE: func(*cobra.Command, []string) error {
			text, err := a.textOptions()
			if err != nil {
				return err
			}
			l := reports.NewList("name", "ops", "description")
			for _, name := range recipes.Names() {
				r, err := recipes.Open(name)
				if err != nil {
					return err
				}
				l.Add(r.Name, r.Ops, r.Title)
			}
			if json {
				return reports.WriteJSON(a.out, l)
			}
			return l.WriteText(a.out, text)
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (a *app) recipeShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Print a recipe that comes with schedsim, and its script",
		Example: "  schedsim recipe show central > mine.json     then schedsim run -s my.bpf.o --recipe mine.json example:hogs",
		Args:    exactArgs(1, "the name of a recipe"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, script, err := recipes.Source(args[0])
			if err != nil {
				return usage("%w", err)
			}
			w := bufio.NewWriter(a.out)
			fmt.Fprint(w, text)
			if script != "" {
				r, err := recipes.Open(args[0])
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "\n---- %s\n%s", r.ScriptName(), script)
			}
			return w.Flush()
		},
	}
}

func (a *app) recipeCheck() *cobra.Command {
	var machine, kernel string
	cmd := &cobra.Command{
		Use:   "check NAME|FILE|OBJECT [OBJECT]",
		Short: "Check a recipe, and tell what it would do with an object on a machine",
		Long: "Check a recipe: its keys, expressions and script; with an object, also that variables, maps, programs and members exist\n" +
			"and take the values. The object is loaded into a machine and attached, and each thing that is done is told. An object alone\n" +
			"is checked with the recipe that it is matched to.",
		Example: "  schedsim recipe check scx_lavd.bpf.o\n  schedsim recipe check mine.json\n  schedsim recipe check bpfland scx_bpfland.bpf.o --topo 2n4l8c2t",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("expected the name or file of a recipe, and perhaps an object; there are %d arguments", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && strings.HasSuffix(runner.ObjectFile(args[0]), ".o") {
				return a.checkRecipe(nil, args[0], machine, kernel)
			}
			r, err := openRecipe(args[0])
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.explainRecipe(r, machine, kernel)
			}
			return a.checkRecipe(r, args[1], machine, kernel)
		},
	}
	cmd.Flags().StringVar(&machine, "topo", "1n2l4c2t", "`machine` to explain it for")
	cmd.Flags().StringVar(&kernel, "kernel", runner.DefaultKernel, "`version` of the kernel")
	return cmd
}

// explainRecipe tells what a recipe does without an object.
func (a *app) explainRecipe(r *recipes.Recipe, machine, kernel string) error {
	t, err := parseTopo(machine)
	if err != nil {
		return err
	}
	k, err := kernels.Get(kernel)
	if err != nil {
		return err
	}
	m, err := sim.New(sim.Config{Topo: t, Classes: func(m *sim.Machine) []sim.Class { return class.New(m).List() }})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.out)
	line := func(text string) { fmt.Fprintln(out, text) }
	line("recipe " + r.String())
	for _, text := range r.Missing {
		line("left out: " + text)
	}
	err = r.Explain(agent.Env{Machine: m, Kernel: k, Scheduler: r.Ops, Notice: line}, line)
	if err == nil {
		line("names and types are checked with an object")
	}
	return errors.Join(err, out.Flush())
}

// checkRecipe attaches an object with a recipe, nil for the one that it is matched to, and tells what the recipe does.
func (a *app) checkRecipe(r *recipes.Recipe, object, machine, kernel string) error {
	t, err := parseTopo(machine)
	if err != nil {
		return err
	}
	w, err := workloads.Parse("nothing", []byte(`{"tasks": {"idle": {"loop": 1, "sleep": 1000}}}`), workloads.Options{CPUs: len(t.CPUs)})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.out)
	_, err = runner.Run(runner.Options{Scheduler: object, Workload: w, Topo: t, Kernel: kernel, Duration: 300 * sim.Millisecond, Recipe: r,
		RecipeLog: func(line string) { fmt.Fprintln(out, line) }})
	return errors.Join(err, out.Flush())
}

// openRecipe reads a recipe by its name or file.
func openRecipe(name string) (*recipes.Recipe, error) {
	r, err := recipes.Open(name)
	if err != nil {
		var file *os.PathError
		if errors.As(err, &file) {
			return nil, err
		}
		return nil, usage("%w", err)
	}
	return r, nil
}
