// Package engine is the seam between the façade (vm) and the engines that run programs (vm/interp, vm/jit/...): what an
// engine is given, what it must do with it, and the rules that make two engines indistinguishable.
//
// Read Env first, then Code. The rules that concern every engine:
//
// Registers. A program starts with R1 = its context, R10 = the end of its stack frame and every other register zero; so
// does a callback, with R1-R5 = its arguments. CallSub and CallReg do not touch R0-R9: the callee sees the caller's
// values, and on return R6-R10 are restored while R0-R5 are what the callee left. After helpers and kfuncs R0 is the
// result and R1-R5 are zero.
//
// Stack. Frames are FrameSize bytes each, whatever the subprogram uses, and lie in Env.Mem: the first at Env.StackTop -
// FrameSize, each further one (of a call, a callback or a nested program) below the one before. They are not cleared, so
// that a program that reads what it never wrote sees the same bytes on every engine. A program and the callbacks that its
// helpers run share a limit of MaxFrames frames; a program that runs within another's kfunc has its own.
//
// Leaving. Besides Exit, functions end by tail calls and exceptions, which helpers and kernel functions ask for; Env.Call says how.
//
// Memory. Each access of n bytes at a must lie in [mem.Base, mem.Base+Limit()), anything else is a Fault; a
// load with ir.Insn.Probe yields 0 instead. An engine allocates nothing in Env.Mem, since addresses must not depend on the engine.
//
// Arena. An access with ir.Insn.Arena in a set that has Env.Arena never faults: where its bytes are not in the space, but all
// of them in mapped pages of the arena, it goes there; elsewhere a load and the fetching atomics yield 0 (CmpXchg in R0, the
// others in Src) and nothing is stored. In a set without an arena the mark means nothing.
//
// Counting. Each executed ir.Insn counts one in State.Insns, the faulting one included. The budget is compared at three
// sorts of place only, so that machine code can count by block: after a taken jump (or MayGoto) whose Target is not
// behind it (Target <= its index; the fault is at the jump), at a GotoX before it looks at its register, and on entry to a
// subprogram or callback (the fault is at its first instruction, which is not counted). The fault comes when Insns >= Limit there. A program that starts while none
// is running sets Limit = Insns + Env.Budget; nested ones live on the same Limit, so that everything ends.
//
// Faults. The messages are the functions of this package, so that they are the same to the letter.
package engine
