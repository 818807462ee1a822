package kfuncs

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/link"
)

// contextual are the groups whose use depends on the callback.
const contextual = ops.GroupUnlocked | ops.GroupInit | ops.GroupSelectCPU | ops.GroupEnqueue | ops.GroupDispatch | ops.GroupCPURelease

// Denied says why a kernel function may not be called from somewhere.
type Denied struct {
	Kfunc   string
	Context Context
	// NeedsSleepable: the place would do if the program were sleepable.
	NeedsSleepable bool
	// Unknown: there is no row for it.
	Unknown bool
}

// Error explains the refusal and says from where the function may be called.
func (d *Denied) Error() string {
	switch {
	case d.Unknown:
		return fmt.Sprintf("kernel function %s is not modelled", d.Kfunc)
	case d.NeedsSleepable:
		return fmt.Sprintf("program must be sleepable to call sleepable kernel function %s (SEC \"struct_ops.s/...\")", d.Kfunc)
	}
	msg := fmt.Sprintf("calling kernel function %s is not allowed in %s", d.Kfunc, d.Context)
	k := lookup(All(&Host{}), d.Kfunc)
	if k == nil {
		return msg
	}
	if d.Context.CID && k.Groups&ops.GroupCPUOnly != 0 {
		return msg + "; schedulers of the cid form use its cid counterpart"
	}
	return msg + "; it may be called from " + where(k, d.Context.CID)
}

// Allowed tells whether k may be called in c: nil, or a *Denied. It follows scx_kfunc_context_filter and the sets in which
// the kernel registers its functions for each type of program.
//
// It is by the rules of 7.2; see Rules for other kernels.
func Allowed(k *abi.Kfunc, c Context) error { return (*Rules)(nil).Allowed(k, c) }

func permitted(g abi.Groups, c Context) bool {
	if g&ops.GroupCommon != 0 {
		return true
	}
	if c.Kind == KindOther {
		return false
	}
	if g&(ops.GroupCID|ops.GroupGeneric) != 0 { // these have no filter
		return true
	}
	always := g&(ops.GroupAny|ops.GroupIdle) != 0
	switch c.Kind {
	case KindTracing:
		return always
	case KindSyscall:
		return always || g&(ops.GroupUnlocked|ops.GroupSelectCPU) != 0
	case KindStructOps:
		if c.CID && g&ops.GroupCPUOnly != 0 {
			return false
		}
		return always || g&contextual&ops.ByID(c.Callback).Allows != 0
	}
	return false
}

// where lists the callbacks from which k may be called.
func where(k *abi.Kfunc, cid bool) string {
	var names []string
	for _, c := range callbacksOf(k, cid) {
		names = append(names, c.Member(cid))
	}
	switch {
	case len(names) == 0:
		return "no callback"
	case len(names) >= 30:
		return "all callbacks"
	}
	if permitted(k.Groups, Context{Kind: KindSyscall}) {
		names = append(names, "syscall programs")
	}
	return strings.Join(names, ", ")
}

// callbacksOf are the callbacks from which k may be called by a program that may sleep where the callback may.
func callbacksOf(k *abi.Kfunc, cid bool) []ops.Row {
	var out []ops.Row
	for _, r := range ops.Rows() {
		if r.Member(cid) != "" && Allowed(k, StructOps(r.ID, cid, r.Sleepable)) == nil {
			out = append(out, r)
		}
	}
	return out
}

// Check tells whether all the live calls that p makes are allowed in c. The error names the program, the instruction,
// its line and the function, and wraps a *Denied.
//
// It is by the rules of 7.2; see Rules for other kernels.
func Check(p *link.Program, c Context) error { return (*Rules)(nil).Check(p, c) }

// Check is the function of that name by the rules of a kernel.
func (r *Rules) Check(p *link.Program, c Context) error {
	rows := All(&Host{})
	for _, call := range p.Calls {
		var err error = &Denied{Kfunc: call.Name, Context: c, Unknown: true}
		if k := lookup(rows, call.Name); k != nil {
			err = r.Allowed(k, c)
		}
		if err == nil {
			continue
		}
		at := fmt.Sprintf("instruction %d", call.Insn)
		if call.Insn < len(p.Code.Insns) {
			at = fmt.Sprintf("instruction %d", p.Code.Insns[call.Insn].Orig)
		}
		if call.Line != "" {
			at += " (" + call.Line + ")"
		}
		return fmt.Errorf("program %s, %s: %w", p.Name, at, err)
	}
	return nil
}

// lookup finds the row of a function, nil if there is none.
func lookup(rows []abi.Kfunc, name string) *abi.Kfunc {
	for i := range rows {
		if rows[i].Name == name {
			return &rows[i]
		}
	}
	return nil
}
