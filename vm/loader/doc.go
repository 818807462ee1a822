// Package loader is the user-space half of loading: it turns a linked object (vm/link) into the calls of bpf(2) that libbpf
// would make, in its order: BTF_LOAD, MAP_CREATE with the data sections written and frozen, PROG_LOAD, and for a struct_ops
// table MAP_UPDATE_ELEM and LINK_CREATE. The kernel half is package sys.
//
// It follows bpf_object_load and what that calls (tools/lib/bpf/libbpf.c, 7.2). Instructions go through the call as
// bytecode. Beside them goes what the linker has found out about them and a verifier with types would find again, which only
// a loader in the same process can hand over (sys.Process.Analyzed).
//
// Read Load first.
package loader
