package verifier

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
)

// kfArg is what a kernel function does with a pointer argument (enum kfunc_ptr_arg_type).
type kfArg uint8

const (
	kfNull kfArg = iota
	kfAlloc
	kfRefcounted
	kfDynptr
	kfIter
	kfListHead
	kfListNode
	kfTreeRoot
	kfTreeNode
	kfBTF
	kfMem
	kfMemSize
	kfCallback
	kfStr
	kfMap
	kfTimer
	kfWork
	kfTaskWork
	kfCtx
	kfIRQ
	kfResLock
)

// kfuncArgs checks all arguments. It follows check_kfunc_args (kernel/bpf/verifier.c, 7.2): names of parameters tell by
// their endings what the kernel's types cannot.
func (v *verifier) kfuncArgs(k *kfunc, m *kfuncMeta) error {
	regs := v.regs()
	for i := 0; i < len(k.params); i++ {
		p := &k.params[i]
		n := i + 1
		r := &regs[n]
		name := regName(n)
		t := skipMods(p.Type)
		ptr, isPtr := t.(*btf.Pointer)
		if isPtr && isNamed(ptr, "bpf_prog_aux") || strings.HasSuffix(p.Name, "__ign") || strings.HasSuffix(p.Name, "__prog") {
			continue
		}
		if r.typ == notInit {
			return refuse(CodeUninitReg, "R%d !read_ok", n)
		}
		if !isPtr {
			if !isScalarType(t) {
				return refuse(CodeKfunc, "Unrecognized %s type %s", name, kindWord(t))
			}
			if err := v.kfuncScalar(r, n, p.Name, m); err != nil {
				return err
			}
			continue
		}
		nullable := strings.HasSuffix(p.Name, "__nullable") || strings.HasSuffix(p.Name, "__opt")
		if (r.isNull() || r.typ.has(maybeNull)) && !nullable {
			return refuse(CodeNull, "Possibly NULL pointer passed to trusted %s", name)
		}
		if n == m.release && !isNamed(ptr, "bpf_dynptr") && !v.isReferenced(r) && !r.isNull() {
			return refuse(CodeReference, "release kfunc %s expects referenced PTR_TO_BTF_ID passed to %s", k.name, name)
		}
		if v.isReferenced(r) {
			m.refID = r.id
		}
		kind, err := v.kfuncPtr(k, i, r, ptr, nullable)
		if err != nil {
			return err
		}
		if kind == kfNull {
			if err := v.markPrecise(n); err != nil {
				return err
			}
			continue
		}
		if err := v.kfuncPtrArg(k, i, kind, r, ptr, m); err != nil {
			return err
		}
		if kind == kfMemSize {
			i++
		}
	}
	return nil
}

func (v *verifier) kfuncScalar(r *reg, n int, param string, m *kfuncMeta) error {
	if r.typ != scalar {
		return refuse(CodeArgType, "%s is not a scalar", regName(n))
	}
	switch {
	case strings.HasSuffix(param, "__k"):
		if !r.bits.isConst() {
			return refuse(CodeArgValue, "%s must be a known constant", regName(n))
		}
		m.constFound, m.constant = true, r.bits.value
		return v.markPrecise(n)
	case param == "rdonly_buf_size" || param == "rdwr_buf_size":
		if !r.bits.isConst() {
			return refuse(CodeArgValue, "%s is not a const", regName(n))
		}
		if r.bits.value > 1<<31 {
			return refuse(CodeArgValue, "%s rdonly/rdwr_buf_size exceeds u32 max", regName(n))
		}
		m.bufSize, m.bufRead = uint32(r.bits.value), param == "rdonly_buf_size"
		return v.markPrecise(n)
	}
	return nil
}

