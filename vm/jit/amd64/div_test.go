//go:build linux && amd64

package amd64

import (
	"math/rand/v2"
	"testing"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/ir"
)

// divisors are constants around the edges of the method, and random ones.
func divisors(w uint, rnd *rand.Rand) (list []uint64) {
	for k := uint64(1); k < 70; k++ {
		list = append(list, k)
	}
	for s := uint(6); s < w; s++ {
		list = append(list, 1<<s-1, 1<<s, 1<<s+1, 3<<(s-1), 1<<s+rnd.Uint64N(1<<s))
	}
	list = append(list, 1000, 1_000_000, 1_000_000_000, 641, 6700417, ^uint64(0), ^uint64(0)-1, 1<<63+1)
	for i := range list {
		list[i] &= 1<<w - 1
	}
	return list
}

// dividends for a divisor: multiples and their neighbours, above all the largest.
func dividends(w uint, k uint64, rnd *rand.Rand) (list []uint64) {
	mask := uint64(1)<<w - 1
	q := mask / max(k, 1)
	for _, n := range []uint64{0, 1, 2, q / 2, q - 1, q, rnd.Uint64() % (q | 1), rnd.Uint64() % (q | 1)} {
		list = append(list, (n*k-1)&mask, n*k&mask, (n*k+1)&mask)
	}
	for range 8 {
		list = append(list, rnd.Uint64()&mask>>rnd.UintN(w))
	}
	return append(list, mask, mask-1, mask>>1, mask>>1+1)
}

// x/k = x*M >> (W+s), for constants that are no powers of two.
func TestReciprocal(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for k := uint64(3); k < 1<<12; k++ { // all dividends of a small width would need a smaller M; here all edges
		if k&(k-1) == 0 {
			continue
		}
		m, s := reciprocal(32, k)
		for _, x := range dividends(32, k, rnd) {
			if got := (x + x*m>>32) >> s; got != x/k {
				t.Fatalf("%d / %d = %d", x, k, got)
			}
		}
	}
}

func TestDivideByConstant(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, op := range []ir.Op{ir.Div64K, ir.Mod64K, ir.Div32K, ir.Mod32K} {
		w := uint(64)
		if op == ir.Div32K || op == ir.Mod32K {
			w = 32
		}
		// One program for all divisors: it loads R6+8, divides, and mixes the results, from several registers.
		p := &ir.Program{Name: "divide"}
		add := func(in ...ir.Insn) { p.Insns = append(p.Insns, in...) }
		regs := []ir.Reg{0, 3, 2, 8}
		add(ir.Insn{Op: ir.Mov64X, Dst: 6, Src: 1}, ir.Insn{Op: ir.Mov64K, Dst: 7})
		for i, k := range divisors(w, rnd) {
			imm := int64(k)
			if w == 32 {
				imm = int64(int32(k))
			}
			for n, x := range dividends(w, k, rnd) {
				d := regs[(i+n)%len(regs)]
				add(ir.Insn{Op: ir.Mov64K, Dst: 0, Imm: 11}, ir.Insn{Op: ir.Mov64K, Dst: 3, Imm: 12},
					ir.Insn{Op: ir.LdImm64, Dst: d, Imm: int64(x ^ rnd.Uint64()<<w)}, ir.Insn{Op: op, Dst: d, Imm: imm})
				for _, r := range regs {
					add(ir.Insn{Op: ir.Mul64K, Dst: 7, Imm: 0x01000193}, ir.Insn{Op: ir.Xor64X, Dst: 7, Src: r})
				}
			}
			add(ir.Insn{Op: ir.St64X, Dst: 6, Src: 7, Off: int32(i%500) * 8})
		}
		add(ir.Insn{Op: ir.Mov64X, Dst: 0, Src: 7}, ir.Insn{Op: ir.Exit})
		p.Subs = []ir.Sub{{End: int32(len(p.Insns))}}
		enginetest.Compare(t, interp.Engine{}, newEngine(t, Options{}), enginetest.Options{}, p)
	}
}
