package verifier

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/ir"
)

// Branch is a choice on the way to a refusal.
type Branch struct {
	Insn int32 // index in the bytecode
	// Text is the condition as the kernel's log writes it, Taken tells whether it held.
	Text   string
	Taken  bool
	Source ir.Source
}

// Value is what a register that the refused instruction uses may hold there.
type Value struct {
	Reg string // "r1"
	// State is the register in the words of the kernel's log, Text in plain ones.
	State, Text string
	// Origin is the instruction that gave the register its value; its Insn is -1 if that is not on the path.
	Origin Origin
}

// Origin is where a value comes from.
type Origin struct {
	Insn   int32
	Text   string
	Source ir.Source
}

// maxBranches bounds the branches of an explanation: the last ones are kept.
const maxBranches = 16

// explain says how the path came to the refused instruction and what its registers may hold.
func (v *verifier) explain(e *Error) {
	if len(v.path) == 0 || v.cur == nil {
		return
	}
	source := func(i int32) ir.Source {
		if v.prog.Code.Source == nil {
			return ir.Source{}
		}
		return v.prog.Code.Source(i)
	}
	for k := len(v.path) - 2; k >= 0; k-- {
		in := &v.insns[v.path[k]]
		if !in.Op.IsJump() || in.Op == ir.Ja {
			continue
		}
		if len(e.Branches) == maxBranches {
			e.Earlier++
			continue
		}
		taken := v.path[k+1] == in.Target
		e.Branches = append(e.Branches, Branch{in.Orig, v.disasm(v.path[k])[5:], taken, source(v.path[k])})
	}
	for i, j := 0, len(e.Branches)-1; i < j; i, j = i+1, j-1 {
		e.Branches[i], e.Branches[j] = e.Branches[j], e.Branches[i]
	}
	last := v.path[len(v.path)-1]
	if last != v.insnIdx {
		return // the refusal is not of an instruction: a loop, a limit
	}
	switch e.Code {
	case CodeKfunc, CodeHelper, CodeSleepable, CodeLicense:
		return // whatever the arguments are
	}
	f := v.cur.cur()
	in := &v.insns[last]
	seen := [11]bool{}
	for _, r := range touched(in) {
		if in.Op == ir.Invalid || !concerned(e.Msg, r) {
			continue
		}
		writes := in.Op == ir.LdImm64 || in.Op.IsLoad() && r == in.Dst && in.Dst != in.Src ||
			(in.Op >= ir.Mov64X && in.Op <= ir.Mov32K || in.Op >= ir.MovSX8to64 && in.Op <= ir.MovSX16to32) && r == in.Dst && r != in.Src
		call := in.Op.IsCall() && (r == 0 || f.regs[r].typ == notInit)
		if seen[r] || writes || call || r == fp {
			continue
		}
		seen[r] = true
		val := Value{Reg: fmt.Sprintf("r%d", r), State: f.regs[r].text(f.no), Text: plain(&f.regs[r], f.no), Origin: Origin{Insn: -1}}
		if at := v.origin(r); at >= 0 {
			val.Origin = Origin{v.insns[at].Orig, v.disasm(at)[5:], source(at)}
		}
		e.Values = append(e.Values, val)
	}
}

// concerned tells whether a message is about a register: it names it, or none.
func concerned(msg string, r ir.Reg) bool {
	named := false
	for i := 0; i+1 < len(msg); i++ {
		if msg[i] != 'R' || msg[i+1] < '0' || msg[i+1] > '9' || i > 0 && isLetter(msg[i-1]) {
			continue
		}
		n := 0
		for i++; i < len(msg) && msg[i] >= '0' && msg[i] <= '9'; i++ {
			n = n*10 + int(msg[i]-'0')
		}
		if n == int(r) {
			return true
		}
		named = true
	}
	return !named
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// origin is the last instruction on the path that wrote what r holds at its end, through moves and calls; -1 if none did.
func (v *verifier) origin(r ir.Reg) int32 {
	depth := 0
	for k := len(v.path) - 2; k >= 0; k-- {
		i := v.path[k]
		in := &v.insns[i]
		switch {
		case in.Op == ir.Exit && depth == 0 && r == 0:
			// The value that a function returned: go on inside it.
			continue
		case in.Op == ir.Exit:
			depth++
			continue
		case in.Op == ir.CallSub && v.path[k+1] == in.Target:
			if depth > 0 {
				depth--
			}
			continue
		case depth > 0:
			continue
		case in.Op.IsCall():
			if r <= 5 {
				return i
			}
			continue
		}
		writes := in.Op.WritesDst() && in.Dst == r || in.Op.WritesSrc() && in.Src == r
		if !writes {
			continue
		}
		if in.Op == ir.Mov64X {
			r = in.Src
			continue
		}
		return i
	}
	return -1
}

// plain says in plain words what a register holds.
func plain(r *reg, frame uint8) string {
	null := ""
	if r.typ.has(maybeNull) {
		null = ", or null"
	}
	at := func() string {
		switch {
		case r.bits.isConst() && r.off() == 0:
			return ""
		case r.bits.isConst():
			return fmt.Sprintf(", %+d bytes", r.off())
		}
		return ", moved by " + span(&r.num)
	}
	switch r.typ.base() {
	case notInit:
		return "nothing: it was never written on this path, or a call overwrote it"
	case scalar:
		if r.bits.isConst() {
			return fmt.Sprintf("the number %d", int64(r.bits.value))
		}
		return span(&r.num)
	case ptrToCtx:
		return "the pointer to the program's arguments" + at()
	case ptrToStack:
		return "a pointer into the stack" + at()
	case constPtrToMap:
		return "map " + mapName(r) + null
	case ptrToMapValue:
		size := uint32(0)
		if r.obj.m != nil {
			size = r.obj.m.value
		}
		return fmt.Sprintf("a pointer to a value of map %s (%d bytes)%s%s", mapName(r), size, at(), null)
	case ptrToMapKey:
		return "a pointer to a key of map " + mapName(r) + at()
	case ptrToMem:
		return fmt.Sprintf("a pointer to %d bytes of memory%s%s", r.obj.size, at(), null)
	case ptrToBTF:
		name := "?"
		if r.obj.typ != nil {
			name = r.obj.typ.TypeName()
		}
		trust := ""
		switch {
		case r.typ.has(untrusted):
			trust = " that may be stale"
		case r.typ.has(trusted):
			trust = " that is valid"
		case r.typ.has(rcuPtr):
			trust = " that is valid while the RCU lock is held"
		case r.typ.allocObj():
			trust = " that the program allocated"
		}
		return fmt.Sprintf("a pointer to struct %s%s%s%s", name, trust, at(), null)
	case ptrToArena:
		return "a pointer into the arena"
	case ptrToFunc:
		return "a function"
	case constPtrToDynptr:
		return "a dynptr"
	}
	return r.text(frame)
}

func mapName(r *reg) string {
	if r.obj.m == nil {
		return "?"
	}
	return r.obj.m.name
}

// span is the range of a number: the narrower of its two readings.
func span(n *num) string {
	lo, hi := n.smin(), n.smax()
	switch {
	case lo == minS64 && hi == -(minS64+1) && n.umin() <= 1 && n.umax() == ^uint64(0):
		if n.umin() == 1 {
			return "any number but 0"
		}
		return "any number"
	case n.umax() <= uint64(hi) && n.umin() >= uint64(max(lo, 0)) || lo < 0 && n.umax() < 1<<63:
		return fmt.Sprintf("a number from %d to %d", n.umin(), n.umax())
	}
	return fmt.Sprintf("a number from %d to %d", lo, hi)
}
