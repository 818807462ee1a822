package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
	"github.com/schedsim/schedsim/sched/builtin"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/mem"
)

// Baseline is the name of the scheduler that is no policy: the kernel's own fair class, with sched_ext not in use.
const Baseline = "eevdf"

// LoadError says that a scheduler was refused: by the reader of objects, by the checks of loading, or by the kernel when
// it was attached.
type LoadError struct {
	Scheduler string
	Err       error
}

// Error names the scheduler as it was given.
func (e *LoadError) Error() string {
	return e.Scheduler + ": " + strings.TrimPrefix(e.Err.Error(), filepath.Base(ObjectFile(e.Scheduler))+": ")
}

// Unwrap returns the cause.
func (e *LoadError) Unwrap() error { return e.Err }

// IsObject tells whether a scheduler is given as a file, by its name: it has a directory or ends as objects do, perhaps with
// the name of one of its tables behind a colon.
func IsObject(name string) bool {
	file, _ := bpf.SplitTable(name)
	return strings.ContainsAny(name, "/\\") || strings.HasSuffix(file, ".o")
}

// ObjectFile is the path of an object without the table that may follow it.
func ObjectFile(name string) string {
	file, _ := bpf.SplitTable(name)
	return file
}

// Names returns the names of the schedulers that are no files, the baseline first.
func Names() []string {
	names := []string{Baseline}
	for _, e := range builtin.All() {
		names = append(names, e.Name)
	}
	return names
}

// CheckScheduler tells whether name can be a scheduler; the error of an unknown name lists those known.
func CheckScheduler(name string) error {
	if name == "" || name == Baseline || IsObject(name) {
		return nil
	}
	if _, ok := builtin.ByName(name); ok {
		return nil
	}
	return fmt.Errorf("scheduler %q: not one of %s, nor the path of an object file (name.bpf.o)", name, strings.Join(Names(), ", "))
}

// policy makes the policy that o asks for; nil for the baseline. space is nil where no object is loaded.
func (o *Options) policy(k *kernels.Kernel, space *mem.Space) (sched.Policy, error) {
	switch {
	case o.Policy != nil:
		return o.Policy, nil
	case !IsObject(o.Scheduler):
		if err := CheckScheduler(o.Scheduler); err != nil {
			return nil, err
		}
		p, _ := builtin.ByName(o.Scheduler)
		return p, nil
	}
	return o.object(k, space, o.Scheduler, bpf.Options{Members: o.Members, Globals: o.Globals})
}

// object reads the object of a scheduler; b is what is its own.
func (o *Options) object(k *kernels.Kernel, space *mem.Space, scheduler string, b bpf.Options) (sched.Policy, error) {
	engine, _, err := vm.NewEngine(o.Engine, vm.EngineOptions{PerfMap: o.PerfMap})
	if err != nil {
		return nil, err
	}
	file, table := bpf.SplitTable(scheduler)
	b.Table, b.Kernel, b.Mem, b.Engine = table, k, space, engine
	given := recipes.Options{Log: o.RecipeLog}
	if scheduler == o.Scheduler { // not for sub-schedulers
		given.Recipe = o.Recipe
	}
	b.Agent = recipes.New(given)
	b.Notice, b.Checked, b.NoVerify, b.Permissions = o.notice, o.Checked, o.NoVerify, o.Permissions
	b.Print = func(at sim.Time, cpu sim.CPU, line string) {
		o.notice(fmt.Sprintf("%s cpu %d: %s", at, cpu, strings.TrimRight(line, "\n")))
	}
	p, err := bpf.New(file, b)
	if err != nil {
		if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
			return nil, err
		}
		return nil, &LoadError{scheduler, err}
	}
	return p, nil
}
