package helpers

import "github.com/schedsim/schedsim/vm/abi"

// This file is the helpers that look at what tasks of a simulated machine do not have: user memory, an address space, a kernel
// stack. They answer as the kernel does for a task whose memory or stack cannot be had.

func (e *Env) stackRows() []row {
	copyUser := func(name string) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 { return e.copyFromUser(c, a, name) }
	}
	return []row{
		{"copy_from_user", copyUser("copy_from_user")},
		{"copy_from_user_task", copyUser("copy_from_user_task")},
		{"probe_write_user", e.probeWriteUser},
		{"get_task_stack", e.taskStack},
		{"get_stack", e.taskStack},
		{"find_vma", e.findVMA},
		{"get_branch_snapshot", e.branchSnapshot},
	}
}

// copyFromUser follows bpf_copy_from_user and bpf_copy_from_user_task: R2 bytes at R1 become zero.
func (e *Env) copyFromUser(c *abi.Call, a *abi.Args, helper string) uint64 {
	dst := e.out(c, helper, a[0], uint64(uint32(a[1])))
	switch {
	case dst == nil:
		return 0
	case helper == "copy_from_user_task" && a[4] != 0:
		return errno(abi.EINVAL)
	case len(dst) == 0:
		return 0
	}
	clear(dst)
	return errno(abi.EFAULT)
}

// probeWriteUser follows bpf_probe_write_user.
func (e *Env) probeWriteUser(c *abi.Call, a *abi.Args) uint64 {
	if e.in(c, "probe_write_user", a[1], uint64(uint32(a[2]))) == nil {
		return 0
	}
	return errno(abi.EFAULT)
}

// taskStack follows bpf_get_task_stack and bpf_get_stack: R3 bytes at R2 become zero.
func (e *Env) taskStack(c *abi.Call, a *abi.Args) uint64 {
	const skip, user, buildID = 0xff, 1 << 8, 1 << 11 // BPF_F_SKIP_FIELD_MASK, BPF_F_USER_STACK, BPF_F_USER_BUILD_ID
	dst := e.out(c, "get_task_stack", a[1], uint64(uint32(a[2])))
	if dst == nil {
		return 0
	}
	clear(dst)
	elem := 8
	if a[3]&buildID != 0 {
		elem = 32 // sizeof(struct bpf_stack_build_id)
	}
	if a[3]&^(skip|user|buildID) != 0 || a[3]&(user|buildID) == buildID || len(dst)%elem != 0 {
		return errno(abi.EINVAL)
	}
	return errno(abi.EFAULT)
}

// findVMA follows bpf_find_vma: the callback is not called.
func (e *Env) findVMA(_ *abi.Call, a *abi.Args) uint64 {
	if a[4] != 0 {
		return errno(abi.EINVAL)
	}
	return errno(abi.ENOENT)
}

// branchSnapshot follows bpf_get_branch_snapshot.
func (e *Env) branchSnapshot(_ *abi.Call, a *abi.Args) uint64 {
	if a[2] != 0 {
		return errno(abi.EINVAL)
	}
	return errno(abi.ENOENT)
}
