package link

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// maxDepth bounds the walk through nested types, as libbpf does.
const maxDepth = 32

func isNotFound(err error) bool { return errors.Is(err, btf.ErrNotFound) }

func members(t btf.Type) []btf.Member {
	switch t := t.(type) {
	case *btf.Struct:
		return t.Members
	case *btf.Union:
		return t.Members
	}
	return nil
}

func isComposite(t btf.Type) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union:
		return true
	}
	return false
}

func isPointer(t btf.Type) bool {
	_, ok := t.(*btf.Pointer)
	return ok
}

func isUnsigned(t btf.Type) bool {
	i, ok := t.(*btf.Int)
	return ok && i.Encoding != btf.Signed
}

func kindOf(t btf.Type) string { return elf.KindOf(t) }

func sameKind(a, b btf.Type) bool {
	ka, kb := kindOf(a), kindOf(b)
	return ka == kb || strings.HasPrefix(ka, "forward") && strings.HasPrefix(kb, "forward")
}

func typeName(t btf.Type) string { return elf.TypeName(t) }

// compatible follows bpf_core_types_are_compat.
func compatible(local, kernel btf.Type) bool {
	return sameKind(local, kernel) && compatibleTo(local, kernel, maxDepth)
}

func compatibleTo(local, kernel btf.Type, depth int) bool {
	for ; depth > 0; depth-- {
		local, kernel = btf.UnderlyingType(local), btf.UnderlyingType(kernel)
		if !sameKind(local, kernel) {
			return false
		}
		switch l := local.(type) {
		case *btf.Void, *btf.Struct, *btf.Union, *btf.Enum, *btf.Fwd, *btf.Int:
			return true
		case *btf.Pointer:
			local, kernel = l.Target, kernel.(*btf.Pointer).Target
		case *btf.Array:
			local, kernel = l.Type, kernel.(*btf.Array).Type
		case *btf.FuncProto:
			k := kernel.(*btf.FuncProto)
			if len(l.Params) != len(k.Params) {
				return false
			}
			for i := range l.Params {
				if !compatibleTo(l.Params[i].Type, k.Params[i].Type, depth-1) {
					return false
				}
			}
			local, kernel = l.Return, k.Return
		default:
			return false
		}
	}
	return false
}

// fieldsCompatible follows bpf_core_fields_are_compat.
func fieldsCompatible(local, kernel btf.Type) bool {
	for range maxDepth {
		local, kernel = btf.UnderlyingType(local), btf.UnderlyingType(kernel)
		if isComposite(local) && isComposite(kernel) {
			return true
		}
		if !sameKind(local, kernel) {
			return false
		}
		switch l := local.(type) {
		case *btf.Pointer, *btf.Float, *btf.Int:
			return true
		case *btf.Fwd, *btf.Enum:
			a, b := essential(local.TypeName()), essential(kernel.TypeName())
			return a == "" || b == "" || a == b
		case *btf.Array:
			local, kernel = l.Type, kernel.(*btf.Array).Type
		default:
			return false
		}
	}
	return false
}

// typesMatch follows bpf_core_types_match.
func typesMatch(local, kernel btf.Type, behindPtr bool, depth int) bool {
	if depth == 0 {
		return false
	}
	local, kernel = btf.UnderlyingType(local), btf.UnderlyingType(kernel)
	if ln, kn := local.TypeName(), kernel.TypeName(); essential(ln) != essential(kn) {
		return false
	}
	lf, lIsFwd := local.(*btf.Fwd)
	kf, kIsFwd := kernel.(*btf.Fwd)
	if behindPtr && (lIsFwd || kIsFwd) {
		return fwdMatches(lf, kernel) || fwdMatches(kf, local)
	}
	if !sameKind(local, kernel) {
		return false
	}
	switch l := local.(type) {
	case *btf.Void:
		return true
	case *btf.Fwd:
		return l.Kind == kf.Kind
	case *btf.Enum:
		return enumsMatch(l, kernel.(*btf.Enum))
	case *btf.Struct, *btf.Union:
		lm, km := members(local), members(kernel)
		if behindPtr {
			return true
		}
		if len(lm) > len(km) {
			return false
		}
		for _, m := range lm {
			found := false
			for _, k := range km {
				if m.Name == k.Name && typesMatch(m.Type, k.Type, false, depth-1) {
					found = true
					break
				}
			}
			if !found {
				return false
			}
		}
		return true
	case *btf.Int:
		k := kernel.(*btf.Int)
		return l.Size == k.Size && (l.Encoding == btf.Signed) == (k.Encoding == btf.Signed)
	case *btf.Pointer:
		return typesMatch(l.Target, kernel.(*btf.Pointer).Target, true, depth-1)
	case *btf.Array:
		k := kernel.(*btf.Array)
		return l.Nelems == k.Nelems && typesMatch(l.Type, k.Type, behindPtr, depth-1)
	case *btf.FuncProto:
		k := kernel.(*btf.FuncProto)
		if len(l.Params) != len(k.Params) {
			return false
		}
		for i := range l.Params {
			if !typesMatch(l.Params[i].Type, k.Params[i].Type, behindPtr, depth-1) {
				return false
			}
		}
		return typesMatch(l.Return, k.Return, behindPtr, depth-1)
	}
	return false
}

func fwdMatches(f *btf.Fwd, t btf.Type) bool {
	if f == nil {
		return false
	}
	switch t := t.(type) {
	case *btf.Fwd:
		return f.Kind == t.Kind
	case *btf.Struct:
		return f.Kind == btf.FwdStruct
	case *btf.Union:
		return f.Kind == btf.FwdUnion
	}
	return false
}

func enumsMatch(l, k *btf.Enum) bool {
	if l.Size != k.Size || len(l.Values) > len(k.Values) {
		return false
	}
	for _, v := range l.Values {
		found := false
		for _, w := range k.Values {
			if essential(v.Name) == essential(w.Name) {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// describe spells a relocation for messages: "offset of task_struct.scx.weight".
func describe(kind elf.CoreKind, p *place) string {
	var b strings.Builder
	b.WriteString([...]string{"offset of ", "size of ", "existence of ", "signedness of ", "bits of ", "bits of ", "local id of ",
		"id of ", "existence of ", "size of ", "existence of ", "value of ", "match of "}[kind])
	b.WriteString(typeName(p.root))
	for i, s := range p.steps {
		switch {
		case isEnum(kind):
			b.WriteString("::" + s.name)
		case s.name != "":
			b.WriteString("." + s.name)
		case i > 0 || s.idx > 0:
			fmt.Fprintf(&b, "[%d]", s.idx)
		}
	}
	return b.String()
}
