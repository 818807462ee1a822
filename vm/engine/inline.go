package engine

// Inline tells engines that generate code what some helpers do, so that they need not call them; the interpreter has no use
// for it. What an engine does instead must be the same to the last bit, and counts as a call of a helper. The zero value
// tells nothing.
type Inline struct {
	// Lookup is the number of bpf_map_lookup_elem, CPUID that of bpf_get_smp_processor_id; 0 means that there is none.
	// Whoever sets CPUID or an Array with CPUs promises that Call.Host.CPU stays the same from the start of a program to its
	// end, callbacks included (in the kernel programs run with migration disabled).
	Lookup, CPUID int64
	// Arrays are the maps of Env.Mem in which Lookup finds elements by arithmetic. Their memory stays where it is.
	Arrays []Array
}

// Array is a map whose key is an index of 4 bytes. With i < Entries, Lookup returns Base + i*Elem for a map without CPUs, and
// Base + i*Elem + cpu*Stride where cpu < CPUs for one with; otherwise 0. Where the key
// cannot be read, Lookup sets Call.Fault.
type Array struct {
	Map                uint64 // what programs hand to Lookup
	Base, Elem, Stride uint64
	Entries, CPUs      uint32
}
