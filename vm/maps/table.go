package maps

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// Map is one map. Keys and values passed in are copied; they must have the map's sizes. cpu says whose value of a per-CPU
// map is meant and is ignored by others.
type Map interface {
	// Info says what the map is.
	Info() *Head
	// Lookup returns the address of the value, 0 if the key is not in the map.
	Lookup(key []byte, cpu int32) uint64
	// Update sets the value of the key: flags are Any, NoExist or Exist.
	Update(key, value []byte, flags uint64, cpu int32) abi.Errno
	// Delete removes the key.
	Delete(key []byte) abi.Errno
	// Next is get_next_key: it copies the key after key to next, the first one if key is nil or not in the map; ENOENT
	// after the last.
	Next(key, next []byte) abi.Errno
	// Each calls f with the addresses of the key and the value of each element until f returns false. f may change the
	// map. It returns the number of calls; ENOTSUPP where bpf_for_each_map_elem is not for the type.
	Each(cpu int32, f func(key, value uint64) bool) (int, abi.Errno)
	// KeyOf returns the address of the key of the element whose value is at the address value; ok is false if no value
	// of the map starts there.
	KeyOf(value uint64) (key uint64, ok bool)
	// release frees all memory of the map.
	release()
}

// Head is what all maps have.
type Head struct {
	Spec
	// Addr is the address of the simulated struct bpf_map: what programs pass to helpers.
	Addr uint64
	// ID is the map's id, from 1; user space reads it from maps of maps.
	ID uint32

	t    *Table
	refs int
}

// Info returns h, so that embedding a Head implements that part of Map.
func (h *Head) Info() *Head { return h }

// ObjectSize is the number of bytes of a simulated struct bpf_map.
const ObjectSize = 256

// Hooks are what maps need of the world around them. The release functions may be nil: then nothing needs to be done.
type Hooks struct {
	// Timer cancels and forgets the bpf_timer at addr; Workqueue the bpf_wq, TaskWork the bpf_task_work.
	Timer, Workqueue, TaskWork func(addr uint64)
	// Kptr drops the reference that a kptr field held.
	Kptr func(f Field, ptr uint64)
	// Graph drops all nodes of the bpf_list_head or bpf_rb_root at addr.
	Graph func(f Field, addr uint64)
	// Wake is told when the kernel would wake user space that waits for a ring buffer: for data, or for room in a user
	// ring buffer. It may be nil.
	Wake func(m Map)
	// FD finds what a descriptor of user space stands for, which the map m is about to hold: the address of a map's
	// object for a map of maps, a number that is not 0 for a program, else the address of a task, cgroup or
	// event. Nil: there are no descriptors, every one is EBADF.
	FD func(m *Head, fd int32) (object uint64, e abi.Errno)
	// Prog is told of a program that a prog_array holds no longer.
	Prog func(object uint64)
	// ProgID is the id of a program in a prog_array; nil: its number plus one.
	ProgID func(object uint64) uint32
}

// Table is the maps of one program set.
type Table struct {
	Mem    *mem.Space
	NrCPUs int32
	// Seed goes into the hash of keys, so that orders can be varied on purpose.
	Seed  uint64
	Hooks Hooks

	list    []Map
	free    []int // places in list of maps that are gone, to be used again
	lastID  uint32
	objects uint64 // address of the objects, ObjectSize bytes each
	room    int
	closed  bool
}

// NewTable makes a table for at most room maps. nrCPUs is the number of values that per-CPU maps have per key.
func NewTable(m *mem.Space, nrCPUs int32, room int) (*Table, error) {
	t := &Table{Mem: m, NrCPUs: nrCPUs, room: room}
	if room > 0 {
		a, _, err := m.Alloc(uint64(room)*ObjectSize, 64)
		if err != nil {
			return nil, fmt.Errorf("map objects: %w", err)
		}
		t.objects = a
	}
	return t, nil
}

