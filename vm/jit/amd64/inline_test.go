//go:build linux && amd64

package amd64

import (
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/ir"
)

// The helpers that inlining adds to a world.
const (
	helperLookup = 1
	helperCPUID  = 2
)

// arrays are maps in the memory at data.
func arrays(data uint64) []engine.Array {
	return []engine.Array{
		{Map: data + 8, Base: data + 256, Elem: 8, Entries: 6},
		{Map: data + 16, Base: data + 512, Elem: 24, Entries: 5},
		{Map: data + 24, Base: data + 1024, Elem: 16, Stride: 192, Entries: 3, CPUs: 4},
		{Map: data + 32, Base: data + 2048, Elem: 40, Stride: 256, Entries: 3, CPUs: 1}, // not for all processors
		{Map: data + 40, Base: data + 3000, Elem: 8, Entries: 0},
		{Map: data + 48, Base: data + enginetest.DataSize - 8, Elem: 8, Entries: 1},
	}
}

// cpuHost is a host whose processor changes with each invocation.
type cpuHost struct {
	abi.Host
	st *engine.State
}

func (h cpuHost) CPU() int32 { return int32(h.st.Depth) & 3 }

// inlining gives a world maps and tells the engine about them.
type inlining struct{ engine.Engine }

func (e inlining) Compile(env *engine.Env) (engine.Code, error) {
	data := env.StackTop // which is a multiple of the alignment
	if data&4095 != 0 {
		data = (data + 4095) &^ 4095
	}
	list := arrays(data)
	env.Call.Host = cpuHost{st: &env.State}
	env.Helpers[helperLookup] = func(c *abi.Call, a *abi.Args) uint64 {
		for _, m := range list {
			if m.Map != a[0] {
				continue
			}
			key, ok := env.Mem.Load(a[1], 4)
			cpu := uint64(uint32(c.Host.CPU()))
			switch {
			case !ok:
				c.Fault = "bad key"
				return 0
			case key >= uint64(m.Entries):
				return 0
			case m.CPUs == 0:
				return m.Base + key*m.Elem
			case cpu < uint64(m.CPUs):
				return m.Base + key*m.Elem + cpu*m.Stride
			}
			return 0
		}
		c.Fault = "bad map"
		return 0
	}
	env.Helpers[helperCPUID] = func(c *abi.Call, _ *abi.Args) uint64 { return uint64(uint32(c.Host.CPU())) }
	env.Inline = engine.Inline{Lookup: helperLookup, CPUID: helperCPUID, Arrays: list}
	return e.Engine.Compile(env)
}

func TestInline(t *testing.T) {
	mem := dataAddr(t, diffStack)
	for _, tc := range []struct {
		name string
		key  int64
		m    int
		r0   uint64
	}{
		{"first", 0, 0, mem + 256},
		{"last", 4, 1, mem + 512 + 96},
		{"over the end", 5, 1, 0},
		{"negative", -1, 0, 0},
		{"per CPU", 2, 2, mem + 1024 + 32 + 192},
		{"not for this CPU", 0, 3, 0},
		{"empty", 0, 4, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &ir.Program{Name: "p", Insns: []ir.Insn{
				{Op: ir.St32K, Dst: 10, Off: -4, Imm: tc.key}, {Op: ir.Mov64X, Dst: 2, Src: 10}, {Op: ir.Add64K, Dst: 2, Imm: -4},
				{Op: ir.LdImm64, Dst: 1, Imm: int64(arrays(mem)[tc.m].Map)}, {Op: ir.CallHelper, Imm: helperLookup}, {Op: ir.Exit},
			}, Subs: []ir.Sub{{End: 6}}}
			o := enginetest.Options{Stack: diffStack}
			want := enginetest.New(t, inlining{interp.Engine{}}, o, p).Run(0, 0)
			w := enginetest.New(t, inlining{newEngine(t, Options{})}, o, p)
			if want.R0 != tc.r0 || want.Fault != nil {
				t.Fatalf("interpreter: r0 = %#x, %v; want %#x", want.R0, want.Fault, tc.r0)
			}
			if got := w.Run(0, 0); got.R0 != tc.r0 || got.Fault != nil || got.Helper != 1 || got.Insns != 6 {
				t.Errorf("r0 = %#x, %v, %d helpers, %d instructions; want %#x", got.R0, got.Fault, got.Helper, got.Insns, tc.r0)
			}
			if n := len(w.Code.(*code).sites); n != 0 {
				t.Errorf("%d calls leave machine code", n)
			}
		})
	}
}
