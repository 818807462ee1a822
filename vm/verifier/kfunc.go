package verifier

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// kfunc is a kernel function that the program calls.
type kfunc struct {
	name     string
	params   []btf.FuncParam
	ret      btf.Type
	flags    abi.KfuncFlags
	callback callbackKind
	nargs    int   // with those that the verifier supplies
	err      error // it may not be called
}

func (k *kfunc) has(f abi.KfuncFlags) bool { return k.flags&f != 0 }
func (k *kfunc) iterNew() bool             { return k.has(abi.IterNew) }
func (k *kfunc) iterNext() bool            { return k.has(abi.IterNext) }
func (k *kfunc) iterDestroy() bool         { return k.has(abi.IterDestroy) }
func (k *kfunc) isIter() bool              { return k.has(abi.IterNew | abi.IterNext | abi.IterDestroy) }
func (k *kfunc) sleepable() bool           { return k.has(abi.Sleepable) }
func (k *kfunc) rcuProtected() bool        { return k.has(abi.RCUProtected) }

// base is the name without the suffix of older forms.
func (k *kfunc) base() string { return strings.TrimSuffix(k.name, "_impl") }

func (k *kfunc) objNew() bool     { return k.base() == "bpf_obj_new" }
func (k *kfunc) percpuNew() bool  { return k.base() == "bpf_percpu_obj_new" }
func (k *kfunc) refAcquire() bool { return k.base() == "bpf_refcount_acquire" }
func (k *kfunc) listPush() bool {
	return k.base() == "bpf_list_push_front" || k.base() == "bpf_list_push_back" || k.name == "bpf_list_add"
}

// dynptr is the sort that the function makes or takes, dynInvalid for any.
func (k *kfunc) dynptr() dynKind {
	switch k.name {
	case "bpf_dynptr_from_skb":
		return dynSkb
	case "bpf_dynptr_from_xdp":
		return dynXDP
	case "bpf_dynptr_from_skb_meta":
		return dynSkbMeta
	case "bpf_dynptr_from_file", "bpf_dynptr_file_discard":
		return dynFile
	}
	return dynInvalid
}

func (k *kfunc) taskWork() bool { return strings.HasPrefix(k.name, "bpf_task_work_schedule") }

func (k *kfunc) treeAdd() bool { return k.base() == "bpf_rbtree_add" }
func (k *kfunc) tree() bool    { return strings.HasPrefix(k.name, "bpf_rbtree_") }
func (k *kfunc) list() bool    { return strings.HasPrefix(k.name, "bpf_list_") }
func (k *kfunc) resLock() bool { return strings.HasPrefix(k.name, "bpf_res_spin_") }

// inLock: it may be called with a spin lock held.
func (k *kfunc) inLock() bool {
	return k.tree() || k.list() || k.refAcquire() || k.resLock() || strings.HasPrefix(k.name, "bpf_iter_num_") ||
		strings.HasPrefix(k.name, "bpf_arena_") || strings.HasPrefix(k.name, "bpf_stream_")
}

// acquires: it returns something that has to be released.
func (k *kfunc) acquires() bool { return k.has(abi.Acquire) }

// kfunc finds the kernel function that an instruction calls.
func (v *verifier) kfunc(i int32) (*kfunc, error) {
	n := v.insns[i].Imm
	if k := v.kfuncs[n]; k != nil {
		return k, k.err
	}
	k := &kfunc{name: v.prog.Code.Kfuncs[n]}
	v.kfuncs[n] = k
	if v.at.Kfunc == nil {
		k.err = refuse(CodeKfunc, "calling kernel function %s is not allowed", k.name)
		return k, k.err
	}
	found, err := v.at.Kfunc(k.name)
	if err != nil {
		k.err = refuse(CodeKfunc, "%v", err)
		return k, k.err
	}
	if found.Type == nil {
		k.err = unsupported("kernel function %s without a prototype", k.name)
		return k, k.err
	}
	proto, ok := found.Type.Type.(*btf.FuncProto)
	if !ok {
		k.err = unsupported("kernel function %s without a prototype", k.name)
		return k, k.err
	}
	k.params, k.ret, k.flags = proto.Params, proto.Return, found.Flags
	k.nargs = len(k.params)
	if k.has(abi.ImplicitArgs) {
		k.nargs = v.implArgs(k)
	}
	switch {
	case k.treeAdd():
		k.callback = callbackSync
	case k.name == "bpf_wq_set_callback" || strings.HasPrefix(k.name, "bpf_task_work_schedule"):
		k.callback = callbackAsync
	}
	return k, nil
}

