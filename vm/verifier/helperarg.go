package verifier

import (
	"bytes"
	"slices"
)

// compatible are the sorts of registers that an argument takes.
func compatible(a argType) []regType {
	switch a.base() {
	case argMapKey, argMapValue, argMem:
		return []regType{ptrToStack, ptrToPacket, ptrToPacketMeta, ptrToMapKey, ptrToMapValue, ptrToMem, ptrToMem | ringbufMem, ptrToBuf,
			ptrToBTF | trusted, ptrToCtx}
	case argSock:
		return []regType{ptrToSockCommon, ptrToSocket, ptrToTCPSock, ptrToXDPSock}
	case argSocket:
		return []regType{ptrToSocket}
	case argBTFSock:
		return []regType{ptrToSockCommon, ptrToSocket, ptrToTCPSock, ptrToXDPSock, ptrToBTF, ptrToBTF | trusted}
	case argSize, argSizeOrZero, argAllocSize, argScalar:
		return []regType{scalar}
	case argMap:
		return []regType{constPtrToMap}
	case argCtx:
		return []regType{ptrToCtx}
	case argBTF:
		return []regType{ptrToBTF, ptrToBTF | trusted, ptrToBTF | rcuPtr}
	case argSpinLock:
		return []regType{ptrToMapValue, ptrToBTF | memAlloc}
	case argRingbufMem:
		return []regType{ptrToMem | ringbufMem}
	case argPercpuBTF:
		return []regType{ptrToBTF | percpu, ptrToBTF | percpu | rcuPtr, ptrToBTF | percpu | trusted}
	case argFunc:
		return []regType{ptrToFunc}
	case argStack:
		return []regType{ptrToStack}
	case argConstStr, argTimer:
		return []regType{ptrToMapValue}
	case argKptrDest:
		return []regType{ptrToMapValue, ptrToBTF | memAlloc, ptrToBTF | memAlloc | nonOwn, ptrToBTF | memAlloc | nonOwn | rcuPtr}
	case argDynptr:
		return []regType{ptrToStack, constPtrToDynptr}
	}
	return nil
}

// argSort checks the sort of an argument. It follows check_reg_type.
func (v *verifier) argSort(r *reg, n int, a argType, m *callMeta, want string) error {
	t := r.typ
	name := regName(n)
	if a.has(argRead) {
		t &^= rdonly
	}
	if a.has(argNull) {
		t &^= maybeNull
	}
	if a.base() == argMem {
		t &^= dynMem
	}
	xchg := m.h != nil && m.h.id == 194
	if xchg && t.has(memAlloc) && n == 2 {
		t &^= memAlloc | percpu
	}
	types := compatible(a)
	if !slices.Contains(types, t) {
		code := CodeArgType
		if r.typ.has(maybeNull) && slices.Contains(types, t&^maybeNull) {
			code = CodeNull
		}
		return refuse(code, "%s type=%v expected=%s", name, r.typ, typeList(types))
	}
	if r.typ.base() != ptrToBTF {
		return nil
	}
	switch a.base() {
	case argMapKey, argMapValue, argMem:
		if !a.has(argRead) {
			return refuse(CodeArgType, "%s() may write into memory pointed by %s type=%v", m.h.kernelName(), name, r.typ)
		}
		return nil
	case argBTF, argBTFSock:
		if a.base() == argBTFSock {
			want = "sock_common"
		}
		if r.typ.has(maybeNull) && (!a.has(argNull) || a.has(argRelease)) {
			return refuse(CodeNull, "Possibly NULL pointer passed to helper %s", name)
		}
		if xchg {
			return v.kptrMatch(m.kptr, r, name)
		}
		if err := fixedOff(r, name, true); err != nil {
			return err
		}
		need := v.kernelStruct(want)
		strict := a.has(argRelease) && m.h.id != 86 // sk_release: all begin with what they share
		if need == nil || r.obj.local || !idsMatch(r.obj.typ, r.off(), need, strict, !r.typ.has(memAlloc)) {
			return refuse(CodeArgType, "%s is of type %s but %s is expected", name, r.obj.typ.TypeName(), want)
		}
	}
	return nil
}

