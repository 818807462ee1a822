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
	// Nodes, LLCs and Cores are counts; ids are dense from 0. Threads is the most that a core has.
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
func New(s Shape) (*Topology, error) { return build(s.String(), []Group{{Shape: s}}) }

// Group is a part of a machine whose CPUs are of one kind.
//
// Nodes 0 puts its caches in the last node of the group before; LLCsPerNode 0, with it, its cores in the last cache there.
type Group struct {
	Shape
	Capacity int // 0: FullCapacity
}

// NewHybrid builds a machine of groups, whose CPUs are numbered one group after the other.
func NewHybrid(name string, groups []Group) (*Topology, error) { return build(name, groups) }

func build(name string, groups []Group) (*Topology, error) {
	t := &Topology{Name: name}
	for i, g := range groups {
		if err := t.add(i == 0, g); err != nil {
			return nil, fmt.Errorf("topology %q: %w", name, err)
		}
	}
	t.index()
	return t, nil
}

// add appends a group.
func (t *Topology) add(first bool, g Group) error {
	cpus := 1
	for _, level := range []struct {
		n, least int
		what     string
	}{
		{g.Nodes, 0, "NUMA nodes"},
		{g.LLCsPerNode, min(g.Nodes, 1), "last-level caches per node"},
		{g.CoresPerLLC, 1, "cores per last-level cache"},
		{g.ThreadsPerCore, 1, "threads per core"},
	} {
		if first {
			level.least = 1
		}
		if level.n < level.least {
			return fmt.Errorf("%d %s, at least %d is needed", level.n, level.what, level.least)
		}
		if level.n > MaxCPUs || len(t.CPUs)+cpus*level.n > MaxCPUs {
			return fmt.Errorf("more than %d CPUs", MaxCPUs)
		}
		cpus *= max(level.n, 1)
	}
	capacity := int32(FullCapacity)
	if g.Capacity != 0 {
		if g.Capacity < 1 || g.Capacity > FullCapacity {
			return fmt.Errorf("capacity %d, want 1 to %d", g.Capacity, FullCapacity)
		}
		capacity = int32(g.Capacity)
	}
	node, llc := t.Nodes, t.LLCs
	if g.Nodes == 0 {
		node--
		if g.LLCsPerNode == 0 {
			llc--
		}
	}
	llcsPerNode := max(g.LLCsPerNode, 1)
	cores := cpus / g.ThreadsPerCore
	for i := range cpus {
		core := i % cores
		l := core / g.CoresPerLLC
		t.CPUs = append(t.CPUs, Info{
			ID: CPU(len(t.CPUs)), Core: int32(t.Cores + core), LLC: int32(llc + l), Node: int32(node + l/llcsPerNode),
			Thread: int32(i / cores), Capacity: capacity,
		})
	}
	t.Nodes = node + max(g.Nodes, 1)
	t.LLCs = llc + max(g.Nodes, 1)*llcsPerNode
	t.Cores += cores
	t.Threads = max(t.Threads, g.ThreadsPerCore)
	return nil
}

// index makes the sets.
func (t *Topology) index() {
	t.cores = t.sets(t.Cores, func(i *Info) int32 { return i.Core })
	t.llcs = t.sets(t.LLCs, func(i *Info) int32 { return i.LLC })
	t.nodes = t.sets(t.Nodes, func(i *Info) int32 { return i.Node })
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
