package helpers

import (
	"encoding/binary"
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
)

func (e *Env) systemRows() []row {
	now := func(*abi.Call, *abi.Args) uint64 { return e.Host.NowNS() }
	task := func(*abi.Call, *abi.Args) uint64 { return e.Host.CurrentTask() }
	return []row{
		// The machine never suspends and its wall clock starts at boot, so these clocks are one.
		{"ktime_get_ns", now},
		{"ktime_get_boot_ns", now},
		{"ktime_get_tai_ns", now},
		{"ktime_get_coarse_ns", e.ktimeCoarse},
		{"jiffies64", e.jiffies64},
		{"get_prandom_u32", func(*abi.Call, *abi.Args) uint64 { return uint64(e.Host.Rand32()) }},
		{"get_smp_processor_id", func(*abi.Call, *abi.Args) uint64 { return uint64(uint32(e.Host.CPU())) }},
		{"get_numa_node_id", e.numaNode},
		{"get_current_task", task},
		{"get_current_task_btf", task},
		{"get_current_pid_tgid", e.currentPID},
		{"get_current_uid_gid", func(*abi.Call, *abi.Args) uint64 { return 0 }}, // everything is root's
		{"get_current_comm", e.currentComm},
		{"get_ns_current_pid_tgid", e.nsCurrentPID},
	}
}

// ticks is the number of ticks since boot; Mul64 and Div64 keep it exact over the whole range of the clock.
func (e *Env) ticks() uint64 {
	const second = 1_000_000_000
	hi, lo := bits.Mul64(e.Host.NowNS(), e.HZ)
	q, _ := bits.Div64(hi%second, lo, second)
	return q
}

// ktimeCoarse follows ktime_get_coarse_ns: the clock as of the last tick.
func (e *Env) ktimeCoarse(*abi.Call, *abi.Args) uint64 { return e.ticks() * (1_000_000_000 / e.HZ) }

// jiffies64 follows get_jiffies_64: the count starts five minutes before it overflows 32 bits (INITIAL_JIFFIES).
func (e *Env) jiffies64(*abi.Call, *abi.Args) uint64 {
	return uint64(uint32(-300*int64(e.HZ))) + e.ticks()
}

// numaNode asks hosts that have nodes; others have one.
func (e *Env) numaNode(*abi.Call, *abi.Args) uint64 {
	if h, ok := e.Host.(abi.NUMAHost); ok {
		return uint64(uint32(h.Node()))
	}
	return 0
}

func (e *Env) currentPID(*abi.Call, *abi.Args) uint64 {
	pid, tgid := e.Host.CurrentPID()
	return uint64(uint32(tgid))<<32 | uint64(uint32(pid))
}

// currentComm follows bpf_get_current_comm (strscpy_pad).
func (e *Env) currentComm(c *abi.Call, a *abi.Args) uint64 {
	dst := e.out(c, "get_current_comm", a[0], uint64(uint32(a[1])))
	if len(dst) == 0 {
		return 0
	}
	clear(dst)
	if h, ok := e.Host.(abi.CommHost); ok {
		copy(dst[:len(dst)-1], h.CurrentComm())
	}
	return 0
}

// pidNamespace is PID_NS_INIT_INO, the inode of /proc/self/ns/pid where there are no other namespaces.
const pidNamespace = 0xeffffffc

// nsCurrentPID follows bpf_get_ns_current_pid_tgid: the ids in the namespace with device R1 and inode R2, to R3. There is one
// namespace; its device is not looked at.
func (e *Env) nsCurrentPID(c *abi.Call, a *abi.Args) uint64 {
	out := e.out(c, "get_ns_current_pid_tgid", a[2], uint64(uint32(a[3])))
	if out == nil {
		return 0
	}
	clear(out)
	if len(out) != 8 || a[0]>>32 != 0 || a[1] != pidNamespace {
		return errno(abi.EINVAL)
	}
	pid, tgid := e.Host.CurrentPID()
	binary.LittleEndian.PutUint32(out, uint32(pid))
	binary.LittleEndian.PutUint32(out[4:], uint32(tgid))
	return 0
}
