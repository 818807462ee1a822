package verifier

import (
	"strconv"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// Map types that have rules of their own (enum bpf_map_type).
const (
	mapHash          elf.MapType = 1
	mapArray         elf.MapType = 2
	mapProgArray     elf.MapType = 3
	mapPerfArray     elf.MapType = 4
	mapPercpuHash    elf.MapType = 5
	mapPercpuArray   elf.MapType = 6
	mapStackTrace    elf.MapType = 7
	mapCgroupArray   elf.MapType = 8
	mapLRUHash       elf.MapType = 9
	mapLRUPercpuHash elf.MapType = 10
	mapLPM           elf.MapType = 11
	mapArrayOfMaps   elf.MapType = 12
	mapHashOfMaps    elf.MapType = 13
	mapDev           elf.MapType = 14
	mapSock          elf.MapType = 15
	mapCPU           elf.MapType = 16
	mapXSK           elf.MapType = 17
	mapSockHash      elf.MapType = 18
	mapCgroupStorage elf.MapType = 19
	mapReuseport     elf.MapType = 20
	mapPercpuCgroup  elf.MapType = 21
	mapQueue         elf.MapType = 22
	mapStackMap      elf.MapType = 23
	mapSkStorage     elf.MapType = 24
	mapDevHash       elf.MapType = 25
	mapStructOps     elf.MapType = 26
	mapRingbuf       elf.MapType = 27
	mapInodeStorage  elf.MapType = 28
	mapTaskStorage   elf.MapType = 29
	mapBloom         elf.MapType = 30
	mapUserRingbuf   elf.MapType = 31
	mapCgrpStorage   elf.MapType = 32
	mapArena         elf.MapType = 33
	mapInsnArray     elf.MapType = 34
	mapRHash         elf.MapType = 35
)

func regName(n int) string {
	names := [...]string{"R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10"}
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return "R" + strconv.Itoa(n)
}

// inRange checks one end of an access. It follows __check_mem_access.
func inRange(r *reg, name string, off, size int64, mem uint32, zeroOK bool) error {
	if off >= 0 && (size > 0 || size == 0 && zeroOK) && off+size <= int64(mem) {
		return nil
	}
	switch r.typ {
	case ptrToMapKey:
		return refuse(CodeBounds, "invalid access to map key, key_size=%d off=%d size=%d", mem, off, size)
	case ptrToMapValue:
		return refuse(CodeBounds, "invalid access to map value, value_size=%d off=%d size=%d", mem, off, size)
	case ptrToCtx:
		return refuse(CodeCtxAccess, "invalid access to context, ctx_size=%d off=%d size=%d", mem, off, size)
	case ptrToPacket, ptrToPacketMeta:
		return refuse(CodeBounds, "invalid access to packet, off=%d size=%d, %s(id=%d,off=%d,r=%d)", off, size, name, r.id, off, mem)
	}
	return refuse(CodeBounds, "invalid access to memory, mem_size=%d off=%d size=%d", mem, off, size)
}

// region checks an access to memory of a known size. It follows check_mem_region_access.
func (v *verifier) region(r *reg, name string, off, size int64, mem uint32, zeroOK bool) error {
	if lo := r.smin(); lo < 0 && (lo == minS64 || off+lo != int64(int32(off+lo)) || lo+off < 0) {
		return refuse(CodeBounds, "%s min value is negative, either use unsigned index or do a if (index >=0) check.", name)
	}
	if err := inRange(r, name, r.smin()+off, size, mem, zeroOK); err != nil {
		v.notef("%s", err)
		return refuse(CodeBounds, "%s min value is outside of the allowed memory range", name)
	}
	if r.umax() >= maxVarOff {
		return refuse(CodeBounds, "%s unbounded memory access, make sure to bounds check any such access", name)
	}
	if err := inRange(r, name, int64(r.umax())+off, size, mem, zeroOK); err != nil {
		v.notef("%s", err)
		return refuse(CodeBounds, "%s max value is outside of the allowed memory range", name)
	}
	return nil
}

// fixedOff refuses variable, negative and, unless they are fine, other offsets. It follows __check_ptr_off_reg.
func fixedOff(r *reg, name string, ok bool) error {
	switch {
	case !r.bits.isConst():
		return refuse(CodeArgType, "variable %s access var_off=%v disallowed", r.typ, r.bits)
	case r.smin() < 0:
		return refuse(CodeArgType, "negative offset %s ptr %s off=%d disallowed", r.typ, name, r.off())
	case !ok && r.off() != 0:
		return refuse(CodeArgType, "dereference of modified %s ptr %s off=%d disallowed", r.typ, name, r.off())
	}
	return nil
}

// aligned: stack slots are always aligned, other memory where the operation needs it.
func aligned(r *reg, off int64, size int, strict bool) error {
	what := ""
	switch r.typ {
	case ptrToStack:
		what, strict = "stack ", true
	case ptrToMapKey:
		what = "key "
	case ptrToMapValue:
		what, strict = "value ", strict || r.obj.m.typ == mapInsnArray
	case ptrToCtx:
		what = "context "
	case ptrToArena:
		return nil
	case ptrToFlowKeys:
		what = "flow keys "
	case ptrToSocket, ptrToSockCommon, ptrToTCPSock, ptrToXDPSock:
		what = r.typ.String() + " "
	case ptrToPacket, ptrToPacketMeta:
		const ipAlign = 2 // NET_IP_ALIGN: headers start at an address that is aligned to 4, less 2
		if !strict || size == 1 || r.bits.add(tnumConst(uint64(off+ipAlign))).isAligned(uint64(size)) {
			return nil
		}
		return refuse(CodeAlignment, "misaligned packet access off %d+%v+%d size %d", ipAlign, r.bits, off, size)
	}
	if !strict || size == 1 || r.bits.add(tnumConst(uint64(off))).isAligned(uint64(size)) {
		return nil
	}
	return refuse(CodeAlignment, "misaligned %saccess off %v+%d size %d", what, r.bits, off, size)
}

// access is one memory access of an instruction or a call.
type access struct {
	r      *reg
	name   string
	off    int64
	size   int
	write  bool
	val    int // register stored or loaded; noReg, noValue
	strict bool
	signed bool
}

// checkMem checks an access and sets the register that it loads. It follows check_mem_access (kernel/bpf/verifier.c, 7.2).
func (v *verifier) checkMem(a access) error {
	if err := aligned(a.r, a.off, a.size, a.strict); err != nil {
		return err
	}
	load := !a.write && a.val >= 0
	var d *reg
	if load {
		d = &v.regs()[a.val]
	}
	r := a.r
	var err error
	switch base := r.typ.base(); {
	case r.typ == ptrToMapKey:
		if a.write {
			return refuse(CodeReadOnly, "write to change key %s not allowed", a.name)
		}
		if err = v.region(r, a.name, a.off, int64(a.size), r.obj.m.key, false); err == nil && load {
			d.markUnknown()
		}
	case r.typ == ptrToMapValue:
		err = v.accessMapValue(a, d)
	case base == ptrToMem:
		err = v.accessMemory(a, d)
	case r.typ == ptrToCtx:
		err = v.accessCtx(a, d)
	case r.typ == ptrToStack:
		if err = v.stackBounds(r, a.name, a.off, int64(a.size), a.write); err != nil {
			return err
		}
		if a.write {
			err = v.writeStack(r, a.off, a.size, a.val)
		} else {
			err = v.readStack(r, a.name, a.off, a.size, a.val)
		}
	case base == ptrToBTF && !r.typ.has(maybeNull):
		err = v.accessBTF(a, d)
	case r.typ == constPtrToMap:
		err = v.accessMap(a, d)
	case r.typ == ptrToArena:
		if load {
			d.markUnknown()
		}
	case r.typ.packet():
		if a.write && !v.packetAllowed(nil, true) {
			return refuse(CodeReadOnly, "cannot write into packet")
		}
		if err = v.accessPacket(r, a.name, a.off, int64(a.size), false); err == nil && load {
			d.markUnknown()
		}
	case r.typ == ptrToFlowKeys:
		err = v.accessFlowKeys(a, d)
	case r.typ.socket() && !r.typ.has(maybeNull):
		err = v.accessSocket(a, d)
	case r.typ == ptrToTPBuffer, base == ptrToBuf && !r.typ.has(maybeNull):
		err = v.accessBuffer(a, d)
	default:
		code := CodeBadPointer
		if r.typ.has(maybeNull) {
			code = CodeNull
		}
		return refuse(code, "%s invalid mem access '%v'", a.name, r.typ)
	}
	if err == nil && load && a.size < regSize {
		d = &v.regs()[a.val]
		if d.typ == scalar {
			if !a.signed {
				d.truncate(a.size)
			} else {
				same := d.umax() < 1<<(8*a.size-1)
				d.signExtend(a.size)
				if !same {
					d.clearID()
				}
			}
		}
	}
	return err
}

// mapAccess checks that bytes of a map value may be accessed; direct: by an instruction. It follows check_map_access.
func (v *verifier) mapAccess(r *reg, name string, off, size int64, zeroOK, direct bool) error {
	m := r.obj.m
	if err := v.region(r, name, off, size, m.value, zeroOK); err != nil {
		return err
	}
	if m.rec == nil {
		return nil
	}
	for i := range m.rec.fields {
		f := &m.rec.fields[i]
		if r.smin()+off >= int64(f.off+f.size) || int64(f.off) >= int64(r.umax())+off+size {
			continue
		}
		switch {
		case f.kind&(fieldKptr|fieldUptr) == 0:
			return refuse(CodeSpecialField, "%s cannot be accessed directly by load/store", f.kind)
		case !direct:
			return refuse(CodeSpecialField, "%s cannot be accessed indirectly by helper", f.kind)
		case !r.bits.isConst():
			return refuse(CodeSpecialField, "%s access cannot have variable offset", f.kind)
		case int64(f.off) != off+r.off():
			return refuse(CodeSpecialField, "%s access misaligned expected=%d off=%d", f.kind, f.off, off+r.off())
		case size != regSize:
			return refuse(CodeSpecialField, "%s access size must be BPF_DW", f.kind)
		}
	}
	return nil
}

func mapMay(r *reg, off, size int64, write bool) error {
	switch m := r.obj.m; {
	case write && !m.writable():
		return refuse(CodeReadOnly, "write into map forbidden, value_size=%d off=%d size=%d", m.value, r.smin()+off, size)
	case !write && !m.readable():
		return refuse(CodeReadOnly, "read from map forbidden, value_size=%d off=%d size=%d", m.value, r.smin()+off, size)
	}
	return nil
}

func (v *verifier) accessMapValue(a access, d *reg) error {
	r := a.r
	if err := mapMay(r, a.off, int64(a.size), a.write); err != nil {
		return err
	}
	if err := v.mapAccess(r, a.name, a.off, int64(a.size), false, true); err != nil {
		return err
	}
	if r.bits.isConst() {
		if f := r.obj.m.rec.find(a.off+r.off(), fieldKptr|fieldUptr); f != nil {
			return v.accessKptr(a, d, f)
		}
	}
	if r.obj.m.typ == mapInsnArray && !a.write {
		return loadInsn(a, d)
	}
	if d == nil {
		return nil
	}
	if r.bits.isConst() && r.obj.m.constant() {
		d.setConst(r.obj.m.read(a.off+r.off(), a.size, a.signed))
	} else {
		d.markUnknown()
	}
	return nil
}

// accessKptr follows check_map_kptr_access.
func (v *verifier) accessKptr(a access, d *reg, f *field) error {
	in := &v.insns[v.insnIdx]
	plainLoad := in.Op >= ir.Ld8 && in.Op <= ir.Ld64
	plainStore := in.Op >= ir.St8X && in.Op <= ir.St64K
	switch {
	case !plainLoad && !plainStore:
		return refuse(CodeSpecialField, "kptr in map can only be accessed using BPF_MEM instruction mode")
	case plainStore && f.kind&(fieldKptrRef|fieldKptrPercpu) != 0:
		return refuse(CodeSpecialField, "store to referenced kptr disallowed")
	case plainStore && f.kind == fieldUptr:
		return refuse(CodeSpecialField, "store to uptr disallowed")
	case plainLoad && f.kind == fieldUptr:
		size, _ := sizeOf(f.typ)
		d.setPointer(ptrToMem|maybeNull, object{size: size})
		d.id = v.newID()
		v.doubtMem = true
	case plainLoad:
		d.setPointer(ptrToBTF|v.kptrFlags(f), object{typ: f.typ, local: f.local})
		d.id = v.newID()
	case a.val >= 0:
		val := &v.regs()[a.val]
		if val.isNull() {
			return v.markPrecise(a.val)
		}
		return v.kptrMatch(f, val, regName(a.val))
	case in.Imm != 0:
		return refuse(CodeSpecialField, "BPF_ST imm must be 0 when storing to kptr at off=%d", f.off)
	}
	return nil
}

// kptrFlags are those of a pointer that is read from a kptr. It follows btf_ld_kptr_type.
func (v *verifier) kptrFlags(f *field) regType {
	safe := f.kind == fieldKptrPercpu || f.kind == fieldKptrRef && (f.local || rcuProtected(f.typ.TypeName()))
	if !safe || !v.inRCU() {
		return maybeNull | untrusted
	}
	t := maybeNull | rcuPtr
	switch {
	case f.kind == fieldKptrPercpu:
		t |= percpu
	case f.local:
		t |= memAlloc
	}
	if f.local && v.recordOf(f.typ).has(fieldNodes) {
		t |= nonOwn
	}
	return t
}

// kptrMatch tells whether a pointer may go into a kptr. It follows map_kptr_match_type.
func (v *verifier) kptrMatch(f *field, r *reg, name string) error {
	bad := func() error {
		have, want := r.typ.String(), "ptr_"+f.typ.TypeName()
		if r.typ.base() == ptrToBTF {
			have += r.obj.typ.TypeName()
		}
		if f.kind == fieldKptrUnref {
			want += " or untrusted_" + want
		}
		return refuse(CodeArgType, "invalid kptr access, %s type=%s expected=%s", name, have, want)
	}
	if r.typ.base() != ptrToBTF {
		return bad()
	}
	allowed := maybeNull | trusted | rcuPtr
	switch {
	case r.obj.local && f.kind == fieldKptrPercpu:
		allowed = maybeNull | memAlloc | percpu
	case r.obj.local:
		allowed = maybeNull | memAlloc
	case f.kind == fieldKptrUnref:
		allowed |= untrusted
	}
	if r.typ.flags()&^allowed != 0 || (f.kind == fieldKptrPercpu) != r.typ.has(percpu) {
		return bad()
	}
	if err := fixedOff(r, name, true); err != nil {
		return err
	}
	if r.obj.local != f.local || !idsMatch(r.obj.typ, r.off(), f.typ, f.kind != fieldKptrUnref, !r.typ.has(memAlloc)) {
		return bad()
	}
	return nil
}

func (v *verifier) accessMemory(a access, d *reg) error {
	r := a.r
	switch {
	case r.typ.has(maybeNull):
		return refuse(CodeNull, "%s invalid mem access '%v'", a.name, r.typ)
	case a.write && r.typ.has(rdonly):
		return refuse(CodeReadOnly, "%s cannot write into %v", a.name, r.typ)
	}
	if !r.typ.has(rdonly) || !r.typ.has(untrusted) {
		if err := v.region(r, a.name, a.off, int64(a.size), r.obj.size, false); err != nil {
			return err
		}
	}
	if d != nil {
		d.markUnknown()
	}
	return nil
}

func (v *verifier) accessCtx(a access, d *reg) error {
	r, off := a.r, a.off
	if v.at.Context == nil {
		return refuse(CodeCtxAccess, "invalid bpf_context access off=%d size=%d", off, a.size)
	}
	if n := v.at.Context.Region(); n > 0 {
		if err := v.region(r, a.name, off, int64(a.size), n, false); err != nil {
			return err
		}
		off += int64(r.umax())
	} else {
		if err := fixedOff(r, a.name, v.at.Context.Movable()); err != nil {
			return err
		}
		off += r.off()
	}
	f, ok := v.at.Context.Access(int(off), a.size, a.write)
	v.result.CtxSize = max(v.result.CtxSize, int(off)+a.size)
	switch {
	case f.Unsupported != "":
		return unsupported("context field %s", f.Unsupported)
	case !ok:
		return refuse(CodeCtxAccess, "invalid bpf_context access off=%d size=%d", off, a.size)
	case f.Kind.regType().packetOrEnd() && a.signed:
		return refuse(CodeCtxAccess, "invalid bpf_context access off=%d size=%d", off, a.size)
	case d == nil:
		return nil
	case f.Kind == FieldReturn && v.at.HookReturn != nil:
		d.markUnknown()
		d.limitS32(v.at.HookReturn.Lo, v.at.HookReturn.Hi)
		return nil
	case f.Kind.regType() != scalar:
		d.setPointer(f.Kind.regType(), object{})
		if f.Nullable {
			d.typ |= maybeNull
			d.id = v.newID()
		}
		return nil
	case f.Struct == nil:
		d.markUnknown()
		return nil
	}
	t := ptrToBTF
	for _, x := range [...]struct {
		on   bool
		flag regType
	}{{f.Trusted, trusted}, {f.Nullable, maybeNull}, {f.RCU, rcuPtr}, {f.UserMemory, userMem}, {f.PerCPU, percpu}} {
		if x.on {
			t |= x.flag
		}
	}
	if f.Owned > 0 {
		if f.Owned > len(v.ownedArgs) || !v.cur.findRef(v.ownedArgs[f.Owned-1]) {
			return refuse(CodeReference, "invalid bpf_context access off=%d. Reference may already be released", off)
		}
	}
	d.setPointer(t, object{typ: f.Struct})
	switch {
	case f.Owned > 0:
		d.id = v.ownedArgs[f.Owned-1]
	case f.Nullable:
		d.id = v.newID()
	}
	if !v.at.StructOps {
		v.doubt(d) // what a hook is given, a machine may not model
	}
	return nil
}

// accessBTF is an access to a kernel object, or to one of the program's own. It follows check_ptr_to_btf_access.
func (v *verifier) accessBTF(a access, d *reg) error {
	r := a.r
	name := r.obj.typ.TypeName()
	if !r.bits.isConst() {
		return refuse(CodeBTFAccess, "%s is ptr_%s invalid variable offset: off=%d, var_off=%v", a.name, name, a.off, r.bits)
	}
	off := a.off + r.off()
	switch {
	case !v.gpl() && !r.obj.local:
		return refuse(CodeLicense, "Cannot access kernel 'struct %s' from non-GPL compatible program", name)
	case off < 0 || off > maxVarOff:
		return refuse(CodeBTFAccess, "%s is ptr_%s invalid negative access: off=%d", a.name, name, off)
	case r.typ.has(userMem):
		return refuse(CodeBTFAccess, "%s is ptr_%s access user memory: off=%d", a.name, name, off)
	case r.typ.has(percpu):
		return refuse(CodeBTFAccess, "%s is ptr_%s access percpu memory: off=%d", a.name, name, off)
	case a.write && r.typ.has(untrusted):
		return refuse(CodeReadOnly, "only read is supported")
	}
	if a.write && !r.typ.has(memAlloc) {
		if v.at.Store == nil {
			return refuse(CodeReadOnly, "only read is supported")
		}
		if !v.at.Store(name, uint32(off), uint32(a.size)) {
			return refuse(CodeReadOnly, "%s cannot write into ptr_%s at off=%d size=%d", a.name, name, off, a.size)
		}
		return nil
	}
	if a.write && !r.typ.allocObj() {
		return refuse(CodeReadOnly, "only read is supported")
	}
	t, w, err := v.structAccess(r, uint32(off), uint32(a.size))
	if err != nil {
		return err
	}
	if d == nil {
		return nil
	}
	old := *r
	switch t {
	case ptrToBTF:
		flags := v.loadFlags(&old, w)
		d.setPointer(ptrToBTF|flags, object{typ: w.typ})
		if flags.has(maybeNull) {
			d.id = v.newID()
		}
		v.doubt(d)
	case ptrToMem:
		d.setPointer(ptrToMem|w.flags, object{})
	default:
		d.markUnknown()
	}
	return nil
}

// loadFlags says how far a pointer that was read through r can be trusted.
func (v *verifier) loadFlags(r *reg, w walk) regType {
	switch {
	case r.typ.has(untrusted):
		return untrusted
	case !v.isTrusted(r) && !r.typ.has(rcuPtr):
		return w.flags &^ (trusted | rcuPtr | memAlloc)
	}
	flags := w.flags
	safe := safeField(r.obj.typ.TypeName(), w.field)
	switch {
	case safe == safeTrusted:
		return flags | trusted
	case safe == safeTrustedOrNull:
		return flags | trusted | maybeNull
	case !v.inRCU() || r.typ.has(maybeNull):
		return untrusted
	case safe == safeRCU:
		return flags | rcuPtr
	case safe == safeRCUOrNull:
		return (flags | rcuPtr | maybeNull) &^ untrusted
	case flags.has(rcuPtr):
		return flags | maybeNull
	case flags.has(percpu | userMem):
		return flags
	}
	return flags &^ (trusted | rcuPtr | memAlloc)
}

// isTrusted: the object that r points to stays for the whole program, or is held. It follows is_trusted_reg.
func (v *verifier) isTrusted(r *reg) bool {
	if v.isReferenced(r) {
		return true
	}
	if _, ok := kernelName(r.typ); ok && !unsafeFlags(r.typ) {
		return true
	}
	return r.typ.has(memAlloc|trusted|nonOwn) && !unsafeFlags(r.typ)
}

func unsafeFlags(t regType) bool { return t.flags()&^(memAlloc|trusted|nonOwn) != 0 }

// inRCU: objects protected by RCU stay. It follows in_rcu_cs.
func (v *verifier) inRCU() bool {
	return v.cur.rcu > 0 || v.cur.locks > 0 || !v.cur.sleepable
}

// helperMem checks memory that is passed to a call. It follows check_helper_mem_access.
func (v *verifier) helperMem(r *reg, name string, size int64, write, zeroOK bool, m *callMeta) error {
	switch r.typ.base() {
	case ptrToMapKey:
		if write {
			return refuse(CodeReadOnly, "%s cannot write into %v", name, r.typ)
		}
		return v.region(r, name, 0, size, r.obj.m.key, false)
	case ptrToPacket, ptrToPacketMeta:
		return v.accessPacket(r, name, 0, size, zeroOK)
	case ptrToBuf:
		if r.typ.has(maybeNull) {
			break
		}
		return v.accessBuffer(access{r: r, name: name, size: int(size), write: write}, nil)
	case ptrToMapValue:
		if r.typ != ptrToMapValue {
			break
		}
		if err := mapMay(r, 0, size, write); err != nil {
			return err
		}
		return v.mapAccess(r, name, 0, size, zeroOK, false)
	case ptrToMem:
		if write && r.typ.has(rdonly) {
			return refuse(CodeReadOnly, "%s cannot write into %v", name, r.typ)
		}
		return v.region(r, name, 0, size, r.obj.size, zeroOK)
	case ptrToStack:
		return v.stackInitialized(r, name, 0, size, zeroOK, write, m)
	case ptrToBTF:
		return v.accessBTF(access{r: r, name: name, size: int(size), write: write, val: noValue}, nil)
	case ptrToCtx:
		if v.at.Context != nil {
			if n := v.at.Context.Region(); n > 0 {
				v.result.CtxSize = max(v.result.CtxSize, int(min(r.umax(), uint64(n)))+int(size))
				return v.region(r, name, 0, size, n, zeroOK)
			}
		}
	}
	if zeroOK && size == 0 && r.isNull() {
		return nil
	}
	return refuse(CodeArgType, "%s type=%v expected=fp", name, r.typ)
}

// memSize checks memory whose size is in another argument. It follows check_mem_size_reg.
func (v *verifier) memSize(mem, size *reg, memName, sizeName string, sizeReg int, write, zeroOK bool, m *callMeta) error {
	m.maxSize = int64(size.umax())
	use := m
	if !size.bits.isConst() {
		use = nil // how much is written is not known
	}
	switch {
	case size.smin() < 0:
		return refuse(CodeArgValue, "%s min value is negative, either use unsigned or 'var &= const'", sizeName)
	case size.umin() == 0 && !zeroOK:
		return refuse(CodeArgValue, "%s invalid zero-sized read: u64=[%d,%d]", sizeName, size.umin(), size.umax())
	case size.umax() >= maxVarSiz:
		return refuse(CodeArgValue, "%s unbounded memory access, use 'var &= const' or 'if (var < const)'", sizeName)
	}
	if err := v.helperMem(mem, memName, int64(size.umax()), write, zeroOK, use); err != nil {
		return err
	}
	return v.markPrecise(sizeReg)
}

// memArg checks memory of a fixed size that a function of the program or kernel reads and writes. It follows
// check_mem_reg.
func (v *verifier) memArg(r *reg, name string, size uint32) error {
	if r.isNull() {
		return nil
	}
	if size > 1<<31-1 {
		return refuse(CodeArgValue, "%s memory size %d is too large", name, size)
	}
	n := int64(size)
	if r.typ.base() == ptrToStack {
		n = -n
	}
	return v.notNull(r, func() error {
		if err := v.helperMem(r, name, n, false, true, nil); err != nil {
			return err
		}
		return v.helperMem(r, name, n, true, true, nil)
	})
}

// notNull runs f as if the pointer had been checked against null.
func (v *verifier) notNull(r *reg, f func() error) error {
	if !r.typ.has(maybeNull) {
		return f()
	}
	saved := *r
	r.markNotNull()
	err := f()
	*r = saved
	return err
}
