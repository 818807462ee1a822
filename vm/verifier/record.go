package verifier

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
)

// fieldKind is the sort of a field that programs may not access as they like.
type fieldKind uint16

const (
	fieldSpinLock fieldKind = 1 << iota
	fieldResSpinLock
	fieldTimer
	fieldWorkqueue
	fieldTaskWork
	fieldKptrUnref
	fieldKptrRef
	fieldKptrPercpu
	fieldUptr
	fieldListHead
	fieldListNode
	fieldRBRoot
	fieldRBNode
	fieldRefcount

	fieldKptr  = fieldKptrUnref | fieldKptrRef | fieldKptrPercpu
	fieldNodes = fieldListNode | fieldRBNode
	// What is special in values of maps and in the program's own types.
	mapFields   = ^fieldNodes
	localFields = ^(fieldTimer | fieldWorkqueue | fieldTaskWork | fieldUptr)
)

// String is the kernel's name (btf_field_type_name).
func (k fieldKind) String() string {
	switch k {
	case fieldSpinLock:
		return "bpf_spin_lock"
	case fieldResSpinLock:
		return "bpf_res_spin_lock"
	case fieldTimer:
		return "bpf_timer"
	case fieldWorkqueue:
		return "bpf_wq"
	case fieldTaskWork:
		return "bpf_task_work"
	case fieldKptrUnref, fieldKptrRef:
		return "kptr"
	case fieldKptrPercpu:
		return "percpu_kptr"
	case fieldUptr:
		return "uptr"
	case fieldListHead:
		return "bpf_list_head"
	case fieldListNode:
		return "bpf_list_node"
	case fieldRBRoot:
		return "bpf_rb_root"
	case fieldRBNode:
		return "bpf_rb_node"
	case fieldRefcount:
		return "bpf_refcount"
	}
	return fmt.Sprintf("field %#x", uint16(k))
}

// field is one special field.
type field struct {
	kind      fieldKind
	off, size uint32
	// typ is what a kptr points to, or what a list or tree contains; local: a type of the program.
	typ   btf.Type
	local bool
	// node is the offset in typ of the node by which it is in the list or tree.
	node     uint32
	nodeName string
}

// record are the special fields of a map value or allocated object; nil has none.
type record struct{ fields []field }

func (r *record) has(k fieldKind) bool {
	if r == nil {
		return false
	}
	for i := range r.fields {
		if r.fields[i].kind&k != 0 {
			return true
		}
	}
	return false
}

// find returns the field of a kind at an offset.
func (r *record) find(off int64, k fieldKind) *field {
	if r == nil {
		return nil
	}
	for i := range r.fields {
		if f := &r.fields[i]; int64(f.off) == off && f.kind&k != 0 {
			return f
		}
	}
	return nil
}

// only returns the field of a kind of which there can be one.
func (r *record) only(k fieldKind) *field {
	if r == nil {
		return nil
	}
	for i := range r.fields {
		if r.fields[i].kind&k != 0 {
			return &r.fields[i]
		}
	}
	return nil
}

// overlap returns a field that the bytes lo..hi-1 touch.
func (r *record) overlap(lo, hi int64) *field {
	if r == nil {
		return nil
	}
	for i := range r.fields {
		if f := &r.fields[i]; lo < int64(f.off+f.size) && int64(f.off) < hi {
			return f
		}
	}
	return nil
}

// maxFields is BTF_FIELDS_MAX: with more special fields the kernel takes a map to have none, and here it is refused.
const maxFields = 11

// recordBuilder collects the special fields of a type. It follows btf_parse_fields.
type recordBuilder struct {
	v    *verifier
	mask fieldKind // what is special
	rec  record
	err  error
}

var specialStructs = [...]struct {
	name string
	kind fieldKind
}{
	{"bpf_spin_lock", fieldSpinLock}, {"bpf_res_spin_lock", fieldResSpinLock}, {"bpf_timer", fieldTimer}, {"bpf_wq", fieldWorkqueue},
	{"bpf_task_work", fieldTaskWork}, {"bpf_list_head", fieldListHead}, {"bpf_list_node", fieldListNode},
	{"bpf_rb_root", fieldRBRoot}, {"bpf_rb_node", fieldRBNode}, {"bpf_refcount", fieldRefcount},
}

func (b *recordBuilder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = refuse(CodeSpecialField, format, args...)
	}
}

