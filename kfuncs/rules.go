package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
)

// Rules say how a kernel decides which of its functions may be called from where, when it loads a program. A nil *Rules are
// those of 7.2.
type Rules struct {
	// ByType: the kernel looks at the type of the program only, so that every struct_ops program, one of another struct_ops
	// too, may call what any callback may. Whether the callback may is checked when the function is called
	// (scx_kf_allowed). So it is before 7.1, which brought scx_kfunc_context_filter.
	ByType bool
	// OwnCID: the functions of the set cid are for the struct_ops of sched_ext only, as those of its other sets. So it is
	// from 7.3 on.
	OwnCID bool
	// NoRawTP: programs of raw tracepoints without types (raw_tp) call no functions of sched_ext. So it is on 6.16 and 6.18;
	// 7.2 treats them as tracing programs.
	NoRawTP bool

	groups map[string]abi.Groups
}

// RulesOf are the rules of a kernel, with the sets that its functions are in.
func RulesOf(k *kernels.Kernel) *Rules { return RulesWith(k, PermissionsKernel) }

// RulesWith are the rules of a kernel that enforces permissions in the way given.
func RulesWith(k *kernels.Kernel, p Permissions) *Rules {
	r := &Rules{ByType: !p.atLoad(k), OwnCID: k.Code >= 0x070300, NoRawTP: k.Code < 0x070100, groups: map[string]abi.Groups{}}
	for _, f := range k.Kfuncs() {
		for _, s := range f.Sets {
			r.groups[f.Name] |= ops.GroupByName(s)
		}
	}
	return r
}

// Groups are those of a function: of the kernel's sets where it is in one of sched_ext, those given otherwise.
func (r *Rules) Groups(name string, row abi.Groups) abi.Groups {
	if r != nil {
		if g, ok := r.groups[name]; ok {
			return g
		}
	}
	return row
}

// Allowed tells whether k may be called in c: nil, or a *Denied.
func (r *Rules) Allowed(k *abi.Kfunc, c Context) error {
	if !r.permitted(r.Groups(k.Name, k.Groups), c) {
		return &Denied{Kfunc: k.Name, Context: c}
	}
	if k.Flags&abi.Sleepable != 0 && !c.Sleepable {
		return &Denied{Kfunc: k.Name, Context: c, NeedsSleepable: true}
	}
	return nil
}

func (r *Rules) permitted(g abi.Groups, c Context) bool {
	switch {
	case r == nil:
	case r.ByType && c.Kind == KindForeignStructOps, r.ByType && c.Kind == KindStructOps:
		return true
	case r.OwnCID && g&ops.GroupCID != 0 && c.Kind == KindForeignStructOps:
		return false
	case r.NoRawTP && c.Kind == KindTracing && c.Type == elf.KindRawTP.String() && g&ops.GroupCommon == 0:
		return false
	}
	return permitted(g, c)
}
