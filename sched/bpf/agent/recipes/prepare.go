package recipes

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/vm/elf"
)

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
	e.Members = append(e.Members, agent.Member{Name: name, Value: text, At: n.place()})
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
	e.Set = append(e.Set, agent.Global{Path: path, Value: v, At: n.place()})
	x.logf("%s = %s", path, short(v))
	return nil
}
