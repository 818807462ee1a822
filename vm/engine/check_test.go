package engine

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/ir"
)

func TestCheck(t *testing.T) {
	exit := ir.Insn{Op: ir.Exit}
	one := func(in ...ir.Insn) *ir.Program {
		for i := range in {
			in[i].Orig = int32(10 + i)
		}
		return &ir.Program{Name: "p", Insns: in, Subs: []ir.Sub{{Name: "p", End: int32(len(in))}}, Kfuncs: []string{"f"}}
	}
	two := func(p *ir.Program, cut int32) *ir.Program {
		p.Subs = []ir.Sub{{Name: "p", End: cut}, {Name: "q", Start: cut, End: int32(len(p.Insns))}}
		return p
	}
	jumps := func(p *ir.Program, to ...ir.Jump) *ir.Program {
		p.Subs[0].Jumps = to
		return p
	}
	for _, tc := range []struct {
		name string
		p    *ir.Program
		want string // "" means that it is well-formed
	}{
		{"exit", one(exit), ""},
		{"ends in a jump", one(exit, ir.Insn{Op: ir.Ja}), ""},
		{"ends in poison", one(ir.Insn{}), ""},
		{"nothing", &ir.Program{Name: "p"}, "no instructions"},
		{"falls off", one(ir.Insn{Op: ir.Mov64K}), `instruction 10: last instruction of "p" is neither exit nor jump`},
		{"ends in a conditional jump", one(ir.Insn{Op: ir.JEq64K}), "neither exit nor jump"},
		{"operation", one(ir.Insn{Op: ir.NrOps}, exit), "instruction 10: unknown operation"},
		{"destination", one(ir.Insn{Op: ir.Mov64K, Dst: 11}, exit), "register r11 does not exist"},
		{"source", one(ir.Insn{Op: ir.Mov64X, Src: 12}, exit), "register r12 does not exist"},
		{"writes r10", one(ir.Insn{Op: ir.Add64K, Dst: 10}, exit), "r10 is read-only"},
		{"loads r10", one(ir.Insn{Op: ir.Ld8, Dst: 10}, exit), "r10 is read-only"},
		{"fetches into r10", one(ir.Insn{Op: ir.Xchg64, Src: 10}, exit), "r10 is read-only"},
		{"stores r10", one(ir.Insn{Op: ir.St64X, Dst: 10, Src: 10}, exit), ""},
		{"adds r10 to memory", one(ir.Insn{Op: ir.AtomicAdd64, Src: 10}, exit), ""},
		{"jump over the end", one(ir.Insn{Op: ir.Ja, Target: 2}, exit), `jump out of "p"`},
		{"jump before the start", one(ir.Insn{Op: ir.JEq64K, Target: -1}, exit), `jump out of "p"`},
		{"jump into another function", two(one(ir.Insn{Op: ir.JNe32X, Target: 2}, exit, exit), 2), `jump out of "p"`},
		{"indirect jump", jumps(one(ir.Insn{Op: ir.Mov64K}, ir.Insn{Op: ir.GotoX}), ir.Jump{Value: 7}, ir.Jump{Value: 9, Target: 1}), ""},
		{"indirect jump to nowhere", one(ir.Insn{Op: ir.GotoX}), "indirect jump that leads nowhere"},
		{"indirect jump out of its subprogram", jumps(one(ir.Insn{Op: ir.GotoX}), ir.Jump{Target: 1}), `subprogram "p": an indirect jump leads to instruction 1`},
		{"indirect jumps out of order", jumps(one(exit, exit), ir.Jump{Value: 1}, ir.Jump{Value: 0}), "value 0 of an indirect jump"},
		{"indirect jumps of one value", jumps(one(exit, exit), ir.Jump{Value: 1}, ir.Jump{Value: 1}), "value 1 of an indirect jump"},
		{"indirect jumps of a negative value", jumps(one(exit), ir.Jump{Value: -1}), "value -1 of an indirect jump"},
		{"indirect jumps of a large value", jumps(one(exit), ir.Jump{Value: 1 << 30}), ""},
		{"indirect jumps of values far apart", jumps(one(exit), ir.Jump{Value: 0}, ir.Jump{Value: 100}), "value 100 of an indirect jump"},
		{"call", two(one(ir.Insn{Op: ir.CallSub, Target: 2}, exit, exit), 2), ""},
		{"call of the middle", two(one(ir.Insn{Op: ir.CallSub, Target: 1}, exit, exit), 2), "call to the middle of a subprogram"},
		{"kfunc", one(ir.Insn{Op: ir.CallKfunc}, exit), ""},
		{"kfunc that is not there", one(ir.Insn{Op: ir.CallKfunc, Imm: 1}, exit), "kfunc number 1 does not exist"},
		{"negative kfunc", one(ir.Insn{Op: ir.CallKfunc, Imm: -1}, exit), "kfunc number -1 does not exist"},
		{"probing load", one(ir.Insn{Op: ir.Ld8, Probe: true}, exit), ""},
		{"probing store", one(ir.Insn{Op: ir.St8X, Probe: true}, exit), "only a plain load can be a probe"},
		{"arena store", one(ir.Insn{Op: ir.St8X, Arena: true}, exit), ""},
		{"arena move", one(ir.Insn{Op: ir.Mov64X, Arena: true}, exit), "only an access to memory can be one of an arena"},
		{"gap between functions", &ir.Program{Name: "p", Insns: []ir.Insn{exit, exit}, Subs: []ir.Sub{{End: 1}}}, "instructions after 1 belong to no subprogram"},
		{"overlap", &ir.Program{Name: "p", Insns: []ir.Insn{exit, exit}, Subs: []ir.Sub{{End: 2}, {Start: 1, End: 2}}}, "covers instructions 1 to 2"},
		{"exception callback", &ir.Program{Name: "p", Insns: []ir.Insn{exit, exit}, Subs: []ir.Sub{{End: 1}, {Start: 1, End: 2}}, Exception: 1}, ""},
		{"exception callback that is not there", &ir.Program{Name: "p", Insns: []ir.Insn{exit}, Subs: []ir.Sub{{End: 1}}, Exception: 1}, "exception callback 1 of 1 subprograms"},
		{"too much stack", &ir.Program{Name: "p", Insns: []ir.Insn{exit}, Subs: []ir.Sub{{End: 1, Stack: 520}}}, "520 bytes of stack"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Check(tc.p)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	p := &ir.Program{Insns: make([]ir.Insn, 5), Subs: []ir.Sub{{End: 3}, {Start: 3, End: 5}}}
	progs := []Prog{{Code: p}, {Code: p}}
	for _, tc := range []struct {
		name      string
		fn        uint64
		prog, sub int
		ok        bool
	}{
		{"main", CodeAddr(0, 0), 0, 0, true},
		{"second function of the second program", CodeAddr(1, 3), 1, 1, true},
		{"middle", CodeAddr(1, 2), 0, 0, false},
		{"no such program", CodeAddr(2, 0), 0, 0, false},
		{"odd", CodeAddr(0, 0) + 4, 0, 0, false},
		{"null", 0, 0, 0, false},
		{"before the code", ir.CodeBase - 8, 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if prog, sub, ok := Resolve(progs, tc.fn); prog != tc.prog || sub != tc.sub || ok != tc.ok {
				t.Errorf("Resolve(%#x) = %d, %d, %v", tc.fn, prog, sub, ok)
			}
		})
	}
}
