package interp_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/ir"
)

const fuzzBudget = 2000

// hostile runs programs twice in worlds of their own: whatever they are, they end with a value or a Fault within the
// budget, and the second time is like the first.
func hostile(t *testing.T, progs []*ir.Program) enginetest.Result {
	var results []enginetest.Result
	for range 2 {
		w := enginetest.New(t, interp.Engine{}, enginetest.Options{Budget: fuzzBudget, Stack: 12 * engine.FrameSize}, progs...)
		r := w.Run(0, w.Data)
		// After the budget is used up each active program may run to its next backward jump or call.
		if limit := uint64(fuzzBudget + 20*len(progs[0].Insns)*13); r.Insns > limit {
			t.Fatalf("%d instructions with a budget of %d", r.Insns, fuzzBudget)
		}
		if r.Fault != nil && r.R0 != 0 {
			t.Fatalf("a value %#x and a fault %v", r.R0, r.Fault)
		}
		results = append(results, r)
	}
	if d := cmp.Diff(results[0], results[1]); d != "" {
		t.Fatalf("two runs differ:\n%s", d)
	}
	return results[0]
}

// Arbitrary well-formed programs produce values or Faults, never a panic, and always end.
func FuzzInterp(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 16 {
		data := make([]byte, 8*(1+r.IntN(40)))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if progs := enginetest.Hostile(data); progs != nil && len(data) <= 8*500 {
			for _, p := range progs {
				if err := engine.Check(p); err != nil {
					t.Fatalf("the generator made a malformed program: %v", err)
				}
			}
			hostile(t, progs)
		}
	})
}

// Raw bytecode is refused or runs to an end.
func FuzzBytecode(f *testing.F) {
	for _, tc := range enginetest.Cases(f) {
		code, err := hex.DecodeString(tc.Code)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if len(code) > 8*500 {
			return
		}
		if p, err := enginetest.Decode(bytes.Clone(code)); err == nil {
			hostile(t, []*ir.Program{p})
		}
	})
}

// The hostile programs are not all stopped by the first instruction.
func TestHostileEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	ends := map[string]int{}
	long := 0
	for range 3000 {
		data := make([]byte, 8*(1+r.IntN(60)))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		res := hostile(t, enginetest.Hostile(data))
		if res.Insns > 10 {
			long++
		}
		if res.Fault == nil {
			ends["exit"]++
		} else {
			ends[string(bytes.Fields([]byte(res.Fault.Msg))[1])]++
		}
	}
	t.Logf("%d ran for more than 10 instructions; ends: %v", long, ends)
	if long < 200 || ends["exit"] == 0 || ends["read"] == 0 || ends["write"] == 0 {
		t.Error("the programs exercise too little")
	}
}
