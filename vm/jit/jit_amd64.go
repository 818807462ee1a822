//go:build linux

package jit

import (
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/jit/amd64"
)

// newEngine returns the engine of this architecture.
func newEngine(o Options) (engine.Engine, error) { return amd64.New(amd64.Options{PerfMap: o.PerfMap}) }
