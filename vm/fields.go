package vm

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/objects"
)

// specialFields finds the special fields of a map's value, or of the variables of a data section. Where the kernel refuses
// the type, libbpf creates the map without it, so that nothing in it is special.
func specialFields(m *link.Map) []maps.Field {
	var places []maps.FieldPlace
	if m.Section != "" {
		for _, v := range m.Vars {
			if v.Type != nil {
				places = append(places, maps.FieldPlace{Type: v.Type, Off: v.Off})
			}
		}
	} else if m.Value != nil {
		places = append(places, maps.FieldPlace{Type: m.Value})
	}
	fields, err := maps.FindFields(false, places...)
	if err != nil {
		return nil
	}
	return fields
}

// layout finds what an object of a type of the programs' BTF consists of, for bpf_obj_new.
func (s *Set) layout(id uint64) (*objects.Layout, error) {
	if l := s.layouts[id]; l != nil {
		return l, nil
	}
	types := s.obj.BTF
	if s.opt.Types != nil {
		types = s.opt.Types()
	}
	if types == nil || id > 1<<31 {
		return nil, fmt.Errorf("type %d: the programs have no such type", id)
	}
	t, err := types.TypeByID(btf.TypeID(id))
	if err != nil {
		return nil, fmt.Errorf("type %d: the programs have no such type", id)
	}
	st, ok := btf.UnderlyingType(t).(*btf.Struct)
	if !ok {
		return nil, fmt.Errorf("type %d: %s is no struct", id, btf.UnderlyingType(t).TypeName())
	}
	fields, err := maps.FindFields(true, maps.FieldPlace{Type: st})
	if err != nil || st.Size == 0 {
		return nil, fmt.Errorf("type %d: struct %s cannot be allocated", id, st.Name)
	}
	l := &objects.Layout{Size: uint64(st.Size), Fields: fields}
	s.layouts[id] = l
	return l, nil
}
