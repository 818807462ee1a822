//go:build linux && (amd64 || arm64)

package native

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"unsafe"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/keep"
	"github.com/schedsim/schedsim/vm/mem"
)

// Options say how a set is compiled. Arch and Lower are required.
type Options struct {
	// Arch is the machine, as GOARCH calls it; Lower makes its code, for the context number slot, whose field value is also
	// that of a callx that is none of a subprogram (engine.Env.ByNumber).
	Arch  string
	Lower func(env *engine.Env, slot int, value *uint64) (Unit, error)
	// PerfMap, if not nil, is told where each subprogram lies, in the format of /tmp/perf-PID.map, so that perf can name
	// it.
	PerfMap io.Writer
	// HostFrames: the register of R10 holds a host address.
	HostFrames bool
	// Slice is the number of instructions after which machine code returns to Go; 0 means sliceInsns.
	Slice int64
}

// sliceInsns is the number of instructions after which machine code returns to Go: the garbage collector and other
// goroutines wait for it, some 100 µs at most.
const sliceInsns = 200_000

// bytesPerFrame is the room on the private stack for one BPF frame: a return address, four registers and a counter of its
// own, what a loop around a callback keeps (eight words), and what a call to Go (six words) and a new activation (one) put
// there. The end of a slice takes 12 words instead.
const bytesPerFrame = 8 * 28

var (
	_ engine.Code   = (*Code)(nil)
	_ engine.Lister = (*Code)(nil)
)

// Check tells whether the system lets a process make executable memory.
func Check() error {
	b, err := executable([]byte{0})
	if err != nil {
		return err
	}
	return unmap(b)
}

