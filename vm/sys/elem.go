package sys

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// elemMap finds the map of an element command, whose descriptor must allow what the command does.
func (c *call) elemMap(cmd Cmd, at int, read, write bool) (*Map, error) {
	if err := c.checkAttr(cmd); err != nil {
		return nil, err
	}
	m, f, err := fdObject[*Map](c.p, c.fd(at))
	switch {
	case err != nil:
		return nil, err
	case read && !f.read, write && (!f.write || m.frozen):
		return nil, refuse(abi.EPERM, "map %q cannot be accessed that way", m.name)
	}
	return m, nil
}

// key follows __bpf_copy_key.
func (c *call) key(m *Map, addr uint64) ([]byte, error) {
	if m.spec.KeySize == 0 {
		if addr != 0 {
			return nil, refuse(abi.EINVAL, "map %q has no keys", m.name)
		}
		return nil, nil
	}
	return c.read(addr, uint64(m.spec.KeySize))
}

// opFlags follows bpf_map_check_op_flags for struct_ops maps, which have neither locks nor values per CPU.
func (m *Map) opFlags(flags uint64) error {
	if m.ops != nil && flags&^3 != 0 {
		return refuse(abi.EINVAL, "flags %#x", flags)
	}
	return nil
}

// valueSize is the number of bytes of a value in user space.
func (m *Map) valueSize(flags uint64) uint64 {
	if m.ops != nil {
		return uint64(m.spec.ValueSize)
	}
	return uint64(maps.UserValueSize(m.m, flags))
}

// mapLookup follows map_lookup_elem.
func (c *call) mapLookup() (int64, error) {
	m, err := c.elemMap(MapLookupElem, 0, true, false)
	if err != nil {
		return 0, err
	}
	flags := c.u64(24)
	if m.ops != nil {
		if flags != 0 {
			return 0, refuse(abi.EINVAL, "flags %#x", flags)
		}
		key, err := c.key(m, c.u64(8))
		if err != nil {
			return 0, err
		}
		v, err := m.ops.lookup(key)
		if err != nil {
			return 0, err
		}
		return 0, c.write(c.u64(16), v)
	}
	if e := maps.CheckLookup(m.m, flags); e != 0 {
		return 0, e
	}
	key, err := c.key(m, c.u64(8))
	if err != nil {
		return 0, err
	}
	value := make([]byte, m.valueSize(flags))
	bloom := m.spec.Type == maps.TypeBloomFilter
	if bloom { // the value is what is asked for
		if err := c.readTo(c.u64(16), value); err != nil {
			return 0, err
		}
	}
	if e := maps.LookupElem(m.m, key, value, flags); e != 0 {
		return 0, e
	}
	if bloom {
		return 0, nil
	}
	return 0, c.write(c.u64(16), value)
}

// mapUpdate follows map_update_elem.
func (c *call) mapUpdate() (int64, error) {
	m, err := c.elemMap(MapUpdateElem, 0, false, true)
	if err != nil {
		return 0, err
	}
	flags := c.u64(24)
	if err := m.opFlags(flags); err != nil {
		return 0, err
	}
	if m.m != nil {
		if e := maps.CheckUpdate(m.m, flags); e != 0 {
			return 0, e
		}
	}
	key, err := c.key(m, c.u64(8))
	if err != nil {
		return 0, err
	}
	value, err := c.read(c.u64(16), m.valueSize(flags))
	if err != nil {
		return 0, err
	}
	if m.ops != nil {
		return 0, m.ops.update(c, key, value, flags)
	}
	return 0, asError(maps.UpdateElem(m.m, key, value, flags))
}

// mapDelete follows map_delete_elem.
func (c *call) mapDelete() (int64, error) {
	m, err := c.elemMap(MapDeleteElem, 0, false, true)
	if err != nil {
		return 0, err
	}
	key, err := c.key(m, c.u64(8))
	if err != nil {
		return 0, err
	}
	if m.ops != nil {
		return 0, m.ops.delete()
	}
	return 0, asError(maps.DeleteElem(m.m, key))
}

// mapNextKey follows map_get_next_key.
func (c *call) mapNextKey() (int64, error) {
	m, err := c.elemMap(MapGetNextKey, 0, true, false)
	if err != nil {
		return 0, err
	}
	var key []byte
	if at := c.u64(8); at != 0 {
		if key, err = c.key(m, at); err != nil {
			return 0, err
		}
	}
	next := make([]byte, m.spec.KeySize)
	if m.ops != nil {
		err = m.ops.nextKey(key, next)
	} else {
		err = asError(maps.NextKey(m.m, key, next))
	}
	if err != nil {
		return 0, err
	}
	return 0, c.write(c.u64(16), next)
}

// mapLookupAndDelete follows map_lookup_and_delete_elem.
func (c *call) mapLookupAndDelete() (int64, error) {
	flags := c.u64(24)
	if err := c.checkAttr(MapLookupAndDeleteElem); err != nil {
		return 0, err
	}
	if flags&^maps.Lock != 0 {
		return 0, refuse(abi.EINVAL, "flags %#x", flags)
	}
	m, err := c.elemMap(MapLookupAndDeleteElem, 0, true, true)
	if err != nil {
		return 0, err
	}
	if flags != 0 && (m.spec.Type == maps.TypeQueue || m.spec.Type == maps.TypeStack || !m.hasField(maps.SpinLock)) {
		return 0, refuse(abi.EINVAL, "flags %#x", flags)
	}
	key, err := c.key(m, c.u64(8))
	if err != nil {
		return 0, err
	}
	if m.ops != nil {
		return 0, abi.ENOTSUPP
	}
	value := make([]byte, m.valueSize(0))
	if e := maps.LookupAndDelete(m.m, key, value, flags); e != 0 {
		return 0, e
	}
	return 0, c.write(c.u64(16), value)
}

