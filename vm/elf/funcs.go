package elf

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// functions finds the functions of all code sections: one per function symbol, following bpf_object__add_programs.
func (r *reader) functions() error {
	type fn struct {
		section int
		sym     *elf.Symbol
	}
	var fns []fn
	total := uint64(0)
	for i := range r.syms {
		s := &r.syms[i]
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Section == elf.SHN_UNDEF || s.Section >= elf.SHN_LORESERVE {
			continue
		}
		sec := r.file.Sections[s.Section]
		if sec.Type != elf.SHT_PROGBITS || sec.Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		switch {
		case s.Size == 0 || s.Size%8 != 0 || s.Value%8 != 0:
			return fmt.Errorf("section %s: function %s at byte %d, %d bytes: expected multiples of 8", quote(sec.Name), quote(s.Name), s.Value, s.Size)
		case s.Value+s.Size < s.Value || s.Value+s.Size > sec.Size:
			return fmt.Errorf("section %s: function %s is bytes %d+%d of %d", quote(sec.Name), quote(s.Name), s.Value, s.Size, sec.Size)
		case int(s.Section) != r.text && elf.ST_BIND(s.Info) == elf.STB_LOCAL:
			return fmt.Errorf("section %s: program %s is static: only functions in .text can be", quote(sec.Name), quote(s.Name))
		}
		if total += s.Size; total > maxCode {
			return fmt.Errorf("section %s: function %s: more than %d bytes of code in all", quote(sec.Name), quote(s.Name), maxCode)
		}
		fns = append(fns, fn{int(s.Section), s})
	}
	slices.SortStableFunc(fns, func(a, b fn) int {
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.sym.Value, b.sym.Value))
	})
	programs := map[string]bool{}
	for _, f := range fns {
		sec := r.file.Sections[f.section]
		code, err := r.bytes(f.section)
		if err != nil {
			return err
		}
		at := place{f.section, f.sym.Value}
		if other, ok := r.funcAt[at]; ok {
			return fmt.Errorf("section %s: functions %s and %s are the same code", quote(sec.Name), quote(r.o.Funcs[other].Name), quote(f.sym.Name))
		}
		bind, vis := elf.ST_BIND(f.sym.Info), elf.ST_VISIBILITY(f.sym.Other)
		fu := &Func{
			Name: f.sym.Name, Section: sec.Name, Off: uint32(f.sym.Value), Code: code[f.sym.Value:][:f.sym.Size:f.sym.Size],
			Global: bind != elf.STB_LOCAL && vis != elf.STV_HIDDEN && vis != elf.STV_INTERNAL, Weak: bind == elf.STB_WEAK,
		}
		r.funcAt[at] = len(r.o.Funcs)
		r.funcsIn[f.section] = append(r.funcsIn[f.section], len(r.o.Funcs))
		if f.section != r.text {
			if programs[fu.Name] {
				return fmt.Errorf("section %s: a second program %s", quote(sec.Name), quote(fu.Name))
			}
			programs[fu.Name] = true
			p := &Program{Func: len(r.o.Funcs), Name: fu.Name, Section: sec.Name}
			p.Kind, p.Attach, p.Sleepable, p.AutoLoad = kindOf(sec.Name)
			r.o.Programs = append(r.o.Programs, p)
		}
		r.o.Funcs = append(r.o.Funcs, fu)
	}
	return nil
}

const (
	opCall    = 0x85 // BPF_JMP | BPF_CALL
	opLdImm64 = 0x18 // BPF_LD | BPF_IMM | BPF_DW

	pseudoCall  = 1 // src_reg of a call
	pseudoKfunc = 2
	pseudoFunc  = 4 // src_reg of a two-slot load
)

