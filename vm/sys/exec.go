package sys

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
)

// Fault is a violation that ended a program. It is a result, not an error of the simulator: programs are input.
type Fault = vm.Fault

// exec is the running half of a Kernel. Programs that were loaded since one ran last, and have the same BTF, become a set of
// package vm when one of them is to run.
type exec struct {
	pending []*Prog // loaded, in no set yet
	sets    []*set
	// helpers tell which helpers there are; see Kernel.helperTable.
	helpers []abi.Func
	// dead are sets whose programs are all gone while one of them runs.
	dead []*set
}

// set is programs that were compiled together. It goes when all of them are gone.
type set struct {
	*vm.Set
	progs int
}

// helperTable is the helpers that sets will have, by number. It is made when programs are loaded, and forgotten when they are
// compiled.
func (k *Kernel) helperTable() []abi.Func {
	if k.exec.helpers == nil {
		t := &maps.Table{Mem: k.opt.Mem, NrCPUs: k.opt.Host.NrCPUs()}
		k.exec.helpers = (&helpers.Env{Mem: k.opt.Mem, Host: k.opt.Host, Maps: t, PerCPU: k.opt.PerCPU, Sys: k.opt.Sys}).Table()
	}
	return k.exec.helpers
}

// load takes a program that was accepted.
func (k *Kernel) load(p *Prog) { k.pending = append(k.pending, p) }

// unload forgets a program. A set's code stays until all its programs are gone, for callbacks that are still armed.
func (k *Kernel) unload(p *Prog) {
	if i := slices.Index(k.pending, p); i >= 0 {
		k.pending = slices.Delete(k.pending, i, i+1)
		return
	}
	s := p.set
	if s == nil {
		return // its set could not be compiled
	}
	if s.progs--; s.progs > 0 {
		return
	}
	k.sets = slices.Delete(k.sets, slices.Index(k.sets, s), slices.Index(k.sets, s)+1)
	if s.Running() {
		k.dead = append(k.dead, s)
		return
	}
	k.bury(s)
}

// bury frees a set that nobody runs.
func (k *Kernel) bury(s *set) {
	k.gone += s.Insns()
	k.goneCalls += s.Calls()
	k.keep(s.Close())
}

// reap frees the sets that have gone while they ran.
func (k *Kernel) reap() {
	k.dead = slices.DeleteFunc(k.dead, func(s *set) bool {
		if !s.Running() {
			k.bury(s)
			return true
		}
		return false
	})
}

// keep remembers the first error of memory that could not be given back.
func (k *Kernel) keep(err error) {
	if k.err == nil {
		k.err = err
	}
}

// Compile makes all loaded programs ready to run, which otherwise happens when the first of them runs. The error is the
// engine's.
func (k *Kernel) Compile() error {
	for len(k.pending) > 0 {
		var with []*Prog
		b := k.pending[0].btf
		for _, p := range k.pending {
			if p.btf == b {
				with = append(with, p)
			}
		}
		k.pending = slices.DeleteFunc(k.pending, func(p *Prog) bool { return p.btf == b })
		if err := k.compile(with); err != nil {
			return err
		}
	}
	for _, e := range k.btfs.list {
		e.obj.rest()
	}
	k.exec.helpers = nil
	if k.opt.Functions != nil {
		k.rows, k.kfuncs = nil, nil
	}
	return nil
}