// kfuncPtr finds what a pointer argument is. It follows get_kfunc_ptr_arg_type.
func (v *verifier) kfuncPtr(k *kfunc, i int, r *reg, ptr *btf.Pointer, nullable bool) (kfArg, error) {
	p := &k.params[i]
	sized := i+1 < len(k.params) && isSizeParam(k.params[i+1].Name) && v.regs()[i+2].typ == scalar
	switch k.name {
	case "bpf_cast_to_kern_ctx", "bpf_session_is_return", "bpf_session_cookie":
		return kfCtx, nil
	}
	if v.at.CtxType != "" && isNamed(ptr, v.at.CtxType) {
		return kfCtx, nil
	}
	if nullable && r.isNull() && !sized {
		return kfNull, nil
	}
	switch {
	case strings.HasSuffix(p.Name, "__alloc"):
		return kfAlloc, nil
	case strings.HasSuffix(p.Name, "__refcounted_kptr"):
		return kfRefcounted, nil
	case isNamed(ptr, "bpf_dynptr"):
		return kfDynptr, nil
	case k.isIter() && i == 0 || strings.HasSuffix(p.Name, "__iter") || strings.HasPrefix(p.Name, "it__iter"):
		return kfIter, nil
	case isNamed(ptr, "bpf_list_head"):
		return kfListHead, nil
	case isNamed(ptr, "bpf_list_node"):
		return kfListNode, nil
	case isNamed(ptr, "bpf_rb_root"):
		return kfTreeRoot, nil
	case isNamed(ptr, "bpf_rb_node"):
		return kfTreeNode, nil
	case strings.HasSuffix(p.Name, "__str"):
		return kfStr, nil
	case strings.HasSuffix(p.Name, "__map"):
		return kfMap, nil
	case isNamed(ptr, "bpf_wq"):
		return kfWork, nil
	case isNamed(ptr, "bpf_timer"):
		return kfTimer, nil
	case isNamed(ptr, "bpf_task_work"):
		return kfTaskWork, nil
	case strings.HasSuffix(p.Name, "__irq_flag"):
		return kfIRQ, nil
	case isNamed(ptr, "bpf_res_spin_lock"):
		return kfResLock, nil
	}
	to := skipMods(ptr.Target)
	if _, own := kernelName(r.typ); own || r.typ.base() == ptrToBTF {
		if !isStruct(to) {
			return 0, refuse(CodeArgType, "kernel function %s %s pointer type %s %s is not supported", k.name, regName(i+1), kindWord(to), to.TypeName())
		}
		return kfBTF, nil
	}
	if _, fn := to.(*btf.FuncProto); fn {
		return kfCallback, nil
	}
	if !isScalarType(to) && !isScalarStruct(to, 0) && !(sized && isVoid(to)) {
		return 0, refuse(CodeArgType, "%s pointer type %s %s must point to scalar, or struct with scalar", regName(i+1), kindWord(to), to.TypeName())
	}
	if sized {
		return kfMemSize, nil
	}
	return kfMem, nil
}

