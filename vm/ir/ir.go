package ir

import "fmt"

// Reg is a BPF register, R0-R10.
type Reg uint8

// Op is an operation. Binary operations come in four forms in this order: 64-bit by register, 64-bit by immediate,
// 32-bit by register, 32-bit by immediate; conditional jumps likewise.
type Op uint8

// The operations. X means "operand in Src", K "operand in Imm".
const (
	// Invalid is an instruction that cannot be executed: reaching it is a fault.
	Invalid Op = iota

	Add64X
	Add64K
	Add32X
	Add32K
	Sub64X
	Sub64K
	Sub32X
	Sub32K
	Mul64X
	Mul64K
	Mul32X
	Mul32K
	Div64X
	Div64K
	Div32X
	Div32K
	SDiv64X
	SDiv64K
	SDiv32X
	SDiv32K
	Mod64X
	Mod64K
	Mod32X
	Mod32K
	SMod64X
	SMod64K
	SMod32X
	SMod32K
	Or64X
	Or64K
	Or32X
	Or32K
	And64X
	And64K
	And32X
	And32K
	Xor64X
	Xor64K
	Xor32X
	Xor32K
	Lsh64X
	Lsh64K
	Lsh32X
	Lsh32K
	Rsh64X
	Rsh64K
	Rsh32X
	Rsh32K
	Arsh64X
	Arsh64K
	Arsh32X
	Arsh32K
	Mov64X
	Mov64K
	Mov32X
	Mov32K
	Neg64
	Neg32
	// Sign-extending moves, from Src.
	MovSX8to64
	MovSX16to64
	MovSX32to64
	MovSX8to32
	MovSX16to32
	// Byte order, in place on Dst: to little endian (truncate), to big endian (swap and truncate), unconditional swap.
	LE16
	LE32
	LE64
	BE16
	BE32
	BE64
	BSwap16
	BSwap32
	BSwap64
	// LdImm64 sets Dst to Imm: a constant or a resolved address.
	LdImm64

	// Loads: Dst = *(Src + Off), zero-extended (Ld) or sign-extended (Lds).
	Ld8
	Ld16
	Ld32
	Ld64
	Lds8
	Lds16
	Lds32
	// Stores: *(Dst + Off) = Src or Imm.
	St8X
	St16X
	St32X
	St64X
	St8K
	St16K
	St32K
	St64K
	// Atomics on *(Dst + Off) with Src; the Fetch forms return the old value in Src. CmpXchg compares with R0 and returns
	// the old value in R0.
	AtomicAdd32
	AtomicAdd64
	AtomicOr32
	AtomicOr64
	AtomicAnd32
	AtomicAnd64
	AtomicXor32
	AtomicXor64
	FetchAdd32
	FetchAdd64
	FetchOr32
	FetchOr64
	FetchAnd32
	FetchAnd64
	FetchXor32
	FetchXor64
	Xchg32
	Xchg64
	CmpXchg32
	CmpXchg64
	// Load-acquire (Dst = *(Src+Off)) and store-release (*(Dst+Off) = Src).
	LdAcq8
	LdAcq16
	LdAcq32
	LdAcq64
	StRel8
	StRel16
	StRel32
	StRel64

	// Jumps to Target. The compared value is Dst, against Src or Imm.
	Ja
	JEq64X
	JEq64K
	JEq32X
	JEq32K
	JNe64X
	JNe64K
	JNe32X
	JNe32K
	JGt64X
	JGt64K
	JGt32X
	JGt32K
	JGe64X
	JGe64K
	JGe32X
	JGe32K
	JLt64X
	JLt64K
	JLt32X
	JLt32K
	JLe64X
	JLe64K
	JLe32X
	JLe32K
	JSGt64X
	JSGt64K
	JSGt32X
	JSGt32K
	JSGe64X
	JSGe64K
	JSGe32X
	JSGe32K
	JSLt64X
	JSLt64K
	JSLt32X
	JSLt32K
	JSLe64X
	JSLe64K
	JSLe32X
	JSLe32K
	JSet64X
	JSet64K
	JSet32X
	JSet32K
	// MayGoto jumps to Target when the loop budget of the frame is used up (BPF_MAX_LOOPS in the kernel).
	MayGoto
	// GotoX jumps to the target that Sub.Jumps has for the value of Dst; if there is none it is a fault.
	GotoX

	// CallSub calls the subprogram whose first instruction is Target; CallHelper the helper Imm (its kernel number);
	// CallKfunc the kfunc Program.Kfuncs[Imm]. All take R1-R5 and set R0; R1-R5 are zeroed after helpers and kfuncs on
	// every engine, so that a program cannot tell engines apart by what a call left there. After CallSub and CallReg they
	// hold what the callee left in them; R6-R10 are restored.
	CallSub
	CallHelper
	CallKfunc
	// CallReg calls the subprogram whose code address is in Dst (callx), or what engine.Env.ByNumber says.
	CallReg
	Exit

	// CastKern and CastUser are addr_space_cast of arena pointers; Imm is not used. CastKern keeps the low 32 bits of Src,
	// the address within the 4 GiB window in which programs see the arena; CastUser puts the upper half of the arena's user
	// addresses in front of them, unless they are 0. In a set without an arena both are moves.
	CastKern
	CastUser

	NrOps
)

