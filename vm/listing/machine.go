package listing

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"

	"github.com/schedsim/schedsim/vm/engine"
)

// Machine is one instruction of the processor.
type Machine struct {
	Off   int32  `json:"offset"` // in the machine code of all programs, in bytes
	Bytes string `json:"bytes"`  // hexadecimal
	Text  string `json:"text"`
}

// AddMachine puts machine code beside the bytecode of a program.
func (p *Program) AddMachine(l engine.Listing) error {
	decode := decodeX86
	switch l.Arch {
	case "amd64":
	case "arm64":
		decode = decodeARM64
	default:
		return fmt.Errorf("machine code for %s: there is no disassembler", l.Arch)
	}
	p.Arch = l.Arch
	at := map[int32]*Insn{}
	for f := range p.Functions {
		for i := range p.Functions[f].Insns {
			in := &p.Functions[f].Insns[i]
			at[in.index] = in
		}
	}
	for i, m := range l.Marks {
		end := l.Off + int32(len(l.Code))
		if i+1 < len(l.Marks) {
			end = l.Marks[i+1].Off
		}
		if m.Insn < 0 {
			continue // data
		}
		in := at[m.Insn]
		if in == nil || m.Off < l.Off || m.Off > end || end > l.Off+int32(len(l.Code)) {
			return fmt.Errorf("program %s: machine code at %#x belongs to instruction %d, which does not exist", p.Name, m.Off, m.Insn)
		}
		for off := m.Off; off < end; {
			code := l.Code[off-l.Off : end-l.Off]
			n, text := decode(code, uint64(off))
			in.Machine = append(in.Machine, Machine{off, hex.EncodeToString(code[:n]), text})
			off += int32(n)
		}
	}
	return nil
}

// decodeX86 disassembles the instruction at the start of code, which lies at pc. What it does not know is a byte.
func decodeX86(code []byte, pc uint64) (int, string) {
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Len == 0 || in.Op == 0 {
		return 1, fmt.Sprintf(".byte %#02x", code[0])
	}
	return in.Len, negative(x86asm.IntelSyntax(in, pc, nil))
}

// negative writes displacements of 32 bits with their sign, which x86asm forgets: [r12+0x80000098] is [r12-0x7fffff68].
func negative(text string) string {
	plus, end := strings.LastIndex(text, "+0x"), strings.LastIndex(text, "]")
	if plus < 0 || end < plus {
		return text
	}
	d, err := strconv.ParseUint(text[plus+3:end], 16, 32)
	if err != nil || d < 1<<31 {
		return text
	}
	return fmt.Sprintf("%s-%#x%s", text[:plus], 1<<32-d, text[end:])
}

// decodeARM64 is decodeX86 for AArch64, whose instructions have four bytes.
func decodeARM64(code []byte, pc uint64) (int, string) {
	if len(code) < 4 {
		return 1, fmt.Sprintf(".byte %#02x", code[0])
	}
	in, err := arm64asm.Decode(code)
	if err != nil {
		return 4, fmt.Sprintf(".word %#02x%02x%02x%02x", code[3], code[2], code[1], code[0])
	}
	text := arm64asm.GNUSyntax(in)
	for _, a := range in.Args {
		if rel, ok := a.(arm64asm.PCRel); ok { // targets as offsets in the program
			text = strings.Replace(text, rel.String(), fmt.Sprintf("%#x", uint64(int64(pc)+int64(rel))), 1)
		}
	}
	return 4, text
}
