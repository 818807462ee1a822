//go:build linux && arm64

package arm64

import (
	"flag"
	"testing"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
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

func TestConformance(t *testing.T) { enginetest.Conformance(t, newEngine(t, Options{})) }

func TestSemantics(t *testing.T) { enginetest.Semantics(t, newEngine(t, Options{})) }

func TestProbes(t *testing.T) { enginetest.Probes(t, newEngine(t, Options{})) }

func TestArenas(t *testing.T) { enginetest.Arenas(t, newEngine(t, Options{})) }

func TestFacts(t *testing.T) { enginetest.Facts(t, interp.Engine{}, newEngine(t, Options{})) }

func TestPairs(t *testing.T) { enginetest.Pairs(t, interp.Engine{}, newEngine(t, Options{})) }

func TestInlines(t *testing.T) {
	enginetest.Inlines(t, interp.Engine{}, newEngine(t, Options{}), func(w *enginetest.World) int { return len(w.Code.(*code).sites) })
}

func TestDifferential(t *testing.T) {
	enginetest.Differential(t, interp.Engine{}, newEngine(t, Options{}), *first, *programs, 0)
}

// FuzzDifferential: whatever the bytes, machine code does what the interpreter does.
func FuzzDifferential(f *testing.F) {
	e := newEngine(f, Options{})
	for i := range uint64(20) {
		f.Add(enginetest.RandomBytes(i, 1))
	}
	f.Fuzz(func(t *testing.T, data []byte) { enginetest.NewDiffer(t, interp.Engine{}, e).Bytes(t, data) })
}

func BenchmarkJIT(b *testing.B) { enginetest.Benchmark(b, newEngine(b, Options{})) }
