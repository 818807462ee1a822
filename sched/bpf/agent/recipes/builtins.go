package recipes

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
)

// fn is a function for scripts; unpack reads its arguments, which have names.
type fn func(unpack func(pairs ...any) error) (starlark.Value, error)

// builtins are the functions that scripts and expressions have beside the machine's.
func (x *runner) builtins() starlark.StringDict {
	d := starlark.StringDict{}
	add := func(name string, f fn) {
		d[name] = starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
			return f(func(pairs ...any) error { return starlark.UnpackArgs(b.Name(), args, kw, pairs...) })
		})
	}
	loaded := func(name string, f fn) {
		add(name, func(unpack func(...any) error) (starlark.Value, error) {
			if x.l == nil {
				return nil, errLoaded
			}
			return f(unpack)
		})
	}
	add("has", x.fnHas)
	add("enum", x.fnEnum)
	add("kfunc", x.fnKfunc)
	add("kernel_func", x.fnKernelFunc)
	add("sizeof", x.fnSizeof)
	add("elements", x.fnElements)
	add("notice", x.fnNotice)
	add("now", func(unpack func(...any) error) (starlark.Value, error) {
		return starlark.MakeInt64(int64(x.env.Machine.Now())), unpack()
	})
	add("busy", x.fnBusy)
	add("tasks", x.fnTasks)
	add("cgroups", x.fnCgroups)
	loaded("get", x.fnGet)
	loaded("set", x.fnSet)
	loaded("map_get", x.fnMapGet)
	loaded("map_get_cpus", x.fnMapGetCPUs)
	loaded("map_set", x.fnMapSet)
	loaded("map_delete", x.fnMapDelete)
	loaded("map_keys", x.fnMapKeys)
	loaded("map_inner", x.fnMapInner)
	loaded("new", x.fnNew)
	loaded("arena", x.fnArena)
	loaded("arena_write", x.fnArenaWrite)
	loaded("setattr", x.fnSetattr)
	d["run"] = starlark.NewBuiltin("run", x.fnRun)
	loaded("every", x.fnEvery)
	loaded("after", x.fnAfter)
	return d
}

func (x *runner) fnHas(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("name", &name); err != nil {
		return nil, err
	}
	return starlark.Bool(x.has(name)), nil
}

func (x *runner) fnEnum(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("name", &name); err != nil {
		return nil, err
	}
	n, ok := x.env.Kernel.EnumValue(name)
	if !ok {
		return nil, fmt.Errorf("enum: the kernel has no enumerator %q", name)
	}
	return fromGo(n), nil
}

// fnKfunc tells whether the kernel has a kernel function.
func (x *runner) fnKfunc(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("name", &name); err != nil {
		return nil, err
	}
	for _, k := range x.env.Kernel.Kfuncs() {
		if k.Name == name {
			return starlark.True, nil
		}
	}
	return starlark.False, nil
}

// fnKernelFunc tells whether the kernel has a function that programs can be attached to.
func (x *runner) fnKernelFunc(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("name", &name); err != nil {
		return nil, err
	}
	var f *btf.Func
	return starlark.Bool(x.env.Kernel.BTF().TypeByName(name, &f) == nil), nil
}

// typeOf is a type of the object, before and after it was loaded.
func (x *runner) typeOf(name string) (btf.Type, error) {
	if x.l != nil {
		return x.l.Type(name)
	}
	return agent.TypeNamed(x.o, name)
}

func (x *runner) fnSizeof(unpack func(...any) error) (starlark.Value, error) {
	var name string
	var otherwise starlark.Value // for a type that the object does not have
	if err := unpack("type", &name, "otherwise?", &otherwise); err != nil {
		return nil, err
	}
	t, err := x.typeOf(name)
	if err != nil && otherwise != nil {
		return otherwise, nil
	}
	if err != nil {
		return nil, err
	}
	n, err := btf.Sizeof(t)
	return starlark.MakeInt(n), err
}

func (x *runner) fnElements(unpack func(...any) error) (starlark.Value, error) {
	var path string
	if err := unpack("path", &path); err != nil {
		return nil, err
	}
	var t btf.Type
	var err error
	if x.l != nil {
		var c agent.Cell
		c, err = x.l.Var(path)
		t = c.Type
	} else {
		t, err = agent.TypeOf(x.o, path)
	}
	if err != nil {
		return nil, err
	}
	a, ok := btf.UnderlyingType(t).(*btf.Array)
	if !ok {
		return nil, fmt.Errorf("elements: %s is %s, no array", path, elf.TypeName(t))
	}
	return starlark.MakeInt(int(a.Nelems)), nil
}

func (x *runner) fnNotice(unpack func(...any) error) (starlark.Value, error) {
	var text string
	if err := unpack("text", &text); err != nil {
		return nil, err
	}
	x.env.Notice(x.r.Name + ": " + text)
	return starlark.None, nil
}

