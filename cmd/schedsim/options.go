package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/machines"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/workloads"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// simFlags are the flags of all commands that simulate.
type simFlags struct {
	topo     string
	cpus     int
	duration string
	boot     time.Duration
	seed     uint64
	kernel   string
	engine   string
	perfMap  string
	costs    string
	machine  string
	cost     []string
	globals  []string
	recipe   string
	members  []string
	checked  bool
	noVerify bool
	perms    string
	dup      string
	unknown  string
	json     bool
	given    func(flag string) bool // nil: none was
}

func (f *simFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	f.given = fs.Changed
	fs.StringVar(&f.topo, "topo", "", "`machine` as NnLlCcTt: N NUMA nodes, L last-level caches (LLCs) per node, C cores per LLC, T threads\n"+
		"per core; 1n2l4c2t has 2 LLCs of 4 cores of 2 threads, 16 CPUs. 1n1l4c2t+8c1t@512 adds 8 slower cores;\n"+
		"a file NAME.json, or host (docs/machines.md)")
	fs.IntVar(&f.cpus, "cpus", 1, "machine with `N` CPUs: one node, one LLC, one thread per core")
	fs.StringVar(&f.duration, "duration", "", "simulate for `D`, such as 500ms or 10s (default: what the workload says; if nothing,\n"+
		"until every task has ended, or 1s if none would)")
	fs.DurationVar(&f.boot, "boot", time.Duration(runner.DefaultBoot), "the machine has been up for `D`: what the clocks that schedulers read show at the beginning; reports begin at 0")
	fs.Uint64Var(&f.seed, "seed", 42, "`seed` of the random draws: same seed, same run")
	fs.StringVar(&f.kernel, "kernel", runner.DefaultKernel, "`version` of the kernel: "+strings.Join(kernels.List(), ", "))
	fs.StringVar(&f.engine, "engine", "auto", "how BPF programs run: jit, interp, or auto for the faster one that there is;\n"+
		"the results are the same")
	fs.StringVar(&f.perfMap, "perf-map", "", "write the names of compiled BPF functions for perf, to the file where it looks for them or to `FILE`\n"+
		"(behind a =)")
	fs.Lookup("perf-map").NoOptDefVal = perfMapName
	fs.StringVar(&f.machine, "machine", machines.Default, "what the machine costs, its tick and its clocks: "+strings.Join(machines.Names(), ", "))
	fs.StringArrayVar(&f.cost, "cost", nil, "set numbers of the machine: `name=value,...`, such as switch=2us,ipi=1us,hz=1000; repeatable\n"+
		"('schedsim list machines' shows all)")
	fs.StringVar(&f.costs, "costs", "on", "overheads of the machine: on is --machine "+machines.Default+", off is --machine off")
	fs.StringArrayVarP(&f.globals, "set-global", "G", nil, "set a global variable of the object before it is loaded: `name=value`, such as slice_ns=5ms, table[3]=1,\n"+
		"cfg.mode=FAST; repeatable")
	fs.StringVar(&f.recipe, "recipe", "", "what the object's own loader would do, as a `NAME` of 'schedsim recipe list' or a file\n"+
		"(default: by the name in its ops table)")
	fs.StringArrayVar(&f.members, "ops", nil, "set members of the scheduler's struct sched_ext_ops before it is loaded: `member=value,...`, where a value\n"+
		"is a number, flags joined by | (SCX_OPS_ may be left out), or for a callback a program or NULL; repeatable")
	fs.BoolVar(&f.checked, "checked", false, "keep all run-time checks in BPF programs, also those that verification has shown to be needless, and\n"+
		"load programs that the verifier cannot judge; the results are the same")
	fs.BoolVar(&f.noVerify, "no-verify", false, "load BPF programs without verification, with all run-time checks: what the kernel would refuse, too")
	fs.StringVar(&f.perms, "permissions", "kernel", "when it is asked whether a callback may call a kernel function: at load, at run (each call), both,\n"+
		"or as the kernel does: at load from 7.1 on, at run before")
	fs.StringVar(&f.dup, "rtapp-dup", "expand", "keys that an object of the workload has twice: expand (the second \"run\" is \"run1\"), or\n"+
		"last (only the last counts, as rt-app itself does)")
	fs.StringVar(&f.unknown, "rtapp-unknown", "refuse", "keys of the workload that look like mistyped events: refuse, or warn")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON")
}

