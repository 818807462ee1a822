//go:build !linux || !(amd64 || arm64)

package jit

import "github.com/schedsim/schedsim/vm/engine"

// newEngine refuses: the interpreter runs everywhere.
func newEngine(Options) (engine.Engine, error) { return nil, ErrUnsupported }
