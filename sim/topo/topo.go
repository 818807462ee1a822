package topo

// CPU numbers a logical CPU; sim.CPU is the same number.
type CPU = int32

// Topology is a machine's CPUs. It does not change during a run.
type Topology struct {
	Name string // the text it was parsed from, "1n2l4c2t"
	CPUs []Info
	// Nodes, LLCs and Cores are counts; ids are dense from 0.
	Nodes, LLCs, Cores, Threads int
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

// Parse reads the short form NnLlCcTt: N NUMA nodes in the machine, L LLCs in each node, C cores in each LLC, T threads in each
// core, for example "1n2l4c2t": 16 CPUs. CPU ids go as on most x86 machines: first thread of every core first, then the
// second threads.
func Parse(s string) (*Topology, error) { panic("BUG: not built") }

// Flat is one node, one LLC and n single-threaded cores ("1n1l8c1t").
func Flat(n int) (*Topology, error) { panic("BUG: not built") }
