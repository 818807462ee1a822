package link

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// CO-RE: an instruction that depends on the layout of a kernel type names the type and a path into it as the compiler saw
// them; the linker finds the same path in the kernel's type of that name. This follows relo_core.c of libbpf, one
// relocation at a time. (btf.CORERelocate of cilium/ebpf chooses one kernel type for all relocations of a local type,
// leaves access sizes alone and works on Linux only.)

// maxAccess is BPF_CORE_SPEC_MAX_LEN.
const maxAccess = 64

// core resolves the relocations of one object.
type core struct {
	local, kernel *btf.Spec
	cands         map[btf.TypeID][]btf.Type
}

// step is one turning point of a path: a named member, or an array index.
type step struct {
	in   btf.Type // the struct or union of a named member; the element type of an index
	idx  int
	name string
}

// place is a path into a type, resolved.
type place struct {
	root  btf.Type
	steps []step
	bits  uint64 // offset
}

// fix is what a relocation does to its instruction.
type fix struct {
	old, new      uint64
	oldSize, size uint64 // of the field, 0 if not known
	validate      bool   // the instruction must hold old
	poison        string // not empty: why there is no value
	badSize       string // not empty: why a load or store cannot be adjusted
}

// essential is a type's name without its ___flavor, following bpf_core_essential_name_len.
func essential(name string) string {
	for i := len(name) - 5; i >= 0; i-- {
		if name[i] != '_' && name[i+1:i+4] == "___" && name[i+4] != '_' {
			return name[:i+1]
		}
	}
	return name
}

func isField(k elf.CoreKind) bool { return k <= elf.CoreFieldRShift }
func isEnum(k elf.CoreKind) bool  { return k == elf.CoreEnumvalExists || k == elf.CoreEnumvalValue }
func isType(k elf.CoreKind) bool {
	return k >= elf.CoreTypeIDLocal && k <= elf.CoreTypeSize || k == elf.CoreTypeMatches
}

// resolve follows bpf_core_calc_relo_insn.
func (c *core) resolve(r elf.CoreReloc) (fix, error) {
	t, err := c.local.TypeByID(r.TypeID)
	if err != nil {
		return fix{}, err
	}
	if !isField(r.Kind) && !isEnum(r.Kind) && !isType(r.Kind) {
		return fix{}, fmt.Errorf("unknown kind %d", r.Kind)
	}
	local, err := parsePath(t, r)
	if err != nil {
		return fix{}, fmt.Errorf("%s: access %q: %w", typeName(t), r.Access, err)
	}
	if r.Kind == elf.CoreTypeIDLocal {
		return fix{old: uint64(r.TypeID), new: uint64(r.TypeID)}, nil
	}
	if t.TypeName() == "" {
		return fix{}, fmt.Errorf("types without a name cannot be relocated")
	}
	cands, err := c.candidates(r.TypeID, t)
	if err != nil {
		return fix{}, err
	}
	var res fix
	var where *place
	var matching []btf.Type
	for _, cand := range cands {
		target, err := matchPath(r.Kind, local, cand)
		if err != nil {
			return fix{}, fmt.Errorf("%s: %w", describe(r.Kind, local), err)
		}
		if target == nil {
			continue
		}
		f, err := c.calc(r, local, target)
		if err != nil {
			return fix{}, fmt.Errorf("%s: %w", describe(r.Kind, local), err)
		}
		if where != nil && (target.bits != where.bits || f.new != res.new || (f.poison != "") != (res.poison != "")) {
			return fix{}, fmt.Errorf("%s: the kernel has several types %q that disagree: %d and %d", describe(r.Kind, local), essential(t.TypeName()), res.new, f.new)
		}
		if where == nil {
			res, where = f, target
		}
		matching = append(matching, cand)
	}
	if where == nil {
		return c.calc(r, local, nil)
	}
	c.cands[r.TypeID] = matching
	return res, nil
}

// candidates are the kernel's types of the same name and kind as a local type.
func (c *core) candidates(id btf.TypeID, t btf.Type) ([]btf.Type, error) {
	if l, ok := c.cands[id]; ok {
		return l, nil
	}
	name := essential(t.TypeName())
	all, err := c.kernel.AnyTypesByName(name)
	if err != nil && !isNotFound(err) {
		return nil, fmt.Errorf("kernel type %q: %w", name, err)
	}
	var l []btf.Type
	for _, k := range all {
		if k.TypeName() == name && sameKind(t, k) {
			l = append(l, k)
		}
	}
	c.cands[id] = l
	return l, nil
}

