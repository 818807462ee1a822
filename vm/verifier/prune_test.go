package verifier_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// TestPruning: a path is given up only where going on finds nothing. Programs of the examples with single fields changed
// are verified as always and without comparing with explored paths; what is accepted in the first way is so in the second.
func TestPruning(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../../examples/bpf/*.bpf.o")
	checkPruning(t, here{k}, attach.New(k), files)
}

// TestPruningObjects does so with the objects in the directories of SCHEDSIM_OBJECTS.
func TestPruningObjects(t *testing.T) {
	l := newLab(t)
	checkPruning(t, l, l.places, objects(t, "SCHEDSIM_OBJECTS"))
}

func checkPruning(t *testing.T, target link.Target, places *attach.Kernel, files []string) {
	rnd := rand.New(rand.NewPCG(3, 4))
	rounds := 60
	if testing.Short() {
		rounds = 6
	}
	accepted, refused, long := 0, 0, 0
	for _, file := range files {
		o, _ := readObject(t, target, file)
		if o == nil {
			continue
		}
		for _, p := range o.Programs {
			at, err := places.Program(o, p)
			if err != nil || p.Code == nil {
				continue
			}
			if res, err := verifier.Check(o, p, at); err != nil || res.Insns > 20000 {
				continue
			}
			good := slices.Clone(p.Code.Insns)
			for range rounds {
				p.Code.Insns = mutated(good, rnd)
				if _, err := verifier.Check(o, p, at); err != nil {
					refused++
					continue
				}
				err := verifier.CheckAll(o, p, at, 200000)
				var e *verifier.Error
				switch {
				case err == nil:
					accepted++
				case errors.As(err, &e) && e.Code == verifier.CodeTooComplex:
					long++
				default:
					t.Errorf("%s: accepted, but a path that was given up fails: %v", p.Name, err)
				}
			}
			p.Code.Insns = good
		}
	}
	t.Logf("%d accepted, %d refused, %d with too many paths to follow all", accepted, refused, long)
	if accepted == 0 || refused == 0 {
		t.Error("all programs get the same verdict")
	}
}

// mutated is a copy of code with fields of one to three instructions changed.
func mutated(code []ir.Insn, rnd *rand.Rand) []ir.Insn {
	code = slices.Clone(code)
	for range 1 + rnd.IntN(3) {
		in := &code[rnd.IntN(len(code))]
		switch rnd.IntN(6) {
		case 0:
			in.Dst = ir.Reg(rnd.IntN(10))
		case 1:
			in.Src = ir.Reg(rnd.IntN(11))
		case 2:
			in.Off += int32(rnd.IntN(17)-8) * 4
		case 3:
			if !in.Op.IsCall() {
				in.Imm += int64(rnd.IntN(9) - 4)
			}
		case 4: // another condition, or the same one with its operands in another form
			if in.Op >= ir.JEq64X && in.Op <= ir.JSet32K {
				in.Op = ir.JEq64X + ir.Op(rnd.IntN(int(ir.JSet32K-ir.JEq64X)+1))
			}
		case 5:
			if in.Op >= ir.Add64X && in.Op <= ir.Mov32K {
				in.Op = ir.Add64X + ir.Op(rnd.IntN(int(ir.Mov32K-ir.Add64X)+1))
			}
		}
	}
	return code
}
