#include "textflag.h"

// Offsets in context; TestContextLayout compares them.
#define context_goSP 0
#define context_goBP 8
#define context_sp 16
#define context_pc 24
#define context_left 32
#define context_r0 40
#define context_bias 48

// func enter(c *context)
//
// Machine code starts at context.pc on the private stack and leaves with one RET to enter's caller. It uses every register
// but SP and BP freely, which the calling convention of assembly allows.
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), R12
	MOVQ BP, context_goBP(R12)
	MOVQ SP, context_goSP(R12)
	MOVQ context_pc(R12), R10
	MOVQ context_left(R12), R9
	MOVQ context_sp(R12), SP
	MOVQ context_bias(R12), R12
	JMP R10

// func resume(c *context)
//
// The private stack holds R1-R5, which become zero, the registers that the call keeps, and where it goes on. X0 and X1 count
// the helpers that need no call.
TEXT ·resume(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), R12
	MOVQ BP, context_goBP(R12)
	MOVQ SP, context_goSP(R12)
	MOVQ context_sp(R12), R11
	MOVQ context_left(R12), R9
	MOVQ context_r0(R12), AX
	MOVQ context_bias(R12), R12
	MOVQ 40(R11), BP
	MOVQ 48(R11), R15
	MOVQ 56(R11), R14
	MOVQ 64(R11), R13
	MOVQ 72(R11), BX
	MOVQ 80(R11), R10
	LEAQ 88(R11), SP
	XORL DI, DI
	XORL SI, SI
	XORL DX, DX
	XORL CX, CX
	XORL R8, R8
	PXOR X0, X0
	PCMPEQL X1, X1
	JMP R10
