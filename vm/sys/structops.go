package sys

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/keep"
)

// StructOpsType is a struct of callbacks that programs can implement: struct bpf_struct_ops of the kernel, whose provider
// is the part of the kernel that calls them. Errors of its functions may wrap an abi.Errno; EINVAL is meant otherwise.
type StructOpsType struct {
	// Name is the struct's ("sched_ext_ops").
	Name string
	// Members are all members in the order of the struct, whose index programs name as their attach type. Nil: those that
	// vmlinux's BTF tells; Size is the size of the struct then too.
	Members []StructOpsMember
	Size    uint32
	// CheckMember tells whether a program may implement a member; nil: any may. The log has said already which member.
	CheckMember func(m *StructOpsMember, p *Prog) error
	// InitMember takes a member of the value that is no program. Not handled: it must be zero. Nil: all must be.
	InitMember func(s *StructOps, m *StructOpsMember, data []byte) (handled bool, err error)
	// Reg registers a complete value, Unreg ends that.
	Reg   func(s *StructOps) error
	Unreg func(s *StructOps)
	// Update replaces a registered value by another one; nil: that is not supported.
	Update func(new, old *StructOps) error
}

// StructOpsMember is one member of a struct of callbacks.
type StructOpsMember struct {
	Name      string
	Index     int
	Off, Size uint32
	Func      bool
}

// StructOps is a value of a StructOpsType: a table of programs with its other members.
type StructOps struct {
	Type *StructOpsType
	// MapID is the id of the map that holds the value.
	MapID uint32
	// Progs are the programs by index of their members, nil where there is none.
	Progs []*Prog
	// Data is the provider's: what InitMember made of the other members.
	Data any
}

// stopsType is a type with its ids.
type stopsType struct {
	*StructOpsType
	id, valueID uint32
	valueSize   uint32
}

// dataOff is the layout of a map's value: struct bpf_struct_ops_common_value, then the struct in a cache
// line of its own.
const dataOff = 64

// Synthetic ids for types that vmlinux's BTF lacks: value types, and whole types where there is no BTF.
const (
	firstStructOps = 0xff000
	firstValueType = 0xff800
)

func (k *Kernel) initStructOps() error {
	for i, t := range k.opt.StructOps {
		s := stopsType{StructOpsType: t, id: firstStructOps + uint32(i), valueID: firstValueType + uint32(i)}
		if st, id := k.structByName(t.Name); st != nil {
			s.id = id
			if t.Members == nil {
				t.Members, t.Size = membersOf(st), st.Size
			}
		}
		if _, id := k.structByName("bpf_struct_ops_" + t.Name); id != 0 {
			s.valueID = id
		}
		if t.Members == nil {
			return fmt.Errorf("struct_ops type %s: the kernel's BTF does not have it", t.Name)
		}
		s.valueSize = (dataOff + t.Size + dataOff - 1) &^ (dataOff - 1)
		k.stops = append(k.stops, s)
	}
	return nil
}

func (k *Kernel) structByName(name string) (*btf.Struct, uint32) {
	if k.opt.BTF == nil {
		return nil, 0
	}
	var st *btf.Struct
	if k.opt.BTF.TypeByName(name, &st) != nil {
		return nil, 0
	}
	id, err := k.opt.BTF.TypeID(st)
	if err != nil {
		return nil, 0
	}
	return st, uint32(id)
}

func membersOf(st *btf.Struct) []StructOpsMember {
	out := keep.Slice[StructOpsMember](len(st.Members))
	for i, m := range st.Members {
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			size = 0
		}
		f := false
		if p, ok := btf.UnderlyingType(m.Type).(*btf.Pointer); ok {
			_, f = btf.UnderlyingType(p.Target).(*btf.FuncProto)
		}
		out = append(out, StructOpsMember{Name: m.Name, Index: i, Off: m.Offset.Bytes(), Size: uint32(size), Func: f})
	}
	return out
}

// StructOpsIDs are the numbers by which loaders name a struct_ops type: the BTF ids of the struct and of the map's value,
// and that value's size. In vmlinux's BTF the value is struct bpf_struct_ops_NAME.
type StructOpsIDs struct {
	Type, Value, ValueSize uint32
	// DataOff is where the struct lies in the value.
	DataOff uint32
}

