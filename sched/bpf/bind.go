package bpf

import (
	"encoding/binary"
	"fmt"
	"regexp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/sys"
)

// binding is a registered table: scalar members and which program stands behind which callback.
type binding struct {
	table ops.Table
	progs map[ops.Callback]*sys.Prog
	arena *maps.Arena // of a scheduler of the cid form
	cmask []cmask     // by CPU; nil until it is allocated
}

// maxTimeoutMS is SCX_WATCHDOG_MAX_TIMEOUT in milliseconds.
const maxTimeoutMS = ops.WatchdogMaxTimeout

// validName is what bpf_obj_name_cpy accepts.
var validName = regexp.MustCompile(`^[A-Za-z0-9_.]+$`)

// knownFlags are the flags of struct sched_ext_ops that a kernel accepts.
func knownFlags(k *kernels.Kernel) uint64 {
	if v, ok := k.EnumValue("SCX_OPS_ALL_FLAGS"); ok {
		return v
	}
	return ops.FlagAll
}

// setScalar checks and takes one member.
func (b *binding) setScalar(name string, data []byte, flags uint64) error {
	t := &b.table
	switch name {
	case "name":
		t.Name = cString(data)
		switch {
		case t.Name == "":
			return fmt.Errorf("a name is required")
		case len(t.Name) >= ops.NameLen || !validName.MatchString(t.Name):
			return fmt.Errorf("%q: at most %d letters, digits, '_' and '.' are allowed", t.Name, ops.NameLen-1)
		}
	case "flags":
		t.Flags = integer(data)
		if bad := t.Flags &^ flags; bad != 0 {
			return fmt.Errorf("unknown flags %#x", bad)
		}
		t.Flags &= ops.FlagAll // without those that older kernels had
	case "timeout_ms":
		t.TimeoutMS = uint32(integer(data))
		if t.TimeoutMS > maxTimeoutMS {
			return fmt.Errorf("%d ms: at most %d ms are allowed", t.TimeoutMS, maxTimeoutMS)
		}
	case "dispatch_max_batch":
		t.DispatchMaxBatch = uint32(integer(data))
		if t.DispatchMaxBatch > 1<<31-1 {
			return fmt.Errorf("%d: at most %d is allowed", t.DispatchMaxBatch, 1<<31-1)
		}
	case "exit_dump_len":
		t.ExitDumpLen = uint32(integer(data))
	case "hotplug_seq":
		t.HotplugSeq = integer(data)
	case "sub_cgroup_id":
		t.SubCgroupID = integer(data)
	}
	return nil
}

func integer(b []byte) uint64 {
	var w [8]byte
	copy(w[:], b)
	return binary.LittleEndian.Uint64(w[:])
}

// caller runs one program with its arguments in a block of its own.
type caller struct {
	p    *Policy
	prog *sys.Prog
}

// call runs the program and returns its r0, 0 when it could not go on.
func (c caller) call(a0, a1, a2, a3 uint64) uint64 {
	addr, b := c.p.args.push()
	if b == nil {
		c.p.fault = fmt.Sprintf("program %s: callbacks are nested more than %d deep", c.prog.Name(), maxNesting)
		return 0
	}
	binary.LittleEndian.PutUint64(b[0:], a0)
	binary.LittleEndian.PutUint64(b[8:], a1)
	binary.LittleEndian.PutUint64(b[16:], a2)
	binary.LittleEndian.PutUint64(b[24:], a3)
	r0, f := c.prog.Run(addr)
	c.p.args.pop()
	if f != nil {
		if c.p.fault == "" {
			c.p.fault = f.Error()
		}
		return 0
	}
	return r0
}

