package vm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/objects"
)

const (
	maxFields = 11 // BTF_FIELDS_MAX
	maxDepth  = 32 // MAX_RESOLVE_DEPTH
)

// errFields is why btf_parse_fields refuses a value: too many special fields, or two of a kind that may occur once.
var errFields = errors.New("special fields")

// specialFields finds the special fields of a map's value, or of the variables of a data section. It follows
// btf_parse_fields (kernel/bpf/btf.c). Where the kernel refuses the type, libbpf creates the map without it, so that
// nothing in it is special.
func specialFields(m *link.Map) []maps.Field {
	w := fieldWalk{}
	var err error
	if m.Section != "" {
		for _, v := range m.Vars {
			if err == nil && v.Type != nil {
				err = w.find(v.Type, v.Off, 0)
			}
		}
	} else if m.Value != nil {
		err = w.find(m.Value, 0, 0)
	}
	if err != nil {
		return nil
	}
	slices.SortFunc(w.fields, func(a, b maps.Field) int { return int(a.Off) - int(b.Off) })
	return w.fields
}

type fieldWalk struct {
	fields []maps.Field
	unique [16]bool // by kind
	object bool     // it is an object of programs, which may have nodes
}

// managed are the structs that are special wherever they occur.
var managed = []struct {
	name   string
	kind   maps.FieldKind
	size   uint32
	unique bool
}{
	{"bpf_spin_lock", maps.SpinLock, 4, true},
	{"bpf_res_spin_lock", maps.ResSpinLock, 8, true},
	{"bpf_timer", maps.Timer, 16, true},
	{"bpf_wq", maps.Workqueue, 16, true},
	{"bpf_task_work", maps.TaskWork, 8, true},
	{"bpf_list_head", maps.ListHead, 16, false},
	{"bpf_rb_root", maps.RBRoot, 16, false},
	{"bpf_refcount", maps.Refcount, 4, true},
}

// nodes are those that are special in objects.
var nodes = []struct {
	name string
	kind maps.FieldKind
	size uint32
}{
	{"bpf_list_node", maps.ListNode, 24},
	{"bpf_rb_node", maps.RBNode, 32},
}

// kptrTags are the type tags of pointers that are special.
var kptrTags = map[string]maps.FieldKind{"kptr_untrusted": maps.KptrUnref, "kptr": maps.KptrRef, "percpu_kptr": maps.KptrPerCPU, "uptr": maps.Uptr}

func (w *fieldWalk) add(f maps.Field, unique bool) error {
	if len(w.fields) == maxFields || unique && w.unique[f.Kind] {
		return errFields
	}
	w.unique[f.Kind] = true
	w.fields = append(w.fields, f)
	return nil
}

// find adds the special fields of an object of type t at byte off.
func (w *fieldWalk) find(t btf.Type, off uint32, depth int) error {
	if depth > maxDepth {
		return errFields
	}
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		for _, s := range managed {
			if t.Name == s.name {
				return w.add(maps.Field{Kind: s.kind, Off: off, Size: s.size}, s.unique)
			}
		}
		for _, s := range nodes {
			if w.object && t.Name == s.name {
				return w.add(maps.Field{Kind: s.kind, Off: off, Size: s.size}, false)
			}
		}
		return w.members(t.Members, off, depth)
	case *btf.Union:
		return w.members(t.Members, off, depth)
	case *btf.Array:
		size, err := btf.Sizeof(t.Type)
		if err != nil {
			return nil // incomplete types hold nothing
		}
		probe := fieldWalk{object: w.object}
		if err := probe.find(t.Type, 0, depth+1); err == nil && len(probe.fields) == 0 {
			return nil // large arrays of plain data
		}
		for i := range t.Nelems {
			if err := w.find(t.Type, off+i*uint32(size), depth+1); err != nil {
				return err
			}
		}
	case *btf.Pointer:
		tag, ok := t.Target.(*btf.TypeTag)
		if !ok {
			return nil
		}
		if kind, ok := kptrTags[tag.Value]; ok {
			return w.add(maps.Field{Kind: kind, Off: off, Size: 8, Pointee: typeName(tag.Type)}, false)
		}
	}
	return nil
}

func (w *fieldWalk) members(list []btf.Member, off uint32, depth int) error {
	for _, m := range list {
		if m.BitfieldSize != 0 {
			continue
		}
		if err := w.find(m.Type, off+m.Offset.Bytes(), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func typeName(t btf.Type) string { return btf.UnderlyingType(t).TypeName() }

// layout finds what an object of a type of the programs' BTF consists of, for bpf_obj_new.
func (s *Set) layout(id uint64) (*objects.Layout, error) {
	if l := s.layouts[id]; l != nil {
		return l, nil
	}
	if s.obj.BTF == nil || id > 1<<31 {
		return nil, fmt.Errorf("type %d: the programs have no such type", id)
	}
	t, err := s.obj.BTF.TypeByID(btf.TypeID(id))
	if err != nil {
		return nil, fmt.Errorf("type %d: the programs have no such type", id)
	}
	st, ok := btf.UnderlyingType(t).(*btf.Struct)
	if !ok {
		return nil, fmt.Errorf("type %d: %s is no struct", id, typeName(t))
	}
	w := fieldWalk{object: true}
	if err := w.find(st, 0, 0); err != nil || st.Size == 0 {
		return nil, fmt.Errorf("type %d: struct %s cannot be allocated", id, st.Name)
	}
	slices.SortFunc(w.fields, func(a, b maps.Field) int { return int(a.Off) - int(b.Off) })
	l := &objects.Layout{Size: uint64(st.Size), Fields: w.fields}
	s.layouts[id] = l
	return l, nil
}