func (m *Map) hasField(k maps.FieldKind) bool {
	for _, f := range m.spec.Fields {
		if f.Kind == k {
			return true
		}
	}
	return false
}

// Attributes of the batch commands.
const (
	atBatchIn     = 0
	atBatchOut    = 8
	atBatchKeys   = 16
	atBatchValues = 24
	atBatchCount  = 32
	atBatchMap    = 36
	atBatchElem   = 40
	atBatchFlags  = 48
)

// maxBatch is the number of bytes of keys or values that one batch moves; the rest is for the next one.
const maxBatch = 64 << 20

// batch does one batch command. It follows bpf_map_do_batch and the functions of package maps, which do the work; keys and
// values of the caller go in before, and out after.
func (c *call) batch(cmd Cmd) (int64, error) {
	read, write := cmd == MapLookupBatch || cmd == MapLookupAndDeleteBatch, cmd != MapLookupBatch
	m, err := c.elemMap(cmd, atBatchMap, read, write)
	if err != nil {
		return 0, err
	}
	if m.ops != nil {
		return 0, abi.ENOTSUPP
	}
	b := &maps.Batch{Count: c.u32(atBatchCount), ElemFlags: c.u64(atBatchElem), Flags: c.u64(atBatchFlags)}
	wanted := b.Count
	keySize, valueSize := uint64(m.spec.KeySize), m.valueSize(b.ElemFlags)
	if cmd == MapDeleteBatch {
		valueSize = 0
	}
	if read {
		// No map has more elements; asking for more is no reason to take more memory.
		b.Count = uint32(min(uint64(wanted), uint64(m.elements())))
		if wanted > 0 {
			b.Count = max(b.Count, 1)
		}
	}
	n := uint64(b.Count)
	if n*keySize > maxBatch || n*valueSize > maxBatch {
		return 0, refuse(abi.ENOMEM, "batch of %d elements", n)
	}
	b.Keys, b.Values, b.Out = make([]byte, n*keySize), make([]byte, n*valueSize), make([]byte, max(keySize, 4))
	have := n
	if !read {
		// The caller's elements up to the first that cannot be read; the kernel finds out when it comes there.
		have = c.readable(b, n, keySize, valueSize)
		b.Keys, b.Values = b.Keys[:have*keySize], b.Values[:have*valueSize]
	}
	cursor := keySize
	if _, ok := m.m.(*maps.Hash); ok && m.spec.Type != maps.TypeRHash || m.spec.Type == maps.TypeHashOfMaps {
		cursor = 4
	}
	if at := c.u64(atBatchIn); read && at != 0 && n > 0 {
		if b.In, err = c.read(at, cursor); err != nil {
			// What is wrong otherwise goes before; then the count is 0 already.
			if e := batchFuncs(cmd)(m.m, &maps.Batch{ElemFlags: b.ElemFlags, Flags: b.Flags}); e != 0 {
				return 0, e
			}
			if e := c.put(atBatchCount, 0); e != nil {
				return 0, e
			}
			return 0, err
		}
	}
	e := batchFuncs(cmd)(m.m, b)
	if n == 0 || e == abi.EPERM || e == abi.ENOTSUPP || e == abi.EINVAL && b.Count == uint32(n) || e == abi.ERANGE {
		return 0, asError(e) // refused before it began
	}
	if read && b.Count > 0 || cmd == MapLookupBatch && e != abi.EFAULT && e != abi.ENOENT {
		if err := c.write(c.u64(atBatchKeys), b.Keys[:uint64(b.Count)*keySize]); err != nil {
			return 0, err
		}
		if err := c.write(c.u64(atBatchValues), b.Values[:uint64(b.Count)*valueSize]); err != nil {
			return 0, err
		}
	}
	if read && (e == 0 || e == abi.ENOENT) && (b.Count > 0 || cursor == 4) {
		if err := c.write(c.u64(atBatchOut), b.Out[:cursor]); err != nil {
			return 0, err
		}
	}
	if err := c.put(atBatchCount, b.Count); err != nil {
		return 0, err
	}
	return 0, asError(e)
}

// readable reads elements of the caller and returns how many could be read.
func (c *call) readable(b *maps.Batch, n, keySize, valueSize uint64) uint64 {
	keys, values := c.u64(atBatchKeys), c.u64(atBatchValues)
	if c.readTo(keys, b.Keys) == nil && c.readTo(values, b.Values) == nil {
		return n
	}
	for i := range n {
		if c.readTo(keys+i*keySize, b.Keys[i*keySize:][:keySize]) != nil || c.readTo(values+i*valueSize, b.Values[i*valueSize:][:valueSize]) != nil {
			return i
		}
	}
	return n
}

// elements is how many elements the map can have.
func (m *Map) elements() uint32 { return m.m.Info().MaxEntries }

func batchFuncs(cmd Cmd) func(maps.Map, *maps.Batch) abi.Errno {
	switch cmd {
	case MapLookupBatch:
		return maps.LookupBatch
	case MapLookupAndDeleteBatch:
		return maps.LookupAndDeleteBatch
	case MapUpdateBatch:
		return maps.UpdateBatch
	}
	return maps.DeleteBatch
}
