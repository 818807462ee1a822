package kobj

import "fmt"

// maxCgroupDepth bounds the ancestors that a cgroup object has room for.
const maxCgroupDepth = 16

// The places of the controllers in cgroup.subsys and css_set.subsys (enum cgroup_subsys_id).
const (
	cpusetSubsys = 0
	cpuSubsys    = 1
)

// Flags of a cgroup's own css (cgroup.self.flags, CSS_*).
const (
	CSSNoRef   uint32 = 1 << 0
	CSSOnline  uint32 = 1 << 1
	CSSVisible uint32 = 1 << 3
	CSSDying   uint32 = 1 << 4
)

// refDead are the bits of percpu_count_ptr by which a killed reference count is known (__PERCPU_REF_ATOMIC_DEAD).
const refDead = 3

// cgroupOffsets are the offsets of the fields of a cgroup and of what hangs on it.
type cgroupOffsets struct {
	selfCgroup, selfParent, selfFlags, selfID, selfSerial, selfRef uint32
	level, kn, dom, ancestors, nrDesc, nrDying, subtree, subsys    uint32
	dflCgrp, cssSubsys                                             uint32
	knID, knName, knParent, knPriv                                 uint32
	tgCgroup, tgCSSParent, tgParent, tgShares                      uint32
}

// Cgroup is a view of a struct cgroup with its kernfs_node, the css_set through which its tasks point at it and the
// task_group in which the cpu controller keeps its state of it.
type Cgroup struct {
	object
	// CSSSet is the address of the css_set for task_struct.cgroups, Group that of the task_group for
	// task_struct.sched_task_group.
	CSSSet, Group uint64

	kn, css, tg object
	name        uint64
	nameLen     uint64
}

// NewCgroup allocates a cgroup with that name and id (kn->id) below parent; a zero parent makes a root. It is online.
func NewCgroup(m Memory, l *Layout, parent Cgroup, name string, id uint64) (Cgroup, error) {
	var level int32
	if parent.Valid() {
		if level = parent.Level() + 1; level >= maxCgroupDepth {
			return Cgroup{}, fmt.Errorf("cgroup %q: deeper than %d levels", name, maxCgroupDepth)
		}
	}
	var c Cgroup
	for _, o := range []struct {
		obj *object
		typ int
	}{{&c.object, cgroupStruct}, {&c.kn, kernfsNode}, {&c.css, cssSetStruct}, {&c.tg, taskGroup}} {
		var err error
		if *o.obj, err = newObject(m, l, l.sizes[o.typ]); err != nil {
			return Cgroup{}, err
		}
	}
	c.nameLen = uint64(len(name) + 1)
	text, b, err := m.Alloc(c.nameLen, 8)
	if err != nil {
		return Cgroup{}, err
	}
	copy(b, name)
	c.name, c.CSSSet, c.Group = text, c.css.Addr, c.tg.Addr
	c.kn.setU64(l.cg.knID, id)
	c.kn.setU64(l.cg.knName, text)
	c.kn.setU64(l.cg.knPriv, c.Addr)
	c.css.setU64(l.cg.dflCgrp, c.Addr)
	c.css.setU64(l.cg.cssSubsys+8*cpuSubsys, c.tg.Addr) // a task_group begins with its css
	c.setU64(l.cg.subsys+8*cpuSubsys, c.tg.Addr)
	c.setU64(l.cg.selfCgroup, c.Addr)
	c.setU32(l.cg.selfID, 0)
	c.setU64(l.cg.selfSerial, id)
	c.setI32(l.cg.level, level)
	c.setU64(l.cg.kn, c.kn.Addr)
	c.setU64(l.cg.dom, c.Addr)
	c.setU16(l.cg.subtree, 1<<cpusetSubsys|1<<cpuSubsys)
	c.tg.setU64(l.cg.tgCgroup, c.Addr)
	c.SetShares(1024 << 10)
	flags := CSSOnline | CSSVisible
	if parent.Valid() {
		c.setU64(l.cg.selfParent, parent.Addr) // self is the first member: a css and its cgroup share an address
		c.kn.setU64(l.cg.knParent, parent.kn.Addr)
		c.tg.setU64(l.cg.tgCSSParent, parent.tg.Addr)
		c.tg.setU64(l.cg.tgParent, parent.tg.Addr)
		copy(c.words(l.cg.ancestors, int(level)), parent.words(l.cg.ancestors, int(level)))
	} else {
		flags |= CSSNoRef
	}
	c.SetFlags(flags)
	c.words(l.cg.ancestors, int(level)+1)[level] = c.Addr
	return c, nil
}

// Free gives everything that NewCgroup allocated back to m.
func (c Cgroup) Free(m Memory) {
	m.Free(c.name, c.nameLen)
	m.Free(c.tg.Addr, uint64(c.l.sizes[taskGroup]))
	m.Free(c.css.Addr, uint64(c.l.sizes[cssSetStruct]))
	m.Free(c.kn.Addr, uint64(c.l.sizes[kernfsNode]))
	m.Free(c.Addr, uint64(c.l.sizes[cgroupStruct]))
}

// Level is the cgroup's depth; a root has 0.
func (c Cgroup) Level() int32 { return c.i32(c.l.cg.level) }

// ID is the cgroup's id (kn->id).
func (c Cgroup) ID() uint64 { return c.kn.u64(c.l.cg.knID) }

// Flags is cgroup.self.flags (CSS_*).
func (c Cgroup) Flags() uint32     { return c.u32(c.l.cg.selfFlags) }
func (c Cgroup) SetFlags(v uint32) { c.setU32(c.l.cg.selfFlags, v) }

// Kill marks the cgroup as removed: it is offline, and its reference count is killed (cgroup_destroy_locked).
func (c Cgroup) Kill() {
	c.SetFlags(c.Flags()&^CSSOnline | CSSDying)
	c.setU64(c.l.cg.selfRef, refDead)
}

// NrDescendants and NrDying are the numbers of live and of removed cgroups below this one.
func (c Cgroup) NrDescendants() int32     { return c.i32(c.l.cg.nrDesc) }
func (c Cgroup) SetNrDescendants(v int32) { c.setI32(c.l.cg.nrDesc, v) }
func (c Cgroup) NrDying() int32           { return c.i32(c.l.cg.nrDying) }
func (c Cgroup) SetNrDying(v int32)       { c.setI32(c.l.cg.nrDying, v) }

// Shares is task_group.shares: the load weight of the group, 1<<20 for cpu.weight 100.
func (c Cgroup) Shares() uint64     { return c.tg.u64(c.l.cg.tgShares) }
func (c Cgroup) SetShares(v uint64) { c.tg.setU64(c.l.cg.tgShares, v) }

// NewMM allocates what task_struct.mm points at. Nothing in it is modelled: programs compare its address.
func NewMM(m Memory, l *Layout) (addr uint64, err error) {
	o, err := newObject(m, l, l.sizes[mmStruct])
	return o.Addr, err
}

// FreeMM gives back what NewMM returned.
func FreeMM(m Memory, l *Layout, addr uint64) { m.Free(addr, uint64(l.sizes[mmStruct])) }
