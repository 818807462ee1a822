package enginetest

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// Hostile makes one or two programs of arbitrary bytes, 8 per instruction. They are well-formed (engine.Check) and nothing
// else: registers hold garbage, loops do not end, calls go anywhere.
func Hostile(data []byte) []*ir.Program {
	if len(data) < 8 {
		return nil
	}
	n := len(data) / 8
	cut := n
	if data[0]&1 != 0 {
		cut = max(1, n/2)
	}
	progs := []*ir.Program{hostile("a", data[:8*cut])}
	if cut < n {
		progs = append(progs, hostile("b", data[8*cut:8*n]))
	}
	return progs
}

func hostile(name string, data []byte) *ir.Program {
	n := int32(len(data) / 8)
	p := &ir.Program{Name: name, Kfuncs: []string{"kfunc0", "kfunc1", "throw"}}
	// A subprogram starts where the top bits of an instruction's first byte say so; each gets an exit at its end.
	start := int32(0)
	for i := range n {
		b := data[8*i : 8*i+8]
		if i > 0 && b[0]&0xe0 == 0xe0 {
			p.Insns = append(p.Insns, ir.Insn{Op: ir.Exit})
			p.Subs = append(p.Subs, ir.Sub{Start: start, End: int32(len(p.Insns))})
			start = int32(len(p.Insns))
		}
		p.Insns = append(p.Insns, ir.Insn{
			Op: ir.Op(b[1]) % ir.NrOps, Dst: ir.Reg(b[2]&15) % 11, Src: ir.Reg(b[2]>>4) % 11,
			Off: int32(int16(binary.LittleEndian.Uint16(b[3:]))), Imm: int64(int32(binary.LittleEndian.Uint32(b[4:]))),
			Target: int32(binary.LittleEndian.Uint16(b[5:])),
		})
	}
	p.Insns = append(p.Insns, ir.Insn{Op: ir.Exit})
	p.Subs = append(p.Subs, ir.Sub{Start: start, End: int32(len(p.Insns))})
	if data[0]&2 != 0 {
		p.Exception = int32(len(p.Subs) - 1)
	}
	for k := range p.Subs {
		s := &p.Subs[k]
		for i := s.Start + int32(data[k%len(data)]&3); i < s.End; i += 1 + i&3 {
			s.Jumps = append(s.Jumps, ir.Jump{Value: i - s.Start, Target: i})
		}
		if len(s.Jumps) == 0 {
			s.Jumps = []ir.Jump{{Target: s.Start}}
		}
		for i := s.Start; i < s.End; i++ {
			in := &p.Insns[i]
			in.Orig = i
			sub := p.Subs[int(in.Target)%len(p.Subs)].Start
			switch {
			case in.Op.IsJump():
				in.Target = s.Start + in.Target%(s.End-s.Start)
			case in.Op == ir.CallSub:
				in.Target = sub
			case in.Op == ir.CallKfunc:
				in.Imm = in.Imm & 7 % 3
			case in.Op == ir.CallHelper:
				in.Imm = HelperFold + in.Imm&7
			case in.Op == ir.LdImm64 && in.Off&1 != 0: // a callback
				in.Imm = int64(engine.CodeAddr(0, sub))
			}
			in.Arena = in.Op.Size() > 0 && in.Imm&2 != 0
			if in.Op.WritesDst() && in.Dst == 10 {
				in.Dst = 9
			}
			if in.Op.WritesSrc() && in.Src == 10 {
				in.Src = 8
			}
		}
	}
	return p
}
