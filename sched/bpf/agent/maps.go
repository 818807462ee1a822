package agent

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/maps"
)

// Map is a map of the object. Keys and values are bytes as user space sees them, or what elf.EncodeType takes where the object
// declares types.
type Map struct {
	l    *Loaded
	name string
	t    mapTypes
}

// Map finds a map by its name in the object.
func (l *Loaded) Map(name string) (*Map, error) {
	t, ok := l.maps[name]
	if !ok {
		names := make([]string, 0, len(l.maps))
		for n := range l.maps {
			names = append(names, n)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("%s: no map %q%s", l.file, name, elf.DidYouMean(name, names))
	}
	return &Map{l, name, t}, nil
}

// Name is the map's name in the object.
func (m *Map) Name() string { return m.name }

// Key and Value are the declared types, nil where the object gives sizes only.
func (m *Map) Key() btf.Type { return m.t.key }

// Value is the type of the values.
func (m *Map) Value() btf.Type { return m.t.value }

// Lookup is the value of a key; of a map with a value per CPU, those of all CPUs: see CPUs. A missing key is an error that is
// abi.ENOENT.
func (m *Map) Lookup(key any) (Cell, error) {
	k, err := m.key(key)
	if err != nil {
		return Cell{}, err
	}
	b, err := m.l.obj.Lookup(m.name, k)
	return Cell{Type: m.t.value, B: b}, err
}

// CPUs takes the values of all CPUs apart.
func (m *Map) CPUs(c Cell) []Cell {
	if !m.t.kind.PerCPU() {
		return []Cell{c}
	}
	n := m.l.Machine.NrCPUs()
	stride := len(c.B) / n
	size := stride
	if m.t.value != nil {
		if s, err := btf.Sizeof(m.t.value); err == nil {
			size = s
		}
	}
	out := make([]Cell, n)
	for i := range out {
		out[i] = Cell{Type: c.Type, B: c.B[i*stride:][:size:size]}
	}
	return out
}

// Update sets the value of a key. In a map with a value per CPU, value is []any with one for each CPU, or one for all.
func (m *Map) Update(key, value any) error {
	k, err := m.key(key)
	if err != nil {
		return err
	}
	v, err := m.value(value)
	if err != nil {
		return err
	}
	return m.l.obj.Update(m.name, k, v, 0)
}

// UpdateCell writes back what Lookup has given.
func (m *Map) UpdateCell(key any, c Cell) error { return m.Update(key, c.B) }

// Delete deletes a key.
func (m *Map) Delete(key any) error {
	k, err := m.key(key)
	if err != nil {
		return err
	}
	return m.l.obj.Delete(m.name, k)
}

// Push appends to a queue or stack.
func (m *Map) Push(value any) error { return m.Update(nil, value) }

// Pop takes the next value of a queue or stack; ok is false if it is empty.
func (m *Map) Pop() (c Cell, ok bool, err error) {
	b, err := m.l.obj.Take(m.name, nil)
	if errors.Is(err, abi.ENOENT) {
		return Cell{}, false, nil
	}
	return Cell{Type: m.t.value, B: b}, err == nil, err
}

// Keys are the keys that there are, in the order of the map.
func (m *Map) Keys() ([]Cell, error) {
	keys, err := m.l.obj.Keys(m.name)
	var out []Cell
	for _, k := range keys {
		out = append(out, Cell{Type: m.t.key, B: k})
	}
	return out, err
}

// PutInner creates a map like the template of a map of maps, with that many entries (0: those of the template), and stores it.
func (m *Map) PutInner(key any, entries uint32) error {
	k, err := m.key(key)
	if err != nil {
		return err
	}
	return m.l.obj.PutInner(m.name, k, entries)
}

// Consume calls f with each record of a ring buffer that is ready, oldest first, and returns their number. The bytes are gone
// when f returns.
func (m *Map) Consume(f func(sample []byte)) (int, error) {
	r, err := m.ring(maps.TypeRingBuf)
	if err != nil {
		return 0, err
	}
	return r.Consume(f), nil
}

// ConsumeN is Consume for at most n records.
func (m *Map) ConsumeN(n int, f func(sample []byte)) (int, error) {
	r, err := m.ring(maps.TypeRingBuf)
	if err != nil {
		return 0, err
	}
	return r.ConsumeN(n, f), nil
}

// Produce appends a sample to a user ring buffer; abi.ENOSPC says that it is full.
func (m *Map) Produce(sample []byte) error {
	r, err := m.ring(maps.TypeUserRingBuf)
	if err != nil {
		return err
	}
	if e := r.Produce(sample); e != 0 {
		return fmt.Errorf("%s: map %q: %w", m.l.file, m.name, e)
	}
	return nil
}

func (m *Map) ring(want maps.Type) (*maps.RingBuf, error) {
	sm := m.l.obj.Map(m.name)
	if sm != nil {
		if r, ok := sm.Maps().(*maps.RingBuf); ok && m.t.kind == want {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%s: map %q: not a ring buffer of that direction", m.l.file, m.name)
}

func (m *Map) key(key any) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	b, err := encode(m.t.key, m.t.keySize, key)
	if err != nil {
		return nil, fmt.Errorf("%s: map %q: key: %w", m.l.file, m.name, err)
	}
	return b, nil
}

func (m *Map) value(value any) ([]byte, error) {
	size, err := m.l.obj.ValueSize(m.name)
	if err != nil {
		return nil, err
	}
	wrap := func(err error) error { return fmt.Errorf("%s: map %q: value: %w", m.l.file, m.name, err) }
	if b, ok := value.([]byte); ok && len(b) == size {
		return b, nil
	}
	if !m.t.kind.PerCPU() {
		b, err := encode(m.t.value, m.t.valueSize, value)
		if err != nil {
			return nil, wrap(err)
		}
		return b, nil
	}
	n := m.l.Machine.NrCPUs()
	values, ok := value.([]any)
	if !ok {
		values = slices.Repeat([]any{value}, n)
	}
	if len(values) != n {
		return nil, wrap(fmt.Errorf("%d values, there are %d CPUs", len(values), n))
	}
	out := make([]byte, size)
	for i, v := range values {
		b, err := encode(m.t.value, m.t.valueSize, v)
		if err != nil {
			return nil, wrap(fmt.Errorf("CPU %d: %w", i, err))
		}
		copy(out[i*size/n:], b)
	}
	return out, nil
}

// encode takes bytes as they are where the object declares no type, and numbers where the size is that of one.
func encode(t btf.Type, size uint32, value any) ([]byte, error) {
	if t != nil {
		return elf.EncodeType(t, value)
	}
	if b, ok := value.([]byte); ok {
		return b, nil
	}
	if size == 4 || size == 8 {
		return elf.EncodeType(&btf.Int{Size: size}, value)
	}
	return nil, fmt.Errorf("the object declares no type: give %d bytes", size)
}

// ReadArena is what lies at a user address of the arena, which must have been allocated. The bytes are the programs' own.
func (l *Loaded) ReadArena(user, size uint64) ([]byte, error) {
	a, err := l.obj.ArenaMap()
	if err != nil {
		return nil, err
	}
	if b := a.Mem.Bytes(user, size); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%s: arena: %d bytes at %#x are not there", l.file, size, user)
}

// WriteArena writes at a user address of the arena, as user space does: a page that nobody has allocated comes into being.
func (l *Loaded) WriteArena(user uint64, data []byte) error { return l.obj.Store(user, data) }

// Arena is a value of a type at a user address of the arena.
func (l *Loaded) Arena(user uint64, t btf.Type) (Cell, error) {
	n, err := btf.Sizeof(t)
	if err != nil {
		return Cell{}, err
	}
	b, err := l.ReadArena(user, uint64(n))
	return Cell{Type: t, B: b}, err
}
