package maps

import "github.com/schedsim/schedsim/vm/abi"

// Queue is a map of type queue or stack: a ring of values without keys. Head and tail are Go's, values are in memory.
type Queue struct {
	Head
	base       uint64
	elem       uint64
	head, tail uint32 // next free slot, oldest element
	slots      uint32 // MaxEntries + 1
}

func newQueue(h Head) (*Queue, error) {
	q := &Queue{Head: h, elem: uint64(h.ValueSize), slots: h.MaxEntries + 1}
	if q.slots == 0 {
		return nil, abi.E2BIG
	}
	var err error
	q.base, _, err = h.t.Mem.Alloc(q.bytes(), 8)
	return q, err
}

func (q *Queue) bytes() uint64 { return (uint64(q.MaxEntries) + 1) * q.elem }

func (q *Queue) slot(i uint32) []byte { return q.t.Mem.Bytes(q.base+uint64(i)*q.elem, q.elem) }

// Len is the number of elements.
func (q *Queue) Len() int {
	return int((uint64(q.head) + uint64(q.slots) - uint64(q.tail)) % uint64(q.slots))
}

// Push follows queue_stack_map_push_elem: with Exist, a full queue loses its oldest element.
func (q *Queue) Push(value []byte, flags uint64) abi.Errno {
	if flags&NoExist != 0 || flags > Exist {
		return abi.EINVAL
	}
	if q.Len() == int(q.MaxEntries) {
		if flags&Exist == 0 {
			return abi.E2BIG
		}
		q.tail = q.after(q.tail)
	}
	copy(q.slot(q.head), value)
	q.head = q.after(q.head)
	return 0
}

func (q *Queue) after(i uint32) uint32 {
	if i+1 == q.slots {
		return 0
	}
	return i + 1
}

// Pop follows queue_map_pop_elem and stack_map_pop_elem: it moves an element to value, which is cleared if there is none.
func (q *Queue) Pop(value []byte) abi.Errno { return q.take(value, true) }

// Peek is Pop without removing the element.
func (q *Queue) Peek(value []byte) abi.Errno { return q.take(value, false) }

func (q *Queue) take(value []byte, remove bool) abi.Errno {
	if q.head == q.tail {
		clear(value)
		return abi.ENOENT
	}
	if q.Type == TypeQueue {
		copy(value, q.slot(q.tail))
		if remove {
			q.tail = q.after(q.tail)
		}
		return 0
	}
	last := q.head - 1
	if q.head == 0 {
		last = q.slots - 1
	}
	copy(value, q.slot(last))
	if remove {
		q.head = last
	}
	return 0
}

// Lookup finds nothing: there are no keys.
func (q *Queue) Lookup([]byte, int32) uint64 { return 0 }

// Update is refused with EINVAL.
func (q *Queue) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EINVAL }

// Delete is refused with EINVAL.
func (q *Queue) Delete([]byte) abi.Errno { return abi.EINVAL }

// Next is refused with EINVAL.
func (q *Queue) Next(_, _ []byte) abi.Errno { return abi.EINVAL }

// Each is refused: bpf_for_each_map_elem is not for queues.
func (q *Queue) Each(int32, func(key, value uint64) bool) (int, abi.Errno) { return 0, abi.ENOTSUPP }

// KeyOf finds nothing: there are no keys.
func (q *Queue) KeyOf(uint64) (uint64, bool) { return 0, false }

func (q *Queue) release() { q.t.Mem.Free(q.base, q.bytes()) }
