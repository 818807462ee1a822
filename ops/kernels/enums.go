package kernels

import (
	"encoding/binary"
	"fmt"
)

// Kinds of types that are needed to walk over BTF (enum BTF_KIND_*).
const (
	kindInt       = 1
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindDeclTag   = 17
	kindEnum64    = 19
)

// enumerators are the values of all enumerators in BTF by name, the first of a name, sign-extended. Of most types nobody
// asks for more: making Go values of all of them takes a tenth of the time that a small scheduler takes to load.
func enumerators(raw []byte) map[string]uint64 {
	u32 := binary.LittleEndian.Uint32
	hdr := u32(raw[4:])
	types, names := raw[hdr+u32(raw[8:]):][:u32(raw[12:])], raw[hdr+u32(raw[16:]):][:u32(raw[20:])]
	name := func(off uint32) string {
		s := names[off:]
		for i, b := range s {
			if b == 0 {
				return string(s[:i])
			}
		}
		panic("BUG: embedded BTF: a name has no end")
	}
	out := map[string]uint64{}
	add := func(off uint32, v uint64) {
		if n := name(off); n != "" {
			if _, dup := out[n]; !dup {
				out[n] = v
			}
		}
	}
	for len(types) > 0 {
		info := u32(types[4:])
		kind, n, signed := info>>24&0x1f, int(info&0xffff), info>>31 != 0
		types = types[12:]
		size := 0
		switch kind {
		case kindInt, kindVar, kindDeclTag:
			size = 4
		case kindArray:
			size = 12
		case kindStruct, kindUnion, kindDatasec:
			size = 12 * n
		case kindFuncProto:
			size = 8 * n
		case kindEnum:
			size = 8 * n
			for i := range n {
				v := uint64(u32(types[8*i+4:]))
				if signed {
					v = uint64(int64(int32(v)))
				}
				add(u32(types[8*i:]), v)
			}
		case kindEnum64:
			size = 12 * n
			for i := range n {
				add(u32(types[12*i:]), uint64(u32(types[12*i+4:]))|uint64(u32(types[12*i+8:]))<<32)
			}
		default:
			if kind > kindEnum64 {
				panic(fmt.Sprintf("BUG: embedded BTF: kind %d", kind))
			}
		}
		types = types[size:]
	}
	return out
}
