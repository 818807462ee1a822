//go:build linux

package jit

import (
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/jit/arm64"
)

// newEngine returns the engine of this architecture.
func newEngine(o Options) (engine.Engine, error) { return arm64.New(arm64.Options{PerfMap: o.PerfMap}) }
