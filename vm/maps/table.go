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

	t *Table
}

// Info returns h, so that embedding a Head implements that part of Map.
func (h *Head) Info() *Head { return h }

// ObjectSize is the number of bytes of a simulated struct bpf_map.
const ObjectSize = 256

// Hooks release what special fields hold. Nil functions mean that nothing needs to be done.
type Hooks struct {
	// Timer cancels and forgets the bpf_timer at addr.
	Timer func(addr uint64)
	// Kptr drops the reference that a kptr field held.
	Kptr func(f Field, ptr uint64)
}

// Table is the maps of one program set.
type Table struct {
	Mem    *mem.Space
	NrCPUs int32
	// Seed goes into the hash of keys, so that orders can be varied on purpose.
	Seed  uint64
	Hooks Hooks

	list    []Map
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

// New creates a map. The error names the map; where the kernel would refuse it, it wraps the abi.Errno.
func (t *Table) New(s Spec) (Map, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if len(t.list) == t.room {
		return nil, fmt.Errorf("map %q: more than %d maps: %w", s.Name, t.room, abi.ENOMEM)
	}
	h := Head{Spec: s, Addr: t.objects + uint64(len(t.list))*ObjectSize, t: t}
	var m Map
	var err error
	switch s.Type {
	case TypeArray, TypePerCPUArray:
		m, err = newArray(h)
	case TypeHash, TypeLRUHash:
		m = newHash(h)
	case TypeQueue, TypeStack:
		m, err = newQueue(h)
	case TypeArrayOfMaps:
		m, err = newArrayOfMaps(h)
	default:
		m = newStorage(h)
	}
	if err != nil {
		return nil, fmt.Errorf("map %q: %w: %w", s.Name, abi.ENOMEM, err)
	}
	t.list = append(t.list, m)
	return m, nil
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

// All returns the maps in the order of their creation, nil for skipped ones. The slice must not be changed.
func (t *Table) All() []Map { return t.list }

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

// copyValue copies the value src to the memory dst, except for special fields.
func (h *Head) copyValue(dst, src []byte) {
	if len(h.Fields) == 0 {
		copy(dst, src)
		return
	}
	at := uint32(0)
	for _, f := range h.Fields {
		copy(dst[at:f.Off], src[at:f.Off])
		at = f.Off + f.Size
	}
	copy(dst[at:], src[at:])
}

// cancelFields follows bpf_obj_cancel_fields: an update stops the timers of the value that it replaces.
func (h *Head) cancelFields(value uint64) {
	for _, f := range h.Fields {
		if f.Kind == Timer && h.t.Hooks.Timer != nil {
			h.t.Hooks.Timer(value + uint64(f.Off))
		}
	}
}

// freeFields follows bpf_obj_free_fields: it releases what the special fields of a value hold and clears them.
func (h *Head) freeFields(value uint64) {
	for _, f := range h.Fields {
		at := value + uint64(f.Off)
		switch f.Kind {
		case Timer:
			if h.t.Hooks.Timer != nil {
				h.t.Hooks.Timer(at)
			}
		case KptrRef, KptrPerCPU:
			if p, _ := h.t.Mem.Load(at, 8); p != 0 {
				h.t.Mem.Store(at, 8, 0)
				if h.t.Hooks.Kptr != nil {
					h.t.Hooks.Kptr(f, p)
				}
			}
		}
		clear(h.t.Mem.Bytes(at, uint64(f.Size)))
	}
}

// checkFlags follows check_flags of hashtab.c.
func checkFlags(exists bool, flags uint64) abi.Errno {
	switch {
	case exists && flags&^Lock == NoExist:
		return abi.EEXIST
	case !exists && flags&^Lock == Exist:
		return abi.ENOENT
	}
	return 0
}