const workloadHelp = `The workload is a file of rt-app (JSON with comments), "-" for stdin, or example:NAME for one that comes with schedsim:
%s. Random durations, weights and titles can be added under the key "schedsim".

The scheduler is a name of 'schedsim list schedulers' or the path of a compiled sched_ext object (name.bpf.o), with
":TABLE" behind it if the object has more than one scheduler. Objects are verified as the kernel does when they are loaded.
`

func workloadText() string {
	return fmt.Sprintf(workloadHelp, strings.Join(workloads.Examples(), ", "))
}

// options turns the flags into the options of a run; the scheduler, one of those given, is left to be set.
func (a *app) options(f *simFlags, schedulers []string, workload string) (runner.Options, error) {
	o := runner.Options{Seed: f.seed, Engine: f.engine, Notice: func(text string) { a.remark("%s", text) }}
	var err error
	switch given := func(flag string) bool { return f.given != nil && f.given(flag) }; {
	case given("topo") && given("cpus"):
		return o, usage("--topo and --cpus exclude each other")
	case given("topo"):
		o.Topo, err = parseTopo(f.topo)
	case f.cpus < 1 || f.cpus > topo.MaxCPUs:
		return o, usage("--cpus %d: expected 1 to %d", f.cpus, topo.MaxCPUs)
	default:
		o.Topo, err = topo.Flat(f.cpus)
	}
	if err != nil {
		return o, err
	}
	if f.duration != "" {
		d, err := time.ParseDuration(f.duration)
		if err != nil || d <= 0 {
			return o, usage("--duration %q: expected a duration above 0 with a unit, such as 500ms or 10s", f.duration)
		}
		o.Duration = sim.Duration(d)
	}
	switch o.Boot = sim.Duration(f.boot); {
	case f.boot < 0:
		return o, usage("--boot %v: expected 0 or more", f.boot)
	case f.boot == 0 && f.given != nil && f.given("boot"):
		o.Boot = -1
	}
	k, err := kernels.Get(f.kernel)
	if err != nil {
		return o, err
	}
	o.Kernel = k.Version
	_, notice, err := vm.NewEngine(f.engine, vm.EngineOptions{})
	if err != nil {
		return o, usage("--engine: %v", err)
	}
	if err := f.setMachine(&o); err != nil {
		return o, err
	}
	if o.Globals, err = parseGlobals(f.globals); err != nil {
		return o, err
	}
	o.Checked, o.NoVerify = f.checked, f.noVerify
	if o.Permissions, err = kfuncs.ParsePermissions(f.perms); err != nil {
		return o, usage("--permissions %v", err)
	}
	for _, list := range f.members {
		ms, err := bpf.ParseMembers(list)
		if err != nil {
			return o, usage("--ops %v", err)
		}
		o.Members = append(o.Members, ms...)
	}
	object := slices.ContainsFunc(schedulers, runner.IsObject)
	switch {
	case len(o.Globals) > 0 && !object:
		return o, usage("-G sets variables of objects, but no scheduler is one: %s", strings.Join(schedulers, ", "))
	case f.recipe != "" && !object:
		return o, usage("--recipe is for objects, but no scheduler is one: %s", strings.Join(schedulers, ", "))
	case len(o.Members) > 0 && !object:
		return o, usage("--ops sets members of objects' tables, but no scheduler is one: %s", strings.Join(schedulers, ", "))
	}
	if f.recipe != "" {
		if o.Recipe, err = openRecipe(f.recipe); err != nil {
			return o, err
		}
	}
	if err := checkGlobals(k, o.Globals, schedulers); err != nil {
		return o, err
	}
	if object && notice != "" {
		a.remark("%s", notice)
	}
	if o.PerfMap, err = perfMap(f.perfMap, object, schedulers); err != nil {
		return o, err
	}
	w := workloads.Options{CPUs: len(o.Topo.CPUs)}
	if w.Duplicates, err = choice("--rtapp-dup", f.dup, map[string]rtapp.Dup{"expand": rtapp.DupExpand, "last": rtapp.DupLast}); err != nil {
		return o, err
	}
	if w.Unknown, err = choice("--rtapp-unknown", f.unknown,
		map[string]rtapp.Unknown{"refuse": rtapp.UnknownRefuse, "warn": rtapp.UnknownWarn}); err != nil {
		return o, err
	}
	o.Workload, err = a.workload(workload, w)
	return o, err
}

