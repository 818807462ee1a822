package raw

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

func TestDecode(t *testing.T) {
	code, err := hex.DecodeString(strings.ReplaceAll("1801000078563412 0000000001000000 8510000001000000 9500000000000000 b700000007000000 9500000000000000", " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(code)
	if err != nil {
		t.Fatal(err)
	}
	want := &ir.Program{Name: "test",
		Insns: []ir.Insn{{Op: ir.LdImm64, Dst: 1, Imm: 0x1_12345678}, {Op: ir.CallSub, Imm: 1, Target: 3, Orig: 2}, {Op: ir.Exit, Orig: 3},
			{Op: ir.Mov64K, Imm: 7, Orig: 4}, {Op: ir.Exit, Orig: 5}},
		Subs: []ir.Sub{{Name: "sub0", End: 3, Stack: engine.FrameSize}, {Name: "sub1", Start: 3, End: 5, Stack: engine.FrameSize}},
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct{ name, code, want string }{
		{"nothing", "", "0 bytes"},
		{"half an instruction", "b7000000", "4 bytes"},
		{"unknown", "ff00000000000000 9500000000000000", "slot 0: unknown instruction ff"},
		{"half a load", "1800000000000000", "slot 0: unknown instruction 18"},
		{"jump out", "0500050000000000 9500000000000000", "slot 0: target 6"},
		{"jump into a load", "0500010000000000 1800000000000000 0000000000000000 9500000000000000", "slot 0: target 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, err := hex.DecodeString(strings.ReplaceAll(tc.code, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if p, err := Decode(code); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v; want an error with %q", p, err, tc.want)
			}
		})
	}
}
