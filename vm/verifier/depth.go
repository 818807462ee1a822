package verifier

import (
	"slices"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// checkStackDepth bounds the stacks of chains of calls, those of the main function last: what asynchronous callbacks reach
// uses the normal stack. It follows check_max_stack_depth (kernel/bpf/verifier.c, 7.2).
func (v *verifier) checkStackDepth() error {
	private := v.at.PrivateStack
	for i := range v.subs {
		private = private && !v.subs[i].tailCall
	}
	for si := len(v.subs) - 1; si >= 0; si-- {
		if si == 0 || v.subs[si].isAsync {
			if err := v.checkStackChain(si, private && si == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// level is a function of a chain of calls.
type level struct {
	sub, frame, depth int
	next              int32
}

// checkStackChain follows check_max_stack_depth_subprog.
func (v *verifier) checkStackChain(root int, private bool) error {
	var stack []level
	enter := func(sub, frame, depth int) error {
		s := &v.subs[sub]
		stack = append(stack, level{sub, frame, depth, s.start})
		if s.legacy && v.chainHasCallback(stack) {
			return refuse(CodeCallback, "cannot use BPF_LD_[ABS|IND] within callback")
		}
		if sub > 0 && s.tailCall && depth >= 256 {
			return refuse(CodeStackSize, "tail_calls are not allowed when call stack of previous frames is %d bytes. Too large", depth)
		}
		own := (s.stack + stackRounding - 1) / stackRounding * stackRounding
		if !private {
			s.noPrivate = true
		}
		if !s.noPrivate && own >= minPrivStack {
			if own > maxStack {
				return refuse(CodeStackSize, "stack size of subprog %d is %d. Too large", sub, own)
			}
			v.result.MaxStackDepth = max(v.result.MaxStackDepth, own)
			return nil
		}
		depth += own
		stack[len(stack)-1].depth = depth
		v.result.MaxStackDepth = max(v.result.MaxStackDepth, depth)
		if depth > maxStack {
			return refuse(CodeStackSize, "combined stack size of %d calls is %d. Too large", len(stack), depth)
		}
		return nil
	}
	if err := enter(root, 0, 0); err != nil {
		return err
	}
	steps := 0
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == v.subs[top.sub].end {
			if v.subs[top.sub].tailCall {
				for _, l := range stack {
					if v.subs[l.sub].isException {
						return refuse(CodeCallback, "cannot tail call within exception cb")
					}
				}
			}
			stack = stack[:len(stack)-1]
			continue
		}
		i := top.next
		top.next++
		if steps++; steps > 64*maxInsns {
			return refuse(CodeTooComplex, "too many chains of calls")
		}
		if v.throws(i) && v.chainHasCallback(stack) {
			v.insnIdx = i
			return refuse(CodeCallback, "bpf_throw kfunc (insn %d) cannot be called from callback subprog %d", v.insns[i].Orig, top.sub)
		}
		callee, ok := v.callee(i)
		if !ok {
			continue
		}
		if v.subs[callee].isAsync {
			if v.insns[i].Op != ir.CallSub {
				continue
			}
			if v.subs[callee].isException {
				v.insnIdx = i
				return refuse(CodeCallback, "insn %d cannot call exception cb directly", v.insns[i].Orig)
			}
		}
		frame := top.frame + 1
		if v.subs[callee].global {
			frame = 0
		}
		v.insnIdx = i
		if frame >= maxFrames || len(stack) >= 2*maxSubprogs {
			return refuse(CodeCallDepth, "the call stack of %d frames is too deep !", frame)
		}
		if err := enter(callee, frame, top.depth); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) chainHasCallback(stack []level) bool {
	for _, l := range stack {
		if v.subs[l.sub].isCallback {
			return true
		}
	}
	return false
}

// throws: the instruction calls bpf_throw.
func (v *verifier) throws(i int32) bool {
	in := &v.insns[i]
	return in.Op == ir.CallKfunc && v.prog.Code.Kfuncs[in.Imm] == "bpf_throw"
}

// checkEffects finds which functions leave the program, throw or move packets, by themselves or through what they call, and
// refuses those that may leave it but do not return a number. It follows check_btf_func and merge_callee_effects.
func (v *verifier) checkEffects() error {
	if err := v.findException(); err != nil {
		return err
	}
	for i := range v.insns {
		in, s := &v.insns[i], &v.subs[v.subAt(int32(i))]
		switch {
		case v.legacyLoad(in):
			s.legacy = true
		case in.Op == ir.CallHelper && in.Imm == fnTailCall:
			s.tailCall = true
		case v.throws(int32(i)):
			s.throws = true
		}
		if in.Op == ir.CallHelper {
			h := v.helper(int32(in.Imm))
			s.movesPacket = s.movesPacket || h != nil && h.movesPacket()
		}
		if in.Op == ir.CallKfunc && v.prog.Code.Kfuncs[in.Imm] == "bpf_xdp_pull_data" {
			s.movesPacket = true
		}
	}
	if a, ok := v.at.Context.(*Args); ok && slices.Contains(a.owned(), true) {
		for i := range v.subs {
			if v.subs[i].tailCall {
				return refuse(CodeReference, "program with __ref argument cannot tail call")
			}
		}
	}
	for i := range v.subs {
		s := &v.subs[i]
		if i == 0 || !s.legacy && !s.tailCall {
			continue
		}
		what := "tail_call is"
		if s.legacy {
			what = "LD_ABS is"
		}
		_, p := v.subProto(i)
		if p == nil {
			return refuse(CodeGlobalFunc, "%s not allowed in subprogs without BTF", what)
		}
		if t := skipMods(p.Return); !isScalarType(t) {
			return refuse(CodeGlobalFunc, "%s only allowed in functions that return 'int'.", what)
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range v.insns {
			callee, ok := v.callee(int32(i))
			if !ok {
				continue
			}
			c, s := &v.subs[callee], &v.subs[v.subAt(int32(i))]
			if c.throws && !s.throws || c.movesPacket && !s.movesPacket {
				s.throws, s.movesPacket, changed = s.throws || c.throws, s.movesPacket || c.movesPacket, true
			}
		}
	}
	return nil
}

// findException finds the exception callback. It follows bpf_find_exception_callback_insn_off.
func (v *verifier) findException() error {
	if len(link.ExceptionCallbacks(v.prog.Type)) > 1 {
		return refuse(CodeCallback, "multiple exception callback tags for main subprog")
	}
	n := int(v.prog.Code.Exception)
	if n == 0 {
		return nil
	}
	if n < 0 || n >= len(v.subs) {
		return refuse(CodeInvalidInsn, "an exception callback number %d", n)
	}
	s := &v.subs[n]
	if !s.global {
		return refuse(CodeCallback, "exception callback '%s' must have global linkage", s.name)
	}
	s.isException, s.isCallback, s.isAsync, s.called = true, true, true, true
	return nil
}

// checkException checks what the exception callback takes and returns.
func (v *verifier) checkException(sub int) error {
	args, err := v.globalArgs(sub)
	switch {
	case err != nil:
		return err
	case v.subVoid(sub):
		return refuse(CodeCallback, "exception cb cannot return void")
	case len(args) != 1 || args[0].typ != argAny:
		return refuse(CodeCallback, "exception cb only supports single integer argument")
	}
	return nil
}

// checkThrowLeaks refuses to throw with something held.
func (v *verifier) checkThrowLeaks() error {
	st := v.cur
	for _, r := range st.refs {
		if r.kind == refPtr && st.locks == 0 {
			v.notef("Unreleased reference id=%d alloc_insn=%d", r.id, v.insns[r.insn].Orig)
			return refuse(CodeLeak, "bpf_throw would lead to reference leak")
		}
	}
	return v.checkLeaks(true, "bpf_throw")
}

// compatibleMaps tells which maps go with the program. It follows check_map_prog_compatibility.
func (v *verifier) compatibleMaps() error {
	arenas := 0
	for _, m := range v.maps {
		if m == nil {
			continue
		}
		switch {
		case m.rec.has(fieldListHead|fieldRBRoot) && v.at.Event:
			return refuse(CodeMapFunc, "tracing progs cannot use bpf_{list_head,rb_root} yet")
		case m.rec.has(fieldSpinLock|fieldResSpinLock) && v.at.SocketFilter:
			return refuse(CodeMapFunc, "socket filter progs cannot use bpf_spin_lock yet")
		case m.rec.has(fieldSpinLock|fieldResSpinLock) && v.at.Event:
			return refuse(CodeMapFunc, "tracing progs cannot use bpf_spin_lock yet")
		case m.typ == mapStructOps:
			return refuse(CodeMapFunc, "bpf_struct_ops map cannot be used in prog")
		case v.at.Sleepable && !sleepableMap(m):
			return refuse(CodeMapFunc, "Sleepable programs can only use array, hash, ringbuf and local storage maps")
		}
		if m.typ == mapArena {
			if arenas++; arenas > 1 {
				return refuse(CodeMapFunc, "Only one arena per program")
			}
		}
	}
	return nil
}

func sleepableMap(m *mapInfo) bool {
	switch m.typ {
	case mapHash, mapRHash, mapLRUHash, mapArray, mapPercpuHash, mapPercpuArray, mapLRUPercpuHash, mapLPM, mapArrayOfMaps, mapHashOfMaps, mapRingbuf,
		mapUserRingbuf, mapInodeStorage, mapSkStorage, mapTaskStorage, mapCgrpStorage, mapQueue, mapStackMap, mapArena, mapInsnArray, mapProgArray:
		return true
	}
	return false
}
