package verifier

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/ir"
)

// TestMutations changes single fields of the programs in testdata: whatever comes of it, the verifier gives a verdict of its
// own making.
func TestMutations(t *testing.T) {
	w := newWorld(t)
	files, _ := filepath.Glob("testdata/*.txt")
	rnd := rand.New(rand.NewPCG(1, 2))
	accepted, refused := 0, 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(b), "\n=== ")[1:] {
			head, text, _ := strings.Cut(c, "\n")
			name, options, _ := strings.Cut(head, " ")
			if strings.Contains(text, "too-complex") {
				continue
			}
			text = strings.NewReplacer("+ MM)", "+ 64)", "+ CPUS_PTR)", "+ 64)").Replace(text)
			for range 30 {
				p, err := assemble(name, text)
				if err != nil {
					t.Fatal(err)
				}
				code := p.prog.Code
				in := &code.Insns[rnd.IntN(len(code.Insns))]
				switch rnd.IntN(6) {
				case 0:
					in.Dst = ir.Reg(rnd.IntN(11))
				case 1:
					in.Src = ir.Reg(rnd.IntN(11))
				case 2:
					in.Off += int32(rnd.IntN(33) - 16)
				case 3:
					in.Imm = []int64{0, 1, -1, 8, 1 << 40, -8}[rnd.IntN(6)]
					if in.Op == ir.CallKfunc {
						in.Imm = int64(rnd.IntN(len(code.Kfuncs)))
					}
				case 4:
					in.Op = ir.Op(rnd.IntN(int(ir.NrOps)))
				case 5:
					j := rnd.IntN(len(code.Insns))
					*in = code.Insns[j]
				}
				_, err = Check(p.obj, p.prog, w.attachment(options))
				if err == nil {
					accepted++
					continue
				}
				refused++
				if strings.Contains(err.Error(), "verifier bug") {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted == 0 || refused == 0 {
		t.Error("all programs get the same verdict")
	}
}
