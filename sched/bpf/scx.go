package bpf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/sys"
	"github.com/schedsim/schedsim/vm/verifier"
)

// structOps are struct sched_ext_ops and struct sched_ext_ops_cid as types of struct_ops: bpf_sched_ext_ops and
// bpf_sched_ext_ops_cid (kernel/sched/ext/ext.c, 7.2). Older kernels have the first only.
func (p *Policy) structOps() []*sys.StructOpsType {
	types := []*sys.StructOpsType{p.structOpsType("sched_ext_ops", false)}
	if _, ok := p.opt.Kernel.SizeOf("sched_ext_ops_cid"); ok {
		types = append(types, p.structOpsType("sched_ext_ops_cid", true))
	}
	return types
}

func (p *Policy) structOpsType(name string, cid bool) *sys.StructOpsType {
	return &sys.StructOpsType{
		Name:        name,
		CheckMember: func(m *sys.StructOpsMember, prog *sys.Prog) error { return checkMember(m, prog, cid) },
		InitMember:  p.initMember,
		Reg: func(s *sys.StructOps) error {
			if p.bound != nil {
				return sys.Refuse(abi.EBUSY, "another scheduler is registered")
			}
			b := tableOf(s)
			for i, prog := range s.Progs {
				if row, ok := ops.ByMember(s.Type.Members[i].Name, cid); ok && prog != nil {
					b.progs[row.ID] = prog
				}
			}
			if b.table.CID = cid; cid {
				if err := b.findArena(); err != nil {
					return err
				}
			}
			for _, f := range p.onReg {
				f()
			}
			p.bound = b
			return nil
		},
		Unreg: func(*sys.StructOps) { p.bound = nil },
	}
}

// tableOf is what initMember made of the value's scalars.
func tableOf(s *sys.StructOps) *binding {
	if s.Data == nil {
		s.Data = &binding{progs: map[ops.Callback]*sys.Prog{}}
	}
	return s.Data.(*binding)
}

// checkMember follows bpf_scx_check_member.
func checkMember(m *sys.StructOpsMember, prog *sys.Prog, cid bool) error {
	row, ok := ops.ByMember(m.Name, cid)
	switch {
	case !ok:
		return sys.Refuse(abi.EINVAL, "no such callback in the kernel")
	case prog.Sleepable() && !row.Sleepable:
		return sys.Refuse(abi.EINVAL, "a sleepable program cannot implement %s", m.Name)
	}
	return nil
}

// scalars are the members that bpf_scx_init_member takes.
var scalars = [...]string{"name", "flags", "timeout_ms", "dispatch_max_batch", "exit_dump_len", "hotplug_seq", "sub_cgroup_id"}

// initMember follows bpf_scx_init_member.
func (p *Policy) initMember(s *sys.StructOps, m *sys.StructOpsMember, data []byte) (bool, error) {
	b := tableOf(s)
	if !slices.Contains(scalars[:], m.Name) {
		return false, nil
	}
	if bad := integer(data) &^ knownFlags(p.opt.Kernel); m.Name == "flags" && bad != 0 {
		return true, fmt.Errorf("unknown flags %#x: %s; --ops flags=NAME|NAME sets others", bad,
			whoHas(p.opt.Kernel, func(k *kernels.Kernel) bool { return bad&^knownFlags(k) == 0 }))
	}
	return true, b.setScalar(m.Name, data, knownFlags(p.opt.Kernel))
}

// verify checks what programs call, as bpf_scx_verifier_ops and the kernel's filters of kernel functions do.
func (p *Policy) verify() func(prog *sys.Prog) error {
	return func(prog *sys.Prog) error {
		if p.rules == nil {
			p.rules = kfuncs.RulesWith(p.opt.Kernel, p.opt.Permissions)
		}
		return verify(p.rules, prog)
	}
}

func verify(rules *kfuncs.Rules, prog *sys.Prog) error {
	t, i := prog.Member()
	if t == nil {
		if ctx, ok := kfuncs.ContextOf(prog.Linked()); ok {
			return rules.Check(prog.Linked(), ctx)
		}
		return nil
	}
	cid := t.Name == "sched_ext_ops_cid"
	row, ok := ops.ByMember(t.Members[i].Name, cid)
	if !ok {
		return fmt.Errorf("%s: no such callback in the kernel", t.Members[i].Name)
	}
	return rules.Check(prog.Linked(), kfuncs.StructOps(row.ID, cid, prog.Sleepable()))
}

