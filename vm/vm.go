package vm

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/objects"
)

// Engine runs programs; see package engine.
type Engine = engine.Engine

// Interp is the engine that runs everywhere.
func Interp() Engine { return interp.Engine{} }

// EngineByName returns the engine that flags call "interp" or "jit". "auto" and "" are the JIT where there is one, else the
// interpreter.
func EngineByName(name string) (Engine, error) {
	e, _, err := NewEngine(name, EngineOptions{})
	return e, err
}

// EngineOptions tune NewEngine. The zero value is right for everything but profiling with perf.
type EngineOptions struct {
	// PerfMap, if not nil, receives a line per subprogram in machine code, in the format of /tmp/perf-PID.map.
	PerfMap io.Writer
}

// NewEngine is EngineByName with options. The notice is one line for the user where "auto" has chosen the interpreter, and why.
func NewEngine(name string, o EngineOptions) (e Engine, notice string, err error) {
	jo := jit.Options{PerfMap: o.PerfMap}
	switch name {
	case "interp":
		return Interp(), "", nil
	case "jit":
		e, err = jit.New(jo)
		return e, "", err
	case "auto", "":
		e, notice = jit.Select(jo, Interp())
		return e, notice, nil
	}
	return nil, "", fmt.Errorf("engine %q: not known; there are interp, jit and auto", name)
}

// Options say what a set of programs lives in. Mem and Host are required.
type Options struct {
	Mem  *mem.Space
	Host abi.Host
	// Kfuncs are the kernel functions that programs may call.
	Kfuncs []abi.Kfunc
	// Ksym returns the address of a kernel variable; nil means that there are none.
	Ksym func(name string) (addr uint64, ok bool)
	// PerCPU returns the address of a per-CPU kernel variable's copy, for bpf_per_cpu_ptr and bpf_this_cpu_ptr; nil means
	// that CPUs share one.
	PerCPU func(ptr uint64, cpu int32) uint64
	// DropKptr releases a reference that a map value held when the value goes away: the name of the type and the
	// pointer. Nil ignores it.
	DropKptr func(typeName string, ptr uint64)
	// Sys is what some helpers need of the rest of a kernel; without it programs that call those are refused.
	Sys helpers.Sys
	// Select chooses the programs to load; nil takes those that libbpf would load: all but optional ones (SEC("?...")) that
	// no struct_ops table names.
	Select func(p *link.Program) bool
	// Types are the types of the object's programs, for objects that they allocate; nil: the object's BTF.
	Types func() *btf.Spec
	// Prog is how a tail call reaches what an element of a prog_array in Table holds; nil: see helpers.Env.
	Prog func(object uint64) (abi.Next, abi.Other)
	// Table, if not nil, has the object's maps already: Maps are they by number in the object, nil where there is none. The
	// set uses them, but neither fills nor frees them.
	Table *maps.Table
	Maps  []maps.Map
	// Keep: the object's code becomes that of the set, addresses are filled in there, and nobody may use it for another set.
	Keep   bool
	Engine Engine // nil: the interpreter, which also runs a set for which the engine has no room
	// Budget is the number of instructions that an invocation may execute, with everything nested in it; 0 means
	// engine.DefaultBudget.
	Budget uint64
	HZ     int    // CONFIG_HZ; 0 means helpers.DefaultHZ
	Seed   uint64 // varies the order in which hash maps iterate
}

// Set is a loaded object: programs, maps and global variables.
type Set struct {
	obj   *link.Object
	opt   Options
	env   *engine.Env
	code  engine.Code
	maps  *maps.Table
	progs []*Program

	list  []maps.Map  // by number in the object
	arena *maps.Arena // nil if there is none
	// objects are what programs have allocated, layouts those of their types by number.
	objects *objects.Table
	// proved: some accesses are not checked when programs run.
	proved  bool
	layouts map[uint64]*objects.Layout
	helpers *helpers.Env
	async   *Fault
	stack   uint64 // address of the stack region, 0 if none is allocated
}

// Program is a program of a set.
type Program struct {
	set    *Set
	number int
	link   *link.Program
	// ctx is how many bytes of the context must lie in the address space, for the program and those of the set that it
	// may go on as.
	ctx uint64
}

// Program returns the program with that name, nil if there is none or it was not loaded.
func (s *Set) Program(name string) *Program {
	for _, p := range s.progs {
		if p.link.Name == name {
			return p
		}
	}
	return nil
}