func (v *verifier) kfuncPtrArg(k *kfunc, i int, kind kfArg, r *reg, ptr *btf.Pointer, m *kfuncMeta) error {
	n := i + 1
	name := regName(n)
	kernelMap := kind == kfMap && r.typ.base() == ptrToBTF
	if kind == kfMap && r.obj.m == nil && !kernelMap {
		return refuse(CodeArgType, "pointer in %s isn't map pointer", name)
	}
	if kind == kfMap || kind == kfAlloc || kind == kfBTF {
		if kind == kfMap && !kernelMap && m.m != nil && (m.m != r.obj.m || m.uid != r.obj.uid) && r.obj.m.rec.has(fieldWorkqueue|fieldTaskWork) {
			if r.obj.m.rec.has(fieldTaskWork) {
				return refuse(CodeArgType, "bpf_task_work pointer in R2 map_uid=%d doesn't match map pointer in R3 map_uid=%d", m.uid, r.obj.uid)
			}
			return refuse(CodeArgType, "workqueue pointer in R1 map_uid=%d doesn't match map pointer in R2 map_uid=%d", m.uid, r.obj.uid)
		}
		if !v.isTrusted(r) {
			if !k.has(abi.RCU) {
				return refuse(CodeUntrusted, "%s must be referenced or trusted", name)
			}
			if !r.typ.has(rcuPtr) {
				return refuse(CodeUntrusted, "%s must be a rcu pointer", name)
			}
		}
	}
	a := argNone
	switch kind {
	case kfDynptr:
		a = argDynptr
	case kfRefcounted:
		a = argBTF
	case kfCtx:
		a = argCtx
	}
	if n == m.release {
		a |= argRelease
	}
	if err := v.argOff(r, name, a, kind != kfRefcounted); err != nil {
		return err
	}
	switch kind {
	case kfAlloc:
		return v.allocArg(k, r, name, m)
	case kfDynptr:
		d, want := argDynptr, k.dynptr()
		if strings.HasSuffix(k.params[i].Name, "__uninit") {
			d |= argUninit
			if k.name == "bpf_dynptr_clone" {
				want = m.dyn
			}
		} else if k.name == "bpf_dynptr_file_discard" {
			d |= argRelease
		}
		return v.dynptrArg(r, name, d, want, &m.callMeta)
	case kfCtx:
		if r.typ != ptrToCtx {
			return refuse(CodeArgType, "%s expected pointer to ctx, but got %v", name, r.typ)
		}
		return nil
	case kfTaskWork:
		return v.fieldArg(r, name, fieldTaskWork, &m.callMeta)
	case kfIter:
		if k.name == "bpf_iter_css_task_new" && !v.cur.sleepable && !v.at.CssTaskIter {
			return refuse(CodeIter, "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs")
		}
		return v.iterArg(r, name, k, i, m)
	case kfListHead, kfTreeRoot:
		return v.graphRoot(k, r, name, kind, m)
	case kfListNode, kfTreeNode:
		return v.graphNode(k, r, name, kind, i, m)
	case kfMap:
		if kernelMap {
			return v.btfArg(k, r, name, &btf.Pointer{Target: v.kernelStruct("bpf_map")})
		}
		m.m, m.uid = r.obj.m, r.obj.uid
		return nil
	case kfBTF:
		return v.btfArg(k, r, name, ptr)
	case kfMem:
		size, ok := sizeOf(ptr.Target)
		if !ok {
			return refuse(CodeArgType, "%s reference type size cannot be determined", name)
		}
		return v.memArg(r, name, size)
	case kfMemSize:
		return v.kfuncSizedMem(k, i, r, name, m)
	case kfCallback:
		if r.typ != ptrToFunc {
			return refuse(CodeCallback, "%s expected pointer to func", name)
		}
		m.sub = int(r.obj.size)
		return nil
	case kfRefcounted:
		if !r.typ.allocObj() {
			return refuse(CodeArgType, "%s is neither owning or non-owning ref", name)
		}
		if !v.recordOf(r.obj.typ).has(fieldRefcount) {
			return refuse(CodeArgType, "%s doesn't point to a type with bpf_refcount field", name)
		}
		m.argType, m.argLocal = r.obj.typ, r.obj.local
		m.argOwned = !r.typ.has(nonOwn) && v.isReferenced(r)
		return nil
	case kfStr:
		if r.typ != ptrToMapValue {
			return refuse(CodeArgType, "%s doesn't point to a const string", name)
		}
		_, err := v.constStr(r, name)
		return err
	case kfWork:
		return v.fieldArg(r, name, fieldWorkqueue, &m.callMeta)
	case kfTimer:
		return v.fieldArg(r, name, fieldTimer, &m.callMeta)
	case kfIRQ:
		return v.irqArg(r, name, strings.HasSuffix(k.name, "irq_save") || strings.HasSuffix(k.name, "irqsave"), k.resLock())
	case kfResLock:
		if v.inTreeCallback() {
			return refuse(CodeLock, "can't res_spin_{lock,unlock} in rbtree cb")
		}
		if r.typ != ptrToMapValue && r.typ != ptrToBTF|memAlloc {
			return refuse(CodeArgType, "%s doesn't point to map value or allocated object", name)
		}
		return v.lockArg(r, name, strings.HasPrefix(k.name, "bpf_res_spin_lock"), true, strings.Contains(k.name, "irq"))
	}
	return unsupported("argument %d of kernel function %s", n, k.name)
}

