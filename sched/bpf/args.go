package bpf

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/mem"
)

// maxNesting is how deep callbacks may nest: a kernel function called by one may cause another.
const maxNesting = 64

// slots is the size of an argument block in 64-bit words; no callback has more arguments.
const slots = 8

// args builds what programs are passed: a block of 64-bit slots per running callback, and the structs that some slots
// point to. All of it lies in simulated memory and is reused.
type args struct {
	mem   *mem.Space
	base  uint64
	block []byte
	depth int

	initTask, exitTask, exitInfo, dumpCtx, cgroupInit object
	cpuAcquire, cpuRelease, subAttach, subDetach      object
	subOps                                            object // the table of a sub-scheduler
	reason, msg, dump, path                           text
}

// object is a kernel struct in simulated memory with the places of its fields.
type object struct {
	addr   uint64
	bytes  []byte
	fields map[string]field
}

type field struct{ off, size uint32 }

// text is a C string in simulated memory that a struct points to.
type text struct {
	addr  uint64
	bytes []byte
}

func (a *args) init(m *mem.Space, k *kernels.Kernel) error {
	a.mem = m
	var err error
	if a.base, a.block, err = m.Alloc(maxNesting*slots*8, 64); err != nil {
		return err
	}
	for _, o := range []struct {
		obj    *object
		name   string
		fields []string
	}{
		{&a.initTask, "scx_init_task_args", []string{"fork", "cgroup"}},
		{&a.exitTask, "scx_exit_task_args", []string{"cancelled"}},
		{&a.exitInfo, "scx_exit_info", []string{"kind", "exit_cpu", "exit_code", "flags", "reason", "msg", "dump"}},
		{&a.cgroupInit, "scx_cgroup_init_args", []string{"weight", "bw_period_us", "bw_quota_us", "bw_burst_us"}},
		{&a.cpuAcquire, "scx_cpu_acquire_args", nil},
		{&a.cpuRelease, "scx_cpu_release_args", []string{"reason", "task"}},
		{&a.subAttach, "scx_sub_attach_args", []string{"ops", "cgroup_path"}},
		{&a.subDetach, "scx_sub_detach_args", []string{"ops", "cgroup_path"}},
		{&a.subOps, "sched_ext_ops", scalars[:]},
		{&a.dumpCtx, "scx_dump_ctx", []string{"kind", "exit_code", "reason", "at_ns", "at_jiffies"}},
	} {
		if err := o.obj.init(m, k, o.name, o.fields); err != nil {
			return err
		}
	}
	for _, t := range []struct {
		text *text
		size uint64
	}{{&a.reason, 128}, {&a.msg, ops.ExitMsgLen}, {&a.dump, ops.ExitDumpDflLen}, {&a.path, 4096}} {
		if t.text.addr, t.text.bytes, err = m.Alloc(t.size, 8); err != nil {
			return err
		}
	}
	return nil
}

func (o *object) init(m *mem.Space, k *kernels.Kernel, name string, fields []string) error {
	// A kernel that has no such struct has no callback that takes it.
	size, _ := k.SizeOf(name)
	var err error
	if o.addr, o.bytes, err = m.Alloc(uint64(size), 8); err != nil {
		return err
	}
	o.fields = make(map[string]field, len(fields))
	for _, f := range fields {
		if off, size, ok := k.Field(name + "." + f); ok {
			o.fields[f] = field{off, size}
		}
	}
	return nil
}

// set writes an integer field of any size. One that the kernel does not have is left out: no program can look for it.
func (o *object) set(name string, v uint64) {
	f := o.fields[name]
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(o.bytes[f.off:f.off+f.size], b[:])
}

// set stores s as a C string, cut where it does not fit, and returns its address.
func (t *text) set(s string) uint64 {
	n := copy(t.bytes[:len(t.bytes)-1], s)
	clear(t.bytes[n:])
	return t.addr
}

// push starts an argument block and returns its address and its bytes, nil when callbacks nest too deep.
func (a *args) push() (addr uint64, b *[slots * 8]byte) {
	off := a.depth * slots * 8
	if off >= len(a.block) {
		return 0, nil
	}
	a.depth++
	return a.base + uint64(off), (*[slots * 8]byte)(a.block[off:])
}

func (a *args) pop() { a.depth-- }

func boolean(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func (a *args) setExitInfo(e *ops.ExitInfo) uint64 {
	o := &a.exitInfo
	o.set("kind", uint64(e.Kind))
	o.set("exit_cpu", uint64(e.ExitCPU))
	o.set("exit_code", uint64(e.ExitCode))
	o.set("flags", e.Flags)
	o.set("reason", a.reason.set(e.Reason))
	o.set("msg", a.msg.set(e.Msg))
	o.set("dump", a.dump.set(e.Dump))
	return o.addr
}

func (a *args) setInitTask(i *ops.InitTaskArgs) uint64 {
	a.initTask.set("fork", boolean(i.Fork))
	a.initTask.set("cgroup", i.Cgroup)
	return a.initTask.addr
}

func (a *args) setExitTask(e *ops.ExitTaskArgs) uint64 {
	a.exitTask.set("cancelled", boolean(e.Cancelled))
	return a.exitTask.addr
}

func (a *args) setDumpCtx(d *ops.DumpCtx) uint64 {
	o := &a.dumpCtx
	o.set("kind", uint64(d.Kind))
	o.set("exit_code", uint64(d.ExitCode))
	o.set("reason", a.reason.set(d.Reason))
	o.set("at_ns", d.AtNS)
	o.set("at_jiffies", d.AtJiffies)
	return o.addr
}

func (a *args) setCgroupInit(c *ops.CgroupInitArgs) uint64 {
	o := &a.cgroupInit
	o.set("weight", uint64(c.Weight))
	o.set("bw_period_us", c.PeriodUS)
	o.set("bw_quota_us", c.QuotaUS)
	o.set("bw_burst_us", c.BurstUS)
	return o.addr
}

func (a *args) setCPURelease(reason ops.PreemptReason, t *sim.Task) uint64 {
	a.cpuRelease.set("reason", uint64(reason))
	a.cpuRelease.set("task", addrOf(t))
	return a.cpuRelease.addr
}

// setSub fills struct scx_sub_attach_args or scx_sub_detach_args. Of the child's table only what is no callback is there.
func (a *args) setSub(o *object, s *ops.SubArgs) uint64 {
	t := &a.subOps
	name := t.fields["name"]
	clear(t.bytes[name.off : name.off+name.size])
	copy(t.bytes[name.off:name.off+name.size-1], s.Ops.Name)
	t.set("flags", s.Ops.Flags)
	t.set("timeout_ms", uint64(s.Ops.TimeoutMS))
	t.set("dispatch_max_batch", uint64(s.Ops.DispatchMaxBatch))
	t.set("exit_dump_len", uint64(s.Ops.ExitDumpLen))
	t.set("hotplug_seq", s.Ops.HotplugSeq)
	t.set("sub_cgroup_id", s.Ops.SubCgroupID)
	o.set("ops", t.addr)
	o.set("cgroup_path", a.path.set(s.CgroupPath))
	return o.addr
}
