package verifier

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// regType is what sort of value a register holds: a base and flags, as enum bpf_reg_type.
type regType uint32

// The bases.
const (
	notInit regType = iota
	scalar
	ptrToCtx
	constPtrToMap
	ptrToMapValue
	ptrToMapKey
	ptrToStack
	ptrToMem
	ptrToBuf
	ptrToArena
	ptrToFunc
	ptrToBTF
	constPtrToDynptr
	ptrToPacket
	ptrToPacketMeta
	ptrToPacketEnd
	ptrToFlowKeys
	ptrToSocket
	ptrToSockCommon
	ptrToTCPSock
	ptrToXDPSock
	ptrToTPBuffer
	ptrToInsn
	baseMask regType = 0xff
)

// The flags.
const (
	maybeNull regType = 1 << (8 + iota)
	rdonly
	ringbufMem
	memAlloc
	percpu
	userMem
	untrusted
	trusted
	rcuPtr
	nonOwn
	// The sorts of dynptr that a slice of memory belongs to.
	dynLocalMem
	dynRingbufMem
	dynSkbMem
	dynXDPMem
	dynSkbMetaMem
	dynFileMem

	dynMem       = dynLocalMem | dynRingbufMem | dynPacketMem | dynFileMem
	dynPacketMem = dynSkbMem | dynXDPMem | dynSkbMetaMem
)

func (t regType) base() regType      { return t & baseMask }
func (t regType) flags() regType     { return t &^ baseMask }
func (t regType) has(f regType) bool { return t&f != 0 }

// allocObj: an object of bpf_obj_new, owned or not.
func (t regType) allocObj() bool { return t.base() == ptrToBTF && t.has(memAlloc) && !t.has(percpu) }

// String is the kernel's name (reg_type_str).
func (t regType) String() string {
	var b strings.Builder
	for _, f := range [...]struct {
		flag regType
		name string
	}{{rdonly, "rdonly_"}, {ringbufMem, "ringbuf_"}, {userMem, "user_"}, {percpu, "percpu_"}, {rcuPtr, "rcu_"}, {untrusted, "untrusted_"}, {trusted, "trusted_"}} {
		if t.has(f.flag) {
			b.WriteString(f.name)
		}
	}
	base := [...]string{"?", "scalar", "ctx", "map_ptr", "map_value", "map_key", "fp", "mem", "buf", "arena", "func", "ptr_", "dynptr_ptr",
		"pkt", "pkt_meta", "pkt_end", "flow_keys", "sock", "sock_common", "tcp_sock", "xdp_sock", "tp_buffer", "insn"}
	if i := int(t.base()); i < len(base) {
		b.WriteString(base[i])
	}
	if t.has(maybeNull) {
		if t.base() == ptrToBTF {
			b.WriteString("or_null_")
		} else {
			b.WriteString("_or_null")
		}
	}
	return b.String()
}

// dynKind is the sort of a dynptr.
type dynKind uint8

const (
	dynInvalid dynKind = iota
	dynLocal
	dynRingbuf
	dynSkb
	dynXDP
	dynSkbMeta
	dynFile
)

func (k dynKind) referenced() bool { return k == dynRingbuf || k == dynFile }

// mem is the flag of memory that belongs to a dynptr of this sort. It follows get_dynptr_type_flag.
func (k dynKind) mem() regType {
	return [...]regType{0, dynLocalMem, dynRingbufMem, dynSkbMem, dynXDPMem, dynSkbMetaMem, dynFileMem}[k]
}

// iterState is the state of an open-coded iterator.
type iterState uint8

const (
	iterInvalid iterState = iota
	iterActive
	iterDrained
)

// object is what a pointer points to, or what a special stack slot is; comparable.
type object struct {
	m *mapInfo // map pointers, values and keys
	// typ is the struct of a BTF pointer; local: of the program's BTF, not the kernel's. For an iterator slot the
	// iterator's struct.
	typ btf.Type
	uid uint32 // tells inner maps of different lookups apart
	// size is that of memory; the number of a function. Of a pointer into a packet, how many bytes behind it are known to
	// be there, or pktEnd, pktBeyond.
	size  uint32
	local bool
	dyn   dynKind
	// first: the slot is the first one of its dynptr.
	first   bool
	iter    iterState
	lockIRQ bool // of an irq flag: saved by bpf_res_spin_lock_irqsave
}

// The upper bits of a scalar's id: it differs from its group by a constant, added with 64 or 32 bits.
const (
	addConst64 uint32 = 1 << 31
	addConst32 uint32 = 1 << 30
	addConst          = addConst64 | addConst32
)

// regBody is the part of a register that has to be the same where states must be exactly equal.
type regBody struct {
	typ   regType
	delta int32
	obj   object
	num   // the value of a scalar, the offset of a pointer
}

// reg is what is known of a register or of a spilled one (struct bpf_reg_state).
type reg struct {
	regBody
	// id groups scalars of equal value, pointers from one lookup, and names references. parent is the id of the object
	// that this one is a part of.
	id, parent uint32
	frame      uint8 // of stack pointers
	precise    bool
	depth      int32 // of an active iterator: how often it was advanced
}

func (r *reg) markUnknown() { *r = reg{regBody: regBody{typ: scalar, num: unknownNum()}} }

func (r *reg) markNotInit() {
	r.markUnknown()
	r.typ = notInit
}

// markKnown makes the number known and drops ids; what the register is stays.
func (r *reg) markKnown(v uint64) {
	r.num = knownNum(v)
	r.id, r.parent, r.delta = 0, 0, 0
	r.obj = object{}
}

func (r *reg) setConst(v uint64) { *r = reg{regBody: regBody{typ: scalar, num: knownNum(v)}} }

func (r *reg) setPointer(t regType, o object) {
	*r = reg{regBody: regBody{typ: t, obj: o, num: knownNum(0)}}
}

func (r *reg) clearID() { r.id, r.delta = 0, 0 }

// isNull: the register is the constant 0.
func (r *reg) isNull() bool { return r.typ == scalar && r.bits.equals(0) }

func (r *reg) isConst() bool { return r.typ == scalar && r.bits.isConst() }

// off is the constant part of a pointer's offset.
func (r *reg) off() int64 { return int64(r.bits.value) }

// mapInfo is a map as the verifier sees it.
type mapInfo struct {
	name           string
	typ            elf.MapType
	key, value     uint32
	max            uint32
	flags          uint32
	data           []byte
	frozen         bool
	hasBTF         bool
	inner          *mapInfo
	isInner        bool
	rec            *record
	index          int
	unsupportedErr error
}

// markNotNull makes a pointer that was checked against null. It follows mark_ptr_not_null_reg.
func (r *reg) markNotNull() {
	if r.typ.base() == ptrToMapValue {
		m := r.obj.m
		switch {
		case m.typ == mapXSK:
			r.typ = ptrToXDPSock
		case m.typ == mapSock || m.typ == mapSockHash:
			r.typ = ptrToSocket
		case m.inner != nil:
			r.typ = constPtrToMap
			r.obj.m = m.inner
			if m.inner.rec.has(fieldTimer | fieldWorkqueue | fieldTaskWork) {
				r.obj.uid = r.id
			}
		default:
			r.typ = ptrToMapValue
		}
		return
	}
	r.typ &^= maybeNull
}
