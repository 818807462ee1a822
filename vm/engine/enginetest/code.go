package enginetest

import (
	"bytes"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// InCode compares a function with the code that says what it does (abi.Inline).
type InCode struct {
	mem  *mem.Space
	env  *engine.Env
	code engine.Code
	in   *abi.Inline
	fn   abi.Func
	call *abi.Call
}

// NewInCode prepares the comparison of fn and in, over the memory of call; ref runs the code.
func NewInCode(tb testing.TB, ref engine.Engine, m *mem.Space, call *abi.Call, in *abi.Inline, fn abi.Func) *InCode {
	tb.Helper()
	if msg := engine.CheckInline(in); msg != "" {
		tb.Fatal(msg)
	}
	stack, _, err := m.Alloc(engine.FrameSize, 8)
	if err != nil {
		tb.Fatal(err)
	}
	c := &InCode{mem: m, in: in, fn: fn, call: call}
	c.env = &engine.Env{Mem: m, Call: &abi.Call{Mem: m}, StackTop: stack + engine.FrameSize, StackSize: engine.FrameSize, Budget: 1000}
	p := &ir.Program{Name: "code", Insns: append(append([]ir.Insn{}, in.Code...), ir.Insn{Op: ir.Exit}), Subs: []ir.Sub{{End: int32(len(in.Code) + 1)}}}
	for i := range p.Insns {
		if x := &p.Insns[i]; x.Op == ir.Ld64 && x.Src == abi.WordReg {
			*x = ir.Insn{Op: ir.LdImm64, Dst: x.Dst, Imm: int64(in.Word.Ask())}
		}
	}
	c.env.Progs = []engine.Prog{{Code: p, Info: &abi.Prog{}}}
	if c.code, err = ref.Compile(c.env); err != nil {
		tb.Fatal(err)
	}
	return c
}

// Args runs both with the same arguments in the same memory, which keeps what the function did. It tells whether the code did the
// work: where it does not, it must have changed nothing.
func (c *InCode) Args(t *testing.T, a abi.Args) bool {
	t.Helper()
	before := bytes.Clone(c.mem.View())
	r0, f := c.code.RunSub(engine.CodeAddr(0, 0), a)
	after := bytes.Clone(c.mem.View())
	if f != nil && !bytes.Equal(before, after) {
		t.Errorf("%x: the code changed memory before it gave up: %v", a, f)
	}
	copy(c.mem.View(), before)
	args := a
	want := c.fn(c.call, &args)
	fault := c.call.Fault
	c.call.Fault = ""
	if f != nil {
		return false
	}
	if fault != "" || r0 != want || !bytes.Equal(after, c.mem.View()) {
		t.Errorf("%x: the code returns %#x, the function %#x %q; memory differs: %v", a, r0, want, fault, !bytes.Equal(after, c.mem.View()))
	}
	return true
}