// implArgs is the number of arguments of a function with its implicit ones, which the prototype of its twin has. The kernel
// counts registers of such arguments as read.
func (v *verifier) implArgs(k *kfunc) int {
	var f *btf.Func
	if v.at.Kernel != nil && v.at.Kernel.TypeByName(k.name+"_impl", &f) == nil {
		if p, ok := f.Type.(*btf.FuncProto); ok {
			return len(p.Params)
		}
	}
	return len(k.params) + 1
}

func isSizeParam(name string) bool {
	return strings.HasSuffix(name, "__sz") || strings.HasSuffix(name, "__szk")
}

func isNamed(p *btf.Pointer, name string) bool {
	t := skipMods(p.Target)
	return isStruct(t) && t.TypeName() == name
}

// kfuncMeta is what is learned of the arguments of a kernel function.
type kfuncMeta struct {
	callMeta
	constant   uint64
	constFound bool
	bufSize    uint32
	bufRead    bool
	iterFrame  uint8
	iterSlot   int
	argType    btf.Type // of an allocated object
	argLocal   bool
	argOwned   bool   // the program holds the object whose count goes up
	root       *field // list head or tree root
	rootRec    *record
}

// stepKfunc checks the call of a kernel function. It follows check_kfunc_call (kernel/bpf/verifier.c, 7.2).
func (v *verifier) stepKfunc(in *ir.Insn) error {
	k, err := v.kfunc(v.insnIdx)
	if err != nil {
		return err
	}
	if err := v.kfuncKnown(k); err != nil {
		return err
	}
	st := v.cur
	if k.name == "bpf_res_spin_lock" || k.name == "bpf_res_spin_lock_irqsave" {
		other, err := v.push(v.insnIdx+1, v.insnIdx)
		if err != nil {
			return err
		}
		regs := &other.cur().regs
		for i := range callerSaved {
			regs[i].markNotInit()
		}
		regs[0].markUnknown()
		regs[0].limitS32(-maxErrno, -1)
	}
	if k.sleepable() && !st.sleepable {
		return refuse(CodeSleepable, "program must be sleepable to call sleepable kfunc %s", k.name)
	}
	m := &kfuncMeta{}
	if k.has(abi.Release) {
		m.release = 1
	}
	if err := v.kfuncArgs(k, m); err != nil {
		return err
	}
	if k.name == "bpf_throw" && v.prog.Code.Exception == 0 { // the cookie is what the program returns
		if err := v.checkReturnReg(1); err != nil {
			return err
		}
	}
	if k.callback != callbackNone {
		set := setTimerArgs
		switch {
		case k.treeAdd():
			set = setTreeArgs
		case k.taskWork():
			set = setTaskWorkArgs
		}
		if err := v.callCallback(m.sub, k.callback, set); err != nil {
			return err
		}
	}
	if err := v.kfuncSections(k); err != nil {
		return err
	}
	if k.sleepable() && !v.canSleep() {
		return refuse(CodeSleepable, "kernel func %s is sleepable within %s", k.name, v.whyNoSleep())
	}
	if k.rcuProtected() && !v.inRCU() {
		return refuse(CodeRCU, "kernel func %s requires RCU critical section protection", k.name)
	}
	if m.release != 0 {
		if err := v.releaseArg(&m.callMeta); err != nil {
			return err
		}
	}
	if k.listPush() || k.treeAdd() {
		v.toNonOwning(v.regs()[2].id)
	}
	regs := v.regs()
	for i := range callerSaved {
		regs[i].markNotInit()
	}
	err = v.kfuncResult(k, m)
	v.doubtResult(k)
	if err != nil {
		return err
	}
	if k.name == "bpf_xdp_pull_data" {
		v.dropPackets()
	}
	if k.iterNext() {
		return v.iterNext(m)
	}
	return nil
}

