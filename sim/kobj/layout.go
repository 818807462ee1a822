package kobj

import (
	"fmt"
	"strings"
)

// MaxCPUs is the number of bits of a cpumask in the compact layout, and the most that a machine can have.
const MaxCPUs = 8192

// Layout holds the offsets of the fields that the machine itself reads and writes. It does not change once built.
type Layout struct {
	task  taskOffsets
	rq    rqOffsets
	cg    cgroupOffsets
	sizes [len(structs)]uint32

	maskBytes uint32 // of a cpumask
	maskWords int    // of a cpumask that are in use: the machine's CPUs
}

// structs are the types of which objects are allocated; Layout.sizes is in this order.
var structs = [...]string{"task_struct", "rq", "cgroup", "css_set", "kernfs_node", "mm_struct", "task_group"}

const (
	taskStruct = iota
	rqStruct
	cgroupStruct
	cssSetStruct
	kernfsNode
	mmStruct
	taskGroup
)

// need says what becomes of a field that a kernel does not have.
type need uint8

const (
	required need = iota
	// optional fields that are absent are kept behind the end of the struct, where no program looks.
	optional
)

// field ties a path to the place where Layout keeps its offset.
type field struct {
	path string
	size uint32 // bytes; 0: a struct or array of any size
	off  *uint32
	need need
}

