package bpf

import (
	"errors"
	"fmt"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/sys"
)

// A scheduler's object may have programs that the kernel runs at tracepoints and functions. Those at places that the
// machine knows are attached when the object is loaded, as the scheduler's user-space half would, and run when it happens.

// hook is a place that programs can attach to.
type hook struct {
	point sim.TracePoint
	// at says whether the event concerns the hook: with functions that are two points in one, entry or return.
	when func(a *sim.TraceArgs) bool
	// args are the arguments of the tracepoint or function, of which there are nargs; a function's result follows them.
	args  func(p *Policy, a *sim.TraceArgs) [5]uint64
	nargs int
	ret   func(a *sim.TraceArgs) uint64
}

// result is what a function returned, 0 unless it is known better.
func (h *hook) result(a *sim.TraceArgs) uint64 {
	if h.ret == nil {
		return 0
	}
	return h.ret(a)
}

func noArgs(*Policy, *sim.TraceArgs) [5]uint64 { return [5]uint64{} }

// tracepoints are the tracepoints of the machine by name.
func tracepoint(name string) (hook, bool) {
	task := func(_ *Policy, a *sim.TraceArgs) [5]uint64 { return [5]uint64{a.Task.K.Addr} }
	cgroup := func(p *Policy, a *sim.TraceArgs) [5]uint64 {
		return [5]uint64{a.Cgroup.K.Addr, p.args.path.set(a.Cgroup.Path())}
	}
	h := hook{args: task}
	switch name {
	case "sched_switch":
		h.point, h.args = sim.TraceSwitch, func(_ *Policy, a *sim.TraceArgs) [5]uint64 {
			return [5]uint64{a.N, a.Other.K.Addr, a.Task.K.Addr, uint64(a.Other.State)}
		}
	case "sched_waking":
		h.point = sim.TraceWaking
	case "sched_wakeup":
		h.point = sim.TraceWakeup
	case "sched_wakeup_new":
		h.point = sim.TraceWakeupNew
	case "sched_migrate_task":
		h.point, h.args = sim.TraceMigrate, func(_ *Policy, a *sim.TraceArgs) [5]uint64 { return [5]uint64{a.Task.K.Addr, a.N} }
	case "sched_process_fork":
		h.point, h.args = sim.TraceFork, func(_ *Policy, a *sim.TraceArgs) [5]uint64 {
			return [5]uint64{a.Other.K.Addr, a.Task.K.Addr}
		}
	case "sched_process_exit":
		h.point = sim.TraceExit
	case "task_rename":
		h.point, h.args = sim.TraceRename, func(p *Policy, a *sim.TraceArgs) [5]uint64 {
			return [5]uint64{a.Task.K.Addr, p.args.path.set(a.Text)}
		}
	case "cgroup_mkdir":
		h.point, h.args = sim.TraceCgroupMkdir, cgroup
	case "cgroup_rmdir":
		h.point, h.args = sim.TraceCgroupRmdir, cgroup
	case "cgroup_attach_task":
		h.point, h.args = sim.TraceCgroupAttachTask, func(p *Policy, a *sim.TraceArgs) [5]uint64 {
			return [5]uint64{a.Cgroup.K.Addr, p.args.path.set(a.Cgroup.Path()), a.Task.K.Addr, a.N}
		}
	default:
		return hook{}, false
	}
	return h, true
}

// function is a function of the kernel whose calls the machine knows of. What user space passes, such as the address of
// a futex, is 0.
func function(name string, entry bool) (hook, bool) {
	h := hook{args: noArgs}
	returns := uint64(1)
	if entry {
		returns = 0
	}
	side := func(a *sim.TraceArgs) bool { return a.N == returns }
	ret := func(a *sim.TraceArgs) uint64 { return uint64(a.Ret) }
	switch name {
	case "cpuset_write_resmask":
		h.point, h.nargs = sim.TraceCpusetWrite, 4
	case "scx_tick":
		h.point, h.nargs = sim.TraceTick, 1
		h.args = func(p *Policy, _ *sim.TraceArgs) [5]uint64 {
			m := p.env.Machine
			return [5]uint64{m.RQ(m.ThisCPU()).Addr}
		}
	case "__futex_wait":
		h.point, h.when, h.nargs, h.ret = sim.TraceFutexWait, side, 5, ret
	case "futex_wake":
		h.point, h.when, h.nargs, h.ret = sim.TraceFutexWake, side, 4, ret
	default:
		return hook{}, false
	}
	return h, true
}

// registered is the function that the kernel calls when a table is registered, once the object's programs are attached.
const registered = "bpf_scx_reg"

// trace is sys.Options.Trace: it attaches a program to a hook of the machine.
func (p *Policy) trace(prog *sys.Prog, name string) (func(), error) {
	kind := prog.Kind()
	if name == registered && kind != elf.KindTPBTF && kind != elf.KindRawTP {
		c := caller{p, prog}
		p.onReg = append(p.onReg, func() { p.traced(c, make([]uint64, slots)) })
		return func() {}, nil
	}
	var h hook
	var ok bool
	switch kind {
	case elf.KindTPBTF, elf.KindRawTP:
		h, ok = tracepoint(name)
	case elf.KindFentry, elf.KindFexit, elf.KindFmodRet:
		h, ok = function(name, kind != elf.KindFexit)
	}
	if !ok {
		return nil, fmt.Errorf("%s: nothing in the machine happens there: %w", name, abi.ENOENT)
	}
	c := caller{p, prog}
	return p.env.Machine.OnTrace(h.point, func(a *sim.TraceArgs) {
		if h.when != nil && !h.when(a) {
			return
		}
		var all [slots]uint64
		args := h.args(p, a)
		copy(all[:], args[:])
		if kind == elf.KindFexit {
			all[h.nargs] = h.result(a)
		}
		p.traced(c, all[:])
	}), nil
}

// traced runs an attached program.
func (p *Policy) traced(c caller, args []uint64) {
	if p.kernel != nil { // the policy is not closed
		p.charged(func() { c.callWith(args) })
	}
}

// charged runs a program that is no callback of the table, so its cost is charged and its faults are reported here.
func (p *Policy) charged(run func()) {
	defer p.env.Kernel.End(p.env.Kernel.As(p.table))
	run()
	if d := p.cost(); d > 0 {
		p.env.Machine.Charge(p.env.Machine.ThisCPU(), sim.CostCallback, d)
	}
	if msg := p.takeFault(); msg != "" {
		p.env.Kernel.Fault(msg)
	}
}

// attachTraces attaches the object's tracing programs, in its order. What has no place in the machine stays loaded; it is
// no error, since nothing that the simulator does would make it run.
func (p *Policy) attachTraces(o *link.Object) error {
	p.attached = map[string]bool{}
	for _, prog := range o.Programs {
		switch prog.Kind {
		case elf.KindTPBTF, elf.KindRawTP, elf.KindFentry, elf.KindFexit, elf.KindFmodRet, elf.KindTracepoint, elf.KindKprobe, elf.KindKretprobe:
		default:
			continue
		}
		if !prog.AutoLoad || p.loaded.Prog(prog.Name) == nil {
			continue
		}
		var err error
		switch prog.Kind {
		case elf.KindTracepoint, elf.KindKprobe, elf.KindKretprobe:
			err = p.probe(p.loaded.Prog(prog.Name), prog)
		default:
			err = p.loaded.AttachTrace(prog.Name)
		}
		if err == nil {
			p.attached[prog.Name] = true
		} else if !errors.Is(err, abi.ENOENT) {
			return err
		}
	}
	return nil
}
