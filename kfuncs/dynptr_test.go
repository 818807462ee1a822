package kfuncs

import (
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/helpers"
)

func TestDynptr(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	data := r.text(0, "0123456789abcdef")
	dynptr := func(off uint64, d helpers.Dynptr) uint64 {
		return r.put(off, d.Data, uint64(d.Word)|uint64(d.Offset)<<32)
	}
	local := helpers.NewDynptr(data, helpers.DynptrLocal, 10)
	d := dynptr(64, local)
	ro := local
	ro.Word |= 1 << 31
	rdonly, null := dynptr(96, ro), dynptr(128, helpers.Dynptr{})
	wild := dynptr(160, helpers.NewDynptr(0x4000, helpers.DynptrLocal, 10))
	clone := r.stack + 192
	const task, user = 0, 0x7000
	for _, tc := range []struct {
		name string
		args []uint64
		want uint64
	}{
		{"bpf_dynptr_is_null", []uint64{null}, 1},
		{"bpf_dynptr_is_null", []uint64{d}, 0},
		{"bpf_dynptr_is_rdonly", []uint64{rdonly}, 1},
		{"bpf_dynptr_is_rdonly", []uint64{d}, 0},
		{"bpf_dynptr_is_rdonly", []uint64{null}, 0},
		{"bpf_dynptr_size", []uint64{rdonly}, 10},
		{"bpf_dynptr_size", []uint64{null}, neg(abi.EINVAL)},
		{"bpf_dynptr_slice", []uint64{d, 2, 0, 8}, data + 2},
		{"bpf_dynptr_slice", []uint64{d, 2, 0, 9}, 0},
		{"bpf_dynptr_slice", []uint64{rdonly, 2, 0, 8}, data + 2},
		{"bpf_dynptr_slice", []uint64{null, 0, 0, 0}, 0},
		{"bpf_dynptr_slice_rdwr", []uint64{d, 2, 0, 8}, data + 2},
		{"bpf_dynptr_slice_rdwr", []uint64{rdonly, 2, 0, 8}, 0},
		{"bpf_dynptr_clone", []uint64{null, clone}, neg(abi.EINVAL)},
		{"bpf_dynptr_is_null", []uint64{clone}, 1},
		{"bpf_dynptr_clone", []uint64{d, clone}, 0},
		{"bpf_dynptr_adjust", []uint64{clone, 3, 2}, neg(abi.EINVAL)},
		{"bpf_dynptr_adjust", []uint64{clone, 3, 11}, neg(abi.ERANGE)},
		{"bpf_dynptr_adjust", []uint64{null, 0, 0}, neg(abi.EINVAL)},
		{"bpf_dynptr_adjust", []uint64{clone, 3, 9}, 0},
		{"bpf_dynptr_adjust", []uint64{clone, 1, 6}, 0}, // bytes 4 to 9
		{"bpf_dynptr_size", []uint64{clone}, 5},
		{"bpf_dynptr_slice", []uint64{clone, 0, 0, 5}, data + 4},
		{"bpf_dynptr_size", []uint64{d}, 10},
		{"bpf_dynptr_copy", []uint64{d, 0, clone, 0, 5}, 0},
		{"bpf_dynptr_copy", []uint64{d, 0, clone, 0, 6}, neg(abi.E2BIG)},
		{"bpf_dynptr_copy", []uint64{rdonly, 0, clone, 0, 5}, neg(abi.EINVAL)},
		{"bpf_dynptr_copy", []uint64{d, 0, null, 0, 5}, neg(abi.EINVAL)},
		{"bpf_dynptr_copy", []uint64{null, 0, null, 0, 5}, neg(abi.E2BIG)},
		{"bpf_dynptr_copy", []uint64{null, 0, null, 0, 0}, 0},
		{"bpf_dynptr_memset", []uint64{d, 8, 2, '!'}, 0},
		{"bpf_dynptr_memset", []uint64{d, 8, 3, '!'}, neg(abi.E2BIG)},
		{"bpf_dynptr_memset", []uint64{rdonly, 8, 2, '!'}, neg(abi.EINVAL)},
		{"bpf_dynptr_memset", []uint64{null, 0, 1, '!'}, neg(abi.E2BIG)},
		{"bpf_dynptr_memset", []uint64{null, 0, 0, '!'}, 0},
		{"bpf_probe_read_kernel_dynptr", []uint64{clone, 1, 3, data + 10}, 0},
		{"bpf_probe_read_kernel_dynptr", []uint64{clone, 1, 3, user}, neg(abi.EFAULT)},
		{"bpf_probe_read_kernel_dynptr", []uint64{clone, 1, 5, data}, neg(abi.E2BIG)},
		{"bpf_probe_read_kernel_dynptr", []uint64{rdonly, 1, 5, data}, neg(abi.EINVAL)},
		{"bpf_probe_read_kernel_str_dynptr", []uint64{d, 0, 3, data + 14}, 3},
		{"bpf_probe_read_kernel_str_dynptr", []uint64{d, 0, 2, user}, neg(abi.EFAULT)},
		{"bpf_probe_read_kernel_str_dynptr", []uint64{d, 0, 0, user}, 0},
		{"bpf_probe_read_kernel_str_dynptr", []uint64{null, 0, 1, user}, neg(abi.E2BIG)},
		{"bpf_probe_read_user_dynptr", []uint64{d, 0, 2, user}, neg(abi.EFAULT)},
		{"bpf_probe_read_user_str_dynptr", []uint64{d, 9, 2, user}, neg(abi.E2BIG)},
		{"bpf_copy_from_user_dynptr", []uint64{d, 9, 0, user}, 0},
		{"bpf_copy_from_user_str_dynptr", []uint64{rdonly, 0, 1, user}, neg(abi.EINVAL)},
		{"bpf_copy_from_user_task_dynptr", []uint64{d, 0, 1, user, task}, neg(abi.EFAULT)},
		{"bpf_copy_from_user_task_str_dynptr", []uint64{d, 0, 1, user, task}, neg(abi.EFAULT)},
	} {
		t.Run(tc.name, func(t *testing.T) { r.want(tc.want, tc.name, tc.args...) })
	}
	// What copy, memset and the reads have made of it: the kernel ends a string that it cannot read at its first byte.
	if got := string(r.mem.Bytes(data, 16)); got != "\x00f\x0078abc!!abcdef" {
		t.Errorf("data %q", got)
	}
	for _, f := range []string{"bpf_dynptr_slice", "bpf_dynptr_slice_rdwr", "bpf_dynptr_size", "bpf_dynptr_adjust", "bpf_dynptr_clone", "bpf_dynptr_is_null",
		"bpf_dynptr_copy", "bpf_dynptr_memset", "bpf_probe_read_kernel_dynptr", "bpf_copy_from_user_dynptr"} {
		r.faults(f+": no dynptr at 0x10", f, 0x10, 0, 0, 0)
	}
	r.faults("bpf_dynptr_copy: no dynptr at 0x10", "bpf_dynptr_copy", d, 0, 0x10, 0, 1)
	r.faults("bpf_dynptr_clone: no room for a dynptr at 0x10", "bpf_dynptr_clone", d, 0x10)
	for _, f := range []string{"bpf_dynptr_memset", "bpf_probe_read_kernel_dynptr"} {
		r.faults(fmt.Sprintf("%s: a dynptr to what is not memory", f), f, wild, 0, 5, data)
	}
}
