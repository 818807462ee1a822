package link

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// Encoders of a few instructions.
func movK(dst byte, imm int32) []byte              { return insn(0xb7, dst, 0, 0, imm) }
func movX(dst, src byte) []byte                    { return insn(0xbf, dst, src, 0, 0) }
func addK(dst byte, imm int32) []byte              { return insn(0x07, dst, 0, 0, imm) }
func ldx64(dst, src byte, off int16) []byte        { return insn(0x79, dst, src, off, 0) }
func ldx32(dst, src byte, off int16) []byte        { return insn(0x61, dst, src, off, 0) }
func ldxs8(dst, src byte, off int16) []byte        { return insn(0x91, dst, src, off, 0) }
func stx64(dst, src byte, off int16) []byte        { return insn(0x7b, dst, src, off, 0) }
func stx8(dst, src byte, off int16) []byte         { return insn(0x73, dst, src, off, 0) }
func st32(dst byte, off int16, imm int32) []byte   { return insn(0x62, dst, 0, off, imm) }
func jeqK(dst byte, imm int32, off int16) []byte   { return insn(0x15, dst, 0, off, imm) }
func jeq32K(dst byte, imm int32, off int16) []byte { return insn(0x16, dst, 0, off, imm) }
func jneK(dst byte, imm int32, off int16) []byte   { return insn(0x55, dst, 0, off, imm) }
func jump(off int16) []byte                        { return insn(0x05, 0, 0, off, 0) }
func helper(id int32) []byte                       { return insn(0x85, 0, 0, 0, id) }
func callSub() []byte                              { return insn(0x85, 0, 1, 0, -1) }
func ldImm(dst byte) (lo, hi []byte)               { return insn(0x18, dst, 0, 0, 0), insn(0, 0, 0, 0, 0) }
func withSub(o *elf.Object, global bool, s ...[]byte) *elf.Object {
	f := object(s...).Funcs[0]
	f.Name, f.Section, f.Global = "sub", ".text", global
	o.Funcs = append(o.Funcs, f)
	main := o.Funcs[0]
	for slot := 0; slot*8 < len(main.Code); slot++ {
		if main.Code[slot*8] == 0x85 && main.Code[slot*8+1]>>4 == 1 {
			main.Relocs = append(main.Relocs, elf.Reloc{Insn: int32(slot), Kind: elf.RelocCall, Index: 1})
		}
	}
	return o
}

// withData gives the two-slot loads of a program the address of byte off of a data section.
func withData(o *elf.Object, frozen bool, data []byte, off int64) *elf.Object {
	o.Maps = []*elf.Map{{Name: ".rodata", Section: ".rodata", Type: elf.MapTypeArray, ValueSize: uint32(len(data) + 8), Data: data, Frozen: frozen}}
	main := o.Funcs[0]
	for slot := 0; slot*8 < len(main.Code); slot++ {
		if main.Code[slot*8] == 0x18 {
			main.Relocs = append(main.Relocs, elf.Reloc{Insn: int32(slot), Kind: elf.RelocMapValue, Off: off})
			slot++
		}
	}
	return o
}