// parsePath follows bpf_core_parse_spec.
func parsePath(root btf.Type, r elf.CoreReloc) (*place, error) {
	p := &place{root: root}
	if isType(r.Kind) {
		if r.Access != "0" {
			return nil, fmt.Errorf("expected \"0\"")
		}
		return p, nil
	}
	var raw []int
	for _, s := range strings.Split(r.Access, ":") {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil || len(raw) == maxAccess {
			return nil, fmt.Errorf("expected up to %d numbers", maxAccess)
		}
		raw = append(raw, int(n))
	}
	t := btf.UnderlyingType(root)
	if isEnum(r.Kind) {
		e, ok := t.(*btf.Enum)
		if !ok || len(raw) != 1 || raw[0] >= len(e.Values) {
			return nil, fmt.Errorf("expected the number of an enumerator of %s", typeName(root))
		}
		p.steps = []step{{e, raw[0], e.Values[raw[0]].Name}}
		return p, nil
	}
	if err := p.index(t, raw[0]); err != nil {
		return nil, err
	}
	next := t
	for _, i := range raw[1:] {
		t = btf.UnderlyingType(next)
		if arr, ok := t.(*btf.Array); ok {
			elem := btf.UnderlyingType(arr.Type)
			if !p.flexible(arr) && i >= int(arr.Nelems) {
				return nil, fmt.Errorf("element %d of %d", i, arr.Nelems)
			}
			if err := p.index(elem, i); err != nil {
				return nil, err
			}
			next = elem
			continue
		}
		ms := members(t)
		if ms == nil {
			return nil, fmt.Errorf("%s has no members", typeName(t))
		}
		if i >= len(ms) {
			return nil, fmt.Errorf("member %d of %d", i, len(ms))
		}
		p.bits += uint64(ms[i].Offset)
		if ms[i].Name != "" {
			p.steps = append(p.steps, step{t, i, ms[i].Name})
		}
		next = ms[i].Type
	}
	return p, nil
}

// index appends an array step.
func (p *place) index(elem btf.Type, i int) error {
	size, err := btf.Sizeof(elem)
	if err != nil {
		return err
	}
	p.steps = append(p.steps, step{in: elem, idx: i})
	p.bits += uint64(i) * uint64(size) * 8
	return nil
}

// flexible tells whether arr, reached by p, is a flexible array: without elements and the last member of its struct.
func (p *place) flexible(arr *btf.Array) bool {
	s := p.steps[len(p.steps)-1]
	return s.name != "" && arr.Nelems == 0 && s.idx == len(members(s.in))-1
}

// matchPath finds the local path in a kernel type, following bpf_core_spec_match. Nil: it is not there.
func matchPath(kind elf.CoreKind, local *place, cand btf.Type) (*place, error) {
	p := &place{root: cand}
	switch {
	case kind == elf.CoreTypeMatches:
		if typesMatch(local.root, cand, false, maxDepth) {
			return p, nil
		}
		return nil, nil
	case isType(kind):
		if compatible(local.root, cand) {
			return p, nil
		}
		return nil, nil
	case isEnum(kind):
		e, ok := btf.UnderlyingType(cand).(*btf.Enum)
		if !ok {
			return nil, nil
		}
		name := essential(local.steps[0].name)
		for i, v := range e.Values {
			if essential(v.Name) == name {
				p.steps = []step{{e, i, v.Name}}
				return p, nil
			}
		}
		return nil, nil
	}
	next := cand
	for i, s := range local.steps {
		t := btf.UnderlyingType(next)
		if s.name != "" {
			lm := members(s.in)[s.idx]
			m, ok := p.member(t, s.name, maxAccess)
			if !ok || !fieldsCompatible(lm.Type, m.Type) {
				return nil, nil
			}
			next = m.Type
			continue
		}
		if i > 0 {
			arr, ok := t.(*btf.Array)
			if !ok || !p.flexible(arr) && s.idx >= int(arr.Nelems) {
				return nil, nil
			}
			t = btf.UnderlyingType(arr.Type)
		}
		if err := p.index(t, s.idx); err != nil {
			return nil, err
		}
		next = t
	}
	return p, nil
}

// member appends the step to the member of that name, searching anonymous structs and unions too.
func (p *place) member(t btf.Type, name string, depth int) (btf.Member, bool) {
	if depth == 0 {
		return btf.Member{}, false
	}
	for i, m := range members(t) {
		if m.Name == name {
			p.bits += uint64(m.Offset)
			p.steps = append(p.steps, step{t, i, name})
			return m, true
		}
		if m.Name == "" {
			p.bits += uint64(m.Offset)
			if found, ok := p.member(btf.UnderlyingType(m.Type), name, depth-1); ok {
				return found, true
			}
			p.bits -= uint64(m.Offset)
		}
	}
	return btf.Member{}, false
}

