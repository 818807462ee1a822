package link

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/ir"
)

// Pseudo is an instruction whose source register gives its immediate a meaning of its own: a load of an address or a call.
type Pseudo struct {
	Insn int   // index in Bytecode.Insns
	Slot int32 // index in 8-byte slots
	Src  uint8 // BPF_PSEUDO_*: of loads 1 to 6, of calls 1 (subprogram) or 2 (kernel function)
	Off  int16
	Imm  int32
	Hi   int32 // of a load: the immediate of its second half
}

// Bytecode is what BPF_PROG_LOAD takes, decoded: instructions whose references still are numbers.
type Bytecode struct {
	Insns  []ir.Insn
	Pseudo []Pseudo
	// Index is the instruction of each slot, -1 for second halves.
	Index []int32
	// Poison are the reasons of instructions of kind ir.Invalid, by their Imm.
	Poison []string
	// Gotos are the indirect jumps, which Insns has as searches.
	Gotos []Goto
}

// Numbers of helpers that stand for instructions which must not be reached: libbpf's mark for failed CO-RE relocations,
// and the lowest of its marks for missing maps and kernel functions.
const (
	PoisonCore = 195896080
	PoisonMap  = 2001000000
)

// DecodeBytecode decodes a whole program. The error says where it is malformed. Targets of jumps are indices of
// instructions; subprograms are not told apart.
func DecodeBytecode(raw []byte) (*Bytecode, error) { return DecodeJumps(raw, nil) }

// DecodeJumps is DecodeBytecode for programs with indirect jumps: targets are the slots to which the one in a slot may lead, in
// order, each the start of an instruction. Where there are none the jump becomes an instruction that must not be reached.
func DecodeJumps(raw []byte, targets func(slot int32) []int32) (*Bytecode, error) {
	b := &Bytecode{Index: make([]int32, len(raw)/8), Insns: make([]ir.Insn, 0, len(raw)/8)}
	type jump struct{ insn, slot int32 }
	var jumps []jump
	n := int32(len(raw) / 8)
	for slot := int32(0); slot < n; slot++ {
		s := raw[slot*8:]
		here := slot
		b.Index[slot] = int32(len(b.Insns))
		d := decoder{op: s[0], dst: s[1] & 15, src: s[1] >> 4, off: int16(binary.LittleEndian.Uint16(s[2:])), imm: int32(binary.LittleEndian.Uint32(s[4:]))}
		in := ir.Insn{Orig: here}
		if d.op == opLdImm64 {
			if slot+1 == n || binary.LittleEndian.Uint32(s[8:]) != 0 {
				return nil, fmt.Errorf("instruction %d: invalid bpf_ld_imm64 insn", here)
			}
			d.hi = binary.LittleEndian.Uint32(s[12:])
			slot++
			b.Index[slot] = -1
		}
		if d.op == opGotoX && targets != nil {
			if d.src != 0 || d.off != 0 || d.imm != 0 || d.dst > 10 {
				return nil, fmt.Errorf("instruction %d: %w", here, d.reserved(false))
			}
			to := targets(here)
			if len(to) == 0 {
				b.Insns = append(b.Insns, b.poison(here, NoTarget))
				continue
			}
			g := Goto{Insn: len(b.Insns)}
			for _, slot := range to {
				g.Jumps = append(g.Jumps, ir.Jump{Value: slot})
			}
			b.Gotos = append(b.Gotos, g)
			dispatch(&b.Insns, &b.Poison, ir.Insn{Orig: here, Dst: ir.Reg(d.dst)}, to, func(slot int32) { jumps = append(jumps, jump{int32(len(b.Insns)), slot}) })
			continue
		}
		if err := d.decode(&in); err != nil {
			return nil, fmt.Errorf("instruction %d: %w", here, err)
		}
		switch {
		case d.bad != "":
			in = d.invalid(len(b.Poison), here)
			b.Poison = append(b.Poison, d.bad)
		case in.Op == ir.CallHelper && (in.Imm == PoisonCore || in.Imm >= PoisonMap):
			in = b.poison(here, fmt.Sprintf("invalid func unknown#%d", in.Imm))
		case in.Op.IsJump():
			t := int64(here) + 1 + int64(d.jump)
			if t < 0 || t >= int64(n) {
				return nil, fmt.Errorf("instruction %d: jump out of range from insn %d to %d", here, here, t)
			}
			jumps = append(jumps, jump{int32(len(b.Insns)), int32(t)})
		case in.Op == ir.LdImm64 && d.src != 0, in.Op == ir.CallSub, in.Op == ir.CallKfunc:
			b.Pseudo = append(b.Pseudo, Pseudo{Insn: len(b.Insns), Slot: here, Src: d.src, Off: d.off, Imm: d.imm, Hi: int32(d.hi)})
			in.Imm = 0
		}
		b.Insns = append(b.Insns, in)
	}
	for _, j := range jumps {
		if b.Index[j.slot] < 0 {
			return nil, fmt.Errorf("instruction %d: jump into the middle of ldimm64 insn %d", b.Insns[j.insn].Orig, j.slot-1)
		}
		b.Insns[j.insn].Target = b.Index[j.slot]
	}
	for _, g := range b.Gotos {
		for i := range g.Jumps {
			g.Jumps[i].Target = b.Index[g.Jumps[i].Value]
		}
	}
	return b, nil
}

func (b *Bytecode) poison(slot int32, why string) ir.Insn {
	b.Poison = append(b.Poison, why)
	return ir.Insn{Op: ir.Invalid, Imm: int64(len(b.Poison) - 1), Orig: slot}
}

// Analyze computes what Fold does for a program that did not come from Link: its Code, Subs and Refs are set, Refs refer to
// maps, of which only Frozen, Data and ValueSize matter.
func Analyze(p *Program, maps []*Map) error {
	p.core = make([]bool, len(p.Code.Insns))
	f := newFolder(&Object{Maps: maps}, p)
	f.run()
	return f.finish()
}
