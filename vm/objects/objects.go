package objects

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// Layout says what an object consists of.
type Layout struct {
	Size uint64
	// Fields are its special fields by offset (struct btf_record).
	Fields []maps.Field
}

// Config is what a Table needs of the world.
type Config struct {
	Mem abi.Memory
	// Layout finds a type of the programs by its number in their BTF.
	Layout func(typeID uint64) (*Layout, error)
	// NrCPUs is the number of copies that a per-CPU object has.
	NrCPUs int32
	// DropKptr releases the reference that a field held when its object goes away; nil: nothing needs to be done.
	DropKptr func(f maps.Field, ptr uint64)
}

// Table is the objects of one set of programs.
type Table struct {
	c       Config
	objects map[uint64]*object // by address; looked up, and sorted before it is walked
	nodes   map[uint64]*node   // by address
	roots   map[uint64]*root   // by address: trees and lists that are not empty
	percpu  map[uint64]uint64  // objects with a copy per CPU: the size of each
}

// object is one allocation.
type object struct {
	addr   uint64
	layout *Layout
	refs   int64
	nodes  []*node
}

// node is a bpf_rb_node or bpf_list_node of an object. One that is in a tree or list has an owner.
type node struct {
	addr  uint64
	kind  maps.FieldKind
	in    *object
	owner *root
	// In a tree these are the parent and the children; in a list, left and right are the neighbours.
	parent, left, right *node
	red                 bool
}

// root is a bpf_rb_root or bpf_list_head that is not empty.
type root struct {
	addr uint64
	kind maps.FieldKind
	// top is the root of a tree; first and last are the ends of a list.
	top, first, last *node
	// version counts changes of a tree.
	version uint64
}

// New makes an empty table.
func New(c Config) *Table {
	return &Table{c: c, objects: map[uint64]*object{}, nodes: map[uint64]*node{}, roots: map[uint64]*root{}, percpu: map[uint64]uint64{}}
}

// NewObject is bpf_obj_new(u64 local_type_id__k).
func (t *Table) NewObject(c *abi.Call, a *abi.Args) uint64 {
	l, err := t.c.Layout(a[0])
	if err != nil {
		c.Fault = err.Error()
		return 0
	}
	addr, _, err := t.c.Mem.Alloc(l.Size, 8)
	if err != nil {
		return 0
	}
	o := &object{addr: addr, layout: l, refs: 1}
	for _, f := range l.Fields {
		if f.Kind == maps.RBNode || f.Kind == maps.ListNode {
			n := &node{addr: addr + uint64(f.Off), kind: f.Kind, in: o}
			o.nodes = append(o.nodes, n)
			t.nodes[n.addr] = n
		}
	}
	t.objects[addr] = o
	return addr
}

// find returns the object that the first register points to; nil after a fault.
func (t *Table) find(c *abi.Call, a *abi.Args) *object {
	o := t.objects[a[0]]
	if o == nil {
		c.Fault = fmt.Sprintf("argument 1: %#x is no object of bpf_obj_new", a[0])
	}
	return o
}

// Drop is bpf_obj_drop(void *p__alloc).
func (t *Table) Drop(c *abi.Call, a *abi.Args) uint64 {
	if o := t.find(c, a); o != nil {
		t.put(o)
	}
	return 0
}

// DropAt drops a reference to the object at addr; false: there is none.
func (t *Table) DropAt(addr uint64) bool {
	o := t.objects[addr]
	if o != nil {
		t.put(o)
	}
	return o != nil
}

// Acquire is bpf_refcount_acquire(void *p__refcounted_kptr).
func (t *Table) Acquire(c *abi.Call, a *abi.Args) uint64 {
	o := t.find(c, a)
	if o == nil {
		return 0
	}
	if !o.refcounted() {
		c.Fault = fmt.Sprintf("argument 1: the object at %#x has no bpf_refcount", a[0])
		return 0
	}
	o.refs++
	return a[0]
}

func (o *object) refcounted() bool {
	return slices.ContainsFunc(o.layout.Fields, func(f maps.Field) bool { return f.Kind == maps.Refcount })
}

