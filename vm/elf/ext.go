package elf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	"github.com/cilium/ebpf/btf"
)

// extInfo reads .BTF.ext: function types, line numbers and CO-RE relocations, each a list per section of records that begin
// with the byte offset of their instruction.
func (r *reader) extInfo() error {
	i := r.section(".BTF.ext")
	if i < 0 || r.o.BTF == nil {
		return nil
	}
	if n := r.file.Sections[i].Size; n > maxBTF {
		return fmt.Errorf("section .BTF.ext: %d bytes, at most %d are supported", n, maxBTF)
	}
	b, err := r.bytes(i)
	if err != nil {
		return err
	}
	if len(b) < 24 || binary.LittleEndian.Uint16(b) != 0xeb9f {
		return fmt.Errorf("section .BTF.ext: no little-endian header")
	}
	hdr := u32(b[4:])
	if hdr < 24 || uint64(hdr) > uint64(len(b)) {
		return fmt.Errorf("section .BTF.ext: header of %d bytes in a section of %d", hdr, len(b))
	}
	kinds := []struct {
		name string
		min  uint32
		at   int // of the offset and length in the header
		f    func(fn *Func, slot int32, rec []byte) error
	}{
		{"function info", 8, 8, r.funcInfo},
		{"line info", 16, 16, r.lineInfo},
		{"CO-RE relocations", 16, 24, r.coreInfo},
	}
	for _, k := range kinds {
		if uint32(k.at)+8 > hdr {
			continue
		}
		off, n := u32(b[k.at:]), u32(b[k.at+4:])
		if uint64(hdr)+uint64(off)+uint64(n) > uint64(len(b)) {
			return fmt.Errorf("section .BTF.ext: %s at %d, %d bytes, does not fit", k.name, off, n)
		}
		if n == 0 {
			continue
		}
		if err := r.records(b[uint64(hdr)+uint64(off):][:n], k.min, k.f); err != nil {
			return fmt.Errorf("section .BTF.ext: %s: %w", k.name, err)
		}
	}
	for _, f := range r.o.Funcs {
		slices.SortStableFunc(f.Lines, func(a, b Line) int { return cmp.Compare(a.Insn, b.Insn) })
		slices.SortStableFunc(f.Core, func(a, b CoreReloc) int { return cmp.Compare(a.Insn, b.Insn) })
	}
	return nil
}

func (r *reader) records(b []byte, minSize uint32, f func(fn *Func, slot int32, rec []byte) error) error {
	if len(b) < 4 {
		return fmt.Errorf("no record size")
	}
	size := u32(b)
	if size < minSize || size%4 != 0 {
		return fmt.Errorf("records of %d bytes, expected at least %d", size, minSize)
	}
	for b = b[4:]; len(b) > 0; {
		if len(b) < 8 {
			return fmt.Errorf("%d bytes left over", len(b))
		}
		name, err := r.btfString(u32(b))
		if err != nil {
			return err
		}
		n := uint64(u32(b[4:])) * uint64(size)
		b = b[8:]
		if n == 0 || n > uint64(len(b)) {
			return fmt.Errorf("section %s: records of %d bytes, %d are left", quote(name), n, len(b))
		}
		fns := r.funcsOf(name)
		for recs := b[:n]; len(recs) > 0; recs = recs[size:] {
			off := u32(recs)
			k := sort.Search(len(fns), func(k int) bool { return fns[k].Off > off }) - 1
			if k < 0 || uint64(off) >= uint64(fns[k].Off)+uint64(len(fns[k].Code)) {
				continue // of a function that was linked out
			}
			if off%8 != 0 {
				return fmt.Errorf("section %s: offset %d is no multiple of 8", quote(name), off)
			}
			if err := f(fns[k], int32((off-fns[k].Off)/8), recs[:size]); err != nil {
				return fmt.Errorf("section %s+%#x: %w", quote(name), off, err)
			}
		}
		b = b[n:]
	}
	return nil
}

// funcsOf are the functions of a section by address. Should a file have two sections of a name, the first is meant.
func (r *reader) funcsOf(section string) []*Func {
	fns, ok := r.named[section]
	if !ok {
		for _, fn := range r.funcsIn[r.section(section)] {
			fns = append(fns, r.o.Funcs[fn])
		}
		r.named[section] = fns
	}
	return fns
}

func (r *reader) funcInfo(fn *Func, slot int32, rec []byte) error {
	if slot != 0 {
		return fmt.Errorf("function info in the middle of %s", fn.Name)
	}
	t, err := r.o.BTF.TypeByID(btf.TypeID(u32(rec[4:])))
	if err != nil {
		return err
	}
	ft, ok := t.(*btf.Func)
	if !ok {
		return fmt.Errorf("type %d of %s is %s, expected a function", u32(rec[4:]), fn.Name, TypeName(t))
	}
	if _, ok := ft.Type.(*btf.FuncProto); !ok {
		return fmt.Errorf("type of %s is %s, expected a prototype", fn.Name, TypeName(ft.Type))
	}
	fn.Type = ft
	return nil
}

func (r *reader) lineInfo(fn *Func, slot int32, rec []byte) error {
	file, err := r.btfString(u32(rec[4:]))
	if err != nil {
		return err
	}
	text, err := r.btfString(u32(rec[8:]))
	if err != nil {
		return err
	}
	lc := u32(rec[12:])
	fn.Lines = append(fn.Lines, Line{Insn: slot, File: file, Text: text, Line: lc >> 10, Col: lc & 0x3ff})
	return nil
}

func (r *reader) coreInfo(fn *Func, slot int32, rec []byte) error {
	access, err := r.btfString(u32(rec[8:]))
	if err != nil {
		return err
	}
	fn.Core = append(fn.Core, CoreReloc{Insn: slot, TypeID: btf.TypeID(u32(rec[4:])), Access: access, Kind: CoreKind(u32(rec[12:]))})
	return nil
}
