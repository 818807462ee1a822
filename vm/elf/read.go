package elf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Limits on what a file may ask for; far above anything that a compiler makes of a scheduler.
const (
	maxContents = 256 << 20 // bytes read from the file
	maxBTF      = 16 << 20  // bytes of .BTF and of .BTF.ext
	maxSymbols  = 1 << 20
	maxCode     = 64 << 20 // bytes of code in all functions
	maxString   = 64 << 10 // bytes of a name or source line
	maxData     = 1 << 31  // bytes of one data section, as it will be in memory
)

const machineBPF = 247 // EM_BPF

// reader is the state of one Read.
type reader struct {
	o        *Object
	file     *elf.File
	ra       io.ReaderAt
	syms     []elf.Symbol // syms[i] is symbol i+1 of the file
	budget   uint64       // bytes that may still be read
	contents map[int][]byte
	strings  string // of .BTF; everything named there is a part of it

	interned map[uint32]string
	text     int         // index of section .text, -1
	maps     int         // index of section .maps, -1
	arena    int         // index of section .addr_space.1, -1
	jumps    int         // index of section .jumptables, -1
	dataMap  map[int]int // section index -> index in o.Maps
	mapAt    map[uint32]int
	funcAt   map[place]int
	funcsIn  map[int][]int // section index -> functions by address
	named    map[string][]*Func
	externAt map[*elf.Symbol]int // index in o.Externs
}

// place is a position in a section.
type place struct {
	section int
	off     uint64
}

// Read reads an object file. The name is used in messages and as the object's name.
func Read(name string, r io.ReaderAt) (o *Object, err error) {
	// cilium's btf package builds types from offsets in the file. It is fuzzed by its authors, but a panic on a hostile file
	// would take down the program that merely looks at it.
	defer func() {
		if p := recover(); p != nil {
			if s, ok := p.(string); ok && strings.HasPrefix(s, "BUG: ") {
				panic(p)
			}
			o, err = nil, fmt.Errorf("%s: malformed BTF (%v)", name, p)
		}
	}()
	rd := &reader{o: &Object{Name: name}, budget: maxContents, contents: map[int][]byte{}, interned: map[uint32]string{}, text: -1, maps: -1, arena: -1, jumps: -1,
		dataMap: map[int]int{}, mapAt: map[uint32]int{}, funcAt: map[place]int{}, funcsIn: map[int][]int{}, named: map[string][]*Func{}, externAt: map[*elf.Symbol]int{}}
	if err := rd.read(r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rd.o, nil
}

func (r *reader) read(ra io.ReaderAt) error {
	f, err := elf.NewFile(ra)
	if err != nil {
		return explain(ra, err)
	}
	r.file, r.ra = f, ra
	switch {
	case f.Class != elf.ELFCLASS64:
		return fmt.Errorf("%s object, a BPF object is 64-bit", f.Class)
	case f.Data != elf.ELFDATA2LSB:
		return fmt.Errorf("big-endian object: only little-endian ones are supported")
	case f.Type != elf.ET_REL:
		return fmt.Errorf("file of type %s, a BPF object is relocatable (ET_REL)", f.Type)
	case f.Machine != machineBPF && f.Machine != elf.EM_NONE:
		return fmt.Errorf("machine %s, expected BPF", f.Machine)
	}
	if err := r.symbols(); err != nil {
		return err
	}
	if err := r.license(); err != nil {
		return err
	}
	if err := r.readBTF(); err != nil {
		return err
	}
	for _, step := range []func() error{r.dataSections, r.externs, r.declaredMaps, r.functions, r.mapSlots, r.structOps,
		r.relocations, r.extInfo} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) symbols() error {
	for i, s := range r.file.Sections {
		switch {
		case s.Type == elf.SHT_SYMTAB && s.FileSize/24 > maxSymbols:
			return fmt.Errorf("section %s: %d symbols, at most %d are supported", quote(s.Name), s.FileSize/24, maxSymbols)
		case s.Name == ".text" && s.Flags&elf.SHF_EXECINSTR != 0:
			r.text = i
		case s.Name == ".maps":
			r.maps = i
		case s.Name == ".addr_space.1":
			r.arena = i
		case s.Name == ".jumptables":
			r.jumps = i
		case s.Name == "maps" || strings.HasPrefix(s.Name, "maps/"):
			return fmt.Errorf("section %s: legacy map definitions are not supported, use BTF-defined maps in .maps", quote(s.Name))
		}
	}
	syms, err := r.file.Symbols()
	if err != nil {
		if s := r.file.SectionByType(elf.SHT_SYMTAB); s != nil {
			err = r.missing(s, err)
		}
		return fmt.Errorf("symbol table: %w", err)
	}
	for i, s := range syms {
		if int(s.Section) >= len(r.file.Sections) && s.Section < elf.SHN_LORESERVE {
			return fmt.Errorf("symbol %s (%d): section %d does not exist", quote(s.Name), i+1, s.Section)
		}
	}
	r.syms = syms
	return nil
}

// symbol is symbol number n of the file.
func (r *reader) symbol(n uint32) (*elf.Symbol, error) {
	if n == 0 || int64(n) > int64(len(r.syms)) {
		return nil, fmt.Errorf("symbol %d does not exist (the file has %d)", n, len(r.syms))
	}
	return &r.syms[n-1], nil
}

// bytes are the contents of a section in the file.
func (r *reader) bytes(i int) ([]byte, error) { return r.contentsOf(i, false) }

// variables are the contents of a section of variables; zeros at the end of a large one are left out.
func (r *reader) variables(i int) ([]byte, error) {
	return r.contentsOf(i, r.file.Sections[i].Size >= sparseSize)
}

func (r *reader) contentsOf(i int, sparse bool) ([]byte, error) {
	s := r.file.Sections[i]
	if b, ok := r.contents[i]; ok {
		return b, nil
	}
	switch {
	case s.Type == elf.SHT_NOBITS:
		return nil, fmt.Errorf("section %s has no contents", quote(s.Name))
	case s.Flags&elf.SHF_COMPRESSED != 0:
		return nil, fmt.Errorf("section %s is compressed: not supported", quote(s.Name))
	case s.Size > r.budget:
		return nil, fmt.Errorf("section %s: %d bytes: the sections of an object may have %d bytes together", quote(s.Name), s.Size, maxContents)
	}
	read := s.Data
	if sparse {
		read = func() ([]byte, error) { return readSparse(s) }
	}
	b, err := read()
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", quote(s.Name), r.missing(s, err))
	}
	r.budget -= s.Size
	if !sparse {
		r.contents[i] = b
	}
	return b, nil
}

