package sys

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// What is kept of a program once machine code runs it: the bytecode, which the kernel can be asked for, records of its functions
// and lines, and what messages say of it. The decoded instructions have four times the size of the bytecode and are decoded
// again for a message.

// settle puts together what is kept of programs that live together. What is made while a program is loaded lies among what is
// needed for that only, and keeps the memory around it from being used.
func settle(progs []*Prog) {
	var names []*string
	size := 0
	for _, p := range progs {
		p.lineInfo, p.packed = packRecords(p.lineRecords(), lineRecord), true
		names = append(append(names, &p.name, &p.license), p.link.Names()...)
		size += len(p.raw) + len(p.funcInfo) + len(p.lineInfo)
	}
	link.Share(names...)
	kept := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		n := len(kept)
		kept = append(kept, b...)
		return kept[n:len(kept):len(kept)]
	}
	for _, p := range progs {
		p.raw, p.funcInfo, p.lineInfo = keep(p.raw), keep(p.funcInfo), keep(p.lineInfo)
	}
}

const lineRecord = 16 // bytes of struct bpf_line_info

// lineRecords are the records of the program's lines.
func (p *Prog) lineRecords() []byte {
	if p.packed {
		return unpackRecords(p.lineInfo, lineRecord)
	}
	return p.lineInfo
}

// release lets go of what nobody needs once the program was compiled, or will never be: types, what is known of its
// instructions, and with insns those too.
func (p *Prog) release(insns bool) {
	if insns {
		again := p.decoder()
		p.link.Code.Insns, p.link.Code.Kfuncs, p.link.Code.Again = nil, nil, again
		p.result.Proved, p.result.Probe, p.result.Arena, p.result.Reached = nil, nil, nil, nil
	}
	p.link = p.link.Brief()
}

// decoder returns a func that decodes the program as it was before. What was found out about instructions is not in there,
// but for the reasons why some must not be reached.
func (p *Prog) decoder() func() []ir.Insn {
	type invalid struct{ at, reason int32 }
	var bad []invalid
	for i, in := range p.link.Code.Insns {
		if in.Op == ir.Invalid {
			bad = append(bad, invalid{int32(i), int32(in.Imm)})
		}
	}
	return func() []ir.Insn {
		b, err := link.DecodeBytecode(p.raw)
		if err != nil {
			panic(fmt.Sprintf("BUG: program %s: %v", p.name, err))
		}
		for _, x := range bad {
			in := &b.Insns[x.at]
			in.Op, in.Imm = ir.Invalid, int64(x.reason)
		}
		return b.Insns
	}
}

// setIDs makes the bytecode what user space reads back: descriptors are replaced by ids of maps. It follows
// bpf_insn_prepare_dump.
func (p *Prog) setIDs() {
	for _, r := range p.link.Refs {
		switch r.Kind {
		case link.RefMap, link.RefMapValue, link.RefArena:
		default:
			continue
		}
		slot := int(p.link.Code.Insns[r.Insn].Orig)
		_, src, imm := insnAt(p.raw, slot)
		switch src {
		case pseudoMapIdx:
			p.raw[slot*8+1] = p.raw[slot*8+1]&15 | pseudoMapFD<<4
		case pseudoMapIdxValue:
			p.raw[slot*8+1] = p.raw[slot*8+1]&15 | pseudoMapValue<<4
		}
		binary.LittleEndian.PutUint32(imm, p.maps[r.Map].id)
	}
}
