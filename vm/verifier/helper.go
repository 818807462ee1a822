package verifier

import (
	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// callMeta is what is learned of the arguments of a call.
type callMeta struct {
	h         *helper
	m         *mapInfo
	uid       uint32
	raw       bool // the memory argument is written, not read
	access    int
	accessReg *reg
	maxSize   int64
	memSize   uint32
	sub       int
	constKey  int64
	retType   btf.Type
	retLocal  bool
	kptr      *field
	refID     uint32 // of a referenced argument
	dyn       dynKind
	dynID     uint32
	dynParent uint32
	release   int // register that is released, 0 for none
}

func (v *verifier) gpl() bool {
	switch v.obj.License {
	case "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL":
		return true
	}
	return false
}

// canSleep: the program may sleep here. It follows in_sleepable_context.
func (v *verifier) canSleep() bool { return v.whyNoSleep() == "" }

func (v *verifier) whyNoSleep() string {
	switch s := v.cur; {
	case s.rcu > 0:
		return "rcu_read_lock region"
	case s.preempt > 0:
		return "non-preemptible region"
	case s.irqID != 0:
		return "IRQ-disabled region"
	case s.locks > 0:
		return "lock region"
	case !s.sleepable:
		return "non-sleepable prog"
	}
	return ""
}

// stepHelper checks the call of a helper. It follows check_helper_call (kernel/bpf/verifier.c, 7.2).
func (v *verifier) stepHelper(in *ir.Insn) error {
	id := int32(in.Imm)
	h := v.helper(id)
	if v.at.Helper == nil || !v.at.Helper(id) {
		name := "unknown"
		if h != nil {
			name = "bpf_" + h.name
		}
		return refuse(CodeHelper, "program of this type cannot use helper %s#%d", name, id)
	}
	if h == nil {
		return unsupported("helper %d", id)
	}
	if h.gpl && !v.gpl() {
		return refuse(CodeLicense, "cannot call GPL-restricted function from non-GPL compatible program")
	}
	if v.at.Forbidden != nil && v.at.Forbidden(id) {
		return refuse(CodeHelper, "helper call is not allowed in probe")
	}
	if h.sleeps && !v.canSleep() {
		return refuse(CodeSleepable, "sleepable helper bpf_%s#%d in %s", h.name, id, v.whyNoSleep())
	}
	m := &callMeta{h: h, constKey: -1}
	for i := range h.nargs() {
		if err := v.helperArg(i, m); err != nil {
			return err
		}
	}
	if err := v.mapWriteAllowed(m); err != nil {
		return err
	}
	if m.access > 0 {
		r := *m.accessReg
		for i := range m.access {
			if err := v.checkMem(access{r: &r, name: "arg", off: int64(i), size: 1, write: true, val: noValue}); err != nil {
				return err
			}
		}
	}
	if m.release != 0 {
		if err := v.releaseArg(m); err != nil {
			return err
		}
	}
	if err := v.helperSpecial(m); err != nil {
		return err
	}
	regs := v.regs()
	for i := range callerSaved {
		regs[i].markNotInit()
	}
	if err := v.helperResult(m); err != nil {
		return err
	}
	if err := v.mapFunc(m); err != nil {
		return err
	}
	return v.afterHelper(m)
}

// afterHelper is what follows from a call that went well: packets may have moved, the program may have ended.
func (v *verifier) afterHelper(m *callMeta) error {
	moves := m.h.movesPacket() || m.h.id == 202 && (m.dyn == dynSkb || m.dyn == dynSkbMeta)
	if m.h.id == fnTailCall {
		st := v.cur
		if len(st.frames) == 1 {
			return nil
		}
		if st.cur().inCallback {
			return refuse(CodeCallback, "cannot tail call within callback")
		}
		if _, err := v.push(v.insnIdx+1, v.insnIdx); err != nil {
			return err
		}
		v.dropPackets()
		v.regs()[0].markUnknown()
		v.left = true
		return v.returnToCaller()
	}
	if moves {
		v.dropPackets()
	}
	return nil
}

// releaseArg gives back what the released argument holds. It follows release_reg.
func (v *verifier) releaseArg(m *callMeta) error {
	r := &v.regs()[m.release]
	switch {
	case r.isNull():
		return nil
	case m.dynID != 0:
		return v.unmarkDynptr(r)
	case m.h != nil && m.h.id == 194 && v.inRCU() && r.typ.has(memAlloc) && r.typ.has(percpu):
		id := r.id
		v.cur.dropRef(id)
		v.cur.eachReg(func(r *reg) {
			if r.id == id && r.typ.has(memAlloc) && r.typ.has(percpu) {
				r.id = 0
				r.typ = r.typ&^memAlloc | rcuPtr
			}
		})
		return nil
	case v.isReferenced(r):
		return v.releaseRef(r.id)
	}
	return refuse(CodeReference, "release of R%d, which is not referenced", m.release)
}

// helperSpecial are the rules of single helpers.
func (v *verifier) helperSpecial(m *callMeta) error {
	regs := v.regs()
	switch m.h.id {
	case 12: // tail_call
		if err := v.checkLeaks(true, "tail_call"); err != nil {
			return err
		}
		if k := &regs[3]; m.m != nil && k.isConst() && k.bits.value < uint64(m.m.max) {
			return v.markPrecise(3) // the kernel compiles a jump to that program; it follows record_func_key
		}
	case 81: // get_local_storage
		if !regs[2].isNull() {
			return refuse(CodeArgValue, "get_local_storage() doesn't support non-zero flags")
		}
		return v.markPrecise(2)
	case 187: // set_retval
		return v.setRetval()
	case 164:
		switch m.m.typ {
		case mapHash, mapArray, mapPercpuHash, mapPercpuArray, mapLRUHash, mapLRUPercpuHash:
		default: // maps without map_for_each_callback
			return refuse(CodeMapFunc, "callback function not allowed for map")
		}
		return v.callCallback(m.sub, callbackSync, setMapElemArgs)
	case 170:
		return v.callCallback(m.sub, callbackAsync, setTimerArgs)
	case 180:
		return v.callCallback(m.sub, callbackSync, setFindVMAArgs)
	case 209:
		return v.callCallback(m.sub, callbackSync, setUserRingbufArgs)
	case 165:
		return v.checkSnprintf()
	case 181:
		if regs[1].typ != scalar {
			return refuse(CodeArgType, "R1 type=%v expected=scalar", regs[1].typ)
		}
		if err := v.loopFlags(m.sub); err != nil {
			return err
		}
		if err := v.markPrecise(1); err != nil {
			return err
		}
		f := v.cur.cur()
		if uint64(f.callbackDepth) < regs[1].umax() {
			return v.callCallback(m.sub, callbackSync, setLoopArgs)
		}
		f.callbackDepth = 0
	case 197:
		if regs[1].typ != ptrToMapValue {
			return refuse(CodeDynptr, "Unsupported reg type %v for bpf_dynptr_from_mem data", regs[1].typ)
		}
	}
	return nil
}

// loopFlags sees whether bpf_loop always runs the same function, with flags of 0. It follows update_loop_inline_state.
func (v *verifier) loopFlags(sub int) error {
	a := &v.aux[v.insnIdx]
	if a.loop < 0 {
		return nil
	}
	zero := v.regs()[4].isNull()
	if zero {
		if err := v.markPrecise(4); err != nil {
			return err
		}
	}
	if !zero || a.loop != 0 && a.loop != sub {
		a.loop = -1
	} else {
		a.loop = sub
	}
	return nil
}

// helperResult sets r0.
func (v *verifier) helperResult(m *callMeta) error {
	r0 := &v.regs()[0]
	h := m.h
	var flags regType
	if h.ret&retNull != 0 {
		flags |= maybeNull
	}
	if h.ret&retTrusted != 0 {
		flags |= trusted
	}
	switch h.ret & retBase {
	case retInt:
		r0.markUnknown()
	case retVoid:
		return nil
	case retMapValue:
		if h.id == 1 && m.m.elidesNull() && m.constKey >= 0 && m.constKey < int64(m.m.max) {
			flags &^= maybeNull
		}
		r0.setPointer(ptrToMapValue|flags, object{m: m.m, uid: m.uid})
		if flags == 0 && m.m.rec.has(fieldSpinLock|fieldResSpinLock) {
			r0.id = v.newID()
		}
	case retMem:
		t := ptrToMem | flags
		if h.ret&retRingbuf != 0 {
			t |= ringbufMem
		}
		r0.setPointer(t, object{size: m.memSize})
	case retMemOrBTF:
		if isStruct(skipMods(m.retType)) {
			t := ptrToBTF | flags
			if m.retLocal {
				t = ptrToBTF | memAlloc | rcuPtr
			}
			r0.setPointer(t, object{typ: skipMods(m.retType), local: m.retLocal})
			break
		}
		size, ok := sizeOf(m.retType)
		if !ok {
			return refuse(CodeArgType, "unable to resolve the size of type '%s'", m.retType.TypeName())
		}
		r0.setPointer(ptrToMem|flags|rdonly, object{size: size})
	case retSocket:
		r0.setPointer(ptrToSocket|flags, object{})
	case retSockCommon:
		r0.setPointer(ptrToSockCommon|flags, object{})
	case retTCPSock:
		r0.setPointer(ptrToTCPSock|flags, object{})
	case retBTF:
		o := object{}
		switch {
		case h.id == 194:
			o.typ, o.local = m.kptr.typ, m.kptr.local
			if o.local {
				flags |= memAlloc
			}
			if m.kptr.kind == fieldKptrPercpu {
				flags |= percpu
			}
		default:
			o.typ = v.kernelStruct(h.retBTF)
		}
		if o.typ == nil {
			return unsupported("helper %s without the kernel's types", h.name)
		}
		r0.setPointer(ptrToBTF|flags, o)
	}
	if r0.typ.base() == ptrToBTF {
		v.doubt(r0)
	}
	if r0.typ.has(maybeNull) && r0.typ != notInit {
		r0.id = v.newID()
	}
	switch {
	case h.castsSocket() && v.cur.findRef(m.refID):
		// Releasing either one takes both away, so that they have one id; that the result is null is another path.
		other, err := v.push(v.insnIdx+1, v.insnIdx)
		if err != nil {
			return err
		}
		other.cur().regs[0].setConst(0)
		r0.typ &^= maybeNull
		r0.id = m.refID
	case h.acquires(m.m):
		r0.id = v.acquireRef(0)
	}
	if h.id == 203 {
		r0.parent = m.dynID
	}
	switch h.id {
	case 186: // get_retval
		if t := &v.at.Retval; !t.Any && !t.Void {
			r0.r64, r0.r32 = srange[uint64](int64(t.Lo), int64(t.Hi)), srange[uint32](int64(t.Lo), int64(t.Hi))
			r0.sync()
		}
	case 67, 141, 45, 115, 114:
		r0.r64, r0.r32 = srange[uint64](-maxErrno, m.maxSize), srange[uint32](-maxErrno, m.maxSize)
		r0.sync()
	case 8:
		n := v.at.NrCPUs
		if n == 0 {
			n = 8192
		}
		r0.r64, r0.r32 = urange(0, uint64(n-1)), urange(0, n-1)
		r0.sync()
	}
	return nil
}

// elidesNull: a lookup of a known key within bounds finds something. Maps of other sizes may stand in for one with
// BPF_F_INNER_MAP. It follows can_elide_value_nullness.
func (m *mapInfo) elidesNull() bool {
	return m.flags&(1<<12) == 0 && (m.typ == mapArray || m.typ == mapPercpuArray)
}

// mapWriteAllowed follows record_func_map.
func (v *verifier) mapWriteAllowed(m *callMeta) error {
	switch m.h.id {
	case 2, 3, 87, 88:
		if m.m.flags&elf.FlagRdonlyProg != 0 || m.m.frozen {
			return refuse(CodeReadOnly, "write into map forbidden")
		}
	}
	return nil
}