// fnBusy is the time that a CPU has not been idle, in ns.
func (x *runner) fnBusy(unpack func(...any) error) (starlark.Value, error) {
	var cpu int
	if err := unpack("cpu", &cpu); err != nil {
		return nil, err
	}
	if cpu < 0 || cpu >= x.env.Machine.NrCPUs() {
		return nil, fmt.Errorf("busy: CPU %d of %d", cpu, x.env.Machine.NrCPUs())
	}
	return starlark.MakeInt64(int64(x.env.Machine.BusyTime(sim.CPU(cpu)))), nil
}

func (x *runner) fnTasks(unpack func(...any) error) (starlark.Value, error) {
	if err := unpack(); err != nil {
		return nil, err
	}
	m := x.env.Machine
	var out []starlark.Value
	m.Tasks(func(t *sim.Task) {
		if t.IsIdle() {
			return
		}
		out = append(out, object("task", starlark.StringDict{"pid": num(t.PID), "tgid": num(t.K.TGID()), "comm": starlark.String(t.Comm),
			"nice": starlark.MakeInt(t.Nice), "cgroup": starlark.String(t.Cgroup.Path()), "cpu": num(int32(t.CPU())),
			"kthread": starlark.Bool(t.IsKThread()), "cpu_time": starlark.MakeInt64(int64(m.CPUTime(t)))}))
	})
	return list(out), nil
}

func (x *runner) fnCgroups(unpack func(...any) error) (starlark.Value, error) {
	if err := unpack(); err != nil {
		return nil, err
	}
	m := x.env.Machine
	var out []starlark.Value
	for c := m.Root(); c != nil; c = c.NextPre(m.Root()) {
		if !c.Online() {
			continue
		}
		parent := uint64(0)
		if c.Parent != nil {
			parent = c.Parent.ID
		}
		var cpus []int32
		for cpu := range m.NrCPUs() {
			if e := c.EffectiveCPUs(); cpu/64 < len(e) && e[cpu/64]>>(cpu%64)&1 != 0 {
				cpus = append(cpus, int32(cpu))
			}
		}
		out = append(out, object("cgroup", starlark.StringDict{"id": fromGo(c.ID), "path": starlark.String(c.Path()), "name": starlark.String(c.Name),
			"parent": fromGo(parent), "level": num(c.K.Level()), "weight": starlark.MakeInt(int(c.Weight)), "nr_tasks": starlark.MakeInt(c.NrTasks()),
			"cpus": ints(cpus)}))
	}
	return list(out), nil
}

func (x *runner) fnGet(unpack func(...any) error) (starlark.Value, error) {
	var path string
	if err := unpack("path", &path); err != nil {
		return nil, err
	}
	c, err := x.l.Var(path)
	if err != nil {
		return nil, err
	}
	return x.value(c, path)
}

func (x *runner) fnSet(unpack func(...any) error) (starlark.Value, error) {
	var path string
	var v starlark.Value
	if err := unpack("path", &path, "value", &v); err != nil {
		return nil, err
	}
	g, err := toGo(v)
	if err != nil {
		return nil, err
	}
	return starlark.None, x.setVar(path, g)
}

// mapAndKey unpacks what most functions of maps begin with.
func (x *runner) mapAndKey(unpack func(...any) error, more ...any) (*agent.Map, any, error) {
	var name string
	var key starlark.Value
	if err := unpack(append([]any{"map", &name, "key", &key}, more...)...); err != nil {
		return nil, nil, err
	}
	m, err := x.l.Map(name)
	if err != nil {
		return nil, nil, err
	}
	k, err := toGo(key)
	return m, k, err
}

// fnMapGet is a copy of the value of a key, None if there is none.
func (x *runner) fnMapGet(unpack func(...any) error) (starlark.Value, error) {
	m, key, err := x.mapAndKey(unpack)
	if err != nil {
		return nil, err
	}
	c, err := m.Lookup(key)
	if errors.Is(err, abi.ENOENT) {
		return starlark.None, nil
	}
	if err != nil {
		return nil, err
	}
	return x.value(m.CPUs(c)[0], "value")
}

