package verifier

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
)

// Attachment is the place where a program is attached, as far as safety depends on it.
type Attachment struct {
	// Kernel are the kernel's types. Nil: programs that need them are refused.
	Kernel *btf.Spec
	// Context tells what the program may do with its argument. Nil: nothing.
	Context Context
	// CtxType is the struct that pointers to the context have in the types of global functions, "" for none.
	CtxType string
	// KernCtx is the kernel's struct behind the context, for bpf_cast_to_kern_ctx; "" if unknown.
	KernCtx string
	// Return is the rule for the return value.
	Return Return
	// Sleepable programs may call functions that sleep.
	Sleepable bool
	// PrivateStack: functions with a stack of 64 bytes or more have their own (tracing programs and
	// ops.dispatch, on x86-64).
	PrivateStack bool
	// StructOps: a reference may leave the program as its return value.
	StructOps bool
	// Tracing: objects with special fields may not be freed.
	Tracing bool
	// Packet tells how packets may be accessed.
	Packet PacketAccess
	// LegacyLoads: programs may load packet data by the instructions of classic BPF.
	LegacyLoads bool
	// SockMapUpdate and SockMapDelete: programs may change maps of sockets.
	SockMapUpdate, SockMapDelete bool
	// Event programs run where no lock may be taken (kprobes, tracepoints, raw tracepoints, perf events).
	Event bool
	// SocketFilter programs may not use maps with spin locks.
	SocketFilter bool
	// Retval is what bpf_get_retval gives and bpf_set_retval may set.
	Retval Retval
	// Form names the prototype of a helper where there are several, "" for the usual one. Nil: always the usual one.
	Form func(id int32) string
	// HookReturn are the values that a load of the hooked function's result gives. Nil: any.
	HookReturn *Return
	// CssTaskIter: programs that cannot sleep may walk the tasks of a cgroup, too.
	CssTaskIter bool
	// NrCPUs bounds bpf_get_smp_processor_id. 0: 8192.
	NrCPUs uint32
	// InlineCPU: bpf_get_smp_processor_id is compiled into the program and leaves registers alone (tracing on x86-64).
	InlineCPU bool
	// Helper tells whether the helper may be called. Nil: none.
	Helper func(id int32) bool
	// Forbidden are helpers that programs of the type may call, but not here. Nil: none.
	Forbidden func(id int32) bool
	// NeedsGPL: programs must have a license compatible with the GPL; it is what a message calls them. "": any license.
	NeedsGPL string
	// Kfunc finds a kernel function and tells, by an error, why it may not be called. Nil: none.
	Kfunc func(name string) (Kfunc, error)
	// Store tells whether programs may write those bytes of a kernel struct. Nil: never.
	Store func(typ string, off, size uint32) bool
}

// Kfunc is a kernel function as programs see it.
type Kfunc struct {
	Type  *btf.Func
	Flags abi.KfuncFlags
}

// PacketAccess says what programs may do with packets.
type PacketAccess uint8

// The sorts of access to packets.
const (
	PacketNone PacketAccess = iota
	PacketRead
	PacketReadWrite
	// PacketOption: what looks like a packet is a buffer of socket options.
	PacketOption
)

// Retval is a rule for bpf_get_retval and bpf_set_retval.
type Retval struct {
	// Any: all values. Void: there is none to be set.
	Any, Void bool
	Lo, Hi    int32
}

// Return is a rule for return values.
type Return struct {
	Kind   ReturnKind
	Lo, Hi int32 // of ReturnRange, both included
	// Narrow: only the lower half counts.
	Narrow bool
	// Struct: instead of a number in the range, a pointer to such a struct that the program holds (struct_ops).
	Struct btf.Type
}

// ReturnKind says what may be returned.
type ReturnKind uint8

// The kinds of rules.
const (
	// ReturnAny: r0 must be set.
	ReturnAny ReturnKind = iota
	// ReturnVoid: r0 does not matter.
	ReturnVoid
	// ReturnRange: a number between Lo and Hi.
	ReturnRange
)

// Context is the memory behind r1 when a program starts.
type Context interface {
	// Access tells what a load of size bytes at off gives; for a store, whether it is allowed.
	Access(off, size int, write bool) (Field, bool)
	// Region is the size of the context if it is plain memory that may be accessed at variable offsets, otherwise 0.
	Region() uint32
	// Movable: the pointer to it may be moved by a constant before an access. The kernel refuses that where it translates
	// accesses.
	Movable() bool
}

// Field is what a load from the context gives: a number, or a pointer to Struct.
type Field struct {
	Kind                    FieldKind
	Struct                  btf.Type
	Trusted, Nullable       bool
	RCU, UserMemory, PerCPU bool
	// Owned is the number of the argument, from 1, if the program has to release it, otherwise 0.
	Owned int
	// Unsupported: the kernel knows it, this verifier does not.
	Unsupported string
}

