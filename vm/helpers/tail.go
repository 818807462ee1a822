package helpers

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// maxTails is MAX_TAIL_CALL_CNT.
const maxTails = 33

// tailCall follows bpf_tail_call: the program in element R3 of the map R2 goes on with the context R1. Where there is none,
// or after 33 of them, the program that called goes on.
func (e *Env) tailCall(c *abi.Call, a *abi.Args) uint64 {
	m := e.mapAt(c, "tail_call", a[1])
	if m == nil {
		return 0
	}
	arr, ok := m.(*maps.FDArray)
	if !ok || arr.Type != maps.TypeProgArray {
		return wrongType(c, "tail_call", m)
	}
	if prog, ok := arr.Object(uint64(uint32(a[2]))); ok && prog != 0 && c.Tails < maxTails {
		c.Next = abi.Next(prog)
		if e.Prog != nil {
			c.Next, c.Other = e.Prog(prog)
		}
	}
	return 0
}
