package ext

// Old are ways of kernels before 7.2 that policies notice. The zero value is 7.2.
type Old struct {
	// Custody: a policy owns a task until it has dispatched it, to whatever queue, and ops.dequeue comes only for tasks that are
	// taken away while it owns them, without SCX_DEQ_SCHED_CHANGE (ops_dequeue of 6.18). In 7.2 it owns tasks on its own queues
	// too, and is told when one leaves them (task_leave_custody).
	Custody bool
	// Server: there is no deadline server for the tasks of sched_ext, and that of the fair class stays.
	Server bool
}

// SetOld makes k behave as an older kernel. It is for the time before a policy is enabled.
func (k *Kernel) SetOld(o Old) {
	if k.sch != nil {
		panic("BUG: ext: the kernel changes under a policy")
	}
	k.old = o
}
