package workloads

import (
	"fmt"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// Attach is a scheduler that the timeline attaches.
type Attach struct {
	// Scheduler is a name or a path as in the file, "" for the scheduler of the run.
	Scheduler string
	// Cgroup, a path, makes it a sub-scheduler; "": it is in charge of all tasks.
	Cgroup string

	file string
	pos  rtapp.Pos
}

// Errorf is an error about the file, at the place that names the scheduler.
func (a *Attach) Errorf(format string, args ...any) error {
	return &rtapp.Error{File: a.file, Pos: a.pos, Msg: fmt.Sprintf(format, args...)}
}

// Place is where the file names the scheduler: file:line:column.
func (a *Attach) Place() string { return fmt.Sprintf("%s:%d:%d", a.file, a.pos.Line, a.pos.Col) }

// Attaches are the schedulers that the timeline attaches, in the order of the file.
func (w *Workload) Attaches() []Attach {
	var out []Attach
	for _, a := range w.actions {
		if a.Do == rtapp.DoAttach || a.Do == rtapp.DoReplace {
			out = append(out, w.attach(a))
		}
	}
	return out
}

func (w *Workload) attach(a *action) Attach {
	return Attach{a.Scheduler, a.Cgroup, w.Name, a.SchedulerPos}
}

// schedulers attaches, detaches or replaces a scheduler; it says what it did.
func (r *Instance) schedulers(a *action) (string, error) {
	name, at := a.Scheduler, ""
	if name == "" {
		name = "the scheduler of the run"
	}
	if a.Cgroup != "" {
		at = " at " + a.Cgroup
	}
	text := fmt.Sprintf("attach %s%s", name, at)
	switch a.Do {
	case rtapp.DoDetach:
		text = "detach" + at
	case rtapp.DoReplace:
		text = "replace" + at + " by " + name
	}
	if r.attach == nil {
		return text, sim.ENODEV
	}
	if a.Do != rtapp.DoAttach {
		if err := r.detach(a.Cgroup); err != nil || a.Do == rtapp.DoDetach {
			return text, err
		}
	}
	return text, r.attach(r.b.w.attach(a))
}

// server writes the files of the deadline servers of CPUs.
func (r *Instance) server(a *action) (string, error) {
	class := "fair"
	if a.Do == rtapp.DoExtServer {
		class = "ext"
	}
	text := fmt.Sprintf("%s of CPU %s", a.Do, list(a.cpus))
	if a.Runtime != nil {
		text += " runtime " + a.Runtime.String()
	}
	if a.Period != nil {
		text += " period " + a.Period.String()
	}
	c := r.m.ClassByName(class)
	if c == nil {
		return text, sim.ENOENT
	}
	return text, r.eachCPU(a.cpus, func(cpu sim.CPU) error {
		runtime, period, ok := r.m.Server(cpu, c)
		if !ok {
			return sim.ENOENT
		}
		if a.Runtime != nil {
			runtime = *a.Runtime
		}
		if a.Period != nil {
			period = *a.Period
		}
		return r.m.SetServer(cpu, c, runtime, period)
	})
}
