package helpers

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// rootCgroup is the id of the root, where all tasks are unless the host says otherwise.
const rootCgroup = 1

func (e *Env) cgroupRows() []row {
	return []row{
		{"get_current_cgroup_id", e.currentCgroup},
		{"get_current_ancestor_cgroup_id", e.ancestorCgroup},
		{"current_task_under_cgroup", e.underCgroup},
		{"get_cgroup_classid", func(*abi.Call, *abi.Args) uint64 { return 0 }}, // no class was ever set
	}
}

func (e *Env) currentCgroup(*abi.Call, *abi.Args) uint64 {
	if h, ok := e.Host.(abi.CgroupHost); ok {
		return h.CurrentCgroupID()
	}
	return rootCgroup
}

// ancestorCgroup follows bpf_get_current_ancestor_cgroup_id: 0 if there is no ancestor at the level.
func (e *Env) ancestorCgroup(_ *abi.Call, a *abi.Args) uint64 {
	level := int32(a[0])
	if h, ok := e.Host.(abi.CgroupHost); ok && level >= 0 {
		return h.AncestorCgroupID(level)
	}
	if level == 0 {
		return rootCgroup
	}
	return 0
}

// underCgroup follows bpf_current_task_under_cgroup: R2 is an index in the cgroup_array R1.
func (e *Env) underCgroup(c *abi.Call, a *abi.Args) uint64 {
	const name = "current_task_under_cgroup"
	m := e.mapAt(c, name, a[0])
	if m == nil {
		return 0
	}
	arr, ok := m.(*maps.FDArray)
	if !ok || arr.Type != maps.TypeCgroupArray {
		return wrongType(c, name, m)
	}
	cgroup, ok := arr.Object(uint64(uint32(a[1])))
	switch h, cgroups := e.Host.(abi.CgroupHost); {
	case !ok:
		return errno(abi.E2BIG)
	case cgroup == 0:
		return errno(abi.EAGAIN)
	case !cgroups || h.UnderCgroup(cgroup): // without cgroups only the root can be there
		return 1
	}
	return 0
}
