package maps

import (
	"errors"
	"slices"

	"github.com/cilium/ebpf/btf"
)

const (
	maxFields = 11 // BTF_FIELDS_MAX
	maxDepth  = 32 // MAX_RESOLVE_DEPTH
)

var errFields = errors.New("special fields")

// FieldPlace is where a type lies in what a map holds: at byte Off.
type FieldPlace struct {
	Type btf.Type
	Off  uint32
}

// FindFields finds the special fields of the types at the places given, by offset. It follows btf_parse_fields
// (kernel/bpf/btf.c, 7.2). object tells that they are objects of programs, which may have nodes of lists and trees. The
// error says that the kernel refuses the types: too many special fields, or two of a kind that may occur once.
func FindFields(object bool, places ...FieldPlace) ([]Field, error) {
	w := fieldWalk{object: object}
	for _, p := range places {
		if err := w.find(p.Type, p.Off, 0); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(w.fields, func(a, b Field) int { return int(a.Off) - int(b.Off) })
	return w.fields, nil
}

type fieldWalk struct {
	fields []Field
	unique [16]bool // by kind
	object bool     // it is an object of programs, which may have nodes
}

// managed are the structs that are special wherever they occur.
var managed = []struct {
	name   string
	kind   FieldKind
	size   uint32
	unique bool
}{
	{"bpf_spin_lock", SpinLock, 4, true},
	{"bpf_res_spin_lock", ResSpinLock, 4, true},
	{"bpf_timer", Timer, 16, true},
	{"bpf_wq", Workqueue, 16, true},
	{"bpf_task_work", TaskWork, 8, true},
	{"bpf_list_head", ListHead, 16, false},
	{"bpf_rb_root", RBRoot, 16, false},
	{"bpf_refcount", Refcount, 4, true},
}

// nodes are those that are special in objects.
var nodes = []struct {
	name string
	kind FieldKind
	size uint32
}{
	{"bpf_list_node", ListNode, 24},
	{"bpf_rb_node", RBNode, 32},
}

// kptrTags are the type tags of pointers that are special.
var kptrTags = map[string]FieldKind{"kptr_untrusted": KptrUnref, "kptr": KptrRef, "percpu_kptr": KptrPerCPU, "uptr": Uptr}

func (w *fieldWalk) add(f Field, unique bool) error {
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
				return w.add(Field{Kind: s.kind, Off: off, Size: s.size}, s.unique)
			}
		}
		for _, s := range nodes {
			if w.object && t.Name == s.name {
				return w.add(Field{Kind: s.kind, Off: off, Size: s.size}, false)
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
			return w.add(Field{Kind: kind, Off: off, Size: 8, Pointee: typeName(tag.Type)}, false)
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

// typeName is the name of a type behind its typedefs and qualifiers.
func typeName(t btf.Type) string { return btf.UnderlyingType(t).TypeName() }