// perfMapName is where perf looks for the names of functions that a process has compiled.
const perfMapName = "/tmp/perf-PID.map"

// perfMap opens the file for the names of compiled functions; it stays open as long as the process.
func perfMap(name string, object bool, schedulers []string) (io.Writer, error) {
	switch {
	case name == "":
		return nil, nil
	case !object:
		return nil, usage("--perf-map is about objects, but no scheduler is one: %s", strings.Join(schedulers, ", "))
	}
	if name == perfMapName {
		name = fmt.Sprintf("/tmp/perf-%d.map", os.Getpid())
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err // not f, which is no nil interface
	}
	return f, nil
}

// checkGlobals tells of variables that an object among the schedulers does not have, or that cannot have the value. Objects
// that cannot be read are left for the loader to refuse.
func checkGlobals(k *kernels.Kernel, globals map[string]any, schedulers []string) error {
	for _, name := range slices.Sorted(maps.Keys(globals)) {
		for _, s := range schedulers {
			if !runner.IsObject(s) {
				continue
			}
			f, err := os.Open(runner.ObjectFile(s))
			if err != nil {
				return err
			}
			o, err := elf.Read(s, f)
			f.Close()
			if err != nil {
				continue
			}
			v, err := agent.AdaptVar(k, o, name, globals[name])
			if err == nil {
				err = o.CheckVar(name, v)
			}
			if err != nil {
				return usage("-G %w", err)
			}
		}
	}
	return nil
}

func choice[T any](flag, value string, of map[string]T) (T, error) {
	v, ok := of[value]
	if !ok {
		var names []string
		for n := range of {
			names = append(names, n)
		}
		slices.Sort(names)
		return v, usage("%s %q: expected %s", flag, value, strings.Join(names, " or "))
	}
	return v, nil
}

// parseGlobals reads "name = value" as veristat does: integers in any base, true and false, and text.
func parseGlobals(list []string) (map[string]any, error) {
	if len(list) == 0 {
		return nil, nil
	}
	globals := map[string]any{}
	for _, g := range list {
		name, value, ok := strings.Cut(g, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			return nil, usage("-G %q: expected \"name = value\"", g)
		}
		if n, err := strconv.ParseInt(value, 0, 64); err == nil {
			globals[name] = n
		} else if n, err := strconv.ParseUint(value, 0, 64); err == nil {
			globals[name] = n
		} else if b, err := strconv.ParseBool(value); err == nil {
			globals[name] = b
		} else {
			globals[name] = value
		}
	}
	return globals, nil
}

const examplePrefix = "example:"

// workload reads and parses a workload, and prints its warnings.
func (a *app) workload(name string, o workloads.Options) (*workloads.Workload, error) {
	var data []byte
	var err error
	switch {
	case name == "-":
		name = "<stdin>"
		data, err = readAll(a.in)
	case strings.HasPrefix(name, examplePrefix):
		data, err = workloads.Example(strings.TrimPrefix(name, examplePrefix))
	default:
		var f *os.File
		if f, err = os.Open(name); err == nil {
			data, err = readAll(f)
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	w, err := workloads.Parse(name, data, o)
	if err != nil {
		return nil, err
	}
	if !a.quiet {
		for _, warning := range w.Warnings {
			fmt.Fprintf(a.err, "schedsim: %s\n", warning)
		}
	}
	return w, nil
}

// readAll reads at most what a workload may have, and a byte more, so that a longer one is noticed.
func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, rtapp.MaxSize+1)) }
