package helpers

import "github.com/schedsim/schedsim/vm/abi"

// maxLoops is BPF_MAX_LOOPS.
const maxLoops = 8 << 20

func (e *Env) loopRows() []row { return []row{{"loop", loop}} }

// loop follows bpf_loop: R1 rounds of callback R2 with (i, R3), until it returns non-zero.
func loop(c *abi.Call, a *abi.Args) uint64 {
	n, fn, ctx := uint32(a[0]), a[1], a[2]
	switch {
	case a[3] != 0:
		return errno(abi.EINVAL)
	case n > maxLoops:
		return errno(abi.E2BIG)
	}
	for i := range uint64(n) {
		r := c.Sub(fn, abi.Args{i, ctx})
		if c.Fault != "" {
			return 0
		}
		if r != 0 {
			return i + 1
		}
	}
	return uint64(n)
}
