package enginetest

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// generator makes programs out of bytes: every sequence of bytes is a set of programs that engine.Check accepts. The
// programs are made to get far: most pointers are good, most jumps go forwards.
type generator struct {
	data []byte
	mem  uint64 // address of the memory to work on
}

func (g *generator) byte() int {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b)
}

func (g *generator) n(n int) int {
	if n > 256 {
		return (g.byte()<<8 | g.byte()) % n
	}
	return g.byte() % n
}

func (g *generator) reg() ir.Reg  { return ir.Reg(g.n(10)) }     // to write
func (g *generator) read() ir.Reg { return ir.Reg(g.n(44) / 4) } // R10 included

var boundary = []int64{0, 1, -1, 2, -2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, -128, -129, 255, 256, 1000, 32767, -32768, 65535, 65536,
	1<<31 - 1, 1 << 31, -1 << 31, 1<<32 - 1, 1 << 32, -1<<31 - 1, 1<<63 - 1, -1 << 63, -1<<63 + 1, 0x0123456789abcdef, 0x5555555555555555}

// imm is an operand: 32 bits, as bytecode can have, and rarely more.
func (g *generator) imm() int64 {
	switch v := boundary[g.n(len(boundary))]; g.n(8) {
	case 0:
		return int64(int32(g.byte()<<24 | g.byte()<<16 | g.byte()<<8 | g.byte()))
	case 1:
		return v // 64 bits
	default:
		return int64(int32(v))
	}
}

func (g *generator) imm64() int64 {
	v := boundary[g.n(len(boundary))]
	if g.n(3) == 0 {
		v ^= int64(g.byte()) << g.n(64)
	}
	return v
}

// offset is one of a memory access: mostly within the memory or the frame.
func (g *generator) offset(base ir.Reg) int32 {
	switch g.n(64) {
	case 0:
		return int32(g.byte()<<24 | g.byte()<<16 | g.byte()<<8 | g.byte())
	case 1:
		return int32(int16(g.byte()<<8 | g.byte()))
	case 2:
		return []int32{0, -1, -8, -512, -513, 8, 4095, 4096, -4096, 32767, -32768}[g.n(11)]
	}
	if base == 10 {
		return -int32(8 + g.n(508))
	}
	return int32(g.n(64)) * int32(g.n(8)/2&1)
}

// programs makes a set.
func (g *generator) programs() []*ir.Program {
	shapes := make([][]int32, 1+g.n(8)/6) // per program: lengths of the subprograms
	for i := range shapes {
		shapes[i] = make([]int32, 1+g.n(4))
		for j := range shapes[i] {
			shapes[i][j] = int32(1 + g.n(28))
		}
	}
	progs := make([]*ir.Program, len(shapes))
	for i := range shapes {
		progs[i] = g.program(shapes, i)
	}
	return progs
}

func (g *generator) program(shapes [][]int32, number int) *ir.Program {
	p := &ir.Program{Name: fmt.Sprintf("p%d", number), Kfuncs: []string{"kfunc0", "kfunc1", "throw"}}
	for j := range shapes[number] {
		g.sub(p, j)
	}
	starts := p.Subs
	if g.n(2) > 0 {
		p.Exception = int32(g.n(len(starts)))
	}
	for i := range p.Insns {
		in := &p.Insns[i]
		in.Orig = int32(i)
		switch {
		case in.Op == ir.CallSub:
			in.Target = starts[int(in.Target)%len(starts)].Start
		case in.Op == ir.LdImm64 && in.Off == 1: // a code address
			in.Off = 0
			in.Imm = int64(engine.CodeAddr(number, starts[int(in.Imm)%len(starts)].Start))
		}
	}
	return p
}

