package ext

import (
	"slices"

	"github.com/schedsim/schedsim/ops"
)

// Role is on whose behalf code ran before a call of As.
type Role struct {
	cur    *sched
	nobody bool
}

// As makes kernel functions act on behalf of the instance that was enabled with the table t, until End: for programs that
// belong to a policy but are none of its callbacks (timers, tracing programs, those that user space runs). An instance that has
// ended stays the one of its programs until Unregister. Where no such instance is there, they act for none. The root takes what
// belongs to nobody, unless it has ops.sub_attach: it is built for kernels on which all programs of a policy belong to it. It
// follows bpf_prog_get_assoc_struct_ops and scx_prog_sched (kernel/sched/ext/internal.h, 7.2).
func (k *Kernel) As(t *ops.Table) Role {
	saved := Role{k.cur, k.nobody}
	k.cur, k.nobody = nil, false
	for _, s := range k.registered {
		if s.given == t {
			k.cur = s
		}
	}
	if k.cur == nil && k.sch != nil && k.sch.ops.SubAttach == nil {
		k.cur = k.sch
	}
	k.nobody = k.cur == nil
	return saved
}

// End undoes As.
func (k *Kernel) End(r Role) { k.cur, k.nobody = r.cur, r.nobody }

// Unregister forgets the instance that was enabled with t: none of its programs runs any more (the end of bpf_scx_unreg).
func (k *Kernel) Unregister(t *ops.Table) {
	k.registered = slices.DeleteFunc(k.registered, func(s *sched) bool { return s.given == t })
}

// prog follows scx_prog_sched: the instance on whose behalf code runs, nil if there is none. Outside callbacks it is the
// root's, unless As says otherwise.
func (k *Kernel) prog() *sched {
	if k.cur != nil || k.nobody {
		return k.cur
	}
	return k.sch
}