// attachment is sys.Options.Attach: where the kernel attaches programs. Nil: they are not verified.
func (p *Policy) attachment() func(prog *sys.Prog) (verifier.Attachment, error) {
	if p.opt.NoVerify {
		return nil
	}
	k := attach.New(p.opt.Kernel)
	k.Rules = kfuncs.RulesWith(p.opt.Kernel, p.opt.Permissions)
	k.CPUs = uint32(p.env.Machine.NrCPUs())
	warned := false
	return func(prog *sys.Prog) (verifier.Attachment, error) {
		t, i := prog.Member()
		if t == nil {
			return k.Other(prog.Linked())
		}
		at, err := k.Member(t.Name, t.Members[i].Name, prog.Sleepable())
		if store := at.Store; store != nil {
			at.Store = func(typ string, off, size uint32) bool {
				ok := store(typ, off, size)
				if ok && !warned && p.deprecatedField(off) {
					warned = true
					p.notice(directWrite)
				}
				return ok
			}
		}
		return at, err
	}
}

// directWrite is what bpf_scx_btf_struct_access prints.
const directWrite = "sched_ext: Writing directly to p->scx.slice/dsq_vtime is deprecated, use scx_bpf_task_set_slice/dsq_vtime()"

// deprecatedField tells whether a store at off of a task_struct is one of those for which the kernel has functions.
func (p *Policy) deprecatedField(off uint32) bool {
	k := p.opt.Kernel
	for _, f := range []string{"slice", "dsq_vtime"} {
		set := func(i kernels.KfuncInfo) bool { return i.Name == "scx_bpf_task_set_"+f }
		if at, size, ok := k.Field("task_struct.scx." + f); ok && off >= at && off < at+size && slices.ContainsFunc(k.Kfuncs(), set) {
			return true
		}
	}
	return false
}

// idle tells of the programs that are loaded as the kernel would load them, and run by nobody here.
func (p *Policy) idle(prog *sys.Prog) bool {
	switch prog.Linked().Kind {
	case elf.KindKprobe, elf.KindKretprobe, elf.KindTracepoint:
		// The kernel does not know where they are going to be attached.
		for _, o := range p.obj.Programs {
			if strings.HasPrefix(o.Name, prog.Name()) && p.probeable(o.Kind, o.Section) {
				return false
			}
		}
		return true
	case elf.KindIter:
		return !iterable(elf.KindIter, prog.Linked().Attach)
	case elf.KindLSM, elf.KindPerfEvent, elf.KindOther:
		return true
	}
	return false
}

// unjudged lets a program run that could not be verified.
func (p *Policy) unjudged(prog *sys.Prog, why error) bool {
	p.notice(fmt.Sprintf("%s: not verified, runs with checks only: %s", p.file, why))
	p.unverified = true
	return true
}

// Unverified tells whether a program runs that was not verified: it may do anything to the kernel's objects.
func (p *Policy) Unverified() bool { return p.unverified || p.opt.NoVerify }

// precheck refuses what the kernel half has no words for, before anything is loaded.
func precheck(o *link.Object) error {
	for _, prog := range o.Programs {
		if prog.AutoLoad && prog.Kind == 0 {
			return fmt.Errorf("%s: program %s: section %q is not known", o.Name, prog.Name, prog.Section)
		}
	}
	return nil
}

// others tells of the programs that are loaded beside the callbacks: what a loader would attach elsewhere or run by hand.
func (p *Policy) others(o *link.Object, e Edit) {
	var unused, idle []string
	for _, prog := range o.Programs {
		if !prog.AutoLoad {
			continue
		}
		used := false
		for id := ops.None + 1; id < ops.NrCallbacks; id++ {
			used = used || p.bound.progs[id] != nil && p.bound.progs[id].Name() == prog.Name
		}
		if used || p.attached[prog.Name] {
			continue
		}
		if (prog.Kind == elf.KindSyscall || iterable(prog.Kind, prog.Attach)) && p.user != nil && !e.Unknown {
			continue // for the user-space half, which is there
		}
		if _, ok := kfuncs.ContextOf(prog); !ok {
			unused = append(unused, prog.Name)
			continue
		}
		idle = append(idle, fmt.Sprintf("%s (%s)", prog.Name, prog.Section))
	}
	if len(unused) > 0 {
		p.notice(fmt.Sprintf("%s: not in the scheduler's table: %s", o.Name, strings.Join(unused, ", ")))
	}
	if len(idle) > 0 {
		p.notice(fmt.Sprintf("%s: loaded, but nothing runs: %s", o.Name, strings.Join(idle, ", ")))
	}
}