// fnMapGetCPUs is a list of copies, one for each CPU.
func (x *runner) fnMapGetCPUs(unpack func(...any) error) (starlark.Value, error) {
	m, key, err := x.mapAndKey(unpack)
	if err != nil {
		return nil, err
	}
	c, err := m.Lookup(key)
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, e := range m.CPUs(c) {
		v, err := x.value(e, "value")
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return list(out), nil
}

func (x *runner) fnMapSet(unpack func(...any) error) (starlark.Value, error) {
	var v starlark.Value
	m, key, err := x.mapAndKey(unpack, "value", &v)
	if err != nil {
		return nil, err
	}
	value, err := raw(v)
	if err != nil {
		return nil, err
	}
	return starlark.None, m.Update(key, value)
}

// raw is toGo, but what came from a map or out of new() goes back byte by byte.
func raw(v starlark.Value) (any, error) {
	switch v := v.(type) {
	case *cellValue:
		return v.c.B, nil
	case *starlark.List:
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = raw(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return toGo(v)
}

func (x *runner) fnMapDelete(unpack func(...any) error) (starlark.Value, error) {
	m, key, err := x.mapAndKey(unpack)
	if err != nil {
		return nil, err
	}
	if err := m.Delete(key); errors.Is(err, abi.ENOENT) {
		return starlark.False, nil
	} else if err != nil {
		return nil, err
	}
	return starlark.True, nil
}

func (x *runner) fnMapKeys(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("map", &name); err != nil {
		return nil, err
	}
	m, err := x.l.Map(name)
	if err != nil {
		return nil, err
	}
	keys, err := m.Keys()
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, k := range keys {
		v, err := x.value(k, "key")
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return list(out), nil
}

func (x *runner) fnMapInner(unpack func(...any) error) (starlark.Value, error) {
	entries := 0
	m, key, err := x.mapAndKey(unpack, "entries?", &entries)
	if err != nil {
		return nil, err
	}
	return starlark.None, m.PutInner(key, uint32(entries))
}

// fnNew is a zero value of a type.
func (x *runner) fnNew(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("type", &name); err != nil {
		return nil, err
	}
	t, err := x.typeOf(name)
	if err != nil {
		return nil, err
	}
	c, err := agent.NewCell(t)
	if err != nil {
		return nil, err
	}
	return &cellValue{c, name, x}, nil
}

// fnSetattr sets a member by its name.
func (x *runner) fnSetattr(unpack func(...any) error) (starlark.Value, error) {
	var o starlark.HasSetField
	var name string
	var v starlark.Value
	if err := unpack("value", &o, "name", &name, "to", &v); err != nil {
		return nil, err
	}
	return starlark.None, o.SetField(name, v)
}

// fnArena is what lies at a user address of the arena.
func (x *runner) fnArena(unpack func(...any) error) (starlark.Value, error) {
	var addr starlark.Int
	var name string
	if err := unpack("addr", &addr, "type", &name); err != nil {
		return nil, err
	}
	a, ok := addr.Uint64()
	if !ok {
		return nil, fmt.Errorf("arena: address %s", addr)
	}
	t, err := x.typeOf(name)
	if err != nil {
		return nil, err
	}
	c, err := x.l.Arena(a, t)
	if err != nil {
		return nil, err
	}
	return x.value(c, name)
}

// fnArenaWrite writes 64-bit words to a user address of the arena.
func (x *runner) fnArenaWrite(unpack func(...any) error) (starlark.Value, error) {
	var addr starlark.Int
	var words *starlark.List
	if err := unpack("addr", &addr, "words", &words); err != nil {
		return nil, err
	}
	a, ok := addr.Uint64()
	if !ok {
		return nil, fmt.Errorf("arena_write: address %s", addr)
	}
	var b []byte
	for i := range words.Len() {
		w, ok := words.Index(i).(starlark.Int)
		u, fits := uint64(0), false
		if ok {
			u, fits = w.Uint64()
		}
		if !fits {
			return nil, fmt.Errorf("arena_write: word %d is %s", i, words.Index(i))
		}
		b = binary.LittleEndian.AppendUint64(b, u)
	}
	return starlark.None, x.l.WriteArena(a, b)
}

// fnRun runs a SYSCALL program with the members of its argument by name, and returns a struct of "ret" and "args".
func (x *runner) fnRun(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if x.l == nil {
		return nil, errLoaded
	}
	name := ""
	if len(args) != 0 {
		name, _ = starlark.AsString(args[0])
	}
	if name == "" || len(args) > 2 {
		return nil, errors.New("run: expected the name of a program, and its argument as a value or by names")
	}
	var arg any
	if len(args) == 2 {
		var err error
		if arg, err = raw(args[1]); err != nil {
			return nil, err
		}
	} else if len(kw) > 0 {
		members := map[string]any{}
		for _, p := range kw {
			v, err := toGo(p[1])
			if err != nil {
				return nil, err
			}
			members[string(p[0].(starlark.String))] = v
		}
		arg = members
	}
	r0, c, err := x.runProg(name, arg)
	if err != nil {
		return nil, err
	}
	out := starlark.StringDict{"ret": starlark.MakeInt(int(r0)), "args": starlark.None}
	if c.Type != nil && len(c.B) > 0 {
		out["args"] = &cellValue{c, name, x}
	}
	return object("result", out), nil
}

func (x *runner) fnEvery(unpack func(...any) error) (starlark.Value, error) {
	var period int64
	var f starlark.Callable
	if err := unpack("period", &period, "f", &f); err != nil {
		return nil, err
	}
	if period <= 0 {
		return nil, fmt.Errorf("every: a period of %d ns", period)
	}
	x.l.Every(0, sim.Duration(period), func(sim.Time) error { _, err := x.callValue(f); return err })
	return starlark.None, nil
}

func (x *runner) fnAfter(unpack func(...any) error) (starlark.Value, error) {
	var d int64
	var f starlark.Callable
	cpu := 0
	if err := unpack("delay", &d, "f", &f, "cpu?", &cpu); err != nil {
		return nil, err
	}
	if d < 0 || cpu < 0 || cpu >= x.env.Machine.NrCPUs() {
		return nil, fmt.Errorf("after: %d ns on CPU %d", d, cpu)
	}
	x.l.After(sim.CPU(cpu), sim.Duration(d), func(sim.Time) error { _, err := x.callValue(f); return err })
	return starlark.None, nil
}
