package loader

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/examples"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"

	"github.com/cilium/ebpf/btf"
)

// plain is an instruction without what belongs to its place.
func plain(in ir.Insn) ir.Insn {
	in.Orig, in.Probe, in.Arena = 0, false, false
	return in
}

// roundTrip encodes and decodes a program without references.
func roundTrip(t *testing.T, code *ir.Program) *link.Bytecode {
	t.Helper()
	e, err := encode(&link.Program{Code: code}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := link.DecodeBytecode(e.code)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every operation comes back as it was.
func TestEncode(t *testing.T) {
	code := &ir.Program{}
	for op := ir.Op(1); op < ir.NrOps; op++ {
		if op == ir.GotoX { // it comes to be when a program is compiled
			continue
		}
		in := ir.Insn{Op: op, Dst: 3, Src: 4, Off: -20, Imm: 7}
		switch {
		case op.IsJump():
			in.Target, in.Off = int32(len(code.Insns)/2), 0
		case op == ir.CallSub, op == ir.CallKfunc, op == ir.CallHelper, op == ir.Exit:
			in.Dst, in.Src, in.Off = 0, 0, 0
		case op == ir.CallReg:
			in.Src, in.Off = 0, 0
		case op.IsLoad(), op.IsAtomic(), op >= ir.St8X && op <= ir.St64X, op >= ir.StRel8 && op <= ir.StRel64:
			in.Imm = 0
		case op.IsStore():
			in.Src = 0
		default:
			in.Off = 0
		}
		switch op {
		case ir.CallSub, ir.Exit, ir.Ja, ir.MayGoto, ir.CallReg, ir.CastKern, ir.CastUser, ir.Neg32, ir.Neg64:
			in.Imm = 0
		}
		switch {
		case op == ir.Ja, op == ir.MayGoto, op == ir.Neg32, op == ir.Neg64:
			if op < ir.Ja {
				in.Dst = 3
			} else {
				in.Dst = 0
			}
			in.Src = 0
		case op >= ir.LE16 && op <= ir.BSwap64:
			in.Src, in.Imm = 0, 0
		case op >= ir.MovSX8to64 && op <= ir.MovSX16to32:
			in.Imm = 0
		case op == ir.LdImm64:
			in.Src, in.Imm = 0, -1<<40+5
		case op == ir.CallKfunc:
			in.Imm = 0
		case op.IsJump(), op >= ir.Add64X && op <= ir.Mov32K:
			form := (op - ir.Add64X) % 4
			if op.IsJump() {
				form = (op - ir.JEq64X) % 4
			}
			if form%2 == 0 {
				in.Imm = 0
			} else {
				in.Src = 0
			}
		}
		code.Insns = append(code.Insns, in)
	}
	got := roundTrip(t, code)
	if len(got.Insns) != len(code.Insns) {
		t.Fatalf("%d instructions became %d", len(code.Insns), len(got.Insns))
	}
	for i, in := range code.Insns {
		if in.Op == ir.CallSub { // its target is in Pseudo
			in.Target = 0
		}
		if d := cmp.Diff(plain(in), plain(got.Insns[i])); d != "" {
			t.Errorf("operation %d: %s", in.Op, d)
		}
	}
}

// A long jump has a form of its own.
func TestFarJump(t *testing.T) {
	code := &ir.Program{Insns: []ir.Insn{{Op: ir.Ja, Target: 40001}}}
	for range 40000 {
		code.Insns = append(code.Insns, ir.Insn{Op: ir.LdImm64, Imm: 1})
	}
	code.Insns = append(code.Insns, ir.Insn{Op: ir.Exit})
	if got := roundTrip(t, code).Insns[0]; got.Op != ir.Ja || got.Target != 40001 {
		t.Errorf("%+v", got)
	}
	code.Insns[0] = ir.Insn{Op: ir.JEq64K, Target: 40001}
	if _, err := encode(&link.Program{Code: code}, nil); err == nil {
		t.Error("a conditional jump of 80000 slots was encoded")
	}
}

type target struct{ *kernels.Kernel }

func (t target) BTF() (*btf.Spec, error) { return t.Kernel.BTF(), nil }
func (t target) Version() uint32         { return t.Code }

// The programs of the examples come back as the linker made them, at the same slots.
func TestEncodeExamples(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			data, err := examples.Object(name)
			if err != nil {
				t.Fatal(err)
			}
			obj, err := elf.Read(name, bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			o, err := link.Link(obj, target{k}, link.Options{FillEnums: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range o.Programs {
				l := &Object{}
				e, err := encode(p, l.placeholders(p))
				if err != nil {
					t.Fatal(err)
				}
				b, err := link.DecodeBytecode(e.code)
				if err != nil {
					t.Fatalf("%s: %v", p.Name, err)
				}
				refs := map[int]bool{}
				for _, r := range p.Refs {
					refs[r.Insn] = true
				}
				for i, in := range p.Code.Insns {
					got := b.Insns[i]
					if got.Orig != in.Orig {
						t.Fatalf("%s: instruction %d is at slot %d, was at %d", p.Name, i, got.Orig, in.Orig)
					}
					switch in.Op {
					case ir.CallSub:
						in.Target = 0
					case ir.CallKfunc:
						in.Imm = 0
					case ir.Invalid:
						continue
					}
					if d := cmp.Diff(plain(in), plain(got)); d != "" && !refs[i] {
						t.Errorf("%s: instruction %d: %s", p.Name, i, d)
					}
				}
			}
		})
	}
}
