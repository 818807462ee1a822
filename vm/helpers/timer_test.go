package helpers

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

func timerMap(r *rig, typ maps.Type) maps.Map {
	return r.create(maps.Spec{Name: "timers", Type: typ, KeySize: 4, ValueSize: 32, MaxEntries: 4,
		Fields: []maps.Field{{Kind: maps.Timer, Off: 8, Size: 16}}})
}

func TestTimer(t *testing.T) {
	const fn = 0xbeef
	r := newRig(t)
	m := timerMap(r, maps.TypeArray)
	mAddr, value := m.Info().Addr, m.Lookup(u32(2), 0)
	tm := value + 8
	now := r.host.now

	r.want(neg(abi.EINVAL), "", "timer_set_callback", tm, fn)
	r.want(neg(abi.EINVAL), "", "timer_start", tm, 10, 0)
	r.want(neg(abi.EINVAL), "", "timer_cancel", tm)
	r.want(neg(abi.EINVAL), "", "timer_init", tm, mAddr, 2)
	r.want(neg(abi.EINVAL), "", "timer_init", tm, mAddr, 16+1)
	r.want(0, fmt.Sprintf(`bpf_timer_init: no timer of map "timers" at %#x`, tm+8), "timer_init", tm+8, mAddr, 1)
	r.want(0, "bpf_timer_init: 0x1234 is not a map", "timer_init", tm, bad, 1)
	r.want(0, "", "timer_init", tm, mAddr, 1)
	r.want(neg(abi.EBUSY), "", "timer_init", tm, mAddr, 1)
	r.want(neg(abi.EINVAL), "", "timer_start", tm, 10, 0) // no callback yet
	r.want(0, "", "timer_set_callback", tm, fn)
	r.want(neg(abi.EINVAL), "", "timer_start", tm, 10, 4)
	for _, tc := range []struct {
		nsecs, flags uint64
		want         string
	}{
		{10, 0, fmt.Sprintf("cpu 2 at %d", now+10)},
		{now + 77, timerAbs, fmt.Sprintf("cpu 2 at %d", now+77)},
		{5, timerAbs, fmt.Sprintf("cpu 2 at %d", now)},
		{^uint64(0), 0, fmt.Sprintf("cpu 2 at %d", now)},
		{1<<63 - 1, timerCPUPin, fmt.Sprintf("cpu 2 at %d", uint64(1<<63-1))},
	} {
		r.want(0, "", "timer_start", tm, tc.nsecs, tc.flags)
		if got := r.host.armed[tm]; got != tc.want {
			t.Errorf("start(%d, %d): armed %q, want %q", tc.nsecs, tc.flags, got, tc.want)
		}
	}

	r.host.fire[tm]()
	if len(r.async) != 1 || r.async[0][0] != fn || r.async[0][1] != mAddr || r.async[0][3] != value {
		t.Fatalf("callbacks %#x", r.async)
	}
	if k, _ := r.env.Mem.Load(r.async[0][2], 4); k != 2 {
		t.Errorf("key %d, want 2", k)
	}

	r.host.irqsOff = true
	r.want(neg(abi.EOPNOTSUPP), "", "timer_cancel", tm)
	r.host.irqsOff = false
	r.want(1, "", "timer_cancel", tm)
	r.want(0, "", "timer_cancel", tm)
	r.want(neg(abi.EINVAL), "", "timer_start", tm, 10, 0) // cancelling forgot the callback
	r.host.fire[tm]()
	if len(r.async) != 1 {
		t.Error("a cancelled timer fired")
	}
	r.want(0, fmt.Sprintf("bpf_timer_start: no timer at %#x", r.put(0, "garbagegarbage..")), "timer_start", r.buf, 10, 0)
}

// A callback cannot cancel its own timer, but start it again or delete what it lies in.
func TestTimerCallback(t *testing.T) {
	r := newRig(t)
	m := timerMap(r, maps.TypeHash)
	m.Update(u32(9), make([]byte, 32), maps.Any, 0)
	value := m.Lookup(u32(9), 0)
	tm := value + 8
	r.want(0, "", "timer_init", tm, m.Info().Addr, 1)
	r.want(0, "", "timer_set_callback", tm, 0xbeef)
	r.want(0, "", "timer_start", tm, 10, 0)
	calls := 0
	r.env.RunSub = func(fn uint64, a abi.Args) {
		calls++
		if a[1] != value-8 || a[2] != value {
			t.Errorf("arguments %#x", a)
		}
		r.want(neg(abi.EDEADLK), "", "timer_cancel", tm)
		r.want(0, "", "timer_start", tm, 20, 0)
		if calls == 2 {
			r.want(0, "", "map_delete_elem", m.Info().Addr, a[1])
		}
	}
	fire := r.host.fire[tm]
	delete(r.host.armed, tm)
	fire()
	if want := map[uint64]string{tm: fmt.Sprintf("cpu 2 at %d", r.host.now+20)}; !cmp.Equal(want, r.host.armed) {
		t.Errorf("armed %v, want %v", r.host.armed, want)
	}
	fire()
	if len(r.host.armed) != 0 {
		t.Errorf("deleting the element left %v armed", r.host.armed)
	}
	fire()
	if calls != 2 {
		t.Errorf("%d calls, want 2: the timer is gone", calls)
	}
}

// Updating a value stops its timer, and closing the maps stops all.
func TestTimerEnds(t *testing.T) {
	r := newRig(t)
	m := timerMap(r, maps.TypeArray)
	for i := range uint32(3) {
		tm := m.Lookup(u32(i), 0) + 8
		r.want(0, "", "timer_init", tm, m.Info().Addr, 1)
		r.want(0, "", "timer_set_callback", tm, 0xbeef)
		r.want(0, "", "timer_start", tm, 10, 0)
	}
	m.Update(u32(1), make([]byte, 32), maps.Any, 0)
	if len(r.host.armed) != 2 {
		t.Errorf("after an update: armed %v", r.host.armed)
	}
	r.want(0, "", "timer_init", m.Lookup(u32(1), 0)+8, m.Info().Addr, 1)
	r.env.Maps.Close()
	if len(r.host.armed) != 0 {
		t.Errorf("after closing: armed %v", r.host.armed)
	}
}
