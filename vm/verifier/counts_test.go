package verifier_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// counts are what the kernel reported of a program: instructions followed, states kept, the most at a time, the most at
// one place, and stack.
type counts struct {
	accepted                                      bool
	insns, states, peak, perInsn, stack, maxStack int
}

// object is a line of the file: the programs of an object.
type object struct {
	SHA256 string  `json:"sha256"`
	Progs  [][]any `json:"progs"`
}

// recorded reads testdata/counts.json.gz: what Linux 7.2.13 says of the programs of an object, found by the first 16 digits
// of the object's SHA-256. Each program was loaded on its own by the kernel's veristat with -o csv, built with libbpf 1.8,
// as root in a virtual machine of two CPUs with the Debian kernel; per program: name, accepted, total_insns, total_states,
// peak_states, max_states_per_insn, stack_depth, max_stack_depth. TestRecordCounts makes the file.
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
	var objs []object
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

// compareCounts follows every program of the files for which the kernel's counts are recorded.
func compareCounts(t *testing.T, target link.Target, places *attach.Kernel, files []string) (known, same int) {
	rec := recorded(t)
	var ratios []float64
	ours, kernel := 0, 0
	refused, sameRefused := 0, 0
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
		for _, v := range checkLinked(t, target, places, file, func(p *link.Program) bool { _, ok := progs[p.Name]; return ok }) {
			w := progs[v.prog]
			if !w.accepted && v.err != nil && v.err.Code != verifier.CodeUnsupported && w.insns > 0 {
				refused++
				if v.res.Insns == w.insns && v.res.States == w.states && v.res.PeakStates == w.peak {
					sameRefused++
				}
			}
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
	if refused > 0 {
		t.Logf("%d refused programs, %d after as many instructions and states", refused, sameRefused)
		if sameRefused < refused*98/100 {
			t.Error("programs are refused elsewhere than in the kernel")
		}
	}
	if known > 0 {
		t.Logf("%d programs, %d with all counts equal; instructions %d, kernel %d, median ratio %.4f, largest %.3f", known, same, ours, kernel, ratios[len(ratios)/2], ratios[len(ratios)-1])
		t.Logf("that differ: insns %d, states %d, peak states %d, states per insn %d, stack %d, max stack %d", differ[0], differ[1], differ[2], differ[3], differ[4], differ[5])
	}
	return known, same
}

// here is the reference kernel that comes with the simulator.
type here struct{ *kernels.Kernel }

func (h here) BTF() (*btf.Spec, error) { return h.Kernel.BTF(), nil }
func (h here) Version() uint32         { return 7<<16 | 2<<8 }

// TestExampleCounts: the verifier follows the example schedulers exactly as far as the kernel does.
func TestExampleCounts(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	places := attach.New(k)
	places.CPUs = 2
	files, _ := filepath.Glob("../../examples/bpf/*.bpf.o")
	bugs, _ := filepath.Glob("../../examples/bugs/*/*.bpf.o")
	files = append(files, bugs...)
	known, same := compareCounts(t, here{k}, places, files)
	if known < 110 || same != known {
		t.Errorf("of %d programs whose counts are recorded, %d have the kernel's", known, same)
	}
}

// TestCounts compares counts for the objects in the directories of SCHEDSIM_OBJECTS.
func TestCounts(t *testing.T) {
	l := newLab(t)
	known, same := compareCounts(t, l, l.places, objects(t, "SCHEDSIM_OBJECTS"))
	if known == 0 {
		t.Error("no object of which counts are recorded")
	}
	if same < known*98/100 {
		t.Errorf("of %d programs %d have the kernel's counts", known, same)
	}
}

var update = flag.Bool("update", false, "rewrite what is recorded of kernels")

// TestRecordCounts makes testdata/counts.json.gz with -update: of each object in the directories of SCHEDSIM_OBJECTS from
// what veristat -o csv said of it, in a file beside it whose name ends in .csv in place of .bpf.o. Objects without one keep
// what is recorded of them.
func TestRecordCounts(t *testing.T) {
	if !*update {
		t.Skip("records what a kernel says: run with -update, and SCHEDSIM_OBJECTS and outputs of veristat in place")
	}
	rec := recorded(t)
	for _, file := range objects(t, "SCHEDSIM_OBJECTS") {
		f, err := os.Open(strings.TrimSuffix(file, ".bpf.o") + ".csv")
		if err != nil {
			continue
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil || len(rows) == 0 {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		var cols [8]int
		for i, name := range []string{"prog_name", "verdict", "total_insns", "total_states", "peak_states", "max_states_per_insn", "stack_depth", "max_stack_depth"} {
			if cols[i] = slices.Index(rows[0], name); cols[i] < 0 {
				t.Fatalf("%s: no column %s", f.Name(), name)
			}
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		progs := map[string]counts{}
		for _, row := range rows[1:] {
			n := func(i int) int { v, _ := strconv.Atoi(row[cols[i]]); return v }
			name := row[cols[0]]
			if _, twice := progs[name]; twice {
				t.Fatalf("%s: two programs are called %s", f.Name(), name)
			}
			progs[name] = counts{row[cols[1]] == "success", n(2), n(3), n(4), n(5), n(6), n(7)}
		}
		sum := sha256.Sum256(raw)
		rec[hex.EncodeToString(sum[:8])] = progs
	}
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	sep := "[\n"
	for _, sum := range slices.Sorted(maps.Keys(rec)) {
		o := object{SHA256: sum}
		for _, name := range slices.Sorted(maps.Keys(rec[sum])) {
			c, ok := rec[sum][name], 0
			if c.accepted {
				ok = 1
			}
			o.Progs = append(o.Progs, []any{name, ok, c.insns, c.states, c.peak, c.perInsn, c.stack, c.maxStack})
		}
		line, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(z, "%s%s", sep, line)
		sep = ",\n"
	}
	fmt.Fprint(z, "\n]\n")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/counts.json.gz", buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkObjects verifies the programs in the directories of SCHEDSIM_OBJECTS of which 2,000 and more instructions are
// followed.
func BenchmarkObjects(b *testing.B) {
	l := newLab(b)
	for _, file := range objects(b, "SCHEDSIM_OBJECTS") {
		o, name := l.object(b, file)
		if o == nil {
			continue
		}
		for _, p := range o.Programs {
			at, err := l.places.Program(o, p)
			if err != nil {
				continue
			}
			if res, err := verifier.Check(o, p, at); err != nil || res.Insns < 2000 {
				continue
			}
			b.Run(name+"/"+p.Name, func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					res, err := verifier.Check(o, p, at)
					if err != nil {
						b.Fatal(err)
					}
					n += res.Insns
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Minsn/s")
			})
		}
	}
}
