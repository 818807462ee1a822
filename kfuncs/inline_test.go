package kfuncs

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
)

// What rows say in code is what their functions do.
func TestInlines(t *testing.T) {
	r := newRig(t, "1n1l3c1t")
	done := false
	r.enable(&ops.Table{Running: func(p *sim.Task) {
		if !done {
			done = true
			compareInlines(t, r, p)
		}
	}})
	r.spawn("a", run(sim.Millisecond))
	r.run()
	r.healthy()
	if !done {
		t.Error("nothing was compared")
	}
}

func compareInlines(t *testing.T, r *rig, p *sim.Task) {
	mask, end := r.stack+512, r.mem.Limit()
	values := []uint64{0, 1, 2, 3, 4, 7, 63, 64, ^uint64(0), 1 << 31, 1<<31 - 1, 1<<32 + 1, 8 << 20, 8<<20 + 1, r.stack, r.stack + 4, r.stack + 8, r.stack + 1016,
		mask, mask + 4, p.K.Addr, p.K.Addr + 8, p.K.CPUsMask().Addr, r.stack - r.stack%4096 - 1<<40, r.mem.Limit() - end, 1 << 63}
	rnd := rand.New(rand.NewPCG(1, 2))
	n := 0
	for _, name := range names(r) {
		k := r.funcs[name]
		if k.Inline == nil {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			c := enginetest.NewInCode(t, interp.Engine{}, r.mem, r.c, k.Inline, k.Call)
			before := bytes.Clone(r.mem.View()) // the functions may write into a task
			defer func() { copy(r.mem.View(), before) }()
			used := 0
			for range 150 {
				for off := uint64(0); off < 24; off += 4 {
					r.mem.Store(r.stack+off, 4, values[rnd.IntN(12)])
				}
				r.mem.Store(mask, 8, uint64(rnd.IntN(256)))
				var a abi.Args
				for i := range a {
					a[i] = values[rnd.IntN(len(values))]
					if rnd.IntN(8) == 0 {
						a[i] = rnd.Uint64()
					}
				}
				if rnd.IntN(2) == 0 { // what most of them want
					a[rnd.IntN(2)] = []uint64{r.stack, mask, p.K.Addr}[rnd.IntN(3)]
				}
				if c.Args(t, a) {
					used++
				}
			}
			if used == 0 {
				t.Error("the code was never good enough")
			}
		})
	}
	if n < 20 {
		t.Errorf("%d functions are said in code", n)
	}
}

func names(r *rig) (list []string) {
	for name := range r.funcs { // sorted below
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
