package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Every call of a callback is bracketed by enter and leave, after SCX_CALL_OP and its relatives. They are the only
// code that changes the frame; they count the call, record it, charge its cost and ask whether it failed. Callbacks
// nest (ops.dispatch -> scx_bpf_dsq_move_to_local -> ops.dequeue), so leave restores the caller's frame.

// frameState is what a callback's frame replaced. It is kept in Kernel.saved and copied field by field: returned by enter it
// would be read in larger pieces than it was just written in, and wait.
type frameState struct {
	callback    ops.Callback
	cpu, locked sim.CPU
	t0, t1      *sim.Task
	cur         *sched
	paid        sim.Duration // of the callback's price, so far
}

// enter opens the frame of a callback of sch for up to two tasks with the runqueue r locked. A nil r or task keeps what the
// caller's frame has. arg is what the record shows.
func (k *Kernel) enter(sch *sched, c ops.Callback, r *rq, t0, t1 *sim.Task, arg uint64) {
	f := &k.frame
	if k.depth == len(k.saved) {
		k.saved = append(k.saved, frameState{})
	}
	saved := &k.saved[k.depth]
	saved.callback, saved.cpu, saved.locked, saved.t0, saved.t1, saved.cur = f.Callback, f.CPU, f.Locked, f.Subject[0], f.Subject[1], k.cur
	saved.paid, k.paid = k.paid, 0
	cpu := k.m.ThisCPU()
	k.cur, f.Callback, f.CPU = sch, c, cpu
	if r != nil {
		f.Locked = r.cpu
	}
	pid := int32(0)
	if t0 != nil {
		f.Subject[0], f.Subject[1] = t0, t1
		pid = t0.PID
	}
	k.calls[c]++
	k.depth++
	k.m.Tell(sim.KindOp, cpu, pid, uint64(c), arg)
}

// leave closes the frame that enter opened.
func (k *Kernel) leave() {
	k.depth--
	saved := &k.saved[k.depth]
	f, sch := &k.frame, k.cur
	cpu, callback, t0, t1 := f.CPU, f.Callback, f.Subject[0], f.Subject[1]
	f.Callback, f.CPU, f.Locked, f.Subject[0], f.Subject[1], k.cur = saved.callback, saved.cpu, saved.locked, saved.t0, saved.t1, saved.cur
	cost := k.callbackCost
	if sch.ops.Cost != nil {
		cost = sch.ops.Cost()
	}
	if cost > 0 {
		k.m.Charge(cpu, sim.CostCallback, cost)
	}
	pid := int32(0)
	if t0 != nil && (t0 != saved.t0 || t1 != saved.t1) {
		pid = t0.PID
	}
	k.m.Tell(sim.KindOpEnd, cpu, pid, uint64(callback), uint64(cost+k.paid))
	k.paid = saved.paid
	if sch.ops.Fault != nil {
		if msg := sch.ops.Fault(); msg != "" {
			sch.error("%s", msg)
		}
	}
}

func (s *sched) callSelectCPU(t *sim.Task, prev sim.CPU, flags uint64) sim.CPU {
	s.k.enter(s, ops.SelectCPU, nil, t, nil, flags)
	cpu := s.ops.SelectCPU(t, s.k.cpuArg(prev), flags)
	s.k.leave()
	return s.cpuRet(cpu)
}

func (s *sched) callEnqueue(r *rq, t *sim.Task, flags uint64) {
	s.k.enter(s, ops.Enqueue, r, t, nil, flags)
	s.ops.Enqueue(t, flags)
	s.k.leave()
}

func (s *sched) callDequeue(r *rq, t *sim.Task, flags uint64) {
	s.k.enter(s, ops.Dequeue, r, t, nil, flags)
	s.ops.Dequeue(t, flags)
	s.k.leave()
}

// callDispatch passes prev, which is nil unless it is on sched_ext, to the policy. It is no subject of the callback.
func (s *sched) callDispatch(r *rq, prev *sim.Task) {
	s.k.enter(s, ops.Dispatch, r, nil, nil, uint64(r.cpu))
	s.ops.Dispatch(s.k.cpuArg(r.cpu), prev)
	s.k.leave()
}

func (s *sched) callTick(r *rq, t *sim.Task) {
	s.k.enter(s, ops.Tick, r, t, nil, 0)
	s.ops.Tick(t)
	s.k.leave()
}

func (s *sched) callRunnable(r *rq, t *sim.Task, flags uint64) {
	s.k.enter(s, ops.Runnable, r, t, nil, flags)
	s.ops.Runnable(t, flags)
	s.k.leave()
}

