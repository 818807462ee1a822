//go:build linux && amd64

package amd64

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/ir"
)

var programs = flag.Int("programs", 2000, "number of random program sets that TestDifferential compares")

// dataAddr is where worlds with a stack of that size have their memory.
func dataAddr(tb testing.TB, stack uint64) uint64 {
	return enginetest.New(tb, interp.Engine{}, enginetest.Options{Stack: stack}).Data
}

const diffStack = 12 * engine.FrameSize

// differ runs the set that data describes on e and the interpreter and compares all that can be seen. It returns
// how the programs ended.
func differ(t *testing.T, e engine.Engine, mem uint64, data []byte) (ends []string) {
	g := &generator{data: data, mem: mem}
	o := enginetest.Options{Stack: diffStack, Budget: []uint64{3000, 500, 60, 7, 1}[g.n(8)*5/8]}
	if g.n(3) > 0 {
		o.Arena = arenaUser + uint64(g.n(2))*0x1000
	}
	if g.n(8) == 0 {
		if progs := enginetest.Hostile(g.data); progs != nil {
			return compare(t, e, o, progs)
		}
	}
	return compare(t, e, o, g.programs())
}

func compare(t *testing.T, e engine.Engine, o enginetest.Options, progs []*ir.Program) (ends []string) {
	t.Helper()
	for _, p := range progs {
		if err := engine.Check(p); err != nil {
			t.Fatalf("the generator made a bad program: %v\n%s", err, listing(progs))
		}
	}
	var results [2][]enginetest.Result
	for i, e := range []engine.Engine{interp.Engine{}, e} {
		w := enginetest.New(t, inlining{e}, o, progs...)
		for n := range 2 {
			results[i] = append(results[i], w.Run(n%len(progs), w.Data))
		}
	}
	if d := cmp.Diff(results[0], results[1]); d != "" {
		t.Fatalf("interpreter and machine code differ (-interp +jit):\n%s\n%+v\n%s", d, o, listing(progs))
	}
	for _, r := range results[0] {
		if r.Fault == nil {
			r.Fault = &engine.Fault{}
		}
		for _, f := range append(r.Inner, *r.Fault) {
			ends = append(ends, kind(f.Msg))
		}
	}
	return ends
}

func TestDifferential(t *testing.T) {
	mem := dataAddr(t, diffStack)
	ends := map[string]int{}
	for n, e := range []*Engine{engines(t)["default"], engines(t)["no BMI2"]} {
		for i := range *programs {
			r := rand.New(rand.NewPCG(uint64(i), uint64(n)))
			data := make([]byte, 200+r.IntN(1200))
			for j := range data {
				data[j] = byte(r.Uint32())
			}
			t.Run("", func(t *testing.T) {
				for _, k := range differ(t, e, mem, data) {
					ends[k]++
				}
			})
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d sets of programs per engine ended: %v", *programs, ends)
	for _, msg := range []string{"", engine.ReadFault(1, 0), engine.WriteFault(1, 0), engine.AtomicFault(4, 0), engine.BudgetFault(1),
		engine.DepthFault(), engine.StackFault(), engine.TargetFault(0), engine.HelperFault(1), engine.PoisonFault(), "helper says no"} {
		k := kind(msg)
		if ends[k] == 0 && *programs >= 2000 {
			t.Errorf("no program ended with %q", k)
		}
	}
}

// kind strips a fault of its numbers.
func kind(msg string) string {
	var b []byte
	for i := 0; i < len(msg) && len(b) < 16; i++ {
		if c := msg[i]; c < '0' || c > '9' {
			b = append(b, c)
		} else if len(b) == 0 || b[len(b)-1] != 'N' {
			b = append(b, 'N')
		}
	}
	return string(b)
}

// FuzzDifferential: whatever the bytes, machine code does what the interpreter does.
func FuzzDifferential(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		data := make([]byte, 400)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		f.Add(data)
	}
	e, err := New(Options{})
	if err != nil {
		f.Skip(err)
	}
	mem := dataAddr(f, diffStack)
	f.Fuzz(func(t *testing.T, data []byte) { differ(t, e, mem, data) })
}