// FieldKind is what a field of a context is, other than a pointer to a struct.
type FieldKind uint8

// The kinds of fields.
const (
	FieldNumber FieldKind = iota
	FieldPacket
	FieldPacketMeta
	FieldPacketEnd
	FieldFlowKeys
	FieldSockCommon
	FieldSocket
	FieldTPBuffer // of a writable raw tracepoint
	FieldBuf      // of an iterator
	FieldBufRead
	FieldReturn // a number: the result of the hooked function
)

func (k FieldKind) regType() regType {
	return [...]regType{scalar, ptrToPacket, ptrToPacketMeta, ptrToPacketEnd, ptrToFlowKeys, ptrToSockCommon, ptrToSocket, ptrToTPBuffer,
		ptrToBuf, ptrToBuf | rdonly, scalar}[k]
}

// Args is a context of arguments in slots of eight bytes, as struct_ops and tracing programs have it. It follows
// btf_ctx_access.
type Args struct {
	Params []btf.FuncParam
	// Trusted: pointers to structs are valid for the whole call.
	Trusted bool
	// Nullable tells for each parameter whether it may be null.
	Nullable []bool
	// Kinds says which parameters are something else than their types tell. Nil: none.
	Kinds []FieldKind
	// Plain tells which pointers are not trusted, Owned which ones the program has to release or return. Nil: none.
	Plain, Owned []bool
	// Result is the type of a return value that follows the arguments (fexit), nil for none.
	Result btf.Type
}

var _ Context = (*Args)(nil)

// NewArgs is the context of a function. Parameters whose names end in __nullable may be null.
func NewArgs(p *btf.FuncProto, trusted bool) *Args {
	a := &Args{Params: p.Params, Trusted: trusted, Nullable: make([]bool, len(p.Params))}
	for i := range p.Params {
		a.Nullable[i] = strings.HasSuffix(p.Params[i].Name, "__nullable")
	}
	return a
}

// Region is 0: arguments are no plain memory.
func (a *Args) Region() uint32 { return 0 }

// Movable is true.
func (a *Args) Movable() bool { return true }

// Access gives the argument whose slot is at off. Numbers may be read with any size.
func (a *Args) Access(off, size int, write bool) (Field, bool) {
	if write || off < 0 || off%8 != 0 || size > 8 {
		return Field{}, false
	}
	n := off / 8
	var t btf.Type
	switch {
	case n < len(a.Params):
		t = a.Params[n].Type
	case n == len(a.Params) && a.Result != nil:
		t = a.Result
	default:
		return Field{}, false
	}
	at := func(l []bool) bool { return n < len(l) && l[n] }
	if n < len(a.Kinds) && a.Kinds[n] != FieldNumber {
		return Field{Kind: a.Kinds[n], Nullable: at(a.Nullable)}, size == 8
	}
	p, ok := skipMods(t).(*btf.Pointer)
	if !ok {
		if n == len(a.Params) {
			return Field{Kind: FieldReturn}, isScalarType(t)
		}
		switch skipMods(t).(type) {
		case *btf.Int, *btf.Enum, *btf.Struct, *btf.Union:
			return Field{}, true
		}
		return Field{}, false
	}
	if size != 8 {
		return Field{}, false
	}
	to, flags := pointee(p)
	if !isStruct(to) {
		return Field{}, true // a pointer to something without fields is a number
	}
	f := Field{Struct: to, Trusted: a.Trusted && !at(a.Plain), Nullable: at(a.Nullable)}
	if at(a.Owned) {
		f.Owned = n + 1
	}
	f.UserMemory, f.PerCPU = flags.has(userMem), flags.has(percpu)
	return f, true
}

// owned are the parameters that the program has to release.
func (a *Args) owned() []bool { return a.Owned }

// Flat is a context of numbers: the first Size bytes may be read, and written if Writable.
type Flat struct {
	Size     uint32
	Writable bool
	// Variable: at variable offsets, too (SYSCALL programs).
	Variable bool
	// Aligned: accesses have to be aligned to their size.
	Aligned bool
	// Translated: the kernel translates accesses (perf_event programs).
	Translated bool
}

var _ Context = (*Flat)(nil)

// Region is the size where offsets may vary.
func (f *Flat) Region() uint32 {
	if f.Variable {
		return f.Size
	}
	return 0
}

// Movable is false where the kernel translates accesses.
func (f *Flat) Movable() bool { return !f.Translated }

// Access gives a number.
func (f *Flat) Access(off, size int, write bool) (Field, bool) {
	return Field{}, off >= 0 && off+size <= int(f.Size) && (f.Writable || !write) && (!f.Aligned || off%size == 0)
}
