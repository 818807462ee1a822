package recipes

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
)

// runner does what a recipe says with one object.
type runner struct {
	r   *Recipe
	env agent.Env
	o   *elf.Object   // while it is being prepared
	l   *agent.Loaded // from Loaded on
	// log takes a line for each thing that is done; nil for none.
	log func(line string)

	thread *starlark.Thread
	base   starlark.StringDict // what expressions see
	err    error
}

func newRunner(r *Recipe, e agent.Env, o *elf.Object, log func(string)) (*runner, error) {
	x := &runner{r: r, env: e, o: o, log: log}
	x.thread = &starlark.Thread{Name: r.Name, Print: func(_ *starlark.Thread, msg string) { e.Notice(r.Name + ": " + msg) }}
	x.base = maps.Clone(machine(e.Machine.Topo(), e.Machine.HZ()))
	maps.Copy(x.base, x.builtins())
	p, err := r.program()
	if err != nil || p == nil {
		return x, err
	}
	globals, err := x.counted(func() (starlark.StringDict, error) { return p.Init(x.thread, x.base) })
	if err != nil {
		return nil, scriptError(err)
	}
	for name, v := range globals {
		if x.base[name] != nil {
			return nil, fmt.Errorf("%s: %s is the name of something built in", r.scriptFile, name)
		}
		x.base[name] = v
	}
	return x, nil
}

// counted runs something of Starlark that may take maxSteps.
func (x *runner) counted(f func() (starlark.StringDict, error)) (starlark.StringDict, error) {
	x.thread.SetMaxExecutionSteps(x.thread.ExecutionSteps() + maxSteps)
	return f()
}

func (x *runner) logf(format string, args ...any) {
	if x.log != nil {
		x.log(fmt.Sprintf(format, args...))
	}
}

// evalExpr evaluates an expression.
func (x *runner) evalExpr(n *node, expr string, env starlark.StringDict) (starlark.Value, error) {
	var v starlark.Value
	_, err := x.counted(func() (starlark.StringDict, error) {
		var err error
		v, err = starlark.EvalOptions(fileOptions(), x.thread, n.file, position(n.line, expr), env)
		return nil, err
	})
	return v, n.at(scriptError(err))
}

