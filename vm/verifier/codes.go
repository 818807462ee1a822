package verifier

import (
	_ "embed" // for the examples in C
	"strings"
)

//go:embed codes/refused.bpf.c
var refusedC string

//go:embed codes/license.bpf.c
var licenseC string

// Codes lists all codes, each with its rule and a minimal program that earns it, in the notation of testdata: r1 points to
// three arguments, a trusted task, a number and a task that may be null. A test holds the examples to their word.
func Codes() []CodeInfo {
	list := codes()
	for i := range list {
		list[i].C = exampleC(list[i].Code)
	}
	return list
}

// exampleC is the part of the sources in directory codes that belongs to a code.
func exampleC(c Code) string {
	for _, src := range [...]string{refusedC, licenseC} {
		_, part, ok := strings.Cut(src, "//: "+string(c)+"\n")
		if !ok {
			continue
		}
		part, _, _ = strings.Cut(part, "\n//: ")
		part, _, _ = strings.Cut(part, "\nchar _license[]")
		return strings.TrimSpace(part) + "\n"
	}
	return ""
}

func codes() []CodeInfo {
	return []CodeInfo{
		{Code: CodeInvalidInsn, Rule: "Every instruction is one that exists and stays within its function.",
			Fix:     "Compile with clang for the BPF target (-target bpf -mcpu=v3 or v4); bytecode made by hand or cut short is the usual cause.",
			Example: "r0 = 0"},
		{Code: CodeUnreachable, Rule: "Every instruction can be reached.",
			Fix:     "Remove the code that nothing jumps to. A loop without an exit before it has the same effect.",
			Example: "r0 = 0\nexit\nr0 = 1\nexit"},
		{Code: CodeUninitReg, Rule: "A register is written before it is read.",
			Fix:     "Give the variable a value on every path. After a call r1 to r5 are gone: what is needed later has to be kept in a variable. A function whose callback returns a value needs a return statement on every path.",
			Example: "r0 = r2\nexit"},
		{Code: CodeFramePointer, Rule: "r10 is not written.",
			Fix:     "r10 is the frame pointer: only inline assembly can write it.",
			Example: "r10 = 0\nexit"},
		{Code: CodePointerMath, Rule: "Pointers are only moved by bounded numbers.",
			Fix:     "Do arithmetic on numbers: keep an index, check its bounds, and add it to the pointer last. Pointers to kernel objects and null-checked ones only take constant offsets.",
			Example: "r0 = r10\nr0 *= 8\nexit"},
		{Code: CodeDivZero, Rule: "Constants that are divided by are not zero.",
			Fix:     "Divide by something that is not the constant 0.",
			Example: "r0 = 1\nr0 /= 0\nexit"},
		{Code: CodeShift, Rule: "Constants shift by less than the width of the operation.",
			Fix:     "Shift by less than the width of the type; mask a variable count with & 63 or & 31.",
			Example: "r0 = 1\nr0 <<= 64\nexit"},
		{Code: CodeLoop, Rule: "A loop does not come back to the same state.",
			Fix:     "Let the loop change something that its condition looks at, or write it with bpf_for, bpf_loop or can_loop.",
			Example: "r0 = 0\nloop:\nif r0 == 0 goto loop\nexit"},
		{Code: CodeTooComplex, Rule: "Following all paths takes at most a million instructions.",
			Fix:     "Put the body of a long loop into a function of bpf_loop, iterate with bpf_for, or make large functions global (not static): each is then verified once.",
			Example: "r0 = 0\nloop:\nr0 += 1\nif r0 < 10000000 goto loop\nexit"},
		{Code: CodeCallDepth, Rule: "Calls nest at most 16 deep.",
			Fix:     "Inline some of the functions (static __always_inline), or turn the recursion of helpers into a loop.",
			Example: deepCalls()},
		{Code: CodeRecursion, Rule: "Functions do not call themselves.",
			Fix:     "Write the recursion as a loop with a stack of its own in a map.",
			Example: "r0 = 0\ncall f\nexit\nsub f:\ncall f\nexit"},
		{Code: CodeStackSize, Rule: "The stacks of a chain of calls are at most 512 bytes.",
			Fix:     "Move large local variables into a per-CPU array map; 512 bytes are for the whole chain of calls.",
			Example: "*(u64 *)(r10 - 512) = 0\ncall f\nexit\nsub f:\n*(u64 *)(r10 - 8) = 0\nr0 = 0\nexit"},
		{Code: CodeStackAccess, Rule: "Accesses to the stack lie in it.",
			Fix:     "Check the index of a local array against its size just before it is used; the compiler may have moved a check away.",
			Example: "*(u64 *)(r10 - 520) = 0\nr0 = 0\nexit"},
		{Code: CodeUninitStack, Rule: "Objects on the stack are not read as if they were numbers.",
			Fix:     "Initialize the whole struct (= {}) before it is passed on, padding included.",
			Example: "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 4\ncall bpf_iter_num_new\nr1 = *(u64 *)(r10 - 8)\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = 0\nexit"},
		{Code: CodeSpill, Rule: "Pointers are saved and restored as a whole.",
			Fix:     "Do not take pointers apart: copy them as 64-bit values.",
			Example: "*(u64 *)(r10 - 8) = r1\nr0 = *(u32 *)(r10 - 8)\nexit"},
		{Code: CodeCtxAccess, Rule: "The context is read where it has something, and not written.",
			Fix:     "Read the arguments through BPF_STRUCT_OPS or BPF_PROG with the types of the callback, no more of them than it has on this kernel.",
			Example: "r0 = *(u64 *)(r1 + 24)\nexit"},
		{Code: CodeBadPointer, Rule: "Only pointers are followed.",
			Fix:     "The value is a number here. Keep pointers in pointer variables; read kernel memory from numbers with bpf_probe_read_kernel, or bpf_rdonly_cast.",
			Example: "r1 = 8\nr0 = *(u64 *)(r1 + 0)\nexit"},
		{Code: CodeNull, Rule: "Pointers that may be null are compared with it before they are followed.",
			Fix:     "Compare the pointer with NULL, and leave the function or skip the access if it is.",
			Example: "r1 = *(u64 *)(r1 + 16)\nr0 = *(u32 *)(r1 + 0)\nexit"},
		{Code: CodeBounds, Rule: "Accesses to memory lie within it, whatever the values.",
			Fix:     "Check the index against the size just before the access; mask it (& (N - 1)) where N is a power of two. A check of a signed variable needs both ends.",
			Example: "r1 = value array+12\nr0 = *(u64 *)(r1 + 0)\nexit"},
		{Code: CodeReadOnly, Rule: "Memory that must not change is not written.",
			Fix:     "const variables and read-only maps are set before loading, not by programs: drop the const, or write elsewhere. Of a task only scx.slice, scx.dsq_vtime and scx.disallow can be written.",
			Example: "r1 = value rodata+0\n*(u32 *)(r1 + 0) = 1\nr0 = 0\nexit"},
		{Code: CodeAlignment, Rule: "Accesses to the stack, and atomic ones, are aligned.",
			Fix:     "Align the field to its size; packed structs cannot hold what is used atomically or lies on the stack.",
			Example: "*(u64 *)(r10 - 12) = 0\nr0 = 0\nexit"},
		{Code: CodeBTFAccess, Rule: "Kernel objects are read within their fields.",
			Fix:     "Read the field by its name through a type of this kernel (vmlinux.h, CO-RE).",
			Example: "r1 = *(u64 *)(r1 + 0)\nr0 = *(u64 *)(r1 + 1000000)\nexit"},
		{Code: CodeSpecialField, Rule: "Locks, timers and kptrs in maps are only touched by their functions.",
			Fix:     "Use the functions made for the field: bpf_spin_lock, bpf_timer_*, bpf_kptr_xchg.",
			Example: "r1 = value lock+0\nr0 = *(u32 *)(r1 + 0)\nexit"},
		{Code: CodeAtomic, Rule: "Atomic operations are on memory of the program.",
			Fix:     "Do atomic operations on map values or global variables.",
			Example: "r2 = 1\nlock add *(u64 *)(r1 + 0) r2\nr0 = 0\nexit"},
		{Code: CodeArena, Rule: "Casts need an arena.",
			Fix:     "Declare the arena map and use it in this program, and build with a clang that knows address spaces (-mcpu=v4).",
			Example: "r1 = 0\nr1 = cast r1\nr0 = 0\nexit"},
		{Code: CodeArgType, Rule: "Arguments are what the function takes.",
			Fix:     "Pass what the prototype says: a pointer to the stack or a map value where memory is asked for, a map where a map is.",
			Example: "r1 = 0\nr2 = r10\ncall map_lookup_elem\nr0 = 0\nexit"},
		{Code: CodeArgValue, Rule: "Sizes are bounded, and constant where that is needed.",
			Fix:     "Bound the size before the call: if (n > sizeof(buf)) n = sizeof(buf). Where a constant is asked for, use one.",
			Example: "r6 = *(u64 *)(r1 + 8)\nr1 = r10\nr1 += -8\nr2 = r6\nr3 = 0\ncall probe_read_kernel\nr0 = 0\nexit"},
		{Code: CodeUntrusted, Rule: "Kernel functions get pointers that are valid.",
			Fix:     "Take the pointer from an argument of the callback, or get a reference (bpf_task_from_pid, bpf_task_acquire) and release it when done.",
			Example: "r1 = *(u64 *)(r1 + 0)\nr1 = *(u64 *)(r1 + MM)\nif r1 == 0 goto out\ncall test_task\nout:\nr0 = 0\nexit"},
		{Code: CodeHelper, Rule: "The helper may be called by programs of this sort.",
			Fix:     "Use a kernel function instead; schedsim list kfuncs says what there is and from where it may be called.",
			Example: "call #1000\nexit"},
		{Code: CodeKfunc, Rule: "The kernel function may be called from here.",
			Fix:     "Call it from a callback that allows it (schedsim list kfuncs), or declare it __weak and test bpf_ksym_exists where a kernel may lack it.",
			Example: "call bpf_no_such_function\nexit"},
		{Code: CodeMapFunc, Rule: "The helper goes with the map's type.",
			Fix:     "Use the helper that belongs to the map's type.",
			Example: "r1 = map array\nr2 = value array+0\nr3 = 0\ncall map_push_elem\nr0 = 0\nexit"},
		{Code: CodeSleepable, Rule: "Functions that sleep are called where one may sleep.",
			Fix:     "Mark the program sleepable (SEC(\"struct_ops.s/...\")) if its callback may be, or leave the lock or RCU section before the call.",
			Example: "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall copy_from_user\nr0 = 0\nexit"},
		{Code: CodeReference, Rule: "What is released was acquired.",
			Fix:     "Release only what was acquired on this path, and only once.",
			Example: "r1 = *(u64 *)(r1 + 0)\ncall bpf_task_release\nr0 = 0\nexit"},
		{Code: CodeLeak, Rule: "What is acquired is released.",
			Fix:     "Release the reference on every path out of the function, the error paths too.",
			Example: "r1 = *(u64 *)(r1 + 0)\ncall bpf_task_acquire\nr0 = 0\nexit"},
		{Code: CodeLock, Rule: "A spin lock is released once, and nothing else is called in between.",
			Fix:     "Keep to one lock at a time, unlock on every path, and call nothing in between.",
			Example: "r1 = value lock+0\ncall spin_unlock\nr0 = 0\nexit"},
		{Code: CodeRCU, Rule: "RCU sections are closed, and entered where it is needed.",
			Fix:     "Put bpf_rcu_read_lock() before the first use of the pointer and bpf_rcu_read_unlock() after the last, on every path.",
			Example: "call bpf_rcu_read_unlock\nr0 = 0\nexit"},
		{Code: CodePreempt, Rule: "Preemption is enabled as often as it was disabled.",
			Fix:     "Pair bpf_preempt_disable() with bpf_preempt_enable() on every path.",
			Example: "call bpf_preempt_enable\nr0 = 0\nexit"},
		{Code: CodeIRQ, Rule: "Interrupts are restored from where they were saved.",
			Fix:     "Pair bpf_local_irq_save() with bpf_local_irq_restore() on the same variable, the innermost first.",
			Example: "r1 = r10\nr1 += -8\ncall bpf_local_irq_restore\nr0 = 0\nexit"},
		{Code: CodeIter, Rule: "Iterators are made before they are used.",
			Fix:     "Use bpf_for or bpf_for_each, which make and destroy the iterator; by hand, call new, next and destroy in that order on every path.",
			Example: "r1 = r10\nr1 += -8\ncall bpf_iter_num_next\nr0 = 0\nexit"},
		{Code: CodeDynptr, Rule: "Dynptrs are made before they are used.",
			Fix:     "Make the dynptr first (bpf_dynptr_from_mem, bpf_ringbuf_reserve_dynptr), and submit or discard one of a ring buffer on every path, also if reserving it failed.",
			Example: "r1 = r10\nr1 += -16\nr2 = 0\nr3 = 4\ncall dynptr_data\nr0 = 0\nexit"},
		{Code: CodeCallback, Rule: "Callbacks are static functions.",
			Fix:     "Pass a static function with the parameters of the helper's callback, which returns 0 or 1.",
			Example: "r1 = func f\nr0 = 0\nexit\nglobal f():\nr0 = 0\nexit"},
		{Code: CodeReturn, Rule: "Functions return what their callers expect.",
			Fix:     "Return a number, in the range that the place of the program allows.",
			Example: "call f\nr0 = 0\nexit\nsub f:\nr0 = r10\nexit"},
		{Code: CodeGlobalFunc, Rule: "Global functions get what their types say.",
			Fix:     "Give parameters types with a known size and tags (__arg_trusted, __arg_nonnull, __arg_ctx), and compare pointers with NULL inside.",
			Example: "r1 = r10\ncall f\nr0 = 0\nexit\nglobal f(int):\nr0 = 0\nexit"},
		{Code: CodeLicense, Rule: "Functions for GPL programs are called by such.",
			Fix:     "Say char _license[] SEC(\"license\") = \"GPL\";",
			Example: ""},
		{Code: CodeUnsupported, Rule: "This verifier knows what the program does.",
			Fix:     "A kernel may well accept this program. docs/fidelity.md lists what schedsim does not model.",
			Example: "call #77\nr0 = 0\nexit"},
	}
}

// deepCalls is a chain of 17 functions.
func deepCalls() string {
	s := "call f1\nexit\n"
	for i := 1; i < 17; i++ {
		s += "sub f" + itoa(i) + ":\n"
		if i < 16 {
			s += "call f" + itoa(i+1) + "\n"
		} else {
			s += "r0 = 0\n"
		}
		s += "exit\n"
	}
	return s
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return string(rune('0'+n/10)) + string(rune('0'+n%10))
}
