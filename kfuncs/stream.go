package kfuncs

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/helpers"
)

// The streams of a program, enum bpf_stream_id. What is written goes to Host.Print at once, as if somebody read them all the
// time.
const (
	streamStdout = 1
	streamStderr = 2
)

// streamFuncs write to the streams of a program (kernel/bpf/stream.c, 7.2).
func streamFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("int bpf_stream_vprintk(int stream_id, const char *fmt__str, const void *args, u32 len__sz)",
			abi.ImplicitArgs, ops.GroupCommon, h.streamVprintk),
		// Kernel 6.18 has it under this name only.
		row("int bpf_stream_vprintk_impl(int stream_id, const char *fmt__str, const void *args, u32 len__sz, void *aux__prog)",
			abi.TrustedArgs, ops.GroupCommon, h.streamVprintk),
		row("int bpf_stream_print_stack(int stream_id)",
			abi.ImplicitArgs, ops.GroupCommon, h.streamPrintStack),
	}
}

func validStream(id uint64) bool { return int32(id) == streamStdout || int32(id) == streamStderr }

// print writes text, which may be several lines.
func (h *Host) print(text string) {
	if h.Print == nil {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		h.Print(line)
	}
}

// streamVprintk follows bpf_stream_vprintk.
func (h *Host) streamVprintk(c *abi.Call, a *abi.Args) uint64 {
	size := uint32(a[3])
	switch {
	case !validStream(a[0]):
		return abi.ENOENT.Ret()
	case size%8 != 0 || size > maxVarargs*8 || size != 0 && a[2] == 0:
		return abi.EINVAL.Ret()
	}
	s, errno := helpers.Format(c.Mem, a[1], a[2], size)
	if errno != 0 {
		return errno.Ret()
	}
	h.print(s)
	return 0
}

// streamPrintStack follows bpf_stream_print_stack. There are no frames of the kernel to show.
func (h *Host) streamPrintStack(_ *abi.Call, a *abi.Args) uint64 {
	if !validStream(a[0]) {
		return abi.ENOENT.Ret()
	}
	cpu := h.Machine.ThisCPU()
	t := h.Machine.Curr(cpu)
	h.print(fmt.Sprintf("CPU: %d UID: 0 PID: %d Comm: %s\nCall trace:\n", cpu, t.PID, t.Comm))
	return 0
}