// compile makes a set of programs that have the same BTF.
func (k *Kernel) compile(progs []*Prog) error {
	o := &link.Object{Name: "kernel"}
	var types func() *btf.Spec
	if b := progs[0].btf; b != nil {
		types = b.types
	}
	// Maps are numbered by id, which is the order in which they were created.
	var used []*Map
	for _, p := range progs {
		used = append(used, p.maps...)
	}
	slices.SortFunc(used, func(a, b *Map) int { return int(int64(a.id) - int64(b.id)) })
	used = slices.Compact(used)
	var list []maps.Map
	for _, m := range used {
		o.Maps = append(o.Maps, &link.Map{Name: m.name})
		list = append(list, m.m)
	}
	for _, p := range progs {
		lp := *p.link
		lp.Refs = slices.Clone(lp.Refs)
		for i := range lp.Refs {
			if r := &lp.Refs[i]; r.Map >= 0 {
				r.Map = slices.Index(used, p.maps[r.Map])
			}
		}
		o.Programs = append(o.Programs, &lp)
	}
	s := &set{progs: len(progs)}
	vs, err := vm.Load(o, vm.Options{Prog: func(object uint64) (abi.Next, abi.Other) { return k.tailTarget(s, object) },
		Mem: k.opt.Mem, Host: k.opt.Host, Kfuncs: k.functions(), Ksym: k.opt.Ksym, PerCPU: k.opt.PerCPU,
		DropKptr: k.opt.DropKptr, Sys: k.opt.Sys, Select: func(*link.Program) bool { return true }, Table: k.table, Maps: list, Keep: true, Types: types,
		Engine: k.opt.Engine, Budget: k.opt.Budget, HZ: k.opt.HZ, Seed: k.opt.Seed})
	if err != nil {
		return err
	}
	s.Set = vs
	k.sets = append(k.sets, s)
	for i, p := range vs.Programs() {
		progs[i].set, progs[i].run = s, p
	}
	vs.Settle(settle(progs, !vs.Native()))
	return nil
}

// Run runs the program with R1 = ctx, the simulated address of its context, and returns R0. A *Fault means that the program
// ended on the way; what it did until then stays done.
func (p *Prog) Run(ctx uint64) (r0 uint64, f *Fault) {
	if p.run == nil {
		if f := p.ready(); f != nil {
			return 0, f
		}
	}
	r0, f = p.run.Run(ctx)
	if len(p.k.dead) > 0 {
		p.k.reap()
	}
	return r0, f
}

// ready compiles the program.
func (p *Prog) ready() *Fault {
	if err := p.k.Compile(); err != nil {
		return &Fault{Prog: p.Name(), Msg: err.Error()}
	}
	if p.run == nil {
		return &Fault{Prog: p.Name(), Msg: "could not be compiled"}
	}
	return nil
}

// Info is what kernel functions see of the program, nil until it was compiled; whoever attaches it may set its Context.
func (p *Prog) Info() *abi.Prog {
	if p.run == nil {
		return nil
	}
	return p.run.Info()
}

// TakeFault returns the first violation of an asynchronous callback (a timer's) since it was called last, nil if there was
// none.
func (k *Kernel) TakeFault() *Fault {
	for _, s := range k.sets {
		if f := s.TakeFault(); f != nil {
			return f
		}
	}
	return nil
}

// Insns is the number of instructions executed so far.
func (k *Kernel) Insns() uint64 {
	n, _ := k.Work()
	return n
}

// Calls is the number of helpers and kernel functions called so far.
func (k *Kernel) Calls() uint64 {
	_, n := k.Work()
	return n
}

// Work is Insns and Calls.
func (k *Kernel) Work() (insns, calls uint64) {
	insns, calls = k.gone, k.goneCalls
	for _, s := range k.sets {
		i, c := s.Work()
		insns, calls = insns+i, calls+c
	}
	for _, s := range k.dead {
		i, c := s.Work()
		insns, calls = insns+i, calls+c
	}
	return insns, calls
}

// stop frees the code of what still is loaded, and the maps.
func (k *Kernel) stop() error {
	for _, s := range append(k.sets, k.dead...) {
		k.keep(s.Close())
	}
	k.sets, k.dead = nil, nil
	k.table.Close()
	return k.err
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
	if size > 1<<16-1 || uint64(size) < uint64(p.result.CtxSize) {
		return 0, refuse(abi.EINVAL, "context of %d bytes, the program uses %d", size, p.result.CtxSize)
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
		return 0, &refusal{abi.EFAULT, fmt.Sprint(f)}
	}
	if err := c.put(4, uint32(r0)); err != nil {
		return 0, err
	}
	return 0, c.write(in, b)
}
