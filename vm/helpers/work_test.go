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
