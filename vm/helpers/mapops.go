package helpers

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

func (e *Env) mapRows() []row {
	return []row{
		{"map_lookup_elem", e.mapLookup},
		{"map_update_elem", e.mapUpdate},
		{"map_delete_elem", e.mapDelete},
		{"map_lookup_percpu_elem", e.mapLookupPerCPU},
		{"tail_call", e.tailCall},
		{"map_push_elem", e.mapPush},
		{"map_pop_elem", func(c *abi.Call, a *abi.Args) uint64 { return e.mapTake(c, a, "map_pop_elem") }},
		{"map_peek_elem", func(c *abi.Call, a *abi.Args) uint64 { return e.mapTake(c, a, "map_peek_elem") }},
		{"for_each_map_elem", e.forEachMapElem},
		{"task_storage_get", func(c *abi.Call, a *abi.Args) uint64 {
			return e.storageGet(c, a, "task_storage_get", maps.TypeTaskStorage)
		}},
		{"task_storage_delete", func(c *abi.Call, a *abi.Args) uint64 {
			return e.storageDelete(c, a, "task_storage_delete", maps.TypeTaskStorage)
		}},
		{"cgrp_storage_get", func(c *abi.Call, a *abi.Args) uint64 {
			return e.storageGet(c, a, "cgrp_storage_get", maps.TypeCgrpStorage)
		}},
		{"cgrp_storage_delete", func(c *abi.Call, a *abi.Args) uint64 {
			return e.storageDelete(c, a, "cgrp_storage_delete", maps.TypeCgrpStorage)
		}},
	}
}

// mapKey resolves the map R1, of a type that the helper is for, and its key R2. It follows check_map_func_compatibility.
func (e *Env) mapKey(c *abi.Call, a *abi.Args, helper string, ofMaps bool) (maps.Map, []byte) {
	m := e.mapAt(c, helper, a[0])
	if m == nil {
		return nil, nil
	}
	switch m.(type) {
	case *maps.Array, *maps.Hash, *maps.Trie:
	case *maps.ArrayOfMaps, *maps.HashOfMaps:
		if !ofMaps {
			wrongType(c, helper, m)
			return nil, nil
		}
	default:
		wrongType(c, helper, m)
		return nil, nil
	}
	key := e.in(c, helper, a[1], uint64(m.Info().KeySize))
	if key == nil {
		return nil, nil
	}
	return m, key
}

// forbidden tells whether programs may not write to m, which is a fault (record_func_map).
func forbidden(c *abi.Call, helper string, m maps.Map) bool {
	h := m.Info()
	if h.Flags&maps.FlagRdonlyProg == 0 {
		return false
	}
	c.Fault = "bpf_" + helper + ": write into map " + h.Name + " forbidden"
	return true
}

// mapLookup follows bpf_map_lookup_elem. The kernel inlines lookups in arrays; here they and those in hashes take a short cut.
func (e *Env) mapLookup(c *abi.Call, a *abi.Args) uint64 {
	switch m := e.Maps.At(a[0]).(type) {
	case *maps.Array:
		if i, ok := e.Mem.Load(a[1], 4); ok {
			return m.At(uint32(i), e.cpuIf(m.Stride != 0))
		}
	case *maps.Hash:
		if key := e.Mem.Bytes(a[1], uint64(m.KeySize)); key != nil {
			return m.Lookup(key, e.cpuIf(m.PerCPU()))
		}
	}
	m, key := e.mapKey(c, a, "map_lookup_elem", true)
	if key == nil {
		return 0
	}
	return m.Lookup(key, e.Host.CPU())
}

// cpuIf is the current CPU if it matters.
func (e *Env) cpuIf(matters bool) int32 {
	if !matters {
		return 0
	}
	return e.Host.CPU()
}

// mapLookupPerCPU follows bpf_map_lookup_percpu_elem: a CPU that does not exist has no value.
func (e *Env) mapLookupPerCPU(c *abi.Call, a *abi.Args) uint64 {
	m, key := e.mapKey(c, a, "map_lookup_percpu_elem", false)
	if key == nil {
		return 0
	}
	if !m.Info().Type.PerCPU() {
		return wrongType(c, "map_lookup_percpu_elem", m)
	}
	if cpu := uint32(a[2]); cpu >= uint32(e.Maps.NrCPUs) {
		return 0
	}
	return m.Lookup(key, int32(a[2]))
}

// mapUpdate follows bpf_map_update_elem.
func (e *Env) mapUpdate(c *abi.Call, a *abi.Args) uint64 {
	const name = "map_update_elem"
	if m, ok := e.Maps.At(a[0]).(*maps.Hash); ok && m.Flags&maps.FlagRdonlyProg == 0 { // a short cut
		key, value := e.Mem.Bytes(a[1], uint64(m.KeySize)), e.Mem.Bytes(a[2], uint64(m.ValueSize))
		if key != nil && value != nil {
			return errno(m.Update(key, value, a[3], e.cpuIf(m.PerCPU())))
		}
	}
	m, key := e.mapKey(c, a, name, false)
	if m == nil {
		return 0
	}
	value := e.in(c, name, a[2], uint64(m.Info().ValueSize))
	if value == nil || forbidden(c, name, m) {
		return 0
	}
	return errno(m.Update(key, value, a[3], e.Host.CPU()))
}

