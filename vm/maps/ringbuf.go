package maps

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// RingBuf is a map of type ringbuf (programs produce, user space consumes) or user_ringbuf (the other way round).
//
// In memory it is as in the kernel: a page of the kernel's own, the page with the consumer's position, the page with the
// producer's position, then the data, so that another process can map the pages from Mmap on with the data twice in a row.
// The kernel maps the data twice in a row for itself too. Here the second half is memory of its own: a record that goes
// beyond the end lies there as a whole, and its end is copied to where it belongs when the record is submitted (or
// brought from there when a record of user space is read). A program can tell only if it goes on writing to a record that it
// has submitted.
//
// The producer's position and the records of a ringbuf are Go's, memory shows copies: whatever a program or a process writes
// there, no record of a ringbuf lies where another one does. Invariant: pending <= producer, and records[head:] are those
// from first on.
type RingBuf struct {
	Head
	base     uint64 // of the kernel's own page
	producer uint64
	pending  uint64 // position of the oldest record that is not submitted, or of the producer
	// overwritten is the position behind the last record that an overwriting ring buffer has dropped.
	overwritten uint64
	// records are those that have not been passed by first, oldest first: first is overwritten in an overwriting ring
	// buffer, else pending.
	records []record
	busy    bool // a user ring buffer that is being drained
}

// record is a record of a ringbuf.
type record struct {
	pos  uint64
	len  uint32 // with its header, padded
	done bool
}

// Bits of a record's header, and of the flags of helpers.
const (
	ringBusy    = 1 << 31 // BPF_RINGBUF_BUSY_BIT
	ringDiscard = 1 << 30 // BPF_RINGBUF_DISCARD_BIT
	ringHeader  = 8       // BPF_RINGBUF_HDR_SZ

	NoWakeup    uint64 = 1 // BPF_RB_NO_WAKEUP
	ForceWakeup uint64 = 2 // BPF_RB_FORCE_WAKEUP
)

const (
	maxRecord = (1<<32 - 1) / 4 // RINGBUF_MAX_RECORD_SZ
	maxSample = 1<<24 - 1       // DYNPTR_MAX_SIZE
)

func newRingBuf(h Head) (*RingBuf, error) {
	r := &RingBuf{Head: h}
	var err error
	r.base, _, err = h.t.Mem.Alloc(r.bytes(), mem.PageSize)
	return r, err
}

func (r *RingBuf) bytes() uint64 { return 3*mem.PageSize + 2*r.Size() }

// Size is the number of bytes of data.
func (r *RingBuf) Size() uint64 { return uint64(r.MaxEntries) }

// Mmap is the address of the consumer's page, which another process maps at page 0 of the map; the producer's page and the
// data follow.
func (r *RingBuf) Mmap() uint64 { return r.base + mem.PageSize }

func (r *RingBuf) data() uint64 { return r.base + 3*mem.PageSize }

func (r *RingBuf) word(page uint64) uint64 {
	v, _ := r.t.Mem.Load(r.base+page*mem.PageSize, 8)
	return v
}

// ConsumerPos is the consumer's position, ProducerPos the producer's: numbers of bytes since the start. Each is as the side
// of user space says, where that is its own.
func (r *RingBuf) ConsumerPos() uint64 { return r.word(1) }

// ProducerPos is the counterpart of ConsumerPos.
func (r *RingBuf) ProducerPos() uint64 {
	if r.Type == TypeRingBuf {
		return r.producer
	}
	return r.word(2)
}

// OverwritePos is the position behind the last record that was overwritten.
func (r *RingBuf) OverwritePos() uint64 { return r.overwritten }

// Avail is the number of bytes to be consumed, which user space can make larger than the data. It follows
// ringbuf_avail_data_sz.
func (r *RingBuf) Avail() uint64 {
	cons := r.ConsumerPos()
	if r.Flags&FlagOverwrite != 0 {
		cons = max(cons, r.overwritten)
	}
	return r.ProducerPos() - cons
}

// at is the address of the byte at a position.
func (r *RingBuf) at(pos uint64) uint64 { return r.data() + pos&(r.Size()-1) }

// Reserve follows __bpf_ringbuf_reserve: it returns the address of size bytes of a new record, 0 if there is no room.
func (r *RingBuf) Reserve(size uint64) uint64 {
	if size > maxRecord || r.Type != TypeRingBuf {
		return 0
	}
	n := (size + ringHeader + 7) &^ 7
	if n > r.Size() {
		return 0
	}
	overwrite := r.Flags&FlagOverwrite != 0
	skip := 0
	for i := range r.records {
		rec := &r.records[i]
		if rec.pos < r.pending {
			continue
		}
		if !rec.done {
			break
		}
		r.pending = rec.pos + uint64(rec.len)
		if !overwrite {
			skip = i + 1
		}
	}
	end, mask := r.producer+n, r.Size()-1
	if end-r.pending > mask || !overwrite && end-r.ConsumerPos() > mask {
		r.forget(skip)
		r.show()
		return 0
	}
	for overwrite && end-r.overwritten > mask {
		r.overwritten += uint64(r.records[skip].len)
		skip++
	}
	r.forget(skip)
	r.records = append(r.records, record{pos: r.producer, len: uint32(n)})
	hdr := r.at(r.producer)
	r.t.Mem.Store(hdr, 4, size|ringBusy)
	r.t.Mem.Store(hdr+4, 4, (hdr-r.base)/mem.PageSize)
	r.producer = end
	r.show()
	return hdr + ringHeader
}

