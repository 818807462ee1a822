package topo

import "fmt"

// MaxCPUs is the largest machine: the NR_CPUS of distribution kernels.
const MaxCPUs = 8192

// FullCapacity is the capacity of the machine's fastest CPUs (SCHED_CAPACITY_SCALE).
const FullCapacity = 1024

// CPU numbers a logical CPU; sim.CPU is the same number.
type CPU = int32

// Topology is a machine's CPUs. It does not change during a run.
type Topology struct {
	Name string // the text it was parsed from, "1n2l4c2t"
	CPUs []Info
	// Nodes, LLCs and Cores are counts; ids are dense from 0. Threads is the number of threads of each core.
	Nodes, LLCs, Cores, Threads int

	cores, llcs, nodes []Set
}

// Info describes one CPU.
type Info struct {
	ID       CPU
	Core     int32
	LLC      int32
	Node     int32
	Thread   int32 // index among the threads of its core
	Capacity int32 // 1024 is full capacity
}

// Set is a set of CPUs, as a list and as a bit mask. Callers must not change either.
type Set struct {
	CPUs []CPU    // ascending
	Mask []uint64 // bit c%64 of word c/64; as many words as the machine needs
}

// Has tells whether cpu is in the set.
func (s Set) Has(cpu CPU) bool {
	return cpu >= 0 && int(cpu/64) < len(s.Mask) && s.Mask[cpu/64]>>(cpu%64)&1 != 0
}

// Words is the number of 64-bit words of a mask over all CPUs.
func (t *Topology) Words() int { return (len(t.CPUs) + 63) / 64 }

// Core, LLC and Node return the CPUs that share the core, last-level cache or NUMA node with that id.
func (t *Topology) Core(id int32) Set { return t.cores[id] }

// LLC returns the CPUs of the last-level cache id.
func (t *Topology) LLC(id int32) Set { return t.llcs[id] }

// Node returns the CPUs of the NUMA node id.
func (t *Topology) Node(id int32) Set { return t.nodes[id] }

// Siblings returns the CPUs that share cpu's core, cpu included.
func (t *Topology) Siblings(cpu CPU) Set { return t.cores[t.CPUs[cpu].Core] }

// Level says how much two CPUs share; a smaller level is closer.
type Level uint8

// The levels.
const (
	SameCPU  Level = iota
	SameCore       // two threads of one core
	SameLLC
	SameNode
	Remote // on different NUMA nodes
)

// Level returns the closest level that a and b share.
func (t *Topology) Level(a, b CPU) Level {
	x, y := &t.CPUs[a], &t.CPUs[b]
	switch {
	case a == b:
		return SameCPU
	case x.Core == y.Core:
		return SameCore
	case x.LLC == y.LLC:
		return SameLLC
	case x.Node == y.Node:
		return SameNode
	}
	return Remote
}

// NodeDistance is the ACPI distance of two NUMA nodes (node_distance): 10 on the node, 20 between nodes.
func (t *Topology) NodeDistance(a, b int32) int {
	if a == b {
		return 10
	}
	return 20
}

// Shape describes a symmetric machine; it is what the short form "1n2l4c2t" says.
type Shape struct {
	Nodes          int // NUMA nodes of the machine
	LLCsPerNode    int
	CoresPerLLC    int
	ThreadsPerCore int // threads of each core
}

// String returns the short form.
func (s Shape) String() string {
	return fmt.Sprintf("%dn%dl%dc%dt", s.Nodes, s.LLCsPerNode, s.CoresPerLLC, s.ThreadsPerCore)
}

// New builds a symmetric machine.
func New(s Shape) (*Topology, error) { return build(s.String(), s) }

func build(name string, s Shape) (*Topology, error) {
	cpus := 1
	for _, level := range []struct {
		n    int
		what string
	}{
		{s.Nodes, "NUMA nodes"},
		{s.LLCsPerNode, "last-level caches per node"},
		{s.CoresPerLLC, "cores per last-level cache"},
		{s.ThreadsPerCore, "threads per core"},
	} {
		if level.n < 1 {
			return nil, fmt.Errorf("topology %q: %d %s, at least 1 is needed", name, level.n, level.what)
		}
		if level.n > MaxCPUs || cpus*level.n > MaxCPUs {
			return nil, fmt.Errorf("topology %q: more than %d CPUs", name, MaxCPUs)
		}
		cpus *= level.n
	}
	t := &Topology{
		Name:    name,
		CPUs:    make([]Info, cpus),
		Nodes:   s.Nodes,
		LLCs:    s.Nodes * s.LLCsPerNode,
		Cores:   cpus / s.ThreadsPerCore,
		Threads: s.ThreadsPerCore,
	}
	for i := range t.CPUs {
		core := i % t.Cores
		llc := core / s.CoresPerLLC
		t.CPUs[i] = Info{
			ID: CPU(i), Core: int32(core), LLC: int32(llc), Node: int32(llc / s.LLCsPerNode),
			Thread: int32(i / t.Cores), Capacity: FullCapacity,
		}
	}
	t.cores = t.sets(t.Cores, func(i *Info) int32 { return i.Core })
	t.llcs = t.sets(t.LLCs, func(i *Info) int32 { return i.LLC })
	t.nodes = t.sets(t.Nodes, func(i *Info) int32 { return i.Node })
	return t, nil
}

// sets groups the CPUs by id, which runs from 0 to n-1.
func (t *Topology) sets(n int, id func(*Info) int32) []Set {
	s := make([]Set, n)
	for i := range s {
		s[i].Mask = make([]uint64, t.Words())
	}
	for i := range t.CPUs {
		g := &s[id(&t.CPUs[i])]
		g.CPUs = append(g.CPUs, CPU(i))
		g.Mask[i/64] |= 1 << (i % 64)
	}
	return s
}

// Flat is one node, one LLC and n single-threaded cores ("1n1l8c1t").
func Flat(n int) (*Topology, error) {
	return New(Shape{Nodes: 1, LLCsPerNode: 1, CoresPerLLC: n, ThreadsPerCore: 1})
}
