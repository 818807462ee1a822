#include "textflag.h"

// Offsets in context; TestContextLayout compares them.
#define context_pc 16
#define context_back 56

// func enter(c *context)
//
// Machine code finds the context in AX and leaves with one RET to enter's caller. It uses every register but SP and BP freely,
// which the calling convention of assembly allows; where it needs a stack or those, it keeps Go's in registers.
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), AX
	JMP context_pc(AX)

// func resume(c *context)
TEXT ·resume(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ c+0(FP), AX
	JMP context_back(AX)
