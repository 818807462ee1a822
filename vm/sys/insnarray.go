package sys

import (
	"encoding/binary"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
)

// Indirect jumps (gotox) lead where the maps of type insn_array that a program refers to say. They are known before the program is
// decoded, since what may be reached depends on them.

const opGotoX = 0x0d

// jumpTable is what the indirect jumps of one function have in common.
type jumpTable struct {
	start, end int32 // of the function, in slots
	targets    []int32
}

// insnArray makes the map that of the program. It follows the end of __add_used_map.
func (k *checker) insnArray(a *maps.InsnArray) error {
	raw := k.p.raw
	e := a.Use(uint32(len(raw)/8), func(slot uint32) bool { return slot == 0 || raw[8*slot-8] != opLdImm64 })
	if e != 0 {
		return refuse(e, "Failed to properly initialize insn array")
	}
	k.p.arrays = append(k.p.arrays, a)
	return nil
}

const opLdImm64 = 0x18

// hasGotoX tells whether there is an indirect jump in the bytecode.
func hasGotoX(raw []byte) bool {
	for s := 0; s < len(raw); s += 8 {
		switch raw[s] {
		case opGotoX:
			return true
		case opLdImm64:
			s += 8
		}
	}
	return false
}

// jumpTables finds where indirect jumps lead, for programs that have some. It follows create_jt and jt_from_subprog.
func (k *checker) jumpTables() error {
	if !hasGotoX(k.p.raw) {
		return nil
	}
	code, err := link.DecodeJumps(k.p.raw, func(int32) []int32 { return nil })
	if err != nil {
		return err
	}
	// The maps and the functions of the program, which are looked for again when the instructions are known.
	scratch := &checker{c: k.c, p: k.p, code: code, lp: &link.Program{Code: &ir.Program{}}}
	n := int32(len(k.p.raw) / 8)
	starts := []int32{0, n}
	for _, ps := range code.Pseudo {
		switch in := code.Insns[ps.Insn]; {
		case in.Op == ir.CallSub, in.Op == ir.LdImm64 && ps.Src == pseudoFunc:
			if t := int64(ps.Slot) + 1 + int64(ps.Imm); t > 0 && t < int64(n) {
				starts = append(starts, int32(t))
			}
		case in.Op == ir.LdImm64 && ps.Src != pseudoBTFID:
			if err := scratch.resolve(ps); err != nil {
				return err
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for slot := int32(0); slot < n; slot++ {
		switch k.p.raw[8*slot] {
		case opLdImm64:
			slot++
		case opGotoX:
			i, exact := slices.BinarySearch(starts, slot)
			if !exact {
				i--
			}
			if err := k.jumpTable(slot, starts[i], starts[i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// jumpTable finds where the indirect jump in a slot of the function leads.
func (k *checker) jumpTable(slot, start, end int32) error {
	if k.p.targets(start) != nil {
		return nil
	}
	t := jumpTable{start: start, end: end}
	for _, a := range k.p.arrays {
		var all []int32
		for i := range a.MaxEntries {
			all = append(all, int32(a.Offset(i)))
		}
		if first := slices.Min(all); first >= start && first < end {
			t.targets = append(t.targets, all...)
		}
	}
	slices.Sort(t.targets)
	t.targets = slices.Compact(t.targets)
	switch {
	case len(t.targets) == 0:
		return refuse(abi.EINVAL, "no jump tables found for subprog starting at %d", start)
	case t.targets[len(t.targets)-1] >= end:
		return refuse(abi.EINVAL, "jump table for insn %d points outside of the subprog [%d,%d]", slot, start, end)
	}
	k.p.tables = append(k.p.tables, t)
	return nil
}

// targets are the slots to which an indirect jump in a slot leads, nil if there are none.
func (p *Prog) targets(slot int32) []int32 {
	for _, t := range p.tables {
		if t.start <= slot && slot < t.end {
			return t.targets
		}
	}
	return nil
}

// readyArrays completes the maps of an accepted program. Machine code counts as 8 bytes an instruction, see OBJ_GET_INFO_BY_FD.
func (k *checker) readyArrays() {
	for _, a := range k.p.arrays {
		a.Ready(func(slot uint32) uint32 {
			at := k.code.Index[slot]
			for _, s := range k.lp.Code.Subs {
				if s.Start <= at && at < s.End {
					return 8 * uint32(at-s.Start)
				}
			}
			return 0
		})
	}
}

// unuseArrays gives the maps of a refused program free for another one.
func (p *Prog) unuseArrays() {
	for _, a := range p.arrays {
		a.Unuse()
	}
}

// jumpView is what the verifier sees of the map.
func jumpView(out *link.Map, a *maps.InsnArray) {
	out.Frozen, out.Tables = true, [][2]uint32{{0, uint32(a.JumpsSize())}}
	for i := range a.MaxEntries {
		out.Data = binary.LittleEndian.AppendUint64(out.Data, uint64(a.Offset(i)))
	}
}
