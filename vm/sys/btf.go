package sys

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// BTF is a BTF object.
type BTF struct {
	k    *Kernel
	id   uint32
	refs int

	raw     []byte
	strings []byte    // of raw
	spec    *btf.Spec // nil until somebody asks; see types
	cold    *cold     // what raw was, once programs were compiled
	nstr    int       // bytes of strings
	module  string    // whose types they are; "": a program's
}

// ID is the object's id.
func (b *BTF) ID() uint32 { return b.id }

func (b *BTF) hold() { b.refs++ }

func (b *BTF) put() {
	if b.refs--; b.refs > 0 {
		return
	}
	b.k.btfs.remove(b.id)
}

const (
	btfHeader  = 24
	btfMaxSize = 16 << 20
)

// btfLoad follows bpf_btf_load and btf_parse.
func (c *call) btfLoad() (int64, error) {
	log, err := c.log(8, 20, 24, 28)
	if err != nil {
		return 0, err
	}
	if err := c.checkAttr(BTFLoad); err != nil {
		return 0, err
	}
	switch flags := c.u32(32); {
	case flags&^flagTokenFD != 0:
		return 0, refuse(abi.EINVAL, "flags %#x", flags)
	case flags != 0:
		return 0, c.noToken(36)
	case !c.p.Caps.BPF:
		return 0, abi.EPERM
	case c.u32(16) > btfMaxSize:
		return 0, refuse(abi.E2BIG, "BTF of %d bytes", c.u32(16))
	}
	b, err := c.parseBTF()
	if err != nil {
		log.line(err.Error())
	}
	if e := log.finish(); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, err
	}
	b.refs = 1
	b.id = c.k.btfs.add(b)
	return c.p.install(b, 0)
}

func (c *call) parseBTF() (b *BTF, err error) {
	raw, err := c.read(c.u64(0), uint64(c.u32(16)))
	if err != nil {
		return nil, err
	}
	b = &BTF{k: c.k, raw: raw}
	if b.strings, err = checkBTF(raw); err != nil {
		return nil, err
	}
	b.nstr = len(b.strings)
	// A hostile blob may upset the reader of types, which was not made for them.
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, refuse(abi.EINVAL, "malformed types (%v)", p)
		}
	}()
	if len(raw) == btfHeader+len(b.strings) { // no types
		return nil, refuse(abi.EINVAL, "No type found")
	}
	if b.spec, err = btf.LoadSpecFromReader(bytes.NewReader(raw)); err != nil {
		return nil, refuse(abi.EINVAL, "%v", err)
	}
	for _, err := range b.spec.All() { // decodes all of them
		if err != nil {
			return nil, refuse(abi.EINVAL, "%v", err)
		}
	}
	return b, nil
}

// checkBTF follows btf_parse_hdr, btf_check_sec_info and btf_parse_str_sec for headers without a layout section.
func checkBTF(raw []byte) (strings []byte, err error) {
	if len(raw) < 8 {
		return nil, refuse(abi.EINVAL, "hdr_len not found")
	}
	hdr := binary.LittleEndian.Uint32(raw[4:])
	if uint64(len(raw)) < uint64(hdr) {
		return nil, refuse(abi.EINVAL, "btf_header not found")
	}
	for _, x := range raw[min(32, int(hdr)):hdr] {
		if x != 0 {
			return nil, refuse(abi.E2BIG, "Unsupported btf_header")
		}
	}
	var h [32]byte
	copy(h[:], raw[:hdr])
	u32 := func(off int) uint64 { return uint64(binary.LittleEndian.Uint32(h[off:])) }
	switch {
	case binary.LittleEndian.Uint16(h[:]) != 0xeb9f:
		return nil, refuse(abi.EINVAL, "Invalid magic")
	case h[2] != 1:
		return nil, refuse(abi.ENOTSUPP, "Unsupported version")
	case h[3] != 0:
		return nil, refuse(abi.ENOTSUPP, "Unsupported flags")
	case len(raw) == int(hdr):
		return nil, refuse(abi.EINVAL, "No data")
	case hdr != btfHeader && u32(28) != 0:
		return nil, refuse(abi.EINVAL, "layout section: not supported")
	}
	data := uint64(len(raw)) - uint64(hdr)
	typeOff, typeLen, strOff, strLen := u32(8), u32(12), u32(16), u32(20)
	switch {
	case typeOff&3 != 0:
		return nil, refuse(abi.EINVAL, "Unaligned type_off")
	case typeOff > data || strOff > data:
		return nil, refuse(abi.EINVAL, "Invalid section offset")
	case typeOff != 0 && strOff != 0:
		return nil, refuse(abi.EINVAL, "Unsupported section found")
	case typeLen > data-typeOff || strLen > data-strOff || typeLen+strLen > data:
		return nil, refuse(abi.EINVAL, "Total section length too long")
	case typeOff == 0 && typeLen != strOff && strOff != 0, strOff == 0 && strLen != typeOff:
		return nil, refuse(abi.EINVAL, "Section overlap found")
	case typeLen+strLen != data:
		return nil, refuse(abi.EINVAL, "Unsupported section found")
	case strOff+strLen != data:
		return nil, refuse(abi.EINVAL, "String section is not at the end")
	case strLen == 0 || raw[len(raw)-1] != 0 || raw[uint64(hdr)+strOff] != 0:
		return nil, refuse(abi.EINVAL, "Invalid string section")
	case typeLen == 0:
		return nil, refuse(abi.EINVAL, "No type found")
	}
	return raw[uint64(hdr)+strOff:], nil
}