// fields is the list of everything the views can read or write. The compact layout lays them out in this order.
func (l *Layout) fields() []field {
	t, r, c := &l.task, &l.rq, &l.cg
	return []field{
		{"task_struct.thread_info.cpu", 4, &t.cpu, required},
		{"task_struct.__state", 4, &t.state, required},
		{"task_struct.flags", 4, &t.flags, required},
		{"task_struct.on_cpu", 0, &t.onCPU, required}, // u8 in 7.2, int before: the low byte is enough
		{"task_struct.on_rq", 0, &t.onRQ, required},
		{"task_struct.recent_used_cpu", 4, &t.recentCPU, required},
		{"task_struct.wake_cpu", 4, &t.wakeCPU, required},
		{"task_struct.prio", 4, &t.prio, required},
		{"task_struct.static_prio", 4, &t.staticPrio, required},
		{"task_struct.normal_prio", 4, &t.normalPrio, required},
		{"task_struct.rt_priority", 4, &t.rtPriority, required},
		{"task_struct.policy", 4, &t.policy, required},
		{"task_struct.nr_cpus_allowed", 4, &t.nrCPUs, required},
		{"task_struct.migration_disabled", 2, &t.migrationDisabled, required},
		{"task_struct.pid", 4, &t.pid, required},
		{"task_struct.tgid", 4, &t.tgid, required},
		{"task_struct.comm", 16, &t.comm, required},
		{"task_struct.cpus_ptr", 8, &t.cpusPtr, required},
		{"task_struct.real_parent", 8, &t.realParent, required},
		{"task_struct.parent", 8, &t.parent, required},
		{"task_struct.group_leader", 8, &t.groupLeader, required},
		{"task_struct.mm", 8, &t.mm, required},
		{"task_struct.cgroups", 8, &t.cgroups, required},
		{"task_struct.sched_task_group", 8, &t.taskGroup, required},
		{"task_struct.nvcsw", 8, &t.nvcsw, required},
		{"task_struct.nivcsw", 8, &t.nivcsw, required},
		{"task_struct.start_time", 8, &t.startTime, required},
		{"task_struct.start_boottime", 8, &t.startBoottime, required},
		{"task_struct.utime", 8, &t.utime, required},
		{"task_struct.se.sum_exec_runtime", 8, &t.sumExec, required},
		{"task_struct.se.exec_start", 8, &t.execStart, required},
		{"task_struct.se.load.weight", 8, &t.loadWeight, required},
		{"task_struct.scx.sched", 8, &t.scxSched, optional},
		{"task_struct.scx.dsq", 8, &t.scxDSQ, required},
		{"task_struct.scx.ops_state", 8, &t.scxOpsState, required},
		{"task_struct.scx.ddsp_dsq_id", 8, &t.scxDdspDSQID, required},
		{"task_struct.scx.ddsp_enq_flags", 8, &t.scxDdspEnqFlags, required},
		{"task_struct.scx.dsq_seq", 4, &t.scxDSQSeq, optional},
		{"task_struct.scx.dsq_flags", 4, &t.scxDSQFlags, required},
		{"task_struct.scx.flags", 4, &t.scxFlags, required},
		{"task_struct.scx.weight", 4, &t.scxWeight, required},
		{"task_struct.scx.sticky_cpu", 4, &t.scxStickyCPU, required},
		{"task_struct.scx.holding_cpu", 4, &t.scxHoldingCPU, required},
		{"task_struct.scx.selected_cpu", 4, &t.scxSelectedCPU, optional},
		{"task_struct.scx.runnable_at", 8, &t.scxRunnableAt, required},
		{"task_struct.scx.tid", 8, &t.scxTID, optional},
		{"task_struct.scx.slice", 8, &t.scxSlice, required},
		{"task_struct.scx.dsq_vtime", 8, &t.scxDSQVtime, required},
		{"task_struct.scx.cgrp_moving_from", 8, &t.scxMovingFrom, optional},
		{"task_struct.scx.disallow", 1, &t.scxDisallow, required},
		{"task_struct.cpus_mask", 0, &t.cpusMask, required},

		{"rq.nr_running", 4, &r.nrRunning, required},
		{"rq.cpu", 4, &r.cpu, required},
		{"rq.curr", 8, &r.curr, required},
		{"rq.idle", 8, &r.idle, required},
		{"rq.nr_switches", 8, &r.nrSwitches, required},
		{"rq.clock", 8, &r.clock, required},
		{"rq.clock_task", 8, &r.clockTask, required},
		{"rq.clock_pelt", 8, &r.clockPelt, required},
		{"rq.scx.flags", 4, &r.scxFlags, required},
		{"rq.scx.nr_running", 4, &r.scxNrRunning, required},
		{"rq.scx.cpu_released", 1, &r.scxCPUReleased, optional},

		{"cgroup.self.cgroup", 8, &c.selfCgroup, required},
		{"cgroup.self.parent", 8, &c.selfParent, required},
		{"cgroup.self.refcnt.percpu_count_ptr", 8, &c.selfRef, optional},
		{"cgroup.self.serial_nr", 8, &c.selfSerial, optional},
		{"cgroup.self.id", 4, &c.selfID, required},
		{"cgroup.self.flags", 4, &c.selfFlags, required},
		{"cgroup.level", 4, &c.level, required},
		{"cgroup.nr_descendants", 4, &c.nrDesc, required},
		{"cgroup.nr_dying_descendants", 4, &c.nrDying, required},
		{"cgroup.subtree_control", 0, &c.subtree, required}, // u16 before 7.0: the low half is enough
		{"cgroup.kn", 8, &c.kn, required},
		{"cgroup.dom_cgrp", 8, &c.dom, required},
		{"cgroup.subsys", 0, &c.subsys, required},
		{"css_set.dfl_cgrp", 8, &c.dflCgrp, required},
		{"css_set.subsys", 0, &c.cssSubsys, required},
		{"kernfs_node.id", 8, &c.knID, required},
		{"kernfs_node.name", 8, &c.knName, required},
		{"kernfs_node.__parent", 8, &c.knParent, optional}, // "parent" in older kernels
		{"kernfs_node.priv", 8, &c.knPriv, optional},
		{"task_group.css.cgroup", 8, &c.tgCgroup, required},
		{"task_group.css.parent", 8, &c.tgCSSParent, required},
		{"task_group.parent", 8, &c.tgParent, required},
		{"task_group.shares", 8, &c.tgShares, required},
		{"cgroup.ancestors", 0, &c.ancestors, required},
	}
}

