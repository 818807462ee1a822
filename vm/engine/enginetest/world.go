package enginetest

import (
	"hash/fnv"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// The helpers of a World, by number.
const (
	// HelperFold returns a mixture of its five arguments.
	HelperFold = 5
	// HelperFault ends the program with the message "helper says no" when its first argument is odd.
	HelperFault = 6
	// HelperLoop calls the callback R2 up to R1 (at most 64) times with (i, R3) and stops when it returns non-zero.
	HelperLoop = 7
	// HelperRun runs program R1 (modulo the number of programs) with the context R2 and returns what it returned, or -1
	// if it faulted.
	HelperRun = 8
	// HelperAlloc allocates R1 & 0xffff bytes, so that the address space grows under a running program.
	HelperAlloc = 9
	// HelperTouch adds R2 to the 8 bytes at R1 if they exist.
	HelperTouch = 10
	// HelperTail makes program R2 (modulo the number of programs) go on with R1, or one of no set if bit 1 of R3 is set, unless
	// R3 is odd or, without bit 2, 33 programs have.
	HelperTail = 11
	// HelperMap maps page R1 (modulo 8) of the arena, or takes it away when R2 is odd.
	HelperMap = 12
	nrHelpers = 13
)

// KfuncThrow is the number of the kernel function that throws R1.
const KfuncThrow = 2

// World is a set of programs compiled by one engine, with memory of its own that is the same in every world.
type World struct {
	Mem  *mem.Space
	Env  *engine.Env
	Code engine.Code
	// Data is the address of DataSize bytes for programs to work on.
	Data uint64
	// Trace are the helper and kfunc calls, in order.
	Trace []TraceEntry
	// Inner are the faults of nested programs.
	Inner []engine.Fault
}

// DataSize is the number of bytes at World.Data.
const DataSize = 4096

// TraceEntry is one call that a program made.
type TraceEntry struct {
	Kind   ir.Op // ir.CallHelper or ir.CallKfunc
	Number int64
	Args   abi.Args
	CPU    string // the running program's name
	Insns  uint64 // counted so far, as are Calls
	Calls  uint64
}

// Options of a World. The zero value has the default budget and a small stack.
type Options struct {
	Budget uint64 // 0: engine.DefaultBudget
	Stack  uint64 // bytes; 0: engine.DefaultStack
	// Arena gives the set an arena whose first page has this address for user space and whose pages reach to the end of the
	// window; the first, second, fourth and last are mapped. 0: none.
	Arena uint64
	// Far: it is the second arena of the space.
	Far bool
	// Mem is the address space to live in, for one world at a time; nil: one of its own. Worlds that follow one another in a
	// space must have the same size of stack and arena, and have the same addresses; what their helpers allocated stays.
	Mem *mem.Space
	// ByNumber is that of engine.Env.
	ByNumber bool
}

// New builds a world and compiles the programs in it.
func New(tb testing.TB, e engine.Engine, o Options, progs ...*ir.Program) *World {
	tb.Helper()
	m := o.Mem
	if m == nil {
		m = newSpace(tb)
	}
	if o.Budget == 0 {
		o.Budget = engine.DefaultBudget
	}
	if o.Stack == 0 {
		o.Stack = engine.DefaultStack
	}
	w := &World{Mem: m}
	stack := w.alloc(tb, o.Stack)
	w.Data = w.alloc(tb, DataSize)
	w.Env = &engine.Env{Mem: m, Call: &abi.Call{Mem: m}, StackTop: stack + o.Stack, StackSize: o.Stack, Budget: o.Budget, Helpers: w.helpers(), TailCall: HelperTail, ByNumber: o.ByNumber}
	if o.Arena != 0 {
		w.arena(tb, o.Arena, o.Far)
	}
	for i, p := range progs {
		ep := engine.Prog{Code: p, Info: &abi.Prog{Name: p.Name, Context: int32(i)}}
		for k := range p.Kfuncs {
			ep.Kfuncs = append(ep.Kfuncs, w.kfunc(int64(k)))
		}
		w.Env.Progs = append(w.Env.Progs, ep)
	}
	var err error
	if w.Code, err = e.Compile(w.Env); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.Code.Close(); err != nil {
			tb.Error(err)
		}
		if o.Mem == nil {
			return
		}
		m.Free(w.Data, DataSize)
		m.Free(stack, o.Stack)
	})
	return w
}