// relocations resolves what instructions refer to, following bpf_program__record_reloc.
func (r *reader) relocations() error {
	var done []bool
	for i, s := range r.file.Sections {
		if s.Type != elf.SHT_PROGBITS || s.Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		fns := r.funcsIn[i]
		if len(fns) == 0 {
			continue
		}
		slots := s.Size / 8
		if uint64(cap(done)) < slots {
			done = make([]bool, slots)
		}
		done = done[:slots]
		clear(done)
		err := r.eachReloc(i, func(off uint64, sym *elf.Symbol) error {
			k := sort.Search(len(fns), func(k int) bool { return uint64(r.o.Funcs[fns[k]].Off) > off }) - 1
			if k < 0 || off >= uint64(r.o.Funcs[fns[k]].Off)+uint64(len(r.o.Funcs[fns[k]].Code)) {
				return nil // code of no function
			}
			f := r.o.Funcs[fns[k]]
			if off%8 != 0 {
				return fmt.Errorf("relocation in the middle of an instruction")
			}
			slot := (off - uint64(f.Off)) / 8
			rel, err := r.resolve(f.Code[slot*8:], sym)
			if err != nil {
				return fmt.Errorf("%s, instruction %d: %w", f.Name, slot, err)
			}
			if done[off/8] {
				return fmt.Errorf("%s, instruction %d: a second relocation", f.Name, slot)
			}
			done[off/8] = true
			rel.Insn = int32(slot)
			f.Relocs = append(f.Relocs, rel)
			return nil
		})
		if err != nil {
			return err
		}
		for _, fn := range fns {
			if err := r.localCalls(r.o.Funcs[fn], i, done); err != nil {
				return err
			}
		}
	}
	return nil
}

// localCalls resolves the calls within one section, which need no relocation.
func (r *reader) localCalls(f *Func, section int, done []bool) error {
	for slot := 0; slot*8 < len(f.Code); slot++ {
		in := f.Code[slot*8:][:8]
		if in[0] == opLdImm64 {
			slot++
			continue
		}
		if in[0] != opCall || in[1]>>4 != pseudoCall || done[int(f.Off)/8+slot] {
			continue
		}
		off := int64(f.Off) + 8*(int64(slot)+1+int64(imm(in)))
		fn, ok := r.funcAt[place{section, uint64(off)}]
		if !ok {
			return fmt.Errorf("%s, instruction %d: call of byte %d of section %s, where no function starts", f.Name, slot, off, quote(f.Section))
		}
		f.Relocs = append(f.Relocs, Reloc{Insn: int32(slot), Kind: RelocCall, Index: int32(fn)})
	}
	slices.SortFunc(f.Relocs, func(a, b Reloc) int { return cmp.Compare(a.Insn, b.Insn) })
	return nil
}

func imm(insn []byte) int32 { return int32(binary.LittleEndian.Uint32(insn[4:8])) }

// resolve finds what the instruction at the start of code refers to through sym.
func (r *reader) resolve(code []byte, sym *elf.Symbol) (Reloc, error) {
	call := code[0] == opCall
	if !call && (code[0] != opLdImm64 || len(code) < 16) {
		return Reloc{}, fmt.Errorf("relocation against %s on opcode %#02x, expected a call or a two-slot load", r.symName(sym), code[0])
	}
	if sym.Section == elf.SHN_UNDEF {
		if ext, ok := r.externAt[sym]; ok {
			if call {
				return Reloc{Kind: RelocExternCall, Index: int32(ext)}, nil
			}
			return Reloc{Kind: RelocExtern, Index: int32(ext), Off: int64(imm(code))}, nil
		}
		return Reloc{}, fmt.Errorf("undefined symbol %s", r.symName(sym))
	}
	sec := int(sym.Section)
	if call {
		if code[1]>>4 != pseudoCall {
			return Reloc{}, fmt.Errorf("call of %s is not marked as a call of a BPF function (src %d)", r.symName(sym), code[1]>>4)
		}
		if sec != r.text || r.text < 0 {
			return Reloc{}, fmt.Errorf("call of %s, which is not in .text: only functions there can be called", r.symName(sym))
		}
		return r.function(RelocCall, sym, int64(sym.Value)+8*(int64(imm(code))+1))
	}
	if sym.Section >= elf.SHN_LORESERVE {
		return Reloc{}, fmt.Errorf("symbol %s is in special section %#x; is it an uninitialized common variable?", r.symName(sym), int(sym.Section))
	}
	lo := int64(imm(code))
	switch {
	case sec == r.text && (elf.ST_TYPE(sym.Info) == elf.STT_SECTION || elf.ST_TYPE(sym.Info) == elf.STT_FUNC):
		return r.function(RelocFunc, sym, int64(sym.Value)+lo)
	case sec == r.arena:
		if r.o.Arena.Map < 0 {
			return Reloc{}, fmt.Errorf("%s is in .addr_space.1, but the object has no arena map", r.symName(sym))
		}
		return r.data(RelocArena, sym, r.o.Arena.Map, lo)
	case sec == r.jumps:
		return r.jumpTable(sym, lo)
	case sec == r.maps:
		m, ok := r.mapAt[uint32(min(sym.Value, math.MaxUint32))]
		if !ok {
			return Reloc{}, fmt.Errorf("%s is no map: none is declared at byte %d of .maps", r.symName(sym), sym.Value)
		}
		return Reloc{Kind: RelocMap, Index: int32(m)}, nil
	}
	if m, ok := r.dataMap[sec]; ok {
		return r.data(RelocMapValue, sym, m, lo)
	}
	return Reloc{}, fmt.Errorf("%s is in section %s, which is neither code nor data of a program", r.symName(sym), quote(r.file.Sections[sec].Name))
}

