package bpf

import (
	"errors"

	"github.com/schedsim/schedsim/ops"
)

// RunSyscall runs a program of the type syscall with a context, as a scheduler's user-space half does through
// BPF_PROG_TEST_RUN, between two events of the machine. The program's fault is an error, and ends the scheduler.
func (p *Policy) RunSyscall(prog string, ctx []byte) (int32, error) {
	if p.loaded == nil {
		return 0, errors.New("the object is not loaded")
	}
	if p.env.Kernel.Frame().Callback != ops.None {
		panic("BUG: a syscall program started from a callback")
	}
	defer p.env.Kernel.End(p.env.Kernel.As(p.table))
	return p.loaded.Run(prog, ctx)
}
