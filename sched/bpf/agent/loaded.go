package agent

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/loader"
	"github.com/schedsim/schedsim/vm/maps"
)

// Loaded is an object that is loaded, as its user-space half sees it. It may be used between events of the machine (in timers
// and behaviours of tasks), not from callbacks of the scheduler.
type Loaded struct {
	Env

	obj      *loader.Object
	host     Host
	sections []section
	maps     map[string]mapTypes
	args     map[string]btf.Type
	progs    []string
	types    *btf.Spec
	file     string
}

// Host is what the policy does for a Loaded.
type Host struct {
	// Run runs a SYSCALL program with a context.
	Run func(prog string, ctx []byte) (int32, error)
	// ReadIter reads an iterator over tasks.
	ReadIter func(prog string) ([]byte, error)
	// Live tells that the policy is neither closed nor out of charge.
	Live func() bool
	// Fail ends the run with an error.
	Fail func(err error)
}

// section are the variables of one data section, or of the arena.
type section struct {
	name   string // "" for the arena
	frozen bool
	vars   []elf.Var
}

type mapTypes struct {
	kind               maps.Type
	key, value         btf.Type // nil where only sizes are given
	keySize, valueSize uint32
}

// NewLoaded is for the policy, which owns the object.
func NewLoaded(e Env, o *elf.Object, l *loader.Object, h Host) *Loaded {
	out := &Loaded{Env: e, obj: l, host: h, maps: map[string]mapTypes{}, args: map[string]btf.Type{}, types: o.BTF, file: o.Name}
	for _, m := range o.Maps {
		if m.Section == "" {
			out.maps[m.Name] = mapTypes{maps.Type(m.Type), m.Key, m.Value, m.KeySize, m.ValueSize}
		} else if m.Section != ".kconfig" {
			out.sections = append(out.sections, section{m.Name, m.Frozen, m.Vars})
		}
	}
	if o.Arena != nil {
		out.sections = append(out.sections, section{"", false, o.Arena.Vars})
	}
	for _, p := range o.Programs {
		if p.Kind == elf.KindSyscall {
			out.progs = append(out.progs, p.Name)
			out.args[p.Name] = argType(o.Funcs[p.Func].Type)
		}
	}
	return out
}

// argType is the struct that a SYSCALL program's parameter points to, nil if it has none.
func argType(f *btf.Func) btf.Type {
	if f == nil {
		return nil
	}
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok || len(proto.Params) == 0 {
		return nil
	}
	p, ok := btf.UnderlyingType(proto.Params[0].Type).(*btf.Pointer)
	if !ok {
		return nil
	}
	switch t := btf.UnderlyingType(p.Target).(type) {
	case *btf.Struct, *btf.Union:
		return t
	}
	return nil
}

// Has tells whether there is a global variable with that name.
func (l *Loaded) Has(name string) bool {
	_, _, err := l.find(name)
	return err == nil
}

func (l *Loaded) find(path string) (section, elf.Var, error) {
	var in section
	var find elf.Finder
	for _, s := range l.sections {
		if find.In(s.vars, path) {
			in = s
		}
	}
	if find.Var.Name == "" {
		return in, elf.Var{}, fmt.Errorf("%s: variable %q: there is none%s", l.file, path, find.Hint(path))
	}
	v, err := find.Var.At(path)
	if err != nil {
		return in, elf.Var{}, fmt.Errorf("%s: variable %q: %w", l.file, path, err)
	}
	return in, v, nil
}

// Var is a global variable, or the part of it that a path leads to: "cpdom_ctxs[3].mask[0]". Its bytes are the programs' own.
func (l *Loaded) Var(path string) (Cell, error) {
	in, v, err := l.find(path)
	if err != nil {
		return Cell{}, err
	}
	if in.name == "" {
		a, err := l.obj.ArenaMap()
		if err != nil {
			return Cell{}, err
		}
		return Cell{Type: v.Type, B: a.Mem.Bytes(a.DataAddr()+uint64(v.Off), uint64(v.Size))}, nil
	}
	b, err := l.obj.Section(in.name)
	if err != nil {
		return Cell{}, err
	}
	if uint64(v.Off)+uint64(v.Size) > uint64(len(b)) {
		return Cell{}, fmt.Errorf("%s: variable %q: bytes %d+%d of section %s, which has %d", l.file, path, v.Off, v.Size, in.name, len(b))
	}
	return Cell{Type: v.Type, B: b[v.Off : v.Off+v.Size : v.Off+v.Size], ReadOnly: in.frozen}, nil
}

// Set changes a global variable, or a part of one.
func (l *Loaded) Set(path string, value any) error {
	c, err := l.Var(path)
	if err != nil {
		return err
	}
	if err := c.Set(value); err != nil {
		return fmt.Errorf("%s: variable %q: %w", l.file, path, err)
	}
	return nil
}

