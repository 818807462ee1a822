package enginetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// The helpers that Inlining adds to a world.
const (
	HelperLookup = 1
	HelperCPUID  = 2
	// HelperWord returns a number that every call of kfunc0 changes.
	HelperWord = 3
	// HelperNext advances the two ints at R1 as an iterator over numbers does, and faults at 7.
	HelperNext = 4
	// HelperRounds is bpf_loop.
	HelperRounds = 13
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
	var tables []*table
	env.Call.Host = cpuHost{st: &env.State}
	env.Helpers[HelperLookup] = func(c *abi.Call, a *abi.Args) uint64 {
		for _, t := range tables {
			if t.Map == a[0] && t.Storage == 0 {
				return t.lookup(c, a)
			}
		}
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
	env.Inline = engine.Inline{Helpers: make([]*abi.Inline, HelperNext+1), Kfuncs: map[string]*abi.Inline{}, Lookup: HelperLookup, CPUID: HelperCPUID, Arrays: list}
	e.inCode(env)
	tables = e.tables(env, data)
	e.variable(env, data)
	return e.Engine.Compile(env)
}

// inCode adds functions that say in code what they do: HelperWord, HelperNext, and kfunc1, which adds R2 to the number of
// nested programs when R1 is odd, else to the 8 bytes at R3.
func (e Inlining) inCode(env *engine.Env) {
	env.Inline.Loop = HelperRounds
	env.Helpers = append(env.Helpers[:HelperRounds:HelperRounds], func(c *abi.Call, a *abi.Args) uint64 {
		n, fn, ctx := uint32(a[0]), a[1], a[2]
		switch {
		case a[3] != 0:
			return abi.EINVAL.Ret()
		case n > engine.MaxLoops:
			return abi.E2BIG.Ret()
		}
		for i := range uint64(n) {
			r := c.Sub(fn, abi.Args{i, ctx})
			if c.Fault != "" {
				return 0
			}
			if r != 0 {
				return i + 1
			}
		}
		return uint64(n)
	})
	calls := uint64(0)
	word := func() uint64 { return calls * 3 }
	env.Helpers[HelperWord] = func(*abi.Call, *abi.Args) uint64 { return word() + 1 }
	env.Inline.Helpers[HelperWord] = &abi.Inline{Word: &abi.Word{Ask: word, Volatile: true}, Code: []ir.Insn{
		{Op: ir.Ld64, Dst: 0, Src: abi.WordReg}, {Op: ir.Add64K, Dst: 0, Imm: 1}}}
	env.Helpers[HelperNext] = func(c *abi.Call, a *abi.Args) uint64 {
		at, ok := env.Mem.Load(a[0], 8)
		next, end := uint32(at)+1, uint32(at>>32)
		switch {
		case !ok:
			c.Fault = "bad iterator"
		case next == 8:
			c.Fault = "helper says no"
		case int32(next) >= int32(end):
			env.Mem.Store(a[0], 8, 0)
		default:
			env.Mem.Store(a[0], 4, uint64(next))
			return a[0]
		}
		return 0
	}
	env.Inline.Helpers[HelperNext] = &abi.Inline{Code: []ir.Insn{
		{Op: ir.Ld64, Dst: 0, Src: 1}, {Op: ir.JNe32K, Dst: 0, Imm: 7, Target: 3}, {Op: ir.Invalid},
		{Op: ir.Mov32X, Dst: 2, Src: 0}, {Op: ir.Add32K, Dst: 2, Imm: 1}, {Op: ir.Rsh64K, Dst: 0, Imm: 32},
		{Op: ir.JSGe32X, Dst: 2, Src: 0, Target: 10}, {Op: ir.St32X, Dst: 1, Src: 2}, {Op: ir.Mov64X, Dst: 0, Src: 1}, {Op: ir.Ja, Target: 12},
		{Op: ir.St64K, Dst: 1}, {Op: ir.Mov64K, Dst: 0}}}
	env.Inline.Kfuncs["kfunc1"] = &abi.Inline{Word: &abi.Word{Ask: func() uint64 { return uint64(env.State.Depth) }}, Code: []ir.Insn{
		{Op: ir.Ld64, Dst: 0, Src: abi.WordReg}, {Op: ir.JSet64K, Dst: 1, Imm: 1, Target: 6}, {Op: ir.Ld64, Dst: 0, Src: 3},
		{Op: ir.Add64X, Dst: 2, Src: 0}, {Op: ir.St64X, Dst: 3, Src: 2}, {Op: ir.Ja, Target: 7}, {Op: ir.Add64X, Dst: 0, Src: 2}}}
	for i := range env.Progs {
		p := &env.Progs[i]
		for k, name := range p.Code.Kfuncs {
			switch fn := p.Kfuncs[k]; name {
			case "kfunc0":
				p.Kfuncs[k] = func(c *abi.Call, a *abi.Args) uint64 {
					calls++
					return fn(c, a)
				}
			case "kfunc1":
				p.Kfuncs[k] = func(c *abi.Call, a *abi.Args) uint64 {
					if a[0]&1 != 0 {
						return uint64(env.State.Depth) + a[1]
					}
					old, ok := env.Mem.Load(a[2], 8)
					if !ok {
						c.Fault = "bad memory"
						return 0
					}
					env.Mem.Store(a[2], 8, old+a[1])
					return old
				}
			}
		}
	}
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
			if got := w.Run(0, 0); got.R0 != tc.r0 || got.Fault != nil || got.Calls != 1 || got.Insns != 6 {
				t.Errorf("r0 = %#x, %v, %d helpers, %d instructions; want %#x", got.R0, got.Fault, got.Calls, got.Insns, tc.r0)
			}
			if n := leaves(w); n != 0 {
				t.Errorf("%d calls leave machine code", n)
			}
		})
	}
	for _, tc := range []struct {
		name     string
		helper   int64
		add, cpu uint64
		leaves   int
		r0       uint64 // behind the variable
		fault    string
	}{
		{"copy of a processor", HelperPerCPU, 0, 3, 0, 72, ""},
		{"of one that does not exist", HelperPerCPU, 0, 4, 0, 0, ""},
		{"of the low half of a number", HelperPerCPU, 0, 1<<32 + 2, 0, 48, ""},
		{"of this processor", HelperThisCPU, 0, 7, 0, 24, ""},
		{"of another pointer", HelperPerCPU, 1, 0, 1, 0, "bad variable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := Variable(dataAddr(t, diffStack))
			p := &ir.Program{Name: "p", Insns: []ir.Insn{{Op: ir.Mov64K, Dst: 2, Imm: int64(tc.cpu)}, {Op: ir.LdImm64, Dst: 1, Imm: int64(at + tc.add)},
				{Op: ir.CallHelper, Imm: tc.helper}, {Op: ir.Exit}}, Subs: []ir.Sub{{End: 4}}}
			o := Options{Stack: diffStack}
			want := New(t, Inlining{ref}, o, p).Run(0, 0)
			r0 := uint64(0)
			if tc.r0 != 0 {
				r0 = at + tc.r0
			}
			if want.R0 != r0 || (want.Fault != nil) != (tc.fault != "") || want.Fault != nil && want.Fault.Msg != tc.fault {
				t.Fatalf("reference: r0 = %#x, %v; want %#x, %q", want.R0, want.Fault, r0, tc.fault)
			}
			w := New(t, Inlining{e}, o, p)
			if diff := cmp.Diff(want, w.Run(0, 0)); diff != "" {
				t.Error(diff)
			}
			if n := leaves(w); n != tc.leaves {
				t.Errorf("%d calls leave machine code, want %d", n, tc.leaves)
			}
		})
	}
}