func TestFold(t *testing.T) {
	k := newTestKernel(t)
	lo1, hi1 := ldImm(1)
	// Each program returns at once where the interesting branch is taken; dead are the instructions that cannot be reached.
	for _, tc := range []struct {
		name string
		o    *elf.Object
		dead []int
	}{
		{"known branch", object(movK(1, 3), jeqK(1, 3, 1), movK(0, 1), exit), []int{2}},
		{"known branch, not taken", object(movK(1, 3), jneK(1, 3, 2), movK(0, 1), exit, exit), []int{4}},
		{"unknown branch", object(jeqK(1, 3, 1), movK(0, 1), exit), nil},
		{"32 bits of a constant", object(movK(1, -1), insn(0x67, 1, 0, 0, 32), jeq32K(1, 0, 1), movK(0, 1), exit), []int{3}},
		{"after arithmetic", object(movK(1, 3), addK(1, 4), insn(0x27, 1, 0, 0, 2), jeqK(1, 14, 1), movK(0, 1), exit), []int{4}},
		{"unknown and 0", object(insn(0x57, 1, 0, 0, 0), jeqK(1, 0, 1), movK(0, 1), exit), []int{2}},
		{"two constants meet", object(movK(2, 1), jeqK(1, 0, 1), movK(2, 2), jeqK(2, 1, 1), movK(0, 1), exit), nil},
		{"one constant meets itself", object(movK(2, 1), jeqK(1, 0, 1), movK(2, 1), jeqK(2, 1, 1), movK(0, 1), exit), []int{4}},
		{"known by an equal jump", object(jneK(1, 7, 3), jeqK(1, 7, 1), movK(0, 1), exit, exit), []int{2}},
		{"known not to be 0", object(jeqK(1, 0, 3), jeqK(1, 0, 1), exit, exit, exit), []int{3}},
		{"loop", object(movK(1, 0), addK(1, 1), jeqK(1, 100, 1), jump(-3), exit), nil},
		{"code after exit", object(exit, movK(0, 1), exit), []int{1, 2}},
		{"may_goto", object(insn(0xe5, 0, 0, 1, 0), movK(0, 1), exit), nil},

		{"spilled constant", object(movK(1, 3), stx64(10, 1, -8), ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), []int{4}},
		{"stored word", object(st32(10, -4, -2), ldx32(2, 10, -4), insn(0x56, 2, 0, 1, -2), exit, movK(0, 1), exit), []int{4, 5}},
		{"overwritten in part", object(movK(1, 3), stx64(10, 1, -8), stx8(10, 1, -5), ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), nil},
		{"overwritten by the word before", object(movK(1, 3), stx64(10, 1, -8), stx64(10, 1, -12), ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), nil},
		{"kept over a call", object(movK(1, 3), stx64(10, 1, -8), movX(1, 10), addK(1, -4), helper(1), ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), nil},
		{"kept over a call below", object(movK(1, 3), stx64(10, 1, -16), movX(1, 10), addK(1, -8), helper(1), ldx64(2, 10, -16), jeqK(2, 3, 1), movK(0, 1), exit), []int{7}},
		{"kept over a call without stack", object(movK(1, 3), stx64(10, 1, -8), helper(1), ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), []int{5}},
		{"overwritten somewhere", object(movK(2, 3), stx64(10, 2, -8), movX(3, 10), insn(0x0f, 3, 1, 0, 0), stx64(3, 1, -16), ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), nil},
		{"stack address reloaded", object(movK(2, 3), stx64(10, 2, -8), movX(3, 10), addK(3, -8), stx64(10, 3, -16), ldx64(4, 10, -16), stx64(4, 1, 0),
			ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), nil},
		{"stack address is not null", object(movX(1, 10), jeqK(1, 0, 1), exit, exit), []int{3}},

		{"read-only data", withData(object(lo1, hi1, ldx32(2, 1, 4), jeqK(2, 0x01020304, 1), movK(0, 1), exit), true, []byte{0, 0, 0, 0, 4, 3, 2, 1}, 0), []int{3}},
		{"read-only data, zero part", withData(object(lo1, hi1, ldx32(2, 1, 4), jeqK(2, 0, 1), movK(0, 1), exit), true, make([]byte, 4), 4), []int{3}},
		{"read-only data, signed", withData(object(lo1, hi1, ldxs8(2, 1, 0), jeqK(2, -1, 1), movK(0, 1), exit), true, []byte{255}, 0), []int{3}},
		{"read-only data, outside", withData(object(lo1, hi1, ldx64(2, 1, 8), jeqK(2, 0, 1), movK(0, 1), exit), true, make([]byte, 4), 0), nil},
		{"writable data", withData(object(lo1, hi1, ldx32(2, 1, 4), jeqK(2, 0x01020304, 1), movK(0, 1), exit), false, []byte{0, 0, 0, 0, 4, 3, 2, 1}, 0), nil},
		{"address of data is not null", withData(object(lo1, hi1, jneK(1, 0, 1), movK(0, 1), exit), false, nil, 0), []int{2}},

		{"constant argument", withSub(object(movK(1, 5), callSub(), exit), false, jeqK(1, 5, 1), movK(0, 1), exit), []int{4}},
		{"two arguments", withSub(object(movK(1, 5), callSub(), movK(1, 6), callSub(), exit), false, jeqK(1, 5, 1), movK(0, 1), exit), nil},
		{"global functions take anything", withSub(object(movK(1, 5), callSub(), exit), true, jeqK(1, 5, 1), movK(0, 1), exit), nil},
		{"constant result", withSub(object(callSub(), jeqK(0, 9, 1), movK(0, 1), exit), false, movK(0, 9), exit), []int{2}},
		{"global functions return anything", withSub(object(callSub(), jeqK(0, 9, 1), movK(0, 1), exit), true, movK(0, 9), exit), nil},
		{"never returns", withSub(object(callSub(), movK(0, 1), exit), false, jump(-1)), []int{1, 2}},
		{"dead call", withSub(object(movK(1, 0), jeqK(1, 0, 1), callSub(), exit), false, movK(0, 9), exit), []int{2, 4, 5}},
		{"stack changed by a callee", withSub(object(movK(1, 3), stx64(10, 1, -8), movX(1, 10), callSub(), ldx64(2, 10, -8), jeqK(2, 3, 1), movK(0, 1), exit), false,
			stx64(1, 1, -8), exit), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := Link(tc.o, k, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var dead []int
			for i, live := range l.Programs[0].Live {
				if !live {
					dead = append(dead, i)
				}
			}
			if !slices.Equal(dead, tc.dead) {
				t.Errorf("dead %v, want %v", dead, tc.dead)
			}
			checkProgram(t, l, l.Programs[0])
		})
	}
}

