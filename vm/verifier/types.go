package verifier

import (
	"github.com/cilium/ebpf/btf"
)

// skipMods follows typedefs, qualifiers and tags.
func skipMods(t btf.Type) btf.Type {
	for range 64 {
		switch x := t.(type) {
		case *btf.Typedef:
			t = x.Type
		case *btf.Const:
			t = x.Type
		case *btf.Volatile:
			t = x.Type
		case *btf.Restrict:
			t = x.Type
		case *btf.TypeTag:
			t = x.Type
		default:
			return t
		}
	}
	return &btf.Void{}
}

func isVoid(t btf.Type) bool {
	_, ok := skipMods(t).(*btf.Void)
	return ok
}

// members are those of a struct or union.
func members(t btf.Type) (m []btf.Member, size uint32, ok bool) {
	switch x := t.(type) {
	case *btf.Struct:
		return x.Members, x.Size, true
	case *btf.Union:
		return x.Members, x.Size, true
	}
	return nil, 0, false
}

func isStruct(t btf.Type) bool {
	_, _, ok := members(t)
	return ok
}

func isScalarType(t btf.Type) bool {
	switch skipMods(t).(type) {
	case *btf.Int, *btf.Enum:
		return true
	}
	return false
}

// isScalarStruct: all members are numbers, or arrays and structs of them.
func isScalarStruct(t btf.Type, depth int) bool {
	members, ok := membersOf(t)
	if !ok || depth > 3 {
		return false
	}
	for _, m := range members {
		if arr, ok := skipMods(m.Type).(*btf.Array); ok {
			if arr.Nelems == 0 || !isScalarType(arr.Type) {
				return false
			}
		} else if !isScalarType(m.Type) && !isScalarStruct(m.Type, depth+1) {
			return false
		}
	}
	return true
}

// membersOf are those of a struct or union.
func membersOf(t btf.Type) ([]btf.Member, bool) {
	switch x := skipMods(t).(type) {
	case *btf.Struct:
		return x.Members, true
	case *btf.Union:
		return x.Members, true
	}
	return nil, false
}

func sizeOf(t btf.Type) (uint32, bool) {
	switch skipMods(t).(type) {
	case *btf.Void, *btf.FuncProto, *btf.Fwd, nil:
		return 0, false
	}
	n, err := btf.Sizeof(skipMods(t))
	if err != nil || n < 0 || n > 1<<30 {
		return 0, false
	}
	return uint32(n), true
}

// kindWord is the kernel's word for a kind (btf_type_str).
func kindWord(t btf.Type) string {
	switch t.(type) {
	case *btf.Void:
		return "UNKNOWN"
	case *btf.Int:
		return "INT"
	case *btf.Pointer:
		return "PTR"
	case *btf.Array:
		return "ARRAY"
	case *btf.Struct:
		return "STRUCT"
	case *btf.Union:
		return "UNION"
	case *btf.Enum:
		return "ENUM"
	case *btf.Fwd:
		return "FWD"
	case *btf.FuncProto:
		return "FUNC_PROTO"
	}
	return "UNKNOWN"
}

// pointee is what a pointer points to, and the flags that tags give it.
func pointee(p *btf.Pointer) (t btf.Type, flags regType) {
	t = p.Target
	for range 64 {
		switch x := t.(type) {
		case *btf.TypeTag:
			switch x.Value {
			case "user":
				flags |= userMem
			case "percpu":
				flags |= percpu
			case "rcu":
				flags |= rcuPtr
			}
			t = x.Type
		case *btf.Typedef:
			t = x.Type
		case *btf.Const:
			t = x.Type
		case *btf.Volatile:
			t = x.Type
		case *btf.Restrict:
			t = x.Type
		default:
			return t, flags
		}
	}
	return &btf.Void{}, flags
}

// kernelStruct finds a struct or union of the kernel by name.
func (v *verifier) kernelStruct(name string) btf.Type {
	if t, ok := v.structs[name]; ok {
		return t
	}
	var found btf.Type
	if v.at.Kernel != nil {
		types, _ := v.at.Kernel.AnyTypesByName(name)
		for _, t := range types {
			if isStruct(t) {
				found = t
				break
			}
		}
	}
	v.structs[name] = found
	return found
}

// walkKind is where a walk into a struct ends.
type walkKind uint8

const (
	walkScalar walkKind = iota
	walkPtr
	walkPtrUntrusted
	walkStruct
)

// walk is the result of structWalk.
type walk struct {
	kind  walkKind
	typ   btf.Type // of the struct pointed to or nested
	flags regType
	field string
}

