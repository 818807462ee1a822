package verifier

import (
	"fmt"
	"math"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/ir"
)

// stepCall checks a call of any sort.
func (v *verifier) stepCall(in *ir.Insn) (stepResult, error) {
	if v.cur.locks > 0 {
		ok := in.Op == ir.CallSub
		switch in.Op {
		case ir.CallHelper:
			ok = in.Imm == 94 || in.Imm == 194 // spin_unlock, kptr_xchg
		case ir.CallKfunc:
			k, err := v.kfunc(v.insnIdx)
			ok = err == nil && k.inLock()
		}
		if !ok {
			return 0, refuse(CodeLock, "function calls are not allowed while holding a lock")
		}
	}
	switch in.Op {
	case ir.CallHelper:
		v.left = false
		if err := v.stepHelper(in); err != nil || !v.left {
			return stepNext, err
		}
		return stepJump, nil
	case ir.CallKfunc:
		if err := v.stepKfunc(in); err != nil || !v.throws(v.insnIdx) {
			return stepNext, err
		}
		return stepLeave, v.checkThrowLeaks()
	case ir.CallSub:
		return v.stepSub(in)
	}
	return 0, unsupported("indirect call")
}

// stepSub checks a call within the program. It follows check_func_call.
func (v *verifier) stepSub(in *ir.Insn) (stepResult, error) {
	sub := v.subAt(in.Target)
	s := &v.subs[sub]
	st := v.cur
	caller := st.cur()
	if s.global {
		switch {
		case st.locks > 0:
			return 0, refuse(CodeLock, "global function calls are not allowed while holding a lock, use static function instead")
		case s.mightSleep && !v.canSleep():
			return 0, refuse(CodeSleepable, "sleepable global function %s() called in %s", s.name, v.whyNoSleep())
		}
		if err := v.globalCallArgs(sub, caller); err != nil {
			if r, ok := err.(*refusal); ok && r.code == CodeUnsupported {
				return 0, err
			}
			v.notef("%s", err)
			return 0, refuse(CodeGlobalFunc, "Caller passes invalid args into func#%d ('%s')", sub, s.name)
		}
		s.called = true
		for i := range callerSaved {
			caller.regs[i].markNotInit()
		}
		if s.movesPacket {
			v.dropPackets()
		}
		if !v.subVoid(sub) {
			caller.regs[0].markUnknown()
		}
		if s.throws {
			if _, err := v.push(v.insnIdx+1, v.insnIdx); err != nil {
				return 0, err
			}
			return stepLeave, v.checkThrowLeaks()
		}
		return stepNext, nil
	}
	if len(st.frames) >= maxFrames {
		return 0, refuse(CodeCallDepth, "the call stack of %d frames is too deep", len(st.frames)+1)
	}
	f := v.newFrame(v.insnIdx, uint8(len(st.frames)), sub)
	copy(f.regs[1:6], caller.regs[1:6])
	st.frames = append(st.frames, f)
	for i := range callerSaved {
		caller.regs[i].markNotInit()
	}
	v.insnIdx = s.start
	return stepJump, nil
}

func (v *verifier) subProto(sub int) (*btf.Func, *btf.FuncProto) {
	if sub >= len(v.prog.Subs) || v.prog.Subs[sub].Type == nil {
		return nil, nil
	}
	fn := v.prog.Subs[sub].Type
	p, _ := fn.Type.(*btf.FuncProto)
	return fn, p
}

func (v *verifier) subVoid(sub int) bool {
	_, p := v.subProto(sub)
	return p != nil && isVoid(p.Return)
}

// subArg is a parameter of a global function.
type subArg struct {
	typ  argType
	size uint32
	btf  btf.Type
}

// globalArgs finds what a global function takes. It follows btf_prepare_func_args (kernel/bpf/btf.c, 7.2).
func (v *verifier) globalArgs(sub int) ([]subArg, error) {
	s := &v.subs[sub]
	if s.argsDone {
		return s.args, s.argsErr
	}
	s.argsDone = true
	s.args, s.argsErr = v.prepareArgs(sub)
	return s.args, s.argsErr
}

