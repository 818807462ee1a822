//go:build linux && arm64

package arm64

import (
	"testing"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
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

func BenchmarkJIT(b *testing.B) { enginetest.Benchmark(b, newEngine(b, Options{})) }

func TestArenas(t *testing.T) { enginetest.Arenas(t, newEngine(t, Options{})) }
