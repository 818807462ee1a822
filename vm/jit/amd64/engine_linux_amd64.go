package amd64

import (
	"io"

	"golang.org/x/sys/cpu"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// Options tune an Engine. The zero value uses what the processor has.
type Options struct {
	// NoBMI2 leaves out the instructions of BMI2.
	NoBMI2 bool
	// PerfMap, if not nil, is told where each subprogram lies, in the format of /tmp/perf-PID.map, so that perf can name
	// it.
	PerfMap io.Writer
}

// Engine compiles to machine code.
type Engine struct{ opt Options }

var _ engine.Engine = (*Engine)(nil)

// New returns the engine, or an error where the system does not let a process make executable memory.
func New(opt Options) (*Engine, error) {
	if err := native.Check(); err != nil {
		return nil, err
	}
	return &Engine{opt}, nil
}

// Name is "jit".
func (*Engine) Name() string { return "jit" }

// Compile turns the programs of env into machine code.
func (e *Engine) Compile(env *engine.Env) (engine.Code, error) {
	bmi2 := cpu.X86.HasBMI2 && !e.opt.NoBMI2
	c, err := native.Compile(env, native.Options{Arch: "amd64", HostFrames: true, PerfMap: e.opt.PerfMap,
		Lower: func(env *engine.Env, slot int, value *uint64) (native.Unit, error) {
			return lower(env, slot, bmi2, value), nil
		}})
	if err != nil {
		return nil, err
	}
	return c, nil
}
