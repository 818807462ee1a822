package helpers

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

func (e *Env) ringRows() []row {
	commit := func(name string, discard bool) row {
		return row{name, func(c *abi.Call, a *abi.Args) uint64 {
			e.ringCommit(c, name, a[0], a[1], discard)
			return 0
		}}
	}
	commitDynptr := func(name string, discard bool) row {
		return row{name, func(c *abi.Call, a *abi.Args) uint64 { return e.ringCommitDynptr(c, a, name, discard) }}
	}
	return []row{
		{"ringbuf_output", e.ringOutput},
		{"ringbuf_reserve", e.ringReserve},
		commit("ringbuf_submit", false),
		commit("ringbuf_discard", true),
		{"ringbuf_query", e.ringQuery},
		{"ringbuf_reserve_dynptr", e.ringReserveDynptr},
		commitDynptr("ringbuf_submit_dynptr", false),
		commitDynptr("ringbuf_discard_dynptr", true),
		{"user_ringbuf_drain", e.userRingDrain},
	}
}

// ringAt resolves the ring buffer R1. Nil means that c.Fault is set.
func (e *Env) ringAt(c *abi.Call, a *abi.Args, helper string, want maps.Type) *maps.RingBuf {
	m := e.mapAt(c, helper, a[0])
	if m == nil {
		return nil
	}
	r, ok := m.(*maps.RingBuf)
	if !ok || r.Type != want {
		wrongType(c, helper, m)
		return nil
	}
	return r
}

// ringOutput follows bpf_ringbuf_output: R3 bytes at R2.
func (e *Env) ringOutput(c *abi.Call, a *abi.Args) uint64 {
	r := e.ringAt(c, a, "ringbuf_output", maps.TypeRingBuf)
	if r == nil {
		return 0
	}
	data := e.in(c, "ringbuf_output", a[1], a[2])
	if data == nil {
		return 0
	}
	return errno(r.Output(data, a[3]))
}

// ringReserve follows bpf_ringbuf_reserve: room for R2 bytes.
func (e *Env) ringReserve(c *abi.Call, a *abi.Args) uint64 {
	r := e.ringAt(c, a, "ringbuf_reserve", maps.TypeRingBuf)
	if r == nil || a[2] != 0 {
		return 0
	}
	return r.Reserve(a[1])
}

// ringCommit follows bpf_ringbuf_submit and bpf_ringbuf_discard. The address alone says which ring buffer is meant.
func (e *Env) ringCommit(c *abi.Call, helper string, sample, flags uint64, discard bool) {
	for _, m := range e.Maps.All() {
		if r, ok := m.(*maps.RingBuf); ok && r.Owns(sample) && r.Commit(sample, flags, discard) {
			return
		}
	}
	c.Fault = fmt.Sprintf("bpf_%s: no reserved record at %#x", helper, sample)
}

// ringQuery follows bpf_ringbuf_query.
func (e *Env) ringQuery(c *abi.Call, a *abi.Args) uint64 {
	m := e.mapAt(c, "ringbuf_query", a[0])
	if m == nil {
		return 0
	}
	r, ok := m.(*maps.RingBuf)
	if !ok || r.Type != maps.TypeRingBuf {
		return wrongType(c, "ringbuf_query", m)
	}
	switch a[1] {
	case 0: // BPF_RB_AVAIL_DATA
		return r.Avail()
	case 1: // BPF_RB_RING_SIZE
		return r.Size()
	case 2: // BPF_RB_CONS_POS
		return r.ConsumerPos()
	case 3: // BPF_RB_PROD_POS
		return r.ProducerPos()
	case 4: // BPF_RB_OVERWRITE_POS
		return r.OverwritePos()
	}
	return 0
}

// ringReserveDynptr follows bpf_ringbuf_reserve_dynptr: room for R2 bytes, as the dynptr R4.
func (e *Env) ringReserveDynptr(c *abi.Call, a *abi.Args) uint64 {
	const name = "ringbuf_reserve_dynptr"
	r := e.ringAt(c, a, name, maps.TypeRingBuf)
	if r == nil {
		return 0
	}
	size := uint32(a[1])
	switch {
	case a[2] != 0:
		return e.setDynptr(c, a, 3, name, Dynptr{}, abi.EINVAL)
	case size > MaxDynptr:
		return e.setDynptr(c, a, 3, name, Dynptr{}, abi.E2BIG)
	case e.out(c, name, a[3], dynptrSize) == nil: // before anything is reserved
		return 0
	}
	sample := r.Reserve(uint64(size))
	if sample == 0 {
		return e.setDynptr(c, a, 3, name, Dynptr{}, abi.EINVAL)
	}
	return e.setDynptr(c, a, 3, name, NewDynptr(sample, DynptrRingBuf, size), 0)
}

// ringCommitDynptr follows bpf_ringbuf_submit_dynptr and bpf_ringbuf_discard_dynptr: nothing happens to a null dynptr, which
// is what the dynptr becomes.
func (e *Env) ringCommitDynptr(c *abi.Call, a *abi.Args, helper string, discard bool) uint64 {
	d, ok := e.dynptrAt(c, a, 0, helper)
	if !ok || d.Null() {
		return 0
	}
	if e.ringCommit(c, helper, d.Data, a[1], discard); c.Fault != "" {
		return 0
	}
	return e.setDynptr(c, a, 0, helper, Dynptr{}, 0)
}

// userRingDrain follows bpf_user_ringbuf_drain: it hands each sample as a dynptr, and R3, to the callback R2, until that
// returns something else than 0. The result is the number of samples.
func (e *Env) userRingDrain(c *abi.Call, a *abi.Args) uint64 {
	const name = "user_ringbuf_drain"
	r := e.ringAt(c, a, name, maps.TypeUserRingBuf)
	if r == nil {
		return 0
	}
	fn, ctx, flags := a[1], a[2], a[3]
	if flags&^(maps.NoWakeup|maps.ForceWakeup) != 0 {
		return errno(abi.EINVAL)
	}
	if err := r.Lock(); err != 0 {
		return errno(err)
	}
	dynptr, _, err := e.Mem.Alloc(dynptrSize, 8)
	if err != nil { // the kernel has it on its stack
		r.Unlock(maps.NoWakeup, false)
		c.Fault = "bpf_" + name + ": " + err.Error()
		return 0
	}
	samples, discarded := uint64(0), uint64(0)
	bad := abi.Errno(0)
loop:
	for ret := uint64(0); samples < maps.MaxSamples && ret == 0 && c.Fault == ""; samples++ {
		sample, size, err := r.Peek()
		switch err {
		case 0:
			NewDynptr(sample, DynptrLocal, size).Store(c, e.Mem, dynptr)
			ret = c.Sub(fn, abi.Args{dynptr, ctx})
			r.Release(size)
		case abi.EAGAIN:
			discarded++
		case abi.ENODATA:
			break loop
		default:
			bad = err
			break loop
		}
	}
	e.Mem.Free(dynptr, dynptrSize)
	r.Unlock(flags, samples > 0)
	if bad != 0 {
		return errno(bad)
	}
	return samples - discarded
}