// New creates a map, to which the caller has a reference (see Put). The error names the map; where the kernel would refuse
// it, it wraps the abi.Errno.
func (t *Table) New(s Spec) (Map, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	place := len(t.list)
	if n := len(t.free); n > 0 {
		place = t.free[n-1]
	} else if place == t.room {
		return nil, fmt.Errorf("map %q: more than %d maps: %w", s.Name, t.room, abi.ENOMEM)
	}
	s.Flags &^= FlagRdonly | FlagWronly // of the descriptor, not of the map
	h := Head{Spec: s, Addr: t.objects + uint64(place)*ObjectSize, ID: t.lastID + 1, t: t, refs: 1}
	m, err := h.create()
	if err != nil {
		return nil, fmt.Errorf("map %q: %w: %w", s.Name, abi.ENOMEM, err)
	}
	t.lastID++
	if place == len(t.list) {
		t.list = append(t.list, m)
	} else {
		t.list[place] = m
		t.free = t.free[:len(t.free)-1]
	}
	return m, nil
}

// create makes the map that h describes.
func (h Head) create() (Map, error) {
	switch h.Type {
	case TypeArray, TypePerCPUArray:
		return newArray(h)
	case TypeHash, TypeLRUHash, TypePerCPUHash, TypeLRUPerCPUHash, TypeRHash:
		return newHash(h), nil
	case TypeQueue, TypeStack:
		return newQueue(h)
	case TypeArrayOfMaps:
		return newArrayOfMaps(h)
	case TypeHashOfMaps:
		return newHashOfMaps(h), nil
	case TypeProgArray, TypePerfEventArray, TypeCgroupArray:
		return newFDArray(h)
	case TypeLPMTrie:
		return newTrie(h), nil
	case TypeBloomFilter:
		return newBloom(h)
	case TypeRingBuf, TypeUserRingBuf:
		return newRingBuf(h)
	case TypeArena:
		return newArena(h)
	case TypeInsnArray:
		return newInsnArray(h)
	}
	return newStorage(h), nil
}

// Hold takes a reference to m; Put drops one, the last of which frees the map. A map of maps holds references to its
// elements. Programs that use a map must hold one too.
func (t *Table) Hold(m Map) { m.Info().refs++ }

// Put is the counterpart of Hold and New.
func (t *Table) Put(m Map) {
	h := m.Info()
	h.refs--
	place := int((h.Addr - t.objects) / ObjectSize)
	if h.refs > 0 || t.closed || t.list[place] != m {
		return
	}
	t.list[place] = nil
	m.release()
	t.free = append(t.free, place)
}

// Skip keeps a place in the list for a map that is not created: All has nil there.
func (t *Table) Skip() { t.list = append(t.list, nil) }

// At returns the map whose object is at addr, nil if there is none: any number is safe.
func (t *Table) At(addr uint64) Map {
	off := addr - t.objects
	if i := off / ObjectSize; off%ObjectSize == 0 && i < uint64(len(t.list)) {
		return t.list[i]
	}
	return nil
}

// All returns the maps in the order of their creation, nil for skipped ones and those that are gone, whose places are used
// again. The slice must not be changed.
func (t *Table) All() []Map { return t.list }

// ByID finds a map by its id, nil if there is none.
func (t *Table) ByID(id uint32) Map {
	for _, m := range t.list {
		if m != nil && m.Info().ID == id {
			return m
		}
	}
	return nil
}

// DropOwner deletes the elements that local storage maps hold for an object which goes away (a task or cgroup).
func (t *Table) DropOwner(owner uint64) {
	for _, m := range t.list {
		if s, ok := m.(*Storage); ok {
			s.DeleteOwner(owner)
		}
	}
}

// Close gives all memory back. Special fields are released first.
func (t *Table) Close() {
	if t.closed {
		return
	}
	t.closed = true
	for _, m := range t.list {
		if m != nil {
			m.release()
		}
	}
	if t.room > 0 {
		t.Mem.Free(t.objects, uint64(t.room)*ObjectSize)
	}
	t.list = nil
}