// kfuncKnown refuses functions with rules that are not checked here.
func (v *verifier) kfuncKnown(k *kfunc) error {
	switch k.name {
	case "__bpf_trap":
		return refuse(CodeKfunc, "unexpected __bpf_trap() due to uninitialized variable?")
	}
	if len(k.params) > 5 {
		return unsupported("kernel function %s with %d arguments", k.name, len(k.params))
	}
	return nil
}

// kfuncSections enters and leaves RCU and preemption sections.
func (v *verifier) kfuncSections(k *kfunc) error {
	st := v.cur
	switch k.name {
	case "bpf_rcu_read_lock", "bpf_rcu_read_unlock":
		if v.inTreeCallback() {
			return refuse(CodeCallback, "Calling bpf_rcu_read_{lock,unlock} in unnecessary rbtree callback")
		}
		if k.name == "bpf_rcu_read_lock" {
			st.rcu++
			return nil
		}
		if st.rcu == 0 {
			return refuse(CodeRCU, "unmatched rcu read unlock (kernel function %s)", k.name)
		}
		if st.rcu--; st.rcu == 0 {
			v.dropRCU()
		}
	case "bpf_preempt_disable":
		st.preempt++
	case "bpf_preempt_enable":
		if st.preempt == 0 {
			return refuse(CodePreempt, "unmatched attempt to enable preemption (kernel function %s)", k.name)
		}
		st.preempt--
	}
	return nil
}

// toNonOwning: an object that was put into a list or tree is the list's. It follows ref_convert_owning_non_owning.
func (v *verifier) toNonOwning(id uint32) {
	if id == 0 {
		return
	}
	v.cur.dropRef(id)
	v.cur.eachReg(func(r *reg) {
		if r.id == id && r.typ != scalar && r.typ != notInit {
			r.id = 0
			v.setNonOwning(r)
		}
	})
}

func (v *verifier) setNonOwning(r *reg) {
	r.typ |= nonOwn
	if v.recordOf(r.obj.typ).has(fieldRefcount) {
		r.typ |= rcuPtr
	}
}

// kfuncResult sets r0.
func (v *verifier) kfuncResult(k *kfunc, m *kfuncMeta) error {
	r0 := &v.regs()[0]
	ret := skipMods(k.ret)
	if isVoid(ret) {
		return nil
	}
	if isScalarType(ret) {
		r0.markUnknown()
		if k.name == "bpf_res_spin_lock" || k.name == "bpf_res_spin_lock_irqsave" {
			r0.setConst(0)
		}
		return nil
	}
	p, ok := ret.(*btf.Pointer)
	if !ok {
		return unsupported("kernel function %s that returns %s", k.name, kindWord(ret))
	}
	to := skipMods(p.Target)
	special, err := v.kfuncSpecial(k, m, to, r0)
	switch {
	case err != nil:
		return err
	case special:
	case isVoid(to):
		r0.markUnknown()
		if k.acquires() {
			return unsupported("kernel function %s that acquires a void pointer", k.name)
		}
	case !isStruct(to):
		size, read := m.bufSize, m.bufRead
		if k.name == "bpf_session_cookie" {
			size = regSize
		}
		if size == 0 {
			if size, ok = sizeOf(to); !ok {
				return refuse(CodeKfunc, "kernel function %s returns pointer type %s %s is not supported", k.name, kindWord(to), to.TypeName())
			}
			read = true
		}
		t := ptrToMem
		if read {
			t |= rdonly
		}
		if k.rcuProtected() {
			t |= rcuPtr
		}
		r0.setPointer(t, object{size: size})
		r0.parent = m.refID
	default:
		t := ptrToBTF | trusted
		if k.name == "bpf_get_kmem_cache" {
			t = ptrToBTF | untrusted
		} else if k.rcuProtected() || k.iterNext() && v.cur.frames[m.iterFrame].stack[m.iterSlot].reg.typ.has(rcuPtr) {
			t = ptrToBTF | rcuPtr
		}
		r0.setPointer(t, object{typ: to})
	}
	if k.has(abi.RetNull) && r0.typ != scalar && !(k.refAcquire() && m.argOwned) {
		r0.typ |= maybeNull
		r0.id = v.newID()
	}
	switch {
	case k.acquires():
		r0.id = v.acquireRef(0)
	case to.TypeName() == "bpf_rb_node" || to.TypeName() == "bpf_list_node":
		if v.cur.locks == 0 {
			return refuse(CodeLock, "kernel function %s needs the lock", k.name)
		}
		v.setNonOwning(r0)
	}
	if r0.id == 0 && v.recordBehind(r0).has(fieldSpinLock|fieldResSpinLock) {
		r0.id = v.newID()
	}
	return nil
}