// rest lets go of what is only asked for while programs and maps are made.
func (b *BTF) rest() {
	b.spec = nil
	if b.cold == nil {
		c := freeze(b.raw)
		b.cold, b.raw, b.strings = &c, nil, nil
	}
}

// bytes are the object's bytes.
func (b *BTF) bytes() []byte {
	if b.cold != nil {
		return b.cold.bytes()
	}
	return b.raw
}

// types are the types as Go values. They are several times as large as the object's bytes.
func (b *BTF) types() *btf.Spec {
	if b.spec == nil {
		var err error
		if b.spec, err = btf.LoadSpecFromReader(bytes.NewReader(b.bytes())); err != nil {
			panic(fmt.Sprintf("BUG: BTF %d: %v", b.id, err))
		}
	}
	return b.spec
}

// hasString tells whether there is a string at off of the string section.
func (b *BTF) hasString(off uint32) bool { return uint64(off) < uint64(b.nstr) }

// string is the string at off of the string section, not ok if off lies outside.
func (b *BTF) string(off uint32) (string, bool) {
	if !b.hasString(off) {
		return "", false
	}
	s := b.strings
	if b.cold != nil {
		raw := b.cold.bytes()
		s = raw[len(raw)-b.nstr:]
	}
	s = s[off:]
	return string(s[:bytes.IndexByte(s, 0)]), true
}

// typ is the type with the id, an error if there is none.
func (b *BTF) typ(id uint32) (btf.Type, error) {
	t, err := b.types().TypeByID(btf.TypeID(id))
	if err != nil {
		return nil, refuse(abi.EINVAL, "type id %d: not known", id)
	}
	return t, nil
}

// sized follows btf_type_id_size.
func (b *BTF) sized(id uint32, want uint32) (btf.Type, error) {
	t, err := b.typ(id)
	if err != nil {
		return nil, err
	}
	n := 0
	if ds, ok := t.(*btf.Datasec); ok {
		n = int(ds.Size)
	} else if n, err = btf.Sizeof(t); err != nil {
		return nil, refuse(abi.EINVAL, "type id %d: %v", id, err)
	}
	if uint64(n) != uint64(want) {
		return nil, refuse(abi.EINVAL, "type id %d has %d bytes, %d are expected", id, n, want)
	}
	return t, nil
}

// checkMap follows map_check_btf: sizes and sorts of key and value, and the special fields of the value.
func (b *BTF) checkMap(m *Map) error {
	var key btf.Type
	var err error
	if m.keyType != 0 {
		if key, err = b.sized(m.keyType, m.spec.KeySize); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		key = btf.UnderlyingType(key)
	}
	v, err := b.sized(m.valueType, m.spec.ValueSize)
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if err := checkKey(m, key, v); err != nil {
		return err
	}
	m.spec.Fields, err = specialFields(v)
	return err
}

// checkKey follows the map_check_btf functions of the map types. key is nil for a map without.
func checkKey(m *Map, key, value btf.Type) error {
	i, isInt := key.(*btf.Int)
	i32 := isInt && i.Size == 4
	ok := true
	switch m.spec.Type {
	case maps.TypeProgArray, maps.TypePerfEventArray, maps.TypeArrayOfMaps, maps.TypeHashOfMaps:
		return refuse(abi.ENOTSUPP, "maps of type %s have no types", m.spec.Type)
	case maps.TypeInsnArray: // whose values are larger than the 64-bit numbers that they have to be
		ok = false
	case maps.TypeArray:
		_, section := value.(*btf.Datasec)
		ok = i32 || key == nil && m.spec.MaxEntries == 1 && section
	case maps.TypePerCPUArray, maps.TypeTaskStorage, maps.TypeCgrpStorage:
		ok = i32
	case maps.TypeLPMTrie:
		_, ok = key.(*btf.Struct)
	case maps.TypeBloomFilter:
		ok = key == nil
	case maps.TypeQueue, maps.TypeStack, maps.TypeRingBuf, maps.TypeUserRingBuf, maps.TypeCgroupArray:
		ok = key != nil
	}
	if !ok {
		return refuse(abi.EINVAL, "type of the key does not fit a map of type %s", m.spec.Type)
	}
	return nil
}