// Insn is one decoded instruction.
type Insn struct {
	Op       Op
	Dst, Src Reg
	// Probe, on a plain load (Ld8 to Lds32), makes a bad address yield 0 instead of a fault. It is what the kernel does
	// with loads through pointers that may be stale or null (BPF_PROBE_MEM, with an entry in the exception table).
	Probe bool
	// Arena, on an access to memory, says that its address may be the kernel side of an arena pointer, as CastKern makes
	// them: where it leads to no other memory, it goes to the arena of the set, and never faults (PROBE_MEM32 in the
	// kernel). Nothing is there: a load and the fetching forms of atomics yield 0, a store does nothing.
	Arena bool
	// Proved, on an access to memory, says that the verifier has shown its address to lie in the address space whenever the
	// instruction runs, so that an engine may leave the check out. Decoding never sets it.
	Proved bool
	// Orig is the index of the instruction in the bytecode of its program, for messages and line info (in 8-byte slots).
	Orig   int32
	Off    int32
	Target int32 // index in Program.Insns
	Imm    int64
}

// Sub is one subprogram: Insns[Start:End].
type Sub struct {
	Name       string
	Start, End int32
	// Stack is the number of bytes of stack that the subprogram uses, a multiple of 8, at most 512.
	Stack int32
	// Jumps are where a GotoX in the subprogram may lead, sorted by value.
	Jumps []Jump
}

// Jump is a target of indirect jumps.
type Jump struct {
	Value  int32 // of the register
	Target int32 // index in Program.Insns
}

// Program is a main program followed by the subprograms that it reaches.
type Program struct {
	Name  string
	Insns []Insn
	// Subs[0] is the main program.
	Subs []Sub
	// Kfuncs are the kernel functions that CallKfunc refers to, by name.
	Kfuncs []string
	// Exception is the index in Subs of the exception callback, where the program goes on after bpf_throw; 0: it has none,
	// and returns what was thrown. No instruction need refer to it.
	Exception int32
	// Line maps an instruction to its C source line, "" where unknown.
	Line func(insn int32) string
	// Source is Line in full; nil where there is no line information.
	Source func(insn int32) Source
	// Again decodes Insns anew for messages, where they were let go of because machine code has replaced them, and tells where
	// the Subs are. Addresses, names and what an analysis has found out need not be in them.
	Again func() ([]Insn, []Sub)
}

// Functions are the Subs, also where they were let go of.
func (p *Program) Functions() []Sub {
	if p.Subs == nil && p.Again != nil {
		_, subs := p.Again()
		return subs
	}
	return p.Subs
}

// At is an instruction, also where Insns was let go of. It is not ok if there is no such instruction.
func (p *Program) At(insn int) (in Insn, ok bool) {
	insns := p.Insns
	if insns == nil && p.Again != nil {
		insns, _ = p.Again()
	}
	if insn < 0 || insn >= len(insns) {
		return Insn{}, false
	}
	return insns[insn], true
}

// Where is an instruction for messages: its index in the bytecode and, where it is known, its C source line.
func (p *Program) Where(insn int) string {
	in, ok := p.At(insn)
	if !ok {
		panic(fmt.Sprintf("BUG: program %s: instruction %d", p.Name, insn))
	}
	s := fmt.Sprintf("instruction %d", in.Orig)
	if p.Line != nil {
		if line := p.Line(int32(insn)); line != "" {
			s += " (" + line + ")"
		}
	}
	return s
}

// Source is the place in C that an instruction was compiled from. The zero value is an unknown one.
type Source struct {
	File string // as the compiler was given it
	Text string // the line, without the blanks at its beginning
	Line uint32
	Col  uint32
}

// CodeBase is the simulated address of the first instruction of a program set's code: a pointer to the subprogram that starts
// at instruction i of program number p has the value CodeBase + p<<24 + i<<3. It lies outside the data address space, so
// such a pointer cannot be read or written through.
const CodeBase = 0xffffffff_c0000000 - 1<<36
