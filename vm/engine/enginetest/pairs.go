package enginetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// single makes a program that runs op for several pairs of registers and shows all registers after each.
type single struct {
	insns []ir.Insn
	cases int
}

// framed is the number of cases whose registers fit in a frame.
const framed = engine.FrameSize / 80

func (s *single) add(r *rand.Rand, in ir.Insn, mem uint64) {
	value := func() int64 { return boundary[r.IntN(len(boundary))] }
	for reg := ir.Reg(0); reg < 10; reg++ {
		s.insns = append(s.insns, ir.Insn{Op: ir.LdImm64, Dst: reg, Imm: value()})
	}
	base := ir.Reg(99)
	switch op := in.Op; {
	case op.IsLoad():
		base = in.Src
	case op.Size() > 0:
		base = in.Dst
	}
	if base < 10 { // the address, in two steps so that it is no known constant
		s.insns = append(s.insns, ir.Insn{Op: ir.LdImm64, Dst: base, Imm: int64(mem + 8*r.Uint64N(500))}, ir.Insn{Op: ir.Xor64K, Dst: base})
		in.Off = int32(r.IntN(8))
	} else if base == 10 {
		in.Off = -8 * int32(1+r.IntN(60))
	}
	if op := in.Op; op >= ir.CmpXchg32 && op <= ir.CmpXchg64 && r.IntN(2) == 0 && base < 10 && base != 0 {
		load := ir.Ld64
		if op == ir.CmpXchg32 {
			load = ir.Ld32
		}
		s.insns = append(s.insns, ir.Insn{Op: load, Dst: 0, Src: base, Off: in.Off})
	}
	s.insns = append(s.insns, in)
	for reg := ir.Reg(0); reg < 10; reg++ {
		s.insns = append(s.insns, ir.Insn{Op: ir.St64X, Dst: 10, Src: reg, Off: -80*int32(s.cases) - 8*int32(reg+1)})
	}
	s.cases++
}

// Pairs compares e with ref on every operation with every pair of registers, with values at the edges.
func Pairs(t *testing.T, ref, e engine.Engine) {
	var d Differ
	d.begin(t, ref, e)
	mem := dataAddr(t, diffStack)
	r := rand.New(rand.NewPCG(7, 0))
	for op := ir.Add64X; op <= ir.StRel64; op++ {
		t.Run(fmt.Sprintf("op %d", op), func(t *testing.T) {
			check := func(s *single) {
				insns := append(s.insns, ir.Insn{Op: ir.Exit})
				p := &ir.Program{Name: "pairs", Insns: insns, Subs: []ir.Sub{{End: int32(len(insns)), Stack: 512}}}
				for _, end := range d.compare(t, Options{Stack: diffStack}, p) {
					if end != "" {
						t.Fatalf("ended with %q\n%s", end, Listing([]*ir.Program{p}))
					}
				}
			}
			s := new(single)
			for dst := ir.Reg(0); dst <= 10; dst++ {
				for src := ir.Reg(0); src <= 10; src++ {
					in := ir.Insn{Op: op, Dst: dst, Src: src, Imm: boundary[r.IntN(len(boundary))]}
					if op.WritesDst() && dst == 10 || op.WritesSrc() && src == 10 {
						continue
					}
					if s.add(r, in, mem); s.cases == framed {
						check(s)
						s = new(single)
					}
				}
			}
			check(s)
		})
	}
}
