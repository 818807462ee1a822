package enginetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// program makes a program of its subprograms' instructions; the first is the main one. Targets of jumps are relative to
// the subprogram, those of CallSub are the subprogram's number.
func program(name string, subs ...[]ir.Insn) *ir.Program {
	p := &ir.Program{Name: name, Kfuncs: []string{"kfunc0", "kfunc1", "throw"}}
	start := make([]int32, len(subs))
	for i, s := range subs {
		start[i] = int32(len(p.Insns))
		p.Insns = append(p.Insns, s...)
		p.Subs = append(p.Subs, ir.Sub{Name: fmt.Sprintf("%s%d", name, i), Start: start[i], End: int32(len(p.Insns)), Stack: engine.FrameSize})
	}
	for _, s := range p.Subs {
		for i := s.Start; i < s.End; i++ {
			in := &p.Insns[i]
			in.Orig = i
			switch {
			case in.Op == ir.CallSub:
				in.Target = start[in.Target]
			case in.Op.IsJump():
				in.Target += s.Start
			}
		}
	}
	return p
}

func k(op ir.Op, dst ir.Reg, imm int64) ir.Insn { return ir.Insn{Op: op, Dst: dst, Imm: imm} }
func x(op ir.Op, dst, src ir.Reg) ir.Insn       { return ir.Insn{Op: op, Dst: dst, Src: src} }
func m(op ir.Op, dst, src ir.Reg, off int32) ir.Insn {
	return ir.Insn{Op: op, Dst: dst, Src: src, Off: off}
}
func jump(op ir.Op, dst ir.Reg, imm int64, target int32) ir.Insn {
	return ir.Insn{Op: op, Dst: dst, Imm: imm, Target: target}
}
func call(target int32) ir.Insn { return ir.Insn{Op: ir.CallSub, Target: target} }
func helper(n int64) ir.Insn    { return ir.Insn{Op: ir.CallHelper, Imm: n} }
func kfunc(n int64) ir.Insn     { return ir.Insn{Op: ir.CallKfunc, Imm: n} }

var exit = ir.Insn{Op: ir.Exit}

type semantic struct {
	name  string
	opt   Options
	progs []*ir.Program
	r0    uint64
	fault *engine.Fault // nil: none
	insns uint64        // 0: not compared
	check func(w *World) string
}

// Semantics runs the cases that say what vm/engine's rules mean, each as a sub-test.
func Semantics(t *testing.T, e engine.Engine) {
	data := layout(t, e)
	run(t, e, data, semantics(data))
	run(t, Inlining{e}, data, slices.Concat(tailCases(), throwCases(), jumpCases()))
}

// Probes runs the cases for ir.Insn.Probe.
func Probes(t *testing.T, e engine.Engine) {
	run(t, e, layout(t, e), []semantic{
		result("probe of null", 0, k(ir.Mov64K, 0, 9), ir.Insn{Op: ir.Ld64, Dst: 0, Src: 3, Off: 0x128, Probe: true}),
		result("probe over its base", 0, k(ir.Mov64K, 0, -4), ir.Insn{Op: ir.Lds32, Dst: 0, Src: 0, Probe: true}),
		result("probe across the edge", 0, k(ir.LdImm64, 0, baseImm), ir.Insn{Op: ir.Ld16, Dst: 0, Src: 0, Off: -1, Probe: true}),
		result("probe of something", 0xffffffff_fffffff2, ir.Insn{Op: ir.Lds8, Dst: 0, Src: 1, Off: 1, Probe: true}),
	})
}

func run(t *testing.T, e engine.Engine, data uint64, cases []semantic) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w := New(t, e, tc.opt, tc.progs...)
			if tc.opt.Stack == 0 && w.Data != data {
				t.Fatalf("data at %#x, want %#x: an engine allocated memory", w.Data, data)
			}
			for i, c := range initial {
				w.Mem.Bytes(w.Data, DataSize)[i] = c
			}
			got := w.Run(0, w.Data)
			if got.R0 != tc.r0 {
				t.Errorf("r0 = %#x, want %#x", got.R0, tc.r0)
			}
			if d := cmp.Diff(tc.fault, got.Fault); d != "" {
				t.Errorf("fault (-want +got):\n%s", d)
			}
			if tc.insns != 0 && got.Insns != tc.insns {
				t.Errorf("%d instructions, want %d", got.Insns, tc.insns)
			}
			if w.Env.State.Depth != 0 || w.Env.Call.Prog != nil || w.Env.Call.Fault != "" {
				t.Errorf("left behind: depth %d, program %v, fault %q", w.Env.State.Depth, w.Env.Call.Prog, w.Env.Call.Fault)
			}
			if tc.check != nil {
				if msg := tc.check(w); msg != "" {
					t.Error(msg)
				}
			}
		})
	}
}

