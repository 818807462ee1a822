package link

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// code is one function, decoded. Jump targets are indices in insns; what depends on the program that the function becomes
// a part of (calls, references) is kept beside them.
type code struct {
	fn     *elf.Func
	insns  []ir.Insn
	slots  int32
	calls  []link2 // CallSub -> index in Object.Funcs
	kfuncs []kcall // CallKfunc -> kernel function
	refs   []Ref   // Sub is an index in Object.Funcs
	poison []string
	gotos  []int // searches for indirect jumps
	jumps  []ir.Jump
	core   []bool // the instruction holds the offset of a field that CO-RE relocated
	needs  []int  // functions called or referred to, in order of first use
}

type link2 struct {
	insn int32
	fn   int32
}

type kcall struct {
	insn int32
	name string
}

// Pseudo source registers.
const (
	pseudoCall      = 1
	pseudoKfuncCall = 2
)

// decode turns the code of function number n into instructions.
func (l *linker) decode(n int) (*code, error) {
	if c := l.codes[n]; c != nil {
		return c, nil
	}
	f := l.in.Funcs[n]
	raw, poison, offsets, err := l.core.patch(f)
	if err != nil {
		return nil, err
	}
	c := &code{fn: f, slots: int32(len(raw) / 8)}
	index := make([]int32, c.slots) // of slot in insns, -1 for second halves
	c.insns = make([]ir.Insn, 0, c.slots)
	type jump struct{ insn, slot int32 }
	var jumps []jump
	rel := f.Relocs
	targets, err := l.jumpTargets(f, c.slots)
	if err != nil {
		return nil, err
	}
	for slot := int32(0); slot < c.slots; slot++ {
		b := raw[slot*8:]
		index[slot] = int32(len(c.insns))
		d := decoder{op: b[0], dst: b[1] & 15, src: b[1] >> 4, off: int16(binary.LittleEndian.Uint16(b[2:])), imm: int32(binary.LittleEndian.Uint32(b[4:]))}
		in := ir.Insn{Orig: slot}
		var reloc *elf.Reloc
		if len(rel) > 0 && rel[0].Insn == slot {
			reloc, rel = &rel[0], rel[1:]
		}
		here := slot
		if d.op == opLdImm64 {
			if slot+1 == c.slots || binary.LittleEndian.Uint32(b[8:]) != 0 {
				return nil, fmt.Errorf("instruction %d: two-slot load without its second half", slot)
			}
			d.hi = binary.LittleEndian.Uint32(b[12:])
			slot++
			index[slot] = -1
		}
		if why, ok := poison[here]; ok {
			in.Op, in.Imm = ir.Invalid, int64(len(c.poison))
			c.poison = append(c.poison, why)
			c.insns = append(c.insns, in)
			continue
		}
		if d.op == opGotoX && len(targets) > 0 {
			if d.src != 0 || d.off != 0 || d.imm != 0 || d.dst > 10 {
				return nil, fmt.Errorf("instruction %d: %w", here, d.reserved(false))
			}
			c.gotos = append(c.gotos, len(c.insns))
			dispatch(&c.insns, &c.poison, ir.Insn{Orig: here, Dst: ir.Reg(d.dst)}, targets, func(slot int32) { jumps = append(jumps, jump{int32(len(c.insns)), slot}) })
			continue
		}
		if err := d.decode(&in); err != nil {
			return nil, fmt.Errorf("instruction %d: %w", here, err)
		}
		if d.bad != "" {
			c.insns = append(c.insns, d.invalid(len(c.poison), here))
			c.poison = append(c.poison, d.bad)
			continue
		}
		switch {
		case in.Op.IsJump():
			t := int64(here) + 1 + int64(d.jump)
			if t < 0 || t >= int64(c.slots) {
				return nil, fmt.Errorf("instruction %d: jump to %d, outside of the function (0 to %d)", here, t, c.slots-1)
			}
			jumps = append(jumps, jump{int32(len(c.insns)), int32(t)})
		case in.Op == ir.LdImm64 || in.Op == ir.CallSub || in.Op == ir.CallKfunc || in.Op == ir.CallHelper:
			if err := l.refer(c, &d, &in, reloc); err != nil {
				return nil, fmt.Errorf("instruction %d: %w", here, err)
			}
			reloc = nil
		}
		if reloc != nil {
			return nil, fmt.Errorf("instruction %d: relocation on an instruction that takes none", here)
		}
		c.insns = append(c.insns, in)
	}
	for _, j := range jumps {
		if index[j.slot] < 0 {
			return nil, fmt.Errorf("instruction %d: jump to %d, the middle of a two-slot load", c.insns[j.insn].Orig, j.slot)
		}
		c.insns[j.insn].Target = index[j.slot]
	}
	if len(c.gotos) > 0 {
		for _, slot := range targets {
			c.jumps = append(c.jumps, ir.Jump{Value: slot, Target: index[slot]})
		}
	}
	if last := c.insns[len(c.insns)-1]; last.Op != ir.Exit && last.Op != ir.Ja && last.Op != ir.Invalid {
		return nil, fmt.Errorf("instruction %d: the last one is neither exit nor jump", last.Orig)
	}
	c.core = make([]bool, len(c.insns))
	for i := range c.insns {
		c.core[i] = offsets[c.insns[i].Orig]
	}
	l.codes[n] = c
	return c, nil
}

