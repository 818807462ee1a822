package recipes

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/vm/elf"
)

// cellValue is a struct or an array of the object in a script: members are attributes, elements are indexed, both can be set.
type cellValue struct {
	c    agent.Cell
	path string
	r    *runner
}

var (
	_ starlark.HasSetField = (*cellValue)(nil)
	_ starlark.HasSetIndex = (*cellValue)(nil)
	_ starlark.Iterable    = (*cellValue)(nil)
)

// value shows a cell to a script: numbers, bools and texts as such.
func (r *runner) value(c agent.Cell, path string) (starlark.Value, error) {
	switch t := btf.UnderlyingType(c.Type).(type) {
	case *btf.Struct, *btf.Union:
		return &cellValue{c, path, r}, nil
	case *btf.Array:
		if v, err := c.Get(); err == nil && isText(v) {
			return fromGo(v), nil
		}
		_ = t
		return &cellValue{c, path, r}, nil
	}
	if c.Type == nil {
		return starlark.Bytes(c.B), nil
	}
	v, err := c.Get()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return fromGo(v), nil
}

func isText(v any) bool { _, ok := v.(string); return ok }

// String is the place of the cell.
func (v *cellValue) String() string { return "<" + elf.TypeName(v.c.Type) + " " + v.path + ">" }

// Type is the name of the type for messages.
func (v *cellValue) Type() string { return elf.TypeName(v.c.Type) }

// Freeze does nothing: it is the object's memory.
func (v *cellValue) Freeze() {}

// Truth is true.
func (v *cellValue) Truth() starlark.Bool { return true }

// Hash refuses.
func (v *cellValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", v.Type()) }

// Attr is a member.
func (v *cellValue) Attr(name string) (starlark.Value, error) {
	c, err := v.c.At("." + name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.path, err)
	}
	return v.r.value(c, v.path+"."+name)
}

// AttrNames are the members.
func (v *cellValue) AttrNames() []string {
	t, ok := btf.UnderlyingType(v.c.Type).(*btf.Struct)
	if !ok {
		return nil
	}
	var names []string
	for _, m := range t.Members {
		if m.Name != "" {
			names = append(names, m.Name)
		}
	}
	return names
}

// SetField sets a member.
func (v *cellValue) SetField(name string, val starlark.Value) error {
	return v.set("."+name, name, val)
}

// SetIndex sets an element.
func (v *cellValue) SetIndex(i int, val starlark.Value) error {
	return v.set(fmt.Sprintf("[%d]", i), "", val)
}

func (v *cellValue) set(at, name string, val starlark.Value) error {
	c, err := v.c.At(at)
	if err != nil {
		return fmt.Errorf("%s: %w", v.path, err)
	}
	x, err := toGo(val)
	if err == nil {
		x, err = agent.Adapt(v.r.env.Kernel, c.Type, name, x)
	}
	if err == nil {
		err = c.Set(x)
	}
	if err != nil {
		return fmt.Errorf("%s%s: %w", v.path, at, err)
	}
	v.r.note(v.path)
	return nil
}

// Len is the number of elements.
func (v *cellValue) Len() int {
	t, ok := btf.UnderlyingType(v.c.Type).(*btf.Array)
	if !ok {
		return 0
	}
	size, err := btf.Sizeof(t.Type)
	if err != nil || size == 0 {
		return 0
	}
	return len(v.c.B) / size
}

// Index is an element.
func (v *cellValue) Index(i int) starlark.Value {
	at := fmt.Sprintf("[%d]", i)
	c, err := v.c.At(at)
	if err != nil {
		return starlark.None
	}
	x, err := v.r.value(c, v.path+at)
	if err != nil {
		return starlark.None
	}
	return x
}

// Iterate goes through the elements.
func (v *cellValue) Iterate() starlark.Iterator { return &cellIter{v, 0} }

type cellIter struct {
	v *cellValue
	i int
}

// Next is the next element.
func (it *cellIter) Next(p *starlark.Value) bool {
	if it.i >= it.v.Len() {
		return false
	}
	*p = it.v.Index(it.i)
	it.i++
	return true
}

// Done ends the iteration.
func (it *cellIter) Done() {}