// callWith is call for programs with other numbers of arguments, at most slots.
func (c caller) callWith(args []uint64) {
	addr, b := c.p.args.push()
	if b == nil {
		c.p.fault = fmt.Sprintf("program %s: callbacks are nested more than %d deep", c.prog.Name(), maxNesting)
		return
	}
	for i, v := range args {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	_, f := c.prog.Run(addr)
	c.p.args.pop()
	if f != nil && c.p.fault == "" {
		c.p.fault = f.Error()
	}
}

// present is the address of an object that a callback is about. Verified programs read it without a check.
func present(addr uint64) uint64 {
	if addr == 0 {
		panic("BUG: a callback about no object")
	}
	return addr
}

func addrOf(t *sim.Task) uint64 {
	if t == nil {
		return 0
	}
	return t.K.Addr
}

func cpuArg(c sim.CPU) uint64 { return uint64(int64(c)) }

// bind makes the table's funcs of the loaded programs.
func (p *Policy) bind(b *binding) *ops.Table {
	t := b.table
	if c := p.costs; c.Callback != 0 || c.InsnPS != 0 || c.KfuncNS != 0 {
		t.Cost = p.cost
	}
	t.Fault = p.takeFault
	for id := ops.None + 1; id < ops.NrCallbacks; id++ {
		if prog := b.progs[id]; prog != nil {
			p.bindOne(&t, id, caller{p, prog})
		}
	}
	return &t
}

// bindOne sets the func of one member.
func (p *Policy) bindOne(t *ops.Table, id ops.Callback, c caller) {
	one := func(t *sim.Task) { c.call(t.K.Addr, 0, 0, 0) }
	flagged := func(t *sim.Task, flags uint64) { c.call(t.K.Addr, flags, 0, 0) }
	onCPU := func(cpu sim.CPU) { c.call(cpuArg(cpu), 0, 0, 0) }
	switch id {
	case ops.SelectCPU:
		t.SelectCPU = func(t *sim.Task, prev sim.CPU, f uint64) sim.CPU {
			return sim.CPU(int32(c.call(t.K.Addr, cpuArg(prev), f, 0)))
		}
	case ops.Enqueue:
		t.Enqueue = flagged
	case ops.Dequeue:
		t.Dequeue = flagged
	case ops.Dispatch:
		t.Dispatch = func(cpu sim.CPU, prev *sim.Task) { c.call(cpuArg(cpu), addrOf(prev), 0, 0) }
	case ops.Tick:
		t.Tick = one
	case ops.Runnable:
		t.Runnable = flagged
	case ops.Running:
		t.Running = one
	case ops.Stopping:
		t.Stopping = func(t *sim.Task, runnable bool) { c.call(t.K.Addr, boolean(runnable), 0, 0) }
	case ops.Quiescent:
		t.Quiescent = flagged
	case ops.Yield:
		t.Yield = func(from, to *sim.Task) bool { return uint8(c.call(from.K.Addr, addrOf(to), 0, 0)) != 0 }
	case ops.CoreSchedBefore:
		t.CoreSchedBefore = func(a, b *sim.Task) bool { return uint8(c.call(a.K.Addr, b.K.Addr, 0, 0)) != 0 }
	case ops.SetWeight:
		t.SetWeight = func(t *sim.Task, weight uint32) { c.call(t.K.Addr, uint64(weight), 0, 0) }
	case ops.SetCPUMask:
		if t.CID {
			t.SetCPUMask = func(t *sim.Task) { c.call(t.K.Addr, p.cmaskOf(t), 0, 0) }
			return
		}
		t.SetCPUMask = func(t *sim.Task) { c.call(t.K.Addr, t.K.CPUsMask().Addr, 0, 0) }
	case ops.UpdateIdle:
		t.UpdateIdle = func(cpu sim.CPU, idle bool) { c.call(cpuArg(cpu), boolean(idle), 0, 0) }
	case ops.InitTask:
		t.InitTask = func(t *sim.Task, a *ops.InitTaskArgs) int32 {
			return int32(c.call(t.K.Addr, p.args.setInitTask(a), 0, 0))
		}
	case ops.ExitTask:
		t.ExitTask = func(t *sim.Task, a *ops.ExitTaskArgs) { c.call(t.K.Addr, p.args.setExitTask(a), 0, 0) }
	case ops.Enable:
		t.Enable = one
	case ops.Disable:
		t.Disable = one
	case ops.Dump:
		t.Dump = func(d *ops.DumpCtx) { c.call(p.args.setDumpCtx(d), 0, 0, 0) }
	case ops.DumpCPU:
		t.DumpCPU = func(d *ops.DumpCtx, cpu sim.CPU, idle bool) {
			c.call(p.args.setDumpCtx(d), cpuArg(cpu), boolean(idle), 0)
		}
	case ops.DumpTask:
		t.DumpTask = func(d *ops.DumpCtx, t *sim.Task) { c.call(p.args.setDumpCtx(d), t.K.Addr, 0, 0) }
	case ops.CgroupSetWeight:
		t.CgroupSetWeight = func(cgrp uint64, weight uint32) { c.call(present(cgrp), uint64(weight), 0, 0) }
	case ops.CgroupSetBandwidth:
		t.CgroupSetBandwidth = func(cgrp uint64, period, quota, burst uint64) { c.call(present(cgrp), period, quota, burst) }
	case ops.CgroupSetIdle:
		t.CgroupSetIdle = func(cgrp uint64, idle bool) { c.call(present(cgrp), boolean(idle), 0, 0) }
	case ops.CgroupInit:
		t.CgroupInit = func(cgrp uint64, a *ops.CgroupInitArgs) int32 {
			return int32(c.call(present(cgrp), p.args.setCgroupInit(a), 0, 0))
		}
	case ops.CgroupExit:
		t.CgroupExit = func(cgrp uint64) { c.call(present(cgrp), 0, 0, 0) }
	case ops.CgroupPrepMove:
		t.CgroupPrepMove = func(t *sim.Task, from, to uint64) int32 {
			return int32(c.call(t.K.Addr, present(from), present(to), 0))
		}
	case ops.CgroupMove:
		t.CgroupMove = func(t *sim.Task, from, to uint64) { c.call(t.K.Addr, present(from), present(to), 0) }
	case ops.CgroupCancelMove:
		t.CgroupCancelMove = func(t *sim.Task, from, to uint64) { c.call(t.K.Addr, present(from), present(to), 0) }
	case ops.SubAttach:
		t.SubAttach = func(a *ops.SubArgs) int32 { return int32(c.call(p.args.setSub(&p.args.subAttach, a), 0, 0, 0)) }
	case ops.SubDetach:
		t.SubDetach = func(a *ops.SubArgs) { c.call(p.args.setSub(&p.args.subDetach, a), 0, 0, 0) }
	case ops.CPUAcquire:
		t.CPUAcquire = func(cpu sim.CPU) { c.call(cpuArg(cpu), p.args.cpuAcquire.addr, 0, 0) }
	case ops.CPURelease:
		t.CPURelease = func(cpu sim.CPU, reason ops.PreemptReason, t *sim.Task) {
			c.call(cpuArg(cpu), p.args.setCPURelease(reason, t), 0, 0)
		}
	case ops.CPUOnline:
		t.CPUOnline = onCPU
	case ops.CPUOffline:
		t.CPUOffline = onCPU
	case ops.Init:
		t.Init = func() int32 {
			ret := int32(c.call(0, 0, 0, 0))
			if ret == 0 && t.CID && p.fault == "" && !p.allocCmasks() {
				return -int32(abi.ENOMEM)
			}
			return ret
		}
	case ops.Exit:
		t.Exit = func(e *ops.ExitInfo) { c.call(p.args.setExitInfo(e), 0, 0, 0) }
	default:
		panic(fmt.Sprintf("BUG: callback %d has no binding", id))
	}
}

// cost prices what ran since it was last asked: the fixed cost of a callback, instructions, calls.
func (p *Policy) cost() sim.Duration {
	insns, calls := p.kernel.Work()
	d := p.costs.Callback +
		sim.Duration((int64(insns-p.paidInsn)*p.costs.InsnPS+500)/1000) +
		sim.Duration(int64(calls-p.paidCall)*p.costs.KfuncNS)
	p.paidInsn, p.paidCall = insns, calls
	return d
}

// takeFault returns why the last callback could not go on, once.
func (p *Policy) takeFault() string {
	f := p.fault
	p.fault = ""
	return f
}
