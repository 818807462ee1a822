package enginetest

import (
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// The helpers that Inlining adds to a world.
const (
	HelperLookup = 1
	HelperCPUID  = 2
)

// Arrays are maps in the memory at data.
func Arrays(data uint64) []engine.Array {
	return []engine.Array{
		{Map: data + 8, Base: data + 256, Elem: 8, Entries: 6},
		{Map: data + 16, Base: data + 512, Elem: 24, Entries: 5},
		{Map: data + 24, Base: data + 1024, Elem: 16, Stride: 192, Entries: 3, CPUs: 4},
		{Map: data + 32, Base: data + 2048, Elem: 40, Stride: 256, Entries: 3, CPUs: 1}, // not for all processors
		{Map: data + 40, Base: data + 3000, Elem: 8, Entries: 0},
		{Map: data + 48, Base: data + DataSize - 8, Elem: 8, Entries: 1},
	}
}

// cpuHost is a host whose processor changes with each invocation.
type cpuHost struct {
	abi.Host
	st *engine.State
}

func (h cpuHost) CPU() int32 { return int32(h.st.Depth) & 3 }

// Inlining gives a world the Arrays and their helpers, and tells the engine about them.
type Inlining struct{ engine.Engine }

// Compile adds to env and compiles it.
func (e Inlining) Compile(env *engine.Env) (engine.Code, error) {
	data := env.StackTop // which is a multiple of the alignment
	if data&4095 != 0 {
		data = (data + 4095) &^ 4095
	}
	list := Arrays(data)
	env.Call.Host = cpuHost{st: &env.State}
	env.Helpers[HelperLookup] = func(c *abi.Call, a *abi.Args) uint64 {
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
	env.Helpers[HelperCPUID] = func(c *abi.Call, _ *abi.Args) uint64 { return uint64(uint32(c.Host.CPU())) }
	env.Inline = engine.Inline{Lookup: HelperLookup, CPUID: HelperCPUID, Arrays: list}
	return e.Engine.Compile(env)
}

// Inlines runs cases of what an engine may do without calls; leaves tells how many calls of Go the code of the world has, if
// the engine's test knows.
func Inlines(t *testing.T, ref, e engine.Engine, leaves func(*World) int) {
	for _, tc := range []struct {
		name string
		key  int64
		m    int
		r0   uint64 // behind the data
	}{
		{"first", 0, 0, 256},
		{"last", 4, 1, 512 + 96},
		{"over the end", 5, 1, 0},
		{"negative", -1, 0, 0},
		{"per CPU", 2, 2, 1024 + 32 + 192},
		{"not for this CPU", 0, 3, 0},
		{"empty", 0, 4, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := dataAddr(t, diffStack)
			p := &ir.Program{Name: "p", Insns: []ir.Insn{
				{Op: ir.St32K, Dst: 10, Off: -4, Imm: tc.key}, {Op: ir.Mov64X, Dst: 2, Src: 10}, {Op: ir.Add64K, Dst: 2, Imm: -4},
				{Op: ir.LdImm64, Dst: 1, Imm: int64(Arrays(mem)[tc.m].Map)}, {Op: ir.CallHelper, Imm: HelperLookup}, {Op: ir.Exit},
			}, Subs: []ir.Sub{{End: 6}}}
			if tc.r0 != 0 {
				tc.r0 += mem
			}
			o := Options{Stack: diffStack}
			want := New(t, Inlining{ref}, o, p).Run(0, 0)
			w := New(t, Inlining{e}, o, p)
			if want.R0 != tc.r0 || want.Fault != nil {
				t.Fatalf("reference: r0 = %#x, %v; want %#x", want.R0, want.Fault, tc.r0)
			}
			if got := w.Run(0, 0); got.R0 != tc.r0 || got.Fault != nil || got.Helper != 1 || got.Insns != 6 {
				t.Errorf("r0 = %#x, %v, %d helpers, %d instructions; want %#x", got.R0, got.Fault, got.Helper, got.Insns, tc.r0)
			}
			if n := leaves(w); n != 0 {
				t.Errorf("%d calls leave machine code", n)
			}
		})
	}
}
