package userland

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
)

// worker is the main loop of one kind of user-space scheduler, a piece of work at a time.
type worker interface {
	// start is called when the object is loaded: it finds its maps and variables.
	start(l *agent.Loaded) error
	// work does the next piece and tells what CPU time it takes, which passes after its effect; over tells that the turn is
	// over and the CPU is to be given up.
	work(now sim.Time) (cost sim.Duration, over bool, err error)
	// stats are its counts so far.
	stats() Stats
}

// Stats is what a user-space scheduler has done.
type Stats struct {
	Turns   uint64 // of its main loop
	Taken   uint64 // tasks taken over from the programs
	Given   uint64 // tasks handed back
	Refused uint64 // handed back when there was no room; they are tried again
	Again   uint64 // taken over while they were still in its hands
	Waiting int    // in its hands now
}

// Agent is the user-space half of a scheduler whose policy is a process.
type Agent struct {
	comm string
	w    worker
	ext  bool // it asks for SCHED_EXT

	task  *sim.Task
	l     *agent.Loaded // once the table is in charge
	yield bool
}

var (
	_ agent.Agent  = (*Agent)(nil)
	_ sim.Behavior = (*Agent)(nil)
)

// New makes the agent of that kind: "userland", "rustland" or "rlfifo". Args are its settings by name: those of Costs in lower
// case, "comm", which is the name of the process, and "batch" of userland, "slice" of rlfifo, "slice" and "slice_min" of rustland.
func New(kind string, args map[string]any) (*Agent, error) {
	var a *Agent
	var list []setting
	switch kind {
	case "userland":
		w := &queueWorker{cost: queueCosts(), batch: 8}
		a, list = &Agent{comm: "scx_userland", w: w, ext: true}, append(w.cost.settings(), setting{name: "batch", num: &w.batch})
	case "rlfifo":
		w := &ringWorker{cost: ringCosts(), policy: fifo{}, slice: 5 * sim.Millisecond}
		a, list = &Agent{comm: "scx_rlfifo", w: w}, append(w.cost.settings(), setting{name: "slice", dur: &w.slice})
	case "rustland":
		w := &ringWorker{cost: ringCosts(), policy: &deadline{}, slice: 20 * sim.Millisecond, sliceMin: sim.Millisecond}
		a = &Agent{comm: "scx_rustland", w: w}
		list = append(w.cost.settings(), setting{name: "slice", dur: &w.slice}, setting{name: "slice_min", dur: &w.sliceMin})
	default:
		return nil, fmt.Errorf("no user-space scheduler %q%s", kind, elf.DidYouMean(kind, Kinds()))
	}
	list = append(list, setting{name: "comm", text: &a.comm})
	if err := apply(list, args); err != nil {
		return nil, fmt.Errorf("agent %s: %w", kind, err)
	}
	return a, nil
}

// Kinds are the user-space schedulers that are known.
func Kinds() []string { return []string{"rlfifo", "rustland", "userland"} }

// Prepare makes the process, whose id the programs are to know.
func (a *Agent) Prepare(e *agent.Env, o *elf.Object) (agent.Edit, error) {
	spec := sim.TaskSpec{Comm: a.comm, Behavior: a, Group: sim.SchedulerGroup, Orphan: true}
	if a.ext {
		spec.Policy = sim.PolicyExt
	}
	t, err := e.Machine.Spawn(spec)
	if err != nil {
		return agent.Edit{}, err
	}
	a.task = t
	return agent.Edit{Set: []agent.Global{{Path: "usersched_pid", Value: int64(t.PID)}}}, nil
}

// Loaded finds what the worker uses.
func (a *Agent) Loaded(l *agent.Loaded) error { return a.w.start(l) }

// Attached lets the process go to work.
func (a *Agent) Attached(l *agent.Loaded) error {
	a.l = l
	return nil
}

// Task is the process.
func (a *Agent) Task() *sim.Task { return a.task }

// Stats is what it has done so far.
func (a *Agent) Stats() Stats { return a.w.stats() }

// loading is how often a process looks whether its scheduler has been attached.
const loading = sim.Millisecond

// Next implements sim.Behavior: pieces of work, and sched_yield after each turn.
func (a *Agent) Next(_ *sim.Task, now sim.Time) sim.Step {
	switch {
	case a.l == nil:
		return sim.Step{Kind: sim.StepSleep, Dur: loading}
	case !a.l.Live():
		return sim.Step{Kind: sim.StepExit}
	case a.yield:
		a.yield = false
		return sim.Step{Kind: sim.StepYield}
	}
	cost, over, err := a.w.work(now)
	if err != nil {
		a.l.Fail(err)
		return sim.Step{Kind: sim.StepExit}
	}
	a.yield = over
	return sim.Step{Kind: sim.StepRun, Dur: cost}
}

// counter is a 64-bit variable of the programs, nil for one that the object does not have.
type counter []byte

func newCounter(l *agent.Loaded, name string) (counter, error) {
	c, err := l.Var(name)
	if err != nil {
		return nil, err
	}
	if len(c.B) != 8 {
		return nil, fmt.Errorf("variable %s: %d bytes, 8 are expected", name, len(c.B))
	}
	return counter(c.B), nil
}

func (c counter) get() uint64  { return binary.LittleEndian.Uint64(c) }
func (c counter) set(v uint64) { binary.LittleEndian.PutUint64(c, v) }

// place is where an integer lies in a struct.
type place struct{ off, size uint32 }

// places finds members of a struct.
func places(t btf.Type, names ...string) ([]place, error) {
	n, err := btf.Sizeof(t)
	if err != nil {
		return nil, err
	}
	out := make([]place, len(names))
	for i, name := range names {
		v, err := (elf.Var{Size: uint32(n), Type: t}).At("." + name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", elf.TypeName(t), err)
		}
		if v.Size != 4 && v.Size != 8 {
			return nil, fmt.Errorf("%s.%s: %d bytes, want a number", elf.TypeName(t), name, v.Size)
		}
		out[i] = place{v.Off, v.Size}
	}
	return out, nil
}

func (p place) get(b []byte) uint64 {
	if p.size == 4 {
		return uint64(binary.LittleEndian.Uint32(b[p.off:]))
	}
	return binary.LittleEndian.Uint64(b[p.off:])
}