// NewLayout reads the offsets from src; a missing field is an error that names it.
func NewLayout(src Source) (*Layout, error) {
	l := &Layout{}
	ends := l.sizes[:]
	for i, name := range structs {
		size, ok := src.SizeOf(name)
		if !ok {
			if i == mmStruct {
				size = 64 // only its address is used
			} else {
				return nil, fmt.Errorf("kernel types: no struct %s", name)
			}
		}
		ends[i] = (size + 7) &^ 7
	}
	for _, f := range l.fields() {
		off, size, ok := src.Field(f.path)
		s := structOf(f.path)
		switch {
		case ok && f.size != 0 && size != f.size:
			return nil, fmt.Errorf("kernel types: %s has %d bytes, want %d", f.path, size, f.size)
		case ok:
			*f.off = off
		case f.need == optional:
			*f.off = ends[s]
			ends[s] += 8
		default:
			return nil, fmt.Errorf("kernel types: no field %s", f.path)
		}
		if *f.off+f.size > ends[s] {
			return nil, fmt.Errorf("kernel types: %s ends at byte %d of a struct of %d", f.path, *f.off+f.size, ends[s])
		}
		if f.path == "task_struct.cpus_mask" {
			l.maskBytes = size
		}
	}
	// A cgroup's ancestors are a flexible array.
	ends[cgroupStruct] = max(ends[cgroupStruct], l.cg.ancestors) + 8*maxCgroupDepth
	if l.maskBytes == 0 || l.maskBytes%8 != 0 || l.maskBytes > MaxCPUs/8 {
		return nil, fmt.Errorf("kernel types: task_struct.cpus_mask has %d bytes, want a multiple of 8 up to %d", l.maskBytes, MaxCPUs/8)
	}
	l.maskWords = int(l.maskBytes / 8)
	return l, nil
}

// Compact is a small layout for machines on which no BPF program runs: the fields that the views know, and no others.
func Compact() *Layout { return compact(MaxCPUs) }

// compact is Compact with masks for the given number of CPUs.
func compact(cpus int) *Layout {
	l := &Layout{maskWords: (cpus + 63) / 64}
	l.maskBytes = uint32(8 * l.maskWords)
	for _, f := range l.fields() {
		s := structOf(f.path)
		size := f.size
		switch f.path {
		case "task_struct.cpus_mask":
			size = l.maskBytes
		case "task_struct.on_cpu", "task_struct.on_rq":
			size = 1
		case "cgroup.subtree_control":
			size = 4
		case "cgroup.ancestors":
			size = 8 * maxCgroupDepth
		case "cgroup.subsys", "css_set.subsys":
			size = 8 * (cpuSubsys + 1)
		}
		align := min(size, 8)
		*f.off = (l.sizes[s] + align - 1) &^ (align - 1)
		l.sizes[s] = *f.off + size
	}
	l.sizes[mmStruct] = 8
	for i := range l.sizes {
		l.sizes[i] = (l.sizes[i] + 7) &^ 7
	}
	return l
}

// structOf returns the index in structs of the type that a path begins with.
func structOf(path string) int {
	name, _, _ := strings.Cut(path, ".")
	for i, s := range structs {
		if s == name {
			return i
		}
	}
	panic("BUG: no struct for field " + path)
}

// ForCPUs returns l with cpumasks used up to the word of the last of n CPUs; their size and place do not change. A nil
// l means a compact layout for n CPUs.
func (l *Layout) ForCPUs(n int) (*Layout, error) {
	if l == nil {
		return compact(n), nil
	}
	if most := int(l.maskBytes) * 8; n > most {
		return nil, fmt.Errorf("%d CPUs: a cpumask of this kernel has %d bits", n, most)
	}
	c := *l
	c.maskWords = (n + 63) / 64
	return &c, nil
}

// MaskBytes is the size of a cpumask.
func (l *Layout) MaskBytes() int { return int(l.maskBytes) }

// TaskSize is the size of a task_struct.
func (l *Layout) TaskSize() int { return int(l.sizes[taskStruct]) }