func typeList(types []regType) string {
	var b bytes.Buffer
	for i, t := range types {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.String())
	}
	return b.String()
}

// argOff checks the offset of an argument. It follows __check_func_arg_reg_off.
func (v *verifier) argOff(r *reg, name string, a argType, btfOff bool) error {
	if a.has(argRelease) {
		if a.base() == argDynptr && r.typ == ptrToStack {
			return nil
		}
		if !r.bits.isConst() || r.off() != 0 {
			return refuse(CodeArgType, "%s must have zero offset when passed to release func or trusted arg to kfunc", name)
		}
	}
	switch r.typ {
	case ptrToStack, ptrToPacket, ptrToPacketMeta, ptrToMapKey, ptrToMapValue, ptrToMem, ptrToMem | rdonly, ptrToMem | ringbufMem, ptrToBuf, ptrToBuf | rdonly, ptrToArena, scalar:
		return nil
	case ptrToBTF, ptrToBTF | memAlloc, ptrToBTF | trusted, ptrToBTF | rcuPtr, ptrToBTF | memAlloc | nonOwn, ptrToBTF | memAlloc | nonOwn | rcuPtr:
		return fixedOff(r, name, btfOff)
	case ptrToCtx:
		if a.base() != argCtx && v.at.Context != nil && v.at.Context.Region() > 0 {
			return nil
		}
	}
	return fixedOff(r, name, false)
}

// helperArg checks an argument of a helper. It follows check_func_arg.
func (v *verifier) helperArg(i int, m *callMeta) error {
	n := i + 1
	r := &v.regs()[n]
	name := regName(n)
	a := m.h.args[i]
	if r.typ == notInit {
		return refuse(CodeUninitReg, "R%d !read_ok", n)
	}
	if a == argAny {
		return nil
	}
	if r.typ.packet() && !v.packetAllowed(m.h, false) {
		return refuse(CodeArgType, "helper access to the packet is not allowed")
	}
	if a.base() == argMapValue && m.m != nil {
		switch {
		case m.m.typ == mapBloom && m.h.id == 89:
			a = argMapValue
		case m.m.typ == mapSock || m.m.typ == mapSockHash:
			if a != argMapValue {
				return refuse(CodeMapFunc, "invalid arg_type for sockmap/sockhash")
			}
			a = argBTFSock
		}
	}
	if r.isNull() && a.has(argNull) {
		if err := v.markPrecise(n); err != nil {
			return err
		}
	} else {
		if err := v.argSort(r, n, a, m, m.h.btf); err != nil {
			return err
		}
		if err := v.argOff(r, name, a, true); err != nil {
			return err
		}
	}
	if a.has(argRelease) {
		m.release = n
		if a.base() != argDynptr && !v.isReferenced(r) && !r.isNull() {
			return refuse(CodeReference, "release helper %s expects referenced PTR_TO_BTF_ID passed to %s", m.h.kernelName(), name)
		}
	}
	if v.isReferenced(r) {
		m.refID = r.id
	}
	write := a.has(argWrite)
	switch a.base() {
	case argMap:
		if m.m != nil && (m.m != r.obj.m || m.uid != r.obj.uid) {
			return refuse(CodeArgType, "timer pointer in R1 map_uid=%d doesn't match map pointer in R2 map_uid=%d", m.uid, r.obj.uid)
		}
		m.m, m.uid = r.obj.m, r.obj.uid
	case argMapKey:
		if m.m == nil {
			return bug("a key without a map")
		}
		if err := v.helperMem(r, name, int64(m.m.key), false, false, nil); err != nil {
			return err
		}
		if m.m.elidesNull() {
			return v.constantKey(r, m)
		}
	case argMapValue:
		if r.isNull() {
			return nil
		}
		if m.m == nil {
			return bug("a value without a map")
		}
		m.raw = a.has(argUninit)
		return v.helperMem(r, name, int64(m.m.value), write, false, m)
	case argMem:
		m.raw = a.has(argUninit)
		if size := m.h.sizes[i]; size != 0 {
			if err := v.helperMem(r, name, int64(size), write, false, m); err != nil {
				return err
			}
			if a.has(argAligned) {
				return aligned(r, 0, int(size), true)
			}
		}
	case argSize, argSizeOrZero:
		prev := &v.regs()[n-1]
		return v.memSize(prev, r, regName(n-1), name, n, m.h.args[i-1].has(argWrite), a.base() == argSizeOrZero, m)
	case argAllocSize:
		if !r.bits.isConst() {
			return refuse(CodeArgValue, "R%d is not a known constant'", n)
		}
		if r.bits.value > 1<<32-1 {
			return refuse(CodeArgValue, "R%d is too large", n)
		}
		m.memSize = uint32(r.bits.value)
		return v.markPrecise(n)
	case argPercpuBTF:
		m.retType, m.retLocal = r.obj.typ, r.typ.has(rcuPtr)
	case argSpinLock:
		if v.inTreeCallback() {
			return refuse(CodeLock, "can't spin_{lock,unlock} in rbtree cb")
		}
		return v.lockArg(r, name, m.h.id == 93, false, false)
	case argTimer:
		return v.fieldArg(r, name, fieldTimer, m)
	case argFunc:
		m.sub = int(r.obj.size)
	case argConstStr:
		_, err := v.constStr(r, name)
		return err
	case argKptrDest:
		return v.kptrDest(r, n, m)
	case argDynptr:
		return v.dynptrArg(r, name, a, dynInvalid, m)
	}
	return nil
}