// put follows __bpf_obj_drop_impl: the last reference frees the object and what its fields hold. An object that is in a
// tree or list leaves it, which the verifier makes sure cannot happen.
func (t *Table) put(o *object) {
	if o.refs--; o.refs > 0 {
		return
	}
	delete(t.objects, o.addr)
	for _, n := range o.nodes {
		t.unlink(n)
		delete(t.nodes, n.addr)
	}
	for _, f := range o.layout.Fields {
		at := o.addr + uint64(f.Off)
		switch f.Kind {
		case maps.ListHead, maps.RBRoot:
			t.DropAll(at)
		case maps.KptrRef, maps.KptrPerCPU:
			if p := load(t.c.Mem, at); p != 0 && !t.DropAt(p) && !t.DropPerCPUAt(p) && t.c.DropKptr != nil {
				t.c.DropKptr(f, p)
			}
		}
	}
	t.c.Mem.Free(o.addr, o.layout.Size)
}

// DropAll empties the tree or list at addr and drops its objects (bpf_rb_root_free, bpf_list_head_free).
func (t *Table) DropAll(addr uint64) {
	r := t.roots[addr]
	if r == nil {
		return
	}
	// A node that is taken out of the table's sight stays linked, so that the order of the walk holds.
	var order []*node
	if r.kind == maps.RBRoot {
		order = postorder(order, r.top)
	} else {
		for n := r.first; n != nil; n = n.right {
			order = append(order, n)
		}
	}
	for _, n := range order {
		n.owner, n.parent, n.left, n.right = nil, nil, nil, nil
	}
	delete(t.roots, addr)
	for _, n := range order {
		t.put(n.in)
	}
}

// NewPerCPU is bpf_percpu_obj_new(u64 local_type_id__k).
func (t *Table) NewPerCPU(c *abi.Call, a *abi.Args) uint64 {
	l, err := t.c.Layout(a[0])
	switch {
	case err != nil:
		c.Fault = err.Error()
		return 0
	case len(l.Fields) > 0:
		c.Fault = fmt.Sprintf("type %d has special fields, which per-CPU objects must not have", a[0])
		return 0
	}
	size := (l.Size + 7) &^ 7
	addr, _, err := t.c.Mem.Alloc(size*uint64(t.c.NrCPUs), 8)
	if err != nil {
		return 0
	}
	t.percpu[addr] = size
	return addr
}

// DropPerCPU is bpf_percpu_obj_drop(void *p__alloc).
func (t *Table) DropPerCPU(c *abi.Call, a *abi.Args) uint64 {
	if !t.DropPerCPUAt(a[0]) {
		c.Fault = fmt.Sprintf("argument 1: %#x is no object of bpf_percpu_obj_new", a[0])
	}
	return 0
}

// DropPerCPUAt drops the per-CPU object at addr; false: there is none.
func (t *Table) DropPerCPUAt(addr uint64) bool {
	size, ok := t.percpu[addr]
	if ok {
		delete(t.percpu, addr)
		t.c.Mem.Free(addr, size*uint64(t.c.NrCPUs))
	}
	return ok
}

// PerCPU is the address of a CPU's copy of the per-CPU object at addr; false: there is none.
func (t *Table) PerCPU(addr uint64, cpu int32) (uint64, bool) {
	size, ok := t.percpu[addr]
	return addr + size*uint64(cpu), ok
}

// Len is the number of objects.
func (t *Table) Len() int { return len(t.objects) + len(t.percpu) }

// Close frees all objects, in the order of their addresses so that the memory is given back in the same order each time.
func (t *Table) Close() {
	free := map[uint64]uint64{}
	var addrs []uint64
	for addr, o := range t.objects {
		free[addr] = o.layout.Size
		addrs = append(addrs, addr)
	}
	for addr, size := range t.percpu {
		free[addr] = size * uint64(t.c.NrCPUs)
		addrs = append(addrs, addr)
	}
	slices.Sort(addrs)
	for _, addr := range addrs {
		t.c.Mem.Free(addr, free[addr])
	}
	clear(t.objects)
	clear(t.nodes)
	clear(t.roots)
	clear(t.percpu)
}

func load(m abi.Memory, addr uint64) (v uint64) {
	for i, b := range m.Bytes(addr, 8) {
		v |= uint64(b) << (8 * i)
	}
	return v
}
