package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/keep"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/objects"
)

// ksymFuncAddr is the address of every kernel function: programs only ask whether it is zero.
const ksymFuncAddr = ir.CodeBase - 16

// Load creates the maps and data sections of a linked object in opt.Mem, fills addresses in, resolves what programs call,
// and compiles them. The order of allocations depends on the object only, so addresses are the same on every run and
// engine. Errors name program, instruction and line; o is not changed but for opt.Keep.
func Load(o *link.Object, opt Options) (*Set, error) {
	if opt.Engine == nil {
		opt.Engine = Interp()
	}
	if opt.Budget == 0 {
		opt.Budget = engine.DefaultBudget
	}
	s := &Set{obj: o, opt: opt, layouts: map[uint64]*objects.Layout{}}
	s.objects = objects.New(objects.Config{Mem: opt.Mem, Layout: s.layout, NrCPUs: opt.Host.NrCPUs(), DropKptr: func(f maps.Field, ptr uint64) {
		if s.opt.DropKptr != nil { // of s, or all of opt would stay
			s.opt.DropKptr(f.Pointee, ptr)
		}
	}})
	l := &loader{s: s, o: o, kfuncs: make(map[string]*abi.Kfunc, len(opt.Kfuncs))}
	for i := range opt.Kfuncs {
		k := &opt.Kfuncs[i]
		l.kfuncs[k.Name] = k
	}
	if err := l.load(); err != nil {
		s.Close() // of a set that never ran: the error that matters is err
		return nil, err
	}
	s.opt.Kfuncs = nil
	return s, nil
}

// loader is the state of Load.
type loader struct {
	s      *Set
	o      *link.Object
	kfuncs map[string]*abi.Kfunc
	progs  []*link.Program
	// variables are the addresses in the kernel's variables that programs have.
	variables []uint64
	// refused says why a map was not created; it matters only if live code uses the map.
	refused map[int]error
}