// section is the index of the section with a name, -1 if there is none.
func (r *reader) section(name string) int {
	return slices.IndexFunc(r.file.Sections, func(s *elf.Section) bool { return s.Name == name })
}

func (r *reader) license() error {
	i := r.section("license")
	if i < 0 {
		return nil
	}
	b, err := r.bytes(i)
	if err != nil {
		return err
	}
	if b, _, _ = bytes.Cut(b, []byte{0}); len(b) > 127 {
		return fmt.Errorf("section \"license\": %d bytes, expected at most 127", len(b))
	}
	r.o.License = string(b)
	return nil
}

// readBTF reads .BTF. The blob is parsed alone, without the ELF file around it: offsets of variables come from symbols.
func (r *reader) readBTF() error {
	i := r.section(".BTF")
	if i < 0 {
		return nil
	}
	if n := r.file.Sections[i].Size; n > maxBTF {
		return fmt.Errorf("section .BTF: %d bytes, at most %d are supported", n, maxBTF)
	}
	b, err := r.bytes(i)
	if err != nil {
		return err
	}
	if len(b) < 24 || binary.LittleEndian.Uint16(b) != 0xeb9f {
		return fmt.Errorf("section .BTF: no little-endian BTF header")
	}
	hdr, off, n := u32(b[4:]), u32(b[16:]), u32(b[20:])
	if end := uint64(hdr) + uint64(off) + uint64(n); end > uint64(len(b)) {
		return fmt.Errorf("section .BTF: strings end at %d of %d bytes", end, len(b))
	}
	r.strings = string(b[uint64(hdr)+uint64(off):][:n])
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("section .BTF: %w", err)
	}
	r.o.BTF = spec
	return nil
}

// btfString is the string at an offset of .BTF.
func (r *reader) btfString(off uint32) (string, error) {
	if uint64(off) >= uint64(len(r.strings)) {
		return "", fmt.Errorf("string offset %d of %d", off, len(r.strings))
	}
	if s, ok := r.interned[off]; ok {
		return s, nil
	}
	s := r.strings[off:]
	n := strings.IndexByte(s[:min(len(s), maxString)], 0)
	if n < 0 {
		return "", fmt.Errorf("string at offset %d has no end within %d bytes", off, maxString)
	}
	r.interned[off] = s[:n]
	return s[:n], nil
}

// datasec is the BTF of a data section, nil if there is none.
func (r *reader) datasec(name string) (*btf.Datasec, error) {
	if r.o.BTF == nil {
		return nil, nil
	}
	types, err := r.o.BTF.AnyTypesByName(name)
	if err != nil {
		if isNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("BTF of section %s: %w", quote(name), err)
	}
	for _, t := range types {
		if ds, ok := t.(*btf.Datasec); ok && ds.Name == name {
			return ds, nil
		}
	}
	return nil, nil
}

// symbolsOf indexes the named data symbols of a section.
func (r *reader) symbolsOf(section int) map[string]*elf.Symbol {
	m := map[string]*elf.Symbol{}
	for i := range r.syms {
		s := &r.syms[i]
		if int(s.Section) == section && elf.ST_TYPE(s.Info) != elf.STT_SECTION && s.Name != "" {
			if old := m[s.Name]; old == nil || elf.ST_BIND(old.Info) == elf.STB_LOCAL {
				m[s.Name] = s
			}
		}
	}
	return m
}

func isWeak(s *elf.Symbol) bool { return elf.ST_BIND(s.Info) == elf.STB_WEAK }

func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func quote(s string) string {
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return strconv.Quote(s)
}
