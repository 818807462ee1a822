package verdict

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestKernels compares verdicts with those of real kernels (testdata/veristat.csv: veristat on Debian's 6.16.12, 6.18.15,
// 7.2.13 and 7.3.4, without too_complex, on which 6.16 spends minutes where no virtualization helps). The work done is the
// same too on 7.2 and 7.3, instruction for instruction; older verifiers follow some programs differently.
func TestKernels(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "veristat.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recs, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	type key struct{ file, program, kernel string }
	ours := map[key]Row{}
	for _, version := range []string{"6.16", "6.18", "7.2", "7.3"} {
		for _, path := range []string{
			filepath.Join(codesDir, "refused.bpf.o"), filepath.Join(codesDir, "license.bpf.o"), filepath.Join("testdata", "lint.bpf.o"),
			filepath.Join("..", "..", "examples", "bpf", "simple.bpf.o"), filepath.Join("..", "..", "examples", "bpf", "central.bpf.o"),
			filepath.Join("..", "..", "examples", "bpf", "llc_vtime.bpf.o"),
		} {
			opt := Options{All: true, Program: func(name string) bool { return name != "too_complex" }}
			for _, r := range check(t, version, path, opt) {
				ours[key{r.File, r.Program, version}] = r
			}
		}
	}
	total, insns := map[string]int{}, map[string]int{}
	for _, rec := range recs[1:] {
		k := key{rec[0], rec[1], rec[2]}
		r, ok := ours[k]
		if !ok {
			t.Errorf("%v: not verified", k)
			continue
		}
		delete(ours, k)
		total[k.kernel]++
		if string(r.Verdict) != rec[3] {
			t.Errorf("%v: %s (%s), the kernel says %s", k, r.Verdict, r.Reason, rec[3])
		}
		if strconv.Itoa(r.Insns) == rec[4] && strconv.Itoa(r.States) == rec[5] {
			insns[k.kernel]++
		} else if k.kernel >= "7" {
			t.Errorf("%v: %d instructions and %d states, the kernel has %s and %s", k, r.Insns, r.States, rec[4], rec[5])
		}
	}
	for k := range ours {
		t.Errorf("%v: not in the record", k)
	}
	t.Logf("programs %v, of them with the same instructions and states %v", total, insns)
}