// StructOps finds a type of struct_ops.
func (k *Kernel) StructOps(name string) (*StructOpsType, StructOpsIDs, bool) {
	for _, s := range k.stops {
		if s.Name == name {
			return s.StructOpsType, StructOpsIDs{s.id, s.valueID, s.valueSize, dataOff}, true
		}
	}
	return nil, StructOpsIDs{}, false
}

// attachStructOps follows check_struct_ops_btf_id.
func (k *checker) attachStructOps() error {
	p := k.p
	if !p.gpl {
		return refuse(abi.EINVAL, "struct ops programs must have a GPL compatible license")
	}
	if p.attachBTF == 0 {
		return refuse(abi.ENOTSUPP, "attach_btf_id 0")
	}
	for _, t := range k.c.k.stops {
		if t.id != p.attachBTF {
			continue
		}
		if uint64(p.attachType) >= uint64(len(t.Members)) {
			return refuse(abi.EINVAL, "attach to invalid member idx %d of struct %s", p.attachType, t.Name)
		}
		m := &t.Members[p.attachType]
		if !m.Func {
			return refuse(abi.EINVAL, "attach to invalid member %s(@idx %d) of struct %s", m.Name, m.Index, t.Name)
		}
		k.lp.Attach = m.Name
		k.lp.Section += "/" + m.Name
		p.stType, p.stMember = t.StructOpsType, m.Index
		if t.CheckMember != nil {
			if err := t.CheckMember(m, p); err != nil {
				return &refusal{Errno(err), fmt.Sprintf("%v (attach to unsupported member %s of struct %s)", err, m.Name, t.Name)}
			}
		}
		return nil
	}
	return refuse(abi.ENOTSUPP, "attach_btf_id %d is not a supported struct", p.attachBTF)
}

// opsState is enum bpf_struct_ops_state.
type opsState uint32

const (
	stateInit opsState = iota
	stateInUse
	stateToBeFree
	stateReady
)

// opsMap is what a struct_ops map has.
type opsMap struct {
	m     *Map
	typ   stopsType
	state opsState
	user  []byte // the value as user space reads it back: ids of programs
	value *StructOps
}

// checkOps follows bpf_struct_ops_map_alloc_check and bpf_struct_ops_map_alloc.
func (m *Map) checkOps(id, flags uint32) error {
	if m.spec.KeySize != 4 || m.spec.MaxEntries != 1 || flags&^(FlagLink|flagVType) != 0 || id == 0 {
		return refuse(abi.EINVAL, "not the sizes and flags of a struct_ops map")
	}
	if flags&flagVType != 0 {
		return refuse(abi.EINVAL, "there are no modules")
	}
	for _, t := range m.k.stops {
		if t.valueID != id {
			continue
		}
		if m.spec.ValueSize != t.valueSize {
			return refuse(abi.EINVAL, "value size %d, struct bpf_struct_ops_%s has %d", m.spec.ValueSize, t.Name, t.valueSize)
		}
		m.ops = &opsMap{m: m, typ: t, user: make([]byte, t.valueSize)}
		return nil
	}
	return refuse(abi.ENOTSUPP, "type id %d is no struct_ops value", id)
}

// lookup follows bpf_struct_ops_map_sys_lookup_elem.
func (o *opsMap) lookup(key []byte) ([]byte, error) {
	if binary.LittleEndian.Uint32(key) != 0 {
		return nil, abi.ENOENT
	}
	out := make([]byte, len(o.user))
	if o.state == stateInit {
		return out, nil
	}
	copy(out, o.user)
	binary.LittleEndian.PutUint32(out, uint32(max(o.m.refs-o.m.users, 0)))
	binary.LittleEndian.PutUint32(out[4:], uint32(o.state))
	return out, nil
}

// nextKey follows bpf_struct_ops_map_get_next_key.
func (o *opsMap) nextKey(key, next []byte) error {
	if key != nil && binary.LittleEndian.Uint32(key) == 0 {
		return abi.ENOENT
	}
	clear(next)
	return nil
}

