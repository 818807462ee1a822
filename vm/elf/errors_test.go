package elf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

// image is an object file to be damaged.
type image struct {
	t *testing.T
	b []byte
}

// section is the header of a section, a part of the image.
func (m *image) section(name string) (hdr []byte, s *elf.Section) {
	f, err := elf.NewFile(bytes.NewReader(m.b))
	if err != nil {
		m.t.Fatal(err)
	}
	shoff := binary.LittleEndian.Uint64(m.b[40:])
	for i, s := range f.Sections {
		if s.Name == name {
			return m.b[shoff+uint64(i)*64:][:64], s
		}
	}
	m.t.Fatalf("no section %s", name)
	return nil, nil
}

func (m *image) data(name string) []byte {
	_, s := m.section(name)
	return m.b[s.Offset:][:s.FileSize]
}

// symbol is the entry of a named symbol, a part of the image: name, info, other, section, value, size.
func (m *image) symbol(name string) []byte {
	f, err := elf.NewFile(bytes.NewReader(m.b))
	if err != nil {
		m.t.Fatal(err)
	}
	syms, err := f.Symbols()
	if err != nil {
		m.t.Fatal(err)
	}
	for i, s := range syms {
		if s.Name == name {
			return m.data(".symtab")[(i+1)*24:][:24]
		}
	}
	m.t.Fatalf("no symbol %s", name)
	return nil
}

