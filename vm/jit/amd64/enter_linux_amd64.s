#include "textflag.h"

// Offsets in context; TestContextLayout compares them.
#define context_goSP 0
#define context_goBP 8
#define context_sp 16
#define context_pc 24
#define context_left 32
#define context_r0 40

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
	MOVQ context_r0(R12), AX
	MOVQ context_sp(R12), SP
	SUBQ $-0x80000000, R12
	JMP R10