// Programs returns all loaded programs, in the order of the object. The slice must not be changed.
func (s *Set) Programs() []*Program { return s.progs }

// Map returns the map with that name (a data section's is the section's name), nil if there is none.
func (s *Set) Map(name string) maps.Map {
	for i := len(s.obj.Maps) - 1; i >= 0; i-- {
		if s.obj.Maps[i].Name == name && i < len(s.list) && s.list[i] != nil {
			return s.list[i]
		}
	}
	return nil
}

// Maps returns all maps in the order of the object.
func (s *Set) Maps() []maps.Map { return s.list }

// DropOwner deletes what local storage maps hold for a kernel object that goes away: a task or cgroup.
func (s *Set) DropOwner(addr uint64) { s.maps.DropOwner(addr) }

// Insns is the number of instructions executed so far.
func (s *Set) Insns() uint64 {
	n, _ := s.Work()
	return n
}

// Calls is the number of helpers and kernel functions called so far.
func (s *Set) Calls() uint64 {
	_, n := s.Work()
	return n
}

// Work is Insns and Calls.
func (s *Set) Work() (insns, calls uint64) {
	e := s.env
	if e.State.Depth > 0 {
		s.code.Sync()
	}
	return e.State.Insns, e.Call.Calls
}

// TakeFault returns the first violation of an asynchronous callback (a timer's) since it was called last, nil if there was
// none.
func (s *Set) TakeFault() *Fault {
	f := s.async
	s.async = nil
	return f
}

// Close frees the programs and gives maps and stack back to the address space. Timers are cancelled.
func (s *Set) Close() error {
	var err error
	if s.code != nil {
		err = s.code.Close()
		s.code = nil
	}
	if s.maps != nil && s.opt.Table == nil {
		s.maps.Close()
	}
	s.objects.Close()
	if s.stack != 0 {
		s.opt.Mem.Free(s.stack, s.env.StackSize)
		s.stack = 0
	}
	return err
}

// Name is the program's C function name.
func (p *Program) Name() string { return p.link.Name }

// Link is what the linker knows of the program.
func (p *Program) Link() *link.Program { return p.link }

// Machine is the program's machine code. It is not ok if the engine makes none, or the set was released.
func (p *Program) Machine() (l engine.Listing, ok bool) {
	c, ok := p.set.code.(engine.Lister)
	if !ok {
		return engine.Listing{}, false
	}
	l = c.Listing(p.number)
	return l, len(l.Marks) > 0
}

// Info is what kernel functions see of the program; the caller of Load may set its Context.
func (p *Program) Info() *abi.Prog { return p.set.env.Progs[p.number].Info }

// Run runs the program with R1 = ctx, the simulated address of its context (for struct_ops: a u64 per argument), and
// returns R0. A *Fault means that the program ended on the way; what it did until then stays done. A program whose accesses
// to its context are not checked does not start where they would leave the address space.
func (p *Program) Run(ctx uint64) (r0 uint64, f *Fault) {
	if p.ctx != 0 && !p.reachable(ctx) {
		return 0, p.badContext(ctx)
	}
	r0, ef := p.set.code.Run(p.number, ctx)
	p.set.settle()
	if ef != nil {
		return 0, p.set.fault(ef)
	}
	return r0, nil
}

// reachable tells whether all that the program may access of its context at ctx lies in the address space.
func (p *Program) reachable(ctx uint64) bool {
	off, n := ctx-mem.Base, p.set.opt.Mem.Limit()
	return off < n && p.ctx <= n-off
}

func (p *Program) badContext(ctx uint64) *Fault {
	f := p.set.fault(&engine.Fault{Prog: p.number})
	f.Msg = fmt.Sprintf("the context of %d bytes at %#x does not lie in memory", p.ctx, ctx)
	return f
}

// Native tells that machine code runs, and not instructions.
func (s *Set) Native() bool {
	_, ok := s.code.(engine.Compact)
	return ok
}

