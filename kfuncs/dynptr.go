package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/helpers"
)

// dynptrFuncs are the functions on dynptrs, which the numbered helpers make. They follow kernel/bpf/helpers.c and
// kernel/trace/bpf_trace.c (7.2); the struct itself is helpers.Dynptr.
func dynptrFuncs(h *Host) []abi.Kfunc {
	const (
		toUser = "(const struct bpf_dynptr *dptr, u64 off, u64 size, const void *unsafe_ptr__ign)"
		toTask = "(const struct bpf_dynptr *dptr, u64 off, u64 size, const void *unsafe_ptr__ign, struct task_struct *tsk)"
	)
	return []abi.Kfunc{
		row("void *bpf_dynptr_slice(const struct bpf_dynptr *p, u64 offset, void *buffer__nullable, u64 buffer__szk)",
			abi.RetNull, ops.GroupCommon, dynptrSlice),
		row("void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, u64 offset, void *buffer__nullable, u64 buffer__szk)",
			abi.RetNull, ops.GroupCommon, dynptrSliceRW),
		row("int bpf_dynptr_adjust(struct bpf_dynptr *p, u64 start, u64 end)",
			0, ops.GroupCommon, dynptrAdjust),
		row("bool bpf_dynptr_is_null(const struct bpf_dynptr *p)",
			0, ops.GroupCommon, dynptrIsNull),
		row("bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *p)",
			0, ops.GroupCommon, dynptrIsReadOnly),
		row("u64 bpf_dynptr_size(const struct bpf_dynptr *p)",
			0, ops.GroupCommon, dynptrSize),
		row("int bpf_dynptr_clone(const struct bpf_dynptr *p, struct bpf_dynptr *clone__uninit)",
			0, ops.GroupCommon, dynptrClone),
		row("int bpf_dynptr_copy(const struct bpf_dynptr *dst_ptr, u64 dst_off, const struct bpf_dynptr *src_ptr, u64 src_off, u64 size)",
			0, ops.GroupCommon, h.dynptrCopy),
		row("int bpf_dynptr_memset(const struct bpf_dynptr *p, u64 offset, u64 size, u8 val)",
			0, ops.GroupCommon, h.dynptrMemset),
		row("int bpf_probe_read_kernel_dynptr"+toUser,
			0, ops.GroupCommon, h.readKernelDynptr),
		row("int bpf_probe_read_kernel_str_dynptr"+toUser,
			0, ops.GroupCommon, h.readKernelStrDynptr),
		row("int bpf_probe_read_user_dynptr"+toUser,
			0, ops.GroupCommon, h.readUserDynptr),
		row("int bpf_probe_read_user_str_dynptr"+toUser,
			0, ops.GroupCommon, h.readUserDynptr),
		row("int bpf_copy_from_user_dynptr"+toUser,
			abi.Sleepable, ops.GroupCommon, h.readUserDynptr),
		row("int bpf_copy_from_user_str_dynptr"+toUser,
			abi.Sleepable, ops.GroupCommon, h.readUserDynptr),
		row("int bpf_copy_from_user_task_dynptr"+toTask,
			abi.Sleepable, ops.GroupCommon, h.readUserDynptr),
		row("int bpf_copy_from_user_task_str_dynptr"+toTask,
			abi.Sleepable, ops.GroupCommon, h.readUserDynptr),
	}
}

// dynptrSlice follows bpf_dynptr_slice. All bytes lie in a row, so the program's buffer is never needed.
func dynptrSlice(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	if !ok {
		return 0
	}
	return d.Slice(a[1], a[3])
}

// dynptrSliceRW follows bpf_dynptr_slice_rdwr.
func dynptrSliceRW(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	if !ok {
		return 0
	}
	return d.SliceRW(a[1], a[3])
}

// dynptrAdjust follows bpf_dynptr_adjust.
func dynptrAdjust(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	if !ok {
		return 0
	}
	if e := d.Adjust(a[1], a[2]); e != 0 {
		return e.Ret()
	}
	d.Store(c, c.Mem, a[0])
	return 0
}

func dynptrIsNull(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	return retBool(ok && d.Null())
}

// dynptrIsReadOnly follows bpf_dynptr_is_rdonly.
func dynptrIsReadOnly(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	return retBool(ok && !d.Null() && d.ReadOnly())
}

// dynptrSize follows bpf_dynptr_size.
func dynptrSize(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	switch {
	case !ok:
		return 0
	case d.Null():
		return abi.EINVAL.Ret()
	}
	return d.Len()
}