func TestStackUse(t *testing.T) {
	k := newTestKernel(t)
	for _, tc := range []struct {
		name string
		o    *elf.Object
		want int32
	}{
		{"none", object(exit), 0},
		{"store", object(st32(10, -4, 1), exit), 8},
		{"load", object(ldx64(1, 10, -512), exit), 512},
		{"address", object(movX(1, 10), addK(1, -40), exit), 40},
		{"address by subtraction", object(movX(1, 10), insn(0x17, 1, 0, 0, 24), exit), 24},
		{"address passed on", object(movX(1, 10), addK(1, -100), helper(1), exit), 104},
		{"through an address", object(movX(1, 10), addK(1, -8), st32(1, -8, 1), exit), 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := Link(tc.o, k, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Programs[0].Code.Subs[0].Stack; got != tc.want {
				t.Errorf("%d bytes, want %d", got, tc.want)
			}
		})
	}
}

// TestFoldSound runs random programs, which use their stack through addresses too: whatever runs is live. The programs come
// from a plain generator: rapid prefers small numbers, which makes most of them alike.
func TestFoldSound(t *testing.T) {
	k := newTestKernel(t)
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 0))
		code := randomProgram(r)
		l, err := Link(object(code...), k, Options{})
		if err != nil && strings.Contains(err.Error(), "uses the stack below its 512 bytes") {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if pc, ok := runsLive(l.Programs[0], r); !ok {
			t.Fatalf("program %d: instruction %d is dead, but runs: %+v", seed, pc, l.Programs[0].Code.Insns)
		}
	}
}

func randomProgram(r *rand.Rand) (code [][]byte) {
	alu := []byte{0x07, 0x04, 0x0f, 0x0c, 0x17, 0x57, 0x5f, 0x27, 0x67, 0xa7, 0xaf, 0x87, 0xb7, 0xb4, 0xbf, 0xbc}
	jumps := []byte{0x15, 0x55, 0x16, 0x56, 0x25, 0xa5, 0x65, 0xc5, 0x45, 0x1d, 0x5d, 0x3d, 0xce}
	n := 4 + r.IntN(20)
	for i := range n {
		d, s, imm := byte(r.IntN(4)), byte(r.IntN(4)), int32(r.IntN(7)-3)
		off, to := int16(-8*(1+r.IntN(3))), int16(r.IntN(n-i))
		base := byte(10)
		if r.IntN(3) == 0 {
			base = d
		}
		switch r.IntN(14) {
		case 0, 1:
			op := alu[r.IntN(len(alu))]
			switch {
			case op == 0x67:
				imm &= 3
			case op == 0x87 || op&srcX != 0:
				imm = 0
			}
			if op&srcX == 0 {
				s = 0
			}
			code = append(code, insn(op, d, s, 0, imm))
		case 2:
			code = append(code, stx64(base, s, off))
		case 3:
			code = append(code, st32(base, off+4*int16(imm&1), imm))
		case 4:
			code = append(code, ldx64(s, base, off))
		case 5:
			code = append(code, ldx32(s, base, off+4*int16(imm&1)))
		case 6:
			code = append(code, stx8(base, s, off+int16(imm&7)))
		case 7:
			code = append(code, movX(d, 10), addK(d, int32(off)))
		case 8: // somewhere in the stack
			code = append(code, movX(d, 10), addK(d, int32(off)), insn(0x0f, d, s, 0, 0), stx64(d, s, 0))
		case 9:
			code = append(code, movK(d, imm), stx64(10, d, off))
		case 10:
			code = append(code, ldx64(d, 10, off), jeqK(d, imm, to))
		case 11: // on one of two ways
			code = append(code, jeqK(s, imm, 1), movX(d, 10))
		default:
			j := jumps[r.IntN(len(jumps))]
			if j&srcX != 0 {
				imm = 0
			} else {
				s = 0
			}
			code = append(code, insn(j, d, s, to, imm))
		}
	}
	return append(code, exit)
}

