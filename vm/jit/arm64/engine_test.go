//go:build linux && arm64

package arm64

import (
	"flag"
	"testing"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit/native"
)

var (
	programs = flag.Int("programs", 2000, "number of random program sets that TestDifferential compares")
	first    = flag.Int("first", 0, "number of the first of them")
)

func newEngine(tb testing.TB, o Options) *Engine {
	e, err := New(o)
	if err != nil {
		tb.Skip(err)
	}
	return e
}

// farEngine is an engine whose conditional jumps are all of the long form, and whose budget comes in tiny slices.
func farEngine(tb testing.TB) *Engine {
	e := newEngine(tb, Options{})
	e.far, e.slice = true, 5
	return e
}

func TestConformance(t *testing.T) { enginetest.Conformance(t, newEngine(t, Options{})) }

func TestSemantics(t *testing.T) { enginetest.Semantics(t, newEngine(t, Options{})) }

func TestSemanticsFar(t *testing.T) { enginetest.Semantics(t, farEngine(t)) }

func TestProbes(t *testing.T) { enginetest.Probes(t, newEngine(t, Options{})) }

func TestArenas(t *testing.T) { enginetest.Arenas(t, newEngine(t, Options{})) }

func TestFacts(t *testing.T) { enginetest.Facts(t, interp.Engine{}, newEngine(t, Options{})) }

func TestPairs(t *testing.T) { enginetest.Pairs(t, interp.Engine{}, newEngine(t, Options{})) }

func TestInlines(t *testing.T) {
	enginetest.Inlines(t, interp.Engine{}, newEngine(t, Options{}), func(w *enginetest.World) int { return w.Code.(*native.Code).Sites() })
}

func TestDifferential(t *testing.T) {
	enginetest.Differential(t, interp.Engine{}, newEngine(t, Options{}), *first, *programs, 0)
}

func TestDifferentialFar(t *testing.T) {
	enginetest.Differential(t, interp.Engine{}, farEngine(t), *first, *programs, 1)
}

func TestProved(t *testing.T) {
	enginetest.Proved(t, interp.Engine{}, newEngine(t, Options{}), *programs/20, 2)
}

// FuzzDifferential: whatever the bytes, machine code does what the interpreter does.
func FuzzDifferential(f *testing.F) {
	e := newEngine(f, Options{})
	for i := range uint64(20) {
		f.Add(enginetest.RandomBytes(i, 1))
	}
	f.Fuzz(func(t *testing.T, data []byte) { enginetest.NewDiffer(t, interp.Engine{}, e).Bytes(t, data) })
}

func TestNest(t *testing.T) { enginetest.Nest(t, newEngine(t, Options{})) }

func TestNoAllocation(t *testing.T) { enginetest.NoAllocation(t, newEngine(t, Options{})) }

func TestHammer(t *testing.T) { enginetest.Hammer(t, newEngine(t, Options{})) }

func TestRunaway(t *testing.T) { enginetest.Runaway(t, newEngine(t, Options{})) }

func TestPanicInKfunc(t *testing.T) { enginetest.PanicInKfunc(t, newEngine(t, Options{})) }

func TestHostileSize(t *testing.T) {
	enginetest.HostileSize(t, interp.Engine{}, newEngine(t, Options{}))
}

func BenchmarkJIT(b *testing.B) { enginetest.Benchmark(b, newEngine(b, Options{})) }
