package link

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// Indirect jumps (gotox) go where an element of a jump table says. Here the elements are numbers of instructions, and the
// jump a search among them by comparisons: so they need nothing of their own in the analyses, and can be loaded as bytecode
// beside a table that is plain data. Who runs the program makes one instruction of each search (Program.Gotos), so that it
// counts as in the kernel.

// Goto says that the instructions from Insn on are such a search.
type Goto struct {
	Insn  int
	Jumps []ir.Jump // where it leads, by value
}

// Direct puts the indirect jumps in the place of the first instructions of their searches, whose others are never reached
// then. code is that of p, or a copy of its instructions and subprograms.
func (p *Program) Direct(code *ir.Program) {
	for _, g := range p.Gotos {
		in := &code.Insns[g.Insn]
		if in.Op != ir.JGe64K && in.Op != ir.JEq64K { // what the verifier has put there instead
			continue
		}
		*in = ir.Insn{Op: ir.GotoX, Dst: in.Dst, Orig: in.Orig}
		for k := range code.Subs {
			if s := &code.Subs[k]; s.Start <= int32(g.Insn) && int32(g.Insn) < s.End {
				s.Jumps = g.Jumps // those of a function are the same
			}
		}
	}
}

// NoTarget is the poison at the end of such a search: no path leads there from an element of the table.
const NoTarget = "jumps to what is no target of its jump table"

// jumpTableMap is the data section that holds the tables.
const jumpTableMap = ".jumptables"

// jumpTables is the index in Maps of the section with the tables, which is made when it is needed first.
func (l *linker) jumpTables() int {
	if i := slices.IndexFunc(l.out.Maps, func(m *Map) bool { return m.Section == jumpTableMap }); i >= 0 {
		return i
	}
	size := uint32(0)
	var tables [][2]uint32
	for _, t := range l.in.JumpTables {
		n := 8 * uint32(len(t.Targets))
		size, tables = max(size, t.Off+n), append(tables, [2]uint32{t.Off, n})
	}
	l.out.Maps = append(l.out.Maps, &Map{Name: jumpTableMap, Section: jumpTableMap, Type: elf.MapTypeArray, KeySize: 4, ValueSize: size,
		MaxEntries: 1, Flags: elf.FlagRdonlyProg, Frozen: true, Data: make([]byte, size), Tables: tables})
	return len(l.out.Maps) - 1
}

// jumpTargets returns the slots to which the tables that f refers to lead, in order, and writes them to the section.
func (l *linker) jumpTargets(f *elf.Func, slots int32) ([]int32, error) {
	var targets []int32
	for _, r := range f.Relocs {
		if r.Kind != elf.RelocJumpTable {
			continue
		}
		t, data := l.in.JumpTables[r.Index], l.out.Maps[l.jumpTables()].Data
		for i, off := range t.Targets {
			slot := (off - uint64(f.Off)) / 8
			if off < uint64(f.Off) || off%8 != 0 || slot >= uint64(slots) {
				return nil, fmt.Errorf("instruction %d: jump table: element %d leads to byte %d of the section, outside of the function (%d to %d)",
					r.Insn, i, off, f.Off, f.Off+8*uint32(slots)-8)
			}
			binary.LittleEndian.PutUint64(data[t.Off+8*uint32(i):], slot)
			targets = append(targets, int32(slot))
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets), nil
}

// dispatch appends code that jumps to the slot whose number is in the register in.Dst, one of targets. It calls jump for each
// jump to a slot before it is appended.
func dispatch(insns *[]ir.Insn, poison *[]string, in ir.Insn, targets []int32, jump func(slot int32)) {
	if len(targets) > 1 {
		mid := len(targets) / 2
		branch := len(*insns)
		in.Op, in.Imm = ir.JGe64K, int64(targets[mid])
		*insns = append(*insns, in)
		dispatch(insns, poison, in, targets[:mid], jump)
		(*insns)[branch].Target = int32(len(*insns))
		dispatch(insns, poison, in, targets[mid:], jump)
		return
	}
	jump(targets[0])
	in.Op, in.Imm = ir.JEq64K, int64(targets[0])
	*insns = append(*insns, in, ir.Insn{Op: ir.Invalid, Orig: in.Orig, Imm: int64(len(*poison))})
	*poison = append(*poison, NoTarget)
}