// refer resolves what a load of an address or a call refers to.
func (l *linker) refer(c *code, d *decoder, in *ir.Insn, r *elf.Reloc) error {
	at := int32(len(c.insns))
	if r == nil {
		switch {
		case in.Op == ir.LdImm64 && d.src != 0, in.Op == ir.CallSub, in.Op == ir.CallKfunc:
			return fmt.Errorf("refers to something (src %d), but has no relocation", d.src)
		}
		return nil
	}
	if (in.Op == ir.LdImm64) != (r.Kind != elf.RelocCall && r.Kind != elf.RelocExternCall) {
		return fmt.Errorf("the relocation does not fit opcode %#02x", d.op)
	}
	ref := Ref{Insn: int(at), Map: -1, Sub: -1, Off: r.Off}
	switch r.Kind {
	case elf.RelocCall:
		in.Op, in.Imm = ir.CallSub, 0
		c.calls = append(c.calls, link2{at, r.Index})
		c.needs = append(c.needs, int(r.Index))
		return nil
	case elf.RelocExternCall:
		e, x := l.in.Externs[r.Index], l.externs[r.Index]
		switch {
		case e.Kind != elf.ExternFunc:
			return fmt.Errorf("call of %q, which is declared as a variable", e.Name)
		case !x.set:
			in.Op, in.Imm = ir.Invalid, int64(len(c.poison))
			c.poison = append(c.poison, "calls the "+x.why)
			return nil
		}
		in.Op = ir.CallKfunc
		c.kfuncs = append(c.kfuncs, kcall{at, x.name})
		return nil
	case elf.RelocMap:
		ref.Kind, ref.Map, ref.Off = RefMap, int(r.Index), 0
	case elf.RelocMapValue:
		ref.Kind, ref.Map = RefMapValue, int(r.Index)
		if m := l.out.Maps[ref.Map]; ref.Off < 0 || ref.Off > int64(m.ValueSize) {
			return fmt.Errorf("address of byte %d of %s, which has %d", ref.Off, m.Name, m.ValueSize)
		}
	case elf.RelocFunc:
		ref.Kind, ref.Sub, ref.Off = RefFunc, int(r.Index), 0
		c.needs = append(c.needs, int(r.Index))
	case elf.RelocExtern:
		e, x := l.in.Externs[r.Index], l.externs[r.Index]
		switch {
		case e.Kind == elf.ExternKconfig:
			ref.Kind, ref.Map, ref.Off = RefMapValue, l.kconfigIndex, int64(e.Off)+r.Off
			if ref.Off < 0 || ref.Off > int64(l.out.Maps[ref.Map].ValueSize) {
				return fmt.Errorf("address of byte %d of %q", r.Off, e.Name)
			}
		case !x.set:
			in.Imm = 0
			return nil
		case e.Kind == elf.ExternFunc:
			ref.Kind, ref.Name = RefKsymFunc, x.name
		default:
			ref.Kind, ref.Name = RefKsymVar, x.name
		}
	case elf.RelocArena:
		ref.Kind, ref.Map = RefArena, int(r.Index)
	case elf.RelocJumpTable:
		ref.Kind, ref.Map = RefMapValue, l.jumpTables()
	default:
		return fmt.Errorf("relocation of kind %d", r.Kind)
	}
	in.Imm = 0
	c.refs = append(c.refs, ref)
	return nil
}

