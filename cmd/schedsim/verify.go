package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/internal/verdict"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/elf"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	kernels, programs, globals   []string
	kernel, btf, compare         string
	explain                      string
	json, csv, sarif, time, lint bool
	verbose, all                 bool
}

func (a *app) verifyCommand() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify [flags] FILE.bpf.o...",
		Short: "Say what kernels would say to the programs of objects",
		Long: `Verify the programs of objects as a kernel does when it loads them, and say which it refuses, where and why. Any BPF object
will do, a scheduler or not; of a directory all files *.bpf.o are taken. Nothing is simulated.

Of each program the table has the callback that it implements (or its type), the verdict, how long verifying it took, the
instructions that were followed, the states kept for comparison and the most of them at a time, and the bytes of stack of the
deepest chain of calls. The time is the only figure that differs from run to run: --json, --csv and --sarif have it with --time
only. Enumerators of the kernel are filled in as loaders do (SCX_ENUM_INIT).
` + verifyExitCodes,
		Example: `  schedsim verify my.bpf.o
  schedsim verify -v --program my_dispatch my.bpf.o            with the log of each refusal, as the kernel writes it
  schedsim verify --kernels 6.16,6.18,7.2,7.3 --lint my.bpf.o
  schedsim verify --csv *.bpf.o >base.csv                      and after a change: schedsim verify --compare base.csv *.bpf.o
  schedsim verify --sarif my.bpf.o >verify.sarif               for the code scanning of a CI
  schedsim verify --explain null-pointer`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.explain == "" && len(args) == 0 {
				return usage("an object file is missing; see '%s --help'", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if f.explain != "" {
				return a.explainCode(f, args)
			}
			return a.verify(f, args)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "the log of each refusal, as the kernel writes it")
	fs.StringSliceVar(&f.kernels, "kernels", nil, "`versions` of kernels, separated by commas, or all: "+strings.Join(kernels.List(), ", ")+" (default "+runner.DefaultKernel+")")
	fs.StringVar(&f.kernel, "kernel", "", "one `version`, as other commands have it")
	fs.StringArrayVar(&f.programs, "program", nil, "only the program of this `name`; repeatable")
	fs.BoolVar(&f.all, "all", false, "also programs that are loaded only when a loader asks for them (SEC(\"?...\"))")
	fs.BoolVar(&f.lint, "lint", false, "also remark on what kernels take but is most likely not meant")
	fs.StringArrayVarP(&f.globals, "set-global", "G", nil, "set a global variable before verifying: `name=value`; repeatable")
	fs.StringVar(&f.btf, "btf", "", "take the types from `FILE`, the raw BTF of a whole kernel (/sys/kernel/btf/vmlinux), for programs that use\n"+
		"types which schedsim's reduced ones lack")
	fs.StringVar(&f.compare, "compare", "", "print what differs from `FILE`, the --csv output of an earlier run or of veristat")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	fs.BoolVar(&f.csv, "csv", false, "print CSV, with the names of columns that veristat has")
	fs.BoolVar(&f.sarif, "sarif", false, "print SARIF 2.1.0: a result for each refusal and remark, with its line of C")
	fs.BoolVar(&f.time, "time", false, "put the time into --json, --csv and --sarif too, in microseconds")
	fs.StringVar(&f.explain, "explain", "", "explain a `code` of refusals or remarks, with an example, and verify nothing ('schedsim list codes' has them)")
	return cmd
}

const verifyExitCodes = `
Exit codes:
   0  every program would be loaded
   1  --compare or --lint found something
   2  wrong usage, or a file that cannot be used
   3  a program is refused
   4  no program is refused, but of some nothing can be said (verdict "unsupported")
  70  internal error of schedsim`

// verify checks the objects and prints what came of it.
func (a *app) verify(f *verifyFlags, paths []string) error {
	text, err := a.textOptions()
	if err != nil {
		return err
	}
	versions, err := f.versions()
	if err != nil {
		return err
	}
	opt := verdict.Options{All: f.all, Lint: f.lint}
	if opt.Globals, err = parseGlobals(f.globals); err != nil {
		return err
	}
	formats := 0
	for _, on := range []bool{f.json, f.csv, f.sarif} {
		if on {
			formats++
		}
	}
	var base *baseline
	switch {
	case formats > 1:
		return usage("--json, --csv and --sarif exclude each other")
	case f.compare != "" && (f.csv || f.sarif):
		return usage("--compare prints text or JSON")
	case f.compare != "":
		if base, err = readBaseline(f.compare); err != nil {
			return err
		}
	}
	if formats == 0 || f.time {
		start := time.Now()
		opt.Clock = func() time.Duration { return time.Since(start) }
	}
	files, err := openObjects(paths)
	if err != nil {
		return err
	}
	if opt.Program, err = f.chosen(files); err != nil {
		return err
	}
	types, err := readTypes(f.btf)
	if err != nil {
		return err
	}
	rows, err := a.verifyAll(files, versions, types, opt)
	if err != nil {
		return err
	}
	differs := false
	switch {
	case base != nil:
		differs, err = a.writeComparison(f, text, base, versions, rows)
	case f.json:
		err = writeVerifyJSON(a.out, versions, rows, f.time)
	case f.csv:
		err = writeVerifyCSV(a.out, rows, f.time)
	case f.sarif:
		err = writeSARIF(a.out, files, rows, f.time)
	default:
		err = writeVerifyText(a.out, text, versions, rows, f.verbose)
	}
	if err != nil {
		return err
	}
	failed, unsupported := verdict.Failed(rows)
	lints := slices.ContainsFunc(rows, func(r verdict.Row) bool { return len(r.Lints) > 0 })
	switch {
	case failed:
		return &exitError{exitRejected, errSilent}
	case unsupported:
		return &exitError{exitUnknown, errSilent}
	case differs || lints:
		return &exitError{exitCheck, errSilent}
	}
	return nil
}

