package loader

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/sys"
)

// Run runs a syscall program of the object with a context, which it may change, and returns its result. It follows
// bpf_prog_test_run_opts. Errors are the kernel's reasons.
func (l *Object) Run(prog string, ctx []byte) (int32, error) {
	fd := l.progFD(prog)
	if fd == 0 {
		return 0, fmt.Errorf("%s: program %s is not loaded", l.o.Name, prog)
	}
	defer l.u.Reset()
	a := sys.RunAttr{Prog: fd}
	if len(ctx) > 0 {
		a.CtxSize, a.Ctx = uint32(len(ctx)), l.u.Add(ctx)
	}
	attr := a.Bytes()
	if _, err := l.call(sys.ProgTestRun, attr); err != nil {
		return 0, fmt.Errorf("%s: program %s: %w", l.o.Name, prog, err)
	}
	return int32(attr.U32(sys.ResultRetval)), nil
}
