package helpers

import (
	"strings"

	"github.com/schedsim/schedsim/vm/abi"
)

func (e *Env) printRows() []row {
	return []row{{"trace_printk", e.tracePrintk}, {"trace_vprintk", e.traceVprintk}, {"snprintf", e.snprintf}}
}

// format is the text R1 of at most R2 bytes with its end. ok is false when there is none; then c.Fault may be set.
func (e *Env) format(c *abi.Call, a *abi.Args, helper string) (f []byte, ok bool) {
	b := e.in(c, helper, a[0], uint64(uint32(a[1])))
	for i, ch := range b {
		if ch == 0 {
			return b[:i], true
		}
	}
	return nil, false
}

// emit hands a line to the host and returns its length, which counts what the kernel's buffer cuts off.
func (e *Env) emit(out []byte) uint64 {
	e.Host.Printk(strings.TrimSuffix(Clip(string(out)), "\n"))
	return uint64(len(out))
}

// tracePrintk follows bpf_trace_printk.
func (e *Env) tracePrintk(c *abi.Call, a *abi.Args) uint64 {
	f, ok := e.format(c, a, "trace_printk")
	if !ok {
		return errno(abi.EINVAL)
	}
	out, err := Sprintf(e.Mem, f, a[2:5])
	if err != 0 {
		return errno(err)
	}
	return e.emit(out)
}

// traceVprintk follows bpf_trace_vprintk: the arguments are R4 bytes at R3.
func (e *Env) traceVprintk(c *abi.Call, a *abi.Args) uint64 {
	args, bad := e.varargs(c, a[2], a[3], "trace_vprintk")
	if bad != 0 || c.Fault != "" {
		return errno(bad)
	}
	f, ok := e.format(c, a, "trace_vprintk")
	if !ok {
		return errno(abi.EINVAL)
	}
	out, err := Sprintf(e.Mem, f, args)
	if err != 0 {
		return errno(err)
	}
	return e.emit(out)
}

func (e *Env) varargs(c *abi.Call, addr, size uint64, helper string) ([]uint64, abi.Errno) {
	n := uint32(size)
	if n%8 != 0 || n > maxVarargs*8 || n != 0 && addr == 0 {
		return nil, abi.EINVAL
	}
	args, ok := loadArgs(e.Mem, addr, n)
	if !ok {
		e.in(c, helper, addr, uint64(n))
	}
	return args, 0
}

// snprintf follows bpf_snprintf: into R1 of R2 bytes, format R3, R5 bytes of arguments at R4. It returns the length with
// the end, as if the buffer had been long enough.
func (e *Env) snprintf(c *abi.Call, a *abi.Args) uint64 {
	args, bad := e.varargs(c, a[3], a[4], "snprintf")
	if bad != 0 || c.Fault != "" {
		return errno(bad)
	}
	dst := e.out(c, "snprintf", a[0], uint64(uint32(a[1])))
	if dst == nil && a[1] != 0 {
		return 0
	}
	c.Fault = ""
	f, ok := CString(e.Mem, a[2], 1<<20)
	if !ok {
		e.in(c, "snprintf", a[2], 1)
		return 0
	}
	out, err := Sprintf(e.Mem, f, args)
	if err != 0 {
		return errno(err)
	}
	if len(dst) > 0 {
		n := copy(dst[:len(dst)-1], out)
		dst[n] = 0
	}
	return uint64(len(out)) + 1
}