func (l *loader) load() error {
	s, o := l.s, l.o
	l.selectPrograms()
	if len(l.progs) > engine.MaxPrograms {
		return fmt.Errorf("%s: %d programs, at most %d are possible", o.Name, len(l.progs), engine.MaxPrograms)
	}
	if err := l.createMaps(); err != nil {
		return err
	}
	stack, _, err := s.opt.Mem.Alloc(engine.DefaultStack, 4096)
	if err != nil {
		return fmt.Errorf("%s: stack of programs: %w", o.Name, err)
	}
	s.stack = stack
	henv := &helpers.Env{Mem: s.opt.Mem, Host: s.opt.Host, Maps: s.maps, HZ: uint64(max(s.opt.HZ, 0)), RunSub: s.runAsync, PerCPU: s.perCPU, Sys: s.opt.Sys, Prog: s.opt.Prog}
	s.helpers = henv
	hooks := s.maps.Hooks
	s.env = &engine.Env{
		Mem:      s.opt.Mem,
		Call:     &abi.Call{Mem: s.opt.Mem, Host: s.opt.Host},
		Helpers:  henv.Table(),
		StackTop: stack + engine.DefaultStack, StackSize: engine.DefaultStack,
		Budget:   s.opt.Budget,
		Inline:   l.inline(),
		TailCall: helpers.Number("tail_call"),
	}
	l.chainHooks(hooks)
	if s.arena != nil {
		s.env.Arena = s.arena.Mem
	}
	s.env.Progs, s.progs = keep.Slice[engine.Prog](len(l.progs)), make([]*Program, len(l.progs))
	programs := keep.Slice[Program](len(l.progs)) // in one piece
	for i, p := range l.progs {
		ep, err := l.program(i, p)
		if err != nil {
			return fmt.Errorf("%s: program %s: %w", o.Name, p.Name, err)
		}
		s.env.Progs = append(s.env.Progs, ep)
		programs = append(programs, Program{set: s, number: i, link: p})
		s.progs[i] = &programs[i]
	}
	s.env.Inline.Pointers = l.pointers()
	s.unchecked()
	for _, p := range s.env.Progs {
		if err := engine.Check(p.Code); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	s.code, err = s.opt.Engine.Compile(s.env)
	if errors.Is(err, engine.ErrNoRoom) {
		s.code, err = Interp().Compile(s.env) // which is slower and the same otherwise
	}
	if err != nil {
		return fmt.Errorf("%s: engine %s: %w", o.Name, s.opt.Engine.Name(), err)
	}
	return nil
}

// unchecked finds what must hold of contexts because accesses are not checked. By a tail call a program hands its context
// to any other one of the set.
func (s *Set) unchecked() {
	most := uint64(0)
	for i, p := range s.progs {
		code := s.env.Progs[i].Code
		if !slices.ContainsFunc(code.Insns, func(in ir.Insn) bool { return in.Proved }) {
			continue
		}
		s.proved = true
		p.ctx = uint64(p.link.CtxSize)
		most = max(most, p.ctx)
	}
	for i, p := range s.progs {
		if tail := s.env.TailCall; tail != 0 && slices.ContainsFunc(s.env.Progs[i].Code.Insns, func(in ir.Insn) bool { return in.Op == ir.CallHelper && in.Imm == tail }) {
			p.ctx = most
		}
	}
}

// selectPrograms follows libbpf: a program is loaded unless its section says otherwise; a struct_ops table that is created
// loads those that it names.
func (l *loader) selectPrograms() {
	named := map[string]bool{}
	for _, t := range l.o.StructOps {
		for _, m := range t.Members {
			if t.AutoCreate && m.Prog != "" {
				named[m.Prog] = true
			}
		}
	}
	for _, p := range l.o.Programs {
		take := p.AutoLoad || named[p.Name]
		if l.s.opt.Select != nil {
			take = l.s.opt.Select(p)
		}
		if take {
			l.progs = append(l.progs, p)
		}
	}
}

// maxInner is how many maps user space may create in the object's arrays of maps.
const maxInner = 4096

// createMaps creates the maps of the object in its order. One that cannot be modelled leaves a gap unless code needs it.
func (l *loader) createMaps() error {
	s := l.s
	if s.opt.Table != nil {
		return l.takeMaps()
	}
	room := 0
	for _, m := range l.o.Maps {
		if m.Inner != nil {
			room = min(room+int(min(m.MaxEntries, maxInner)), maxInner)
		}
	}
	t, err := maps.NewTable(s.opt.Mem, s.opt.Host.NrCPUs(), room+len(l.o.Maps))
	if err != nil {
		return fmt.Errorf("%s: %w", l.o.Name, err)
	}
	s.maps, t.Seed = t, s.opt.Seed
	t.Hooks.Kptr = s.dropKptr
	t.Hooks.Graph = func(_ maps.Field, addr uint64) { s.objects.DropAll(addr) }
	l.refused = map[int]error{}
	for i, m := range l.o.Maps {
		spec := mapSpec(m)
		fitSize(&spec, s.opt.Host.NrCPUs())
		if a := l.o.Arena; a != nil && a.Map == i {
			spec.Data, spec.DataSize = a.Data, a.Size
		}
		mm, err := t.New(spec)
		if err != nil {
			if link.MapUser(l.progs, i) == "" {
				t.Skip()
				l.refused[i] = err
				continue
			}
			return fmt.Errorf("%s: %w%s", l.o.Name, err, link.MapUser(l.progs, i))
		}
		if a, ok := mm.(*maps.Arena); ok {
			s.arena = a
		}
	}
	s.list = t.All()
	return l.fillSlots()
}

func mapSpec(m *link.Map) maps.Spec {
	s := maps.Spec{Name: m.Name, Type: maps.Type(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries,
		Flags: m.Flags, Extra: m.Extra, Data: m.Data, Fields: specialFields(m)}
	s.Frozen = m.Frozen
	if m.Inner != nil {
		inner := mapSpec(m.Inner)
		s.Inner = &inner
	}
	return s
}

// fillSlots puts maps into maps of maps, and programs into arrays of programs, as the object's initialisers say.
func (l *loader) fillSlots() error {
	for _, m := range l.o.Maps {
		for _, slot := range m.Slots {
			if err := l.fillSlot(l.s.Map(m.Name), slot); err != nil {
				return fmt.Errorf("%s: map %q: element %d: %w", l.o.Name, m.Name, slot.Index, err)
			}
		}
	}
	return nil
}

// fillSlot follows init_map_in_map_slots and init_prog_array_slots of libbpf: the key is the index.
func (l *loader) fillSlot(outer maps.Map, slot elf.Slot) error {
	set := func(inner maps.Map) abi.Errno { return abi.EINVAL }
	switch outer := outer.(type) {
	case nil: // not created, and nobody needs it
		return nil
	case *maps.FDArray:
		n := slices.IndexFunc(l.progs, func(p *link.Program) bool { return p.Name == slot.Name })
		if n < 0 {
			return fmt.Errorf("program %q is not loaded", slot.Name)
		}
		if e := outer.Set(slot.Index, uint64(n)+1); e != 0 {
			return fmt.Errorf("program %q: %w", slot.Name, e)
		}
		return nil
	case *maps.ArrayOfMaps:
		set = func(inner maps.Map) abi.Errno { return outer.Set(slot.Index, inner) }
	case *maps.HashOfMaps:
		key := make([]byte, max(outer.KeySize, 4))
		binary.LittleEndian.PutUint32(key, slot.Index)
		set = func(inner maps.Map) abi.Errno { return outer.Set(key[:outer.KeySize], inner, maps.Any) }
	}
	inner := l.s.Map(slot.Name)
	if inner == nil {
		return fmt.Errorf("map %q was not created", slot.Name)
	}
	if e := set(inner); e != 0 {
		return fmt.Errorf("map %q: %w", slot.Name, e)
	}
	return nil
}

// program prepares program number n: a copy of its code with all addresses, and what it calls.
func (l *loader) program(n int, p *link.Program) (engine.Prog, error) {
	code := *p.Code
	if !l.s.opt.Keep {
		code.Insns, code.Subs = slices.Clone(code.Insns), slices.Clone(code.Subs)
	}
	p.Direct(&code)
	for _, r := range p.Refs {
		if r.Insn < 0 || r.Insn >= len(code.Insns) || code.Insns[r.Insn].Op != ir.LdImm64 {
			panic(fmt.Sprintf("BUG: program %s: reference at instruction %d", p.Name, r.Insn))
		}
		addr, err := l.address(n, p, r)
		if err != nil {
			if p.IsLive(r.Insn) {
				return engine.Prog{}, fmt.Errorf("%s: %w", p.Code.Where(r.Insn), err)
			}
			addr = 0
		}
		code.Insns[r.Insn].Imm = int64(addr)
	}
	for _, h := range p.Helpers {
		if id := int64(h.ID); id < 0 || id >= int64(len(l.s.env.Helpers)) || l.s.env.Helpers[id] == nil {
			return engine.Prog{}, fmt.Errorf("%s: %w", p.Code.Where(h.Insn), helperError(id))
		}
	}
	kfuncs, err := l.kfuncsOf(p)
	if err != nil {
		return engine.Prog{}, err
	}
	info := &abi.Prog{Name: p.Name, Section: p.Section, Sleepable: p.Sleepable}
	return engine.Prog{Code: &code, Info: info, Kfuncs: kfuncs}, nil
}

func helperError(id int64) error {
	name := helpers.Name(id)
	if name == "" {
		return fmt.Errorf("helper %d: does not exist", id)
	}
	if note := helpers.Note(id); note != "" {
		return fmt.Errorf("helper %s: not supported; %s", name, note)
	}
	return fmt.Errorf("helper %s: not supported", name)
}

// address is what a reference of program number n stands for.
func (l *loader) address(n int, p *link.Program, r link.Ref) (uint64, error) {
	switch r.Kind {
	case link.RefMap, link.RefMapValue, link.RefArena:
		if err := l.refused[r.Map]; err != nil {
			return 0, err
		}
		m := l.s.list[r.Map]
		if r.Kind == link.RefMap {
			return m.Info().Addr, nil
		}
		if a, ok := m.(*maps.Arena); ok && r.Kind == link.RefArena {
			return a.DataAddr() + uint64(r.Off), nil
		}
		if a, ok := m.(*maps.InsnArray); ok {
			return a.Jumps + uint64(r.Off), nil
		}
		a, ok := m.(*maps.Array)
		if !ok {
			return 0, fmt.Errorf("map %q of type %s has no data", m.Info().Name, m.Info().Type)
		}
		return a.Base + uint64(r.Off), nil
	case link.RefFunc:
		return engine.CodeAddr(n, p.Code.Subs[r.Sub].Start), nil
	case link.RefKsymFunc:
		return ksymFuncAddr, nil
	case link.RefKsymVar:
		if l.s.opt.Ksym != nil {
			if a, ok := l.s.opt.Ksym(r.Name); ok {
				l.variables = append(l.variables, a+uint64(r.Off))
				return a + uint64(r.Off), nil
			}
		}
		return 0, fmt.Errorf("kernel variable %q: not modelled", r.Name)
	}
	panic(fmt.Sprintf("BUG: reference of kind %d", r.Kind))
}

// kfuncsOf resolves the kernel functions of p. One that only dead code calls may be missing: calling it is a Fault.
func (l *loader) kfuncsOf(p *link.Program) ([]abi.Func, error) {
	fns := make([]abi.Func, len(p.Code.Kfuncs))
	for i, name := range p.Code.Kfuncs {
		if k := l.kfuncs[name]; k != nil && k.Machine {
			if fns[i] = l.s.machineFunc(name); fns[i] != nil {
				continue
			}
			panic("BUG: kernel function " + name + ": not one of the machine's")
		} else if k != nil && k.Call != nil {
			fns[i] = k.Call
			continue
		}
		msg := "kernel function " + name + ": not supported"
		fns[i] = func(c *abi.Call, _ *abi.Args) uint64 {
			c.Fault = msg
			return 0
		}
	}
	for _, c := range p.Calls {
		k := l.kfuncs[c.Name]
		switch {
		case k == nil:
			return nil, fmt.Errorf("%s: kernel function %s: not known%s", p.Code.Where(c.Insn), c.Name, similar(c.Name, l.kfuncNames()))
		case !k.Modelled():
			return nil, fmt.Errorf("%s: kernel function %s: not supported", p.Code.Where(c.Insn), c.Name)
		}
	}
	return fns, nil
}

// kfuncNames are the functions that can be called, for suggestions.
func (l *loader) kfuncNames() []string {
	var names []string
	for _, k := range l.s.opt.Kfuncs {
		if k.Modelled() {
			names = append(names, k.Name)
		}
	}
	return names
}

// similar is the tail of a message about an unknown name.
func similar(name string, candidates []string) string { return elf.DidYouMean(name, candidates) }
