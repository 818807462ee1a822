package bpf

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/vm/elf"
)

// place writes into the table what its user-space half knows only when the machine is there, as SCX_OPS_OPEN and the -c of
// scx_qmap do (tools/sched_ext, 7.2): the number of CPU hotplugs so far, and the cgroup of a sub-scheduler. It returns the
// variables that go with it.
func (p *Policy) place() (map[string]any, error) {
	if p.env.Kernel.Table() == nil {
		p.env.Kernel.SetOld(older(p.opt.Kernel))
	}
	if seq := p.env.Kernel.HotplugSeq(); seq != 0 && p.takes("hotplug_seq") {
		if err := shadow(p.obj, p.tbl, p.opt.Kernel, Member{"hotplug_seq", strconv.FormatUint(seq, 10)}); err != nil {
			return nil, err
		}
	}
	if p.opt.Cgroup == "" {
		return nil, nil
	}
	c := p.env.Machine.CgroupByPath(p.opt.Cgroup)
	if c == nil {
		return nil, fmt.Errorf("%s: no cgroup %s in the machine", p.file, p.opt.Cgroup)
	}
	if err := shadow(p.obj, p.tbl, p.opt.Kernel, Member{"sub_cgroup_id", strconv.FormatUint(c.ID, 10)}); err != nil {
		return nil, err
	}
	set := map[string]any{}
	for _, m := range p.obj.Maps {
		if slices.ContainsFunc(m.Vars, func(v elf.Var) bool { return v.Name == "sub_cgroup_id" && v.Size == 8 }) {
			set["sub_cgroup_id"] = int64(c.ID)
		}
	}
	return set, nil
}

// older says in what the scheduler's kernel is not 7.2.
func older(k *kernels.Kernel) ext.Old {
	_, custody := k.EnumValue("SCX_DEQ_SCHED_CHANGE")
	_, _, server := k.Field("rq.ext_server")
	_, immed := k.EnumValue("SCX_ENQ_IMMED")
	_, reenq := k.EnumValue("SCX_EXIT_ERROR_REENQ")
	old := ext.Old{Custody: !custody, Server: !server, Early: !immed, Reenq: reenq, Events: k.Members("scx_event_stats")}
	if slices.EqualFunc(old.Events, new(ext.Events).List(), func(name string, e ext.Event) bool { return name == e.Name }) {
		old.Events = nil
	}
	return old
}

// takes tells whether the table has the scalar member and nobody has set it.
func (p *Policy) takes(member string) bool {
	set := func(m Member) bool { return m.Name == member }
	for i := range p.tbl.Members {
		m := &p.tbl.Members[i]
		if m.Name == member {
			return integer(m.Bytes) == 0 && !slices.ContainsFunc(p.opt.Members, set)
		}
	}
	return false
}
