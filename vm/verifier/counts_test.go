package verifier_test

import (
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/schedsim/schedsim/vm/link"
)

// counts are what the kernel reported of a program: instructions followed, states kept, the most at a time, the most at
// one place, and stack.
type counts struct {
	accepted                                      bool
	insns, states, peak, perInsn, stack, maxStack int
}

// recorded reads testdata/counts.json.gz: what Linux 7.2.13 says of the programs of an object, found by the first 16 digits
// of the object's SHA-256. Each program was loaded on its own by the kernel's veristat with -o csv, built with libbpf 1.8,
// as root in a virtual machine with the Debian kernel; per program: name, accepted, total_insns, total_states, peak_states,
// max_states_per_insn, stack_depth, max_stack_depth.
func recorded(tb testing.TB) map[string]map[string]counts {
	f, err := os.Open("testdata/counts.json.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var objs []struct {
		Set, File, SHA256 string
		Progs             [][]any
	}
	if err := json.NewDecoder(z).Decode(&objs); err != nil {
		tb.Fatal(err)
	}
	out := map[string]map[string]counts{}
	for _, o := range objs {
		m := map[string]counts{}
		for _, p := range o.Progs {
			n := func(i int) int { return int(p[i].(float64)) }
			m[p[0].(string)] = counts{n(1) == 1, n(2), n(3), n(4), n(5), n(6), n(7)}
		}
		out[o.SHA256] = m
	}
	return out
}

// compare follows every program of the files for which the kernel's counts are recorded.
func compareCounts(t *testing.T, l *lab, files []string) (known, same int) {
	rec := recorded(t)
	var ratios []float64
	ours, kernel := 0, 0
	var differ [6]int
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(raw)
		progs := rec[hex.EncodeToString(sum[:8])]
		if progs == nil {
			continue
		}
		for _, v := range checkObject(t, l, file, func(p *link.Program) bool { _, ok := progs[p.Name]; return ok }) {
			w := progs[v.prog]
			if !w.accepted || v.why != "" || v.err != nil {
				if w.accepted && v.err != nil {
					t.Logf("REFUSED %s/%s: %v", v.file, v.prog, v.err)
				}
				continue
			}
			known++
			ours += v.res.Insns
			kernel += w.insns
			ratios = append(ratios, float64(v.res.Insns)/float64(w.insns))
			g := counts{true, v.res.Insns, v.res.States, v.res.PeakStates, v.res.MaxStatesPerInsn, v.res.StackDepth, v.res.MaxStackDepth}
			for i, d := range []bool{g.insns != w.insns, g.states != w.states, g.peak != w.peak, g.perInsn != w.perInsn, g.stack != w.stack, g.maxStack != w.maxStack} {
				if d {
					differ[i]++
				}
			}
			if g == w {
				same++
				continue
			}
			t.Logf("DIFFERS %s/%s/%s: %+v, kernel %+v", filepath.Base(filepath.Dir(file)), v.file, v.prog, g, w)
		}
	}
	slices.SortFunc(ratios, cmp.Compare)
	if known > 0 {
		t.Logf("%d programs, %d with all counts equal; instructions %d, kernel %d, median ratio %.4f, largest %.3f", known, same, ours, kernel, ratios[len(ratios)/2], ratios[len(ratios)-1])
		t.Logf("that differ: insns %d, states %d, peak states %d, states per insn %d, stack %d, max stack %d", differ[0], differ[1], differ[2], differ[3], differ[4], differ[5])
	}
	return known, same
}

// TestCounts compares counts for the objects in the directories of SCHEDSIM_OBJECTS.
func TestCounts(t *testing.T) {
	l := newLab(t)
	known, _ := compareCounts(t, l, objects(t, "SCHEDSIM_OBJECTS"))
	if known == 0 {
		t.Error("no object of which counts are recorded")
	}
}
