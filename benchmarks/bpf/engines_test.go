package bpf

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/schedsim/schedsim/internal/hostbpf"
)

// iterations is what the programs do in one run (N of bpf.h).
const iterations = 512

// programs are those that are measured.
var programs = []struct {
	object, name string
	once         bool // the program does no iterations
}{
	{"compute", "empty", true},
	{"compute", "alu", false},
	{"compute", "branch", false},
	{"compute", "mem", false},
	{"compute", "stack", false},
	{"compute", "division", false},
	{"compute", "call", false},
	{"compute", "callback", false},
	{"maps", "array", false},
	{"maps", "percpu_array", false},
	{"maps", "hash_lookup", false},
	{"maps", "hash_update", false},
	{"calls", "helper_cpu", false},
	{"calls", "helper_call", false},
	{"calls", "kfunc", false},
	{"calls", "sched", false},
}

// engines are an object on all engines that there are, in this order: the interpreter, machine code that checks its accesses,
// machine code of verified programs, which is what compares with the kernel's, and the kernel unless it refuses.
type engines struct {
	names   []string
	runners []runner
	interp  *set
}

func newEngines(tb testing.TB, object string) *engines {
	e := &engines{interp: newSet(tb, object, "interp", false)}
	e.add("interp", e.interp)
	e.add("checked", newSet(tb, object, "jit", false))
	e.add("jit", newSet(tb, object, "jit", true))
	if err := hostbpf.Available(); err != nil {
		tb.Logf("without the kernel: %v", err)
	} else if err := hostbpf.JIT(); err != nil {
		tb.Logf("without the kernel, which would interpret: %v", err)
	} else {
		e.add("kernel", newKernel(tb, object))
	}
	if object == "maps" { // the hash has to be filled
		e.equal(tb, "fill")
	}
	return e
}

func (e *engines) add(name string, r runner) {
	e.names, e.runners = append(e.names, name), append(e.runners, r)
}

// equal runs a program a few times on all engines and compares what it returns and the global variables.
func (e *engines) equal(tb testing.TB, program string) {
	tb.Helper()
	for n := range 4 {
		var first uint32
		var memory []byte
		for i, r := range e.runners {
			r0, _, err := r.run(program, 1)
			if err != nil {
				tb.Fatalf("%s on %s: %v", program, e.names[i], err)
			}
			g, err := r.globals()
			if err != nil {
				tb.Fatal(err)
			}
			if i == 0 {
				first, memory = r0, bytes.Clone(g)
				continue
			}
			if r0 != first {
				tb.Fatalf("%s, run %d: %#x on %s, %#x on %s", program, n, first, e.names[0], r0, e.names[i])
			}
			if !bytes.Equal(g, memory) {
				tb.Fatalf("%s, run %d: global variables differ between %s and %s:\n% x\n% x", program, n, e.names[0], e.names[i], memory, g)
			}
		}
	}
}

// TestEqual: each program computes the same on all engines.
func TestEqual(t *testing.T) {
	byObject := map[string]*engines{}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			e := byObject[p.object]
			if e == nil {
				e = newEngines(t, p.object)
			}
			e.equal(t, p.name)
		})
	}
}

// slice is about how long a turn of one engine takes: short enough that other work seldom falls into it, long enough that
// reading the clock does not matter.
const slice = 150 * time.Microsecond

// BenchmarkEngines reports for each program the time of one iteration on each engine, the time of one instruction in the
// interpreter, and the ratio of machine code to the kernel's, of programs that check their accesses and of verified ones. The last line is the geometric mean of the ratios that came
// before, of programs that iterate.
func BenchmarkEngines(b *testing.B) {
	ratios := map[string][2]float64{}
	for _, p := range programs {
		b.Run(p.name, func(b *testing.B) {
			e := newEngines(b, p.object)
			e.equal(b, p.name)
			n := make([]int, len(e.runners)) // runs in a turn
			for i := range e.runners {
				n[i] = e.calibrate(b, i, p.name)
			}
			executed := insns(b, e.interp, p.name)
			each := make([][]float64, len(e.runners)) // ns per run
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for b.Loop() {
				for i, r := range e.runners {
					_, d, err := r.run(p.name, n[i])
					if err != nil {
						b.Fatal(err)
					}
					each[i] = append(each[i], float64(d.Nanoseconds())/float64(n[i]))
				}
			}
			per, unit := float64(iterations), "ns/iter"
			if p.once {
				per, unit = 1, "ns/run"
			}
			m := make([]float64, len(each))
			for i := range each {
				m[i] = median(each[i])
				b.ReportMetric(m[i]/per, e.names[i]+"-"+unit)
			}
			b.ReportMetric(0, "ns/op") // of all engines together: of no use
			b.ReportMetric(m[0]/float64(executed), "interp-ns/insn")
			if len(m) > 3 {
				b.ReportMetric(m[1]/m[3], "checked/kernel")
				b.ReportMetric(m[2]/m[3], "jit/kernel")
				if !p.once {
					ratios[p.name] = [2]float64{m[1] / m[3], m[2] / m[3]}
				}
			}
		})
	}
	if len(ratios) == 0 {
		return
	}
	b.Run("geomean", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(0, "ns/op")
		for i, name := range []string{"checked/kernel", "jit/kernel"} {
			sum, worst := 0.0, 0.0
			for _, r := range ratios {
				sum += math.Log(r[i])
				worst = max(worst, r[i])
			}
			b.ReportMetric(math.Exp(sum/float64(len(ratios))), name)
			b.ReportMetric(worst, "worst-"+name)
		}
	})
}

// calibrate finds how many runs fill a turn.
func (e *engines) calibrate(b *testing.B, i int, program string) int {
	n := 1
	for {
		_, d, err := e.runners[i].run(program, n)
		if err != nil {
			b.Fatal(fmt.Errorf("%s on %s: %w", program, e.names[i], err))
		}
		if d >= slice/2 || n >= 1<<20 {
			return max(1, int(float64(n)*float64(slice)/float64(max(d, 1))))
		}
		n *= 2
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
