package maps

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// MaxSamples is BPF_MAX_USER_RINGBUF_SAMPLES: what one call of bpf_user_ringbuf_drain takes at most.
const MaxSamples = 128 * 1024

// Lock makes r the caller's to drain; EBUSY if somebody is at it. Unlock ends it and wakes user space as the flags say, where
// took is whether a sample was taken or skipped. They follow bpf_user_ringbuf_drain.
func (r *RingBuf) Lock() abi.Errno {
	if r.busy {
		return abi.EBUSY
	}
	r.busy = true
	return 0
}

// Unlock is the counterpart of Lock.
func (r *RingBuf) Unlock(flags uint64, took bool) {
	r.busy = false
	if flags&ForceWakeup != 0 || took && flags&NoWakeup == 0 {
		r.wake()
	}
}

// Peek follows __bpf_user_ringbuf_peek: the address and size of the oldest sample of a user ring buffer. ENODATA: there is
// none; EAGAIN: it is to be skipped and the next one may be looked at; others: user space has written nonsense.
func (r *RingBuf) Peek() (addr uint64, size uint32, e abi.Errno) {
	prod, cons := r.ProducerPos(), r.ConsumerPos()
	switch {
	case prod%8 != 0:
		return 0, 0, abi.EINVAL
	case cons >= prod:
		return 0, 0, abi.ENODATA
	}
	b := r.t.Mem.Bytes(r.at(cons), ringHeader)
	hdr := binary.LittleEndian.Uint32(b)
	size = hdr &^ (ringBusy | ringDiscard)
	total := (uint64(size) + ringHeader + 7) &^ 7
	switch {
	case total > prod-cons:
		return 0, 0, abi.EINVAL
	case total > r.Size(), size > maxSample:
		return 0, 0, abi.E2BIG
	case hdr&ringDiscard != 0:
		r.t.Mem.Store(r.base+mem.PageSize, 8, cons+total)
		return 0, 0, abi.EAGAIN
	case hdr&ringBusy != 0:
		return 0, 0, abi.ENODATA
	}
	r.gather(cons+ringHeader, uint64(size))
	return r.at(cons + ringHeader), size, 0
}

// Release follows __bpf_user_ringbuf_sample_release: the sample of that size has been used.
func (r *RingBuf) Release(size uint32) {
	total := (uint64(size) + ringHeader + 7) &^ 7
	r.t.Mem.Store(r.base+mem.PageSize, 8, r.ConsumerPos()+total)
}

// Produce is user space's side of a user ring buffer, as user_ring_buffer__reserve and _submit of libbpf: ENOSPC if there is
// no room for the sample, E2BIG if there never is.
func (r *RingBuf) Produce(sample []byte) abi.Errno {
	if r.Type != TypeUserRingBuf {
		return abi.EINVAL
	}
	total := (uint64(len(sample)) + ringHeader + 7) &^ 7
	prod, cons := r.ProducerPos(), r.ConsumerPos()
	switch {
	case total > r.Size():
		return abi.E2BIG
	case r.Size()-(prod-cons) < total:
		return abi.ENOSPC
	}
	hdr := r.t.Mem.Bytes(r.at(prod), ringHeader)
	binary.LittleEndian.PutUint32(hdr, uint32(len(sample)))
	binary.LittleEndian.PutUint32(hdr[4:], 0)
	for i := 0; i < len(sample); {
		at := prod + ringHeader + uint64(i)
		room := r.Size() - at&(r.Size()-1)
		i += copy(r.t.Mem.Bytes(r.at(at), room), sample[i:])
	}
	r.t.Mem.Store(r.base+2*mem.PageSize, 8, prod+total)
	return 0
}
