package ext

// Old are ways of other kernels that policies notice. The zero value is 7.2.
type Old struct {
	// Custody: a policy owns a task until it has dispatched it, to whatever queue, and ops.dequeue comes only for tasks that are
	// taken away while it owns them, without SCX_DEQ_SCHED_CHANGE (ops_dequeue of 6.18). In 7.2 it owns tasks on its own queues
	// too, and is told when one leaves them (task_leave_custody).
	Custody bool
	// Server: there is no deadline server for the tasks of sched_ext, and that of the fair class stays.
	Server bool
	// Early: as 6.18 in what policies are told off for. SCX_ENQ_IMMED means nothing, a CPU may be asked for on behalf of any task, and
	// disallowing a task that is being forked counts if it would be the policy's. Messages and dumps are worded as there.
	Early bool
	// Reenq: how often a task is enqueued again without having run is counted with the task, and too often is an end of its own kind
	// (scx_do_enqueue_task of 7.3). Messages are worded as in 7.3.
	Reenq bool
	// Events are the counters of struct scx_event_stats in its order, nil for those of 7.2. What 7.2 does not count stays 0.
	Events []string
}

// FormatEnds tells whether a policy whose last message cannot be formatted ends as it wanted to, with another message
// (scx_exit_bstr of 7.3); otherwise it ends for what is wrong with the message.
func (k *Kernel) FormatEnds() bool { return k.old.Reenq }

// SetOld makes k behave as another kernel. It is for the time before a policy is enabled.
func (k *Kernel) SetOld(o Old) {
	if k.sch != nil {
		panic("BUG: ext: the kernel changes under a policy")
	}
	k.old = o
}