// sub appends subprogram j of length body, with a beginning that loads pointers and an end that shows the registers.
func (g *generator) sub(p *ir.Program, j int) {
	start := int32(len(p.Insns))
	emit := func(in ir.Insn) { p.Insns = append(p.Insns, in) }
	if j == 0 {
		emit(ir.Insn{Op: ir.Mov64X, Dst: 6, Src: 1})
		for r := ir.Reg(0); r < 10; r++ {
			if r != 6 && g.n(3) > 0 {
				emit(ir.Insn{Op: ir.LdImm64, Dst: r, Imm: g.imm64()})
			}
		}
	}
	first := int32(len(p.Insns))
	if j > 0 && g.n(4) == 0 {
		g.leave(emit)
	}
	body := int32(1 + g.n(30))
	for range body {
		g.insn(emit)
	}
	if g.n(4) > 0 {
		for r := ir.Reg(0); r < 10; r++ {
			emit(ir.Insn{Op: ir.St64X, Dst: 10, Src: r, Off: -8 * int32(r+1)})
		}
	}
	if g.n(16) == 0 {
		emit(ir.Insn{Op: ir.Ja, Target: start})
	} else {
		emit(ir.Insn{Op: ir.Exit})
	}
	end := int32(len(p.Insns))
	var jumps []ir.Jump
	for v := int32(g.n(4)); len(jumps) == 0 || g.n(4) > 0 && v < end-first; v += 1 + int32(g.n(4)) {
		jumps = append(jumps, ir.Jump{Value: v, Target: first + int32(g.n(int(end-first)))})
	}
	for i := first; i < end; i++ {
		in := &p.Insns[i]
		if in.Op == ir.Mov64K && in.Off != 0 { // for an indirect jump
			in.Off, in.Imm = 0, int64(jumps[int(in.Imm)%len(jumps)].Value)
		}
		if !in.Op.IsJump() || i == end-1 {
			continue
		}
		if in.Target&3 == 0 {
			in.Target = start + in.Target%(end-start) // anywhere
		} else {
			in.Target = min(i+1+in.Target>>2%8, end-1)
		}
	}
	p.Subs = append(p.Subs, ir.Sub{Name: fmt.Sprintf("s%d", j), Start: start, End: end, Stack: engine.FrameSize, Jumps: jumps})
}

