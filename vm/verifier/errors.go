package verifier

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/ir"
)

// Code says why a program is refused. Codes are stable: tools and tests may compare them; Codes lists them all.
type Code string

// The codes.
const (
	CodeInvalidInsn  Code = "invalid-insn"
	CodeUnreachable  Code = "unreachable-insn"
	CodeUninitReg    Code = "uninit-reg"
	CodeFramePointer Code = "frame-pointer"
	CodePointerMath  Code = "pointer-math"
	CodeDivZero      Code = "div-by-zero"
	CodeShift        Code = "invalid-shift"
	CodeLoop         Code = "infinite-loop"
	CodeTooComplex   Code = "too-complex"
	CodeCallDepth    Code = "call-depth"
	CodeRecursion    Code = "recursion"
	CodeStackSize    Code = "stack-size"
	CodeStackAccess  Code = "stack-access"
	CodeUninitStack  Code = "uninit-stack"
	CodeSpill        Code = "spill"
	CodeCtxAccess    Code = "ctx-access"
	CodeBadPointer   Code = "bad-pointer"
	CodeNull         Code = "null-pointer"
	CodeBounds       Code = "out-of-bounds"
	CodeReadOnly     Code = "read-only"
	CodeAlignment    Code = "misaligned"
	CodeBTFAccess    Code = "btf-access"
	CodeSpecialField Code = "special-field"
	CodeAtomic       Code = "atomic"
	CodeArena        Code = "arena"
	CodeArgType      Code = "arg-type"
	CodeArgValue     Code = "arg-value"
	CodeUntrusted    Code = "untrusted-arg"
	CodeHelper       Code = "helper"
	CodeKfunc        Code = "kfunc"
	CodeMapFunc      Code = "map-func"
	CodeSleepable    Code = "sleepable"
	CodeReference    Code = "reference"
	CodeLeak         Code = "leak"
	CodeLock         Code = "lock"
	CodeRCU          Code = "rcu"
	CodePreempt      Code = "preempt"
	CodeIRQ          Code = "irq"
	CodeIter         Code = "iter"
	CodeDynptr       Code = "dynptr"
	CodeCallback     Code = "callback"
	CodeReturn       Code = "return-value"
	CodeGlobalFunc   Code = "global-func"
	CodeLicense      Code = "license"
	CodeUnsupported  Code = "unsupported"
)

// CodeInfo describes a code.
type CodeInfo struct {
	Code Code
	// Rule is the rule that the program broke, in one sentence.
	Rule string
	// Example is a minimal program that earns the code, in the notation of testdata.
	Example string
	// C is one in C, "" where there is none.
	C string
	// Fix is what most often helps.
	Fix string
}

// Error tells that a program is refused.
type Error struct {
	Code Code
	// Prog is the program's name, Func that of the function in it.
	Prog, Func string
	// Insn is the index of the refused instruction in the program's bytecode (8-byte slots), -1 for none; Line its line of
	// C, "" if unknown.
	Insn int32
	Line string
	// Source is Line in full.
	Source ir.Source
	// Msg is the kernel's last line where it has one.
	Msg string
	// Log is the path to the refused instruction, as the kernel's log at level 1.
	Log []string
	// Branches are the choices on the path, the last ones of them in order; Earlier counts those left out before them.
	Branches []Branch
	Earlier  int
	// Values are the registers that the refused instruction uses.
	Values []Value
}

// Error is one line: program, instruction and reason.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program %s", e.Prog)
	if e.Insn >= 0 {
		fmt.Fprintf(&b, ", instruction %d", e.Insn)
		if e.Line != "" {
			fmt.Fprintf(&b, " (%s)", e.Line)
		}
	}
	fmt.Fprintf(&b, ": %s [%s]", e.Msg, e.Code)
	return b.String()
}

// refusal is an Error in the making: the verifier adds where it happened.
type refusal struct {
	code Code
	msg  string
}

func (r *refusal) Error() string { return r.msg }

func refuse(code Code, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// bug is a refusal that says that the verifier itself does not hold together: the program is not accepted.
func bug(format string, args ...any) error {
	return &refusal{CodeUnsupported, "verifier bug: " + fmt.Sprintf(format, args...)}
}

// unsupported refuses what the verifier does not know.
func unsupported(format string, args ...any) error {
	return &refusal{CodeUnsupported, fmt.Sprintf(format, args...) + ": not supported"}
}