// add looks at a member or variable; tags are its declaration's.
func (b *recordBuilder) add(t btf.Type, off uint32, tags []string, depth int) {
	if b.err != nil || depth > 16 {
		return
	}
	n := uint32(1)
	elem := skipVolatile(t)
	for range 16 {
		a, ok := elem.(*btf.Array)
		if !ok {
			break
		}
		n *= a.Nelems
		elem = skipVolatile(a.Type)
	}
	switch x := elem.(type) {
	case *btf.Pointer:
		b.kptr(x, off, n)
	case *btf.Struct, *btf.Union:
		size, _ := sizeOf(x)
		for _, s := range specialStructs {
			if x.TypeName() == s.name && s.kind&b.mask != 0 {
				b.special(s.kind, off, size, n, tags)
				return
			}
		}
		ms, _, _ := members(x)
		if n > maxFields {
			n = b.tooMany(x, n)
		}
		for i := range n {
			before := len(b.rec.fields)
			for _, m := range ms {
				b.add(m.Type, off+i*size+uint32(m.Offset)/8, m.Tags, depth+1)
			}
			if i == 0 && len(b.rec.fields) == before {
				return
			}
			if len(b.rec.fields) > maxFields {
				b.fail("more than %d special fields", maxFields)
				return
			}
		}
	}
}

// tooMany looks at one element of a very long array: without special fields its length does not matter.
func (b *recordBuilder) tooMany(t btf.Type, n uint32) uint32 {
	probe := recordBuilder{v: b.v, mask: b.mask}
	probe.add(t, 0, nil, 8)
	if probe.err != nil || len(probe.rec.fields) > 0 {
		b.fail("an array of %d elements with special fields", n)
		return 0
	}
	return 0
}

// skipVolatile keeps what may carry a meaning of its own.
func skipVolatile(t btf.Type) btf.Type {
	for range 16 {
		switch x := t.(type) {
		case *btf.Volatile:
			t = x.Type
		case *btf.Const:
			t = x.Type
		case *btf.Typedef:
			t = x.Type
		case *btf.TypeTag:
			t = x.Type
		default:
			return t
		}
	}
	return t
}

func (b *recordBuilder) kptr(p *btf.Pointer, off, n uint32) {
	kind := fieldKind(0)
	t := p.Target
	for range 16 {
		tag, ok := t.(*btf.TypeTag)
		if !ok {
			break
		}
		switch tag.Value {
		case "kptr_untrusted":
			kind = fieldKptrUnref
		case "kptr":
			kind = fieldKptrRef
		case "percpu_kptr":
			kind = fieldKptrPercpu
		case "uptr":
			kind = fieldUptr
		}
		t = tag.Type
	}
	if kind&b.mask == 0 {
		return
	}
	t = skipMods(t)
	if f, ok := t.(*btf.Fwd); ok {
		if k := b.v.kernelStruct(f.Name); k != nil {
			t = k
		}
	}
	if !isStruct(t) {
		b.fail("a kptr that points to no struct")
		return
	}
	f := field{kind: kind, size: regSize, typ: t, local: true}
	if k := b.v.kernelStruct(essentialName(t.TypeName())); k != nil && kind != fieldUptr {
		f.typ, f.local = k, false
	}
	if n > maxFields {
		b.fail("more than %d special fields", maxFields)
		return
	}
	for i := range n {
		f.off = off + i*regSize
		b.rec.fields = append(b.rec.fields, f)
	}
}

// essentialName is a name without its flavor.
func essentialName(s string) string {
	s, _, _ = strings.Cut(s, "___")
	return s
}

func (b *recordBuilder) special(k fieldKind, off, size, n uint32, tags []string) {
	const unique = fieldSpinLock | fieldResSpinLock | fieldTimer | fieldWorkqueue | fieldTaskWork | fieldRefcount
	if k&unique != 0 && (n > 1 || b.rec.has(k)) {
		b.fail("more than one %s", k)
		return
	}
	f := field{kind: k, off: off, size: size, local: true}
	if k == fieldListHead || k == fieldRBRoot {
		for _, tag := range tags {
			rest, ok := strings.CutPrefix(tag, "contains:")
			if !ok {
				continue
			}
			name, node, _ := strings.Cut(rest, ":")
			f.typ, f.nodeName = b.v.localStruct(name), node
		}
		ms, _, _ := members(f.typ)
		i := slices.IndexFunc(ms, func(m btf.Member) bool { return m.Name == f.nodeName })
		if i < 0 {
			b.fail("%s without a valid __contains", k)
			return
		}
		f.node = uint32(ms[i].Offset) / 8
	}
	for i := range min(n, maxFields) {
		f.off = off + i*size
		b.rec.fields = append(b.rec.fields, f)
	}
}

