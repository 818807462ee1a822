package link

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// SetVar sets the initial value of a global variable, as elf.Object.SetVar does. Setting read-only data changes which
// instructions are live: constants are folded again.
func (o *Object) SetVar(name string, value any) error {
	frozen, err := o.setVar(name, value)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	if frozen {
		if err := o.Fold(); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	return nil
}

// Var finds a global variable, or the part of one that a path like "cfg.limit" or "table[3]" leads to, and the map that it
// lies in.
func (o *Object) Var(name string) (*Map, Var, error) {
	var in *Map
	var find elf.Finder
	for _, m := range o.Maps {
		if m.Section != ".kconfig" && find.In(m.Vars, name) {
			in = m
		}
	}
	if in == nil {
		return nil, Var{}, fmt.Errorf("variable %q: there is none%s", name, find.Hint(name))
	}
	v, err := find.Var.At(name)
	if err != nil {
		return nil, Var{}, fmt.Errorf("variable %q: %w", name, err)
	}
	return in, v, nil
}

func (o *Object) setVar(name string, value any) (frozen bool, err error) {
	m, v, err := o.Var(name)
	if err != nil {
		return false, err
	}
	b, err := v.Encode(value)
	if err != nil {
		return false, fmt.Errorf("variable %q: %w", name, err)
	}
	if end := uint64(v.Off) + uint64(len(b)); end <= uint64(len(m.Data)) {
		copy(m.Data[v.Off:], b)
	} else {
		m.Data = elf.Patch(m.Data, v.Off, b)
	}
	return m.Frozen, nil
}

// Resize changes the size of the data section that ends with the variable name, an array that takes what the size allows
// (bpf_map__set_value_size). Count is the new number of elements.
func (o *Object) Resize(name string, count uint32) error {
	m, v, err := o.Var(name)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	arr, ok := btf.UnderlyingType(v.Type).(*btf.Array)
	last := m.Vars[len(m.Vars)-1]
	switch {
	case !ok:
		return fmt.Errorf("%s: variable %q: %s is no array", o.Name, name, typeName(btf.UnderlyingType(v.Type)))
	case last.Name != v.Name || last.Off != v.Off:
		return fmt.Errorf("%s: variable %q: %q follows it in section %s; only the last variable of a section can grow", o.Name, name, last.Name, m.Section)
	}
	elem, err := btf.Sizeof(arr.Type)
	if err != nil {
		return fmt.Errorf("%s: variable %q: %w", o.Name, name, err)
	}
	size := uint64(v.Off) + uint64(count)*uint64(elem)
	if count == 0 || size > 1<<31 {
		return fmt.Errorf("%s: variable %q: %d elements of %d bytes", o.Name, name, count, elem)
	}
	grown := *arr
	grown.Nelems = count
	lv := &m.Vars[len(m.Vars)-1]
	lv.Size, lv.Type = count*uint32(elem), &grown
	m.ValueSize = uint32(size)
	if uint64(len(m.Data)) > size {
		m.Data = m.Data[:size]
	}
	if m.Frozen {
		if err := o.Fold(); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	return nil
}

// FillEnums sets every u64 variable __X in read-only data for which the kernel has an enumerator X to its value, as
// SCX_ENUM_INIT does before a scheduler is loaded, and returns their names.
func (o *Object) FillEnums() ([]string, error) {
	filled, err := o.fillEnums(nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	if len(filled) > 0 {
		if err := o.Fold(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	return filled, nil
}

func (o *Object) fillEnums(except map[string]any) ([]string, error) {
	var filled []string
	for _, m := range o.Maps {
		if !m.Frozen || m.Section == ".kconfig" {
			continue
		}
		copied := false
		for _, v := range m.Vars {
			x, ok := strings.CutPrefix(v.Name, "__")
			i, isInt := btf.UnderlyingType(v.Type).(*btf.Int)
			if !ok || !isInt || i.Size != 8 || v.Size != 8 {
				continue
			}
			if _, ok := except[v.Name]; ok {
				continue
			}
			n, ok := o.target.EnumValue(x)
			if !ok {
				continue
			}
			if !copied {
				m.Data, copied = elf.Patch(m.Data, m.ValueSize, nil), true
			}
			for k := range 8 {
				m.Data[v.Off+uint32(k)] = byte(n >> (8 * k))
			}
			filled = append(filled, v.Name)
		}
	}
	return filled, nil
}
