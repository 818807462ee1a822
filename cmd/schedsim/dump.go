package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/listing"
	"github.com/schedsim/schedsim/vm/mem"
)

// dumpFlags are the flags of all sorts of dumps.
type dumpFlags struct {
	kernel   string
	globals  []string
	programs []string
	json     bool
}

func (a *app) dumpCommand() *cobra.Command {
	f := &dumpFlags{}
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Show what an object file is made of: bytecode, machine code, maps, types",
		Long: "Show what an object file is made of, linked for a kernel: its bytecode, the machine code that is made of it, its maps and\n" +
			"global variables, its types. Nothing is simulated; any BPF object will do, a scheduler or not.\n" + exitCodesHelp,
		Example: "  schedsim dump xlated scx_simple.bpf.o\n  schedsim dump jited --program simple_enqueue scx_simple.bpf.o",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("cannot dump %q: expected xlated, jited, map or btf", args[0])
			}
			return usage("what to dump is missing: xlated, jited, map or btf; see '%s --help'", cmd.CommandPath())
		},
	}
	fs := cmd.PersistentFlags()
	fs.StringVar(&f.kernel, "kernel", runner.DefaultKernel, "`version` of the kernel: "+strings.Join(kernels.List(), ", "))
	fs.StringArrayVarP(&f.globals, "set-global", "G", nil, "set a global variable before the object is linked: `name=value`; repeatable")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	add := func(use, short, long, example string, show showFunc) *cobra.Command {
		c := &cobra.Command{
			Use: use + " FILE.bpf.o", Short: short, Long: long, Example: example, Args: exactArgs(1, "an object file"),
			RunE: func(_ *cobra.Command, args []string) error { return a.dump(f, args[0], show) },
		}
		cmd.AddCommand(c)
		return c
	}
	for _, c := range []*cobra.Command{
		add("xlated", "Show the bytecode beside the C lines that it came from",
			"Show the bytecode of each program and of the functions that it reaches, beside the C lines that it came from, as linked:\n"+
				"with the offsets of this kernel's fields and the names of maps, variables, helpers and kernel functions. An x marks\n"+
				"instructions that cannot be reached, given what the kernel has and the values of read-only variables.",
			"  schedsim dump xlated scx_simple.bpf.o\n  schedsim dump xlated --program simple_enqueue -G fifo_sched=true scx_simple.bpf.o",
			linked(func(o *elf.Object, l *link.Object) error { return a.dumpXlated(f, o, l) })),
		add("jited", "Show the machine code beside the bytecode that it came from",
			"Show the machine code that the JIT makes of each program that would be loaded, or that is asked for, below the bytecode that\n"+
				"it came from. Code off the straight path, such as that for faults, comes last of what belongs to an instruction. Kernel\n"+
				"variables have addresses only where a machine is simulated; here they are made up.",
			"  schedsim dump jited --program simple_enqueue scx_simple.bpf.o",
			linked(func(o *elf.Object, l *link.Object) error { return a.dumpJited(f, o, l) })),
	} {
		c.Flags().StringArrayVar(&f.programs, "program", nil, "only the program of this `name`; repeatable")
	}
	add("map", "Show the maps, with the variables of data sections and their values",
		"Show the maps with their types, sizes and flags. Data sections are maps too: their variables are shown with their types and\n"+
			"initial values. Variables of the kernel's configuration have this kernel's values.",
		"  schedsim dump map scx_simple.bpf.o\n  schedsim dump map --json scx_simple.bpf.o",
		linked(func(_ *elf.Object, l *link.Object) error {
			ms := listing.Maps(l)
			if f.json {
				return reports.WriteJSON(a.out, struct {
					Maps []listing.Map `json:"maps"`
				}{ms})
			}
			return listing.WriteMaps(a.out, ms)
		}))
	add("btf", "Show the types that the object uses, as C",
		"Show the types that the object uses as C that a compiler takes. Types of the kernel are as the object knows them: often only\n"+
			"the fields that it uses, before they are adapted to the kernel.",
		"  schedsim dump btf scx_simple.bpf.o\n  schedsim dump btf --json scx_simple.bpf.o",
		func(o *elf.Object, _ *kernels.Kernel, _ map[string]any) error {
			types, c, err := listing.Types(o)
			if err != nil {
				return &runner.LoadError{Scheduler: o.Name, Err: err}
			}
			if f.json {
				return reports.WriteJSON(a.out, struct {
					Types []listing.Type `json:"types"`
				}{types})
			}
			_, err = a.out.Write(c)
			return err
		})
	return cmd
}

// showFunc shows an object; globals are the values of variables that the flags set.
type showFunc func(o *elf.Object, k *kernels.Kernel, globals map[string]any) error

