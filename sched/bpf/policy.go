package bpf

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/loader"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
)

var (
	_ sched.Policy   = (*Policy)(nil)
	_ sched.Attacher = (*Policy)(nil)
)

// Options say how to load an object. Kernel and Mem are required.
type Options struct {
	Kernel *kernels.Kernel
	// Mem is the address space in which the machine's kernel objects lie.
	Mem    *mem.Space
	Engine vm.Engine
	// Budget is the number of instructions of one invocation; 0 means the engine's default.
	Budget uint64
	// Globals are values of global variables by name, as a loader would set them before loading. They win over what the
	// agent knows of the scheduler.
	Globals map[string]any
	// Table is the name of the struct_ops table that is the scheduler; "" is right where the object has one.
	Table string
	// Agent is the scheduler's user-space half; nil for one that is not known.
	Agent Agent
	// Members are set in the table before it is loaded. They win over the agent's.
	Members []Member
	// Cgroup, a path, makes the scheduler a sub-scheduler of that cgroup, which must be there when it is opened.
	Cgroup string
	// Checked: programs run with all checks at run time, also those that verification has shown to be needless; and programs
	// run of which the verifier cannot say whether they are safe.
	Checked bool
	// NoVerify: programs are not verified, and run with all checks at run time.
	NoVerify bool
	// Permissions say when it is asked whether a callback may call a kernel function.
	Permissions kfuncs.Permissions
	// Print takes the output of bpf_printk and of the policy's other messages; nil drops it.
	Print func(at sim.Time, cpu sim.CPU, line string)
	// Notice takes remarks about the load: variables that the agent set, programs that are loaded but never run.
	Notice func(text string)
}

// Policy is a scheduler from an object file.
type Policy struct {
	opt Options
	obj *elf.Object // nil once it was opened, and so are its types
	tbl *elf.StructOps
	// file is what messages call the object, name the scheduler's.
	file, name string

	env    sched.Env
	kernel *sys.Kernel    // nil once closed
	loaded *loader.Object // what of the object lives there
	bound  *binding       // the registered table, nil while there is none
	table  *ops.Table     // what Open has returned
	host   *host
	args   args
	costs  sim.Costs

	rules *kfuncs.Rules // while programs are loaded

	user     *Loaded         // the object as the agent sees it, nil without one
	agentErr error           // why the agent cannot go on
	attached map[string]bool // tracing programs that have a place in the machine
	onReg    []func()        // run when a table is registered
	events   perfEvent       // what programs at tracepoints and kprobes are passed
	seq      seqFile         // what iterators write

	unverified bool // a program that the verifier cannot judge was let through

	fault    string // why the last callback could not go on
	paidInsn uint64 // instructions and calls whose cost was charged
	paidCall uint64
}

// maxObject is how long an object may be. Real ones, with all their debug information, have a few MB.
const maxObject = 64 << 20

// New reads the object file at path. An error of the file system is returned as it is; any other error says why the
// object cannot be used.
func New(path string, o Options) (*Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p, err := open(path, f, o)
	if e := f.Close(); err == nil && e != nil {
		return nil, e
	}
	return p, err
}

// open reads the parts of a file that matter. What is no file of its own, but a pipe, is read whole.
func open(path string, f *os.File, o Options) (*Policy, error) {
	name := filepath.Base(path)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		if info.Size() > maxObject {
			return nil, tooLong(name)
		}
		return read(name, f, o)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxObject+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxObject:
		return nil, tooLong(name)
	}
	return Read(name, data, o)
}

func tooLong(name string) error {
	return fmt.Errorf("%s: more than %d bytes, which no object has", name, maxObject)
}

// Read reads an object from memory; name is how messages call it.
func Read(name string, data []byte, o Options) (*Policy, error) {
	return read(name, bytes.NewReader(data), o)
}

func read(name string, r io.ReaderAt, o Options) (*Policy, error) {
	p := &Policy{opt: o} // before what only reading needs
	var err error
	if p.obj, err = elf.Read(name, r); err != nil {
		return nil, err
	}
	p.file = p.obj.Name
	if p.tbl, err = scheduler(p.obj, o.Table); err != nil {
		return nil, err
	}
	if err := p.shadows(o.Members); err != nil {
		return nil, err
	}
	p.name = p.tableName()
	return p, nil
}

// Name is the name in the object's ops table, or the file's name before ".bpf.o".
func (p *Policy) Name() string { return p.name }

func (p *Policy) tableName() string {
	for _, m := range p.tbl.Members {
		if m.Name == "name" && !m.Func {
			if name := cString(m.Bytes); name != "" {
				return name
			}
		}
	}
	return strings.TrimSuffix(strings.TrimSuffix(p.file, ".o"), ".bpf")
}

