package agent

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm/elf"
)

// Machine is what a loader can see of the machine.
type Machine struct {
	Topo *topo.Topology
}

// preset is what is known of one scheduler. A preset is used when the object has all of its variables.
type preset struct {
	ops  string // name in the ops table
	vars func(m Machine) map[string]any
	// perCPU are sections .data.NAME that hold one element per CPU and have one in the file.
	perCPU []string
}

// presets are the schedulers that are known. The first match counts.
func presets() []preset {
	return []preset{
		{ops: "central", vars: func(m Machine) map[string]any {
			return map[string]any{"nr_cpu_ids": len(m.Topo.CPUs), "slice_ns": 20_000_000}
		}, perCPU: []string{"cpu_gimme_task", "cpu_started_at"}}, // tools/sched_ext/scx_central.c
		{ops: "central", vars: func(m Machine) map[string]any {
			return map[string]any{"nr_cpus": len(m.Topo.CPUs)}
		}},
		{ops: "flatcg", vars: func(m Machine) map[string]any {
			return map[string]any{"nr_cpus": len(m.Topo.CPUs), "cgrp_slice_ns": 20_000_000}
		}}, // tools/sched_ext/scx_flatcg.c
		{ops: "llc_vtime", vars: func(m Machine) map[string]any {
			return map[string]any{"nr_llcs": m.Topo.LLCs, "cpu_llc": perCPU32(m.Topo, func(c topo.Info) int32 { return c.LLC })}
		}},
	}
}

// Prepare sets up the object of the scheduler called name for a machine: it resizes sections of o in place and returns
// the variables to set when linking.
func Prepare(name string, o *elf.Object, m Machine) (Edit, error) {
	for _, p := range presets() {
		if p.ops != name {
			continue
		}
		vars := p.vars(m)
		if !hasVars(o, vars, p.perCPU) {
			continue
		}
		var e Edit
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			e.Set = append(e.Set, Global{name, vars[name]})
		}
		for _, sec := range p.perCPU {
			if _, err := resize(o, sec, len(m.Topo.CPUs)); err != nil {
				return Edit{}, err
			}
			e.Done = append(e.Done, ".data."+sec)
		}
		if err := fit(o, vars); err != nil {
			return Edit{}, err
		}
		for i := range e.Set {
			e.Set[i].Value = vars[e.Set[i].Path]
		}
		return e, nil
	}
	return Edit{}, nil
}

func hasVars(o *elf.Object, vars map[string]any, sections []string) bool {
	for name := range vars {
		if findVar(o, name) == nil {
			return false
		}
	}
	for _, s := range sections {
		if findSection(o, ".data."+s) == nil {
			return false
		}
	}
	return true
}

func findVar(o *elf.Object, name string) *elf.Var {
	for _, m := range o.Maps {
		for i := range m.Vars {
			if m.Vars[i].Name == name {
				return &m.Vars[i]
			}
		}
	}
	return nil
}

func findSection(o *elf.Object, name string) *elf.Map {
	for _, m := range o.Maps {
		if m.Section == name {
			return m
		}
	}
	return nil
}

// resize makes a section with an array of one element an array of n, as bpf_map__set_value_size does.
func resize(o *elf.Object, section string, n int) (uint32, error) {
	m := findSection(o, ".data."+section)
	if len(m.Vars) != 1 {
		return 0, fmt.Errorf("section .data.%s: %d variables, one array is expected", section, len(m.Vars))
	}
	v := &m.Vars[0]
	elem := v.Size
	if m.ValueSize > elem && elem > 0 && m.ValueSize%elem != 0 {
		return 0, fmt.Errorf("section .data.%s: size %d is no multiple of %d", section, m.ValueSize, elem)
	}
	m.ValueSize = elem * uint32(n)
	v.Size = m.ValueSize
	return m.ValueSize, nil
}

// fit pads byte values of arrays that are longer in the object.
func fit(o *elf.Object, vars map[string]any) error {
	for name, v := range vars {
		b, ok := v.([]byte)
		if !ok {
			continue
		}
		size := int(findVar(o, name).Size)
		if len(b) > size {
			return fmt.Errorf("variable %s: %d bytes are needed for this machine, it has %d", name, len(b), size)
		}
		vars[name] = append(b, make([]byte, size-len(b))...)
	}
	return nil
}

// perCPU32 is an array of 32-bit values, one per CPU.
func perCPU32(t *topo.Topology, f func(topo.Info) int32) []byte {
	b := make([]byte, 0, 4*len(t.CPUs))
	for _, c := range t.CPUs {
		b = binary.LittleEndian.AppendUint32(b, uint32(f(c)))
	}
	return b
}

// Presets is the agent of the schedulers that are known; it leaves others as they are.
func Presets() Agent { return presetAgent{} }

type presetAgent struct{}

// Prepare sets up known schedulers.
func (presetAgent) Prepare(e *Env, o *elf.Object) (Edit, error) {
	return Prepare(e.Scheduler, o, Machine{Topo: e.Machine.Topo()})
}

// Loaded does nothing.
func (presetAgent) Loaded(*Loaded) error { return nil }

// Attached does nothing.
func (presetAgent) Attached(*Loaded) error { return nil }