// kfuncSizedMem is a pointer with the size of its memory behind it.
func (v *verifier) kfuncSizedMem(k *kfunc, i int, r *reg, name string, m *kfuncMeta) error {
	n := i + 2
	size := &v.regs()[n]
	nullable := strings.HasSuffix(k.params[i].Name, "__nullable") || strings.HasSuffix(k.params[i].Name, "__opt")
	if !r.isNull() || !nullable {
		err := v.notNull(r, func() error {
			var tmp callMeta
			if err := v.memSize(r, size, name, regName(n), n, false, true, &tmp); err != nil {
				return err
			}
			return v.memSize(r, size, name, regName(n), n, true, true, &tmp)
		})
		if err != nil {
			v.notef("%s", err)
			return refuse(CodeBounds, "%s and %s memory, len pair leads to invalid memory access", name, regName(n))
		}
	}
	if strings.HasSuffix(k.params[i+1].Name, "__szk") {
		if !size.bits.isConst() {
			return refuse(CodeArgValue, "%s must be a known constant", regName(n))
		}
		m.constFound, m.constant = true, size.bits.value
		return v.markPrecise(n)
	}
	return nil
}

func (v *verifier) allocArg(k *kfunc, r *reg, name string, m *kfuncMeta) error {
	percpuDrop := k.base() == "bpf_percpu_obj_drop"
	switch {
	case r.typ == ptrToBTF|memAlloc && percpuDrop:
		return refuse(CodeArgType, "%s expected for bpf_obj_drop()", name)
	case r.typ == ptrToBTF|memAlloc|percpu && !percpuDrop:
		return refuse(CodeArgType, "%s expected for bpf_percpu_obj_drop()", name)
	case r.typ != ptrToBTF|memAlloc && r.typ != ptrToBTF|memAlloc|percpu:
		return refuse(CodeArgType, "%s expected pointer to allocated object", name)
	case !v.isReferenced(r):
		return refuse(CodeReference, "allocated object must be referenced")
	}
	m.argType, m.argLocal = r.obj.typ, r.obj.local
	const safe = fieldSpinLock | fieldResSpinLock | fieldTimer | fieldWorkqueue | fieldTaskWork | fieldKptrUnref | fieldRefcount // btf_field_is_nmi_safe
	if v.at.Tracing && v.recordOf(r.obj.typ).has(^fieldKind(safe)) {
		return refuse(CodeKfunc, "%s cannot be used in tracing programs on types with NMI unsafe fields", k.name)
	}
	return nil
}

// btfArg checks that a pointer is of the type that the function wants. It follows process_kf_arg_ptr_to_btf_id.
func (v *verifier) btfArg(k *kfunc, r *reg, name string, ptr *btf.Pointer) error {
	have := r.obj.typ
	own := false
	if n, ok := kernelName(r.typ); ok {
		if have, own = v.kernelStruct(n), true; have == nil {
			return unsupported("a pointer to struct %s", n)
		}
	}
	if !own && r.typ.base() != ptrToBTF || !own && unsafeFlags(r.typ) && !r.typ.has(rcuPtr) {
		return refuse(CodeUntrusted, "%s is %v expected a trusted pointer or socket", name, r.typ)
	}
	need := skipMods(ptr.Target)
	strict := k.has(abi.Release) && v.isReferenced(r) || noCastAlias(have.TypeName(), need.TypeName())
	if !own && (r.obj.local && !r.typ.has(memAlloc) || !r.obj.local && r.typ.has(memAlloc)) {
		return bug("an object that is local and not")
	}
	if (r.obj.local || !idsMatch(have, r.off(), need, strict, !r.typ.has(memAlloc))) && !projection(need.TypeName(), have.TypeName()) {
		return refuse(CodeArgType, "kernel function %s %s expected pointer to %s %s but %s has a pointer to %s %s", k.name, name, kindWord(need), need.TypeName(), name, kindWord(have), have.TypeName())
	}
	return nil
}

// kernelName is the struct of the kernel behind a pointer that is not one by type. It follows reg2btf_ids.
func kernelName(t regType) (string, bool) {
	switch t.base() {
	case ptrToSocket:
		return "sock", true
	case ptrToSockCommon:
		return "sock_common", true
	case ptrToTCPSock:
		return "tcp_sock", true
	case constPtrToMap:
		return "bpf_map", true
	}
	return "", false
}