func (b *recordBuilder) done() (*record, error) {
	if b.err != nil {
		return nil, b.err
	}
	if (b.rec.has(fieldListHead) || b.rec.has(fieldRBRoot)) && !b.rec.has(fieldSpinLock|fieldResSpinLock) {
		return nil, refuse(CodeSpecialField, "a list or tree without a lock")
	}
	if len(b.rec.fields) == 0 {
		return nil, nil
	}
	slices.SortFunc(b.rec.fields, func(x, y field) int { return int(x.off) - int(y.off) })
	for i := 1; i < len(b.rec.fields); i++ {
		if p := b.rec.fields[i-1]; p.off+p.size > b.rec.fields[i].off {
			return nil, refuse(CodeSpecialField, "special fields overlap")
		}
	}
	return &b.rec, nil
}

// localStruct finds a struct of the program by name.
func (v *verifier) localStruct(name string) btf.Type {
	if v.obj.BTF == nil {
		return nil
	}
	var s *btf.Struct
	if v.obj.BTF.TypeByName(name, &s) != nil {
		return nil
	}
	return s
}

// recordOf are the special fields of an allocated type, nil for none.
func (v *verifier) recordOf(t btf.Type) *record {
	if r, ok := v.records[t]; ok {
		return r
	}
	v.records[t] = nil // while it is built: a node may point to its own type
	b := recordBuilder{v: v, mask: localFields}
	b.add(t, 0, nil, 0)
	rec, err := b.done()
	if err != nil { // the kernel does not take such types at all
		rec, v.badType = nil, err
	}
	v.records[t] = rec
	return rec
}

// recordBehind are the special fields of what a register points to.
func (v *verifier) recordBehind(r *reg) *record {
	switch {
	case r.typ == ptrToMapValue:
		return r.obj.m.rec
	case r.typ.allocObj():
		return v.recordOf(r.obj.typ)
	}
	return nil
}

// mapInfo makes the verifier's view of a map.
func (v *verifier) mapInfo(m *link.Map, index int) *mapInfo {
	mi := &mapInfo{name: m.Name, typ: m.Type, key: m.KeySize, value: m.ValueSize, max: m.MaxEntries, flags: m.Flags,
		data: m.Data, frozen: m.Frozen, hasBTF: m.Value != nil || len(m.Vars) > 0, index: index}
	if len(m.Tables) > 0 {
		mi.typ = mapInsnArray
	}
	b := recordBuilder{v: v, mask: mapFields}
	if m.Section != "" {
		for _, va := range m.Vars {
			b.add(va.Type, va.Off, v.varTags(va.Name), 0)
		}
	} else if m.Value != nil {
		b.add(m.Value, 0, nil, 0)
	}
	mi.rec, mi.unsupportedErr = b.done()
	if m.Inner != nil {
		mi.inner = v.mapInfo(m.Inner, index)
		mi.inner.isInner = true
	}
	return mi
}

// varTags are the declaration tags of a global variable.
func (v *verifier) varTags(name string) []string {
	if v.obj.BTF == nil {
		return nil
	}
	types, _ := v.obj.BTF.AnyTypesByName(name)
	for _, t := range types {
		if x, ok := t.(*btf.Var); ok {
			return x.Tags
		}
	}
	return nil
}

// writable and readable tell what programs may do with values.
func (m *mapInfo) writable() bool { return m.flags&elf.FlagRdonlyProg == 0 && !m.frozen }
func (m *mapInfo) readable() bool { return m.flags&(1<<8) == 0 } // BPF_F_WRONLY_PROG

// constant: the value cannot change any more.
func (m *mapInfo) constant() bool { return m.frozen && m.typ == elf.MapTypeArray }

// read is the number at an offset of a constant map.
func (m *mapInfo) read(off int64, size int, signed bool) uint64 {
	var n uint64
	for i := range size {
		if k := off + int64(i); k < int64(len(m.data)) {
			n |= uint64(m.data[k]) << (8 * i)
		}
	}
	if signed {
		n = uint64(sextBytes(n, size))
	}
	return n
}
