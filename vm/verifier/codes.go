package verifier

// Codes lists all codes, each with its rule and a minimal program that earns it, in the notation of testdata: r1 points to
// three arguments, a trusted task, a number and a task that may be null. A test holds the examples to their word.
func Codes() []CodeInfo {
	return []CodeInfo{
		{CodeInvalidInsn, "Every instruction is one that exists and stays within its function.", "r0 = 0"},
		{CodeUnreachable, "Every instruction can be reached.", "r0 = 0\nexit\nr0 = 1\nexit"},
		{CodeUninitReg, "A register is written before it is read.", "r0 = r2\nexit"},
		{CodeFramePointer, "r10 is not written.", "r10 = 0\nexit"},
		{CodePointerMath, "Pointers are only moved by bounded numbers.", "r0 = r10\nr0 *= 8\nexit"},
		{CodeDivZero, "Constants that are divided by are not zero.", "r0 = 1\nr0 /= 0\nexit"},
		{CodeShift, "Constants shift by less than the width of the operation.", "r0 = 1\nr0 <<= 64\nexit"},
		{CodeLoop, "A loop does not come back to the same state.", "r0 = 0\nloop:\nif r0 == 0 goto loop\nexit"},
		{CodeTooComplex, "Following all paths takes at most a million instructions.", "r0 = 0\nloop:\nr0 += 1\nif r0 < 10000000 goto loop\nexit"},
		{CodeCallDepth, "Calls nest at most 16 deep.", deepCalls()},
		{CodeRecursion, "Functions do not call themselves.", "r0 = 0\ncall f\nexit\nsub f:\ncall f\nexit"},
		{CodeStackSize, "The stacks of a chain of calls are at most 512 bytes.", "*(u64 *)(r10 - 512) = 0\ncall f\nexit\nsub f:\n*(u64 *)(r10 - 8) = 0\nr0 = 0\nexit"},
		{CodeStackAccess, "Accesses to the stack lie in it.", "*(u64 *)(r10 - 520) = 0\nr0 = 0\nexit"},
		{CodeUninitStack, "Objects on the stack are not read as if they were numbers.", "r1 = r10\nr1 += -8\nr2 = 0\nr3 = 4\ncall bpf_iter_num_new\nr1 = *(u64 *)(r10 - 8)\nr1 = r10\nr1 += -8\ncall bpf_iter_num_destroy\nr0 = 0\nexit"},
		{CodeSpill, "Pointers are saved and restored as a whole.", "*(u64 *)(r10 - 8) = r1\nr0 = *(u32 *)(r10 - 8)\nexit"},
		{CodeCtxAccess, "The context is read where it has something, and not written.", "r0 = *(u64 *)(r1 + 24)\nexit"},
		{CodeBadPointer, "Only pointers are followed.", "r1 = 8\nr0 = *(u64 *)(r1 + 0)\nexit"},
		{CodeNull, "Pointers that may be null are compared with it before they are followed.", "r1 = *(u64 *)(r1 + 16)\nr0 = *(u32 *)(r1 + 0)\nexit"},
		{CodeBounds, "Accesses to memory lie within it, whatever the values.", "r1 = value array+12\nr0 = *(u64 *)(r1 + 0)\nexit"},
		{CodeReadOnly, "Memory that must not change is not written.", "r1 = value rodata+0\n*(u32 *)(r1 + 0) = 1\nr0 = 0\nexit"},
		{CodeAlignment, "Accesses to the stack, and atomic ones, are aligned.", "*(u64 *)(r10 - 12) = 0\nr0 = 0\nexit"},
		{CodeBTFAccess, "Kernel objects are read within their fields.", "r1 = *(u64 *)(r1 + 0)\nr0 = *(u64 *)(r1 + 1000000)\nexit"},
		{CodeSpecialField, "Locks, timers and kptrs in maps are only touched by their functions.", "r1 = value lock+0\nr0 = *(u32 *)(r1 + 0)\nexit"},
		{CodeAtomic, "Atomic operations are on memory of the program.", "r2 = 1\nlock add *(u64 *)(r1 + 0) r2\nr0 = 0\nexit"},
		{CodeArena, "Casts need an arena.", "r1 = 0\nr1 = cast r1\nr0 = 0\nexit"},
		{CodeArgType, "Arguments are what the function takes.", "r1 = 0\nr2 = r10\ncall map_lookup_elem\nr0 = 0\nexit"},
		{CodeArgValue, "Sizes are bounded, and constant where that is needed.", "r6 = *(u64 *)(r1 + 8)\nr1 = r10\nr1 += -8\nr2 = r6\nr3 = 0\ncall probe_read_kernel\nr0 = 0\nexit"},
		{CodeUntrusted, "Kernel functions get pointers that are valid.", "r1 = *(u64 *)(r1 + 0)\nr1 = *(u64 *)(r1 + MM)\nif r1 == 0 goto out\ncall test_task\nout:\nr0 = 0\nexit"},
		{CodeHelper, "The helper may be called by programs of this sort.", "call #1000\nexit"},
		{CodeKfunc, "The kernel function may be called from here.", "call bpf_no_such_function\nexit"},
		{CodeMapFunc, "The helper goes with the map's type.", "r1 = map array\nr2 = value array+0\nr3 = 0\ncall map_push_elem\nr0 = 0\nexit"},
		{CodeSleepable, "Functions that sleep are called where one may sleep.", "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall copy_from_user\nr0 = 0\nexit"},
		{CodeReference, "What is released was acquired.", "r1 = *(u64 *)(r1 + 0)\ncall bpf_task_release\nr0 = 0\nexit"},
		{CodeLeak, "What is acquired is released.", "r1 = *(u64 *)(r1 + 0)\ncall bpf_task_acquire\nr0 = 0\nexit"},
		{CodeLock, "A spin lock is released once, and nothing else is called in between.", "r1 = value lock+0\ncall spin_unlock\nr0 = 0\nexit"},
		{CodeRCU, "RCU sections are closed, and entered where it is needed.", "call bpf_rcu_read_unlock\nr0 = 0\nexit"},
		{CodePreempt, "Preemption is enabled as often as it was disabled.", "call bpf_preempt_enable\nr0 = 0\nexit"},
		{CodeIRQ, "Interrupts are restored from where they were saved.", "r1 = r10\nr1 += -8\ncall bpf_local_irq_restore\nr0 = 0\nexit"},
		{CodeIter, "Iterators are made before they are used.", "r1 = r10\nr1 += -8\ncall bpf_iter_num_next\nr0 = 0\nexit"},
		{CodeDynptr, "Dynptrs are made before they are used.", "r1 = r10\nr1 += -16\nr2 = 0\nr3 = 4\ncall dynptr_data\nr0 = 0\nexit"},
		{CodeCallback, "Callbacks are static functions.", "r1 = func f\nr0 = 0\nexit\nglobal f():\nr0 = 0\nexit"},
		{CodeReturn, "Functions return what their callers expect.", "call f\nr0 = 0\nexit\nsub f:\nr0 = r10\nexit"},
		{CodeGlobalFunc, "Global functions get what their types say.", "r1 = r10\ncall f\nr0 = 0\nexit\nglobal f(int):\nr0 = 0\nexit"},
		{CodeLicense, "Functions for GPL programs are called by such.", ""},
		{CodeUnsupported, "This verifier knows what the program does.", "r2 = map array\nr3 = 0\ncall tail_call\nr0 = 0\nexit"},
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
