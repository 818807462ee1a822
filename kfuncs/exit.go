package kfuncs

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/helpers"
)

// maxVarargs is MAX_BPRINTF_VARARGS.
const maxVarargs = 12

// exitFuncs end the policy, explain why, and count.
func exitFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("void scx_bpf_error_bstr(char *fmt, long long unsigned int *data, u32 data__sz)",
			abi.ImplicitArgs, ops.GroupAny, h.errorBstr),
		row("void scx_bpf_exit_bstr(s64 exit_code, char *fmt, long long unsigned int *data, u32 data__sz)",
			abi.ImplicitArgs, ops.GroupAny, h.exitBstr),
		row("void scx_bpf_dump_bstr(char *fmt, long long unsigned int *data, u32 data__sz)",
			abi.ImplicitArgs, ops.GroupAny, h.dumpBstr),
		row("void scx_bpf_events(struct scx_event_stats *events, size_t events__sz)",
			0, ops.GroupAny, h.events),
	}
}

// bstrFormat follows bstr_format: fmtReg holds the address of the format, and the two registers after it the array of
// arguments and its size. What cannot be formatted ends the policy: as it wanted to, by exit, on kernels that do so.
func (h *Host) bstrFormat(c *abi.Call, a *abi.Args, fmtReg int, exit func(msg string)) (string, bool) {
	fail := func(errno abi.Errno, why string) (string, bool) {
		if exit != nil && h.Kernel.FormatEnds() {
			exit(fmt.Sprintf("exit message formatting failed (%d)", -int64(errno)))
		} else {
			h.Kernel.Fault(why)
		}
		return "", false
	}
	data, size := a[fmtReg+1], uint32(a[fmtReg+2])
	if size%8 != 0 || size > maxVarargs*8 || size != 0 && data == 0 {
		return fail(abi.EINVAL, fmt.Sprintf("invalid data=%016x and data__sz=%d", data, size))
	}
	if c.Mem.Bytes(data, uint64(size)) == nil && size != 0 {
		return fail(abi.EFAULT, fmt.Sprintf("failed to read data fields (%d)", -int64(abi.EFAULT)))
	}
	s, errno := helpers.Format(c.Mem, a[fmtReg], data, size)
	if errno != 0 {
		return fail(errno, fmt.Sprintf("format preparation failed (%d)", -int64(errno)))
	}
	return s, true
}

func (h *Host) errorBstr(c *abi.Call, a *abi.Args) uint64 {
	if s, ok := h.bstrFormat(c, a, 0, h.Kernel.ErrorBPF); ok {
		h.Kernel.ErrorBPF(s)
	}
	return 0
}

func (h *Host) exitBstr(c *abi.Call, a *abi.Args) uint64 {
	exit := func(msg string) { h.Kernel.ExitBPF(int64(a[0]), msg) }
	if s, ok := h.bstrFormat(c, a, 1, exit); ok {
		exit(s)
	}
	return 0
}

func (h *Host) dumpBstr(c *abi.Call, a *abi.Args) uint64 {
	if s, ok := h.bstrFormat(c, a, 0, nil); ok {
		h.Kernel.DumpBPF(s)
	}
	return 0
}

// events copies the counters into the program's struct scx_event_stats, which may be shorter or longer than this
// kernel's: one s64 for each counter that fits.
func (h *Host) events(c *abi.Call, a *abi.Args) uint64 {
	list := h.Kernel.EventList()
	n := min(a[1], uint64(8*len(list)))
	b := h.bytes(c, a, 0, n)
	if b == nil {
		return 0
	}
	var full [512]byte
	for i, e := range list {
		binary.LittleEndian.PutUint64(full[8*i:], e.Value)
	}
	copy(b, full[:])
	return 0
}
