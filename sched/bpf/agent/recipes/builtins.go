package recipes

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
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
		return starlark.MakeInt64(int64(x.env.Machine.Uptime())), unpack()
	})
	add("busy", x.fnBusy)
	add("tasks", x.fnTasks)
	loaded("limit_idle", x.fnLimitIdle)
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
	if x.o == nil && x.l == nil {
		return nil, errNoObject
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
	switch {
	case x.l != nil:
		return x.l.Type(name)
	case x.o == nil:
		return nil, errNoObject
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
	switch {
	case x.l != nil:
		var c agent.Cell
		c, err = x.l.Var(path)
		t = c.Type
	case x.o == nil:
		err = errNoObject
	default:
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

// fnLimitIdle keeps a CPU out of idle states that take longer to leave, in ns; 0: there is no limit.
func (x *runner) fnLimitIdle(unpack func(...any) error) (starlark.Value, error) {
	var cpu int
	var d int64
	if err := unpack("cpu", &cpu, "ns", &d); err != nil {
		return nil, err
	}
	if cpu < 0 || cpu >= x.env.Machine.NrCPUs() || d < 0 {
		return nil, fmt.Errorf("limit_idle: %d ns on CPU %d of %d", d, cpu, x.env.Machine.NrCPUs())
	}
	x.env.Machine.LimitIdle(sim.CPU(cpu), sim.Duration(d))
	return starlark.None, nil
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
