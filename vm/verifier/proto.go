package verifier

import "slices"

// argType is what a helper expects of an argument: a base and flags (enum bpf_arg_type).
type argType uint32

const (
	argNone argType = iota
	argAny
	argMap
	argMapKey
	argMapValue
	argMem
	argSize
	argSizeOrZero
	argAllocSize
	argCtx
	argBTF
	argSpinLock
	argRingbufMem
	argPercpuBTF
	argFunc
	argStack
	argConstStr
	argTimer
	argKptrDest
	argDynptr
	argSock    // any view of a socket
	argSocket  // a full socket
	argBTFSock // a socket in either form
	argScalar
	argArena         // of global functions
	argBase  argType = 0xff
)

const (
	argNull argType = 1 << (8 + iota) // may be null
	argUninit
	argWrite
	argRead
	argRelease
	argAligned
	argRingbuf // of dynptrs
	argLocal
	argTrusted
	argUntrusted
)

func (a argType) base() argType      { return a & argBase }
func (a argType) has(f argType) bool { return a&f != 0 }
func (a argType) isSize() bool       { b := a.base(); return b == argSize || b == argSizeOrZero }

// retType is what a helper returns.
type retType uint16

const (
	retInt retType = iota
	retVoid
	retMapValue
	retMem
	retMemOrBTF
	retBTF
	retSocket
	retSockCommon
	retTCPSock
	retBase    retType = 0xff
	retNull    retType = 1 << 8
	retRead    retType = 1 << 9
	retTrusted retType = 1 << 10
	retRingbuf retType = 1 << 11
)

// callbackKind tells when a call runs the callback that it is given.
type callbackKind uint8

const (
	callbackNone callbackKind = iota
	callbackSync
	callbackAsync
)

// helper is the prototype of a helper (struct bpf_func_proto).
type helper struct {
	id     int32
	name   string
	form   string // tells several prototypes of one helper apart
	ret    retType
	args   [5]argType
	sizes  [5]uint32 // of memory of a fixed size
	btf    string    // struct of arguments
	retBTF string    // struct that is returned
	gpl    bool
	sleeps bool
	packet bool // takes pointers into packets

	callback callbackKind
}

// kernelName is the name in the kernel's messages.
func (h *helper) kernelName() string { return "bpf_" + h.name }

func (h *helper) nargs() int {
	n := slices.Index(h.args[:], argNone)
	if n < 0 {
		return 5
	}
	return n
}

type args = [5]argType

const (
	memIn    = argMem | argRead
	memInOpt = argMem | argRead | argNull
	memOut   = argMem | argUninit | argWrite
)

// helperProtos are all helpers but those of infrared receivers; the prototypes are facts of 7.2.
func helperProtos() []helper { return slices.Concat(coreHelpers(), netHelpers()) }

// helper is the prototype of a helper for this program, nil if it is not known.
func (v *verifier) helper(id int32) *helper {
	if id <= 0 || id >= maxHelper {
		return nil
	}
	if v.protos == nil {
		v.protos = helperProtos()
		for i := range v.protos {
			p := &v.protos[i]
			form := ""
			if v.at.Form != nil {
				form = v.at.Form(p.id)
			}
			if form == "" && v.at.Sleepable && p.id == fnTaskStack {
				form = "get_task_stack_sleepable"
			}
			if p.form == form || p.form == "" && v.helpers[p.id] == nil {
				v.helpers[p.id] = p
			}
		}
	}
	return v.helpers[id]
}

// HelperIDs are the numbers of the helpers by their names without bpf_.
func HelperIDs() map[string]int32 {
	out := map[string]int32{}
	for _, h := range helperProtos() {
		out[h.name] = h.id
	}
	return out
}