// versions are the kernels that the flags name.
func (f *verifyFlags) versions() ([]string, error) {
	list := slices.Clone(f.kernels)
	if f.kernel != "" {
		list = append(list, f.kernel)
	}
	if len(list) == 0 {
		return []string{runner.DefaultKernel}, nil
	}
	var out []string
	for _, v := range list {
		if v == "all" {
			all := kernels.List()
			slices.Reverse(all)
			out = append(out, all...)
			continue
		}
		k, err := kernels.Get(strings.TrimSpace(v))
		if err != nil {
			return nil, err
		}
		out = append(out, k.Version)
	}
	for i, v := range out {
		if slices.Contains(out[:i], v) {
			return nil, usage("--kernels: %s is there twice", v)
		}
	}
	if f.btf != "" && len(out) > 1 {
		return nil, usage("--btf goes with one kernel")
	}
	return out, nil
}

// object is a file to be verified.
type object struct {
	path, name string // name is what tables call it
	o          *elf.Object
}

// maxBTF bounds a file of types.
const maxBTF = 64 << 20

// readTypes reads the raw BTF of a kernel, nothing for no file. Each goroutine makes types of its own of it.
func readTypes(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxBTF {
		return nil, usage("%s: more than %d MB is no BTF of a kernel", path, maxBTF>>20)
	}
	if _, err := btf.LoadSpecFromReader(bytes.NewReader(raw)); err != nil {
		return nil, usage("%s: %v", path, err)
	}
	return raw, nil
}

// openObjects reads the files, and those in directories.
func openObjects(paths []string) ([]object, error) {
	var all []string
	for _, p := range paths {
		if s, err := os.Stat(p); err != nil {
			return nil, err
		} else if !s.IsDir() {
			all = append(all, p)
			continue
		}
		found, err := filepath.Glob(filepath.Join(p, "*.bpf.o"))
		if err != nil || len(found) == 0 {
			return nil, usage("%s: a directory without files *.bpf.o", p)
		}
		all = append(all, found...)
	}
	bases := map[string]int{}
	for _, p := range all {
		bases[filepath.Base(p)]++
	}
	var out []object
	for _, p := range all {
		f, err := os.Open(p)
		if err != nil {
			return nil, err
		}
		o, err := elf.Read(filepath.Base(p), f)
		f.Close()
		if err != nil {
			return nil, &runner.LoadError{Scheduler: p, Err: err}
		}
		name := filepath.Base(p)
		if bases[name] > 1 {
			name = p
		}
		out = append(out, object{p, name, o})
	}
	return out, nil
}

// chosen tells which programs the flags name; each must be in some object.
func (f *verifyFlags) chosen(files []object) (func(string) bool, error) {
	if len(f.programs) == 0 {
		return nil, nil
	}
	var names []string
	for _, file := range files {
		for _, p := range file.o.Programs {
			names = append(names, p.Name)
		}
	}
	for _, want := range f.programs {
		if !slices.Contains(names, want) {
			return nil, usage("no program %q%s", want, elf.DidYouMean(want, names))
		}
	}
	return func(name string) bool { return slices.Contains(f.programs, name) }, nil
}

// verifyAll verifies all objects for all kernels, as many objects at once as there are CPUs. The rows are in the order of
// files, programs and kernels, whoever is ready first.
func (a *app) verifyAll(files []object, versions []string, types []byte, opt verdict.Options) ([]verdict.Row, error) {
	jobs := make(chan int)
	results := make([][][]verdict.Row, len(files))
	errs := make([]error, len(files))
	progress := a.progress(len(files)*len(versions), "objects verified")
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		wg.Go(func() {
			have := map[string]*verdict.Kernel{}
			for i := range jobs {
				results[i], errs[i] = verifyOne(have, files[i], versions, types, opt, progress.done)
			}
		})
	}
	for i := range files {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	progress.end()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	var out []verdict.Row
	for _, perKernel := range results {
		for i := range perKernel[longest(perKernel)] {
			for _, rows := range perKernel {
				if i < len(rows) {
					out = append(out, rows[i])
				}
			}
		}
	}
	return out, nil
}

func longest(lists [][]verdict.Row) (at int) {
	for i := range lists {
		if len(lists[i]) > len(lists[at]) {
			at = i
		}
	}
	return at
}

// verifyOne verifies one object for all kernels, with those in have as far as they are there; a panic is an error, for
// goroutines.
func verifyOne(have map[string]*verdict.Kernel, file object, versions []string, types []byte, opt verdict.Options, done func()) (rows [][]verdict.Row, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	for _, v := range versions {
		k := have[v]
		if k == nil {
			var spec *btf.Spec
			if types != nil {
				if spec, err = btf.LoadSpecFromReader(bytes.NewReader(types)); err != nil {
					return nil, err
				}
			}
			if k, err = verdict.New(v, spec); err != nil {
				return nil, err
			}
			have[v] = k
		}
		r, err := k.Check(file.name, file.o, opt)
		if err != nil {
			return nil, usage("-G %v", err)
		}
		rows = append(rows, r)
		done()
	}
	return rows, nil
}