func (r *reader) data(kind RelocKind, sym *elf.Symbol, m int, lo int64) (Reloc, error) {
	if sym.Value > maxData {
		return Reloc{}, fmt.Errorf("symbol %s at byte %d", r.symName(sym), sym.Value)
	}
	// The addend is unsigned 32-bit arithmetic in libbpf; a negative one would name bytes before the section.
	return Reloc{Kind: kind, Index: int32(m), Off: int64(uint32(int64(sym.Value) + lo))}, nil
}

// jumpTable reads the table that a symbol names, as create_jt_map does.
func (r *reader) jumpTable(sym *elf.Symbol, lo int64) (Reloc, error) {
	data, err := r.bytes(r.jumps)
	if err != nil {
		return Reloc{}, err
	}
	switch n := uint64(len(data)); {
	case lo != 0 || sym.Value%8 != 0 || sym.Size%8 != 0 || sym.Size == 0:
		return Reloc{}, fmt.Errorf("jump table %s: %d bytes at byte %d, plus %d: expected whole elements of 8 bytes", r.symName(sym), sym.Size, sym.Value, lo)
	case sym.Value > n || sym.Size > n-sym.Value:
		return Reloc{}, fmt.Errorf("jump table %s: bytes %d+%d of section .jumptables, which has %d", r.symName(sym), sym.Value, sym.Size, n)
	}
	i := slices.IndexFunc(r.o.JumpTables, func(t JumpTable) bool { return uint64(t.Off) == sym.Value })
	if i < 0 {
		t := JumpTable{Off: uint32(sym.Value)}
		for b := data[sym.Value:][:sym.Size]; len(b) > 0; b = b[8:] {
			t.Targets = append(t.Targets, binary.LittleEndian.Uint64(b))
		}
		i = len(r.o.JumpTables)
		r.o.JumpTables = append(r.o.JumpTables, t)
	}
	return Reloc{Kind: RelocJumpTable, Index: int32(i), Off: int64(sym.Value)}, nil
}

func (r *reader) function(kind RelocKind, sym *elf.Symbol, off int64) (Reloc, error) {
	fn, ok := r.funcAt[place{int(sym.Section), uint64(off)}]
	if !ok {
		return Reloc{}, fmt.Errorf("%s leads to byte %d of section %s, where no function starts", r.symName(sym), off, quote(r.file.Sections[sym.Section].Name))
	}
	return Reloc{Kind: kind, Index: int32(fn)}, nil
}

func (r *reader) symName(s *elf.Symbol) string {
	if s.Name == "" && s.Section < elf.SHN_LORESERVE {
		return "section " + quote(r.file.Sections[s.Section].Name)
	}
	return quote(strings.ToValidUTF8(s.Name, "?"))
}
