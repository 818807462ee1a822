// Package vm runs BPF programs: it takes a linked object (vm/link), creates its maps and data sections in a simulated
// address space, fills in addresses, resolves kernel functions by name and helpers by number, and compiles everything with
// an engine. It knows nothing of scheduling: what programs call is the caller's business (Options).
//
// Read Load first, then Set and Program. Programs of a set nest: a kernel function that one of them calls may run another
// one. A violation (a bad access, a used-up budget) is a *Fault, a value: the program ended, the set stays usable.
package vm