// Uint is the value of a number that is a global variable, or a part of one.
func (l *Loaded) Uint(path string) (uint64, error) {
	c, err := l.Var(path)
	if err != nil {
		return 0, err
	}
	return c.Uint(), nil
}

// Type is a struct, union, enum or typedef of the object by its name.
func (l *Loaded) Type(name string) (btf.Type, error) {
	if l.types != nil {
		for _, t := range []btf.Type{&btf.Struct{}, &btf.Union{}, &btf.Typedef{}, &btf.Enum{}, &btf.Int{}} {
			if found, err := typeNamed(l.types, name, t); err == nil {
				return found, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: no type %q in its BTF", l.file, name)
}

func typeNamed(s *btf.Spec, name string, like btf.Type) (btf.Type, error) {
	switch like.(type) {
	case *btf.Struct:
		var t *btf.Struct
		err := s.TypeByName(name, &t)
		return t, err
	case *btf.Union:
		var t *btf.Union
		err := s.TypeByName(name, &t)
		return t, err
	case *btf.Typedef:
		var t *btf.Typedef
		err := s.TypeByName(name, &t)
		return t, err
	case *btf.Enum:
		var t *btf.Enum
		err := s.TypeByName(name, &t)
		return t, err
	}
	var t *btf.Int
	err := s.TypeByName(name, &t)
	return t, err
}

// ArgType is the struct that a SYSCALL program takes, nil if it takes none or does not say.
func (l *Loaded) ArgType(prog string) (btf.Type, error) {
	t, ok := l.args[prog]
	if !ok {
		return nil, fmt.Errorf("%s: no SYSCALL program %q%s", l.file, prog, elf.DidYouMean(prog, l.progs))
	}
	return t, nil
}

// Run runs a SYSCALL program, as BPF_PROG_TEST_RUN does. Arg is nil, the bytes of its context, or the members of its struct
// by name. It returns the result and the context as the program left it. An error is a program that could not be run, or that
// faulted: its result, however negative, is none.
func (l *Loaded) Run(prog string, arg any) (int32, Cell, error) {
	t, err := l.ArgType(prog)
	if err != nil {
		return 0, Cell{}, err
	}
	c := Cell{Type: t}
	switch arg := arg.(type) {
	case nil:
	case []byte:
		c.B = append([]byte(nil), arg...)
	default:
		if t == nil {
			return 0, c, fmt.Errorf("%s: program %s: it does not say what it takes: give bytes", l.file, prog)
		}
		if c.B, err = elf.EncodeType(t, arg); err != nil {
			return 0, c, fmt.Errorf("%s: program %s: %w", l.file, prog, err)
		}
	}
	if !l.Live() {
		return 0, c, errors.New("the scheduler is gone")
	}
	r0, err := l.host.Run(prog, c.B)
	return r0, c, err
}

// ReadIter reads what a program of the section iter/task writes, to the end. An error that is an abi.Errno is that of read(2).
func (l *Loaded) ReadIter(prog string) ([]byte, error) {
	if !l.Live() {
		return nil, errors.New("the scheduler is gone")
	}
	return l.host.ReadIter(prog)
}

// Live tells that the object is loaded and its table, once it was attached, in charge.
func (l *Loaded) Live() bool { return l.host.Live() }

// Fail ends the run with an error: the user-space half cannot go on.
func (l *Loaded) Fail(err error) {
	if err != nil {
		l.host.Fail(err)
	}
}

// Spawn adds a task to the machine. It is no task of the workload: the run does not wait for its end.
func (l *Loaded) Spawn(spec sim.TaskSpec) (*sim.Task, error) { return l.Machine.Spawn(spec) }

// Every calls f each period of simulated time, first after one period, on a CPU, until the scheduler is gone or f fails, which
// ends the run.
func (l *Loaded) Every(cpu sim.CPU, period sim.Duration, f func(now sim.Time) error) {
	if period <= 0 {
		panic("BUG: a period of nothing")
	}
	t := &sim.Timer{}
	t.Fire = func(now sim.Time) {
		if !l.Live() {
			return
		}
		if err := f(now); err != nil {
			l.Fail(err)
			return
		}
		l.Machine.Arm(t, cpu, now.Add(period))
	}
	l.Machine.Arm(t, cpu, l.Machine.Now().Add(period))
}

// On calls f on a CPU, as soon as the machine runs: what programs do there happens there.
func (l *Loaded) On(cpu sim.CPU, f func(now sim.Time) error) { l.After(cpu, 0, f) }

// After calls f once on a CPU, after some simulated time.
func (l *Loaded) After(cpu sim.CPU, d sim.Duration, f func(now sim.Time) error) {
	t := &sim.Timer{Fire: func(now sim.Time) {
		if l.Live() {
			l.Fail(f(now))
		}
	}}
	l.Machine.Arm(t, cpu, l.Machine.Now().Add(d))
}

// TypeNamed is a type of an object by its name.
func TypeNamed(o *elf.Object, name string) (btf.Type, error) {
	return (&Loaded{types: o.BTF, file: o.Name}).Type(name)
}