// insn emits an instruction or a few.
func (g *generator) insn(emit func(ir.Insn)) {
	switch k := g.n(32); {
	case k < 12: // arithmetic
		op := ir.Add64X + ir.Op(g.n(int(ir.LdImm64-ir.Add64X)))
		emit(ir.Insn{Op: op, Dst: g.reg(), Src: g.read(), Imm: g.imm()})
	case k < 14: // values to compute with
		emit(ir.Insn{Op: ir.LdImm64, Dst: g.reg(), Imm: g.imm64()})
	case k < 21: // memory, with a base that is mostly good
		base := ir.Reg(10)
		switch k := g.n(32); {
		case k == 0:
			base = g.read()
		case k < 12:
			base = ir.Reg(g.n(10))
			emit(ir.Insn{Op: ir.LdImm64, Dst: base, Imm: int64(g.mem + uint64(g.n(4096)))})
		case k < 16: // a constant that the lowering does not see through, often at the end of memory
			base = ir.Reg(g.n(10))
			at := g.mem + DataSize - uint64(g.n(16))
			if g.n(4) > 0 {
				at = g.mem + uint64(g.n(4096))
			}
			emit(ir.Insn{Op: ir.LdImm64, Dst: base, Imm: int64(at)})
			emit(ir.Insn{Op: ir.Xor64K, Dst: base})
		case k < 20:
			base = 6
		case k < 24: // the arena, near the edges of its pages
			base = ir.Reg(g.n(10))
			at := []int64{0, 0x1000, 0x2000, 0x3000, 0x4000, 1<<32 - 0x1000, 1 << 32}[g.n(7)] + int64(g.n(32)) - 16
			emit(ir.Insn{Op: ir.LdImm64, Dst: base, Imm: arenaUser + at})
			if g.n(16) > 0 {
				emit(ir.Insn{Op: ir.CastKern, Dst: base, Src: base})
			}
		}
		if base != 10 && g.n(3) == 0 {
			emit(ir.Insn{Op: ir.Add64K, Dst: base, Imm: int64(g.n(64) - 32)})
		}
		op := ir.Ld8 + ir.Op(g.n(int(ir.AtomicAdd32-ir.Ld8)))
		if g.n(3) == 0 {
			op = ir.AtomicAdd32 + ir.Op(g.n(int(ir.StRel64-ir.AtomicAdd32)+1))
		}
		in := ir.Insn{Op: op, Dst: base, Src: g.read(), Off: g.offset(base), Imm: g.imm()}
		if op.IsLoad() {
			in.Dst, in.Src = g.reg(), base
			in.Probe = op <= ir.Lds32 && g.n(4) == 0
		}
		in.Arena = g.n(2) == 0
		if op.WritesSrc() {
			in.Src = g.reg()
		}
		emit(in)
	case k == 24 && g.n(2) == 0:
		r := g.reg()
		if g.n(8) > 0 {
			emit(ir.Insn{Op: ir.Mov64K, Dst: r, Imm: int64(g.byte()), Off: 1})
		} else {
			emit(ir.Insn{Op: ir.And64K, Dst: r, Imm: 31})
		}
		if g.n(4) > 0 { // not a known constant
			emit(ir.Insn{Op: ir.Xor64K, Dst: r})
		}
		emit(ir.Insn{Op: ir.GotoX, Dst: r})
	case k < 25:
		op := ir.Ja + ir.Op(g.n(int(ir.MayGoto-ir.Ja)+1))
		emit(ir.Insn{Op: op, Dst: g.read(), Src: g.read(), Imm: g.imm(), Target: int32(g.byte())})
	case k < 27:
		emit(ir.Insn{Op: ir.CallSub, Target: int32(g.byte())})
	case k == 27:
		r := g.reg()
		switch n := g.n(8); {
		case n > 1:
			emit(ir.Insn{Op: ir.LdImm64, Dst: r, Imm: int64(g.byte()), Off: 1})
		case n > 0:
			emit(ir.Insn{Op: ir.Mov64K, Dst: r, Imm: []int64{HelperFold, HelperFault, HelperAlloc, 77}[g.n(4)]})
		default:
			emit(ir.Insn{Op: ir.LdImm64, Dst: r, Imm: int64(engine.CodeAddr(g.n(3), 0)) + int64(g.byte())})
		}
		emit(ir.Insn{Op: ir.CallReg, Dst: r})
	case k == 29 && g.n(4) > 0:
		g.leave(emit)
	case k == 28 || k == 29:
		emit(ir.Insn{Op: ir.CallKfunc, Imm: int64(g.n(11) / 5)})
	case k >= 30 && g.n(8) > 0:
		g.helper(emit)
	default:
		switch g.n(24) {
		case 0:
			emit(ir.Insn{Op: ir.Invalid})
		case 1:
			emit(ir.Insn{Op: ir.Exit})
		case 2, 3, 4:
			emit(ir.Insn{Op: ir.CastKern, Dst: g.reg(), Src: g.read()})
		default:
			emit(ir.Insn{Op: ir.CastUser, Dst: g.reg(), Src: g.read()})
		}
	}
}

func (g *generator) helper(emit func(ir.Insn)) {
	n := int64(5 + g.n(15))
	switch {
	case n == 11 && g.n(3) == 0:
		n = HelperCPUID
	case n == 11 && g.n(2) == 0:
		g.variable(emit)
		return
	case n > 17:
		emit(ir.Insn{Op: ir.Mov64K, Dst: 1, Imm: []int64{0, 1, 3, 20, 1 << 23, 1<<23 + 1, -1, 1<<32 + 2}[g.n(8)*g.n(8)/8]})
		emit(ir.Insn{Op: ir.LdImm64, Dst: 2, Imm: int64(g.byte()), Off: 1})
		if g.n(8) > 0 {
			emit(ir.Insn{Op: ir.Mov64K, Dst: 4, Imm: int64(g.n(16) / 15)})
		}
		emit(ir.Insn{Op: ir.CallHelper, Imm: HelperRounds})
		return
	case n > 16:
		emit(ir.Insn{Op: ir.CallHelper, Imm: HelperWord})
		return
	case n > 15:
		g.next(emit)
		return
	case n > HelperMap:
		g.lookup(emit)
		return
	}
	if g.n(16) == 0 {
		n = g.imm()
	}
	switch n {
	case HelperLoop:
		emit(ir.Insn{Op: ir.Mov64K, Dst: 1, Imm: int64(g.n(5))})
		emit(ir.Insn{Op: ir.LdImm64, Dst: 2, Imm: int64(g.byte()), Off: 1})
	case HelperRun:
		emit(ir.Insn{Op: ir.Mov64K, Dst: 1, Imm: int64(g.n(3))})
		emit(ir.Insn{Op: ir.LdImm64, Dst: 2, Imm: int64(g.mem)})
	case HelperTouch:
		emit(ir.Insn{Op: ir.LdImm64, Dst: 1, Imm: int64(g.mem + uint64(g.n(4096)))})
	}
	emit(ir.Insn{Op: ir.CallHelper, Imm: n})
}

