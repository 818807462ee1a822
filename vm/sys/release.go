package sys

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/keep"
	"github.com/schedsim/schedsim/vm/link"
)

// What is kept of a program once machine code runs it: the bytecode, which the kernel can be asked for, records of its functions
// and lines, and what messages say of it. The decoded instructions have four times the size of the bytecode and are decoded
// again for a message.

// settle lets go of what nobody needs once the programs were compiled, or will never be: types, what is known of their
// instructions, and those too unless they are what runs. What is left is put together, since it lives as long: what is made while
// a program is loaded lies among what only loading needs, and keeps the memory around it from being used.
func settle(progs []*Prog, insns bool) []*link.Program {
	codes, briefs, out := keep.Slice[ir.Program](len(progs)), keep.Slice[link.Program](len(progs)), make([]*link.Program, len(progs))
	var names []*string
	size, nsubs, nodd, nmaps, npoison := 0, 0, 0, 0, 0
	for i, p := range progs {
		if code := p.link.Code; insns {
			nsubs += len(code.Subs)
		} else {
			p.odd = oddInsns(code.Insns)
			nodd += len(p.odd)
		}
		size += len(p.raw) + len(p.funcInfo) + len(p.lineInfo)/2
		nmaps += len(p.maps)
		npoison += len(p.link.Poison)
		codes = append(codes, *p.link.Code)
		briefs = append(briefs, p.link.Brief())
		out[i] = &briefs[i]
	}
	subs, odd, maps, poison := keep.Slice[ir.Sub](nsubs), keep.Slice[oddInsn](nodd), keep.Slice[*Map](nmaps), keep.Slice[string](npoison)
	kept := make([]byte, 0, size)
	for i, p := range progs {
		code := &codes[i]
		for n, b := range [][]byte{p.raw, p.funcInfo, packRecords(p.lineInfo, lineRecord), subRecords(code.Subs)} {
			p.at[n] = len(kept)
			kept = append(kept, b...)
		}
		p.at[4] = len(kept)
		p.raw, p.funcInfo, p.lineInfo = nil, nil, nil
		p.maps = keep.Part(&maps, p.maps)
		code.Line, code.Source = p.lineOf, nil
		if insns {
			code.Subs = keep.Part(&subs, code.Subs)
		} else {
			p.odd = keep.Part(&odd, p.odd)
			code.Insns, code.Subs, code.Kfuncs, code.Again = nil, nil, nil, p.decode
			p.result.Proved, p.result.Probe, p.result.Arena, p.result.Reached = nil, nil, nil, nil
		}
		p.link = out[i]
		p.link.Code, p.link.Poison = code, keep.Part(&poison, p.link.Poison)
		names = append(append(names, &p.name, &p.license), p.link.Names()...)
	}
	keep.Strings(names...)
	c := freeze(kept)
	for _, p := range progs {
		p.cold = &c
	}
	return out
}

const lineRecord = 16 // bytes of struct bpf_line_info

// bytecode is the program as user space reads it back, which differs from what it loaded by ids in the place of descriptors.
func (p *Prog) bytecode() []byte {
	if p.cold == nil {
		return p.raw
	}
	return p.cold.bytes()[p.at[0]:p.at[1]]
}

// funcRecords are the records of the program's functions.
func (p *Prog) funcRecords() []byte {
	if p.cold == nil {
		return p.funcInfo
	}
	return p.cold.bytes()[p.at[1]:p.at[2]]
}

// lineRecords are the records of the program's lines.
func (p *Prog) lineRecords() []byte {
	if p.cold == nil {
		return p.lineInfo
	}
	return unpackRecords(p.cold.bytes()[p.at[2]:p.at[3]], lineRecord)
}

// subRecords are where functions are among the instructions, packed; subsOf is the inverse.
func subRecords(subs []ir.Sub) []byte {
	var recs []byte
	for _, s := range subs {
		recs = binary.LittleEndian.AppendUint32(recs, uint32(s.Start))
		recs = binary.LittleEndian.AppendUint32(recs, uint32(s.End))
	}
	return packRecords(recs, subRecord)
}

func subsOf(packed []byte) (subs []ir.Sub) {
	for recs := unpackRecords(packed, subRecord); len(recs) > 0; recs = recs[subRecord:] {
		subs = append(subs, ir.Sub{Start: int32(binary.LittleEndian.Uint32(recs)), End: int32(binary.LittleEndian.Uint32(recs[4:]))})
	}
	return subs
}

const subRecord = 8

// oddInsn is an instruction that is not as the bytecode has it.
type oddInsn struct {
	at int32
	in ir.Insn
}

// oddInsns are those that messages look at: where a program must not get to, and indirect jumps.
func oddInsns(insns []ir.Insn) []oddInsn {
	var out []oddInsn
	for i, in := range insns {
		if in.Op == ir.Invalid || in.Op == ir.GotoX {
			out = append(out, oddInsn{int32(i), in})
		}
	}
	return out
}

// decode decodes the program as it was before. What was found out about instructions is not in there.
func (p *Prog) decode() ([]ir.Insn, []ir.Sub) {
	b, err := link.DecodeJumps(p.bytecode(), p.targets)
	if err != nil {
		panic(fmt.Sprintf("BUG: program %s: %v", p.name, err))
	}
	for _, o := range p.odd {
		b.Insns[o.at] = o.in
	}
	return b.Insns, subsOf(p.cold.bytes()[p.at[3]:p.at[4]])
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