// Compile turns the programs of env into machine code.
func Compile(env *engine.Env, o Options) (*Code, error) {
	if len(env.Progs) > engine.MaxPrograms {
		return nil, fmt.Errorf("%d programs, at most %d are possible", len(env.Progs), engine.MaxPrograms)
	}
	insns := 0
	for i := range env.Progs {
		if err := engine.Check(env.Progs[i].Code); err != nil {
			return nil, err
		}
		insns += len(env.Progs[i].Code.Insns)
	}
	if most := math.MaxInt32/int(ExitCall) - 1; insns > most {
		return nil, fmt.Errorf("%d instructions in a set, at most %d are possible", insns, most)
	}
	if env.StackSize > 1<<30 {
		return nil, fmt.Errorf("stack region of %d bytes, at most %d are possible", env.StackSize, 1<<30)
	}
	slot, x := takeContext(env.Mem.Control())
	if x == nil {
		return nil, fmt.Errorf("%d sets of programs share an address space: %w", Contexts, engine.ErrNoRoom)
	}
	c := &Code{env: env, mem: env.Mem, arch: o.Arch, x: x, low: env.StackTop - env.StackSize, budget: min(env.Budget, 1<<62), top: env.StackTop, slice: o.Slice}
	if c.slice == 0 {
		c.slice = sliceInsns
	}
	host := env.Mem.HostBase()
	bias := host - uintptr(mem.Base)
	if o.HostFrames {
		c.hosted = uint64(bias)
	}
	c.first = min(int64(c.budget), c.slice)
	c.cramped = c.top-c.low < engine.FrameSize
	u, err := o.Lower(env, slot, &x.value)
	if err == nil {
		c.text, err = executable(u.Code)
	}
	if err == nil {
		frames := int(env.StackSize/engine.FrameSize) + 2
		if env.TailCall != 0 { // each tail call from a subprogram keeps what that has there, without a BPF frame of its own
			frames *= 1 + engine.MaxTails
		}
		c.stack, err = newStack(frames * bytesPerFrame)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.progs, c.words = u.Progs, u.Words
	at := address(c.text)
	c.sites = make([]site, 1, 1+len(u.Sites))
	for _, s := range u.Sites {
		c.sites = append(c.sites, site{s.Fn, s.Insn, s.Keeps})
	}
	c.textAt, c.entryAt, c.againAt = at, at+uintptr(u.Entry), at+uintptr(u.Again)
	// Safety: the address stays inside of the mapping, so that it is nothing of the garbage collector's.
	stackEnd := unsafe.Add(unsafe.Pointer(unsafe.SliceData(c.stack)), len(c.stack)-64)
	*x = context{used: 1, base: stackEnd, fp: env.StackTop + c.hosted, bias: bias, host: host,
		sites: unsafe.Pointer(unsafe.SliceData(c.sites)), callLow: c.callLow(env.StackTop, 0)}
	for i := range c.progs {
		p := &c.progs[i]
		c.entries = append(c.entries, entry{at + uintptr(p.Thunk), env.Progs[i].Info, p.NeedCPU, p.Words, p.NeedCPU || p.Words != 0})
	}
	if c.arena = env.Arena; c.arena != nil {
		// Safety: the table lies outside of the heap, and the programs of a set end before its arena.
		x.arenaTable = unsafe.Pointer(unsafe.SliceData(env.Arena.Table()))
	}
	c.refresh()
	c.unwatch = c.mem.Watch(c.refresh)
	env.Call.Sub = c.callback
	if o.PerfMap != nil {
		if err := c.perfMap(o.PerfMap); err != nil {
			return nil, errors.Join(fmt.Errorf("perf map: %w", err), c.Close())
		}
	}
	return c, nil
}

// Code is a compiled set with its run-time state.
type Code struct {
	env         *engine.Env
	mem         *mem.Space
	arena       *mem.Arena // nil: there is none
	unwatch     func()
	arch        string
	progs       []Prog
	sites       []site // none, and then the others
	words       []func() uint64
	text, stack []byte
	// textAt is where the code is; entryAt and againAt are Unit.Entry and Again there.
	textAt, entryAt, againAt uintptr
	x                        *context
	low                      uint64 // the start of the stack region
	hosted                   uint64 // what machine code has added to R10, and to what is compared with it
	budget                   uint64
	slice                    int64 // the size of a slice of the budget
	first                    int64 // the first slice of an invocation
	cramped                  bool  // the stack region has no room for a frame
	entries                  []entry
	// prog is the number of the program that runs. top is the end of the first frame of the current activation, before the
	// number of frames that the program had without it. While Go is in a helper, x.callAt says where the private stack goes on.
	prog, before int
	top          uint64
	// inCallback: the activation is one of a callback.
	inCallback bool
	// tails is how many tail calls there are before the next invocation begins, tailed how many there were when the last ended.
	tails, tailed int32
	// inner is the Fault of a callback, until the call whose helper ran the callback ends the program with it.
	inner *engine.Fault
}

// entry is how a program starts.
type entry struct {
	pc      uintptr
	info    *abi.Prog
	needCPU bool
	words   uint8
	asks    bool // it needs something
}

// Sites is the number of places that call a helper or kfunc.
func (c *Code) Sites() int { return len(c.sites) - 1 }

// Run runs a program; see engine.Code.
func (c *Code) Run(prog int, ctx uint64) (uint64, *engine.Fault) {
	x, e, st := c.x, &c.entries[prog], &c.env.State
	if st.Depth != 0 || c.cramped {
		args := x.args
		x.args[0], x.pc = ctx, e.pc
		r0, f := c.invoke(prog, 0, false)
		x.args = args
		return r0, f
	}
	x.args[0], x.pc = ctx, e.pc
	if e.asks {
		st.Depth = 1
		c.ask(e)
		st.Depth = 0
	}
	// What is the same for all runs stays in the context as it is: read back from where it was stored just now, it would make
	// one run wait for the one before.
	x.left = c.first
	enter(x)
	if x.exit != ExitDone { // what functions see is set up when the first of them is called
		return c.left(prog)
	}
	st.Insns += uint64(c.first - x.left)
	c.env.Call.Calls += uint64(x.calls)
	return x.r0, nil
}

// left goes on with a run of a program in which machine code has been left for the first time.
func (c *Code) left(prog int) (uint64, *engine.Fault) {
	c.begin(prog)
	r0, f := c.loop()
	c.env.State.Depth = 0
	c.env.Call.Prog = nil
	return r0, f
}

// begin notes that a program runs, none other does, and machine code has the first slice of its budget.
func (c *Code) begin(prog int) {
	st, call := &c.env.State, c.env.Call
	st.Limit = st.Insns + c.budget
	st.Depth = 1
	call.Prog, call.Tails, c.tails = c.entries[prog].info, c.tails, 0
	c.prog, c.x.until = prog, st.Insns+uint64(c.first)
}

// ask asks the host for what the programs of e want to know.
func (c *Code) ask(e *entry) {
	if e.needCPU {
		c.x.cpu = uint64(uint32(c.env.Call.Host.CPU()))
	}
	if e.words != 0 {
		c.setWords(e.words)
	}
}

// Tail runs a program after tail calls; see engine.Code.
func (c *Code) Tail(prog int, ctx uint64, tails int32) (uint64, int32, *engine.Fault) {
	c.tails, c.tailed = tails, tails
	args := c.x.args
	c.x.args[0], c.x.pc = ctx, c.entries[prog].pc
	r0, f := c.invoke(prog, 0, false)
	c.x.args = args
	c.tails = 0 // it could not start
	return r0, c.tailed, f
}

// RunSub runs a subprogram as an invocation of its own; see engine.Code.
func (c *Code) RunSub(fn uint64, a abi.Args) (uint64, *engine.Fault) {
	p, at, target := c.resolve(fn)
	if target == 0 {
		return 0, &engine.Fault{Msg: engine.TargetFault(fn)}
	}
	args := c.x.args
	c.start(target, &a)
	r0, f := c.invoke(p, at, true)
	c.x.args = args
	return r0, f
}

// start makes machine code start with the subprogram at target and the arguments a.
func (c *Code) start(target int32, a *abi.Args) {
	x := c.x
	// One by one: a copy of an array would be made of larger pieces and wait for the stores of the smaller.
	x.args[0], x.args[1], x.args[2], x.args[3], x.args[4] = a[0], a[1], a[2], a[3], a[4]
	x.pc, x.value = c.entryAt, uint64(c.textAt)+uint64(target)
}

// Close gives the memory back.
func (c *Code) Close() error {
	if c.x == nil {
		return nil
	}
	if c.unwatch != nil {
		c.unwatch()
	}
	if c.mem.Control() != nil { // else the context went away with the address space
		c.x.used = 0
	}
	err := errors.Join(unmap(c.text), unmap(c.stack))
	c.x, c.text, c.stack = nil, nil, nil
	return err
}

// Listing is the machine code of a program; see engine.Lister.
func (c *Code) Listing(prog int) engine.Listing {
	return engine.NewListing(c.arch, c.text, c.progs[prog].Marks, c.progs[prog].End)
}

// Compact implements engine.Compact.
func (c *Code) Compact() {
	n := 0
	for i := range c.progs {
		n += 2 * len(c.progs[i].Subs)
	}
	all := keep.Slice[int32](n) // of what is kept, in one piece
	c.progs, c.sites = keep.Clone(c.progs), keep.Clone(c.sites)
	// Safety: the context, which the garbage collector does not look at, must point at the list that is kept.
	c.x.sites = unsafe.Pointer(unsafe.SliceData(c.sites))
	for i := range c.progs {
		p := &c.progs[i]
		p.Marks, p.Starts, p.Subs = nil, keep.Part(&all, p.Starts), keep.Part(&all, p.Subs)
	}
}

// resolve finds the program, the first instruction and the machine code of a code address; the last is 0 if there is none.
func (c *Code) resolve(fn uint64) (prog int, at, target int32) {
	off := fn - ir.CodeBase
	if n := off >> 24; n < uint64(len(c.progs)) && off&7 == 0 {
		p, at := &c.progs[n], int32(off&(1<<24-1)>>3)
		for i, start := range p.Starts { // a few
			if start == at {
				return int(n), at, p.Subs[i]
			}
		}
	}
	return 0, 0, 0
}

// invoke runs the subprogram of program p that begins with its instruction at, as a program of its own: machine code starts
// at x.pc, and the arguments are in the context. callback: it is an asynchronous callback.
func (c *Code) invoke(p int, at int32, callback bool) (uint64, *engine.Fault) {
	st, call, x := &c.env.State, c.env.Call, c.x
	if st.Depth != 0 {
		return c.nested(p, at, callback)
	}
	if c.cramped {
		return 0, noFrame(p, at, 0)
	}
	c.begin(p)
	x.left, x.calls = c.first, 0
	c.ask(&c.entries[p])
	c.inCallback = callback
	r0, f := c.run()
	c.inCallback, c.tailed = false, call.Tails
	st.Depth = 0
	call.Prog = nil
	return r0, f
}

// nested is invoke for a program that runs because another one called a helper or kfunc.
func (c *Code) nested(p int, at int32, callback bool) (uint64, *engine.Fault) {
	st, call, x := &c.env.State, c.env.Call, c.x
	prog, info, cpu, tails, words := c.prog, call.Prog, x.cpu, call.Tails, x.words
	c.prog, call.Prog, call.Tails, c.tails = p, c.entries[p].info, c.tails, 0
	st.Depth++
	if c.entries[p].needCPU {
		x.cpu = uint64(uint32(call.Host.CPU()))
	}
	c.setWords(c.entries[p].words)
	r0, f := c.activate(p, at, 0, callback)
	st.Depth--
	c.tailed = call.Tails
	c.prog, call.Prog, x.cpu, call.Tails, x.words, x.fresh = prog, info, cpu, tails, words, 0
	return r0, f
}

// setWords asks for the words of a program that starts.
func (c *Code) setWords(need uint8) {
	for ; need != 0; need &= need - 1 {
		n := bits.TrailingZeros8(need)
		c.x.words[n] = c.words[n]()
	}
	c.x.fresh = 1
}

// callback is abi.Call.Sub: it runs a subprogram of the running program, as part of its invocation.
func (c *Code) callback(fn uint64, a abi.Args) uint64 {
	if c.env.Call.Fault != "" {
		return 0 // a helper goes on after a violation
	}
	p, at, target := c.resolve(fn)
	if target == 0 || p != c.prog {
		c.env.Call.Fault = engine.TargetFault(fn)
		return 0
	}
	_, fp := c.x.callAt()
	args := c.x.args
	c.start(target, &a)
	c.x.fresh = 0
	r0, f := c.activate(p, at, c.frames(fp-c.hosted), true)
	c.x.args = args
	if f != nil {
		c.inner, c.env.Call.Fault = f, f.Msg
	}
	return r0
}

// frames is the number of frames of the running program when its R10 is fp.
func (c *Code) frames(fp uint64) int { return c.before + 1 + int((c.top-fp)/engine.FrameSize) }

// callLow is the value of R10, as machine code has it, above which a call is possible: it needs a frame below R10-FrameSize within the region, and
// one of the frames that are left, for an activation that starts at top with before frames others.
func (c *Code) callLow(top uint64, before int) uint64 {
	return max(top-uint64(engine.MaxFrames-1-before)*engine.FrameSize, c.low+2*engine.FrameSize-1) + c.hosted
}

// activate runs machine code on a frame below that of a call that Go is in; its program has frames others.
func (c *Code) activate(p int, at int32, frames int, callback bool) (uint64, *engine.Fault) {
	_, below := c.x.callAt()
	below -= c.hosted
	if frames >= engine.MaxFrames || below-engine.FrameSize-c.low < engine.FrameSize {
		return 0, noFrame(p, at, frames)
	}
	return c.runAt(below-engine.FrameSize, frames, callback)
}

// runAt runs machine code, during a call that Go is in, on a frame that ends at top; its program has frames others.
func (c *Code) runAt(top uint64, frames int, callback bool) (uint64, *engine.Fault) {
	x := c.x
	c.settle()
	// What is kept one by one: see start.
	k0, k1, k2, k3 := x.kept[0], x.kept[1], x.kept[2], x.kept[3]
	exit, base, sp, back, fp, callFP, callLow, loop := x.exit, x.base, x.sp, x.back, x.fp, x.callFP, x.callLow, x.loopFP
	below, _ := x.callAt()
	oldTop, before, inCallback := c.top, c.before, c.inCallback
	c.top, c.before, c.inCallback = top, frames, callback
	x.base, x.fp, x.callLow, x.loopFP = below, top+c.hosted, c.callLow(top, frames), 0
	c.nextSlice()
	r0, f := c.run()
	c.top, c.before, c.inCallback = oldTop, before, inCallback
	x.kept[0], x.kept[1], x.kept[2], x.kept[3] = k0, k1, k2, k3
	x.exit, x.base, x.sp, x.back, x.fp, x.callFP, x.callLow, x.loopFP = exit, base, sp, back, fp, callFP, callLow, loop
	return r0, f
}

// perfMap writes a line for each subprogram: address, size and name.
func (c *Code) perfMap(w io.Writer) error {
	for p := range c.env.Progs {
		subs := c.env.Progs[p].Code.Subs
		for i := range subs {
			from, to := c.progs[p].Subs[i], c.progs[p].End
			if i+1 < len(subs) {
				to = c.progs[p].Subs[i+1]
			}
			name := c.env.Progs[p].Code.Name
			if i > 0 {
				name += "/" + subs[i].Name
			}
			if _, err := fmt.Fprintf(w, "%x %x bpf:%s\n", c.textAt+uintptr(from), to-from, name); err != nil {
				return err
			}
		}
	}
	return nil
}
