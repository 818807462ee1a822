package elf

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// KindOf names the kind of a type; 32- and 64-bit enums are one kind.
func KindOf(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Void:
		return "void"
	case *btf.Int:
		return "int"
	case *btf.Pointer:
		return "ptr"
	case *btf.Array:
		return "array"
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Enum:
		return "enum"
	case *btf.Fwd:
		if t.Kind == btf.FwdUnion {
			return "forward union"
		}
		return "forward struct"
	case *btf.Typedef:
		return "typedef"
	case *btf.Func:
		return "func"
	case *btf.FuncProto:
		return "func_proto"
	case *btf.Var:
		return "var"
	case *btf.Float:
		return "float"
	}
	return fmt.Sprintf("%T", t)
}

// TypeName spells a type for messages: "struct task_struct", "u32", "pointer to struct rq", "array of 4 u32".
func TypeName(t btf.Type) string { return typeName(t, 8) }

func typeName(t btf.Type, depth int) string {
	if depth > 0 {
		switch t := t.(type) {
		case *btf.Const:
			return typeName(t.Type, depth-1)
		case *btf.Volatile:
			return typeName(t.Type, depth-1)
		case *btf.Restrict:
			return typeName(t.Type, depth-1)
		case *btf.TypeTag:
			return typeName(t.Type, depth-1)
		case *btf.Pointer:
			return "pointer to " + typeName(t.Target, depth-1)
		case *btf.Array:
			return fmt.Sprintf("array of %d %s", t.Nelems, typeName(t.Type, depth-1))
		case *btf.FuncProto:
			return "function"
		case *btf.Int, *btf.Typedef, *btf.Float:
			if t.TypeName() != "" {
				return t.TypeName()
			}
		}
	}
	if t.TypeName() == "" {
		return "anonymous " + KindOf(t)
	}
	return KindOf(t) + " " + t.TypeName()
}