// update follows bpf_struct_ops_map_update_elem.
func (o *opsMap) update(c *call, key, value []byte, flags uint64) error {
	switch {
	case flags != 0:
		return refuse(abi.EINVAL, "flags %#x", flags)
	case binary.LittleEndian.Uint32(key) != 0:
		return abi.E2BIG
	case !o.zeroHoles(value), binary.LittleEndian.Uint64(value) != 0:
		return refuse(abi.EINVAL, "struct %s: bytes outside of its members are not zero", o.typ.Name)
	case o.state != stateInit:
		return abi.EBUSY
	}
	v := &StructOps{Type: o.typ.StructOpsType, MapID: o.m.id, Progs: make([]*Prog, len(o.typ.Members))}
	o.user = append(o.user[:0], value...)
	err := o.fill(c, v)
	if err == nil && o.m.flags&FlagLink == 0 && o.typ.Reg != nil {
		err = o.typ.Reg(v)
	}
	if err != nil {
		dropProgs(v)
		clear(o.user)
		return err
	}
	o.value, o.state = v, stateReady
	if o.m.flags&FlagLink == 0 {
		o.state = stateInUse
		o.m.hold()
	}
	return nil
}

// fill resolves the members of o.user.
func (o *opsMap) fill(c *call, v *StructOps) error {
	for i := range o.typ.Members {
		m := &o.typ.Members[i]
		data := o.user[dataOff+m.Off:][:m.Size]
		if o.typ.InitMember != nil {
			handled, err := o.typ.InitMember(v, m, data)
			if err != nil {
				return &refusal{Errno(err), fmt.Sprintf("struct %s, member %s: %v", o.typ.Name, m.Name, err)}
			}
			if handled {
				continue
			}
		}
		if !m.Func {
			for _, b := range data {
				if b != 0 {
					return refuse(abi.EINVAL, "struct %s, member %s: must be zero", o.typ.Name, m.Name)
				}
			}
			continue
		}
		fd := int(int32(binary.LittleEndian.Uint64(data)))
		if fd == 0 {
			continue
		}
		p, _, err := fdObject[*Prog](c.p, fd)
		if err != nil {
			return err
		}
		if p.typ != ProgTypeStructOps || p.stType != o.typ.StructOpsType || p.stMember != i {
			return refuse(abi.EINVAL, "struct %s, member %s: program %s was not loaded for it", o.typ.Name, m.Name, p.Name())
		}
		p.hold()
		v.Progs[i] = p
		binary.LittleEndian.PutUint64(data, uint64(p.id))
	}
	return nil
}

// zeroHoles follows check_zero_holes, for the value and the struct in it.
func (o *opsMap) zeroHoles(value []byte) bool {
	zero := func(from, to uint32) bool {
		for _, b := range value[min(from, to):to] {
			if b != 0 {
				return false
			}
		}
		return true
	}
	end := uint32(0)
	for _, m := range o.typ.Members {
		if m.Off > end && !zero(dataOff+end, dataOff+m.Off) {
			return false
		}
		end = m.Off + m.Size
	}
	return zero(8, dataOff) && zero(dataOff+end, uint32(len(value)))
}

func dropProgs(v *StructOps) {
	for i, p := range v.Progs {
		if p != nil {
			v.Progs[i] = nil
			p.put()
		}
	}
}

// delete follows bpf_struct_ops_map_delete_elem.
func (o *opsMap) delete() error {
	if o.m.flags&FlagLink != 0 {
		return abi.EOPNOTSUPP
	}
	switch o.state {
	case stateInUse:
		o.state = stateToBeFree
		o.unreg()
		o.m.put()
		return nil
	case stateToBeFree:
		return abi.EINPROGRESS
	}
	return abi.ENOENT
}

func (o *opsMap) unreg() {
	if o.typ.Unreg != nil {
		o.typ.Unreg(o.value)
	}
}

// free drops the programs when the map goes.
func (o *opsMap) free() {
	if o.value != nil {
		dropProgs(o.value)
		o.value = nil
	}
}

// Value is the value of a struct_ops map, nil while it has none and for other maps.
func (m *Map) Value() *StructOps {
	if m.ops == nil {
		return nil
	}
	return m.ops.value
}
