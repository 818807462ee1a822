package vm

import (
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/maps"
)

// inline tells the engine what it can do without calling helpers and kernel functions: what is said of them in code, the
// arithmetic of maps.Array.Lookup, and the processor, which stays the same while a program runs since the machine moves
// nothing in the middle of an event.
func (l *loader) inline() engine.Inline {
	in := engine.Inline{Lookup: helpers.Number("map_lookup_elem"), CPUID: helpers.Number("get_smp_processor_id"), Loop: helpers.Number("loop"),
		LookupPerCPU: helpers.Number("map_lookup_percpu_elem"), Update: helpers.Number("map_update_elem")}
	in.Helpers = (&helpers.Env{Host: l.s.opt.Host, HZ: uint64(max(l.s.opt.HZ, 0)), PerCPU: l.s.perCPU}).Inline()
	in.Kfuncs = make(map[string]*abi.Inline, len(l.kfuncs))
	in.Params = make(map[string]int, len(l.kfuncs))
	for name, k := range l.kfuncs {
		if n, ok := k.Params(); ok {
			in.Params[name] = n
		}
		if k.Inline != nil && k.Call != nil {
			in.Kfuncs[name] = k.Inline
		}
	}
	for _, m := range l.s.maps.All() {
		switch m := m.(type) {
		case *maps.Hash:
			if index, seed, value, stride, cpus, ok := m.Leaf(); ok && (m.KeySize == 4 || m.KeySize == 8) {
				t := engine.Table{Map: m.Addr, Index: index, Key: m.KeySize, Seed: seed, Value: value, Size: uint64(m.ValueSize),
					Plain: len(m.Fields) == 0 && m.Flags&maps.FlagRdonlyProg == 0}
				if cpus != 1 {
					t.CPUs, t.Stride = uint32(cpus), stride
				}
				in.Tables = append(in.Tables, t)
			}
		case *maps.Storage:
			name := "task_storage_get"
			if m.Type == maps.TypeCgrpStorage {
				name = "cgrp_storage_get"
			}
			in.Tables = append(in.Tables, engine.Table{Map: m.Addr, Index: m.Index(), Storage: helpers.Number(name), Size: uint64(m.ValueSize)})
		}
		a, ok := m.(*maps.Array)
		if !ok || a.KeySize != 4 || a.Type != maps.TypeArray && a.Type != maps.TypePerCPUArray {
			continue
		}
		e := engine.Array{Map: a.Addr, Base: a.Base, Elem: a.Elem, Entries: a.MaxEntries}
		if a.Stride != 0 {
			e.Stride, e.CPUs = a.Stride, uint32(l.s.opt.Host.NrCPUs())
		}
		in.Arrays = append(in.Arrays, e)
	}
	return in
}

// pointers say what bpf_this_cpu_ptr and bpf_per_cpu_ptr do with the addresses of the kernel's variables, where the copies for the
// processors lie at equal distances.
func (l *loader) pointers() []engine.Pointer {
	if l.s.opt.PerCPU == nil {
		return nil // helpers.Env.Inline says it for all addresses
	}
	slices.Sort(l.variables)
	var list []engine.Pointer
	env := &helpers.Env{Host: l.s.opt.Host, PerCPU: l.s.perCPU}
	for _, v := range slices.Compact(l.variables) {
		this, per, ok := env.InlinePerCPU(v)
		if ok {
			list = append(list, engine.Pointer{Helper: helpers.Number("this_cpu_ptr"), R1: v, Code: this},
				engine.Pointer{Helper: helpers.Number("per_cpu_ptr"), R1: v, Code: per})
		}
	}
	return list
}