// decoder is one instruction in its parts.
type decoder struct {
	op, dst, src byte
	off          int16
	imm          int32
	hi           uint32
	jump         int32 // distance in slots
	bad          string
}

// decode checks registers and reserved fields as check_and_resolve_insns of the kernel's verifier does, and sets everything
// but the target of in. What the verifier refuses only where it can be reached goes to bad and
// becomes a poisoned instruction, since constant folding sees less dead code than the verifier.
func (d *decoder) decode(in *ir.Insn) error {
	if d.dst > 10 || d.src > 10 {
		return fmt.Errorf("register r%d does not exist", max(d.dst, d.src))
	}
	in.Dst, in.Src, in.Off, in.Imm = ir.Reg(d.dst), ir.Reg(d.src), int32(d.off), int64(d.imm)
	var err error
	switch d.op & 7 {
	case classALU, classALU64:
		err = d.alu(in)
	case classJMP, classJMP32:
		err = d.jmp(in)
	default:
		err = d.memory(in)
	}
	if err == nil && (in.Op.WritesDst() && in.Dst == 10 || in.Op.WritesSrc() && in.Src == 10) {
		d.bad = "r10 is read-only"
	}
	return err
}

func (d *decoder) unknown() error { return fmt.Errorf("unknown opcode %#02x", d.op) }

func (d *decoder) reserved(ok bool) error {
	if ok {
		return nil
	}
	return fmt.Errorf("opcode %#02x uses reserved fields (dst r%d, src r%d, off %d, imm %d)", d.op, d.dst, d.src, d.off, d.imm)
}

// aluOps are the binary operations by the upper four bits of the opcode.
var aluOps = [16]ir.Op{0: ir.Add64X, 1: ir.Sub64X, 2: ir.Mul64X, 3: ir.Div64X, 4: ir.Or64X, 5: ir.And64X, 6: ir.Lsh64X,
	7: ir.Rsh64X, 9: ir.Mod64X, 10: ir.Xor64X, 12: ir.Arsh64X}

func (d *decoder) alu(in *ir.Insn) error {
	wide, reg := d.op&7 == classALU64, d.op&srcX != 0
	switch kind := d.op >> 4; kind {
	case 8: // NEG
		in.Op = ir.Neg32
		if wide {
			in.Op = ir.Neg64
		}
		in.Imm = 0
		return d.reserved(!reg && d.src == 0 && d.off == 0 && d.imm == 0)
	case 11: // MOV
		return d.mov(in, wide, reg)
	case 13: // END
		base := ir.LE16
		switch {
		case wide && reg:
			return d.unknown()
		case wide:
			base = ir.BSwap16
		case reg:
			base = ir.BE16
		}
		in.Imm, in.Src = 0, 0
		switch d.imm {
		case 16:
			in.Op = base
		case 32:
			in.Op = base + 1
		case 64:
			in.Op = base + 2
		default:
			return d.reserved(false)
		}
		return d.reserved(d.src == 0 && d.off == 0)
	default:
		op := aluOps[kind]
		if op == ir.Invalid {
			return d.unknown()
		}
		if d.off == 1 && op == ir.Div64X {
			op = ir.SDiv64X
		} else if d.off == 1 && op == ir.Mod64X {
			op = ir.SMod64X
		} else if d.off != 0 {
			return d.reserved(false)
		}
		in.Off = 0
		if !wide {
			op += 2
		}
		in.Op = op
		if reg {
			return d.reserved(d.imm == 0)
		}
		in.Op++
		switch {
		case kind == 3 || kind == 9:
			if d.imm == 0 {
				d.bad = "division by the constant 0"
			}
		case kind == 6 || kind == 7 || kind == 12:
			if d.imm < 0 || d.imm >= 64 || !wide && d.imm >= 32 {
				d.bad = fmt.Sprintf("invalid shift by %d", d.imm)
			}
		}
		return d.reserved(d.src == 0)
	}
}

