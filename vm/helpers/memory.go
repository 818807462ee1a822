package helpers

import (
	"bytes"
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
)

func (e *Env) memoryRows() []row {
	kernel := func(name string) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 { return e.probeRead(c, a, name) }
	}
	str := func(name string) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 { return e.probeReadStr(c, a, name) }
	}
	user := func(name string) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 { return e.probeReadUser(c, a, name) }
	}
	return []row{
		{"probe_read", kernel("probe_read")},
		{"probe_read_kernel", kernel("probe_read_kernel")},
		{"probe_read_user", user("probe_read_user")},
		{"probe_read_str", str("probe_read_str")},
		{"probe_read_kernel_str", str("probe_read_kernel_str")},
		{"probe_read_user_str", user("probe_read_user_str")},
		{"kptr_xchg", e.kptrXchg},
		{"per_cpu_ptr", e.perCPUPtr},
		{"this_cpu_ptr", e.thisCPUPtr},
		{"spin_lock", e.spinLock},
		{"spin_unlock", e.spinUnlock},
	}
}

// probeRead follows bpf_probe_read_kernel: R2 bytes from R3 to R1, zeros and EFAULT if they are not there.
func (e *Env) probeRead(c *abi.Call, a *abi.Args, name string) uint64 {
	n := uint64(uint32(a[1]))
	dst := e.out(c, name, a[0], n)
	if dst == nil {
		return 0
	}
	src := e.Mem.Bytes(a[2], n)
	if src == nil {
		clear(dst)
		return errno(abi.EFAULT)
	}
	copy(dst, src)
	return 0
}

// probeReadStr follows bpf_probe_read_kernel_str: a string of at most R2 bytes with its end, the length with the end is
// returned.
func (e *Env) probeReadStr(c *abi.Call, a *abi.Args, name string) uint64 {
	n := uint64(uint32(a[1]))
	dst := e.out(c, name, a[0], n)
	if dst == nil || n == 0 {
		return 0
	}
	s, ok := CString(e.Mem, a[2], n)
	if !ok {
		clear(dst)
		return errno(abi.EFAULT)
	}
	if uint64(len(s)) == n { // no end within the buffer: the last byte makes room for one
		s = s[:n-1]
	}
	copy(dst, s)
	dst[len(s)] = 0
	return uint64(len(s)) + 1
}

// probeReadUser is the user-memory variants: there is none.
func (e *Env) probeReadUser(c *abi.Call, a *abi.Args, name string) uint64 {
	dst := e.out(c, name, a[0], uint64(uint32(a[1])))
	if dst == nil {
		return 0
	}
	clear(dst)
	return errno(abi.EFAULT)
}

// CString returns the string at addr without its end, cut at max bytes. ok is false if memory ends before the string does.
// The result aliases the memory.
func CString(m abi.Memory, addr, max uint64) (s []byte, ok bool) {
	const step = 256
	for n := uint64(0); n < max; {
		chunk := min(step, max-n)
		b := m.Bytes(addr, n+chunk)
		for b == nil && chunk > 1 { // close to the end of memory
			chunk /= 2
			b = m.Bytes(addr, n+chunk)
		}
		if b == nil {
			return nil, false
		}
		if i := bytes.IndexByte(b[n:], 0); i >= 0 {
			return b[:n+uint64(i)], true
		}
		n += chunk
	}
	return m.Bytes(addr, max), true
}

// kptrXchg follows bpf_kptr_xchg: it puts R2 into the field at R1 and returns what was there.
func (e *Env) kptrXchg(c *abi.Call, a *abi.Args) uint64 {
	old, ok := e.Mem.Load(a[0], 8)
	if !ok {
		e.out(c, "kptr_xchg", a[0], 8)
		return 0
	}
	e.Mem.Store(a[0], 8, a[1])
	return old
}

// perCPUPtr follows bpf_per_cpu_ptr: null for a CPU that does not exist.
func (e *Env) perCPUPtr(c *abi.Call, a *abi.Args) uint64 {
	cpu := uint32(a[1])
	if cpu >= uint32(e.Host.NrCPUs()) {
		return 0
	}
	return e.perCPU(a[0], int32(cpu))
}

func (e *Env) thisCPUPtr(c *abi.Call, a *abi.Args) uint64 { return e.perCPU(a[0], e.Host.CPU()) }

func (e *Env) perCPU(ptr uint64, cpu int32) uint64 {
	if e.PerCPU == nil {
		return ptr
	}
	return e.PerCPU(ptr, cpu)
}

// spinLock and spinUnlock follow bpf_spin_lock and bpf_spin_unlock. Nothing runs while a program holds a lock, so one that is taken
// is a deadlock; the verifier refuses programs that could come there.
func (e *Env) spinLock(c *abi.Call, a *abi.Args) uint64 {
	if h, ok := e.Host.(abi.PaceHost); ok {
		h.Pace()
	}
	switch v, ok := e.Mem.Load(a[0], 4); {
	case !ok:
		e.out(c, "spin_lock", a[0], 4)
	case v != 0:
		c.Fault = fmt.Sprintf("bpf_spin_lock: the lock at %#x is held already", a[0])
	default:
		e.Mem.Store(a[0], 4, 1)
	}
	return 0
}

func (e *Env) spinUnlock(c *abi.Call, a *abi.Args) uint64 {
	switch v, ok := e.Mem.Load(a[0], 4); {
	case !ok:
		e.out(c, "spin_unlock", a[0], 4)
	case v != 1:
		c.Fault = fmt.Sprintf("bpf_spin_unlock: the lock at %#x is not held", a[0])
	default:
		e.Mem.Store(a[0], 4, 0)
	}
	return 0
}
