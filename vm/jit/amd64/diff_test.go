//go:build linux && amd64

package amd64

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

func newEngine(t testing.TB, o Options) *Engine {
	e, err := New(o)
	if err != nil {
		t.Skip(err)
	}
	return e
}

func TestDifferential(t *testing.T) {
	for i, name := range []string{"default", "no BMI2"} {
		t.Run(name, func(t *testing.T) {
			enginetest.Differential(t, interp.Engine{}, engines(t)[name], *first, *programs, uint64(i))
		})
	}
}

func TestProved(t *testing.T) {
	enginetest.Proved(t, interp.Engine{}, newEngine(t, Options{}), *programs/4, 2)
}

func TestFacts(t *testing.T) { enginetest.Facts(t, interp.Engine{}, newEngine(t, Options{})) }

func TestPairs(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) { enginetest.Pairs(t, interp.Engine{}, e) })
	}
}

func TestInlines(t *testing.T) {
	enginetest.Inlines(t, interp.Engine{}, newEngine(t, Options{}), func(w *enginetest.World) int { return w.Code.(*native.Code).Sites() })
}

func TestHammer(t *testing.T) { enginetest.Hammer(t, newEngine(t, Options{})) }

func TestRunaway(t *testing.T) { enginetest.Runaway(t, newEngine(t, Options{})) }

func TestPanicInKfunc(t *testing.T) { enginetest.PanicInKfunc(t, newEngine(t, Options{})) }

func TestHostileSize(t *testing.T) {
	enginetest.HostileSize(t, interp.Engine{}, newEngine(t, Options{}))
}

func TestNest(t *testing.T) { enginetest.Nest(t, newEngine(t, Options{})) }

func TestNoAllocation(t *testing.T) { enginetest.NoAllocation(t, newEngine(t, Options{})) }

// FuzzDifferential: whatever the bytes, machine code does what the interpreter does.
func FuzzDifferential(f *testing.F) {
	for i := range uint64(20) {
		f.Add(enginetest.RandomBytes(i, 2))
	}
	e, err := New(Options{})
	if err != nil {
		f.Skip(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) { enginetest.NewDiffer(t, interp.Engine{}, e).Bytes(t, data) })
}