// structWalk finds what lies at an offset of a struct. It follows btf_struct_walk (kernel/bpf/btf.c, 7.2).
func structWalk(t btf.Type, off, size uint32, flex bool, flags regType) (walk, error) {
	w := walk{flags: flags}
again:
	t = skipMods(t)
	ms, total, ok := members(t)
	if !ok {
		return w, refuse(CodeBTFAccess, "Type '%s' is not a struct", t.TypeName())
	}
	if _, union := t.(*btf.Union); union && len(ms) != 1 {
		w.flags |= untrusted
	}
	if uint64(off)+uint64(size) > uint64(total) {
		elem, rest, ok := flexElem(ms, off, flex)
		switch {
		case !ok:
			return w, refuse(CodeBTFAccess, "access beyond struct %s at off %d size %d", t.TypeName(), off, size)
		case elem == nil:
			return w, nil
		}
		t, off = elem, rest
		goto again
	}
	for i := range ms {
		m := &ms[i]
		moff := uint32(m.Offset) / 8
		if off+size <= moff {
			break
		}
		if m.BitfieldSize != 0 {
			if end := (uint32(m.Offset+m.BitfieldSize) + 7) / 8; off <= moff && end <= off+size {
				return w, nil
			}
			continue
		}
		if off < moff {
			break
		}
		msize, ok := sizeOf(m.Type)
		if !ok {
			return w, refuse(CodeBTFAccess, "field %s doesn't have size", m.Name)
		}
		end := moff + msize
		if off >= end {
			continue
		}
		mt := skipMods(m.Type)
		for a, ok := mt.(*btf.Array); ok; a, ok = mt.(*btf.Array) {
			mt = skipMods(a.Type)
			if msize, ok = sizeOf(mt); !ok || msize == 0 {
				return w, refuse(CodeBTFAccess, "field %s doesn't have size", m.Name)
			}
			moff += (off - moff) / msize * msize
		}
		if isStruct(mt) {
			t = mt
			if off == moff {
				w.kind, w.typ = walkStruct, mt
				return w, nil
			}
			off -= moff
			goto again
		}
		if p, ok := mt.(*btf.Pointer); ok {
			if msize != size || off != moff {
				return w, refuse(CodeBTFAccess, "cannot access ptr member %s with moff %d in struct %s with off %d size %d", m.Name, moff, t.TypeName(), off, size)
			}
			to, flags := pointee(p)
			if isStruct(to) {
				w.kind, w.typ, w.field = walkPtr, to, m.Name
				w.flags |= flags
				return w, nil
			}
			w.kind = walkPtrUntrusted
			return w, nil
		}
		if off+size > end && !w.flags.has(untrusted) {
			return w, refuse(CodeBTFAccess, "access beyond the end of member %s (mend:%d) in struct %s with off %d size %d", m.Name, end, t.TypeName(), off, size)
		}
		return w, nil
	}
	return w, refuse(CodeBTFAccess, "struct %s doesn't have field at offset %d", t.TypeName(), off)
}

// flexElem goes into an array without length at the end of a struct: elem is nil for numbers.
func flexElem(ms []btf.Member, off uint32, flex bool) (elem btf.Type, rest uint32, ok bool) {
	if !flex || len(ms) == 0 {
		return nil, 0, false
	}
	last := ms[len(ms)-1]
	a, isArray := skipMods(last.Type).(*btf.Array)
	moff := uint32(last.Offset) / 8
	if !isArray || a.Nelems != 0 || off < moff {
		return nil, 0, false
	}
	elem = skipMods(a.Type)
	if _, isInt := elem.(*btf.Int); isInt {
		return nil, 0, true
	}
	_, size, isS := members(elem)
	if !isS || size == 0 {
		return nil, 0, false
	}
	return elem, (off - moff) % size, true
}

// structAccess is a read of a struct: what sort of value it gives. It follows btf_struct_access.
func (v *verifier) structAccess(r *reg, off, size uint32) (t regType, w walk, err error) {
	alloc := r.typ.has(memAlloc)
	if alloc {
		if f := v.recordOf(r.obj.typ).overlap(int64(off), int64(off)+int64(size)); f != nil {
			return 0, w, refuse(CodeSpecialField, "direct access to %s is disallowed", f.kind)
		}
	}
	typ := r.obj.typ
	for range 64 {
		w, err = structWalk(typ, off, size, !alloc, w.flags)
		if err != nil {
			return 0, w, err
		}
		switch w.kind {
		case walkPtr:
			if alloc {
				return scalar, w, nil
			}
			return ptrToBTF, w, nil
		case walkPtrUntrusted:
			return ptrToMem, walk{flags: rdonly | untrusted}, nil
		case walkScalar:
			return scalar, w, nil
		}
		typ, off = w.typ, 0
	}
	return 0, w, refuse(CodeBTFAccess, "structs of struct %s are nested too deeply", r.obj.typ.TypeName())
}

// idsMatch tells whether a pointer to t plus off is one to need. It follows btf_struct_ids_match.
func idsMatch(t btf.Type, off int64, need btf.Type, strict, flex bool) bool {
	if off == 0 && t == need {
		return true
	}
	if strict || off < 0 || off > 1<<30 {
		return false
	}
	o := uint32(off)
	for range 64 {
		w, err := structWalk(t, o, 1, flex, 0)
		if err != nil || w.kind != walkStruct {
			return false
		}
		if w.typ == need {
			return true
		}
		t, o = w.typ, 0
	}
	return false
}

// safeFields are the fields through which pointers stay trusted or RCU-protected, after the BTF_TYPE_SAFE_ lists of
// kernel/bpf/verifier.c, 7.2.
type safeKind uint8

const (
	safeNot safeKind = iota
	safeTrusted
	safeTrustedOrNull
	safeRCU
	safeRCUOrNull
)

func safeField(typ, field string) safeKind {
	switch typ + "." + field {
	case "bpf_iter_meta.seq", "bpf_iter__task.meta", "bpf_iter__task.task", "linux_binprm.file", "file.f_inode":
		return safeTrusted
	case "dentry.d_inode", "socket.sk", "vm_area_struct.vm_mm", "vm_area_struct.vm_file":
		return safeTrustedOrNull
	case "task_struct.cpus_ptr", "task_struct.cgroups", "task_struct.real_parent", "task_struct.group_leader",
		"cgroup.kn", "css_set.dfl_cgrp", "cgroup_subsys_state.cgroup":
		return safeRCU
	case "mm_struct.exe_file", "mm_struct.owner", "sk_buff.sk", "request_sock.sk":
		return safeRCUOrNull
	}
	return safeNot
}

// rcuProtected are the types of which a kptr may be read in an RCU section.
func rcuProtected(name string) bool {
	switch name {
	case "prog_test_ref_kfunc", "cgroup", "bpf_cpumask", "task_struct", "bpf_crypto_ctx":
		return true
	}
	return false
}
