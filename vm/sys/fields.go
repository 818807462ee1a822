package sys

import (
	"errors"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

const (
	maxFields = 11 // BTF_FIELDS_MAX
	maxDepth  = 32 // MAX_RESOLVE_DEPTH
)

// errFields is why btf_parse_fields refuses a value: too many special fields, or two of a kind that may occur once.
var errFields = errors.New("special fields")

// specialFields finds the special fields of a map's value, or of the variables of a data section. It follows
// btf_parse_fields (kernel/bpf/btf.c).
func specialFields(t btf.Type) ([]maps.Field, error) {
	w := fieldWalk{}
	var err error
	if ds, ok := t.(*btf.Datasec); ok {
		for _, v := range ds.Vars {
			if vt, ok := v.Type.(*btf.Var); ok && err == nil {
				err = w.find(vt.Type, v.Offset, 0)
			}
		}
	} else {
		err = w.find(t, 0, 0)
	}
	if err != nil {
		return nil, refuse(abi.E2BIG, "value: %v", err)
	}
	slices.SortFunc(w.fields, func(a, b maps.Field) int { return int(a.Off) - int(b.Off) })
	return w.fields, nil
}

type fieldWalk struct {
	fields []maps.Field
	unique [16]bool // by kind
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
		return w.members(t.Members, off, depth)
	case *btf.Union:
		return w.members(t.Members, off, depth)
	case *btf.Array:
		size, err := btf.Sizeof(t.Type)
		if err != nil {
			return nil // incomplete types hold nothing
		}
		probe := fieldWalk{}
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
