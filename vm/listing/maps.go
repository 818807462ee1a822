package listing

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/internal/cdecl"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
)

// Map is one map of an object.
type Map struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Key        string `json:"key,omitempty"` // C types
	Value      string `json:"value,omitempty"`
	KeySize    uint32 `json:"key_size"`
	ValueSize  uint32 `json:"value_size"`
	MaxEntries uint32 `json:"max_entries"`
	Flags      string `json:"flags,omitempty"` // names without BPF_F_, in lower case
	Extra      uint64 `json:"map_extra,omitempty"`
	// Frozen: neither programs nor user space may write.
	Frozen bool `json:"frozen,omitempty"`
	// Vars are the variables of a data section.
	Vars  []Var  `json:"variables,omitempty"`
	Inner *Map   `json:"inner,omitempty"`
	Slots []Slot `json:"slots,omitempty"`
}

// Var is a global variable with its initial value: for read-only ones, what programs see.
type Var struct {
	Name string `json:"name"`
	// Decl is its C declaration.
	Decl   string `json:"declaration"`
	Off    uint32 `json:"offset"`
	Size   uint32 `json:"size"`
	Value  string `json:"value"`
	Static bool   `json:"static,omitempty"`
	Weak   bool   `json:"weak,omitempty"`
}

// Slot is an initial entry of a map of maps or programs.
type Slot struct {
	Index uint32 `json:"index"`
	Name  string `json:"name"`
}

// flagNames are the flags of map creation (BPF_F_*), by bit.
var flagNames = [...]string{"no_prealloc", "no_common_lru", "numa_node", "rdonly", "wronly", "stack_build_id", "zero_seed", "rdonly_prog", "wronly_prog",
	"clone", "mmapable", "preserve_elems", "inner_map", "link", "path_fd", "vtype_btf_obj_fd", "token_fd", "segv_on_fault", "no_user_conv", "rb_overwrite"}

func flags(f uint32) string {
	var out []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	if rest := f >> len(flagNames) << len(flagNames); rest != 0 {
		out = append(out, fmt.Sprintf("%#x", rest))
	}
	return strings.Join(out, "|")
}

// Maps lists the maps of a linked object, data sections first, then the data that lies in the arena.
func Maps(l *link.Object) []Map {
	var out []Map
	for _, m := range l.Maps {
		out = append(out, mapOf(m))
	}
	if a := l.Arena; a != nil {
		out = append(out, Map{Name: a.Section, Type: "data of the arena", ValueSize: a.Size, Vars: vars(a.Vars, a.Data)})
	}
	return out
}

func mapOf(m *link.Map) Map {
	out := Map{Name: m.Name, Type: maps.Type(m.Type).String(), Key: typeName(m.Key), Value: typeName(m.Value), KeySize: m.KeySize, ValueSize: m.ValueSize,
		MaxEntries: m.MaxEntries, Flags: flags(m.Flags), Extra: m.Extra, Frozen: m.Frozen, Vars: vars(m.Vars, m.Data)}
	if m.Section != "" {
		out.Value = "" // the section, which is no C type
	}
	if m.Inner != nil {
		inner := mapOf(m.Inner)
		out.Inner = &inner
	}
	for _, s := range m.Slots {
		out.Slots = append(out.Slots, Slot{s.Index, s.Name})
	}
	return out
}

func typeName(t btf.Type) string {
	if t == nil {
		return ""
	}
	if t.TypeName() == "" {
		switch t.(type) {
		case *btf.Struct, *btf.Union, *btf.Enum:
			return elf.KindOf(t)
		}
	}
	return cdecl.TypeString(t)
}

// vars reads variables out of the data of their section, which is zero behind its end.
func vars(vs []elf.Var, data []byte) []Var {
	var out []Var
	for _, v := range vs {
		b := make([]byte, v.Size)
		if uint64(v.Off) < uint64(len(data)) {
			copy(b, data[v.Off:])
		}
		out = append(out, Var{v.Name, cdecl.Variable(v.Type, v.Name), v.Off, v.Size, Value(v.Type, b), v.Static, v.Weak})
	}
	return out
}
