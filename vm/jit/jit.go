package jit

import (
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/schedsim/schedsim/vm/engine"
)

// ErrUnsupported says that there is no machine-code engine for this system.
var ErrUnsupported = errors.New("no machine-code engine for " + runtime.GOOS + "/" + runtime.GOARCH)

// Options tune the engine. The zero value is right for everything but profiling with perf.
type Options struct {
	// PerfMap, if not nil, receives a line per compiled subprogram in the format of /tmp/perf-PID.map.
	PerfMap io.Writer
}

// New returns the engine that compiles for this machine. The error says why there is none: ErrUnsupported, or what the
// system answered to a request for executable memory.
func New(o Options) (engine.Engine, error) { return newEngine(o) }

// Select returns the engine that compiles, or fallback and one line for the user that says why.
func Select(o Options, fallback engine.Engine) (e engine.Engine, notice string) {
	e, err := New(o)
	if err != nil {
		return fallback, fmt.Sprintf("programs run on %q: %v", fallback.Name(), err)
	}
	return e, ""
}
