package helpers

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

const (
	indexMask  = 1<<32 - 1 // BPF_F_INDEX_MASK
	currentCPU = indexMask // BPF_F_CURRENT_CPU
	perfValue  = 24        // sizeof(struct bpf_perf_event_value)
)

func (e *Env) perfRows() []row {
	return []row{
		{"perf_event_read", e.perfRead},
		{"perf_event_read_value", e.perfReadValue},
		{"perf_event_output", e.perfOutput},
	}
}

// perfEvent finds the event that the flags name in the map R(r+1). It follows get_map_perf_counter and
// __bpf_perf_event_output: ENOENT if user space has put none there, which is what it comes to on a machine that has no
// performance counters.
func (e *Env) perfEvent(c *abi.Call, a *abi.Args, r int, flags uint64, helper string) (event uint64, err abi.Errno) {
	m := e.mapAt(c, helper, a[r])
	if m == nil {
		return 0, 0
	}
	arr, ok := m.(*maps.FDArray)
	if !ok || arr.Type != maps.TypePerfEventArray {
		wrongType(c, helper, m)
		return 0, 0
	}
	if flags&^indexMask != 0 {
		return 0, abi.EINVAL
	}
	i := flags
	if i == currentCPU {
		i = uint64(e.Host.CPU())
	}
	switch event, ok = arr.Object(i); {
	case !ok:
		return 0, abi.E2BIG
	case event == 0:
		return 0, abi.ENOENT
	}
	return event, 0
}

// counter is what an event has counted, enabled and running time in nanoseconds: zeros unless the host counts.
func (e *Env) counter(event uint64) (count, enabled, running uint64) {
	if h, ok := e.Host.(abi.PerfHost); ok {
		return h.ReadPerf(event)
	}
	return 0, 0, 0
}

// perfRead follows bpf_perf_event_read.
func (e *Env) perfRead(c *abi.Call, a *abi.Args) uint64 {
	event, err := e.perfEvent(c, a, 0, a[1], "perf_event_read")
	if err != 0 || c.Fault != "" {
		return errno(err)
	}
	count, _, _ := e.counter(event)
	return count
}

// perfReadValue follows bpf_perf_event_read_value: three words at R3, zeros after an error.
func (e *Env) perfReadValue(c *abi.Call, a *abi.Args) uint64 {
	const name = "perf_event_read_value"
	buf := e.out(c, name, a[2], uint64(uint32(a[3])))
	if buf == nil {
		return 0
	}
	clear(buf)
	if len(buf) != perfValue {
		return errno(abi.EINVAL)
	}
	event, err := e.perfEvent(c, a, 0, a[1], name)
	if err != 0 || c.Fault != "" {
		return errno(err)
	}
	count, enabled, running := e.counter(event)
	binary.LittleEndian.PutUint64(buf, count)
	binary.LittleEndian.PutUint64(buf[8:], enabled)
	binary.LittleEndian.PutUint64(buf[16:], running)
	return 0
}

// perfOutput follows bpf_perf_event_output: R5 bytes at R4. Nobody reads what is written to an event.
func (e *Env) perfOutput(c *abi.Call, a *abi.Args) uint64 {
	const name = "perf_event_output"
	if e.in(c, name, a[3], a[4]) == nil {
		return 0
	}
	_, err := e.perfEvent(c, a, 1, a[2], name)
	return errno(err)
}
