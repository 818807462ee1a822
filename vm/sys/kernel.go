package sys

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Options say what a Kernel has. Mem and Host are required.
type Options struct {
	Mem  *mem.Space
	Host abi.Host
	// Kfuncs are the kernel functions that programs may call.
	Kfuncs []abi.Kfunc
	// Functions, if not nil, makes the list that Kfuncs otherwise is, as often as programs are loaded after others were
	// compiled: it need not stay in memory while programs run.
	Functions func() []abi.Kfunc
	// Ksym returns the address of a kernel variable; nil means that there are none.
	Ksym func(name string) (addr uint64, ok bool)
	// PerCPU returns the address of a per-CPU kernel variable's copy, for bpf_per_cpu_ptr and bpf_this_cpu_ptr; nil means
	// that CPUs share one.
	PerCPU func(ptr uint64, cpu int32) uint64
	// DropKptr releases a reference that a map value held when the value goes away: the name of the type and the
	// pointer. Nil ignores it.
	DropKptr func(typeName string, ptr uint64)
	// BTF is vmlinux's, by whose ids programs name kernel functions and variables; nil: ids are what SymbolID says.
	BTF *btf.Spec
	// StructOps are the types of struct_ops that can be registered.
	StructOps []*StructOpsType
	// Verify is asked about each program before it is accepted: its decoded form and what it calls are known. A refusal
	// goes to the verifier's log; it may wrap an abi.Errno. Nil accepts everything.
	Verify func(p *Prog) error
	// Attach says what the place of a program means for the verifier; nil: programs are not verified, and run with all
	// checks. An error refuses the program, unless it is one of those that Unjudged lets pass.
	Attach func(p *Prog) (verifier.Attachment, error)
	// Checked: programs keep all checks at run time, also those that the verifier has shown to be needless.
	Checked bool
	// Unjudged, with Checked, decides about programs of which the verifier cannot say whether they are safe: it does not know
	// something that they use. True lets them run. Nil refuses them.
	Unjudged func(p *Prog, why error) bool
	// Trace attaches a tracing program to a hook: a tracepoint by its name, or the entry or return of a function by its. The
	// returned func takes it off again. An abi.ENOENT says that nothing of that name ever happens; nil: so it is for all.
	Trace func(p *Prog, hook string) (detach func(), err error)
	// Iters are what programs of the type iter can be read over.
	Iters []IterTarget
	// Idle tells of a program that nothing will ever run it: what it calls need not be modelled, and it is not compiled. Nil:
	// every program may be run.
	Idle func(p *Prog) bool
	// Sys is what some helpers need of the rest of a kernel; without it programs that call those are refused.
	Sys    helpers.Sys
	Engine engine.Engine // nil: the interpreter
	// Budget is the number of instructions that an invocation may execute, with everything nested in it; 0 means
	// engine.DefaultBudget.
	Budget uint64
	HZ     int    // CONFIG_HZ; 0 means helpers.DefaultHZ
	Seed   uint64 // varies the order in which hash maps iterate
	Maps   int    // how many maps there can be at a time; 0 means 1024
	Nodes  uint32 // NUMA nodes; 0 means one
}

// Kernel holds the objects of one BPF subsystem and runs its programs. It is for one goroutine.
type Kernel struct {
	opt   Options
	table *maps.Table
	procs []*Process
	fs    bpffs

	maps  ids[*Map]
	progs ids[*Prog]
	btfs  ids[*BTF]
	links ids[*Link]
	// idle are maps without references of their own, which maps of maps may still hold.
	idle []*Map
	// caller is the process whose call is under way.
	caller *Process
	// perfEvents is how many performance counters were opened.
	perfEvents uint64
	// sessions is how many readings of iterators were begun.
	sessions uint64

	rows    []abi.Kfunc           // vmlinux's functions, nil: not made
	kfuncs  map[string]*abi.Kfunc // all by name, nil: see Kernel.kfunc
	modules []*module             // in the order in which they were loaded
	symbols []string              // that have no BTF id; see SymbolID
	stops   []stopsType

	exec
	gone, goneCalls uint64 // instructions and calls of sets that are gone
	err             error
	closed          bool
}

// New makes a kernel without objects. All memory that it takes from Options.Mem it gives back by Close.
func New(o Options) (*Kernel, error) {
	if o.Maps == 0 {
		o.Maps = 1024
	}
	t, err := maps.NewTable(o.Mem, o.Host.NrCPUs(), o.Maps)
	if err != nil {
		return nil, err
	}
	k := &Kernel{opt: o, table: t, fs: newFS()}
	t.Seed = o.Seed
	if drop := o.DropKptr; drop != nil {
		t.Hooks.Kptr = func(f maps.Field, ptr uint64) { drop(f.Pointee, ptr) }
	}
	t.Hooks.FD, t.Hooks.Prog = k.objectOf, k.putProg
	if err := k.initStructOps(); err != nil {
		return nil, err
	}
	return k, nil
}

// Close ends all processes, unmounts the file system and gives all memory back.
func (k *Kernel) Close() error {
	if k.closed {
		return nil
	}
	for len(k.procs) > 0 {
		k.procs[len(k.procs)-1].Exit()
	}
	k.fs.clear()
	for i := len(k.maps.list) - 1; i >= 0; i-- { // registered without a link: nobody else would end that
		if o := k.maps.list[i].obj.ops; o != nil && o.state == stateInUse {
			o.delete()
		}
	}
	k.sweep()
	k.closed = true
	return k.stop()
}

