package vm

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// Fault is a violation that ended a program. It is a result, not an error of the simulator: programs are input.
type Fault struct {
	Prog string
	// Insn is the index of the instruction in the program's bytecode, in 8-byte slots; Line its source line, "" if
	// unknown.
	Insn int32
	Line string
	Msg  string
}

// Error is one line that names the program, the instruction and the source line.
func (f *Fault) Error() string {
	return fmt.Sprintf("program %s: instruction %d%s: %s", f.Prog, f.Insn, parens(f.Line), f.Msg)
}

func parens(line string) string {
	if line == "" {
		return ""
	}
	return " (" + line + ")"
}

// fault puts names to what an engine reports.
func (s *Set) fault(e *engine.Fault) *Fault {
	p := s.progs[e.Prog].link
	code := s.env.Progs[e.Prog].Code
	f := &Fault{Prog: p.Name, Msg: e.Msg}
	if in, ok := code.At(int(e.Insn)); ok {
		f.Insn, f.Line = in.Orig, lineOf(code, int(e.Insn))
		if in.Op == ir.Invalid && in.Imm >= 0 && in.Imm < int64(len(p.Poison)) {
			f.Msg = p.Poison[in.Imm]
		}
		if e.Kfunc {
			if name := code.Kfuncs[in.Imm]; !strings.Contains(f.Msg, name) {
				f.Msg = name + ": " + f.Msg
			}
		}
	}
	return f
}

func lineOf(code *ir.Program, insn int) string {
	if code.Line == nil {
		return ""
	}
	return code.Line(int32(insn))
}
