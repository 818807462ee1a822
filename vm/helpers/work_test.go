package helpers

import (
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// kfunc runs one of the kernel functions about deferred work and compares its result and fault.
func (r *rig) kfunc(res int64, fault string, f abi.Func, args ...uint64) {
	r.t.Helper()
	var a abi.Args
	copy(a[:], args)
	r.call.Fault = ""
	if got := int64(f(&r.call, &a)); got != res && fault == "" || r.call.Fault != fault {
		r.t.Errorf("%#x: %d, fault %q; want %d, fault %q", args, got, r.call.Fault, res, fault)
	}
}

func TestWorkqueue(t *testing.T) {
	const fn = 0xbeef
	r := newRig(t)
	e := r.env
	m := r.create(maps.Spec{Name: "work", Type: maps.TypeHash, KeySize: 4, ValueSize: 24, MaxEntries: 4, Fields: []maps.Field{{Kind: maps.Workqueue, Off: 8, Size: 16}}})
	addr := m.Info().Addr
	m.Update(u32(7), make([]byte, 24), maps.Any, 0)
	value := m.Lookup(u32(7), 0)
	wq := value + 8

	r.kfunc(neg(abi.EINVAL), "", e.WQSetCallback, wq, fn, 0)
	r.kfunc(neg(abi.EINVAL), "", e.WQStart, wq, 0)
	r.kfunc(neg(abi.EINVAL), "", e.WQInit, wq, addr, 1)
	r.kfunc(0, "0x1234 is not a map", e.WQInit, wq, bad, 0)
	r.kfunc(0, fmt.Sprintf(`no workqueue of map "work" at %#x`, value), e.WQInit, value, addr, 0)
	r.kfunc(0, "", e.WQInit, wq, addr, 0)
	r.kfunc(neg(abi.EBUSY), "", e.WQInit, wq, addr, 0)
	r.kfunc(neg(abi.EINVAL), "", e.WQStart, wq, 0) // no callback yet
	r.kfunc(neg(abi.EINVAL), "", e.WQSetCallback, wq, fn, 4)
	r.kfunc(0, "", e.WQSetCallback, wq, fn, 0)
	r.kfunc(neg(abi.EINVAL), "", e.WQStart, wq, 1)
	r.kfunc(0, fmt.Sprintf("no workqueue at %#x", r.put(0, "garbagegarbage..")), e.WQStart, r.buf, 0)

	r.kfunc(0, "", e.WQStart, wq, 0)
	if got, want := r.host.armed[wq], fmt.Sprintf("cpu 2 at %d", r.host.now); got != want {
		t.Errorf("armed %q, want %q", got, want)
	}
	delete(r.host.armed, wq)
	r.kfunc(0, "", e.WQStart, wq, 0) // it is queued already
	if got := r.host.armed[wq]; got != "" {
		t.Errorf("armed twice: %q", got)
	}
	// It can be started again from its callback.
	e.RunSub = func(f uint64, a abi.Args) {
		r.async = append(r.async, abi.Args{f, a[0], a[1], a[2]})
		r.kfunc(0, "", e.WQStart, wq, 0)
	}
	r.host.fire[wq]()
	if len(r.async) != 1 || r.async[0][0] != fn || r.async[0][1] != addr || r.async[0][3] != value || r.host.armed[wq] == "" {
		t.Fatalf("callbacks %#x, armed %q", r.async, r.host.armed[wq])
	}
	if k, _ := e.Mem.Load(r.async[0][2], 4); k != 7 {
		t.Errorf("key %d, want 7", k)
	}
	// What goes with its value runs no more, and its place is as new.
	fire := r.host.fire[wq]
	m.Delete(u32(7))
	fire()
	if len(r.async) != 1 {
		t.Error("work of a value that is gone ran")
	}
	m.Update(u32(8), make([]byte, 24), maps.Any, 0)
	r.kfunc(0, "", e.WQInit, m.Lookup(u32(8), 0)+8, addr, 0)
}

func TestTaskWork(t *testing.T) {
	const fn, task = 0xbeef, 0x77
	r := newRig(t)
	e := r.env
	m := r.create(maps.Spec{Name: "work", Type: maps.TypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 2, Fields: []maps.Field{{Kind: maps.TaskWork, Off: 0, Size: 8}}})
	addr, value := m.Info().Addr, m.Lookup(u32(1), 0)
	r.kfunc(0, "0x1234 is not a map", e.TaskWork, task, value, bad, fn)
	r.kfunc(0, fmt.Sprintf(`no task work of map "work" at %#x`, value+8), e.TaskWork, task, value+8, addr, fn)
	r.kfunc(0, "", e.TaskWork, task, value, addr, fn)
	r.kfunc(neg(abi.EBUSY), "", e.TaskWork, task, value, addr, fn)
	r.host.fire[value]()
	if len(r.async) != 1 || r.async[0][0] != fn || r.async[0][1] != addr || r.async[0][3] != value {
		t.Fatalf("callbacks %#x", r.async)
	}
	r.kfunc(0, "", e.TaskWork, task, value, addr, fn+8)
	r.host.fire[value]()
	if len(r.async) != 2 || r.async[1][0] != fn+8 {
		t.Errorf("callbacks %#x", r.async)
	}
	// An update of the value cancels it.
	r.kfunc(0, "", e.TaskWork, task, value, addr, fn)
	fire := r.host.fire[value]
	m.Update(u32(1), make([]byte, 16), maps.Any, 0)
	fire()
	if len(r.async) != 2 {
		t.Error("cancelled work ran")
	}
}

// TestTimerCancelAsync: the callback is kept, and with interrupts off the answer is that it will be done.
func TestTimerCancelAsync(t *testing.T) {
	const fn = 0xbeef
	r := newRig(t)
	e := r.env
	m := timerMap(r, maps.TypeArray)
	tm := m.Lookup(u32(2), 0) + 8
	start := func() { t.Helper(); r.want(0, "", "timer_start", tm, 10, 0) }

	r.kfunc(neg(abi.EINVAL), "", e.TimerCancelAsync, tm)
	r.kfunc(0, fmt.Sprintf("no timer at %#x", r.put(0, "garbagegarbage..")), e.TimerCancelAsync, r.buf)
	r.want(0, "", "timer_init", tm, m.Info().Addr, 1)
	r.want(0, "", "timer_set_callback", tm, fn)
	r.kfunc(0, "", e.TimerCancelAsync, tm)
	start()
	r.kfunc(1, "", e.TimerCancelAsync, tm)
	if got := r.host.armed[tm]; got != "" {
		t.Errorf("armed: %q", got)
	}
	start() // with the callback that it had
	r.host.irqsOff = true
	r.kfunc(neg(abi.ECANCELED), "", e.TimerCancelAsync, tm)
	r.kfunc(neg(abi.ECANCELED), "", e.TimerCancelAsync, tm)
	if got := r.host.armed[tm]; got != "" {
		t.Errorf("armed: %q", got)
	}
	r.host.irqsOff = false
	start()
	fire, calls := r.host.fire[tm], 0
	delete(r.host.armed, tm)
	e.RunSub = func(uint64, abi.Args) {
		calls++
		r.kfunc(-1, "", e.TimerCancelAsync, tm)
		start()
		r.kfunc(1, "", e.TimerCancelAsync, tm)
	}
	if fire(); calls != 1 {
		t.Errorf("%d callbacks", calls)
	}
}

func TestSumElemCount(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name string
		typ  maps.Type
		keys int
		want int64
	}{
		{"hash", maps.TypeHash, 3, 3},
		{"of each CPU", maps.TypePerCPUHash, 2, 2},
		{"the last used", maps.TypeLRUHash, 6, 4},
		{"an empty one", maps.TypeHash, 0, 0},
		{"one that does not count", maps.TypeRHash, 2, 0},
		{"array", maps.TypeArray, 2, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags := uint32(0)
			if tc.typ == maps.TypeRHash {
				flags = maps.FlagNoPrealloc
			}
			m := r.create(maps.Spec{Name: "m", Type: tc.typ, KeySize: 4, ValueSize: 8, MaxEntries: 4, Flags: flags})
			for i := range tc.keys {
				m.Update(u32(uint32(i)), make([]byte, 8), maps.Any, 0)
			}
			r.t = t
			r.kfunc(tc.want, "", r.env.SumElemCount, m.Info().Addr)
		})
	}
	r.t = t
	r.kfunc(0, "", r.env.SumElemCount, 0)
	r.kfunc(0, "0x1234 is not a map", r.env.SumElemCount, bad)
}