// mapDelete follows bpf_map_delete_elem.
func (e *Env) mapDelete(c *abi.Call, a *abi.Args) uint64 {
	const name = "map_delete_elem"
	m, key := e.mapKey(c, a, name, false)
	if m == nil || forbidden(c, name, m) {
		return 0
	}
	return errno(m.Delete(key))
}

// pushable is a map that values go into without keys.
type pushable interface {
	maps.Map
	Push(value []byte, flags uint64) abi.Errno
	Pop(value []byte) abi.Errno
	Peek(value []byte) abi.Errno
}

var (
	_ pushable = (*maps.Queue)(nil)
	_ pushable = (*maps.Bloom)(nil)
)

// pushableAt resolves a queue, stack or bloom filter R1 and the value R2.
func (e *Env) pushableAt(c *abi.Call, a *abi.Args, helper string) (pushable, []byte) {
	m := e.mapAt(c, helper, a[0])
	if m == nil {
		return nil, nil
	}
	q, ok := m.(pushable)
	if !ok {
		wrongType(c, helper, m)
		return nil, nil
	}
	return q, e.in(c, helper, a[1], uint64(m.Info().ValueSize))
}

func (e *Env) mapPush(c *abi.Call, a *abi.Args) uint64 {
	q, value := e.pushableAt(c, a, "map_push_elem")
	if value == nil || forbidden(c, "map_push_elem", q) {
		return 0
	}
	return errno(q.Push(value, a[2]))
}

func (e *Env) mapTake(c *abi.Call, a *abi.Args, helper string) uint64 {
	q, value := e.pushableAt(c, a, helper)
	switch {
	case value == nil:
		return 0
	case helper == "map_peek_elem":
		return errno(q.Peek(value))
	case q.Info().Type == maps.TypeBloomFilter:
		return wrongType(c, helper, q)
	case forbidden(c, helper, q):
		return 0
	}
	return errno(q.Pop(value))
}

// forEachMapElem follows bpf_for_each_map_elem: the callback gets (map, key, value, context) and stops the walk by
// returning 1.
func (e *Env) forEachMapElem(c *abi.Call, a *abi.Args) uint64 {
	const name = "for_each_map_elem"
	m := e.mapAt(c, name, a[0])
	if m == nil {
		return 0
	}
	if a[3] != 0 {
		return errno(abi.EINVAL)
	}
	mapAddr, fn, ctx := a[0], a[1], a[2]
	n, err := m.Each(e.Host.CPU(), func(key, value uint64) bool {
		r := c.Sub(fn, abi.Args{mapAddr, key, value, ctx})
		return r == 0 && c.Fault == ""
	})
	if err != 0 {
		return wrongType(c, name, m)
	}
	return uint64(n)
}

func (e *Env) storage(c *abi.Call, a *abi.Args, helper string, want maps.Type) *maps.Storage {
	m := e.mapAt(c, helper, a[0])
	if m == nil {
		return nil
	}
	s, ok := m.(*maps.Storage)
	if !ok || s.Type != want {
		wrongType(c, helper, m)
		return nil
	}
	return s
}

// storageGet follows bpf_task_storage_get and bpf_cgrp_storage_get. The flag 1 (BPF_LOCAL_STORAGE_GET_F_CREATE) creates
// the value, as a copy of the one at R3 if that is not null.
func (e *Env) storageGet(c *abi.Call, a *abi.Args, helper string, want maps.Type) uint64 {
	s := e.storage(c, a, helper, want)
	if s == nil {
		return 0
	}
	owner, flags := a[1], a[3]
	if flags&^1 != 0 || owner == 0 {
		return 0
	}
	if at := s.Of(owner); at != 0 || flags == 0 {
		return at
	}
	if h, ok := e.Host.(abi.DyingHost); ok && want == maps.TypeCgrpStorage && h.Dying(owner) {
		return 0
	}
	if e.Mem.Bytes(owner, 8) == nil {
		c.Fault = "bpf_" + helper + ": the owner is no kernel object"
		return 0
	}
	var init []byte
	if a[2] != 0 {
		if init = e.in(c, helper, a[2], uint64(s.ValueSize)); init == nil {
			return 0
		}
	}
	return s.Create(owner, init)
}

func (e *Env) storageDelete(c *abi.Call, a *abi.Args, helper string, want maps.Type) uint64 {
	s := e.storage(c, a, helper, want)
	switch {
	case s == nil:
		return 0
	case a[1] == 0:
		return errno(abi.EINVAL)
	}
	return errno(s.DeleteOwner(a[1]))
}
