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

// mapKey resolves the map R1 and its key R2. Local storage has other helpers.
func (e *Env) mapKey(c *abi.Call, a *abi.Args, helper string) (maps.Map, []byte) {
	m := e.mapAt(c, helper, a[0])
	if m == nil {
		return nil, nil
	}
	h := m.Info()
	if h.KeySize == 0 {
		return m, nil
	}
	if _, ok := m.(*maps.Storage); ok {
		wrongType(c, helper, m)
		return nil, nil
	}
	key := e.in(c, helper, a[1], uint64(h.KeySize))
	if key == nil {
		return nil, nil
	}
	return m, key
}

// mapLookup follows bpf_map_lookup_elem. The kernel inlines lookups in arrays; here they take a short cut.
func (e *Env) mapLookup(c *abi.Call, a *abi.Args) uint64 {
	if m, ok := e.Maps.At(a[0]).(*maps.Array); ok && m.Stride == 0 {
		if i, ok := e.Mem.Load(a[1], 4); ok {
			if i >= uint64(m.MaxEntries) {
				return 0
			}
			return m.Base + i*m.Elem
		}
	}
	m, key := e.mapKey(c, a, "map_lookup_elem")
	if key == nil {
		return 0
	}
	return m.Lookup(key, e.Host.CPU())
}

// mapLookupPerCPU follows bpf_map_lookup_percpu_elem: a CPU that does not exist has no value.
func (e *Env) mapLookupPerCPU(c *abi.Call, a *abi.Args) uint64 {
	m, key := e.mapKey(c, a, "map_lookup_percpu_elem")
	if key == nil {
		return 0
	}
	if m.Info().Type != maps.TypePerCPUArray {
		return wrongType(c, "map_lookup_percpu_elem", m)
	}
	if cpu := uint32(a[2]); cpu >= uint32(e.Maps.NrCPUs) {
		return 0
	}
	return m.Lookup(key, int32(a[2]))
}

func (e *Env) mapUpdate(c *abi.Call, a *abi.Args) uint64 {
	m, key := e.mapKey(c, a, "map_update_elem")
	if m == nil {
		return 0
	}
	h := m.Info()
	value := e.in(c, "map_update_elem", a[2], uint64(h.ValueSize))
	if value == nil {
		return 0
	}
	if h.Flags&maps.FlagRdonlyProg != 0 {
		c.Fault = "bpf_map_update_elem: write into map " + h.Name + " forbidden"
		return 0
	}
	return errno(m.Update(key, value, a[3], e.Host.CPU()))
}

func (e *Env) mapDelete(c *abi.Call, a *abi.Args) uint64 {
	m, key := e.mapKey(c, a, "map_delete_elem")
	if m == nil {
		return 0
	}
	return errno(m.Delete(key))
}

// queueAt resolves a queue R1 and the value R2.
func (e *Env) queueAt(c *abi.Call, a *abi.Args, helper string) (*maps.Queue, []byte) {
	m := e.mapAt(c, helper, a[0])
	if m == nil {
		return nil, nil
	}
	q, ok := m.(*maps.Queue)
	if !ok {
		wrongType(c, helper, m)
		return nil, nil
	}
	return q, e.in(c, helper, a[1], uint64(q.ValueSize))
}

func (e *Env) mapPush(c *abi.Call, a *abi.Args) uint64 {
	q, value := e.queueAt(c, a, "map_push_elem")
	if value == nil {
		return 0
	}
	return errno(q.Push(value, a[2]))
}

func (e *Env) mapTake(c *abi.Call, a *abi.Args, helper string) uint64 {
	q, value := e.queueAt(c, a, helper)
	if value == nil {
		return 0
	}
	if helper == "map_pop_elem" {
		return errno(q.Pop(value))
	}
	return errno(q.Peek(value))
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