// kfuncSpecial sets r0 for functions whose result is not what their prototype says. It follows check_special_kfunc.
func (v *verifier) kfuncSpecial(k *kfunc, m *kfuncMeta, to btf.Type, r0 *reg) (bool, error) {
	switch {
	case k.objNew() || k.percpuNew():
		if v.obj.BTF == nil || m.constant > 1<<32-1 {
			return false, refuse(CodeArgValue, "local type ID argument must be in range [0, U32_MAX]")
		}
		t, err := v.obj.BTF.TypeByID(btf.TypeID(m.constant))
		s, ok := t.(*btf.Struct)
		if err != nil || !ok {
			return false, refuse(CodeArgValue, "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct")
		}
		if v.recordOf(s); v.badType != nil {
			return false, v.badType
		}
		rt := ptrToBTF | memAlloc
		if k.percpuNew() {
			switch {
			case s.Size > 512:
				return false, refuse(CodeArgValue, "bpf_percpu_obj_new type size (%d) is greater than %d", s.Size, 512)
			case !isScalarStruct(s, 0):
				return false, refuse(CodeArgValue, "bpf_percpu_obj_new type ID argument must be of a struct of scalars")
			case v.recordOf(s) != nil:
				return false, refuse(CodeArgValue, "bpf_percpu_obj_new type ID argument must not contain special fields")
			}
			rt |= percpu
		}
		r0.setPointer(rt, object{typ: s, local: true})
	case k.refAcquire():
		r0.setPointer(ptrToBTF|memAlloc, object{typ: m.argType, local: m.argLocal})
	case to.TypeName() == "bpf_rb_node" || to.TypeName() == "bpf_list_node":
		if m.root == nil {
			return false, unsupported("kernel function %s", k.name)
		}
		r0.setPointer(ptrToBTF|memAlloc, object{typ: m.root.typ, local: true})
		r0.num = knownNum(uint64(m.root.node))
	case k.name == "bpf_cast_to_kern_ctx":
		t := v.kernelStruct(v.at.KernCtx)
		if v.at.KernCtx == "" || t == nil {
			return false, unsupported("kernel function %s for this type of program", k.name)
		}
		r0.setPointer(ptrToBTF|trusted, object{typ: t})
	case k.name == "bpf_rdonly_cast":
		if m.constant == 0 {
			r0.setPointer(ptrToMem|rdonly|untrusted, object{})
			break
		}
		if v.at.Kernel == nil || m.constant > 1<<32-1 {
			return false, refuse(CodeArgValue, "Unknown type ID %d passed to kfunc bpf_rdonly_cast", m.constant)
		}
		t, err := v.at.Kernel.TypeByID(btf.TypeID(m.constant))
		if err != nil {
			return false, refuse(CodeArgValue, "Unknown type ID %d passed to kfunc bpf_rdonly_cast", m.constant)
		}
		if !isStruct(t) {
			return false, refuse(CodeArgValue, "kfunc bpf_rdonly_cast type ID argument must be of a struct or void")
		}
		r0.setPointer(ptrToBTF|untrusted, object{typ: t})
	case k.name == "bpf_dynptr_slice" || k.name == "bpf_dynptr_slice_rdwr":
		t := ptrToMem | m.dyn.mem()
		if k.name == "bpf_dynptr_slice" {
			t |= rdonly
		} else if !v.packetAllowed(nil, true) {
			return false, refuse(CodeReadOnly, "the prog does not allow writes to packet data")
		}
		if !m.constFound || m.constant > 1<<31 {
			return false, refuse(CodeArgValue, "%s without a constant size", k.name)
		}
		r0.setPointer(t, object{size: uint32(m.constant)})
		r0.parent = m.dynID
	default:
		return false, nil
	}
	return true, nil
}