// runsLive runs p until it ends or faults; not ok: the instruction pc runs but is not live.
func runsLive(p *Program, r *rand.Rand) (pc int32, ok bool) {
	var regs [11]uint64
	for i := range 10 {
		regs[i] = uint64(int64(r.IntN(7) - 3))
	}
	const top = 0x7fff_ffff_f000
	regs[10] = top
	stack := make([]byte, 512)
	for i := range stack {
		stack[i] = byte(i)
	}
	for ; ; pc++ {
		if !p.Live[pc] {
			return pc, false
		}
		in := &p.Code.Insns[pc]
		b := uint64(in.Imm)
		at := 0
		if n := in.Op.Size(); n > 0 {
			base := regs[in.Dst]
			if in.Op.IsLoad() {
				base = regs[in.Src]
			}
			off := base + uint64(in.Off) - (top - 512)
			if off > uint64(512-n) {
				return pc, true // a fault: the program ends here
			}
			at = int(off)
		}
		switch {
		case in.Op == ir.Exit:
			return pc, true
		case in.Op == ir.Ld64:
			regs[in.Dst] = binary.LittleEndian.Uint64(stack[at:])
		case in.Op == ir.Ld32:
			regs[in.Dst] = uint64(binary.LittleEndian.Uint32(stack[at:]))
		case in.Op == ir.St64X:
			binary.LittleEndian.PutUint64(stack[at:], regs[in.Src])
		case in.Op == ir.St32K:
			binary.LittleEndian.PutUint32(stack[at:], uint32(in.Imm))
		case in.Op == ir.St8X:
			stack[at] = byte(regs[in.Src])
		case in.Op.IsJump():
			if (in.Op-ir.JEq64X)&1 == 0 {
				b = regs[in.Src]
			}
			if compare(in.Op-(in.Op-ir.JEq64X)&3, (in.Op-ir.JEq64X)&2 == 0, regs[in.Dst], b) {
				pc = in.Target - 1
			}
		case in.Op == ir.Mov64X:
			regs[in.Dst] = regs[in.Src]
		case in.Op == ir.Mov64K:
			regs[in.Dst] = b
		case in.Op == ir.Mov32X:
			regs[in.Dst] = uint64(uint32(regs[in.Src]))
		case in.Op == ir.Mov32K:
			regs[in.Dst] = uint64(uint32(b))
		case in.Op == ir.Neg64:
			regs[in.Dst] = -regs[in.Dst]
		default:
			if (in.Op-ir.Add64X)&1 == 0 {
				b = regs[in.Src]
			}
			regs[in.Dst] = arith(in.Op-(in.Op-ir.Add64X)&3, (in.Op-ir.Add64X)&2 == 0, regs[in.Dst], b)
		}
	}
}

func TestArithmetic(t *testing.T) {
	const minInt = 1 << 63
	for _, tc := range []struct {
		name string
		op   ir.Op
		wide bool
		a, b uint64
		want uint64
	}{
		{"div by 0", ir.Div64X, true, 5, 0, 0},
		{"mod by 0", ir.Mod64X, true, 5, 0, 5},
		{"mod by 0, 32 bits", ir.Mod64X, false, 5<<32 | 7, 0, 7},
		{"sdiv overflow", ir.SDiv64X, true, minInt, ^uint64(0), minInt},
		{"smod overflow", ir.SMod64X, true, minInt, ^uint64(0), 0},
		{"sdiv overflow, 32 bits", ir.SDiv64X, false, 1 << 31, 0xffffffff, 1 << 31},
		{"sdiv", ir.SDiv64X, true, ^uint64(6), 2, ^uint64(2)},
		{"smod", ir.SMod64X, false, uint64(0xfffffff9), 2, 0xffffffff},
		{"shift is masked", ir.Lsh64X, true, 1, 65, 2},
		{"shift is masked, 32 bits", ir.Lsh64X, false, 1, 33, 2},
		{"arsh", ir.Arsh64X, true, minInt, 63, ^uint64(0)},
		{"arsh, 32 bits", ir.Arsh64X, false, 1 << 31, 31, 0xffffffff},
		{"upper half is zeroed", ir.Add64X, false, 1<<32 | 0xffffffff, 1, 0},
		{"sub", ir.Sub64X, true, 1, 2, ^uint64(0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := arith(tc.op, tc.wide, tc.a, tc.b); got != tc.want {
				t.Errorf("%#x, want %#x", got, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		name string
		op   ir.Op
		in   uint64
		want uint64
	}{
		{"be16", ir.BE16, 0x123456, 0x5634},
		{"be32", ir.BE32, 0x9911223344, 0x44332211},
		{"bswap64", ir.BSwap64, 0x0102030405060708, 0x0807060504030201},
		{"le32", ir.LE32, 0x9911223344, 0x11223344},
		{"le64", ir.LE64, 0x9911223344, 0x9911223344},
		{"neg32", ir.Neg32, 1, 0xffffffff},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := unary(tc.op, tc.in); got != tc.want {
				t.Errorf("%#x, want %#x", got, tc.want)
			}
		})
	}
}