// constantKey finds a key that is known, so that an array lookup with it cannot fail. It follows get_constant_map_key.
func (v *verifier) constantKey(r *reg, m *callMeta) error {
	if r.typ != ptrToStack || !r.bits.isConst() {
		return nil
	}
	f := v.frameOf(r)
	off := r.off()
	s := &f.stack[slotOf(off)]
	zeros, spilled := uint32(0), uint32(0)
	for b := byteOf(off); b >= 0 && s.kind[b] == slotZero; b-- {
		zeros++
	}
	if zeros >= m.m.key {
		m.constKey = 0
		return nil
	}
	for b := byteOf(off); b >= 0 && s.kind[b] == slotSpill; b-- {
		spilled++
	}
	if !s.isScalarSpill() || spilled != m.m.key || !s.reg.bits.isConst() || off%regSize != 0 {
		return nil
	}
	m.constKey = int64(s.reg.bits.value)
	return v.markSlotPrecise(f.no, slotOf(off))
}

// constStr is the string in read-only data that an argument points to. It follows check_arg_const_str.
func (v *verifier) constStr(r *reg, name string) (string, error) {
	m := r.obj.m
	switch {
	case !m.constant():
		return "", refuse(CodeArgType, "%s does not point to a readonly map'", name)
	case !r.bits.isConst():
		return "", refuse(CodeArgType, "%s is not a constant address'", name)
	}
	if err := v.mapAccess(r, name, 0, int64(m.value)-r.off(), false, false); err != nil {
		return "", err
	}
	b := make([]byte, m.value)
	copy(b, m.data)
	b = b[r.off():]
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return "", refuse(CodeArgValue, "string is not zero-terminated")
	}
	return string(b[:end]), nil
}

// checkSnprintf checks the format and the number of arguments of bpf_snprintf.
func (v *verifier) checkSnprintf() error {
	regs := v.regs()
	if regs[5].bits.isConst() && regs[5].off()%8 != 0 {
		return refuse(CodeArgValue, "the size of the data is no multiple of 8")
	}
	f, err := v.constStr(&regs[3], "R3")
	if err != nil {
		return err
	}
	n, ok := countFormat(f)
	if !ok || uint64(n)*8 > regs[5].bits.value {
		return refuse(CodeArgValue, "Invalid format string")
	}
	return nil
}

