package elf

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// structOps reads the tables of .struct_ops and .struct_ops.link, following init_struct_ops_maps and
// bpf_object__collect_st_ops_relos.
func (r *reader) structOps() error {
	for i, s := range r.file.Sections {
		base, optional := strings.CutPrefix(s.Name, "?")
		if base != ".struct_ops" && base != ".struct_ops.link" || s.Type != elf.SHT_PROGBITS {
			continue
		}
		data, err := r.bytes(i)
		if err != nil {
			return err
		}
		ds, err := r.datasec(s.Name)
		if err != nil {
			return err
		}
		if ds == nil {
			return fmt.Errorf("section %s: no BTF describes it", quote(s.Name))
		}
		first := len(r.o.StructOps)
		syms := r.symbolsOf(i)
		var offs []uint64
		for _, vs := range ds.Vars {
			v, ok := vs.Type.(*btf.Var)
			if !ok {
				return fmt.Errorf("section %s: BTF lists %s, expected variables", quote(s.Name), TypeName(vs.Type))
			}
			st, ok := btf.UnderlyingType(v.Type).(*btf.Struct)
			if !ok {
				return fmt.Errorf("struct_ops %s: declared as %s, expected a struct", quote(v.Name), TypeName(v.Type))
			}
			sym := syms[v.Name]
			if sym == nil {
				return fmt.Errorf("struct_ops %s: no symbol", quote(v.Name))
			}
			if sym.Value > uint64(len(data)) || uint64(st.Size) > uint64(len(data))-sym.Value {
				return fmt.Errorf("struct_ops %s: struct %s of %d bytes at byte %d of section %s, which has %d", quote(v.Name), st.Name, st.Size, sym.Value, quote(s.Name), len(data))
			}
			so := &StructOps{Name: v.Name, Section: s.Name, Type: st, Link: strings.HasSuffix(base, ".link"), AutoCreate: !optional,
				Data: append([]byte(nil), data[sym.Value:][:st.Size]...)}
			if err := so.members(); err != nil {
				return fmt.Errorf("struct_ops %s: %w", quote(v.Name), err)
			}
			r.o.StructOps = append(r.o.StructOps, so)
			offs = append(offs, sym.Value)
		}
		err = r.eachReloc(i, func(off uint64, sym *elf.Symbol) error {
			for k, start := range offs {
				so := r.o.StructOps[first+k]
				if off < start || off >= start+uint64(len(so.Data)) {
					continue
				}
				return r.bindMember(so, uint32(off-start), sym)
			}
			return fmt.Errorf("relocation outside of any struct_ops variable")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (so *StructOps) members() error {
	for _, m := range so.Type.Members {
		if m.BitfieldSize != 0 || m.Offset%8 != 0 {
			return fmt.Errorf("member %s is a bitfield: not supported", quote(m.Name))
		}
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			return fmt.Errorf("member %s: %w", quote(m.Name), err)
		}
		off := uint64(m.Offset / 8)
		if size < 0 || off+uint64(size) > uint64(len(so.Data)) {
			return fmt.Errorf("member %s: bytes %d+%d of a struct of %d", quote(m.Name), off, size, len(so.Data))
		}
		mem := Member{Name: m.Name, Off: uint32(off), Size: uint32(size), Type: m.Type, Bytes: so.Data[off:][:size:size]}
		if p, ok := btf.UnderlyingType(m.Type).(*btf.Pointer); ok {
			_, mem.Func = btf.UnderlyingType(p.Target).(*btf.FuncProto)
		}
		so.Members = append(so.Members, mem)
	}
	return nil
}

func (r *reader) bindMember(so *StructOps, off uint32, sym *elf.Symbol) error {
	for i := range so.Members {
		m := &so.Members[i]
		if m.Off != off {
			continue
		}
		if !m.Func {
			return fmt.Errorf("struct_ops %s: member %s is %s and refers to %s; only pointers to functions can be set to symbols", quote(so.Name), m.Name, TypeName(m.Type), r.symName(sym))
		}
		at := sym.Value
		if elf.ST_TYPE(sym.Info) == elf.STT_SECTION { // the addend stands in place
			at += binary.LittleEndian.Uint64(m.Bytes)
		}
		fn, ok := r.funcAt[place{int(sym.Section), at}]
		if !ok || int(sym.Section) == r.text {
			return fmt.Errorf("struct_ops %s: member %s refers to %s, which is no program", quote(so.Name), m.Name, r.symName(sym))
		}
		clear(m.Bytes)
		m.Prog = r.o.Funcs[fn].Name
		return nil
	}
	return fmt.Errorf("struct_ops %s: relocation at byte %d, where no member starts", quote(so.Name), off)
}
