package permissions

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Numbers of the kernel's user interface (include/uapi/linux/bpf.h).
const (
	typeSocketFilter  = 1
	typeKprobe        = 2
	typeSchedCls      = 3
	typeTracepoint    = 5
	typeXDP           = 6
	typePerfEvent     = 7
	typeCgroupSKB     = 8
	typeRawTracepoint = 17
	typeTracing       = 26
	typeStructOps     = 27
	typeLSM           = 29
	typeSyscall       = 31

	attachRawTP  = 23
	attachFentry = 24
	attachFexit  = 25
	attachLSM    = 27
	attachIter   = 28

	flagSleepable = 1 << 4
)

// context is where a program is called from: a column of the table.
type context struct {
	name        string
	typ, attach uint32
	target      btf.TypeID
	sleepable   bool
	optional    bool // the column is there only if it takes programs
}

// contexts are all that a kernel has, in the order of the table.
func (k *kernel) contexts() ([]context, error) {
	var out []context
	for _, g := range [][2]string{{"sched_ext_ops", "cpu"}, {"sched_ext_ops_cid", "cid"}} {
		id, members := k.structOps(g[0])
		for _, m := range members {
			c := context{name: g[1] + ":" + m.name, typ: typeStructOps, attach: m.index, target: id, optional: true}
			out = append(out, c)
			c.name, c.sleepable = c.name+".s", true
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the kernel's types have no sched_ext_ops")
	}
	for _, c := range []struct {
		name, target string
		typ, attach  uint32
		sleepable    bool
	}{
		{name: "syscall", typ: typeSyscall, sleepable: true},
		{name: "fentry", typ: typeTracing, attach: attachFentry, target: "do_nanosleep"},
		{name: "fexit", typ: typeTracing, attach: attachFexit, target: "do_nanosleep"},
		{name: "fentry.s", typ: typeTracing, attach: attachFentry, target: "__x64_sys_getpgid", sleepable: true},
		{name: "tp_btf/sched_switch", typ: typeTracing, attach: attachRawTP, target: "btf_trace_sched_switch"},
		{name: "iter/task", typ: typeTracing, attach: attachIter, target: "bpf_iter_task"},
		{name: "lsm/file_open", typ: typeLSM, attach: attachLSM, target: "bpf_lsm_file_open"},
		{name: "raw_tracepoint", typ: typeRawTracepoint},
		{name: "kprobe", typ: typeKprobe},
		{name: "tracepoint", typ: typeTracepoint},
		{name: "perf_event", typ: typePerfEvent},
		{name: "xdp", typ: typeXDP},
		{name: "sched_cls", typ: typeSchedCls},
		{name: "socket_filter", typ: typeSocketFilter},
		{name: "cgroup_skb", typ: typeCgroupSKB},
	} {
		x := context{name: "other:" + c.name, typ: c.typ, attach: c.attach, sleepable: c.sleepable, optional: strings.HasSuffix(c.name, ".s")}
		if c.target != "" {
			id, ok := k.funcs[c.target]
			if !ok {
				id, ok = k.typedef(c.target)
			}
			if !ok {
				return nil, fmt.Errorf("the kernel's types have no %s", c.target)
			}
			x.target = id
		}
		out = append(out, x)
	}
	for _, g := range [][2]string{{"tcp_congestion_ops", "ssthresh"}, {"Qdisc_ops", "init"}} {
		if id, _ := k.structOps("bpf_struct_ops_" + g[0]); id == 0 {
			continue // the kernel has such tables, but takes none of programs
		}
		id, members := k.structOps(g[0])
		for _, m := range members {
			if m.name == g[1] {
				out = append(out, context{name: "other:" + g[0] + "." + m.name, typ: typeStructOps, attach: m.index, target: id})
			}
		}
	}
	return out, nil
}

// member is a callback of a table of callbacks.
type member struct {
	name  string
	index uint32
}

// structOps finds a struct and those of its members that are pointers to functions.
func (k *kernel) structOps(name string) (btf.TypeID, []member) {
	var s *btf.Struct
	if k.spec.TypeByName(name, &s) != nil {
		return 0, nil
	}
	id, err := k.spec.TypeID(s)
	if err != nil {
		return 0, nil
	}
	var out []member
	for i, m := range s.Members {
		if p, ok := btf.UnderlyingType(m.Type).(*btf.Pointer); ok {
			if _, ok := btf.UnderlyingType(p.Target).(*btf.FuncProto); ok {
				out = append(out, member{m.Name, uint32(i)})
			}
		}
	}
	return id, out
}
