package bpf

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/mem"
)

// ksyms are the variables of the kernel that a scheduler's programs refer to (extern ... __ksym). Each has a copy per CPU,
// which is right for per-CPU variables and does no harm to others: those are read at the address of the first copy.
type ksyms struct {
	m      *sim.Machine
	mem    *mem.Space
	kernel *kernels.Kernel
	vars   []ksym
	// zero are those that are not modelled: they read as zeros.
	zero []string
}

// ksym is a variable of size bytes; at are the addresses of its copies, the first of which stands for it.
type ksym struct {
	name string
	size uint64
	at   []uint64
}

// modelled returns the value of a variable of the kernel on a CPU; not ok: it has none here.
func modelled(m *sim.Machine, name string, cpu sim.CPU) (value uint64, ok bool) {
	t := m.Topo()
	switch name {
	case "sd_llc_id": // kernel/sched/topology.c, 7.2: dense ids from 0
		return uint64(t.CPUs[cpu].LLC), true
	case "sd_llc_size":
		return uint64(len(t.LLC(t.CPUs[cpu].LLC).CPUs)), true
	case "sched_core_priority": // arch/x86/kernel/itmt.c: set where cores differ
		for _, c := range t.CPUs {
			if c.Capacity != t.CPUs[0].Capacity {
				return uint64(t.CPUs[cpu].Capacity), true
			}
		}
		return 0, true
	case "nr_cpu_ids":
		return uint64(m.NrCPUs()), true
	case "nr_node_ids":
		return uint64(t.Nodes), true
	}
	return 0, false
}

// address is vm.Options.Ksym: it finds the variable or makes it. Not ok: the kernel's BTF has no type for it.
func (k *ksyms) address(name string) (uint64, bool) {
	for i := range k.vars {
		if k.vars[i].name == name {
			return k.vars[i].at[0], true
		}
	}
	var v *btf.Var
	if k.kernel.BTF().TypeByName(name, &v) != nil {
		return 0, false
	}
	size, err := btf.Sizeof(v.Type)
	if err != nil || size <= 0 || size > 1<<20 {
		return 0, false
	}
	s := ksym{name: name, size: uint64(size)}
	n := k.m.NrCPUs()
	if name == "runqueues" {
		for cpu := range n {
			s.at = append(s.at, k.m.RQ(sim.CPU(cpu)).Addr)
		}
	} else if !k.fill(&s, n) {
		return 0, false
	}
	k.vars = append(k.vars, s)
	return s.at[0], true
}

// fill makes the copies of a variable.
func (k *ksyms) fill(s *ksym, n int) bool {
	stride := (s.size + 7) &^ 7
	base, b, err := k.mem.Alloc(stride*uint64(n), 64)
	if err != nil {
		return false
	}
	known := false
	for cpu := range n {
		s.at = append(s.at, base+uint64(cpu)*stride)
		if v, ok := modelled(k.m, s.name, sim.CPU(cpu)); ok {
			var w [8]byte
			binary.LittleEndian.PutUint64(w[:], v)
			copy(b[uint64(cpu)*stride:][:s.size], w[:])
			known = true
		}
	}
	if !known {
		k.zero = append(k.zero, s.name)
	}
	return true
}

// perCPU is vm.Options.PerCPU: the copy of a CPU that exists, of the variable that ptr points into.
func (k *ksyms) perCPU(ptr uint64, cpu int32) uint64 {
	for i := range k.vars {
		if off := ptr - k.vars[i].at[0]; off < k.vars[i].size {
			return k.vars[i].at[cpu] + off
		}
	}
	return ptr
}

// notices tells about variables that read as zeros.
func (k *ksyms) notices(object string, notice func(string)) {
	if len(k.zero) > 0 {
		notice(fmt.Sprintf("%s: variables of the kernel that are not modelled read as zeros: %s", object, strings.Join(k.zero, ", ")))
	}
}