// countFormat counts the conversions of a format as bpf_bprintf_prepare knows them.
func countFormat(f string) (n int, ok bool) {
	for i := 0; i < len(f); i++ {
		if f[i] >= 0x80 || f[i] < 0x20 && f[i] != '\n' && f[i] != '\t' && f[i] != '\r' && f[i] != '\v' && f[i] != '\f' {
			return 0, false
		}
		if f[i] != '%' {
			continue
		}
		if i++; i < len(f) && f[i] == '%' {
			continue
		}
		n++
		for i < len(f) && bytes.IndexByte([]byte("0+- "), f[i]) >= 0 {
			i++
		}
		for i < len(f) && f[i] >= '0' && f[i] <= '9' {
			i++
		}
		if i >= len(f) {
			return 0, false
		}
		switch f[i] {
		case 'p':
			if i+1 < len(f) && (f[i+1] == 'k' || f[i+1] == 'u') && i+2 < len(f) && f[i+2] == 's' {
				i += 2
			} else if i+1 < len(f) && bytes.IndexByte([]byte("KxBsS"), f[i+1]) >= 0 {
				i++
			} else if i+2 < len(f) && (f[i+1] == 'i' || f[i+1] == 'I') && (f[i+2] == '4' || f[i+2] == '6') {
				i += 2
			}
		case 's', 'c':
		case 'l':
			if i++; i < len(f) && f[i] == 'l' {
				i++
			}
			if i >= len(f) || bytes.IndexByte([]byte("diuxX"), f[i]) < 0 {
				return 0, false
			}
		case 'd', 'i', 'u', 'x', 'X':
		default:
			return 0, false
		}
	}
	return n, n <= 12
}

// kptrDest is the first argument of bpf_kptr_xchg. It follows process_kptr_func.
func (v *verifier) kptrDest(r *reg, n int, m *callMeta) error {
	rec := v.recordBehind(r)
	if r.typ == ptrToMapValue {
		if !r.obj.m.hasBTF {
			return refuse(CodeArgType, "map '%s' has to have BTF in order to use bpf_kptr_xchg", r.obj.m.name)
		}
		m.m = r.obj.m
	}
	switch {
	case !r.bits.isConst():
		return refuse(CodeArgType, "R%d doesn't have constant offset. kptr has to be at the constant offset", n)
	case !rec.has(fieldKptr):
		return refuse(CodeArgType, "R%d has no valid kptr", n)
	}
	f := rec.find(r.off(), fieldKptr)
	switch {
	case f == nil:
		return refuse(CodeArgType, "off=%d doesn't point to kptr", r.off())
	case f.kind == fieldKptrUnref:
		return refuse(CodeArgType, "off=%d kptr isn't referenced kptr", r.off())
	}
	m.kptr = f
	return nil
}

// fieldArg is a pointer to a timer or work of a map value. It follows check_map_field_pointer.
func (v *verifier) fieldArg(r *reg, name string, k fieldKind, m *callMeta) error {
	if r.typ != ptrToMapValue {
		return refuse(CodeArgType, "%s doesn't point to a map value", name)
	}
	mi := r.obj.m
	switch {
	case !r.bits.isConst():
		return refuse(CodeArgType, "%s doesn't have constant offset. %s has to be at the constant offset", name, k)
	case !mi.hasBTF:
		return refuse(CodeArgType, "map '%s' has to have BTF in order to use %s", mi.name, k)
	case !mi.rec.has(k):
		return refuse(CodeArgType, "map '%s' has no valid %s", mi.name, k)
	}
	if f := mi.rec.only(k); int64(f.off) != r.off() {
		return refuse(CodeArgType, "off %d doesn't point to 'struct %s' that is at %d", r.off(), k, f.off)
	}
	m.m, m.uid = mi, r.obj.uid
	return nil
}
