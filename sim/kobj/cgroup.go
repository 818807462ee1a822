package kobj

import "fmt"

// maxCgroupDepth bounds the ancestors that a cgroup object has room for.
const maxCgroupDepth = 16

// cgroupOffsets are the offsets of the fields of a cgroup and of what hangs on it.
type cgroupOffsets struct {
	selfCgroup, selfParent, level, kn, dom, ancestors uint32
	dflCgrp, knID, knName                             uint32
}

// Cgroup is a view of a struct cgroup with its kernfs_node and the css_set through which its tasks point at it.
type Cgroup struct {
	object
	// CSSSet is the address of the css_set for task_struct.cgroups.
	CSSSet uint64
}

// NewCgroup allocates a cgroup with that name and id (kn->id) below parent; a zero parent makes a root.
func NewCgroup(m Memory, l *Layout, parent Cgroup, name string, id uint64) (Cgroup, error) {
	var level int32
	if parent.Valid() {
		if level = parent.Level() + 1; level >= maxCgroupDepth {
			return Cgroup{}, fmt.Errorf("cgroup %q: deeper than %d levels", name, maxCgroupDepth)
		}
	}
	o, err := newObject(m, l, l.sizes[cgroupStruct])
	if err != nil {
		return Cgroup{}, err
	}
	kn, err := newObject(m, l, l.sizes[kernfsNode])
	if err != nil {
		return Cgroup{}, err
	}
	css, err := newObject(m, l, l.sizes[cssSetStruct])
	if err != nil {
		return Cgroup{}, err
	}
	text, b, err := m.Alloc(uint64(len(name)+1), 8)
	if err != nil {
		return Cgroup{}, err
	}
	copy(b, name)
	kn.setU64(l.cg.knID, id)
	kn.setU64(l.cg.knName, text)
	css.setU64(l.cg.dflCgrp, o.Addr)
	o.setU64(l.cg.selfCgroup, o.Addr)
	o.setI32(l.cg.level, level)
	o.setU64(l.cg.kn, kn.Addr)
	o.setU64(l.cg.dom, o.Addr)
	if parent.Valid() {
		o.setU64(l.cg.selfParent, parent.Addr) // self is the first member: a css and its cgroup share an address
		copy(o.words(l.cg.ancestors, int(level)), parent.words(l.cg.ancestors, int(level)))
	}
	o.words(l.cg.ancestors, int(level)+1)[level] = o.Addr
	return Cgroup{object: o, CSSSet: css.Addr}, nil
}

// Level is the cgroup's depth; a root has 0.
func (c Cgroup) Level() int32 { return c.i32(c.l.cg.level) }

// NewMM allocates what task_struct.mm points at. Nothing in it is modelled: programs compare its address.
func NewMM(m Memory, l *Layout) (addr uint64, err error) {
	o, err := newObject(m, l, l.sizes[mmStruct])
	return o.Addr, err
}

// FreeMM gives back what NewMM returned.
func FreeMM(m Memory, l *Layout, addr uint64) { m.Free(addr, uint64(l.sizes[mmStruct])) }
