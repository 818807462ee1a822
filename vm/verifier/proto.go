package verifier

import "slices"

// argType is what a helper expects of an argument: a base and flags (enum bpf_arg_type).
type argType uint32

const (
	argNone argType = iota
	argAny
	argMap
	argMapKey
	argMapValue
	argMem
	argSize
	argSizeOrZero
	argAllocSize
	argCtx
	argBTF
	argSpinLock
	argRingbufMem
	argPercpuBTF
	argFunc
	argStack
	argConstStr
	argTimer
	argKptrDest
	argDynptr
	argArena         // of global functions
	argBase  argType = 0xff
)

const (
	argNull argType = 1 << (8 + iota) // may be null
	argUninit
	argWrite
	argRead
	argRelease
	argAligned
	argRingbuf // of dynptrs
	argLocal
	argTrusted
	argUntrusted
)

func (a argType) base() argType      { return a & argBase }
func (a argType) has(f argType) bool { return a&f != 0 }
func (a argType) isSize() bool       { b := a.base(); return b == argSize || b == argSizeOrZero }

// retType is what a helper returns.
type retType uint16

const (
	retInt retType = iota
	retVoid
	retMapValue
	retMem
	retMemOrBTF
	retBTF
	retBase    retType = 0xff
	retNull    retType = 1 << 8
	retRead    retType = 1 << 9
	retTrusted retType = 1 << 10
	retRingbuf retType = 1 << 11
)

// callbackKind tells when a call runs the callback that it is given.
type callbackKind uint8

const (
	callbackNone callbackKind = iota
	callbackSync
	callbackAsync
)

// helper is the prototype of a helper (struct bpf_func_proto).
type helper struct {
	id     int32
	name   string
	ret    retType
	args   [5]argType
	sizes  [5]uint32 // of memory of a fixed size
	btf    string    // struct that argBTF and retBTF are about
	gpl    bool
	sleeps bool

	callback callbackKind
}

func (h *helper) nargs() int {
	n := slices.Index(h.args[:], argNone)
	if n < 0 {
		return 5
	}
	return n
}

type args = [5]argType

const (
	memIn    = argMem | argRead
	memInOpt = argMem | argRead | argNull
	memOut   = argMem | argUninit | argWrite
)

