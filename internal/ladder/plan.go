package ladder

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm/elf"
)

// Options say what to run. The zero value is what the ladder means: the three workloads on three machines for ten seconds.
type Options struct {
	Workloads []string     // nil: DefaultWorkloads
	Topos     []string     // nil: DefaultTopos
	Length    sim.Duration // 0: DefaultLength
	Seed      uint64
	Kernel    string // "": the default one, or the last that the scheduler was made for
	NoCosts   bool
	// NoChecks leaves the policy-specific checks out; OnlyChecks leaves everything else out.
	NoChecks, OnlyChecks bool
	// Jobs is how many run at a time; 0: one.
	Jobs int
	// Do does a job, possibly in a process of its own. Nil: Run.
	Do func(context.Context, Job) Outcome
	// Done is called after each job, from one goroutine at a time. Nil: nobody is told.
	Done func(Outcome)
}

// DefaultWorkloads are the three workloads of the ladder.
func DefaultWorkloads() []string { return []string{"saturated", "interactive", "forkstorm"} }

// DefaultTopos are the machines of the ladder: 4 CPUs, 32 in two LLCs, 128 in two nodes of four LLCs each.
func DefaultTopos() []string { return []string{"1n1l4c1t", "1n2l8c2t", "2n4l8c2t"} }

// DefaultLength is how long each run of the ladder lasts, in simulated time.
const DefaultLength = 10 * sim.Second

// Object is a scheduler to be run.
type Object struct {
	Path string `json:"path"`
	// Label is what tables call it: the folder of the file and the name.
	Label string `json:"label"`
	Entry *Entry `json:"-"`
	Rung  int    `json:"rung"` // -1: not known
}

// Objects makes a list of what paths name: objects, and folders with objects. A path that cannot be read is an object as well,
// whose row says so; only an empty folder is an error. The list is in the order of the rungs.
func Objects(paths ...string) ([]Object, error) {
	var list []Object
	for _, p := range paths {
		entries, err := os.ReadDir(p)
		if err != nil {
			list = append(list, object(p))
			continue
		}
		n := 0
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".bpf.o") && !e.IsDir() {
				list = append(list, object(filepath.Join(p, e.Name())))
				n++
			}
		}
		if n == 0 {
			return nil, fmt.Errorf("%s: no object (*.bpf.o) in this folder", p)
		}
	}
	sortObjects(list, func(o Object) Object { return o })
	return list, nil
}

// sortObjects puts a list in the order of rungs, unknown objects last.
func sortObjects[T any](list []T, of func(T) Object) {
	slices.SortStableFunc(list, func(x, y T) int {
		a, b := of(x), of(y)
		return cmp.Or(cmp.Compare(uint(a.Rung), uint(b.Rung)), cmp.Compare(a.Label, b.Label))
	})
}

func object(path string) Object {
	o := Object{Path: path, Label: shortName(path), Rung: -1}
	if dir := filepath.Base(filepath.Dir(path)); dir != "." && dir != "/" {
		o.Label = dir + "/" + o.Label
	}
	if o.Entry = Find(path, isCID(path)); o.Entry != nil {
		if o.Rung = o.Entry.Rung; o.Entry.Kernel != "" {
			o.Label += " (" + o.Entry.Kernel + ")"
		}
	}
	return o
}

// isCID tells whether an object that can be read has a table of the cid form.
func isCID(path string) bool {
	f, err := os.Open(runner.ObjectFile(path))
	if err != nil {
		return false
	}
	defer f.Close()
	o, err := elf.Read(filepath.Base(path), f)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(o.StructOps, func(s *elf.StructOps) bool { return s.Type != nil && s.Type.Name == "sched_ext_ops_cid" })
}

// Plan lists the jobs of an object.
func (o *Options) Plan(obj Object) []Job {
	var jobs []Job
	base := Job{Object: obj.Path, Seed: o.Seed, Kernel: o.Kernel, Costs: !o.NoCosts}
	if base.Kernel == "" && obj.Entry != nil {
		base.Kernel = obj.Entry.Kernel
	}
	if !o.OnlyChecks {
		for _, t := range o.topos() {
			for _, w := range o.workloads() {
				j := base
				j.Topo, j.Workload, j.Length = t, w, cmp.Or(o.Length, DefaultLength)
				jobs = append(jobs, j)
			}
		}
	}
	if !o.NoChecks {
		for _, c := range checksOf(obj.Entry) {
			j := base
			j.Check = c
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (o *Options) workloads() []string {
	if o.Workloads == nil {
		return DefaultWorkloads()
	}
	return o.Workloads
}

func (o *Options) topos() []string {
	if o.Topos == nil {
		return DefaultTopos()
	}
	return o.Topos
}

// Climb does the jobs of all objects, several at a time, and returns what came of them in the order of the plan. When ctx ends,
// it returns its error too, and what was not done is StageNone.
func Climb(ctx context.Context, objects []Object, o Options) (*Table, error) {
	type slot struct{ object, job int }
	t := &Table{Options: o}
	var work []slot
	var plans [][]Job
	for i, obj := range objects {
		plan := o.Plan(obj)
		plans = append(plans, plan)
		t.Rows = append(t.Rows, Row{Object: obj, Outcomes: make([]Outcome, len(plan))})
		for j := range plan {
			work = append(work, slot{i, j})
		}
	}
	do := o.Do
	if do == nil {
		do = func(_ context.Context, j Job) Outcome { return Run(j) }
	}
	next := make(chan slot)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range min(max(o.Jobs, 1), max(len(work), 1)) {
		wg.Go(func() {
			for s := range next {
				out := do(ctx, plans[s.object][s.job])
				if ctx.Err() != nil {
					continue // it may have been cut short
				}
				t.Rows[s.object].Outcomes[s.job] = out
				if o.Done != nil {
					mu.Lock()
					o.Done(out)
					mu.Unlock()
				}
			}
		})
	}
feed:
	for _, s := range work {
		select {
		case next <- s:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return t, ctx.Err()
}

// Count is the number of jobs for these objects.
func (o *Options) Count(objects []Object) int {
	n := 0
	for _, obj := range objects {
		n += len(o.Plan(obj))
	}
	return n
}

// Effort is how long a job takes, roughly and in no unit: what a machine does grows with its CPUs, and there is an object to load.
func (j Job) Effort() float64 {
	shape, length := j.Topo, j.Length
	if c := CheckByName(j.Check); c != nil {
		shape, length = c.Topo, c.Length
	}
	cpus := 1
	if tp, err := topo.Parse(shape); err == nil {
		cpus = len(tp.CPUs)
	}
	e := float64(cpus) * length.Seconds()
	if j.Workload == "interactive" {
		e *= 5 // it wakes most
	}
	return e + loadEffort
}

// loadEffort is the effort of loading an object: half a second, in which 32 CPUs are simulated for about a second.
const loadEffort = 32

// Effort is that of all jobs for these objects.
func (o *Options) Effort(objects []Object) float64 {
	var e float64
	for _, obj := range objects {
		for _, j := range o.Plan(obj) {
			e += j.Effort()
		}
	}
	return e
}

// Named tells whether an object is meant by a name: that of its file, with or without "scx_", or its label.
func (o Object) Named(name string) bool {
	return name == o.Label || name == baseName(o.Path) || name == shortName(o.Path)
}
