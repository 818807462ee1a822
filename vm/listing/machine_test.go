package listing

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/engine"
)

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		name   string
		decode func([]byte, uint64) (int, string)
		hex    string
		pc     uint64
		want   string // compare: llvm-mc -disassemble -triple=x86_64 -output-asm-variant=1, -triple=aarch64
		rest   int
	}{
		{"add", decodeX86, "4801f8", 0, "add rax, rdi", 0},
		{"jump back", decodeX86, "e9e5fdffff", 0x2c9, "jmp 0xb3", 0},
		{"displacement", decodeX86, "498b942408300080", 0, "mov rdx, qword ptr [r12-0x7fffcff8]", 0},
		{"small displacement", decodeX86, "498b4c3c08", 0, "mov rcx, qword ptr [r12+rdi+0x8]", 0},
		{"rip", decodeX86, "4c8d1d7dfeffff", 0, "lea r11, ptr [rip-0x183]", 0},
		{"shlx", decodeX86, "c44289f7ff", 0, "shlx r15, r15, r14", 0},
		{"shrx 32", decodeX86, "c4e243f7c6", 0, "shrx eax, esi, edi", 0},
		{"sarx", decodeX86, "c442faf7d890", 0, "sarx r11, r8, rax", 1},
		{"unknown", decodeX86, "06ff", 0, ".byte 0x06", 1},
		{"cut", decodeX86, "e9e5", 0, ".byte 0xe9", 1},
		{"ret", decodeARM64, "c0035fd6", 0, "ret", 0},
		{"branch", decodeARM64, "02000014", 0x100, "b 0x108", 0},
		{"branch back", decodeARM64, "ffffff17", 0x100, "b 0xfc", 0},
		{"load", decodeARM64, "200040f9", 0, "ldr x0, [x1]", 0},
		{"no instruction", decodeARM64, "00000000", 0, ".word 0x00000000", 0},
		{"cut", decodeARM64, "0102", 0, ".byte 0x01", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, err := hex.DecodeString(tc.hex)
			if err != nil {
				t.Fatal(err)
			}
			n, got := tc.decode(code, tc.pc)
			if got != tc.want || n != len(code)-tc.rest {
				t.Errorf("%q in %d bytes, want %q in %d", got, n, tc.want, len(code)-tc.rest)
			}
		})
	}
}

// TestAddMachine: code goes to its instructions, data to none, and what does not fit is an error.
func TestAddMachine(t *testing.T) {
	prog := func() *Program {
		return &Program{Name: "p", Functions: []Function{{Insns: []Insn{{index: 0}, {index: 1}}}}}
	}
	code := []byte{0x90, 0x90, 0xc3, 0xff}
	p := prog()
	if err := p.AddMachine(engine.Listing{Arch: "amd64", Code: code, Off: 16, Marks: []engine.Mark{{Off: 16, Insn: 1}, {Off: 17}, {Off: 18, Insn: 1}, {Off: 19, Insn: -1}}}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range p.Functions[0].Insns {
		for _, m := range in.Machine {
			got = append(got, m.Bytes+" "+m.Text)
		}
	}
	if want := "90 nop|90 nop|c3 ret"; strings.Join(got, "|") != want || p.Functions[0].Insns[0].Machine[0].Off != 17 || p.Arch != "amd64" {
		t.Errorf("%q, want %q (%+v)", got, want, p)
	}
	for _, tc := range []struct {
		name string
		l    engine.Listing
		want string
	}{
		{"architecture", engine.Listing{Arch: "riscv64"}, "machine code for riscv64: there is no disassembler"},
		{"instruction", engine.Listing{Arch: "amd64", Code: code, Marks: []engine.Mark{{Insn: 7}}}, "belongs to instruction 7"},
		{"order", engine.Listing{Arch: "amd64", Code: code, Marks: []engine.Mark{{Off: 2}, {Off: 1}}}, "machine code at 0x2"},
		{"end", engine.Listing{Arch: "amd64", Code: code, Marks: []engine.Mark{{}, {Off: 5}}}, "machine code at 0x0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := prog().AddMachine(tc.l); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
