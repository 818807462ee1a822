package verifier

// mapStructs are the kernel's structs of maps by type (map_btf_id of struct bpf_map_ops).
func mapStruct(m *mapInfo) string {
	switch m.typ {
	case mapHash, mapPercpuHash, mapLRUHash, mapLRUPercpuHash, mapHashOfMaps:
		return "bpf_htab"
	case mapRHash:
		return "bpf_rhtab"
	case mapArray, mapPercpuArray, mapPerfArray, mapProgArray, mapCgroupArray, mapArrayOfMaps:
		return "bpf_array"
	case mapStackTrace:
		return "bpf_stack_map"
	case mapLPM:
		return "lpm_trie"
	case mapDev, mapDevHash:
		return "bpf_dtab"
	case mapCPU:
		return "bpf_cpu_map"
	case mapXSK:
		return "xsk_map"
	case mapSock:
		return "bpf_stab"
	case mapSockHash:
		return "bpf_shtab"
	case mapReuseport:
		return "reuseport_array"
	case mapQueue, mapStackMap:
		return "bpf_queue_stack"
	case mapCgroupStorage, mapPercpuCgroup:
		return "bpf_cgroup_storage_map"
	case mapRingbuf, mapUserRingbuf:
		return "bpf_ringbuf_map"
	case mapTaskStorage, mapCgrpStorage, mapSkStorage, mapInodeStorage:
		return "bpf_local_storage_map"
	case mapBloom:
		return "bpf_bloom_filter"
	case mapArena:
		return "bpf_arena"
	case mapInsnArray:
		return "bpf_insn_array"
	}
	return ""
}

// accessMap reads a field of a map's own struct. It follows check_ptr_to_map_access.
func (v *verifier) accessMap(a access, d *reg) error {
	name := mapStruct(a.r.obj.m)
	if name == "" {
		return refuse(CodeBTFAccess, "map_ptr access not supported for map type %d", a.r.obj.m.typ)
	}
	t := v.kernelStruct(name)
	switch {
	case t == nil:
		return unsupported("access to the fields of struct %s", name)
	case a.off < 0:
		return refuse(CodeBTFAccess, "%s is %s invalid negative access: off=%d", a.name, name, a.off)
	case a.write:
		return refuse(CodeReadOnly, "only read from %s is supported", name)
	}
	var as reg
	as.setPointer(ptrToBTF, object{typ: t})
	kind, w, err := v.structAccess(&as, uint32(a.off), uint32(a.size))
	if err != nil || d == nil {
		return err
	}
	switch kind {
	case ptrToBTF:
		d.setPointer(ptrToBTF|w.flags, object{typ: w.typ})
		if w.flags.has(maybeNull) {
			d.id = v.newID()
		}
	case ptrToMem:
		d.setPointer(ptrToMem|w.flags, object{})
	default:
		d.markUnknown()
	}
	return nil
}