// noCastAlias: types like nf_conn___init must not be mixed with nf_conn though they start alike.
func noCastAlias(a, b string) bool {
	return strings.TrimSuffix(a, "___init") == strings.TrimSuffix(b, "___init") && a != b
}

// projection: the program's view of a context type.
func projection(need, have string) bool {
	return need == "__sk_buff" && have == "sk_buff" || need == "xdp_md" && have == "xdp_buff"
}

// graphRoot is a list head or tree root. It follows __process_kf_arg_ptr_to_graph_root.
func (v *verifier) graphRoot(k *kfunc, r *reg, name string, kind kfArg, m *kfuncMeta) error {
	fk := fieldListHead
	if kind == kfTreeRoot {
		fk = fieldRBRoot
	}
	if r.typ != ptrToMapValue && r.typ != ptrToBTF|memAlloc {
		return refuse(CodeArgType, "%s expected pointer to map value or allocated object", name)
	}
	if r.typ == ptrToBTF|memAlloc && !v.isReferenced(r) {
		return refuse(CodeReference, "allocated object must be referenced")
	}
	if !r.bits.isConst() {
		return refuse(CodeArgType, "%s doesn't have constant offset. %s has to be at the constant offset", name, fk)
	}
	rec := v.recordBehind(r)
	f := rec.find(r.off(), fk)
	if f == nil {
		return refuse(CodeArgType, "%s not found at offset=%d", fk, r.off())
	}
	if !v.lockHeld(r) {
		return refuse(CodeLock, "bpf_spin_lock at off=%d must be held for %s", rec.only(fieldSpinLock|fieldResSpinLock).off, fk)
	}
	m.root, m.rootRec = f, rec
	return nil
}

// graphNode is a node of a list or tree. It follows __process_kf_arg_ptr_to_graph_node.
func (v *verifier) graphNode(k *kfunc, r *reg, name string, kind kfArg, i int, m *kfuncMeta) error {
	fk := fieldListNode
	owned := true
	if kind == kfTreeNode {
		fk = fieldRBNode
		owned = k.treeAdd()
	} else if strings.HasSuffix(k.params[i].Name, "__nonown_allowed") && r.typ.has(nonOwn) {
		owned = false
	}
	if owned {
		if r.typ != ptrToBTF|memAlloc {
			return refuse(CodeArgType, "%s expected pointer to allocated object", name)
		}
		if !v.isReferenced(r) {
			return refuse(CodeReference, "allocated object must be referenced")
		}
	} else if kind == kfTreeNode {
		if !r.typ.has(nonOwn) && !v.isReferenced(r) {
			return refuse(CodeArgType, "%s can only take non-owning or refcounted bpf_rb_node pointer", k.name)
		}
		if v.inTreeCallback() {
			return refuse(CodeCallback, "%s not allowed in rbtree cb", k.name)
		}
	}
	if !r.bits.isConst() {
		return refuse(CodeArgType, "%s doesn't have constant offset. %s has to be at the constant offset", name, fk)
	}
	if v.recordBehind(r).find(r.off(), fk) == nil {
		return refuse(CodeArgType, "%s not found at offset=%d", fk, r.off())
	}
	root := m.root
	if root == nil {
		return unsupported("kernel function %s without a root", k.name)
	}
	if r.obj.typ == root.typ && r.off() != int64(root.node) {
		return refuse(CodeArgType, "arg#1 offset=%d, but expected %s at offset=%d in struct %s", r.off(), fk, root.node, root.typ.TypeName())
	}
	if r.obj.typ != root.typ {
		return refuse(CodeArgType, "operation on %s expects arg#1 %s at offset=%d in struct %s, but arg is at offset=%d in struct %s",
			root.kind, fk, root.node, root.typ.TypeName(), r.off(), r.obj.typ.TypeName())
	}
	m.argType, m.argLocal = r.obj.typ, r.obj.local
	return nil
}
