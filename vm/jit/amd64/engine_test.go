//go:build linux && amd64

package amd64

import (
	"testing"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
)

// engines are the variants that must behave alike.
func engines(tb testing.TB) map[string]*Engine {
	m := map[string]*Engine{}
	for name, opt := range map[string]Options{"default": {}, "no BMI2": {NoBMI2: true}} {
		e, err := New(opt)
		if err != nil {
			tb.Skip(err)
		}
		m[name] = e
	}
	return m
}

func TestConformance(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) { enginetest.Conformance(t, e) })
	}
}

func TestSemantics(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) { enginetest.Semantics(t, e) })
	}
}

func TestProbes(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) { enginetest.Probes(t, e) })
	}
}

func TestArenas(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) { enginetest.Arenas(t, e) })
	}
}

func BenchmarkJIT(b *testing.B) { enginetest.Benchmark(b, engines(b)["default"]) }
