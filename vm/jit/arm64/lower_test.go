package arm64

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// lab compiles programs on any machine.
type lab struct{ env engine.Env }

func newLab(t *testing.T) *lab {
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	stack, _, err := m.Alloc(8192, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{engine.Env{Mem: m, Call: &abi.Call{Mem: m}, StackTop: stack + 8192, StackSize: 8192, Helpers: []abi.Func{nil, nothing, nothing},
		Inline: engine.Inline{Lookup: 1, CPUID: 2, Arrays: []engine.Array{{Map: stack + 8, Base: stack, Elem: 24, Entries: 10, Stride: 256, CPUs: 4}}}}}
}

func nothing(*abi.Call, *abi.Args) uint64 { return 0 }

// lower returns the code of p, without what all programs share.
func (l *lab) lower(t *testing.T, far bool, p *ir.Program) []byte {
	t.Helper()
	if err := engine.Check(p); err != nil {
		t.Fatal(err)
	}
	env := l.env
	env.Progs = []engine.Prog{{Code: p, Info: &abi.Prog{}, Kfuncs: []abi.Func{nothing}}}
	u, err := lower(&env, far, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u.Code[u.Progs[0].Subs[0]:u.Progs[0].End]
}

func one(insns ...ir.Insn) *ir.Program {
	insns = append(insns, ir.Insn{Op: ir.Exit})
	return &ir.Program{Insns: insns, Subs: []ir.Sub{{End: int32(len(insns))}}, Kfuncs: []string{"k"}}
}

// The code of each sort of instruction, for people to read and to show what a change does to it.
func TestListing(t *testing.T) {
	var b bytes.Buffer
	l := newLab(t)
	for _, tc := range []struct {
		name string
		p    *ir.Program
	}{
		{"r0 = 1000 + r1", one(ir.Insn{Op: ir.Mov64K, Imm: 1000}, ir.Insn{Op: ir.Add64X, Src: 1})},
		{"r1 &= 0xff; w2 |= 0x12345; r3 -= 5000", one(ir.Insn{Op: ir.And64K, Dst: 1, Imm: 0xff}, ir.Insn{Op: ir.Or32K, Dst: 2, Imm: 0x12345}, ir.Insn{Op: ir.Sub64K, Dst: 3, Imm: 5000})},
		{"r6 %= r7; w8 s/= -3; r9 /= 8", one(ir.Insn{Op: ir.Mod64X, Dst: 6, Src: 7}, ir.Insn{Op: ir.SDiv32K, Dst: 8, Imm: -3}, ir.Insn{Op: ir.Div64K, Dst: 9, Imm: 8})},
		{"r0 = be16 r0", one(ir.Insn{Op: ir.BE16})},
		{"r0 = *(u64 *)(r1 + 8), twice", one(ir.Insn{Op: ir.Ld64, Src: 1, Off: 8}, ir.Insn{Op: ir.Ld64, Src: 1, Off: 8})},
		{"*(u32 *)(r10 - 4) = 7", one(ir.Insn{Op: ir.St32K, Dst: 10, Off: -4, Imm: 7})},
		{"r0 = probe *(s16 *)r1", one(ir.Insn{Op: ir.Lds16, Src: 1, Probe: true})},
		{"r2 = fetch_add *(u64 *)r1, r2", one(ir.Insn{Op: ir.FetchAdd64, Dst: 1, Src: 2})},
		{"a loop", one(ir.Insn{Op: ir.Sub64K, Dst: 1, Imm: 1}, ir.Insn{Op: ir.JNe64K, Dst: 1})},
		{"a call of a kernel function", one(ir.Insn{Op: ir.CallKfunc})},
		{"the processor", one(ir.Insn{Op: ir.CallHelper, Imm: 2})},
		{"an element of a per-CPU array", one(ir.Insn{Op: ir.St32X, Dst: 10, Src: 1, Off: -4}, ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 10}, ir.Insn{Op: ir.Add64K, Dst: 2, Imm: -4},
			ir.Insn{Op: ir.LdImm64, Dst: 1, Imm: -0x7fffdff8}, ir.Insn{Op: ir.CallHelper, Imm: 1}, ir.Insn{Op: ir.JEq64K, Target: 7}, ir.Insn{Op: ir.Ld64, Off: 16})},
		{"a subprogram", &ir.Program{Insns: []ir.Insn{{Op: ir.CallSub, Target: 2}, {Op: ir.Exit}, {Op: ir.Mov64K, Dst: 6, Imm: 1}, {Op: ir.Exit}},
			Subs: []ir.Sub{{End: 2}, {Start: 2, End: 4}}}},
	} {
		fmt.Fprintf(&b, "# %s\n", tc.name)
		code := l.lower(t, false, tc.p)
		for at := 0; at < len(code); at += 4 {
			w := binary.LittleEndian.Uint32(code[at:])
			in, err := arm64asm.Decode(code[at:])
			if err != nil {
				t.Fatalf("%s: %08x: %v", tc.name, w, err)
			}
			fmt.Fprintf(&b, "%4x  %08x  %s\n", at, w, strings.TrimSpace(arm64asm.GNUSyntax(in)))
		}
	}
	golden := filepath.Join("testdata", "listing.txt")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("the code has changed (-update writes it anew):\n%s", b.Bytes())
	}
}

// Whatever the operation and its registers, what comes out are instructions, and none that touches what belongs to Go or the
// platform: X18, X28 to X30 and SP.
func TestForbiddenRegisters(t *testing.T) {
	l := newLab(t)
	for op := ir.Add64X; op < ir.NrOps; op++ {
		for dst := ir.Reg(0); dst <= 10; dst++ {
			for _, imm := range []int64{0, 1, -1, 5000, 1 << 31, 1<<62 + 1} {
				in := ir.Insn{Op: op, Dst: dst, Src: 10 - dst, Imm: imm, Off: int32(imm >> 20)}
				if in.Op == ir.CallKfunc {
					in.Imm = 0
				}
				if p := one(in); engine.Check(p) == nil {
					checkRegisters(t, op, l.lower(t, imm == 1, p))
				}
			}
		}
	}
}

var forbidden = regexp.MustCompile(`\b([xw](18|28|29|30)|w?sp)\b`)

func checkRegisters(t *testing.T, op ir.Op, code []byte) {
	t.Helper()
	for at := 0; at < len(code); at += 4 {
		w := binary.LittleEndian.Uint32(code[at:])
		if w == 0 {
			continue // an element of a table of addresses
		}
		if op == ir.CallReg && at > len(code)-12 {
			return // the table
		}
		in, err := arm64asm.Decode(code[at:])
		if err != nil {
			t.Fatalf("operation %d: %08x: %v", op, w, err)
		}
		if text := arm64asm.GNUSyntax(in); forbidden.MatchString(text) {
			t.Fatalf("operation %d: %s", op, text)
		}
	}
}