func (v *verifier) prepareArgs(sub int) ([]subArg, error) {
	fn, p := v.subProto(sub)
	name := v.subs[sub].name
	if p == nil {
		return nil, refuse(CodeGlobalFunc, "Global functions need valid BTF")
	}
	if len(p.Params) > 5 {
		return nil, refuse(CodeGlobalFunc, "global function %s has %d > %d args, stack args not supported", name, len(p.Params), 5)
	}
	if ret := skipMods(p.Return); !isVoid(ret) && !isScalarType(ret) {
		_, isPtr := ret.(*btf.Pointer)
		if !isPtr || !hasTag(p.Return, "arena") {
			return nil, refuse(CodeGlobalFunc, "Global function %s() return value not void or scalar. Only those are supported.", name)
		}
	}
	out := make([]subArg, len(p.Params))
	for i := range p.Params {
		var tags []string
		if i < len(fn.ParamTags) {
			tags = fn.ParamTags[i]
		}
		a, err := v.prepareArg(p.Params[i].Type, tags, i, name)
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

func hasTag(t btf.Type, tag string) bool {
	p, ok := skipMods(t).(*btf.Pointer)
	for ok {
		x, isTag := p.Target.(*btf.TypeTag)
		if !isTag {
			return false
		}
		if x.Value == tag {
			return true
		}
		p = &btf.Pointer{Target: x.Type}
	}
	return false
}

type argTags struct{ ctx, trusted, nonnull, nullable, arena, untrusted bool }

func (v *verifier) prepareArg(t btf.Type, decl []string, i int, fn string) (subArg, error) {
	var tags argTags
	any := false
	for _, d := range decl {
		rest, ok := strings.CutPrefix(d, "arg:")
		if !ok {
			continue
		}
		any = true
		switch rest {
		case "ctx":
			tags.ctx = true
		case "trusted":
			tags.trusted = true
		case "untrusted":
			tags.untrusted = true
		case "nonnull":
			tags.nonnull = true
		case "nullable":
			tags.nullable = true
		case "arena":
			tags.arena = true
		default:
			return subArg{}, refuse(CodeGlobalFunc, "arg#%d has unsupported set of tags", i)
		}
	}
	if hasTag(t, "arena") {
		tags.arena, any = true, true
	}
	bad := refuse(CodeGlobalFunc, "arg#%d has invalid combination of tags", i)
	p, isPtr := skipMods(t).(*btf.Pointer)
	if !isPtr {
		if any {
			return subArg{}, refuse(CodeGlobalFunc, "arg#%d has pointer tag, but is not a pointer type", i)
		}
		if isScalarType(t) {
			return subArg{typ: argAny}, nil
		}
		return subArg{}, refuse(CodeGlobalFunc, "Arg#%d type %s in %s() is not supported yet.", i, kindWord(skipMods(t)), fn)
	}
	to := skipMods(p.Target)
	switch {
	case tags.ctx:
		if tags != (argTags{ctx: true}) {
			return subArg{}, bad
		}
		return subArg{typ: argCtx}, nil
	case isNamed(p, "bpf_dynptr"):
		if any {
			return subArg{}, bad
		}
		return subArg{typ: argDynptr}, nil
	case tags.trusted:
		if tags.nonnull {
			return subArg{}, bad
		}
		kt := v.kernelStruct(essentialName(to.TypeName()))
		if kt == nil || !isStruct(to) && !isFwd(to) {
			return subArg{}, refuse(CodeGlobalFunc, "arg#%d reference type('%s %s') is not a kernel type", i, kindWord(to), to.TypeName())
		}
		a := subArg{typ: argBTF | argTrusted, btf: kt}
		if tags.nullable {
			a.typ |= argNull
		}
		return a, nil
	case tags.untrusted:
		if tags != (argTags{untrusted: true}) {
			return subArg{}, refuse(CodeGlobalFunc, "arg#%d untrusted cannot be combined with any other tags", i)
		}
		if isVoid(to) || isScalarType(to) {
			return subArg{typ: argMem | argRead | argUntrusted}, nil
		}
		kt := v.kernelStruct(essentialName(to.TypeName()))
		if kt == nil {
			return subArg{}, refuse(CodeGlobalFunc, "arg#%d has type %s '%s', but only struct or primitive types are allowed", i, kindWord(to), to.TypeName())
		}
		return subArg{typ: argBTF | argUntrusted, btf: kt}, nil
	case tags.arena:
		if tags != (argTags{arena: true}) {
			return subArg{}, refuse(CodeGlobalFunc, "arg#%d arena cannot be combined with any other tags", i)
		}
		return subArg{typ: argArena}, nil
	case tags.nullable:
		return subArg{}, bad
	case v.at.CtxType != "" && isStruct(to) && (to.TypeName() == v.at.CtxType || v.at.CtxType == "pt_regs" && to.TypeName() == "bpf_user_pt_regs_t"):
		return subArg{typ: argCtx}, nil
	}
	size, ok := sizeOf(to)
	if !ok {
		return subArg{}, refuse(CodeGlobalFunc, "arg#%d reference type('%s %s') size cannot be determined: -22", i, kindWord(to), to.TypeName())
	}
	a := subArg{typ: argMem | argNull, size: size}
	if tags.nonnull {
		a.typ = argMem
	}
	return a, nil
}

func isFwd(t btf.Type) bool {
	_, ok := t.(*btf.Fwd)
	return ok
}

// setGlobalArgs gives a global function that is verified on its own any arguments that fit.
func (v *verifier) setGlobalArgs(sub int, f *frame) error {
	as, err := v.globalArgs(sub)
	if err != nil {
		return err
	}
	for i, a := range as {
		r := &f.regs[i+1]
		var flags regType
		if a.typ.has(argNull) {
			flags |= maybeNull
		}
		if a.typ.has(argTrusted) {
			flags |= trusted
		}
		if a.typ.has(argUntrusted) {
			flags |= untrusted
		}
		if a.typ.has(argRead) {
			flags |= rdonly
		}
		switch a.typ.base() {
		case argCtx:
			r.setPointer(ptrToCtx, object{})
		case argDynptr:
			r.setPointer(constPtrToDynptr, object{dyn: dynLocal, first: true})
			r.id = v.newID()
		case argMem:
			r.setPointer(ptrToMem|flags, object{size: a.size})
			if flags.has(maybeNull) {
				r.id = v.newID()
			}
		case argBTF:
			r.setPointer(ptrToBTF|flags, object{typ: a.btf})
			r.id = v.newID()
			v.doubt(r)
		default:
			r.markUnknown()
		}
	}
	return nil
}

// globalCallArgs checks what is passed to a global function. It follows btf_check_func_arg_match.
func (v *verifier) globalCallArgs(sub int, caller *frame) error {
	as, err := v.globalArgs(sub)
	if err != nil {
		return err
	}
	for i, a := range as {
		r := &caller.regs[i+1]
		name := regName(i + 1)
		switch {
		case a.typ == argAny:
			if r.typ != scalar {
				return refuse(CodeArgType, "%s is not a scalar", name)
			}
		case a.typ.has(argUntrusted): // anything goes, even a register that was never set: it is read by loads that cannot fault
		case a.typ == argCtx:
			if err := v.argOff(r, name, argCtx, true); err != nil {
				return err
			}
			if r.typ != ptrToCtx {
				return refuse(CodeArgType, "%s expects pointer to ctx", name)
			}
		case a.typ.base() == argMem:
			if err := v.argOff(r, name, argNone, true); err != nil {
				return err
			}
			if err := v.memArg(r, name, a.size); err != nil {
				return err
			}
			if !a.typ.has(argNull) && (r.typ.has(maybeNull) || r.isNull()) {
				return refuse(CodeNull, "%s is expected to be non-NULL", name)
			}
		case a.typ == argArena:
			if r.typ != ptrToArena && r.typ != scalar {
				return refuse(CodeArgType, "%s is not a pointer to arena or scalar.", name)
			}
		case a.typ == argDynptr:
			if err := v.argOff(r, name, argDynptr, true); err != nil {
				return err
			}
			if err := v.dynptrArg(r, name, argDynptr, dynInvalid, &callMeta{}); err != nil {
				return err
			}
		case a.typ.base() == argBTF:
			if r.isNull() && a.typ.has(argNull) {
				continue
			}
			if err := v.argSort(r, i+1, a.typ, &callMeta{}, a.btf.TypeName()); err != nil {
				return err
			}
			if err := v.argOff(r, name, a.typ, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// setArgs gives a callback its arguments.
type setArgs func(v *verifier, caller, callee *frame) error

// callCallback lets a callback run. A synchronous one is followed as if it were called here once more, after which the
// call is seen again; an asynchronous one starts with an empty stack. It follows push_callback_call.
func (v *verifier) callCallback(sub int, kind callbackKind, set setArgs) error {
	if sub <= 0 || sub >= len(v.subs) {
		return bug("callback number %d", sub)
	}
	s := &v.subs[sub]
	s.isCallback = true
	caller := v.cur.cur()
	if kind == callbackAsync {
		s.isAsync = true
		st := &state{branches: 1, first: s.start, last: -1, insn: s.start}
		f := v.newFrame(mainCallsite, 0, sub)
		f.asyncEntry = caller.asyncEntry + 1
		st.frames = []*frame{f}
		if in := &v.insns[v.insnIdx]; in.Op == ir.CallKfunc {
			st.sleepable = true // work queues and task work may sleep
		}
		if f.asyncEntry > maxFrames*16 {
			return refuse(CodeTooComplex, "asynchronous callbacks that arm themselves in ever new states")
		}
		v.pending = append(v.pending, pending{st: st, insn: s.start, prev: v.insnIdx, path: len(v.path), note: len(v.notes)})
		if len(v.pending) > maxPending {
			return refuse(CodeTooComplex, "The sequence of %d jumps is too complex for async cb.", len(v.pending))
		}
		return set(v, caller, f)
	}
	st, err := v.push(s.start, v.insnIdx)
	if err != nil {
		return err
	}
	if len(st.frames) >= maxFrames {
		return refuse(CodeCallDepth, "the call stack of %d frames is too deep", len(st.frames)+1)
	}
	f := v.newFrame(v.insnIdx, uint8(len(st.frames)), sub)
	if err := set(v, st.cur(), f); err != nil {
		return err
	}
	f.inCallback = true
	f.ret = retRange{lo: 0, hi: 1}
	st.unroll++
	st.cur().callbackDepth++
	st.frames = append(st.frames, f)
	caller.callbackDepth = 0
	return nil
}

func setMapElemArgs(_ *verifier, caller, f *frame) error {
	f.regs[1] = caller.regs[1]
	o := caller.regs[1].obj
	f.regs[2].setPointer(ptrToMapKey, object{m: o.m, uid: o.uid})
	f.regs[3].setPointer(ptrToMapValue, object{m: o.m, uid: o.uid})
	f.regs[4] = caller.regs[3]
	return nil
}

func setLoopArgs(_ *verifier, caller, f *frame) error {
	f.regs[1].markUnknown()
	f.regs[2] = caller.regs[3]
	return nil
}

func setTimerArgs(_ *verifier, caller, f *frame) error {
	o := object{m: caller.regs[1].obj.m, uid: caller.regs[1].obj.uid}
	f.regs[1].setPointer(constPtrToMap, o)
	f.regs[2].setPointer(ptrToMapKey, o)
	f.regs[3].setPointer(ptrToMapValue, o)
	f.inAsync = true
	return nil
}

func setTaskWorkArgs(_ *verifier, caller, f *frame) error {
	o := object{m: caller.regs[3].obj.m, uid: caller.regs[3].obj.uid}
	f.regs[1].setPointer(constPtrToMap, o)
	f.regs[2].setPointer(ptrToMapKey, o)
	f.regs[3].setPointer(ptrToMapValue, o)
	f.inAsync = true
	f.ret = retRange{lo: math.MinInt32, hi: math.MaxInt32}
	return nil
}

func setFindVMAArgs(v *verifier, caller, f *frame) error {
	f.regs[1] = caller.regs[1]
	t := v.kernelStruct("vm_area_struct")
	if t == nil {
		return unsupported("find_vma without the kernel's types")
	}
	f.regs[2].setPointer(ptrToBTF, object{typ: t})
	f.regs[3] = caller.regs[4]
	return nil
}

func setUserRingbufArgs(v *verifier, caller, f *frame) error {
	f.regs[1].setPointer(constPtrToDynptr, object{dyn: dynLocal, first: true})
	f.regs[1].id = v.newID()
	f.regs[2] = caller.regs[3]
	return nil
}

func setTreeArgs(v *verifier, caller, f *frame) error {
	root := v.recordBehind(&caller.regs[1]).find(caller.regs[1].off(), fieldRBRoot)
	if root == nil {
		return bug("a callback without a tree")
	}
	for _, r := range []*reg{&f.regs[1], &f.regs[2]} {
		r.setPointer(ptrToBTF|memAlloc, object{typ: root.typ, local: true})
		r.num = knownNum(uint64(root.node))
		v.setNonOwning(r)
	}
	return nil
}

// inTreeCallback: a comparison of a tree insertion is running.
func (v *verifier) inTreeCallback() bool {
	for _, f := range v.cur.frames[1:] {
		if !f.inCallback {
			continue
		}
		if in := &v.insns[f.callsite]; in.Op == ir.CallKfunc {
			if k, err := v.kfunc(f.callsite); err == nil && k.tree() {
				return true
			}
		}
	}
	return false
}

func (r retRange) has(x *reg) bool {
	if r.narrow {
		return r.lo <= x.smin32() && x.smax32() <= r.hi
	}
	return int64(r.lo) <= x.smin() && x.smax() <= int64(r.hi)
}

// badReturn follows verbose_invalid_scalar.
func badReturn(x *reg, r retRange, when, name string) error {
	has := ""
	if x.smin() > math.MinInt64 {
		has += fmt.Sprintf(" smin=%d", x.smin())
	}
	if x.smax() < math.MaxInt64 {
		has += fmt.Sprintf(" smax=%d", x.smax())
	}
	if has == "" {
		has = " unknown scalar value"
	}
	return refuse(CodeReturn, "%s the register %s has%s should have been in [%d, %d]", when, name, has, r.lo, r.hi)
}

// stepExit leaves a function or the program. It follows process_bpf_exit_full.
func (v *verifier) stepExit() (stepResult, error) {
	st := v.cur
	if err := v.checkLeaks(len(st.frames) == 1, "BPF_EXIT instruction in main prog"); err != nil {
		return 0, err
	}
	if len(st.frames) > 1 {
		return stepJump, v.returnToCaller()
	}
	return stepLeave, v.checkReturn()
}

// returnToCaller follows prepare_func_exit.
func (v *verifier) returnToCaller() error {
	st := v.cur
	n := len(st.frames) - 1
	callee, caller := st.frames[n], st.frames[n-1]
	r0 := &callee.regs[0]
	if r0.typ == ptrToStack {
		return refuse(CodeReturn, "cannot return stack pointer to the caller")
	}
	if callee.inCallback {
		if r0.typ != scalar {
			return refuse(CodeReturn, "R0 not a scalar value")
		}
		if err := v.markPrecise(0); err != nil {
			return err
		}
		if !callee.ret.has(r0) {
			return badReturn(r0, callee.ret, "At callback return", "R0")
		}
		v.insnIdx = callee.callsite
	} else {
		caller.regs[0] = *r0
		v.insnIdx = callee.callsite + 1
	}
	inCallback := callee.inCallback
	st.frames = st.frames[:n]
	v.pool.frames = append(v.pool.frames, callee)
	if inCallback {
		if prev := v.previousEntry(st, v.insnIdx); prev != nil {
			widen(prev, st)
		}
	}
	return nil
}

// checkReturn checks r0 at the end of the program, of a global function or of an asynchronous callback. It follows
// check_return_code.
func (v *verifier) checkReturn() error {
	f := v.cur.cur()
	if f.sub == 0 || f.inAsync || v.subs[f.sub].isException {
		return v.checkReturnReg(0)
	}
	r0 := &f.regs[0]
	switch {
	case v.subVoid(f.sub):
		return nil
	case r0.typ == notInit:
		return refuse(CodeUninitReg, "R0 !read_ok")
	case r0.typ != scalar && r0.typ != ptrToArena:
		return refuse(CodeReturn, "At subprogram exit the register R0 is not a scalar value (%v)", r0.typ)
	}
	return nil
}

// checkReturnReg checks what the program returns in a register. It follows check_return_code.
func (v *verifier) checkReturnReg(n int) error {
	f := v.cur.frames[0]
	name := regName(n)
	r0 := &v.regs()[n]
	needs := func() error {
		if r0.typ == notInit {
			return refuse(CodeUninitReg, "R%d !read_ok", n)
		}
		return nil
	}
	inRange := func(rr retRange, when string) error {
		if err := needs(); err != nil {
			return err
		}
		if r0.typ != scalar {
			return refuse(CodeReturn, "%s the register %s is not a known value (%v)", when, name, r0.typ)
		}
		if err := v.markPrecise(n); err != nil {
			return err
		}
		if !rr.has(r0) {
			return badReturn(r0, rr, when, name)
		}
		return nil
	}
	if f.inAsync {
		return inRange(f.ret, "At async callback return")
	}
	switch v.at.Return.Kind {
	case ReturnVoid:
		return nil
	case ReturnRange:
		if want := v.at.Return.Struct; want != nil && n == 0 && r0.typ.base() == ptrToBTF && r0.obj.typ == want && v.isReferenced(r0) {
			return fixedOff(r0, name, false)
		}
		return inRange(retRange{lo: v.at.Return.Lo, hi: v.at.Return.Hi, narrow: v.at.Return.Narrow}, "At program exit")
	}
	return needs()
}
