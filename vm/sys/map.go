package sys

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
)

// Map is a map object.
type Map struct {
	k  *Kernel
	id uint32
	// refs are those of descriptors, pins, programs, links and registrations; users those of descriptors and pins alone.
	refs, users int

	name  string
	flags uint32
	extra uint64
	spec  maps.Spec
	m     maps.Map  // nil for a struct_ops map
	ops   *opsMap   // nil for others
	view  *link.Map // what constant folding sees, made when asked for
	inner *link.Map // what the verifier sees of the template of a map of maps

	btf                             *BTF
	keyType, valueType, vmlinuxType uint32
	frozen                          bool
	// owner is what the programs of a prog_array, and those that use it, have in common; nil: there was none yet.
	owner *progOwner
}

// ID is the map's id.
func (m *Map) ID() uint32 { return m.id }

// Name is the name that MAP_CREATE gave.
func (m *Map) Name() string { return m.name }

// Maps is the map itself, nil for a struct_ops map.
func (m *Map) Maps() maps.Map { return m.m }

// Frozen tells that user space may not write (BPF_MAP_FREEZE).
func (m *Map) Frozen() bool { return m.frozen }

func (m *Map) hold() {
	if m.refs++; m.refs == 1 && m.m != nil { // only a map of maps held it
		m.k.table.Hold(m.m)
	}
}

// put follows bpf_map_put. A map of maps may still hold the map; then the object lives on, without references.
func (m *Map) put() {
	switch m.refs--; {
	case m.refs > 0:
		return
	case m.refs < 0:
		panic("BUG: map " + m.name + " is dropped too often")
	case m.ops != nil:
		m.ops.free()
		m.free()
		return
	}
	m.k.table.Put(m.m)
	m.k.idle = append(m.k.idle, m)
}

// putUser follows bpf_map_put_uref: without user space, nothing that runs by itself stays armed.
func (m *Map) putUser() {
	if m.users--; m.users == 0 && m.m != nil {
		maps.ReleaseUser(m.m)
	}
}

// sweep frees the objects of maps that nothing holds any more.
func (k *Kernel) sweep() {
	k.reap()
	for again := true; again && len(k.idle) > 0; {
		again = false
		list := k.idle
		k.idle = nil
		for _, m := range list {
			switch {
			case m.refs > 0:
			case k.table.At(m.m.Info().Addr) == m.m:
				k.idle = append(k.idle, m)
			default:
				m.free()
				again = true
			}
		}
	}
}

// free forgets the object.
func (m *Map) free() {
	m.k.maps.remove(m.id)
	if m.btf != nil {
		m.btf.put()
	}
}

// Attributes of MAP_CREATE.
const (
	atMapType     = 0
	atKeySize     = 4
	atValueSize   = 8
	atMaxEntries  = 12
	atMapFlags    = 16
	atInnerMapFD  = 20
	atNUMANode    = 24
	atMapName     = 28
	atMapIfindex  = 44
	atMapBTF      = 48
	atKeyType     = 52
	atValueType   = 56
	atVmlinuxType = 60
	atMapExtra    = 64
	atMapToken    = 76
	atExclHash    = 80
	atExclSize    = 88
)

// mapCreate follows map_create.
func (c *call) mapCreate() (int64, error) {
	log, err := c.commonLog()
	if err != nil {
		return 0, err
	}
	m, err := c.newMap()
	if err != nil {
		log.line(err.Error())
	}
	if e := log.finish(); e != nil {
		if m != nil {
			m.refs, m.users = 1, 1
			m.putUser()
			m.put()
		}
		return 0, e
	}
	if err != nil {
		return 0, err
	}
	m.refs, m.users = 1, 1
	return c.p.install(m, c.u32(atMapFlags))
}

