package enginetest

import (
	"math/bits"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// HelperUpdate changes values in the Tables of keys: with R4 = 0 or 2, those of keys that are there; otherwise, and for other
// keys, it returns a number that depends on all arguments.
const HelperUpdate = 15

// HelperPerCPU returns the place of the processor R2 in Variable, 0 where there is none, HelperThisCPU that of the current one.
const (
	HelperPerCPU  = 16
	HelperThisCPU = 17
)

// Variable is in the memory at data, with 4 copies of 24 bytes.
func Variable(data uint64) uint64 { return data + 80 }

// variable adds the helpers for Variable.
func (e Inlining) variable(env *engine.Env, data uint64) {
	const stride, cpus = 24, 4
	at := Variable(data)
	copyOf := func(c *abi.Call, a *abi.Args, cpu uint32) uint64 {
		switch {
		case a[0] != at:
			c.Fault = "bad variable"
			return 0
		case cpu >= cpus:
			return 0
		}
		return at + uint64(cpu)*stride
	}
	env.Helpers = append(env.Helpers[:HelperPerCPU:HelperPerCPU],
		func(c *abi.Call, a *abi.Args) uint64 { return copyOf(c, a, uint32(a[1])) },
		func(c *abi.Call, a *abi.Args) uint64 { return copyOf(c, a, uint32(c.Host.CPU())) })
	cpu := &abi.Word{Ask: func() uint64 { return uint64(uint32(env.Call.Host.CPU())) }}
	env.Inline.Pointers = []engine.Pointer{
		{Helper: HelperPerCPU, R1: at, Code: &abi.Inline{Code: []ir.Insn{{Op: ir.Mov64K}, {Op: ir.JGe32K, Dst: 2, Imm: cpus, Target: 5},
			{Op: ir.Mov32X, Src: 2}, {Op: ir.Mul64K, Imm: stride}, {Op: ir.Add64X, Src: 1}}}},
		{Helper: HelperThisCPU, R1: at, Code: &abi.Inline{Word: cpu, Code: []ir.Insn{{Op: ir.Ld64, Src: abi.WordReg}, {Op: ir.Mul64K, Imm: stride}, {Op: ir.Add64X, Src: 1}}}},
	}
}

// HelperStorage looks an owner up in the last of the Tables and adds one for which there is room.
const HelperStorage = 14

// Tables are maps in the memory at data whose keys are small numbers: of 4 bytes, of 8 bytes for two CPUs, and of owners.
func Tables(data uint64) []engine.Table {
	return []engine.Table{
		{Map: data + 56, Key: 4, Seed: 5, Value: 8, Size: 64, Plain: true},
		{Map: data + 64, Key: 8, Seed: 7 << 40, Value: 8, Size: 8, CPUs: 2, Stride: 8, Plain: true},
		{Map: data + 72, Storage: HelperStorage, Size: 8},
	}
}

func mix(v uint64) uint64 {
	hi, lo := bits.Mul64(v^abi.HashXor, abi.HashMul)
	return hi ^ lo
}

// table is a Table as its helper sees it.
type table struct {
	engine.Table
	env *engine.Env
}

func (t *table) insert(key, addr uint64) {
	h := mix(t.Seed ^ key)
	if t.Key == 8 {
		h = mix(h)
	}
	x := t.Index
	b := &x.Buckets[uint32(h)&uint32(len(x.Buckets)-1)]
	x.Elems = append(x.Elems, abi.IndexElem{Next: *b, Hash: uint32(h), Addr: addr, Key: key})
	*b = int32(len(x.Elems) - 1)
}

// find returns the place of the key in the index, -1 if it is not there.
func (t *table) find(key uint64) int {
	return slices.IndexFunc(t.Index.Elems, func(e abi.IndexElem) bool { return e.Key == key })
}

func (t *table) lookup(c *abi.Call, a *abi.Args) uint64 {
	key, ok := t.env.Mem.Load(a[1], int(t.Key))
	if !ok {
		c.Fault = "bad key"
		return 0
	}
	i, cpu := t.find(key), uint64(uint32(c.Host.CPU()))
	switch {
	case i < 0, t.CPUs != 0 && cpu >= uint64(t.CPUs):
		return 0
	case t.CPUs == 0:
		cpu = 0
	}
	return t.Index.Elems[i].Addr + t.Value + cpu*t.Stride
}

// tables makes the Tables of a world, the memory of whose elements lies behind that of the Arrays.
func (e Inlining) tables(env *engine.Env, data uint64) []*table {
	var list []*table
	at := data + 3072
	for _, spec := range Tables(data) {
		spec.Index = &abi.Index{Buckets: []int32{-1, -1}}
		t := &table{spec, env}
		if t.Storage == 0 {
			for key := range uint64(6) {
				env.Mem.Store(at, 8, key)
				t.insert(key, at)
				at += t.Value + max(t.Size, t.Stride*uint64(t.CPUs))
			}
			env.Mem.Store(t.Index.Elems[5].Addr, 8, 77) // a key that a program has written over
		}
		list = append(list, t)
		env.Inline.Tables = append(env.Inline.Tables, t.Table)
	}
	env.Inline.Update = HelperUpdate
	t := list[len(list)-1]
	env.Helpers = append(env.Helpers[:HelperStorage:HelperStorage], func(c *abi.Call, a *abi.Args) uint64 {
		owner, init, flags := a[1], a[2], a[3]
		if a[0] != t.Map {
			c.Fault = "bad map"
			return 0
		}
		if flags&^1 != 0 || owner == 0 {
			return 0
		}
		if i := t.find(owner); i >= 0 {
			return t.Index.Elems[i].Addr
		}
		n := uint64(len(t.Index.Elems))
		if flags == 0 || n == 8 {
			return 0
		}
		addr := data + 3712 + n*8
		env.Mem.Store(addr, 8, init)
		t.insert(owner, addr)
		if n == 4 { // more buckets
			old := t.Index.Elems
			*t.Index = abi.Index{Buckets: []int32{-1, -1, -1, -1}}
			for _, e := range old {
				t.insert(e.Key, e.Addr)
			}
		}
		return addr
	}, func(c *abi.Call, a *abi.Args) uint64 {
		for _, t := range list[:2] {
			if t.Map != a[0] {
				continue
			}
			at := t.lookup(c, a)
			value := env.Mem.Bytes(a[2], t.Size)
			if value == nil {
				c.Fault = "bad value"
			}
			if at == 0 || a[3]&^2 != 0 || c.Fault != "" {
				return fold(&abi.Args{a[0], a[1], a[2], a[3]})
			}
			copy(env.Mem.Bytes(at, t.Size), value)
			return 0
		}
		c.Fault = "bad map"
		return 0
	})
	return list
}
