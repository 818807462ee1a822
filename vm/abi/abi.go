package abi

import "strings"

// Groups is a set of kfunc groups: a kfunc belongs to groups, a context of a program allows groups. What the bits mean
// is the host's business; a call is legal when the two intersect (see Filter).
type Groups uint32

// KfuncFlags are the kernel's KF_* flags.
type KfuncFlags uint32

// Kfunc flags, as KF_* of include/linux/btf.h.
const (
	Acquire KfuncFlags = 1 << iota
	Release
	RetNull
	TrustedArgs
	Sleepable
	Destructive
	RCU
	IterNew
	IterNext
	IterDestroy
	RCUProtected
	// ImplicitArgs: the last argument (struct bpf_prog_aux *) is supplied by the verifier; programs do not pass it.
	ImplicitArgs
	// FastCall: the call does not clobber the caller-saved registers.
	FastCall
	// ArenaRet: it returns an arena pointer. ArenaArg1, ArenaArg2: it takes one as first or second argument.
	ArenaRet
	ArenaArg1
	ArenaArg2
	// SpinlockSafe: it may be called while a bpf_spin_lock is held (from 7.3 on). Perfmon: it needs CAP_PERFMON.
	SpinlockSafe
	Perfmon
)

// Args are the registers R1-R5 of a call.
type Args [5]uint64

// Func is a helper or kernel function: registers in, r0 out.
type Func = func(c *Call, a *Args) uint64

// Call is the state of a call from a program to its host.
type Call struct {
	Mem  Memory
	Host Host
	// Prog is the running program.
	Prog *Prog
	// Fault, when set by a helper or kfunc, ends the program: the violation, in words.
	Fault string
	// Calls counts the calls of helpers and kernel functions since the host last cleared it.
	Calls uint64
	// Next, when a helper or kernel function sets it, says where the program goes on instead of behind the call; see
	// engine.Env. Tails is how many tail calls there were since the invocation began. Both are the engine's to reset.
	Next  Next
	Tails int32
	// Other is the program that NextOther means, Cookie what NextThrow throws.
	Other  Other
	Cookie uint64
	// Sub runs the subprogram at the given code address (a callback pointer) of the running program and returns its r0.
	// When the subprogram faults, Fault is set: the caller must return at once.
	Sub func(fn uint64, a Args) uint64
}

// Next says where a program goes on after a call.
type Next int32

// A positive Next is a tail call: program number Next-1 of the set goes on in place of the running one.
const (
	// NextCaller: behind the call.
	NextCaller Next = 0
	// NextThrow: an exception, at the exception callback of the program.
	NextThrow Next = -1
	// NextOther: a tail call too, of Call.Other, which is in no set or in another one.
	NextOther Next = -2
)

// Other is a program that another set's can go on as.
type Other interface {
	// TailRun runs the program with the context ctx after tails tail calls. It returns its R0, how many tail calls there
	// are then, and, if the program faulted, the violation in words.
	TailRun(ctx uint64, tails int32) (r0 uint64, n int32, fault string)
}

// Prog is what a kfunc can know of the calling program.
type Prog struct {
	Name    string // C function name
	Section string
	// Context is the host's number for the place where the program is attached (for struct_ops: the callback).
	Context   int32
	Sleepable bool
}

// Kfunc is one kernel function that programs may call.
type Kfunc struct {
	Name string
	// Proto is the C prototype without implicit arguments, as in the kernel's BTF.
	Proto  string
	Flags  KfuncFlags
	Groups Groups
	// Call runs it. Nil: the function is known (permissions and prototype are checked) but not modelled; an object
	// that would call it is refused at load time.
	Call func(c *Call, a *Args) uint64
	// Inline, if not nil, says in code what Call does.
	Inline *Inline
	// Machine: the BPF machine itself runs it, since it concerns the programs' own memory (arenas, objects). Call is nil.
	Machine bool
}

// Params is the number of parameters that Proto shows; not ok: it does not tell.
func (k *Kfunc) Params() (n int, ok bool) {
	_, list, ok := strings.Cut(k.Proto, "(")
	list, rest, closed := strings.Cut(list, ")")
	switch {
	case !ok || !closed || rest != "" || strings.ContainsAny(list, "(.") || k.Machine:
		return 0, false
	case list == "void":
		return 0, true
	}
	n = 1 + strings.Count(list, ",")
	return n, n <= len(Args{})
}

// Modelled tells whether programs that call k can be loaded.
func (k *Kfunc) Modelled() bool { return k.Call != nil || k.Machine }

// Memory is the simulated kernel address space as helpers and kfuncs see it.
type Memory interface {
	// Bytes returns the n bytes at addr, nil if any of them lies outside the address space. The slice aliases the
	// memory.
	Bytes(addr, n uint64) []byte
	// Alloc and Free manage memory for the host's and the maps' objects.
	Alloc(size, align uint64) (addr uint64, b []byte, err error)
	Free(addr, size uint64)
}

// Host is the kernel around the programs.
type Host interface {
	// CPU is the processor that the program runs on; NrCPUs the number of possible processors.
	CPU() int32
	NrCPUs() int32
	// NowNS is bpf_ktime_get_ns.
	NowNS() uint64
	// CurrentTask is the address of the current task_struct, and its PID and TGID.
	CurrentTask() uint64
	CurrentPID() (pid, tgid int32)
	// Rand32 is bpf_get_prandom_u32.
	Rand32() uint32
	// Printk takes the output of bpf_trace_printk and relatives, one line without its newline.
	Printk(line string)
	// ArmTimer makes fire run at the time atNS on the given CPU; DisarmTimer cancels it and tells whether it was armed.
	// key identifies the timer (the address of its struct bpf_timer).
	ArmTimer(key uint64, cpu int32, atNS uint64, fire func())
	DisarmTimer(key uint64) bool
}
