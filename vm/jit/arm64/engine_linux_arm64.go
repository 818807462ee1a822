package arm64

import (
	"io"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// Options tune an Engine. The zero value is right for everything but profiling with perf.
type Options struct {
	// PerfMap, if not nil, is told where each subprogram lies, in the format of /tmp/perf-PID.map, so that perf can name
	// it.
	PerfMap io.Writer
}

// Engine compiles to machine code.
type Engine struct {
	opt Options
	// For tests: jumps reach far even where they need not; slices of the budget have that many instructions, 0: as usual.
	far   bool
	slice int64
}

var _ engine.Engine = (*Engine)(nil)

// New returns the engine, or an error where the system does not let a process make executable memory.
func New(opt Options) (*Engine, error) {
	if err := native.Check(); err != nil {
		return nil, err
	}
	return &Engine{opt: opt}, nil
}

// Name is "jit".
func (*Engine) Name() string { return "jit" }

// Compile turns the programs of env into machine code.
func (e *Engine) Compile(env *engine.Env) (engine.Code, error) {
	c, err := native.Compile(env, native.Options{Arch: "arm64", PerfMap: e.opt.PerfMap, Slice: e.slice,
		Lower: func(env *engine.Env, _ int, value *uint64) (native.Unit, error) { return lower(env, e.far, value) }})
	if err != nil {
		return nil, err
	}
	return c, nil
}