func put16(b []byte, v uint16) { binary.LittleEndian.PutUint16(b, v) }
func put32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func put64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		file   string
		damage func(m *image)
		want   string
	}{
		{"empty", "maps.bpf.o", func(m *image) { m.b = nil }, "not an ELF file: it is empty"},
		{"text", "maps.bpf.o", func(m *image) { m.b = []byte("#include <vmlinux.h>\n") }, `not an ELF file: it begins with "#include"`},
		{"letter", "maps.bpf.o", func(m *image) { m.b = []byte("E") }, `not an ELF file: it begins with "E"`},
		{"header", "maps.bpf.o", func(m *image) { m.b = m.b[:20] }, "truncated ELF file: the header has 64 bytes, the file 20"},
		{"truncated", "maps.bpf.o", func(m *image) { m.b = m.b[:len(m.b)/2] },
			"truncated ELF file: the headers of its 15 sections are bytes 5520 to 6480, the file has 3240"},
		{"section behind the end", "maps.bpf.o", func(m *image) {
			h, s := m.section(".BTF")
			put64(h[24:], 6000)
			put64(h[32:], s.Size)
		}, `section ".BTF": truncated file: it is bytes 6000 to `},
		{"symbols behind the end", "maps.bpf.o", func(m *image) {
			h, _ := m.section(".symtab")
			put64(h[24:], 6400)
		}, "symbol table: truncated file: it is bytes 6400 to "},
		{"names behind the end", "maps.bpf.o", func(m *image) {
			h, _ := m.section(".strtab")
			put64(h[24:], 6400)
		}, "truncated ELF file: the names of its sections are bytes 6400 to "},
		{"machine", "maps.bpf.o", func(m *image) { put16(m.b[18:], 62) }, "machine EM_X86_64, expected BPF"},
		{"executable", "maps.bpf.o", func(m *image) { put16(m.b[16:], 2) }, "a BPF object is relocatable"},
		{"huge bss", "globals.bpf.o", func(m *image) {
			h, _ := m.section(".bss")
			put64(h[32:], 1<<40)
		}, `section ".bss": 1099511627776 bytes, at most 2147483648 are supported`},
		{"huge data", "globals.bpf.o", func(m *image) {
			h, _ := m.section(".data.lock")
			put64(h[32:], 1<<31)
		}, `section ".data.lock"`},
		{"BTF magic", "maps.bpf.o", func(m *image) { m.data(".BTF")[0] = 1 }, "section .BTF: no little-endian BTF header"},
		{"BTF strings", "maps.bpf.o", func(m *image) { put32(m.data(".BTF")[20:], 1<<30) }, "section .BTF: strings end at"},
		{"BTF types", "maps.bpf.o", func(m *image) { put32(m.data(".BTF")[12:], 1<<30) }, "section .BTF: types section is out of bounds"},
		{"BTF.ext header", "maps.bpf.o", func(m *image) { put32(m.data(".BTF.ext")[4:], 1<<30) }, "section .BTF.ext: header of 1073741824 bytes"},
		{"BTF.ext bounds", "maps.bpf.o", func(m *image) { put32(m.data(".BTF.ext")[20:], 1<<30) }, "section .BTF.ext: line info at"},
		{"BTF.ext record size", "maps.bpf.o", func(m *image) {
			b := m.data(".BTF.ext")
			put32(b[u32(b[4:])+u32(b[16:]):], 3)
		}, "section .BTF.ext: line info: records of 3 bytes, expected at least 16"},
		{"BTF.ext count", "maps.bpf.o", func(m *image) {
			b := m.data(".BTF.ext")
			put32(b[u32(b[4:])+u32(b[16:])+8:], 1<<31)
		}, "section .BTF.ext: line info: section "},
		{"function size", "calls.bpf.o", func(m *image) { put64(m.symbol("leaf")[16:], 1<<40) }, `section ".text": function "leaf" is bytes 72+1099511627776`},
		{"function alignment", "calls.bpf.o", func(m *image) { put64(m.symbol("leaf")[8:], 73) }, `function "leaf" at byte 73`},
		{"same code", "calls.bpf.o", func(m *image) { put64(m.symbol("leaf")[8:], 48) }, "are the same code"},
		{"static program", "calls.bpf.o", func(m *image) { m.symbol("fourth")[4] = 2 }, `program "fourth" is static`},
		{"function gone", "calls.bpf.o", func(m *image) { m.symbol("leaf")[4] = 0 }, "where no function starts"},
		{"symbol section", "calls.bpf.o", func(m *image) { put16(m.symbol("leaf")[6:], 5000) }, "section 5000 does not exist"},
		{"relocation symbol", "maps.bpf.o", func(m *image) { put32(m.data(".reltp_btf/sched_switch")[12:], 9999) }, "symbol 9999 does not exist"},
		{"relocation alignment", "maps.bpf.o", func(m *image) { m.data(".reltp_btf/sched_switch")[0]++ }, "in the middle of an instruction"},
		{"relocation on arithmetic", "maps.bpf.o", func(m *image) { put64(m.data(".reltp_btf/sched_switch"), 0) }, `section "tp_btf/sched_switch"+0x0: use, instruction 0: relocation against "hash" on opcode`},
		{"double relocation", "maps.bpf.o", func(m *image) {
			b := m.data(".reltp_btf/sched_switch")
			copy(b[16:], b[:8])
		}, "a second relocation"},
		{"relocation size", "maps.bpf.o", func(m *image) {
			h, s := m.section(".reltp_btf/sched_switch")
			put64(h[32:], s.Size-3)
		}, "expected a multiple of 16"},
		{"relocation to code", "maps.bpf.o", func(m *image) { put16(m.symbol("hash")[6:], m.sectionOf("target")) }, "map \"hash\": no symbol"},
		{"no map there", "maps.bpf.o", func(m *image) { put64(m.symbol("hash")[8:], 1<<16) }, `map "hash": bytes 65536+`},
		{"slot outside", "maps.bpf.o", func(m *image) { put64(m.data(".rel.maps"), 1<<20) }, `section ".maps"+0x100000: relocation at byte 1048576, which belongs to no map`},
		{"slot not of values", "maps.bpf.o", func(m *image) { put64(m.data(".rel.maps"), 0x48) }, "which is no slot"},
		{"slot to a program", "maps.bpf.o", func(m *image) { put16(m.symbol("in0")[6:], m.sectionOf("target")) }, `map "in0": no symbol`},
		{"undeclared extern", "ksyms.bpf.o", func(m *image) { m.data(".strtab")[u32(m.symbol("kern_gone"))] = 'K' }, `extern "Kern_gone": not declared as __ksym or __kconfig`},
		{"struct_ops to data", "ops.bpf.o", func(m *image) { put64(m.data(".rel.struct_ops.link"), 32) }, `struct_ops "first_ops": member flags`},
		{"struct_ops outside", "ops.bpf.o", func(m *image) { put64(m.data(".rel.struct_ops.link"), 1<<20) }, "outside of any struct_ops variable"},
		{"struct_ops member", "ops.bpf.o", func(m *image) { put64(m.data(".rel.struct_ops.link"), 4) }, "where no member starts"},
		{"no arena", "arena.bpf.o", func(m *image) {
			h, _ := m.section(".maps")
			put64(h[32:], 0)
		}, "the object has no arena map"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := os.ReadFile("testdata/" + tc.file)
			if err != nil {
				t.Fatal(err)
			}
			m := &image{t, b}
			tc.damage(m)
			o, err := Read(tc.file, bytes.NewReader(m.b))
			if err == nil || o != nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), tc.file+": ") {
				t.Errorf("error %v\nwant  %q", err, tc.want)
			}
		})
	}
}

func (m *image) sectionOf(symbol string) uint16 {
	return binary.LittleEndian.Uint16(m.symbol(symbol)[6:])
}

// Wherever a file ends too early, the error says what is missing.
func TestTruncated(t *testing.T) {
	b, err := os.ReadFile("testdata/maps.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		_, err := Read("maps.bpf.o", bytes.NewReader(b[:n]))
		if err == nil || !strings.Contains(err.Error(), "truncated ELF file: ") && n >= 4 || strings.Contains(err.Error(), "EOF") {
			t.Errorf("of the first %d bytes: %v", n, err)
		}
		if got := fileSize(bytes.NewReader(b[:n])); got != uint64(n) {
			t.Errorf("%d bytes are %d", n, got)
		}
	}
}