// calc computes the value before and after, following bpf_core_calc_relo.
func (c *core) calc(r elf.CoreReloc, local, target *place) (fix, error) {
	missing := func() string {
		return fmt.Sprintf("%s, which the kernel does not have", describe(r.Kind, local))
	}
	f := fix{validate: true}
	switch {
	case isField(r.Kind):
		l, err := fieldValue(r.Kind, local)
		if err != nil {
			return f, err
		}
		f.old, f.oldSize, f.validate = l.val, l.size, l.validate
		if target == nil {
			if r.Kind != elf.CoreFieldExists {
				f.poison = missing()
			}
			return f, nil
		}
		k, err := fieldValue(r.Kind, target)
		if err != nil {
			return f, err
		}
		f.new, f.size = k.val, k.size
		if f.size != f.oldSize && !(isPointer(l.typ) && isPointer(k.typ)) && !(isUnsigned(l.typ) && isUnsigned(k.typ)) {
			f.badSize = fmt.Sprintf("%s, which has %d bytes in the kernel and %d in the object", describe(r.Kind, local), f.size, f.oldSize)
		}
	case isEnum(r.Kind):
		if r.Kind == elf.CoreEnumvalExists {
			f.old, f.new = 1, b2u(target != nil)
			return f, nil
		}
		f.old = local.steps[0].in.(*btf.Enum).Values[local.steps[0].idx].Value
		if target == nil {
			f.poison = missing()
			return f, nil
		}
		f.new = target.steps[0].in.(*btf.Enum).Values[target.steps[0].idx].Value
	case r.Kind == elf.CoreTypeIDTarget:
		f.old, f.validate = uint64(r.TypeID), false
		if target != nil {
			id, err := c.kernel.TypeID(target.root)
			if err != nil {
				return f, err
			}
			f.new = uint64(id)
		}
	case r.Kind == elf.CoreTypeSize:
		n, err := btf.Sizeof(local.root)
		if err != nil {
			return f, err
		}
		f.old = uint64(n)
		if target != nil {
			if n, err = btf.Sizeof(target.root); err != nil {
				return f, err
			}
			f.new = uint64(n)
		}
	default: // type exists, type matches
		f.old, f.new = 1, b2u(target != nil)
	}
	return f, nil
}

// value is one side of a field relocation.
type value struct {
	val, size uint64
	typ       btf.Type
	validate  bool
}

// fieldValue follows bpf_core_calc_field_relo.
func fieldValue(kind elf.CoreKind, p *place) (value, error) {
	v := value{validate: true}
	if kind == elf.CoreFieldExists {
		v.val = 1
		return v, nil
	}
	last := p.steps[len(p.steps)-1]
	if last.name == "" {
		size, err := btf.Sizeof(last.in)
		switch {
		case err != nil:
			return v, err
		case kind == elf.CoreFieldByteOffset:
			v.val, v.typ = p.bits/8, btf.UnderlyingType(last.in)
			v.size, err = elemSize(v.typ)
			return v, err
		case kind == elf.CoreFieldByteSize:
			v.val = uint64(size)
			return v, nil
		}
		return v, fmt.Errorf("not possible for an array element")
	}
	m := members(last.in)[last.idx]
	t := btf.UnderlyingType(m.Type)
	n, err := btf.Sizeof(t)
	if err != nil {
		return v, err
	}
	size, bitSize, byteOff := uint64(n), uint64(n)*8, p.bits/8
	if m.BitfieldSize > 0 {
		v.validate = false
		bitSize = uint64(m.BitfieldSize)
		if size == 0 {
			return v, fmt.Errorf("bitfield of a type without size")
		}
		byteOff = p.bits / 8 / size * size
		for p.bits+bitSize-byteOff*8 > size*8 {
			if size >= 8 {
				return v, fmt.Errorf("a bitfield that cannot be read with one load")
			}
			size *= 2
			byteOff = p.bits / 8 / size * size
		}
	}
	switch kind {
	case elf.CoreFieldByteOffset:
		v.val = byteOff
		if m.BitfieldSize == 0 {
			v.typ = t
			v.size, err = elemSize(t)
		}
	case elf.CoreFieldByteSize:
		v.val = size
	case elf.CoreFieldSigned:
		switch t := t.(type) {
		case *btf.Enum:
			v.val = b2u(t.Signed)
		case *btf.Int:
			v.val = b2u(t.Encoding == btf.Signed)
		}
		v.validate = true
	case elf.CoreFieldLShift:
		v.val = 64 - (p.bits + bitSize - byteOff*8)
	case elf.CoreFieldRShift:
		v.val, v.validate = 64-bitSize, true
	}
	return v, err
}

// elemSize is the size of t, for arrays of their innermost elements.
func elemSize(t btf.Type) (uint64, error) {
	for range maxDepth {
		arr, ok := btf.UnderlyingType(t).(*btf.Array)
		if !ok {
			break
		}
		t = arr.Type
	}
	n, err := btf.Sizeof(t)
	return uint64(n), err
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