// leave ends a function by a tail call or an exception, or a round of a callback with one.
func (g *generator) leave(emit func(ir.Insn)) {
	switch g.n(8) {
	case 0, 1:
		emit(ir.Insn{Op: ir.CallKfunc, Imm: KfuncThrow})
	case 2, 3, 4:
		emit(ir.Insn{Op: ir.Mov64K, Dst: 1, Imm: 2})
		emit(ir.Insn{Op: ir.LdImm64, Dst: 2, Imm: int64(g.byte()), Off: 1})
		emit(ir.Insn{Op: ir.Mov64K, Dst: 4})
		emit(ir.Insn{Op: ir.CallHelper, Imm: []int64{HelperLoop, HelperRounds}[g.n(2)]})
	default:
		emit(ir.Insn{Op: ir.LdImm64, Dst: 1, Imm: int64(g.mem + uint64(g.n(16))/12*4)})
		emit(ir.Insn{Op: ir.Mov64K, Dst: 2, Imm: int64(g.n(3))})
		emit(ir.Insn{Op: ir.Mov64K, Dst: 3, Imm: []int64{0, 0, 0, 0, 1, 2, 4, 4}[g.n(8)]})
		emit(ir.Insn{Op: ir.CallHelper, Imm: HelperTail})
	}
}

// next goes on with an iterator, mostly on the stack.
func (g *generator) next(emit func(ir.Insn)) {
	switch g.n(8) {
	case 0:
		emit(ir.Insn{Op: ir.LdImm64, Dst: 1, Imm: int64(g.mem + uint64(g.n(4096)))})
	case 1:
		emit(ir.Insn{Op: ir.Mov64X, Dst: 1, Src: g.read()})
	default:
		emit(ir.Insn{Op: ir.St32K, Dst: 10, Off: -8, Imm: int64(g.n(10) - 1)})
		emit(ir.Insn{Op: ir.St32K, Dst: 10, Off: -4, Imm: int64(g.n(10))})
		emit(ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 10})
		emit(ir.Insn{Op: ir.Add64K, Dst: 1, Imm: -8})
	}
	emit(ir.Insn{Op: ir.CallHelper, Imm: HelperNext})
}

