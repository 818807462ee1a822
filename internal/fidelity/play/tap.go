package play

import (
	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

type noteFunc func(name string, t *sim.Task, a, b fidelity.Value)

var none fidelity.Value // never changed

func num[T ~uint64 | ~uint32 | ~int32 | ~int](v T) fidelity.Value { return fidelity.Num(uint64(v)) }

func flag(b bool) fidelity.Value {
	if b {
		return fidelity.Num(1)
	}
	return fidelity.Num(0)
}

// wrap has note called before each callback of the table that is there, and after those whose return streams know.
func wrap(tb *ops.Table, note noteFunc) {
	wrapQueueing(tb, note)
	wrapTask(tb, note)
	wrapCPU(tb, note)
}

func wrapQueueing(tb *ops.Table, note noteFunc) {
	if f := tb.SelectCPU; f != nil {
		tb.SelectCPU = func(t *sim.Task, prev sim.CPU, flags uint64) sim.CPU {
			note("select_cpu", t, num(prev), num(flags))
			cpu := f(t, prev, flags)
			note("select_cpu_ret", t, num(cpu), none)
			return cpu
		}
	}
	if f := tb.Enqueue; f != nil {
		tb.Enqueue = func(t *sim.Task, flags uint64) {
			note("enqueue", t, num(flags), num(t.CPU()))
			f(t, flags)
		}
	}
	if f := tb.Dequeue; f != nil {
		tb.Dequeue = func(t *sim.Task, flags uint64) {
			note("dequeue", t, num(flags), none)
			f(t, flags)
		}
	}
	if f := tb.Dispatch; f != nil {
		tb.Dispatch = func(cpu sim.CPU, prev *sim.Task) {
			b := fidelity.Num(0)
			if prev != nil {
				b = num(prev.K.SCXFlags())
			}
			note("dispatch", prev, num(cpu), b)
			f(cpu, prev)
			note("dispatch_ret", prev, num(cpu), none)
		}
	}
	if f := tb.Runnable; f != nil {
		tb.Runnable = func(t *sim.Task, flags uint64) {
			note("runnable", t, num(flags), none)
			f(t, flags)
		}
	}
	if f := tb.Quiescent; f != nil {
		tb.Quiescent = func(t *sim.Task, flags uint64) {
			note("quiescent", t, num(flags), none)
			f(t, flags)
		}
	}
}

func wrapTask(tb *ops.Table, note noteFunc) {
	if f := tb.Running; f != nil {
		tb.Running = func(t *sim.Task) {
			note("running", t, num(t.K.SCXWeight()), none)
			f(t)
		}
	}
	if f := tb.Stopping; f != nil {
		tb.Stopping = func(t *sim.Task, runnable bool) {
			note("stopping", t, flag(runnable), none)
			f(t, runnable)
		}
	}
	if f := tb.Tick; f != nil {
		tb.Tick = func(t *sim.Task) {
			note("tick", t, none, none)
			f(t)
		}
	}
	if f := tb.Yield; f != nil {
		tb.Yield = func(from, to *sim.Task) bool {
			pid := fidelity.Num(0)
			if to != nil {
				pid = num(to.PID)
			}
			note("yield", from, pid, none)
			return f(from, to)
		}
	}
	if f := tb.SetWeight; f != nil {
		tb.SetWeight = func(t *sim.Task, w uint32) {
			note("set_weight", t, num(w), none)
			f(t, w)
		}
	}
	if f := tb.SetCPUMask; f != nil {
		tb.SetCPUMask = func(t *sim.Task) {
			note("set_cpumask", t, none, none)
			f(t)
		}
	}
	if f := tb.InitTask; f != nil {
		tb.InitTask = func(t *sim.Task, a *ops.InitTaskArgs) int32 {
			note("init_task", t, flag(a.Fork), none)
			return f(t, a)
		}
	}
	if f := tb.ExitTask; f != nil {
		tb.ExitTask = func(t *sim.Task, a *ops.ExitTaskArgs) {
			note("exit_task", t, flag(a.Cancelled), none)
			f(t, a)
		}
	}
	if f := tb.Enable; f != nil {
		tb.Enable = func(t *sim.Task) { note("enable", t, none, none); f(t) }
	}
	if f := tb.Disable; f != nil {
		tb.Disable = func(t *sim.Task) { note("disable", t, none, none); f(t) }
	}
}

func wrapCPU(tb *ops.Table, note noteFunc) {
	if f := tb.UpdateIdle; f != nil {
		tb.UpdateIdle = func(cpu sim.CPU, idle bool) {
			note("update_idle", nil, num(cpu), flag(idle))
			f(cpu, idle)
		}
	}
	if f := tb.CPUAcquire; f != nil {
		tb.CPUAcquire = func(cpu sim.CPU) { note("cpu_acquire", nil, num(cpu), none); f(cpu) }
	}
	if f := tb.CPURelease; f != nil {
		tb.CPURelease = func(cpu sim.CPU, reason ops.PreemptReason, t *sim.Task) {
			note("cpu_release", t, num(cpu), num(int32(reason)))
			f(cpu, reason, t)
		}
	}
	if f := tb.CPUOnline; f != nil {
		tb.CPUOnline = func(cpu sim.CPU) { note("cpu_online", nil, num(cpu), none); f(cpu) }
	}
	if f := tb.CPUOffline; f != nil {
		tb.CPUOffline = func(cpu sim.CPU) { note("cpu_offline", nil, num(cpu), none); f(cpu) }
	}
}
