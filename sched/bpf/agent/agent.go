package agent

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
)

// Agent is the user-space half of one scheduler. An error of any of its methods refuses the scheduler. An agent belongs to
// one load of one object.
type Agent interface {
	// Prepare is asked before the object is linked. It may change o in place (sizes of sections and maps, which programs are
	// loaded); the rest is the Edit. It may already add tasks to the machine, whose ids the object is to know.
	Prepare(e *Env, o *elf.Object) (Edit, error)
	// Loaded is called when maps and programs exist, before tracing programs are attached and the table is registered.
	Loaded(l *Loaded) error
	// Attached is called when the table is in charge.
	Attached(l *Loaded) error
}

// Env is the system around an agent.
type Env struct {
	Machine *sim.Machine
	Kernel  *kernels.Kernel
	// Scheduler is the name in the object's ops table.
	Scheduler string
	// Notice takes remarks about what the agent does and leaves; never nil.
	Notice func(text string)
}

// Edit is what is to be done with an object before it is linked.
type Edit struct {
	// Set are global variables, in order. Those in read-only sections are set in the object, so that the linker sees what
	// code is dead; others in the programs' memory, before Agent.Loaded.
	Set []Global
	// Members are those of the scheduler's table.
	Members []Member
	// NoEnums: variables __X of read-only data are not set to the kernel's enumerators X, as SCX_ENUM_INIT does.
	NoEnums bool
	// Done says in words what else was changed in the object.
	Done []string
	// Unknown: nothing is known of the scheduler, and variables that look as if its loader sets them are worth a remark.
	Unknown bool
}

// Global is the value of a global variable, or of the part that a path leads to: "cfg.limit", "table[3].mask[0]". Value is
// what elf.Object.SetVar takes.
type Global struct {
	Path  string
	Value any
	// At is the place that says so, for errors: "my.json:3"; "" if there is none.
	At string
}

// Member is a new value for a member of the scheduler's table. Value is a number, enumerators of the kernel joined by "|"
// (SCX_OPS_ may be left out), text for an array of characters; for a callback the name of a program, or NULL.
type Member struct {
	Name, Value string
	// At is as in Global.
	At string
}

// Wrap puts a place before an error.
func Wrap(at string, err error) error {
	if err == nil || at == "" {
		return err
	}
	return fmt.Errorf("%s: %w", at, err)
}

// Names lists what the edit touches, sorted.
func (e Edit) Names() []string {
	names := slices.Clone(e.Done)
	for _, g := range e.Set {
		names = append(names, g.Path)
	}
	for _, m := range e.Members {
		names = append(names, "ops."+m.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