// helperProtos are the helpers that struct_ops, syscall and tracing programs may call, and a few of networking programs
// that need nothing else; the prototypes are facts of 7.2.
func helperProtos() []helper {
	task, cgroup := "task_struct", "cgroup"
	return []helper{
		{id: 1, name: "map_lookup_elem", ret: retMapValue | retNull, args: args{argMap, argMapKey}},
		{id: 2, name: "map_update_elem", args: args{argMap, argMapKey, argMapValue, argAny}},
		{id: 3, name: "map_delete_elem", args: args{argMap, argMapKey}},
		{id: 4, name: "probe_read", args: args{memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 5, name: "ktime_get_ns"},
		{id: 6, name: "trace_printk", args: args{memIn, argSize}, gpl: true},
		{id: 7, name: "get_prandom_u32"},
		{id: 8, name: "get_smp_processor_id"},
		{id: 12, name: "tail_call", ret: retVoid, args: args{argCtx, argMap, argAny}},
		{id: 14, name: "get_current_pid_tgid"},
		{id: 15, name: "get_current_uid_gid"},
		{id: 16, name: "get_current_comm", args: args{memOut, argSize}},
		{id: 17, name: "get_cgroup_classid"},
		{id: 22, name: "perf_event_read", args: args{argMap, argAny}, gpl: true},
		{id: 25, name: "perf_event_output", args: args{argCtx, argMap, argAny, memIn, argSizeOrZero}, gpl: true},
		{id: 26, name: "skb_load_bytes", args: args{argCtx, argAny, memOut, argSize}},
		{id: 27, name: "get_stackid", args: args{argCtx, argMap, argAny}, gpl: true},
		{id: 28, name: "csum_diff", args: args{memInOpt, argSizeOrZero, memInOpt, argSizeOrZero, argAny}},
		{id: 35, name: "get_current_task", gpl: true},
		{id: 37, name: "current_task_under_cgroup", args: args{argMap, argAny}},
		{id: 42, name: "get_numa_node_id"},
		{id: 45, name: "probe_read_str", args: args{memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 55, name: "perf_event_read_value", args: args{argMap, argAny, memOut, argSize}, gpl: true},
		{id: 67, name: "get_stack", args: args{argCtx, memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 80, name: "get_current_cgroup_id"},
		{id: 87, name: "map_push_elem", args: args{argMap, argMapValue, argAny}},
		{id: 88, name: "map_pop_elem", args: args{argMap, argMapValue | argUninit | argWrite}},
		{id: 89, name: "map_peek_elem", args: args{argMap, argMapValue | argUninit | argWrite}},
		{id: 93, name: "spin_lock", ret: retVoid, args: args{argSpinLock}},
		{id: 94, name: "spin_unlock", ret: retVoid, args: args{argSpinLock}},
		{id: 105, name: "strtol", args: args{memIn, argSize, argAny, memOut | argAligned}, sizes: [5]uint32{3: 8}},
		{id: 106, name: "strtoul", args: args{memIn, argSize, argAny, memOut | argAligned}, sizes: [5]uint32{3: 8}},
		{id: 109, name: "send_signal", args: args{argAny}},
		{id: 112, name: "probe_read_user", args: args{memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 113, name: "probe_read_kernel", args: args{memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 114, name: "probe_read_user_str", args: args{memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 115, name: "probe_read_kernel_str", args: args{memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 117, name: "send_signal_thread", args: args{argAny}},
		{id: 118, name: "jiffies64"},
		{id: 120, name: "get_ns_current_pid_tgid", args: args{argAny, argAny, memOut, argSize}},
		{id: 123, name: "get_current_ancestor_cgroup_id", args: args{argAny}},
		{id: 125, name: "ktime_get_boot_ns"},
		{id: 130, name: "ringbuf_output", args: args{argMap, memIn, argSizeOrZero, argAny}},
		{id: 131, name: "ringbuf_reserve", ret: retMem | retRingbuf | retNull, args: args{argMap, argAllocSize, argAny}},
		{id: 132, name: "ringbuf_submit", ret: retVoid, args: args{argRingbufMem | argRelease, argAny}},
		{id: 133, name: "ringbuf_discard", ret: retVoid, args: args{argRingbufMem | argRelease, argAny}},
		{id: 134, name: "ringbuf_query", args: args{argMap, argAny}},
		{id: 141, name: "get_task_stack", args: args{argBTF, memOut, argSizeOrZero, argAny}, btf: task},
		{id: 148, name: "copy_from_user", args: args{memOut, argSizeOrZero, argAny}, sleeps: true},
		{id: 149, name: "snprintf_btf", args: args{argMem | argWrite, argSize, memIn, argSize, argAny}, gpl: true},
		{id: 153, name: "per_cpu_ptr", ret: retMemOrBTF | retNull | retRead, args: args{argPercpuBTF, argAny}},
		{id: 154, name: "this_cpu_ptr", ret: retMemOrBTF | retRead, args: args{argPercpuBTF}},
		{id: 156, name: "task_storage_get", ret: retMapValue | retNull, args: args{argMap, argBTF | argNull, argMapValue | argNull, argAny}, btf: task},
		{id: 157, name: "task_storage_delete", args: args{argMap, argBTF | argNull}, btf: task},
		{id: 158, name: "get_current_task_btf", ret: retBTF | retTrusted, btf: task, gpl: true},
		{id: 160, name: "ktime_get_coarse_ns"},
		{id: 164, name: "for_each_map_elem", args: args{argMap, argFunc, argStack | argNull, argAny}, callback: callbackSync},
		{id: 165, name: "snprintf", args: args{argMem | argWrite | argNull, argSizeOrZero, argConstStr, memInOpt, argSizeOrZero}, gpl: true},
		{id: 169, name: "timer_init", args: args{argTimer, argMap, argAny}, gpl: true},
		{id: 170, name: "timer_set_callback", args: args{argTimer, argFunc}, gpl: true, callback: callbackAsync},
		{id: 171, name: "timer_start", args: args{argTimer, argAny, argAny}, gpl: true},
		{id: 172, name: "timer_cancel", args: args{argTimer}, gpl: true},
		{id: 175, name: "task_pt_regs", ret: retBTF, args: args{argBTF}, btf: task, gpl: true},
		{id: 176, name: "get_branch_snapshot", args: args{memOut, argSizeOrZero, argAny}, gpl: true},
		{id: 177, name: "trace_vprintk", args: args{memIn, argSize, memInOpt, argSizeOrZero}, gpl: true},
		{id: 180, name: "find_vma", args: args{argBTF, argAny, argFunc, argStack | argNull, argAny}, btf: task, callback: callbackSync},
		{id: 181, name: "loop", args: args{argAny, argFunc, argStack | argNull, argAny}, callback: callbackSync},
		{id: 182, name: "strncmp", args: args{memIn, argSize, argConstStr}},
		{id: 191, name: "copy_from_user_task", args: args{memOut, argSizeOrZero, argAny, argBTF, argAny}, btf: task, gpl: true, sleeps: true},
		{id: 194, name: "kptr_xchg", ret: retBTF | retNull, args: args{argKptrDest, argBTF | argNull | argRelease}},
		{id: 195, name: "map_lookup_percpu_elem", ret: retMapValue | retNull, args: args{argMap, argMapKey, argAny}},
		{id: 197, name: "dynptr_from_mem", args: args{memOut, argSizeOrZero, argAny, argDynptr | argLocal | argUninit | argWrite}},
		{id: 198, name: "ringbuf_reserve_dynptr", args: args{argMap, argAny, argAny, argDynptr | argRingbuf | argUninit | argWrite}},
		{id: 199, name: "ringbuf_submit_dynptr", ret: retVoid, args: args{argDynptr | argRingbuf | argRelease, argAny}},
		{id: 200, name: "ringbuf_discard_dynptr", ret: retVoid, args: args{argDynptr | argRingbuf | argRelease, argAny}},
		{id: 201, name: "dynptr_read", args: args{memOut, argSizeOrZero, argDynptr | argRead, argAny, argAny}},
		{id: 202, name: "dynptr_write", args: args{argDynptr | argRead, argAny, memIn, argSizeOrZero, argAny}},
		{id: 203, name: "dynptr_data", ret: retMem | retNull, args: args{argDynptr | argRead, argAny, argAllocSize}},
		{id: 208, name: "ktime_get_tai_ns"},
		{id: 209, name: "user_ringbuf_drain", args: args{argMap, argFunc, argStack | argNull, argAny}, callback: callbackSync},
		{id: 210, name: "cgrp_storage_get", ret: retMapValue | retNull, args: args{argMap, argBTF | argNull, argMapValue | argNull, argAny}, btf: cgroup},
		{id: 211, name: "cgrp_storage_delete", args: args{argMap, argBTF | argNull}, btf: cgroup},
	}
}

// helper is the prototype of a helper, nil if it is not known.
func (v *verifier) helper(id int32) *helper {
	if id <= 0 || id >= maxHelper {
		return nil
	}
	if v.protos == nil {
		v.protos = helperProtos()
		for i := range v.protos {
			v.helpers[v.protos[i].id] = &v.protos[i]
		}
	}
	return v.helpers[id]
}