// dynptrClone follows bpf_dynptr_clone: a null dynptr, and EINVAL, where there is nothing to clone.
func dynptrClone(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	if !ok {
		return 0
	}
	if d.Null() {
		helpers.Dynptr{}.Store(c, c.Mem, a[1])
		return abi.EINVAL.Ret()
	}
	d.Store(c, c.Mem, a[1])
	return 0
}

// slice returns n bytes of d from off on that may be written, nil where there are none; a fault if they are not memory.
func slice(c *abi.Call, addr, n uint64) []byte {
	if addr == 0 {
		return nil
	}
	b := c.Mem.Bytes(addr, n)
	if b == nil {
		c.Fault = "a dynptr to what is not memory"
	}
	return b
}

// dynptrCopy follows bpf_dynptr_copy.
func (h *Host) dynptrCopy(c *abi.Call, a *abi.Args) uint64 {
	dst, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	if !ok {
		return 0
	}
	src, ok := helpers.LoadDynptr(c, c.Mem, a[2])
	if !ok {
		return 0
	}
	n := a[4]
	from := slice(c, src.Slice(a[3], n), n)
	to := slice(c, dst.SliceRW(a[1], n), n)
	switch {
	case c.Fault != "":
		return 0
	case from != nil && to != nil:
		copy(to, from)
		return 0
	case from != nil:
		return dst.Write(c, c.Mem, a[1], from, 0).Ret()
	case to != nil:
		return src.Read(c, c.Mem, to, a[3], 0).Ret()
	}
	if n > dst.Len() || a[1] > dst.Len()-n || n > src.Len() || a[3] > src.Len()-n {
		return abi.E2BIG.Ret()
	}
	if n == 0 {
		return 0
	}
	return src.Read(c, c.Mem, nil, a[3], 0).Ret()
}

// dynptrMemset follows bpf_dynptr_memset.
func (h *Host) dynptrMemset(c *abi.Call, a *abi.Args) uint64 {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	if !ok {
		return 0
	}
	b := slice(c, d.SliceRW(a[1], a[2]), a[2])
	switch {
	case c.Fault != "":
		return 0
	case b == nil && d.ReadOnly():
		return abi.EINVAL.Ret()
	case b == nil:
		return unwritable(d, a[1], a[2]).Ret()
	}
	for i := range b {
		b[i] = byte(a[3])
	}
	return 0
}

// unwritable is why the n bytes of d from off on cannot be written: what the kernel says when it tries piece by piece.
func unwritable(d helpers.Dynptr, off, n uint64) abi.Errno {
	switch size := d.Len(); {
	case n > size || off > size-n:
		return abi.E2BIG
	case n == 0:
		return 0
	case d.Null() || d.ReadOnly():
		return abi.EINVAL
	}
	return abi.EFAULT
}

// readTarget is where one of the reading functions puts R3 bytes: R2 in the dynptr R1. If there is none, e is the result.
func readTarget(c *abi.Call, a *abi.Args) (b []byte, e abi.Errno) {
	d, ok := helpers.LoadDynptr(c, c.Mem, a[0])
	if !ok {
		return nil, 0
	}
	if b = slice(c, d.SliceRW(a[1], a[2]), a[2]); b == nil && c.Fault == "" {
		return nil, unwritable(d, a[1], a[2])
	}
	return b, 0
}

// readKernelDynptr follows bpf_probe_read_kernel_dynptr.
func (h *Host) readKernelDynptr(c *abi.Call, a *abi.Args) uint64 {
	dst, e := readTarget(c, a)
	if dst == nil {
		return e.Ret()
	}
	src := c.Mem.Bytes(a[3], a[2])
	if src == nil {
		return abi.EFAULT.Ret()
	}
	copy(dst, src)
	return 0
}

// readKernelStrDynptr follows bpf_probe_read_kernel_str_dynptr: the length with the end.
func (h *Host) readKernelStrDynptr(c *abi.Call, a *abi.Args) uint64 {
	dst, e := readTarget(c, a)
	if len(dst) == 0 {
		return e.Ret()
	}
	s, ok := helpers.CString(c.Mem, a[3], a[2])
	if !ok {
		dst[0] = 0
		return abi.EFAULT.Ret()
	}
	n := copy(dst[:len(dst)-1], s)
	dst[n] = 0
	return uint64(n) + 1
}

// readUserDynptr follows the functions that read user memory, of which there is none.
func (h *Host) readUserDynptr(c *abi.Call, a *abi.Args) uint64 {
	dst, e := readTarget(c, a)
	if len(dst) == 0 {
		return e.Ret()
	}
	return abi.EFAULT.Ret()
}
