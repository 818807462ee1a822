package workloads

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// Options tune the reading of workload files; the zero value is right for most.
type Options = rtapp.Options

// Warning is something odd in a file that does not stop it from being used.
type Warning = rtapp.Warning

// Workload is a workload file, checked and compiled. It does not change and may be run many times.
type Workload struct {
	// Name is the file's name, Title its description ("" if it has none).
	Name, Title string
	// Duration is how long the file wants to run; 0 means until every task has ended.
	Duration sim.Duration
	Warnings []Warning

	tasks    []*taskProg
	cgroups  []*rtapp.Cgroup
	actions  []*action
	objects  objectNames
	barriers []int // users of each barrier
	absolute []bool
}

// TaskInfo describes one task of a workload for listings.
type TaskInfo struct {
	Name, Title string
	Instances   int
	// Endless tells that the task never ends by itself.
	Endless bool
}

// Tasks lists the tasks of the file in its order.
func (w *Workload) Tasks() []TaskInfo {
	l := make([]TaskInfo, len(w.tasks))
	for i, t := range w.tasks {
		l[i] = TaskInfo{t.name, t.title, t.instances, t.endless()}
	}
	return l
}

// Endless tells whether a task that starts with the workload never ends by itself, so that a run needs a duration.
func (w *Workload) Endless() bool {
	for _, a := range w.actions {
		if a.Do == rtapp.DoSpawn && (a.spawn.endless() || a.Every > 0 && a.Times == math.MaxInt32) {
			return true
		}
	}
	return slices.ContainsFunc(w.tasks, func(t *taskProg) bool { return t.instances > 0 && t.endless() })
}

// Parse reads the workload data; name is for messages. An error lists everything wrong with the file, one line each, as
// file:line:column: message.
func Parse(name string, data []byte, o Options) (*Workload, error) {
	f, err := rtapp.Parse(name, data, o)
	if err != nil {
		return nil, err
	}
	c := &compiler{f: f, w: &Workload{Name: name, Title: f.Global.Title, Duration: f.Global.Duration, Warnings: f.Warnings}}
	c.compile()
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	return c.w, nil
}

// Bound is a workload on a machine with a known number of CPUs.
type Bound struct {
	w   *Workload
	all []sim.CPU
}

// Bind checks w against a machine with the CPUs 0 to cpus-1. The error names the places of CPUs that do not exist.
func (w *Workload) Bind(cpus int) (*Bound, error) {
	if cpus < 1 {
		return nil, fmt.Errorf("%s: a machine with %d CPUs", w.Name, cpus)
	}
	var errs rtapp.Errors
	var seen []*cpuSet
	for _, t := range w.tasks {
		for i := range t.phases {
			set := t.phases[i].cpus
			if set == nil || slices.Contains(seen, set) {
				continue
			}
			seen = append(seen, set)
			for j, cpu := range set.src.CPUs {
				if cpu >= cpus {
					errs = append(errs, &rtapp.Error{File: w.Name, Pos: set.src.At[j],
						Msg: fmt.Sprintf("cpus: found CPU %d, expected one that the machine has (0 to %d)", cpu, cpus-1)})
				}
			}
		}
	}
	if errs = append(errs, w.bindTimeline(cpus)...); len(errs) > 0 {
		return nil, errs
	}
	b := &Bound{w: w, all: make([]sim.CPU, cpus)}
	for i := range b.all {
		b.all[i] = sim.CPU(i)
	}
	return b, nil
}

// Workload returns what was bound.
func (b *Bound) Workload() *Workload { return b.w }

// maxComm is the longest name that a kernel task has (TASK_COMM_LEN less the final zero).
const maxComm = 15

// comm is the kernel's name of a thread: rt-app's "task-index", shortened before the dash if it is too long.
func comm(name, suffix string) string {
	if n := maxComm - len(suffix); len(name) > n {
		name = strings.ToValidUTF8(name[:max(n, 0)], "")
	}
	return name + suffix
}
