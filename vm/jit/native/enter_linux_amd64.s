#include "textflag.h"

// Offsets in context; TestContextLayout compares them.
#define context_sp 8
#define context_pc 16
#define context_left 24
#define context_r0 32
#define context_bias 40

// func enter(c *context)
//
// Machine code starts at context.pc and leaves with one RET to enter's caller. It uses every register but SP and BP freely,
// which the calling convention of assembly allows. Where it needs a stack or those registers, it goes to the private stack
// itself and keeps Go's SP and BP in X2 and X3: in memory each way back would wait for the store.
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), R12
	MOVQ context_pc(R12), R10
	MOVQ context_left(R12), R9
	MOVQ context_bias(R12), R12
	JMP R10

// func resume(c *context)
//
// The private stack holds R1-R5, which the program does not need again, R10 and where the program goes on; there it brings
// back what else it needs. X0 and X1 count the helpers that need no call.
TEXT ·resume(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), R12
	MOVQ BP, X3
	MOVQ SP, X2
	MOVQ context_sp(R12), R11
	MOVQ context_left(R12), R9
	MOVQ context_r0(R12), AX
	MOVQ context_bias(R12), R12
	MOVQ 40(R11), BP
	MOVQ 48(R11), R10
	LEAQ 56(R11), SP
	PXOR X0, X0
	PCMPEQL X1, X1
	JMP R10
