package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Every call of a callback is bracketed by enter and leave, after SCX_CALL_OP and its relatives. They are the only
// code that changes the frame; they count the call, record it, charge its cost and ask whether it failed. Callbacks
// nest (ops.dispatch -> scx_bpf_dsq_move_to_local -> ops.dequeue), so leave restores the caller's frame.

// enter opens the frame of a callback for up to two tasks with the runqueue r locked. A nil r or task keeps what the
// caller's frame has. arg is what the record shows.
func (k *Kernel) enter(c ops.Callback, r *rq, t0, t1 *sim.Task, arg uint64) ops.Frame {
	saved := k.frame
	k.frame.Callback = c
	k.frame.CPU = k.m.ThisCPU()
	if r != nil {
		k.frame.Locked = r.cpu
	}
	pid := int32(0)
	if t0 != nil {
		k.frame.Subject = [2]*sim.Task{t0, t1}
		pid = t0.PID
	}
	k.calls[c]++
	k.depth++
	k.m.Emit(sim.Record{Kind: sim.KindOp, CPU: k.frame.CPU, Task: pid, A: uint64(c), B: arg})
	return saved
}

// leave closes the frame that enter opened.
func (k *Kernel) leave(saved ops.Frame) {
	f := k.frame
	k.frame = saved
	k.depth--
	cost := k.callbackCost
	sch := k.sch
	if sch != nil && sch.ops.Cost != nil {
		cost = sch.ops.Cost()
	}
	if cost > 0 {
		k.m.Charge(f.CPU, sim.CostCallback, cost)
	}
	pid := int32(0)
	if f.Subject[0] != nil && f.Subject != saved.Subject {
		pid = f.Subject[0].PID
	}
	k.m.Emit(sim.Record{Kind: sim.KindOpEnd, CPU: f.CPU, Task: pid, A: uint64(f.Callback), B: uint64(cost)})
	if sch != nil && sch.ops.Fault != nil {
		if msg := sch.ops.Fault(); msg != "" {
			k.scxError("%s", msg)
		}
	}
}

func (k *Kernel) callSelectCPU(t *sim.Task, prev sim.CPU, flags uint64) sim.CPU {
	f := k.enter(ops.SelectCPU, nil, t, nil, flags)
	cpu := k.sch.ops.SelectCPU(t, prev, flags)
	k.leave(f)
	return cpu
}

func (k *Kernel) callEnqueue(r *rq, t *sim.Task, flags uint64) {
	f := k.enter(ops.Enqueue, r, t, nil, flags)
	k.sch.ops.Enqueue(t, flags)
	k.leave(f)
}

func (k *Kernel) callDequeue(r *rq, t *sim.Task, flags uint64) {
	f := k.enter(ops.Dequeue, r, t, nil, flags)
	k.sch.ops.Dequeue(t, flags)
	k.leave(f)
}

// callDispatch passes prev, which is nil unless it is on sched_ext, to the policy. It is no subject of the callback.
func (k *Kernel) callDispatch(r *rq, prev *sim.Task) {
	f := k.enter(ops.Dispatch, r, nil, nil, uint64(r.cpu))
	k.sch.ops.Dispatch(r.cpu, prev)
	k.leave(f)
}

func (k *Kernel) callTick(r *rq, t *sim.Task) {
	f := k.enter(ops.Tick, r, t, nil, 0)
	k.sch.ops.Tick(t)
	k.leave(f)
}

func (k *Kernel) callRunnable(r *rq, t *sim.Task, flags uint64) {
	f := k.enter(ops.Runnable, r, t, nil, flags)
	k.sch.ops.Runnable(t, flags)
	k.leave(f)
}

func (k *Kernel) callRunning(r *rq, t *sim.Task) {
	f := k.enter(ops.Running, r, t, nil, 0)
	k.sch.ops.Running(t)
	k.leave(f)
}

func (k *Kernel) callStopping(r *rq, t *sim.Task, runnable bool) {
	f := k.enter(ops.Stopping, r, t, nil, b2u(runnable))
	k.sch.ops.Stopping(t, runnable)
	k.leave(f)
}

