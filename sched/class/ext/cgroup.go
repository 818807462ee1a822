package ext

import (
	"errors"
	"math"

	"github.com/schedsim/schedsim/ops"
)

// The machine has one cgroup, the root, which all tasks are in and which does not change: a policy is told of it when it
// comes and when it goes, and of no other cgroup ever. A task that a workload puts into a cgroup of its own is refused
// under a policy that asks about cgroups, because the policy would not see it.

var errCgroup = errors.New("a policy with cgroup callbacks and a task in a cgroup of its own: not modelled")

// defaultBWPeriodUS is default_bw_period_us.
const defaultBWPeriodUS = 100_000

// hasCgroupOps tells whether the policy asks about cgroups.
func hasCgroupOps(t *ops.Table) bool {
	return t.CgroupInit != nil || t.CgroupExit != nil || t.CgroupPrepMove != nil || t.CgroupMove != nil ||
		t.CgroupCancelMove != nil || t.CgroupSetWeight != nil || t.CgroupSetBandwidth != nil || t.CgroupSetIdle != nil
}

// cgroupInit follows scx_cgroup_init.
func (k *Kernel) cgroupInit() int32 {
	k.cgroups = true
	if k.sch.ops.CgroupInit == nil {
		return 0
	}
	root := k.m.RootCgroup().Addr
	f := k.enter(ops.CgroupInit, nil, nil, nil, root)
	ret := k.sch.ops.CgroupInit(root, &ops.CgroupInitArgs{Weight: 100, PeriodUS: defaultBWPeriodUS, QuotaUS: math.MaxUint64})
	k.leave(f)
	if ret != 0 {
		k.cgroups = false
		k.scxError("ops.cgroup_init() failed (%d)", ret)
	}
	return ret
}

// cgroupExit follows scx_cgroup_exit.
func (k *Kernel) cgroupExit() {
	if !k.cgroups {
		return
	}
	k.cgroups = false
	if k.sch.ops.CgroupExit != nil {
		root := k.m.RootCgroup().Addr
		f := k.enter(ops.CgroupExit, nil, nil, nil, root)
		k.sch.ops.CgroupExit(root)
		k.leave(f)
	}
}
