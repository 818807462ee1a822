package recipes

import (
	"fmt"
	"maps"
	"strings"

	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
)

// steps does a list of steps.
func (x *runner) steps(list []step) error {
	for i := range list {
		s := &list[i]
		if err := x.step(s); err != nil {
			return s.at.at(err)
		}
	}
	return nil
}

func (x *runner) step(s *step) error {
	if s.over == "" {
		return x.once(s, x.base)
	}
	v, err := x.evalExpr(&s.at, s.over, x.base)
	if err != nil {
		return err
	}
	iter, ok := v.(starlark.Iterable)
	if !ok {
		return fmt.Errorf("for: %s is no list", v.Type())
	}
	it := iter.Iterate()
	defer it.Done()
	env := maps.Clone(x.base)
	var e starlark.Value
	for it.Next(&e) {
		values := []starlark.Value{e}
		if len(s.vars) > 1 {
			seq, ok := e.(starlark.Indexable)
			if !ok || seq.Len() != len(s.vars) {
				return fmt.Errorf("for: %s is not %d values", e, len(s.vars))
			}
			values = nil
			for i := range s.vars {
				values = append(values, seq.Index(i))
			}
		}
		for i, name := range s.vars {
			env[name] = values[i]
		}
		if err := x.once(s, env); err != nil {
			return err
		}
	}
	return nil
}

func (x *runner) once(s *step, env starlark.StringDict) error {
	if s.cond != "" {
		if yes, err := x.evalBool(&s.at, s.cond, env); err != nil || !yes {
			return err
		}
	}
	value := func(key string) (any, error) {
		n, ok := s.has[key]
		if !ok {
			return nil, nil
		}
		return x.eval(&n, env)
	}
	switch s.kind {
	case "run":
		return x.runStep(s, value)
	case "set":
		n := s.has["set"]
		for i := range n.members {
			key, maybe := optional(n.members[i].key)
			if maybe && !x.l.Has(key) {
				continue
			}
			v, err := x.eval(&n.members[i].node, env)
			if err == nil && v != nil {
				err = x.setVar(key, v)
			}
			if err != nil {
				return n.members[i].at(err)
			}
		}
	case "update":
		key, err := value("key")
		if err != nil {
			return err
		}
		v, err := value("value")
		if err != nil {
			return err
		}
		return x.update(s.name, key, v)
	case "inner":
		key, err := value("key")
		if err != nil {
			return err
		}
		entries, err := value("entries")
		if err != nil {
			return err
		}
		m, err := x.l.Map(s.name)
		if err != nil {
			return err
		}
		n, _ := entries.(int64)
		x.logf("map %s[%s] = an inner map", s.name, short(key))
		return m.PutInner(key, uint32(n))
	case "arena_lib":
		n := s.has["arena_lib"]
		t := n.find("task")
		if t == nil {
			return n.errorf(`arena_lib: "task", the type of a task's context, is missing`)
		}
		task, err := x.eval(t, env)
		if err != nil {
			return err
		}
		return x.arenaLib(task)
	case "call":
		x.wrote = nil
		if _, err := x.callFunc(s.name); err != nil {
			return err
		}
		x.tellCall(s.name)
	case "every":
		return x.every(s)
	}
	return nil
}

func (x *runner) runStep(s *step, value func(string) (any, error)) error {
	args, err := value("args")
	if err != nil {
		return err
	}
	allowed, err := value("result")
	if err != nil {
		return err
	}
	on, err := value("on")
	if err != nil {
		return err
	}
	do := func() error {
		r0, _, err := x.runProg(s.name, args)
		if err != nil {
			return err
		}
		if want, ok := allowed.(int64); ok && int64(r0) != want || allowed == nil && r0 < 0 {
			return fmt.Errorf("program %s returned %d", s.name, r0)
		}
		return nil
	}
	cpu, ok := on.(int64)
	if !ok {
		return do()
	}
	if cpu < 0 || int(cpu) >= x.env.Machine.NrCPUs() {
		return fmt.Errorf("on: CPU %d of %d", cpu, x.env.Machine.NrCPUs())
	}
	x.l.On(sim.CPU(cpu), func(sim.Time) error { return s.at.at(do()) })
	return nil
}

// runProg runs a SYSCALL program with arguments that may be texts.
func (x *runner) runProg(prog string, args any) (int32, agent.Cell, error) {
	t, err := x.l.ArgType(prog)
	if err != nil {
		return 0, agent.Cell{}, err
	}
	if t != nil && args != nil {
		if args, err = agent.Adapt(x.env.Kernel, t, "", args); err != nil {
			return 0, agent.Cell{}, fmt.Errorf("program %s: %w", prog, err)
		}
	}
	r0, c, err := x.l.Run(prog, args)
	if err == nil {
		x.logf("run %s(%s) = %d", prog, short(args), r0)
	}
	return r0, c, err
}

func (x *runner) setVar(path string, v any) error {
	c, err := x.l.Var(path)
	if err != nil {
		return err
	}
	if v, err = agent.Adapt(x.env.Kernel, c.Type, path[strings.LastIndexByte(path, '.')+1:], v); err == nil {
		err = c.Set(v)
	}
	if err != nil {
		return fmt.Errorf("variable %q: %w", path, err)
	}
	x.logf("%s = %s", path, short(v))
	return nil
}

func (x *runner) update(name string, key, v any) error {
	m, err := x.l.Map(name)
	if err != nil {
		return err
	}
	if t := m.Value(); t != nil && v != nil {
		if v, err = agent.Adapt(x.env.Kernel, t, "", v); err != nil {
			return fmt.Errorf("map %q: value: %w", name, err)
		}
	}
	x.logf("map %s[%s] = %s", name, short(key), short(v))
	return m.Update(key, v)
}

// callFunc calls a function of the script.
func (x *runner) callFunc(name string, args ...starlark.Value) (starlark.Value, error) {
	f, ok := x.base[name].(*starlark.Function)
	if !ok {
		return nil, fmt.Errorf("%q is no function of the script%s", name, elf.DidYouMean(name, sorted(x.base)))
	}
	return x.callValue(f, args...)
}

func (x *runner) callValue(f starlark.Callable, args ...starlark.Value) (v starlark.Value, err error) {
	_, err = x.counted(func() (starlark.StringDict, error) {
		v, err = starlark.Call(x.thread, f, args, nil)
		return nil, err
	})
	return v, scriptError(err)
}

func (x *runner) every(s *step) error {
	period, ok := agent.Duration(s.name)
	if !ok || period <= 0 {
		return fmt.Errorf("every: %q is no duration such as 100ms", s.name)
	}
	f := s.has["call"].text
	if _, ok := x.base[f].(*starlark.Function); !ok {
		return fmt.Errorf("%q is no function of the script%s", f, elf.DidYouMean(f, sorted(x.base)))
	}
	x.logf("every %s: %s()", s.name, f)
	x.l.Every(0, sim.Duration(period), func(sim.Time) error {
		_, err := x.callFunc(f)
		return err
	})
	return nil
}