// dump reads an object and shows it.
func (a *app) dump(f *dumpFlags, path string, show showFunc) error {
	k, err := kernels.Get(f.kernel)
	if err != nil {
		return err
	}
	globals, err := parseGlobals(f.globals)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	o, err := elf.Read(filepath.Base(path), file)
	if err != nil {
		return &runner.LoadError{Scheduler: path, Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(globals)) {
		if err := o.CheckVar(name, globals[name]); err != nil {
			return usage("-G %w", err)
		}
	}
	return show(o, k, globals)
}

// linked makes show of a function that wants the object linked.
func linked(show func(o *elf.Object, l *link.Object) error) showFunc {
	return func(o *elf.Object, k *kernels.Kernel, globals map[string]any) error {
		// An object may be looked at because one of its programs is wrong.
		l, err := link.Link(o, bpf.Target(k), link.Options{Globals: globals, FillEnums: true, KeepGoing: true})
		if err != nil {
			return &runner.LoadError{Scheduler: o.Name, Err: err}
		}
		return show(o, l)
	}
}

// chosen are the programs that the flags name, in the order of the object; all if they name none.
func (f *dumpFlags) chosen(o *elf.Object) (func(name string) bool, error) {
	if len(f.programs) == 0 {
		return func(string) bool { return true }, nil
	}
	var names []string
	for _, p := range o.Programs {
		names = append(names, p.Name)
	}
	want := map[string]bool{}
	for _, name := range f.programs {
		for _, n := range names {
			want[name] = want[name] || n == name
		}
		if !want[name] {
			if near := elf.Nearest(name, names); near != "" {
				return nil, usage("%s: no program %q; did you mean %q?", o.Name, name, near)
			}
			return nil, usage("%s: no program %q", o.Name, name)
		}
	}
	return func(name string) bool { return want[name] }, nil
}

func (a *app) dumpXlated(f *dumpFlags, o *elf.Object, l *link.Object) error {
	chosen, err := f.chosen(o)
	if err != nil {
		return err
	}
	var ps []listing.Program
	for _, p := range listing.Programs(o, l) {
		if chosen(p.Name) {
			ps = append(ps, p)
		}
	}
	return a.showPrograms(f, ps)
}

func (a *app) showPrograms(f *dumpFlags, ps []listing.Program) error {
	if f.json {
		return reports.WriteJSON(a.out, struct {
			Programs []listing.Program `json:"programs"`
		}{ps})
	}
	return listing.WritePrograms(a.out, ps)
}

func (a *app) dumpJited(f *dumpFlags, o *elf.Object, l *link.Object) (err error) {
	chosen, err := f.chosen(o)
	if err != nil {
		return err
	}
	engine, err := vm.EngineByName("jit")
	if err != nil {
		return usage("%v", err)
	}
	space, err := mem.New(mem.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, space.Close()) }()
	ksyms := &madeUp{space: space, at: map[string]uint64{}}
	opt := vm.Options{Mem: space, Host: noHost{}, Kfuncs: allKfuncs(l, space), Engine: engine, Ksym: ksyms.address}
	if len(f.programs) > 0 {
		opt.Select = func(p *link.Program) bool { return chosen(p.Name) }
	}
	set, err := vm.Load(l, opt)
	if err != nil {
		return &runner.LoadError{Scheduler: o.Name, Err: err}
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	var ps []listing.Program
	for _, p := range listing.Programs(o, l) {
		loaded := set.Program(p.Name)
		if loaded == nil {
			continue
		}
		if p.Error != "" {
			ps = append(ps, p)
			continue
		}
		code, ok := loaded.Machine()
		if !ok {
			return usage("engine %s: it has no machine code to show", engine.Name())
		}
		if err := p.AddMachine(code); err != nil {
			return err
		}
		ps = append(ps, p)
	}
	return a.showPrograms(f, ps)
}

// allKfuncs are the kernel functions with stand-ins for those that only load where they work: nothing is called here.
func allKfuncs(l *link.Object, space *mem.Space) []abi.Kfunc {
	rows := kfuncs.All(&kfuncs.Host{Mem: space})
	have := map[string]bool{}
	for i := range rows {
		have[rows[i].Name] = rows[i].Modelled()
	}
	for _, p := range l.Programs {
		for _, name := range p.Code.Kfuncs {
			if !have[name] {
				have[name] = true
				rows = append(rows, abi.Kfunc{Name: name, Call: func(*abi.Call, *abi.Args) uint64 { return 0 }})
			}
		}
	}
	return rows
}

// madeUp gives kernel variables addresses.
type madeUp struct {
	space *mem.Space
	at    map[string]uint64
}

func (m *madeUp) address(name string) (uint64, bool) {
	if m.at[name] == 0 {
		at, _, err := m.space.Alloc(4096, 4096)
		if err != nil {
			return 0, false
		}
		m.at[name] = at
	}
	return m.at[name], true
}

// noHost is a kernel around programs that do not run.
type noHost struct{}

func (noHost) CPU() int32                             { return 0 }
func (noHost) NrCPUs() int32                          { return 1 }
func (noHost) NowNS() uint64                          { return 0 }
func (noHost) CurrentTask() uint64                    { return 0 }
func (noHost) CurrentPID() (pid, tgid int32)          { return 0, 0 }
func (noHost) Rand32() uint32                         { return 0 }
func (noHost) Printk(string)                          {}
func (noHost) ArmTimer(uint64, int32, uint64, func()) {}
func (noHost) DisarmTimer(uint64) bool                { return false }

var _ abi.Host = noHost{}