// Settle makes progs those of the set, by number: the same as before, but for what only loading needs, and people who look at
// programs. In a native set their instructions may have gone (ir.Program.Again); there are no listings of its machine code
// afterwards (Program.Machine), and no maps and variables are found by name (Set.Map, Set.Global).
func (s *Set) Settle(progs []*link.Program) {
	s.obj.Programs, s.obj.Maps = progs, nil
	c, native := s.code.(engine.Compact)
	if native {
		c.Compact()
		s.env.Inline, s.env.Helpers = engine.Inline{}, nil // machine code has what it calls
	}
	for i, p := range s.progs {
		p.link = progs[i]
		e := &s.env.Progs[i]
		e.Info.Name, e.Info.Section = p.link.Name, p.link.Section
		if native {
			e.Code, e.Kfuncs = p.link.Code, nil
		}
	}
}

// Number is the program's number in its set, from 0.
func (p *Program) Number() int { return p.number }

var _ abi.Other = (*Program)(nil)

// TailRun runs the program in place of one of another set; see abi.Other.
func (p *Program) TailRun(ctx uint64, tails int32) (r0 uint64, n int32, fault string) {
	if p.ctx != 0 && !p.reachable(ctx) {
		return 0, tails, p.badContext(ctx).Error()
	}
	r0, n, ef := p.set.code.Tail(p.number, ctx, tails)
	p.set.settle()
	if ef != nil {
		return 0, n, p.set.fault(ef).Error()
	}
	return r0, n, ""
}

// Running tells whether a program of the set is running.
func (s *Set) Running() bool { return s.env.State.Depth > 0 }

// RunSub runs the subprogram at a code address that a program handed out (a callback) as an invocation of its own. In a set
// with accesses that are not checked it is a Fault: nothing tells what the subprogram takes its arguments for. Callbacks of
// timers and work, which get addresses of the set's own maps, run there all the same.
func (s *Set) RunSub(fn uint64, a abi.Args) (r0 uint64, f *Fault) {
	if s.proved {
		p, sub, ok := engine.Resolve(s.env.Progs, fn)
		if !ok {
			return 0, s.fault(&engine.Fault{Msg: engine.TargetFault(fn)})
		}
		at := s.env.Progs[p].Code.Functions()[sub].Start
		return 0, s.fault(&engine.Fault{Prog: p, Insn: at, Msg: "a function of which accesses are not checked cannot be run by itself"})
	}
	return s.runSub(fn, a)
}

func (s *Set) runSub(fn uint64, a abi.Args) (r0 uint64, f *Fault) {
	r0, ef := s.code.RunSub(fn, a)
	s.settle()
	if ef != nil {
		return 0, s.fault(ef)
	}
	return r0, nil
}

// runAsync runs an asynchronous callback; its result is nobody's.
func (s *Set) runAsync(fn uint64, a abi.Args) {
	if s.code == nil {
		return // closed
	}
	if _, f := s.runSub(fn, a); f != nil && s.async == nil {
		s.async = f
	}
}

// settle does what the kernel does soon after a program has ended.
func (s *Set) settle() {
	if s.arena != nil && s.env.State.Depth == 0 {
		s.arena.RunWorker()
	}
}

// Arena is the arena of the object, nil if it has none.
func (s *Set) Arena() *maps.Arena { return s.arena }

// Global returns the bytes of a global variable, which alias the program's memory. The error names a similar one if there
// is none with that name.
func (s *Set) Global(name string) ([]byte, error) {
	for i, m := range s.obj.Maps {
		if m.Section == "" {
			continue
		}
		for _, v := range m.Vars {
			if v.Name != name {
				continue
			}
			a, ok := s.list[i].(*maps.Array)
			if !ok {
				return nil, fmt.Errorf("%s: global variable %q: map %q was not created", s.obj.Name, name, m.Name)
			}
			return a.Data()[v.Off : v.Off+v.Size : v.Off+v.Size], nil
		}
	}
	if a := s.obj.Arena; a != nil && s.arena != nil {
		for _, v := range a.Vars {
			if v.Name == name {
				return s.arena.Bytes(s.arena.DataAddr()+uint64(v.Off), uint64(v.Size)), nil
			}
		}
	}
	return nil, fmt.Errorf("%s: no global variable %q%s", s.obj.Name, name, similar(name, s.globals()))
}

func (s *Set) globals() []string {
	var names []string
	for _, m := range s.obj.Maps {
		for _, v := range m.Vars {
			names = append(names, v.Name)
		}
	}
	if a := s.obj.Arena; a != nil {
		for _, v := range a.Vars {
			names = append(names, v.Name)
		}
	}
	return names
}