// Open links the object, checks its permissions, loads its programs and returns the table. It follows what bpf(2) does
// from BPF_PROG_LOAD to the registration of the struct_ops map.
//
// The object is forgotten when that is done, so that a policy can be opened once.
func (p *Policy) Open(e sched.Env) (*ops.Table, error) {
	if p.obj == nil {
		return nil, fmt.Errorf("%s: has been opened already", p.file)
	}
	p.env, p.costs = e, e.Machine.Costs()
	sub, err := p.place()
	if err != nil {
		return nil, err
	}
	edit, err := p.prepare()
	if err != nil {
		return nil, err
	}
	if err := p.leaveOut(); err != nil {
		return nil, err
	}
	globals := maps.Clone(sub)
	if globals == nil {
		globals = map[string]any{}
	}
	for name, v := range p.opt.Globals {
		if globals[name], err = agent.AdaptVar(p.opt.Kernel, p.obj, name, v); err != nil {
			return nil, err
		}
	}
	// What stays for as long as the scheduler is made before what only loading needs, and not in its midst.
	p.host = newHost(p)
	functions := &kfuncs.Host{Machine: e.Machine, Kernel: e.Kernel, Mem: p.opt.Mem, Print: p.host.Printk, Layout: p.opt.Kernel,
		Permissions: p.opt.Permissions}
	linked, err := link.Link(p.obj, kernelTarget{p.opt.Kernel, e.Machine.HZ()}, link.Options{Globals: globals, FillEnums: !edit.NoEnums})
	if err != nil {
		return nil, p.elsewhere(err)
	}
	for _, w := range linked.Warnings {
		p.notice(w)
	}
	if edit.Unknown {
		p.unknown(linked)
	}
	if err := precheck(linked); err != nil {
		return nil, err
	}
	ksyms := &ksyms{m: e.Machine, mem: p.opt.Mem, kernel: p.opt.Kernel}
	p.kernel, err = sys.New(sys.Options{
		Ksym:      ksyms.address,
		PerCPU:    ksyms.perCPU,
		Mem:       p.opt.Mem,
		Host:      p.host,
		Functions: func() []abi.Kfunc { return kfuncs.All(functions) },
		DropKptr:  functions.DropKptr,
		BTF:       p.opt.Kernel.BTF(),
		StructOps: p.structOps(),
		Verify:    p.verify(),
		Attach:    p.attachment(),
		Checked:   p.opt.Checked,
		Unjudged:  p.unjudged,
		Idle:      p.idle,
		Trace:     p.trace,
		Iters:     p.iters(),
		Sys:       helpers.Sys{Seq: p.seqWrite},
		Engine:    p.opt.Engine,
		Budget:    p.opt.Budget,
		HZ:        e.Machine.HZ(),
		Maps:      loader.Room(linked),
	})
	if err != nil {
		return nil, err
	}
	if err := p.args.init(p.opt.Mem, p.opt.Kernel); err != nil {
		return nil, err
	}
	if err := p.load(linked, edit); err != nil {
		p.Close() // of programs that never ran: the error that matters is err
		return nil, err
	}
	ksyms.notices(linked.Name, p.notice)
	p.obj, p.tbl, p.rules = nil, nil, nil
	p.loaded.Forget()
	e.Machine.OnTaskFree(func(t *sim.Task) {
		if p.kernel != nil {
			p.kernel.DropOwner(t.K.Addr)
		}
	})
	e.Machine.OnCgroupFree(func(c *sim.Cgroup) {
		if p.kernel != nil {
			p.kernel.DropOwner(c.K.Addr)
		}
	})
	p.table = p.bind(p.bound)
	return p.table, nil
}

// load takes the object through bpf(): as a process that loads it, and registers its table.
func (p *Policy) load(linked *link.Object, edit Edit) error {
	var memory sys.Buffers
	var err error
	p.loaded, err = loader.Load(p.kernel.NewProcess(&memory), &memory, linked, loader.Options{})
	if err != nil {
		return err
	}
	// The kernel has the code now: what follows needs to know what programs there are.
	for _, f := range p.obj.Funcs {
		f.Code, f.Relocs, f.Core, f.Lines = nil, nil, nil, nil
	}
	for _, lp := range linked.Programs {
		*lp = lp.Brief()
		lp.Code = nil
	}
	if err := p.agentLoaded(edit); err != nil {
		return err
	}
	if err := p.attachTraces(linked); err != nil {
		return err
	}
	if err := p.loaded.Attach(p.tbl.Name); err != nil {
		return err
	}
	if p.bound == nil {
		return fmt.Errorf("%s: the table %s was not registered", linked.Name, p.tbl.Name)
	}
	p.others(linked, edit)
	if err := p.kernel.Compile(); err != nil {
		return fmt.Errorf("%s: %w", linked.Name, err)
	}
	return nil
}

// Close frees the programs. The address space stays.
func (p *Policy) Close() error {
	if p.kernel == nil {
		return nil
	}
	k := p.kernel
	p.kernel, p.loaded = nil, nil
	if p.table != nil {
		p.env.Kernel.Unregister(p.table)
	}
	return k.Close()
}

// Insns and Calls are the BPF instructions executed and the helpers and kernel functions called so far.
func (p *Policy) Insns() uint64 { return p.kernel.Insns() }

// Calls is the number of helpers and kernel functions called so far.
func (p *Policy) Calls() uint64 { return p.kernel.Calls() }

// Global returns the bytes of a global variable, which alias the program's memory.
func (p *Policy) Global(name string) ([]byte, error) { return p.loaded.Global(name) }

func (p *Policy) notice(text string) {
	if p.opt.Notice != nil {
		p.opt.Notice(text)
	}
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

var _ io.Closer = (*Policy)(nil)