// layout is the address of the data in a world with the default stack.
func layout(t *testing.T, e engine.Engine) uint64 {
	return New(t, e, Options{}, program("p", []ir.Insn{exit})).Data
}

// initial are the first bytes at World.Data.
var initial = []byte{0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 1, 2, 3, 4, 5, 6, 7, 8}

func semantics(data uint64) []semantic {
	var list []semantic
	list = append(list, memoryCases(data)...)
	list = append(list, atomicCases()...)
	list = append(list, callCases(data)...)
	list = append(list, budgetCases()...)
	return append(list, nestedCases()...)
}

// result makes a one-program case: the instructions, an exit, and the wanted R0.
func result(name string, r0 uint64, insns ...ir.Insn) semantic {
	return semantic{name: name, progs: []*ir.Program{program("p", append(insns, exit))}, r0: r0, insns: uint64(len(insns)) + 1}
}

func faulty(name string, at int32, msg string, insns ...ir.Insn) semantic {
	return semantic{name: name, progs: []*ir.Program{program("p", append(insns, exit))},
		fault: &engine.Fault{Insn: at, Msg: msg}, insns: uint64(at) + 1}
}

func memoryCases(data uint64) []semantic {
	list := []semantic{
		result("ld8", 0xf2, m(ir.Ld8, 0, 1, 1)),
		result("ld16", 0xf3f2, m(ir.Ld16, 0, 1, 1)),
		result("ld32", 0xf5f4f3f2, m(ir.Ld32, 0, 1, 1)),
		result("ld64", 0x01f8f7f6f5f4f3f2, m(ir.Ld64, 0, 1, 1)),
		result("lds8", 0xffffffff_fffffff2, m(ir.Lds8, 0, 1, 1)),
		result("lds16", 0xffffffff_fffff3f2, m(ir.Lds16, 0, 1, 1)),
		result("lds32", 0xffffffff_f5f4f3f2, m(ir.Lds32, 0, 1, 1)),
		result("load acquire 8", 0xf1, m(ir.LdAcq8, 0, 1, 0)),
		result("load acquire 16", 0xf2f1, m(ir.LdAcq16, 0, 1, 0)),
		result("load acquire 32", 0xf4f3f2f1, m(ir.LdAcq32, 0, 1, 0)),
		result("load acquire 64", 0x0807060504030201, m(ir.LdAcq64, 0, 1, 8)),
		result("load over its base", 0x0807060504030201, x(ir.Mov64X, 0, 1), m(ir.Ld64, 0, 0, 8)),
		result("ldimm64", 0x123456789abcdef0, k(ir.LdImm64, 0, 0x123456789abcdef0)),
		result("addr_space_cast", data, x(ir.CastUser, 2, 1), x(ir.CastKern, 0, 2)),
		result("stack", 42, k(ir.Mov64K, 2, 42), m(ir.St64X, 10, 2, -512), m(ir.Ld64, 0, 10, -512)),
		faulty("read null", 0, engine.ReadFault(8, 0), m(ir.Ld64, 0, 2, 0)),
		faulty("read null member", 1, engine.ReadFault(4, 0x128), k(ir.Mov64K, 3, 0), m(ir.Lds32, 0, 3, 0x128)),
		faulty("read below", 1, engine.ReadFault(2, mem.Base-1), k(ir.LdImm64, 3, baseImm), m(ir.Ld16, 0, 3, -1)),
		faulty("read at the top", 1, engine.ReadFault(8, ^uint64(3)), k(ir.Mov64K, 3, -4), m(ir.Ld64, 0, 3, 0)),
		faulty("write null", 0, engine.WriteFault(1, 16), ir.Insn{Op: ir.St8K, Dst: 3, Off: 16}),
		faulty("write code", 1, engine.WriteFault(8, ir.CodeBase), k(ir.LdImm64, 3, codeImm), m(ir.St64X, 3, 3, 0)),
		faulty("release null", 0, engine.WriteFault(4, 0), m(ir.StRel32, 3, 1, 0)),
		faulty("acquire null", 0, engine.ReadFault(2, 8), m(ir.LdAcq16, 0, 3, 8)),
		faulty("poison", 0, engine.PoisonFault(), ir.Insn{}),
	}
	for _, st := range []struct {
		name string
		op   ir.Op
		imm  int64
		want uint64
	}{
		{"st8x", ir.St8X, 0, 0x08070605040302ee}, {"st16x", ir.St16X, 0, 0x080706050403ddee}, {"st32x", ir.St32X, 0, 0x08070605bbccddee},
		{"st64x", ir.St64X, 0, 0x778899aabbccddee}, {"st8k", ir.St8K, -2, 0x08070605040302fe}, {"st16k", ir.St16K, -2, 0x080706050403fffe},
		{"st32k", ir.St32K, -2, 0x08070605fffffffe}, {"st64k", ir.St64K, -2, 0xfffffffffffffffe}, {"release 8", ir.StRel8, 0, 0x08070605040302ee},
		{"release 16", ir.StRel16, 0, 0x080706050403ddee}, {"release 32", ir.StRel32, 0, 0x08070605bbccddee}, {"release 64", ir.StRel64, 0, 0x778899aabbccddee},
	} {
		list = append(list, result(st.name, st.want, k(ir.LdImm64, 2, 0x778899aabbccddee),
			ir.Insn{Op: st.op, Dst: 1, Src: 2, Off: 8, Imm: st.imm}, m(ir.Ld64, 0, 1, 8)))
	}
	return list
}

