package recipes

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/sched/bpf/agent"
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
	// wrote counts what a function of the script writes, by map or variable, in the order of the first time. Only for log.
	wrote []count
}

type count struct {
	what string
	n    int
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

// note counts something that a script writes; path is a map with "map " before it, or what leads to a part of a value. Copies,
// which are no variables, do not count.
func (x *runner) note(path string) {
	if x.log == nil {
		return
	}
	if i := strings.IndexAny(path, ".["); i > 0 {
		path = path[:i]
	}
	if !strings.HasPrefix(path, "map ") && (x.l == nil || !x.l.Has(path)) {
		return
	}
	for i := range x.wrote {
		if x.wrote[i].what == path {
			x.wrote[i].n++
			return
		}
	}
	x.wrote = append(x.wrote, count{path, 1})
}

// tellCall logs what a function wrote.
func (x *runner) tellCall(name string) {
	if x.log == nil {
		return
	}
	var list []string
	for _, c := range x.wrote {
		list = append(list, fmt.Sprintf("%s (%d)", c.what, c.n))
	}
	if x.wrote = nil; list != nil {
		x.logf("call %s(): writes %s", name, strings.Join(list, ", "))
	} else {
		x.logf("call %s()", name)
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
	return v, n.at(scriptError(named(err, env)))
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

// Errors of functions that need a loaded object, or one at all.
var (
	errLoaded   = errors.New("the object is not loaded yet")
	errNoObject = errors.New("there is no object to ask")
)
