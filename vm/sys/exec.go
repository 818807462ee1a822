package sys

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/maps"
)

// exec is the running half of a Kernel: all programs are one set for the engine, compiled again when it has changed and one
// of them is to run.
type exec struct {
	env      *engine.Env
	code     engine.Code
	helpers  *helpers.Env
	stack    uint64  // address of the stack region, 0 if there is none yet
	numbered []*Prog // by number, nil where free
	changed  bool
	async    *Fault
}

// Fault is a violation that ended a program. It is a result, not an error of the simulator: programs are input.
type Fault struct {
	Prog *Prog // nil if no program was found
	// Insn is the index of the instruction in the program's decoded form, Slot that in its bytecode.
	Insn, Slot int32
	Line       string // source line, "" if unknown
	Msg        string
}

// Error is one line that names the program, the instruction and the source line.
func (f *Fault) Error() string {
	name, line := "", ""
	if f.Prog != nil {
		name = f.Prog.Name()
	}
	if f.Line != "" {
		line = " (" + f.Line + ")"
	}
	return fmt.Sprintf("program %s: instruction %d%s: %s", name, f.Slot, line, f.Msg)
}

// freeNumber is the number that the next program gets: the lowest that is free.
func (k *Kernel) freeNumber() int {
	for i, p := range k.numbered {
		if p == nil {
			return i
		}
	}
	return len(k.numbered)
}

// load takes a program into the set, at the number that check promised.
func (k *Kernel) load(p *Prog) error {
	p.number = k.freeNumber()
	if p.number == engine.MaxPrograms {
		return refuse(abi.ENOMEM, "%d programs, at most %d are possible", p.number+1, engine.MaxPrograms)
	}
	if k.stack == 0 {
		stack, _, err := k.opt.Mem.Alloc(engine.DefaultStack, 4096)
		if err != nil {
			return refuse(abi.ENOMEM, "stack of programs: %v", err)
		}
		k.stack = stack
		k.env.StackTop, k.env.StackSize = stack+engine.DefaultStack, engine.DefaultStack
	}
	if p.number == len(k.numbered) {
		k.numbered = append(k.numbered, p)
		k.env.Progs = append(k.env.Progs, p.code)
	} else {
		k.numbered[p.number], k.env.Progs[p.number] = p, p.code
	}
	k.changed = true
	return nil
}

// codeAddr is the address of an instruction of the program.
func (p *Prog) codeAddr(insn int32) uint64 { return engine.CodeAddr(p.number, insn) }

// unload forgets a program. Its code stays until the set is compiled again, for callbacks that are still armed.
func (k *Kernel) unload(p *Prog) {
	k.numbered[p.number] = nil
	k.env.Progs[p.number] = engine.Prog{Info: p.code.Info, Code: &ir.Program{Name: p.Name(), Line: func(int32) string { return "" },
		Insns: []ir.Insn{{Op: ir.Invalid}}, Subs: []ir.Sub{{Name: p.Name(), End: 1}}}}
}

// stale tells that a map is gone, of which compiled code may know the memory.
func (k *Kernel) stale(m *Map) {
	if _, ok := m.m.(*maps.Array); ok {
		k.changed = true
	}
}

// Compile makes all loaded programs ready to run, which otherwise happens when the first of them runs. The error is the
// engine's.
func (k *Kernel) Compile() error {
	if !k.changed {
		return nil
	}
	if k.env.State.Depth > 0 {
		return fmt.Errorf("programs were loaded while others run")
	}
	if k.code != nil {
		if err := k.code.Close(); err != nil {
			return err
		}
		k.code = nil
	}
	insns := k.env.State.Insns
	k.env.Inline = k.inline()
	code, err := k.opt.Engine.Compile(k.env)
	if err != nil {
		return fmt.Errorf("engine %s: %w", k.opt.Engine.Name(), err)
	}
	k.env.State.Insns = insns
	k.code, k.changed = code, false
	return nil
}

// inline tells the engine what it can do without calling helpers: the arithmetic of maps.Array.Lookup, and the processor,
// which stays the same while a program runs since the machine moves nothing in the middle of an event.
func (k *Kernel) inline() engine.Inline {
	in := engine.Inline{Lookup: helpers.Number("map_lookup_elem"), CPUID: helpers.Number("get_smp_processor_id")}
	for _, m := range k.table.All() {
		a, ok := m.(*maps.Array)
		if !ok || a.KeySize != 4 {
			continue
		}
		e := engine.Array{Map: a.Addr, Base: a.Base, Elem: a.Elem, Entries: a.MaxEntries}
		if a.Stride != 0 {
			e.Stride, e.CPUs = a.Stride, uint32(k.opt.Host.NrCPUs())
		}
		in.Arrays = append(in.Arrays, e)
	}
	return in
}

