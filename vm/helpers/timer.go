package helpers

import (
	"fmt"
	"math"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// timer is a struct bpf_timer that was initialised. Programs see only that its bytes are not zero.
type timer struct {
	addr  uint64
	m     maps.Map
	value uint64 // the map value that it lies in
	fn    uint64 // callback, 0 until one is set
	fire  func() // made once, so that arming allocates nothing
}

const (
	timerAbs    = 1 << 0 // BPF_F_TIMER_ABS
	timerCPUPin = 1 << 1 // BPF_F_TIMER_CPU_PIN
	timerSize   = 16     // sizeof(struct bpf_timer)
	maxClocks   = 16     // MAX_CLOCKS
)

func (e *Env) timerRows() []row {
	return []row{
		{"timer_init", e.timerInit},
		{"timer_set_callback", e.timerSetCallback},
		{"timer_start", e.timerStart},
		{"timer_cancel", e.timerCancel},
	}
}

// timerInit follows bpf_timer_init. R1 must be the timer of a value of the map R2.
func (e *Env) timerInit(c *abi.Call, a *abi.Args) uint64 {
	m := e.mapAt(c, "timer_init", a[1])
	if m == nil {
		return 0
	}
	value, ok := timerValue(m, a[0])
	if !ok {
		c.Fault = fmt.Sprintf("bpf_timer_init: no timer of map %q at %#x", m.Info().Name, a[0])
		return 0
	}
	switch flags := a[2]; {
	case flags >= maxClocks, flags != 0 && flags != 1 && flags != 7: // CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME
		return errno(abi.EINVAL)
	case e.timers[a[0]] != nil:
		return errno(abi.EBUSY)
	}
	t := &timer{addr: a[0], m: m, value: value}
	t.fire = func() { e.fireTimer(t) }
	e.timers[t.addr] = t
	e.Mem.Store(t.addr, 8, t.addr) // the kernel's pointer to its own half
	return 0
}

// timerValue is the address of the value of m whose timer is at addr.
func timerValue(m maps.Map, addr uint64) (uint64, bool) {
	for _, f := range m.Info().Fields {
		if f.Kind == maps.Timer {
			_, ok := m.KeyOf(addr - uint64(f.Off))
			return addr - uint64(f.Off), ok
		}
	}
	return 0, false
}

// timerAt finds the timer R1. Zeros in memory are a timer that is not initialised, anything else is no timer at all.
func (e *Env) timerAt(c *abi.Call, a *abi.Args, helper string) *timer {
	t := e.timers[a[0]]
	if t == nil {
		if b := e.in(c, helper, a[0], timerSize); b != nil && slices.Max(b) != 0 {
			c.Fault = fmt.Sprintf("bpf_%s: no timer at %#x", helper, a[0])
		}
	}
	return t
}

// timerSetCallback follows bpf_timer_set_callback.
func (e *Env) timerSetCallback(c *abi.Call, a *abi.Args) uint64 {
	t := e.timerAt(c, a, "timer_set_callback")
	if t == nil {
		return errno(abi.EINVAL)
	}
	t.fn = a[1]
	return 0
}

// timerStart follows bpf_timer_start. An unpinned timer stays on the processor that started it too; the kernel may move
// it away from an idle one.
func (e *Env) timerStart(c *abi.Call, a *abi.Args) uint64 {
	nsecs, flags := a[1], a[2]
	if flags&^(timerAbs|timerCPUPin) != 0 {
		return errno(abi.EINVAL)
	}
	t := e.timerAt(c, a, "timer_start")
	if t == nil || t.fn == 0 {
		return errno(abi.EINVAL)
	}
	now := e.Host.NowNS()
	at := nsecs // as ktime_t: beyond the largest signed number is the past
	if nsecs > math.MaxInt64 {
		at = now
	} else if flags&timerAbs == 0 {
		at = min(now+nsecs, math.MaxInt64) // ktime_add_safe
	}
	e.Host.ArmTimer(t.addr, e.Host.CPU(), max(at, now), t.fire)
	return 0
}

// timerCancel follows bpf_timer_cancel: 1 if the timer was armed. The callback is forgotten.
func (e *Env) timerCancel(c *abi.Call, a *abi.Args) uint64 {
	if h, ok := e.Host.(abi.IRQHost); ok && h.IRQsDisabled() {
		return errno(abi.EOPNOTSUPP)
	}
	t := e.timerAt(c, a, "timer_cancel")
	switch {
	case t == nil:
		return errno(abi.EINVAL)
	case t == e.running:
		return errno(abi.EDEADLK)
	}
	t.fn = 0
	if e.Host.DisarmTimer(t.addr) {
		return 1
	}
	return 0
}

// TimerCancelAsync follows bpf_timer_cancel_async (kernel/bpf/helpers.c, 7.2): 1 if the timer was armed, -1 from its own callback.
// With interrupts off the kernel leaves it to an interrupt that comes as soon as they are on: nothing comes before here either.
// The callback stays.
func (e *Env) TimerCancelAsync(c *abi.Call, a *abi.Args) uint64 {
	t := e.timers[a[0]]
	if t == nil {
		if b := e.Mem.Bytes(a[0], timerSize); b == nil || slices.Max(b) != 0 {
			c.Fault = fmt.Sprintf("no timer at %#x", a[0])
		}
		return errno(abi.EINVAL)
	}
	armed := e.Host.DisarmTimer(t.addr)
	switch h, ok := e.Host.(abi.IRQHost); {
	case ok && h.IRQsDisabled():
		return errno(abi.ECANCELED)
	case armed:
		return 1
	case t == e.running:
		return errno(1)
	}
	return 0
}

// SumElemCount follows bpf_map_sum_elem_count (kernel/bpf/map_iter.c, 7.2): only hash maps count their elements.
func (e *Env) SumElemCount(c *abi.Call, a *abi.Args) uint64 {
	m := e.Maps.At(a[0])
	if m == nil && a[0] != 0 {
		c.Fault = fmt.Sprintf("%#x is not a map", a[0])
	}
	if h, ok := m.(interface{ Counted() int }); ok {
		return uint64(h.Counted())
	}
	return 0
}

// fireTimer follows bpf_timer_cb.
func (e *Env) fireTimer(t *timer) {
	if t.fn == 0 || e.timers[t.addr] != t {
		return
	}
	key, ok := t.m.KeyOf(t.value)
	if !ok {
		return
	}
	before := e.running
	e.running = t
	e.RunSub(t.fn, abi.Args{t.m.Info().Addr, key, t.value})
	e.running = before
}

// forgetTimer follows bpf_timer_cancel_and_free: the value that the timer lies in goes away or is replaced.
func (e *Env) forgetTimer(addr uint64) {
	if e.timers[addr] == nil {
		return
	}
	e.Host.DisarmTimer(addr)
	delete(e.timers, addr)
	clear(e.Mem.Bytes(addr, timerSize))
}
