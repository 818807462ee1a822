package kfuncs

import "github.com/schedsim/schedsim/vm/abi"

// DropKptr releases the reference that a map value held when the value goes away, by the type's destructor
// (bpf_obj_free_fields, the table of btf_id_dtor_kfunc in kernel/bpf/helpers.c and cpumask.c). In checked mode a program may have
// left anything there: what is no such object is nobody's to release.
func (h *Host) DropKptr(typeName string, ptr uint64) {
	c, a := abi.Call{Mem: h.Mem}, abi.Args{ptr}
	switch typeName {
	case "bpf_cpumask":
		h.cpumaskRelease(&c, &a)
	case "task_struct":
		h.taskRelease(&c, &a)
	case "cgroup":
		h.cgroupRelease(&c, &a)
	}
}
