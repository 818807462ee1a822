package helpers

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

// Env is what the helpers of one program set work on. Mem, Host and Maps are required.
type Env struct {
	Mem  *mem.Space
	Host abi.Host
	Maps *maps.Table
	// HZ is CONFIG_HZ, for jiffies and the coarse clock; 0 means DefaultHZ.
	HZ uint64
	// RunSub runs a timer's callback at its code address.
	RunSub func(fn uint64, a abi.Args)
	// PerCPU returns the address of a per-CPU variable's copy for a CPU that exists, given the variable's address; nil
	// means that all CPUs share one copy.
	PerCPU func(ptr uint64, cpu int32) uint64
	// Sys is what some helpers need of the rest of a kernel.
	Sys Sys
	// Prog is how a tail call reaches what an element of a prog_array holds; nil: it is the number of a program of the set
	// plus one.
	Prog func(object uint64) (abi.Next, abi.Other)

	timers  map[uint64]*timer // by address of the struct bpf_timer
	running *timer            // whose callback runs, nil if none
	works   map[uint64]*work  // by address of the struct bpf_wq or bpf_task_work
	cpu     *abi.Word         // see cpuWord
}

// DefaultHZ is the tick rate when Env does not say: that of most distributions' kernels.
const DefaultHZ = 250

// Table returns the helpers by number, nil for those that are not modelled. It also makes e release timers and work with
// the map values that they lie in.
func (e *Env) Table() []abi.Func {
	if e.HZ == 0 {
		e.HZ = DefaultHZ
	}
	e.timers, e.works = map[uint64]*timer{}, map[uint64]*work{}
	e.Maps.Hooks.Timer = e.forgetTimer
	e.Maps.Hooks.Workqueue = func(addr uint64) { e.forgetWork(addr, wqSize) }
	e.Maps.Hooks.TaskWork = func(addr uint64) { e.forgetWork(addr, taskWorkSize) }
	t := make([]abi.Func, len(names))
	for _, list := range [][]row{e.mapRows(), e.memoryRows(), e.systemRows(), e.printRows(), e.timerRows(), e.loopRows(),
		e.stringRows(), e.dynptrRows(), e.ringRows(), e.perfRows(), e.cgroupRows(), e.stackRows(), e.sysRows()} {
		for _, r := range list {
			n := Number(r.name)
			if n == 0 || t[n] != nil {
				panic("BUG: helper " + r.name)
			}
			t[n] = r.call
		}
	}
	return t
}

// row is one helper.
type row struct {
	name string // without bpf_
	call abi.Func
}

// errno is how a helper returns an error number.
func errno(e abi.Errno) uint64 { return e.Ret() }

// in returns n bytes that the helper reads at addr; out those that it writes. Nil means that c.Fault is set.
func (e *Env) in(c *abi.Call, helper string, addr, n uint64) []byte {
	b := e.Mem.Bytes(addr, n)
	if b == nil {
		c.Fault = fmt.Sprintf("bpf_%s: invalid read of %d bytes at %#x", helper, n, addr)
	}
	return b
}

func (e *Env) out(c *abi.Call, helper string, addr, n uint64) []byte {
	b := e.Mem.Bytes(addr, n)
	if b == nil {
		c.Fault = fmt.Sprintf("bpf_%s: invalid write of %d bytes at %#x", helper, n, addr)
	}
	return b
}

// mapAt returns the map at addr. Nil means that c.Fault is set.
func (e *Env) mapAt(c *abi.Call, helper string, addr uint64) maps.Map {
	m := e.Maps.At(addr)
	if m == nil {
		c.Fault = fmt.Sprintf("bpf_%s: %#x is not a map", helper, addr)
	}
	return m
}

// wrongType is the fault of a helper on a map of a type that it is not for.
func wrongType(c *abi.Call, helper string, m maps.Map) uint64 {
	h := m.Info()
	c.Fault = fmt.Sprintf("bpf_%s: map %q is of type %s", helper, h.Name, h.Type)
	return 0
}