// newMap follows map_create_alloc. The new map has its id, but no reference.
func (c *call) newMap() (*Map, error) {
	if err := c.checkAttr(MapCreate); err != nil {
		return nil, err
	}
	typ, flags := maps.Type(c.u32(atMapType)), c.u32(atMapFlags)
	token := flags&flagTokenFD != 0
	flags &^= flagTokenFD
	switch {
	case c.u32(atVmlinuxType) != 0 && typ != TypeStructOps:
		return nil, refuse(abi.EINVAL, "btf_vmlinux_value_type_id can only be used with struct_ops maps.")
	case c.u32(atVmlinuxType) != 0 && (c.u32(atKeyType) != 0 || c.u32(atValueType) != 0):
		return nil, refuse(abi.EINVAL, "btf_vmlinux_value_type_id is mutually exclusive with btf_key_type_id and btf_value_type_id.")
	case c.u32(atKeyType) != 0 && c.u32(atValueType) == 0:
		return nil, refuse(abi.EINVAL, "Invalid btf_value_type_id.")
	case c.u64(atMapExtra) != 0 && typ != maps.TypeBloomFilter && typ != maps.TypeRHash && typ != typeArena:
		return nil, refuse(abi.EINVAL, "Invalid map_extra.")
	case flags&flagNuma != 0 && c.u32(atNUMANode) != 1<<32-1 && c.u32(atNUMANode) >= max(c.k.opt.Nodes, 1):
		return nil, refuse(abi.EINVAL, "Invalid numa_node.")
	case typ == 0 || typ >= nrMapTypes:
		return nil, refuse(abi.EINVAL, "Invalid map_type.")
	case token:
		return nil, c.noToken(atMapToken)
	case !c.p.Caps.BPF:
		return nil, abi.EPERM
	case c.u32(atMapIfindex) != 0:
		return nil, refuse(abi.EINVAL, "map_ifindex %d: there are no network devices", c.u32(atMapIfindex))
	case flags&objFlagMask == objFlagMask:
		return nil, refuse(abi.EINVAL, "both read-only and write-only")
	}
	name, nameErr := c.name(atMapName)
	m := &Map{k: c.k, name: name, flags: flags &^ objFlagMask, extra: c.u64(atMapExtra), keyType: c.u32(atKeyType), valueType: c.u32(atValueType), vmlinuxType: c.u32(atVmlinuxType)}
	m.spec = maps.Spec{Name: name, Type: typ, KeySize: c.u32(atKeySize), ValueSize: c.u32(atValueSize), MaxEntries: c.u32(atMaxEntries),
		Flags: flags, Extra: m.extra}
	var err error
	if typ == TypeStructOps {
		err = m.checkOps(c.u32(atVmlinuxType), flags)
	} else if err = c.innerSpec(m, typ); err == nil {
		err = m.spec.Check() // sizes and flags go before names and types
	}
	switch {
	case err != nil:
		return nil, err
	case nameErr != nil:
		return nil, nameErr
	case c.u64(atExclHash) != 0 || c.u32(atExclSize) != 0:
		return nil, refuse(abi.EINVAL, "Invalid excl_prog_hash_size.")
	}
	if m.keyType != 0 || m.valueType != 0 || m.vmlinuxType != 0 {
		b, _, err := fdObject[*BTF](c.p, c.fd(atMapBTF))
		if err != nil {
			return nil, err
		}
		if m.valueType != 0 {
			if err := b.checkMap(m); err != nil {
				return nil, err
			}
		}
		m.btf = b
	}
	if typ != TypeStructOps {
		if m.m, err = c.k.table.New(m.spec); err != nil {
			return nil, err
		}
	}
	if m.btf != nil {
		m.btf.hold()
	}
	m.id = c.k.maps.add(m)
	if m.m != nil {
		m.m.Info().ID = m.id
		m.flags |= m.m.Info().Flags & maps.FlagRdonlyProg // which some types have by themselves
	}
	return m, nil
}

const (
	typeArena  maps.Type = 33
	nrMapTypes maps.Type = 36
)

// innerSpec sets the template of a map of maps. It follows bpf_map_meta_alloc.
func (c *call) innerSpec(m *Map, typ maps.Type) error {
	if typ != maps.TypeArrayOfMaps && typ != maps.TypeHashOfMaps {
		return nil
	}
	in, _, err := fdObject[*Map](c.p, c.fd(atInnerMapFD))
	switch {
	case err != nil:
		return err
	case in.m == nil:
		return refuse(abi.ENOTSUPP, "map %q cannot be an inner map", in.name)
	case in.spec.Inner != nil:
		return refuse(abi.EINVAL, "map %q is a map of maps itself", in.name)
	}
	inner := in.spec
	inner.Data = nil
	m.spec.Inner, m.inner = &inner, in.verifierView()
	return nil
}

// mapFreeze follows map_freeze.
func (c *call) mapFreeze() (int64, error) {
	if err := c.checkAttr(MapFreeze); err != nil {
		return 0, err
	}
	m, f, err := fdObject[*Map](c.p, c.fd(0))
	switch {
	case err != nil:
		return 0, err
	case m.ops != nil || len(m.spec.Fields) > 0:
		return 0, refuse(abi.ENOTSUPP, "map %q cannot be frozen", m.name)
	case !f.write || m.frozen:
		return 0, refuse(abi.EPERM, "map %q cannot be written", m.name)
	}
	if e := maps.Freeze(m.m); e != 0 {
		return 0, e
	}
	m.frozen, m.view = true, nil
	return 0, nil
}

// foldView is what constant folding may use of the map: data that nobody can change.
func (m *Map) foldView() *link.Map {
	if m.view == nil {
		m.view = &link.Map{Name: m.name, ValueSize: m.spec.ValueSize}
		if a, ok := m.m.(*maps.Array); ok && m.frozen && m.flags&maps.FlagRdonlyProg != 0 && m.spec.MaxEntries == 1 {
			m.view.Frozen, m.view.Data = true, a.Data()
		}
	}
	return m.view
}
