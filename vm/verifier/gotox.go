package verifier

import (
	"encoding/binary"
	"slices"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// The linker makes of an indirect jump a search among the targets of its table. Here it is one instruction again: the first of
// the search stands for it, and the register has to hold an element of a table, as the kernel wants it.

// gotox is an indirect jump: where the values of its table lead.
type gotox struct {
	slots   []int64
	targets []int32
}

// findGotox finds the searches of indirect jumps by their first instructions.
func (v *verifier) findGotox() {
	for end := range v.insns {
		in := &v.insns[end]
		if in.Op != ir.Invalid || in.Imm < 0 || in.Imm >= int64(len(v.prog.Poison)) || v.prog.Poison[in.Imm] != link.NoTarget {
			continue
		}
		start := end
		for start > 0 && v.insns[start-1].Orig == in.Orig {
			start--
		}
		for i := start; i <= end; i++ {
			v.aux[i].gotox = true
		}
		g := v.gotoxs[int32(start)]
		if g == nil {
			g = &gotox{}
			if v.gotoxs == nil {
				v.gotoxs = map[int32]*gotox{}
			}
			v.gotoxs[int32(start)] = g
		}
		if leaf := &v.insns[max(end-1, 0)]; leaf.Op == ir.JEq64K {
			g.slots, g.targets = append(g.slots, leaf.Imm), append(g.targets, leaf.Target)
		}
	}
}

// tableAt is the jump table at an offset of the section of them, as a map of its own.
func (v *verifier) tableAt(m *link.Map, off int64) (*mapInfo, int64) {
	for _, t := range m.Tables {
		from, size := int64(t[0]), int64(t[1])
		if off < from || off >= from+size {
			continue
		}
		if v.tables[t[0]] == nil {
			if v.tables == nil {
				v.tables = map[uint32]*mapInfo{}
			}
			data := make([]byte, size)
			if from < int64(len(m.Data)) {
				copy(data, m.Data[from:])
			}
			v.tables[t[0]] = &mapInfo{name: m.Name, typ: mapInsnArray, key: 4, value: uint32(size), max: uint32(size) / regSize, flags: m.Flags, data: data,
				frozen: true}
		}
		return v.tables[t[0]], off - from
	}
	return nil, 0
}

// loadInsn reads an element of a jump table.
func loadInsn(a access, d *reg) error {
	if a.size != regSize {
		return refuse(CodeBounds, "Invalid read of %d bytes from insn_array", a.size)
	}
	if d == nil {
		return nil
	}
	num := a.r.num
	k := knownNum(uint64(a.off))
	num.r32, num.r64, num.bits = num.r32.add(k.r32), num.r64.add(k.r64), num.bits.add(k.bits)
	num.sync()
	d.setPointer(ptrToInsn, a.r.obj)
	d.num = num
	return nil
}

// stepGotox follows check_indirect_jump.
func (v *verifier) stepGotox(g *gotox, in *ir.Insn) (stepResult, error) {
	r := &v.regs()[in.Dst]
	if r.typ != ptrToInsn {
		return 0, refuse(CodeBadPointer, "R%d has type %v, expected PTR_TO_INSN", in.Dst, r.typ)
	}
	m := r.obj.m
	lo, hi := r.umin()/regSize, r.umax()/regSize
	if hi >= uint64(m.max) {
		return 0, refuse(CodeBounds, "R%d points to outside of jump table: [%d,%d] max_entries %d", in.Dst, lo, hi, m.max)
	}
	var slots []int64
	for i := lo; i <= hi; i++ {
		slots = append(slots, int64(binary.LittleEndian.Uint64(m.data[i*regSize:])))
	}
	slices.Sort(slots)
	slots = slices.Compact(slots)
	for i, slot := range slots {
		n := slices.Index(g.slots, slot)
		if n < 0 {
			return 0, refuse(CodeInvalidInsn, "register R%d doesn't point to any offset in map", in.Dst)
		}
		if i == len(slots)-1 {
			v.insnIdx = g.targets[n]
			break
		}
		if _, err := v.push(g.targets[n], v.insnIdx); err != nil {
			return 0, err
		}
	}
	return stepJump, nil
}