func (k *Kernel) callQuiescent(r *rq, t *sim.Task, flags uint64) {
	f := k.enter(ops.Quiescent, r, t, nil, flags)
	k.sch.ops.Quiescent(t, flags)
	k.leave(f)
}

func (k *Kernel) callYield(r *rq, from, to *sim.Task) bool {
	f := k.enter(ops.Yield, r, from, to, 0)
	ok := k.sch.ops.Yield(from, to)
	k.leave(f)
	return ok
}

func (k *Kernel) callSetWeight(r *rq, t *sim.Task, weight uint32) {
	f := k.enter(ops.SetWeight, r, t, nil, uint64(weight))
	k.sch.ops.SetWeight(t, weight)
	k.leave(f)
}

// callSetCPUMask follows scx_call_op_set_cpumask.
func (k *Kernel) callSetCPUMask(r *rq, t *sim.Task) {
	f := k.enter(ops.SetCPUMask, r, t, nil, 0)
	k.sch.ops.SetCPUMask(t)
	k.leave(f)
}

func (k *Kernel) callUpdateIdle(r *rq, idle bool) {
	f := k.enter(ops.UpdateIdle, r, nil, nil, b2u(idle))
	k.sch.ops.UpdateIdle(r.cpu, idle)
	k.leave(f)
}

func (k *Kernel) callCPUAcquire(r *rq) {
	f := k.enter(ops.CPUAcquire, r, nil, nil, uint64(r.cpu))
	k.sch.ops.CPUAcquire(r.cpu)
	k.leave(f)
}

func (k *Kernel) callCPURelease(r *rq, why ops.PreemptReason, next *sim.Task) {
	f := k.enter(ops.CPURelease, r, nil, nil, uint64(why))
	k.sch.ops.CPURelease(r.cpu, why, next)
	k.leave(f)
}

// callInitTask runs without a locked runqueue: ops.init_task may sleep and has no subject.
func (k *Kernel) callInitTask(t *sim.Task, a *ops.InitTaskArgs) int32 {
	f := k.enter(ops.InitTask, nil, nil, nil, b2u(a.Fork))
	ret := k.sch.ops.InitTask(t, a)
	k.leave(f)
	return ret
}

func (k *Kernel) callExitTask(r *rq, t *sim.Task, a *ops.ExitTaskArgs) {
	f := k.enter(ops.ExitTask, r, t, nil, b2u(a.Cancelled))
	k.sch.ops.ExitTask(t, a)
	k.leave(f)
}

func (k *Kernel) callEnable(r *rq, t *sim.Task) {
	f := k.enter(ops.Enable, r, t, nil, 0)
	k.sch.ops.Enable(t)
	k.leave(f)
}

func (k *Kernel) callDisable(r *rq, t *sim.Task) {
	f := k.enter(ops.Disable, r, t, nil, 0)
	k.sch.ops.Disable(t)
	k.leave(f)
}

func (k *Kernel) callInit() int32 {
	f := k.enter(ops.Init, nil, nil, nil, 0)
	ret := k.sch.ops.Init()
	k.leave(f)
	return ret
}

func (k *Kernel) callExit(info *ops.ExitInfo) {
	f := k.enter(ops.Exit, nil, nil, nil, uint64(info.Kind))
	k.sch.ops.Exit(info)
	k.leave(f)
}

func (k *Kernel) callDump(d *ops.DumpCtx) {
	f := k.enter(ops.Dump, nil, nil, nil, 0)
	k.sch.ops.Dump(d)
	k.leave(f)
}

func (k *Kernel) callDumpCPU(r *rq, d *ops.DumpCtx, idle bool) {
	f := k.enter(ops.DumpCPU, r, nil, nil, uint64(r.cpu))
	k.sch.ops.DumpCPU(d, r.cpu, idle)
	k.leave(f)
}

func (k *Kernel) callDumpTask(r *rq, d *ops.DumpCtx, t *sim.Task) {
	f := k.enter(ops.DumpTask, r, nil, nil, uint64(t.PID))
	k.sch.ops.DumpTask(d, t)
	k.leave(f)
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