// newSpace makes an address space that lives as long as the test.
func newSpace(tb testing.TB) *mem.Space {
	m, err := mem.New(mem.Options{Reserve: 16 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

func (w *World) arena(tb testing.TB, user uint64, far bool) {
	n := 1
	if far {
		n = 2
	}
	for len(w.Mem.Arenas()) < n {
		if _, err := w.Mem.NewArena(user, uint32(mem.MaxArenaPages-uint64(uint32(user))/mem.PageSize)); err != nil {
			tb.Skip(err)
		}
	}
	a := w.Mem.Arenas()[n-1]
	// Nothing is left of a world before.
	a.Unmap(0, 4)
	a.Unmap(4, 4)
	a.Unmap(a.Pages()-1, 1)
	for _, p := range []uint32{0, 1, 3, a.Pages() - 1} {
		if err := a.Map(p, 1); err != nil {
			tb.Fatal(err)
		}
	}
	w.Env.Arena = a
}

func (w *World) alloc(tb testing.TB, n uint64) uint64 {
	a, _, err := w.Mem.Alloc(n, 4096)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func (w *World) note(kind ir.Op, n int64, c *abi.Call, a *abi.Args) {
	w.Code.Sync()
	if len(w.Trace) < 10000 {
		w.Trace = append(w.Trace, TraceEntry{kind, n, *a, c.Prog.Name, w.Env.State.Insns, c.Calls})
	}
}

func (w *World) kfunc(n int64) abi.Func {
	return func(c *abi.Call, a *abi.Args) uint64 {
		w.note(ir.CallKfunc, n, c, a)
		if n == KfuncThrow {
			c.Next, c.Cookie = abi.NextThrow, a[0]
		}
		return fold(a) + uint64(n)
	}
}

// other is a program of no set: it returns a mixture of its context and the number of tail calls, and faults when the third bit
// of the context is set.
type other struct{}

func (other) TailRun(ctx uint64, tails int32) (uint64, int32, string) {
	if ctx&4 != 0 {
		return 0, tails, "another program says no"
	}
	return fold(&abi.Args{ctx, uint64(tails)}), tails + 1, ""
}

func fold(a *abi.Args) uint64 {
	h := uint64(1)
	for _, v := range a {
		h = h*0x100000001b3 ^ v
	}
	return h | 1
}

func (w *World) helpers() []abi.Func {
	h := make([]abi.Func, nrHelpers)
	h[HelperFold] = func(c *abi.Call, a *abi.Args) uint64 {
		w.note(ir.CallHelper, HelperFold, c, a)
		return fold(a)
	}
	h[HelperFault] = func(c *abi.Call, a *abi.Args) uint64 {
		if a[0]&1 != 0 {
			c.Fault = "helper says no"
		}
		return 0
	}
	h[HelperLoop] = func(c *abi.Call, a *abi.Args) uint64 {
		n, fn, ctx := a[0]&63, a[1], a[2]
		for i := uint64(0); i < n; i++ {
			r := c.Sub(fn, abi.Args{i, ctx})
			if c.Fault != "" || r != 0 {
				return i
			}
		}
		return n
	}
	h[HelperRun] = func(c *abi.Call, a *abi.Args) uint64 {
		w.note(ir.CallHelper, HelperRun, c, a)
		r0, f := w.Code.Run(int(a[0]%uint64(len(w.Env.Progs))), a[1])
		if f != nil {
			w.Inner = append(w.Inner, *f)
			return ^uint64(0)
		}
		return r0
	}
	h[HelperTail] = func(c *abi.Call, a *abi.Args) uint64 {
		switch {
		case a[2]&1 != 0, a[2]&4 == 0 && c.Tails >= engine.MaxTails:
		case a[2]&2 != 0:
			c.Next, c.Other = abi.NextOther, other{}
		default:
			c.Next = abi.Next(a[1]%uint64(len(w.Env.Progs))) + 1
		}
		return 77
	}
	h[HelperAlloc] = func(c *abi.Call, a *abi.Args) uint64 {
		addr, _, err := w.Mem.Alloc(a[0]&0xffff, 8)
		if err != nil {
			return 0
		}
		return addr
	}
	h[HelperTouch] = func(c *abi.Call, a *abi.Args) uint64 {
		if v, ok := w.Mem.Load(a[0], 8); ok {
			w.Mem.Store(a[0], 8, v+a[1])
			return 0
		}
		return ^uint64(13) // -EFAULT
	}
	h[HelperMap] = func(c *abi.Call, a *abi.Args) uint64 {
		if w.Env.Arena == nil {
			return 0
		}
		page := uint32(a[0] & 7)
		if a[1]&1 != 0 {
			w.Env.Arena.Unmap(page, 1)
		} else if err := w.Env.Arena.Map(page, 1); err != nil {
			return 0
		}
		return w.Env.Arena.Used()
	}
	return h
}

// Result is everything by which one run of a program can differ from another.
type Result struct {
	R0     uint64
	Fault  *engine.Fault
	Insns  uint64
	Calls  uint64
	Memory uint64 // a hash of all simulated memory, stacks and arena included
	Trace  []TraceEntry
	Inner  []engine.Fault
}

// Run runs program number prog with ctx in R1 and gathers what it did.
func (w *World) Run(prog int, ctx uint64) Result {
	r0, f := w.Code.Run(prog, ctx)
	return w.result(r0, f)
}

// RunSub runs the subprogram at fn and gathers what it did.
func (w *World) RunSub(fn uint64, a abi.Args) Result {
	r0, f := w.Code.RunSub(fn, a)
	return w.result(r0, f)
}

func (w *World) result(r0 uint64, f *engine.Fault) Result {
	h := fnv.New64a()
	h.Write(w.Mem.View())
	if a := w.Env.Arena; a != nil {
		for _, p := range []uint32{0, 1, 2, 3, 4, 5, 6, 7, a.Pages() - 1} {
			h.Write(a.Bytes(a.User()+uint64(p)*mem.PageSize, mem.PageSize))
		}
	}
	c := w.Env.Call
	return Result{r0, f, w.Env.State.Insns, c.Calls, h.Sum64(), w.Trace, w.Inner}
}
