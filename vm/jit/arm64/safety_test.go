//go:build linux && arm64

package arm64

import (
	"testing"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/ir"
)

// Each compilation makes code in the same place anew, most likely, with other instructions: what runs must be the new ones.
func TestStaleInstructions(t *testing.T) {
	e := newEngine(t, Options{})
	w := enginetest.New(t, e, enginetest.Options{}, enginetest.LoopCall(1))
	for i := range int64(200) {
		w.Env.Progs[0].Code = &ir.Program{Insns: []ir.Insn{{Op: ir.Mov64K, Imm: i}, {Op: ir.Exit}}, Subs: []ir.Sub{{End: 2}}}
		c, err := e.Compile(w.Env)
		if err != nil {
			t.Fatal(err)
		}
		if r0, f := c.Run(0, 0); r0 != uint64(i) || f != nil {
			t.Fatalf("r0 = %d, %v; want %d", r0, f, i)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