// lookup looks an element of an array up, mostly with a key on the stack, and uses it.
func (g *generator) lookup(emit func(ir.Insn)) {
	emit(ir.Insn{Op: ir.St32K, Dst: 10, Off: -4, Imm: int64(g.n(8))})
	switch g.n(8) {
	case 0:
		emit(ir.Insn{Op: ir.LdImm64, Dst: 2, Imm: int64(g.mem + uint64(g.n(64)))})
	case 1:
		emit(ir.Insn{Op: ir.Mov64X, Dst: 2, Src: g.read()})
	default:
		emit(ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 10})
		emit(ir.Insn{Op: ir.Add64K, Dst: 2, Imm: -4})
	}
	a, t := Arrays(g.mem), Tables(g.mem)
	m, helper := a[g.n(len(a))].Map, int64(HelperLookup)
	switch n := g.n(8); {
	case n == 3:
		m = t[0].Map
	case n == 4:
		m = t[1].Map
		emit(ir.Insn{Op: ir.St64K, Dst: 10, Off: -16, Imm: int64(g.n(8))})
		emit(ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 10})
		emit(ir.Insn{Op: ir.Add64K, Dst: 2, Imm: -16})
	case n == 5:
		m, helper = t[2].Map, HelperStorage
		emit(ir.Insn{Op: ir.Mov64K, Dst: 2, Imm: int64(g.n(12))})
		emit(ir.Insn{Op: ir.Mov64K, Dst: 4, Imm: int64(g.n(16) % 3)})
	}
	if helper == HelperLookup && g.n(4) == 0 { // an update instead, perhaps of a value by an overlapping one
		helper = HelperUpdate
		emit(ir.Insn{Op: ir.LdImm64, Dst: 3, Imm: int64(g.mem + uint64([]int{0, 3072, 3080, 3088, 3096, DataSize - 8, DataSize - 16}[g.n(7)]+g.n(8)))})
		emit(ir.Insn{Op: ir.Mov64K, Dst: 4, Imm: int64(g.n(16) / 5)})
	}
	emit(ir.Insn{Op: ir.LdImm64, Dst: 1, Imm: int64(m)})
	emit(ir.Insn{Op: ir.CallHelper, Imm: helper})
	if g.n(8) == 0 {
		return
	}
	// A copy, a comparison with null of one of the two, and accesses through both, right or wrong.
	regs := []ir.Reg{0, ir.Reg(6 + g.n(4))}
	emit(ir.Insn{Op: ir.Mov64X, Dst: regs[1], Src: regs[g.n(8)/7]})
	if g.n(4) == 0 {
		emit(ir.Insn{Op: ir.Add64K, Dst: regs[g.n(2)], Imm: int64(g.n(3)) * 8})
	}
	emit(ir.Insn{Op: []ir.Op{ir.JEq64K, ir.JEq64K, ir.JEq64K, ir.JNe64K}[g.n(4)], Dst: regs[g.n(2)], Imm: int64(g.n(16) / 15), Target: int32(1 | g.n(4)<<2)})
	for range g.n(4) {
		r := regs[g.n(2)]
		switch op := ir.Ld8 + ir.Op(g.n(int(ir.StRel64-ir.Ld8)+1)); {
		case op.IsLoad():
			emit(ir.Insn{Op: op, Dst: g.reg(), Src: r, Off: int32(g.n(48)), Probe: op <= ir.Lds32 && g.n(2) == 0, Arena: g.n(8) == 0})
		default:
			emit(ir.Insn{Op: op, Dst: r, Src: g.reg(), Off: int32(g.n(48)), Imm: g.imm()})
		}
	}
}

// variable asks for a processor's copy of a variable, and accesses it.
func (g *generator) variable(emit func(ir.Insn)) {
	emit(ir.Insn{Op: ir.LdImm64, Dst: 1, Imm: int64(Variable(g.mem) + uint64(g.n(8)/7))})
	if g.n(2) == 0 {
		emit(ir.Insn{Op: ir.Mov64K, Dst: 2, Imm: []int64{0, 1, 3, 4, -1, 1<<32 + 2}[g.n(6)]})
	}
	emit(ir.Insn{Op: ir.CallHelper, Imm: HelperPerCPU + int64(g.n(2))})
	switch g.n(4) {
	case 0:
		emit(ir.Insn{Op: ir.Ld64, Dst: g.reg(), Off: int32(g.n(48))})
	case 1:
		emit(ir.Insn{Op: ir.St64X, Src: g.reg(), Off: int32(g.n(24))})
	}
}

// Listing shows a set for people.
func Listing(progs []*ir.Program) string {
	var b strings.Builder
	for _, p := range progs {
		fmt.Fprintf(&b, "%s:\n", p.Name)
		for i, in := range p.Insns {
			for _, s := range p.Subs {
				if int(s.Start) == i {
					fmt.Fprintf(&b, " %s:\n", s.Name)
				}
			}
			fmt.Fprintf(&b, "%4d  op %3d  dst r%d src r%d off %d target %d imm %#x probe %v arena %v\n", i, in.Op, in.Dst, in.Src, in.Off, in.Target, uint64(in.Imm),
				in.Probe, in.Arena)
		}
	}
	return b.String()
}
