#include "textflag.h"

// Offsets in context; TestContextLayout compares them.
#define context_pc 16
#define context_back 56

// func enter(c *context)
//
// Machine code leaves with one RET to enter's caller. It uses R0-R17 and R19-R27, which the calling convention of assembly
// allows.
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-8
	MOVD c+0(FP), R26
	MOVD context_pc(R26), R16
	JMP (R16)

// func resume(c *context)
TEXT ·resume(SB), NOSPLIT|NOFRAME, $0-8
	MOVD c+0(FP), R26
	MOVD context_back(R26), R16
	JMP (R16)

// func flushInstructions(p unsafe.Pointer, n uintptr)
//
// CTR_EL0 has the logarithms of the sizes of cache lines in words: of instructions in bits 3-0, of data in bits 19-16.
TEXT ·flushInstructions(SB), NOSPLIT|NOFRAME, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	ADD R0, R1, R1
	MRS CTR_EL0, R2
	MOVD $4, R4
	UBFX $16, R2, $4, R3
	LSL R3, R4, R3
	UBFX $0, R2, $4, R5
	LSL R5, R4, R5
	SUB $1, R3, R6
	BIC R6, R0, R7

data:
	CMP R1, R7
	BHS clean
	DC CVAU, R7
	ADD R3, R7, R7
	B data

clean:
	DSB $11 // ISH
	SUB $1, R5, R6
	BIC R6, R0, R7

instructions:
	CMP R1, R7
	BHS done
	WORD $0xd50b7527 // IC IVAU, R7
	ADD R5, R7, R7
	B instructions

done:
	DSB $11
	ISB $15
	RET