func (s *sched) callRunning(r *rq, t *sim.Task) {
	s.k.enter(s, ops.Running, r, t, nil, 0)
	s.ops.Running(t)
	s.k.leave()
}

func (s *sched) callStopping(r *rq, t *sim.Task, runnable bool) {
	s.k.enter(s, ops.Stopping, r, t, nil, b2u(runnable))
	s.ops.Stopping(t, runnable)
	s.k.leave()
}

func (s *sched) callQuiescent(r *rq, t *sim.Task, flags uint64) {
	s.k.enter(s, ops.Quiescent, r, t, nil, flags)
	s.ops.Quiescent(t, flags)
	s.k.leave()
}

func (s *sched) callYield(r *rq, from, to *sim.Task) bool {
	s.k.enter(s, ops.Yield, r, from, to, 0)
	ok := s.ops.Yield(from, to)
	s.k.leave()
	return ok
}

func (s *sched) callSetWeight(r *rq, t *sim.Task, weight uint32) {
	s.k.enter(s, ops.SetWeight, r, t, nil, uint64(weight))
	s.ops.SetWeight(t, weight)
	s.k.leave()
}

// callSetCPUMask follows scx_call_op_set_cpumask.
func (s *sched) callSetCPUMask(r *rq, t *sim.Task) {
	s.k.enter(s, ops.SetCPUMask, r, t, nil, 0)
	s.ops.SetCPUMask(t)
	s.k.leave()
}

func (s *sched) callUpdateIdle(r *rq, idle bool) {
	s.k.enter(s, ops.UpdateIdle, r, nil, nil, b2u(idle))
	s.ops.UpdateIdle(s.k.cpuArg(r.cpu), idle)
	s.k.leave()
}

func (s *sched) callCPUAcquire(r *rq) {
	s.k.enter(s, ops.CPUAcquire, r, nil, nil, uint64(r.cpu))
	s.ops.CPUAcquire(r.cpu)
	s.k.leave()
}

func (s *sched) callCPURelease(r *rq, why ops.PreemptReason, next *sim.Task) {
	s.k.enter(s, ops.CPURelease, r, nil, nil, uint64(why))
	s.ops.CPURelease(r.cpu, why, next)
	s.k.leave()
}

// callInitTask runs without a locked runqueue: ops.init_task may sleep and has no subject.
func (s *sched) callInitTask(t *sim.Task, a *ops.InitTaskArgs) int32 {
	s.k.enter(s, ops.InitTask, nil, nil, nil, b2u(a.Fork))
	ret := s.ops.InitTask(t, a)
	s.k.leave()
	return ret
}

func (s *sched) callExitTask(r *rq, t *sim.Task, a *ops.ExitTaskArgs) {
	s.k.enter(s, ops.ExitTask, r, t, nil, b2u(a.Cancelled))
	s.ops.ExitTask(t, a)
	s.k.leave()
}

func (s *sched) callEnable(r *rq, t *sim.Task) {
	s.k.enter(s, ops.Enable, r, t, nil, 0)
	s.ops.Enable(t)
	s.k.leave()
}

func (s *sched) callDisable(r *rq, t *sim.Task) {
	s.k.enter(s, ops.Disable, r, t, nil, 0)
	s.ops.Disable(t)
	s.k.leave()
}

func (s *sched) callInit() int32 {
	s.k.enter(s, ops.Init, nil, nil, nil, 0)
	ret := s.ops.Init()
	s.k.leave()
	return ret
}

func (s *sched) callExit(info *ops.ExitInfo) {
	s.k.enter(s, ops.Exit, nil, nil, nil, uint64(info.Kind))
	s.ops.Exit(info)
	s.k.leave()
}

func (s *sched) callDump(d *ops.DumpCtx) {
	s.k.enter(s, ops.Dump, nil, nil, nil, 0)
	s.ops.Dump(d)
	s.k.leave()
}

func (s *sched) callDumpCPU(r *rq, d *ops.DumpCtx, idle bool) {
	s.k.enter(s, ops.DumpCPU, r, nil, nil, uint64(r.cpu))
	s.ops.DumpCPU(d, s.k.cpuArg(r.cpu), idle)
	s.k.leave()
}

func (s *sched) callDumpTask(r *rq, d *ops.DumpCtx, t *sim.Task) {
	s.k.enter(s, ops.DumpTask, r, nil, nil, uint64(t.PID))
	s.ops.DumpTask(d, t)
	s.k.leave()
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
