package kfuncs

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/vm/abi"
)

// Registers hold 64 bits; the kernel looks at as many as the type of the parameter has.

func argCPU(v uint64) sim.CPU { return sim.CPU(int32(v)) }

func retInt(v int32) uint64 { return uint64(int64(v)) }

func retBool(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// retTask returns the address of a task, 0 for none.
func retTask(t *sim.Task) uint64 {
	if t == nil {
		return 0
	}
	return t.K.Addr
}

// task returns the task whose task_struct the register r points to. Anything else is a fault: nil.
func (h *Host) task(c *abi.Call, a *abi.Args, r int) *sim.Task {
	t := h.Machine.TaskByAddr(a[r])
	if t == nil {
		c.Fault = fmt.Sprintf("argument %d: %#x is no task", r+1, a[r])
	}
	return t
}

// mask returns the cpumask that the register r points to; it is not Valid after a fault.
func (h *Host) mask(c *abi.Call, a *abi.Args, r int) kobj.CPUMask {
	l := h.Machine.Layout()
	m := kobj.MaskAt(l, a[r], c.Mem.Bytes(a[r], uint64(l.MaskBytes())))
	if !m.Valid() {
		c.Fault = fmt.Sprintf("argument %d: %#x is no cpumask", r+1, a[r])
	}
	return m
}

// bytes returns n bytes at the address in register r; nil after a fault.
func (h *Host) bytes(c *abi.Call, a *abi.Args, r int, n uint64) []byte {
	b := c.Mem.Bytes(a[r], n)
	if b == nil {
		c.Fault = fmt.Sprintf("argument %d: %d bytes at %#x are not memory", r+1, n, a[r])
	}
	return b
}

func u64At(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
func i32At(b []byte, off int) int32  { return int32(binary.LittleEndian.Uint32(b[off:])) }