func (d *decoder) mov(in *ir.Insn, wide, reg bool) error {
	in.Off = 0
	if !reg {
		in.Op = ir.Mov32K
		if wide {
			in.Op = ir.Mov64K
		}
		return d.reserved(d.src == 0 && d.off == 0)
	}
	if wide && d.off == 1 { // addr_space_cast
		switch d.imm {
		case 1:
			in.Op = ir.CastKern
		case 1 << 16:
			in.Op = ir.CastUser
		default:
			return fmt.Errorf("cast between address spaces %d and %d", d.imm&0xffff, d.imm>>16)
		}
		in.Imm = 0
		return nil
	}
	switch {
	case d.off == 0 && wide:
		in.Op = ir.Mov64X
	case d.off == 0:
		in.Op = ir.Mov32X
	case d.off == 8 && wide:
		in.Op = ir.MovSX8to64
	case d.off == 16 && wide:
		in.Op = ir.MovSX16to64
	case d.off == 32 && wide:
		in.Op = ir.MovSX32to64
	case d.off == 8:
		in.Op = ir.MovSX8to32
	case d.off == 16:
		in.Op = ir.MovSX16to32
	default:
		return d.reserved(false)
	}
	return d.reserved(d.imm == 0)
}

// jmpOps are the conditional jumps by the upper four bits of the opcode.
var jmpOps = [16]ir.Op{1: ir.JEq64X, 2: ir.JGt64X, 3: ir.JGe64X, 4: ir.JSet64X, 5: ir.JNe64X, 6: ir.JSGt64X, 7: ir.JSGe64X,
	10: ir.JLt64X, 11: ir.JLe64X, 12: ir.JSLt64X, 13: ir.JSLe64X}

func (d *decoder) jmp(in *ir.Insn) error {
	d.jump, in.Off = int32(d.off), 0
	switch d.op {
	case classJMP: // JA
		in.Op, in.Imm = ir.Ja, 0
		return d.reserved(d.imm == 0 && d.src == 0 && d.dst == 0)
	case classJMP32: // JA with a 32-bit distance
		in.Op, in.Imm = ir.Ja, 0
		d.jump = d.imm
		return d.reserved(d.off == 0 && d.src == 0 && d.dst == 0)
	case 0xe5: // JCOND
		in.Op, in.Imm = ir.MayGoto, 0
		return d.reserved(d.imm == 0 && d.src == 0 && d.dst == 0)
	case opGotoX:
		return fmt.Errorf("indirect jump (gotox): %w", ErrUnsupported)
	case opExit:
		in.Op = ir.Exit
		in.Off = 0 // which the kernel does not look at
		return d.reserved(d.imm == 0 && d.src == 0 && d.dst == 0)
	case opCallX:
		in.Op, in.Imm = ir.CallReg, 0
		return d.reserved(d.imm == 0 && d.src == 0 && d.off == 0)
	case opCall:
		in.Src = 0
		switch d.src {
		case 0:
			in.Op = ir.CallHelper
		case pseudoCall:
			in.Op = ir.CallSub
		case pseudoKfuncCall:
			in.Op = ir.CallKfunc
		default:
			return d.reserved(false)
		}
		return d.reserved(d.dst == 0 && (d.off == 0 || d.src == pseudoKfuncCall))
	}
	op := jmpOps[d.op>>4]
	if op == ir.Invalid {
		return d.unknown()
	}
	if d.op&7 == classJMP32 {
		op += 2
	}
	if d.op&srcX != 0 {
		in.Op = op
		return d.reserved(d.imm == 0)
	}
	in.Op = op + 1
	return d.reserved(d.src == 0)
}