func (k *Kernel) forget(p *Process) {
	if i := slices.Index(k.procs, p); i >= 0 {
		k.procs = slices.Delete(k.procs, i, i+1)
	}
}

// Counts are the numbers of living objects.
type Counts struct{ Maps, Progs, BTFs, Links int }

// Counts tells how many objects live.
func (k *Kernel) Counts() Counts {
	return Counts{len(k.maps.list), len(k.progs.list), len(k.btfs.list), len(k.links.list)}
}

// DropOwner deletes what local storage maps hold for a kernel object that goes away: a task or cgroup.
func (k *Kernel) DropOwner(addr uint64) { k.table.DropOwner(addr) }

// objectOf is maps.Hooks.FD: what a descriptor of the calling process stands for.
func (k *Kernel) objectOf(h *maps.Head, fd int32) (uint64, abi.Errno) {
	if k.caller == nil {
		return 0, abi.EBADF
	}
	switch h.Type {
	case maps.TypeProgArray:
		return k.progOf(h, fd)
	case maps.TypePerfEventArray:
		ev, _, err := fdObject[*perfEvent](k.caller, int(fd))
		if err != nil {
			return 0, Errno(err)
		}
		return ev.number, 0
	case maps.TypeArrayOfMaps, maps.TypeHashOfMaps:
		m, _, err := fdObject[*Map](k.caller, int(fd))
		if err != nil {
			return 0, Errno(err)
		}
		if m.m == nil {
			return 0, abi.EINVAL
		}
		return m.m.Info().Addr, 0
	}
	if k.caller.file(int(fd)) == nil {
		return 0, abi.EBADF
	}
	return 0, abi.EINVAL
}

// firstSymbol is the lowest of the ids that stand for symbols without BTF: above any of vmlinux's, below BTF_MAX_TYPE.
const firstSymbol = 0xf0000

// FuncID is SymbolID of a kernel function that exists, whether or not it can be called: loaders ask for its address.
func (k *Kernel) FuncID(name string) uint32 {
	if id := k.SymbolID(name, true); id != 0 {
		return id
	}
	return k.newSymbol(name)
}

// AttachID is the BTF id by which a tracing program names what it attaches to. Nothing is ever called there, so that any name
// will do.
func (k *Kernel) AttachID(name string) uint32 { return k.FuncID(name) }

// FuncNames are the kernel functions that can be called, for suggestions.
func (k *Kernel) FuncNames() []string {
	var names []string
	for _, f := range k.vmlinux() {
		if f.Call != nil || f.Machine {
			names = append(names, f.Name)
		}
	}
	return names
}

// newSymbol makes an id; 0 if there are too many.
func (k *Kernel) newSymbol(name string) uint32 {
	if len(k.symbols) == 1<<14 {
		return 0
	}
	k.symbols = append(k.symbols, name)
	return firstSymbol + uint32(len(k.symbols)) - 1
}

// SymbolID is the BTF id by which programs name a kernel function (with call) or variable. Symbols that exist here, but not
// in vmlinux's BTF, have ids too, which only this Kernel understands; 0 means that there is no such symbol.
func (k *Kernel) SymbolID(name string, function bool) uint32 {
	if id := k.btfID(name, function); id != 0 {
		return id
	}
	if i := slices.Index(k.symbols, name); i >= 0 {
		return firstSymbol + uint32(i)
	}
	known := function && k.kfunc(name) != nil
	if !function && k.opt.Ksym != nil {
		_, known = k.opt.Ksym(name)
	}
	if !known {
		return 0
	}
	return k.newSymbol(name)
}

func (k *Kernel) btfID(name string, function bool) uint32 {
	if k.opt.BTF == nil {
		return 0
	}
	types, err := k.opt.BTF.AnyTypesByName(name)
	if err != nil {
		return 0
	}
	for _, t := range types {
		switch t.(type) {
		case *btf.Func:
			if !function {
				continue
			}
		case *btf.Var:
			if function {
				continue
			}
		default:
			continue
		}
		if id, err := k.opt.BTF.TypeID(t); err == nil && t.TypeName() == name {
			return uint32(id)
		}
	}
	return 0
}

// isFunc tells what a symbol without BTF is: a function unless it is known as a variable.
func (k *Kernel) isFunc(name string) bool {
	if k.kfunc(name) == nil && k.opt.Ksym != nil {
		_, variable := k.opt.Ksym(name)
		return !variable
	}
	return true
}

// symbol is the counterpart of SymbolID.
func (k *Kernel) symbol(id uint32) (name string, function bool, err error) {
	if n := id - firstSymbol; id >= firstSymbol && n < uint32(len(k.symbols)) {
		name = k.symbols[n]
		return name, k.isFunc(name), nil
	}
	if k.opt.BTF != nil {
		t, err := k.opt.BTF.TypeByID(btf.TypeID(id))
		if err == nil {
			switch t := t.(type) {
			case *btf.Func:
				return t.Name, true, nil
			case *btf.Var:
				return t.Name, false, nil
			}
			return "", false, fmt.Errorf("type id %d is no function or variable", id)
		}
	}
	return "", false, fmt.Errorf("unknown type id %d", id)
}