// forget drops the oldest n records.
func (r *RingBuf) forget(n int) {
	if n > 0 {
		r.records = append(r.records[:0], r.records[n:]...)
	}
}

// show writes the producer's page (struct bpf_ringbuf from producer_pos on).
func (r *RingBuf) show() {
	p := r.base + 2*mem.PageSize
	r.t.Mem.Store(p, 8, r.producer)
	r.t.Mem.Store(p+8, 8, r.pending)
	r.t.Mem.Store(p+16, 8, r.overwritten)
}

// Owns tells whether addr lies in the data of r, or in its second half.
func (r *RingBuf) Owns(addr uint64) bool { return addr-r.data() < 2*r.Size() }

// Commit follows bpf_ringbuf_commit: the record whose bytes are at addr is ready, or to be skipped. It is false if no record
// that is reserved lies there.
func (r *RingBuf) Commit(addr, flags uint64, discard bool) bool {
	off := addr - ringHeader - r.data()
	for i := range r.records {
		rec := &r.records[i]
		if rec.done || rec.pos&(r.Size()-1) != off {
			continue
		}
		rec.done = true
		hdr := r.data() + off
		n, _ := r.t.Mem.Load(hdr, 4)
		n = min(n&^(ringBusy|ringDiscard), uint64(rec.len-ringHeader)) // programs have no business in the header
		if discard {
			n |= ringDiscard
		}
		r.t.Mem.Store(hdr, 4, n)
		if over := off + uint64(rec.len); over > r.Size() {
			k := over - r.Size()
			copy(r.t.Mem.Bytes(r.data(), k), r.t.Mem.Bytes(r.data()+r.Size(), k))
		}
		caughtUp := r.ConsumerPos()&(r.Size()-1) == off
		if flags&ForceWakeup != 0 || caughtUp && flags&NoWakeup == 0 {
			r.wake()
		}
		return true
	}
	return false
}

func (r *RingBuf) wake() {
	if r.t.Hooks.Wake != nil {
		r.t.Hooks.Wake(r)
	}
}

// Output follows bpf_ringbuf_output: EAGAIN if there is no room.
func (r *RingBuf) Output(data []byte, flags uint64) abi.Errno {
	if flags&^(NoWakeup|ForceWakeup) != 0 {
		return abi.EINVAL
	}
	addr := r.Reserve(uint64(len(data)))
	if addr == 0 {
		return abi.EAGAIN
	}
	copy(r.t.Mem.Bytes(addr, uint64(len(data))), data)
	r.Commit(addr, flags, false)
	return 0
}

// Consume is user space's side of a ringbuf, as ring_buffer__consume of libbpf: it calls f with each record that is ready,
// oldest first, and returns their number. The bytes are those of the map; they are gone when f returns.
func (r *RingBuf) Consume(f func(sample []byte)) int { return r.ConsumeN(-1, f) }

// ConsumeN is Consume for so many records at most (ring_buffer__consume_n); less than 0: all.
func (r *RingBuf) ConsumeN(most int, f func(sample []byte)) int {
	if r.Type != TypeRingBuf { // where the producer's position may be anything
		return 0
	}
	count := 0
	pos := r.ConsumerPos()
	for pos < r.ProducerPos() && count != most {
		b := r.t.Mem.Bytes(r.at(pos), ringHeader)
		n := binary.LittleEndian.Uint32(b)
		if n&ringBusy != 0 {
			break
		}
		size := uint64(n &^ ringDiscard)
		if size+ringHeader > r.Size() {
			break // a position that is no record's
		}
		if n&ringDiscard == 0 {
			f(r.read(pos+ringHeader, size))
			count++
		}
		pos += (size + ringHeader + 7) &^ 7
		r.t.Mem.Store(r.base+mem.PageSize, 8, pos)
	}
	return count
}

// read returns n bytes from a position on in one piece.
func (r *RingBuf) read(pos, n uint64) []byte {
	r.gather(pos, n)
	return r.t.Mem.Bytes(r.at(pos), n)
}

// gather brings what goes beyond the end of the data behind it.
func (r *RingBuf) gather(pos, n uint64) {
	if over := pos&(r.Size()-1) + n; over > r.Size() {
		k := over - r.Size()
		copy(r.t.Mem.Bytes(r.data()+r.Size(), k), r.t.Mem.Bytes(r.data(), k))
	}
}

// Lookup finds nothing: there are no keys.
func (r *RingBuf) Lookup([]byte, int32) uint64 { return 0 }

// Update is refused.
func (r *RingBuf) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.ENOTSUPP }

// Delete is refused.
func (r *RingBuf) Delete([]byte) abi.Errno { return abi.ENOTSUPP }

// Next is refused.
func (r *RingBuf) Next(_, _ []byte) abi.Errno { return abi.ENOTSUPP }

// Each is refused: bpf_for_each_map_elem is not for ring buffers.
func (r *RingBuf) Each(int32, func(key, value uint64) bool) (int, abi.Errno) { return 0, abi.ENOTSUPP }

// KeyOf finds nothing: there are no keys.
func (r *RingBuf) KeyOf(uint64) (uint64, bool) { return 0, false }

func (r *RingBuf) release() { r.t.Mem.Free(r.base, r.bytes()) }