// As constants they do not fit int64.
var (
	baseAddr uint64 = mem.Base
	codeAddr uint64 = ir.CodeBase
	baseImm         = int64(baseAddr)
	codeImm         = int64(codeAddr)
)

func atomicCases() []semantic {
	const old64, old32 = uint64(0x0807060504030201), uint64(0x04030201)
	var list []semantic
	for _, a := range []struct {
		name  string
		op    ir.Op // of the 32-bit form; the 64-bit one follows
		fetch bool
		f     func(old, src uint64) uint64
	}{
		{"add", ir.AtomicAdd32, false, func(o, s uint64) uint64 { return o + s }},
		{"or", ir.AtomicOr32, false, func(o, s uint64) uint64 { return o | s }},
		{"and", ir.AtomicAnd32, false, func(o, s uint64) uint64 { return o & s }},
		{"xor", ir.AtomicXor32, false, func(o, s uint64) uint64 { return o ^ s }},
		{"fetch add", ir.FetchAdd32, true, func(o, s uint64) uint64 { return o + s }},
		{"fetch or", ir.FetchOr32, true, func(o, s uint64) uint64 { return o | s }},
		{"fetch and", ir.FetchAnd32, true, func(o, s uint64) uint64 { return o & s }},
		{"fetch xor", ir.FetchXor32, true, func(o, s uint64) uint64 { return o ^ s }},
		{"xchg", ir.Xchg32, true, func(o, s uint64) uint64 { return s }},
	} {
		const src = uint64(0xfedcba98fedcba98)
		srcImm := src
		after32 := old64&^0xffffffff | a.f(old32, src)&0xffffffff
		reg32, reg64 := src, src
		if a.fetch {
			reg32, reg64 = old32, old64
		}
		list = append(list,
			result(a.name+" 32", after32, k(ir.LdImm64, 2, int64(srcImm)), m(a.op, 1, 2, 8), m(ir.Ld64, 0, 1, 8)),
			result(a.name+" 64", a.f(old64, src), k(ir.LdImm64, 2, int64(srcImm)), m(a.op+1, 1, 2, 8), m(ir.Ld64, 0, 1, 8)),
			result(a.name+" 32 register", reg32, k(ir.LdImm64, 2, int64(srcImm)), m(a.op, 1, 2, 8), x(ir.Mov64X, 0, 2)),
			result(a.name+" 64 register", reg64, k(ir.LdImm64, 2, int64(srcImm)), m(a.op+1, 1, 2, 8), x(ir.Mov64X, 0, 2)))
	}
	cas := func(name string, op ir.Op, expect int64, r0, after uint64) semantic {
		s := result(name, r0, k(ir.LdImm64, 0, expect), k(ir.Mov64K, 2, 7), m(op, 1, 2, 8))
		s.check = func(w *World) string {
			if v, _ := w.Mem.Load(w.Data+8, 8); v != after {
				return fmt.Sprintf("memory is %#x, want %#x", v, after)
			}
			return ""
		}
		return s
	}
	return append(list,
		cas("cmpxchg 64 hit", ir.CmpXchg64, int64(old64), old64, 7),
		cas("cmpxchg 64 miss", ir.CmpXchg64, 5, old64, old64),
		cas("cmpxchg 32 hit, upper half ignored", ir.CmpXchg32, int64(old32|5<<32), old32, old64&^0xffffffff|7),
		cas("cmpxchg 32 miss", ir.CmpXchg32, 5, old32, old64),
		faulty("atomic at null", 0, engine.AtomicFault(8, 24), m(ir.AtomicAdd64, 3, 1, 24)),
		faulty("cmpxchg at null", 0, engine.AtomicFault(4, 0), m(ir.CmpXchg32, 3, 1, 0)),
	)
}