// bySize are the distances from the 8-bit form of an operation, by bits 3 and 4 of the opcode.
var bySize = [4]ir.Op{2, 1, 0, 3}

// atomicOps are the 32-bit forms by their immediate.
var atomicOps = map[int32]ir.Op{0x00: ir.AtomicAdd32, 0x40: ir.AtomicOr32, 0x50: ir.AtomicAnd32, 0xa0: ir.AtomicXor32,
	0x01: ir.FetchAdd32, 0x41: ir.FetchOr32, 0x51: ir.FetchAnd32, 0xa1: ir.FetchXor32, 0xe1: ir.Xchg32, 0xf1: ir.CmpXchg32}

// LegacyLoad is the poison of a load of packet data by a hidden function (BPF_ABS, BPF_IND): the machine has no packets. Off
// of the instruction is the size of the load, negative if Src is added to its address.
const LegacyLoad = "loads from a packet by an instruction of classic BPF"

const (
	modeABS = 0x20
	modeIND = 0x40
)

// invalid is the instruction that stands for one that cannot be run, for a reason with the given number.
func (d *decoder) invalid(reason int, slot int32) ir.Insn {
	in := ir.Insn{Op: ir.Invalid, Dst: ir.Reg(min(d.dst, 10)), Imm: int64(reason), Orig: slot}
	if d.bad == LegacyLoad {
		in.Dst = 0
		in.Off = 1 << (bySize[d.op>>3&3])
		if d.op&0xe0 == modeIND {
			in.Src, in.Off = ir.Reg(d.src), -in.Off
		}
	}
	return in
}

func (d *decoder) memory(in *ir.Insn) error {
	size, mode := bySize[d.op>>3&3], d.op&0xe0
	switch d.op & 7 {
	case classLD:
		if d.op != opLdImm64 {
			if (mode == modeABS || mode == modeIND) && size < 3 {
				if d.off != 0 || d.dst != 0 || mode == modeABS && d.src != 0 {
					return d.reserved(false)
				}
				d.bad = LegacyLoad
				return nil
			}
			return d.unknown()
		}
		in.Op, in.Src = ir.LdImm64, 0
		in.Imm = int64(uint64(uint32(d.imm)) | uint64(d.hi)<<32)
		return d.reserved(d.off == 0)
	case classLDX:
		switch {
		case mode == modeMEM:
			in.Op = ir.Ld8 + size
		case mode == modeMEMSX && size < 3:
			in.Op = ir.Lds8 + size
		default:
			return d.unknown()
		}
		return d.reserved(d.imm == 0)
	case classST:
		if mode != modeMEM {
			return d.unknown()
		}
		in.Op = ir.St8K + size
		return d.reserved(d.src == 0)
	}
	switch mode {
	case modeMEM:
		in.Op = ir.St8X + size
		return d.reserved(d.imm == 0)
	case modeATOMIC:
		in.Imm = 0
		switch d.imm {
		case 0x100:
			in.Op = ir.LdAcq8 + size
			return nil
		case 0x110:
			in.Op = ir.StRel8 + size
			return nil
		}
		op, ok := atomicOps[d.imm]
		if !ok || size < 2 {
			return fmt.Errorf("unknown atomic operation %#x (opcode %#02x)", d.imm, d.op)
		}
		in.Op = op + size - 2
		return nil
	}
	return d.unknown()
}