// Run runs the program with R1 = ctx, the simulated address of its context, and returns R0. A *Fault means that the program
// ended on the way; what it did until then stays done.
func (p *Prog) Run(ctx uint64) (r0 uint64, f *Fault) {
	k := p.k
	if k.changed {
		if err := k.Compile(); err != nil {
			return 0, &Fault{Prog: p, Msg: err.Error()}
		}
	}
	p.runs++
	r0, ef := k.code.Run(p.number, ctx)
	if ef != nil {
		return 0, k.fault(ef)
	}
	return r0, nil
}

// RunSub runs the subprogram at a code address that a program handed out (a callback) as an invocation of its own.
func (k *Kernel) RunSub(fn uint64, a abi.Args) (r0 uint64, f *Fault) {
	if k.changed && k.env.State.Depth == 0 {
		if err := k.Compile(); err != nil {
			return 0, &Fault{Msg: err.Error()}
		}
	}
	if k.code == nil {
		return 0, &Fault{Msg: fmt.Sprintf("call of %#x, which is not a function", fn)}
	}
	r0, ef := k.code.RunSub(fn, a)
	if ef != nil {
		return 0, k.fault(ef)
	}
	return r0, nil
}

// fault puts names to what an engine reports.
func (k *Kernel) fault(e *engine.Fault) *Fault {
	f := &Fault{Msg: e.Msg, Insn: e.Insn}
	if e.Prog < 0 || int(e.Prog) >= len(k.numbered) || k.numbered[e.Prog] == nil {
		return f
	}
	f.Prog = k.numbered[e.Prog]
	code := f.Prog.code.Code
	if int(e.Insn) < len(code.Insns) {
		in := &code.Insns[e.Insn]
		f.Slot, f.Line = in.Orig, code.Line(e.Insn)
		if poison := f.Prog.link.Poison; in.Op == ir.Invalid && in.Imm >= 0 && in.Imm < int64(len(poison)) {
			f.Msg = poison[in.Imm]
		}
	}
	return f
}

// runAsync runs an asynchronous callback; its result is nobody's.
func (k *Kernel) runAsync(fn uint64, a abi.Args) {
	if k.closed || k.code == nil {
		return
	}
	if _, f := k.RunSub(fn, a); f != nil && k.async == nil {
		k.async = f
	}
}

// TakeFault returns the first violation of an asynchronous callback (a timer's) since it was called last, nil if there was
// none.
func (k *Kernel) TakeFault() *Fault {
	f := k.async
	k.async = nil
	return f
}

// Insns is the number of instructions executed so far.
func (k *Kernel) Insns() uint64 { return k.env.State.Insns }

// Calls is the number of helpers and kernel functions called so far.
func (k *Kernel) Calls() uint64 { return k.env.Call.Kfuncs + k.env.Call.Helpers }

// stop frees the code and all memory.
func (k *Kernel) stop() error {
	var err error
	if k.code != nil {
		err = k.code.Close()
		k.code = nil
	}
	k.table.Close()
	if k.stack != 0 {
		k.opt.Mem.Free(k.stack, k.env.StackSize)
		k.stack = 0
	}
	return err
}

// progTestRun follows bpf_prog_test_run and bpf_prog_test_run_syscall.
func (c *call) progTestRun() (int64, error) {
	if err := c.checkAttr(ProgTestRun); err != nil {
		return 0, err
	}
	size, in, out := c.u32(40), c.u64(48), c.u64(56)
	if (size != 0) != (in != 0) || (c.u32(44) != 0) != (out != 0) {
		return 0, refuse(abi.EINVAL, "a context needs both address and size")
	}
	p, _, err := fdObject[*Prog](c.p, c.fd(0))
	if err != nil {
		return 0, err
	}
	if p.typ != ProgTypeSyscall {
		return 0, refuse(abi.ENOTSUPP, "program type %d cannot be run by itself here", p.typ)
	}
	// data_in, data_out, repeat, duration, flags and batch_size mean nothing to such programs.
	if c.u64(16) != 0 || c.u64(24) != 0 || out != 0 || c.u32(32) != 0 || c.u32(36) != 0 || c.u32(64) != 0 || c.u32(72) != 0 {
		return 0, refuse(abi.EINVAL, "a syscall program takes a context only")
	}
	if size > 1<<16-1 {
		return 0, refuse(abi.EINVAL, "context of %d bytes", size)
	}
	ctx := uint64(0)
	var b []byte
	if size > 0 {
		data, err := c.read(in, uint64(size))
		if err != nil {
			return 0, err
		}
		if ctx, b, err = c.k.opt.Mem.Alloc(uint64(size), 8); err != nil {
			return 0, refuse(abi.ENOMEM, "%v", err)
		}
		defer c.k.opt.Mem.Free(ctx, uint64(size))
		copy(b, data)
	}
	c.k.caller = nil // the program may run others; the call's descriptors are no concern of theirs
	r0, f := p.Run(ctx)
	if f != nil {
		return 0, refuse(abi.EFAULT, "%s", f.Error())
	}
	if err := c.put(4, uint32(r0)); err != nil {
		return 0, err
	}
	return 0, c.write(in, b)
}