// eval is the value of a node for Go.
func (x *runner) eval(n *node, env starlark.StringDict) (any, error) {
	switch n.kind {
	case 's':
		expr, ok := n.expr()
		if !ok {
			return n.text, nil
		}
		v, err := x.evalExpr(n, expr, env)
		if err != nil {
			return nil, err
		}
		g, err := toGo(v)
		return g, n.at(err)
	case 'n':
		return n.number()
	case 'b':
		return n.yes, nil
	case 'l':
		out := make([]any, 0, len(n.list))
		for i := range n.list {
			v, err := x.eval(&n.list[i], env)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case 'o':
		out := map[string]any{}
		for i := range n.members {
			v, err := x.eval(&n.members[i].node, env)
			if err != nil {
				return nil, err
			}
			out[n.members[i].key] = v
		}
		return out, nil
	}
	return nil, nil
}

// evalUint is eval for a number.
func (x *runner) evalUint(n *node, what string) (uint32, error) {
	v, err := x.eval(n, x.base)
	if err != nil {
		return 0, err
	}
	i, ok := v.(int64)
	if !ok || i < 0 || i >= 1<<32 {
		return 0, n.errorf("%s: %v is no number of 32 bits", what, v)
	}
	return uint32(i), nil
}

// evalBool is eval for a condition.
func (x *runner) evalBool(n *node, expr string, env starlark.StringDict) (bool, error) {
	v, err := x.evalExpr(n, expr, env)
	if err != nil {
		return false, err
	}
	return bool(v.Truth()), nil
}

// optional tells keys that end with "?": what they name need not be there.
func optional(key string) (string, bool) { return strings.CutSuffix(key, "?") }

// prepare edits the object.
func (x *runner) prepare() (agent.Edit, error) {
	var e agent.Edit
	if x.r.enums {
		e.NoEnums = true
		for _, name := range x.r.Enums {
			n, ok := x.env.Kernel.EnumValue(name)
			if !ok {
				continue // another kernel; the variable stays 0
			}
			if x.has("__" + name) {
				e.Set = append(e.Set, agent.Global{Path: "__" + name, Value: n})
			}
		}
	}
	for _, f := range []struct {
		list []setting
		do   func(e *agent.Edit, key string, n *node) error
	}{{x.r.autoload, x.autoload}, {x.r.resize, x.resize}, {x.r.maps, x.mapSize}, {x.r.members, x.opsMember}, {x.r.set, x.global}} {
		for i := range f.list {
			s := &f.list[i]
			key, maybe := optional(s.key)
			if maybe && !x.has(key) {
				continue
			}
			if err := f.do(&e, key, &s.val); err != nil {
				return e, s.val.at(err)
			}
		}
	}
	return e, nil
}

// has tells whether the object has a variable, map, program or member of the table with that name.
func (x *runner) has(name string) bool {
	if x.o == nil {
		return x.l.Has(name)
	}
	return has(x.o, name)
}

func has(o *elf.Object, name string) bool {
	if _, err := agent.TypeOf(o, name); err == nil {
		return true
	}
	for _, m := range o.Maps {
		if m.Name == name {
			return true
		}
	}
	for _, p := range o.Programs {
		if p.Name == name {
			return true
		}
	}
	for _, t := range o.StructOps {
		for _, m := range t.Members {
			if m.Name == name {
				return true
			}
		}
	}
	return false
}

func (x *runner) autoload(e *agent.Edit, name string, n *node) error {
	v, err := x.eval(n, x.base)
	if err != nil || v == nil {
		return err
	}
	yes, ok := v.(bool)
	if !ok {
		return fmt.Errorf("autoload %s: %v is neither true nor false", name, v)
	}
	var names []string
	for _, p := range x.o.Programs {
		names = append(names, p.Name)
		if p.Name != name {
			continue
		}
		if p.AutoLoad != yes {
			p.AutoLoad = yes
			p.Section = strings.TrimPrefix(p.Section, "?")
			e.Done = append(e.Done, "program "+name)
			x.logf("program %s: autoload %t", name, yes)
		}
		return nil
	}
	return fmt.Errorf("%s: no program %q%s", x.o.Name, name, elf.DidYouMean(name, names))
}

func (x *runner) resize(e *agent.Edit, name string, n *node) error {
	count, err := x.evalUint(n, "resize "+name)
	if err != nil {
		return err
	}
	size, err := x.o.Resize(name, count)
	if err != nil {
		return err
	}
	e.Done = append(e.Done, name+"[]")
	x.logf("variable %s: %d elements, its section %d bytes", name, count, size)
	return nil
}

func (x *runner) mapSize(e *agent.Edit, name string, n *node) error {
	m, err := findMap(x.o, name)
	if err != nil {
		return err
	}
	if m.MaxEntries, err = x.evalUint(n, "map "+name); err == nil {
		e.Done = append(e.Done, "map "+name)
		x.logf("map %s: %d entries", name, m.MaxEntries)
	}
	return err
}

func findMap(o *elf.Object, name string) (*elf.Map, error) {
	var names []string
	for _, m := range o.Maps {
		if m.Section == "" {
			if m.Name == name {
				return m, nil
			}
			names = append(names, m.Name)
		}
	}
	return nil, fmt.Errorf("%s: no map %q%s", o.Name, name, elf.DidYouMean(name, names))
}

func (x *runner) opsMember(e *agent.Edit, name string, n *node) error {
	v, err := x.eval(n, x.base)
	if err != nil || v == nil {
		return err
	}
	text := fmt.Sprint(v)
	if list, ok := v.([]any); ok {
		words := make([]string, 0, len(list))
		for _, w := range list {
			// "FLAG?" is left out by kernels that do not have it.
			word, maybe := optional(fmt.Sprint(w))
			if _, known := x.env.Kernel.EnumValue("SCX_OPS_" + word); w != nil && (known || !maybe) {
				words = append(words, word)
			}
		}
		text = strings.Join(words, "|")
	}
	e.Members = append(e.Members, agent.Member{Name: name, Value: text})
	x.logf("ops.%s = %s", name, text)
	return nil
}

func (x *runner) global(e *agent.Edit, path string, n *node) error {
	v, err := x.eval(n, x.base)
	if err != nil || v == nil {
		return err
	}
	if v, err = agent.AdaptVar(x.env.Kernel, x.o, path, v); err != nil {
		return err
	}
	e.Set = append(e.Set, agent.Global{Path: path, Value: v})
	x.logf("%s = %s", path, short(v))
	return nil
}

// short is a value in one line.
func short(v any) string {
	s := ""
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for i, k := range sorted(v) {
			if i > 0 {
				s += ", "
			}
			s += k + ": " + short(v[k])
		}
		s = "{" + s + "}"
	case []any:
		for i, e := range v[:min(len(v), 16)] {
			if i > 0 {
				s += " "
			}
			s += short(e)
		}
		s = "[" + s + "]"
		if len(v) > 16 {
			s = fmt.Sprintf("%s ... (%d elements)", s[:len(s)-1], len(v)) + "]"
		}
	default:
		s = fmt.Sprint(v)
	}
	if len(s) > 160 {
		s = s[:160] + "..."
	}
	return s
}

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
		_, err := x.callFunc(s.name)
		return err
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

// errLoaded is of functions that need a loaded object.
var errLoaded = errors.New("the object is not loaded yet")
