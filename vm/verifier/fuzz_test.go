package verifier

import (
	"errors"
	"testing"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// fuzzProgram makes a program of bytes: eight for each instruction, the last one is an exit.
func fuzzProgram(b []byte) (*link.Object, *link.Program) {
	p := &link.Program{Name: "fuzz", Code: &ir.Program{Name: "fuzz", Kfuncs: []string{"bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy", "bpf_task_acquire",
		"bpf_task_release", "bpf_rcu_read_lock", "bpf_rcu_read_unlock", "bpf_local_irq_save", "bpf_local_irq_restore", "no_such_function"}}}
	n := min(len(b)/8, 64)
	imms := []int64{0, 1, -1, 8, -8, -16, 255, 1 << 20, -1 << 31, 1<<63 - 1, -1 << 63, 4}
	maps := testMaps()
	for i := range n {
		c := b[i*8 : i*8+8]
		in := ir.Insn{Op: ir.Op(c[0]) % (ir.NrOps + 1), Dst: ir.Reg(c[1] % 12), Src: ir.Reg(c[2] % 12), Off: int32(int8(c[3])), Orig: int32(i)}
		in.Imm = imms[int(c[4])%len(imms)]
		in.Target = int32(c[5]) % int32(n+2)
		switch in.Op {
		case ir.CallHelper:
			in.Imm = int64(c[6])
		case ir.CallKfunc:
			in.Imm = int64(c[6]) % 12
		case ir.LdImm64:
			if c[6]&1 != 0 {
				p.Refs = append(p.Refs, link.Ref{Insn: i, Kind: link.RefKind(c[6]>>1)%8 + 1, Map: int(c[7]) % (len(maps) + 1), Off: int64(c[4] % 20), Sub: int(c[5] % 4)})
			}
		}
		if in.Op == ir.Invalid && c[6]&1 != 0 {
			in.Op = ir.Mov64K
		}
		p.Code.Insns = append(p.Code.Insns, in)
	}
	p.Code.Insns = append(p.Code.Insns, ir.Insn{Op: ir.Mov64K, Orig: int32(n)}, ir.Insn{Op: ir.Exit, Orig: int32(n + 1)})
	end := int32(n + 2)
	if n > 8 && b[7]&1 != 0 && b[7]&2 != 0 {
		mid := end / 2
		p.Code.Insns[mid-1].Op = ir.Exit
		p.Code.Subs = []ir.Sub{{Name: "fuzz", End: mid}, {Name: "f", Start: mid, End: end}}
		p.Subs = []link.Sub{{}, {Global: b[7]&4 != 0}}
		for i := range p.Code.Insns {
			in := &p.Code.Insns[i]
			switch {
			case in.Op == ir.CallSub:
				in.Target = mid
			case in.Op.IsJump() && int32(i) < mid:
				in.Target %= mid
			case in.Op.IsJump():
				in.Target = mid + in.Target%(end-mid)
			}
		}
	} else {
		p.Code.Subs = []ir.Sub{{Name: "fuzz", End: end}}
		p.Subs = []link.Sub{{}}
	}
	return &link.Object{Name: "fuzz", License: "GPL", Maps: maps, Programs: []*link.Program{p}}, p
}

// FuzzCheck: no program makes the verifier panic, and a refusal is an *Error with a code that is listed.
func FuzzCheck(f *testing.F) {
	w := newWorld(f)
	known := map[Code]bool{}
	for _, c := range Codes() {
		known[c.Code] = true
	}
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789abcdef"))
	f.Add([]byte{byte(ir.Mov64X), 2, 10, 0, 0, 0, 0, 3, byte(ir.Add64K), 2, 0, 0, 5, 0, 0, 0, byte(ir.St64K), 2, 0, 0, 1, 0, 0, 0, byte(ir.CallHelper), 0, 0, 0, 0, 0, 7, 0})
	f.Add([]byte{byte(ir.LdImm64), 1, 0, 0, 0, 0, 3, 0, byte(ir.Ld64), 0, 1, 8, 0, 0, 0, 0, byte(ir.JEq64K), 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, p := fuzzProgram(b)
		res, err := Check(o, p, w.attachment(""))
		if res.Insns > maxInsns+1 {
			t.Fatalf("%d instructions were followed", res.Insns)
		}
		if err == nil {
			return
		}
		var e *Error
		if !errors.As(err, &e) || !known[e.Code] || e.Msg == "" || len(e.Log) == 0 {
			t.Fatalf("%#v", err)
		}
		if len(e.Msg) > 12 && e.Msg[:12] == "verifier bug" {
			t.Fatalf("%v\n%v", e, e.Log)
		}
	})
}
