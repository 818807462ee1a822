package ext

// Events counts what the core did on a policy's behalf (struct scx_event_stats), since the policy was enabled.
type Events struct {
	SelectCPUFallback        uint64 // SCX_EV_SELECT_CPU_FALLBACK
	DispatchLocalDSQOffline  uint64 // SCX_EV_DISPATCH_LOCAL_DSQ_OFFLINE
	DispatchKeepLast         uint64 // SCX_EV_DISPATCH_KEEP_LAST
	EnqSkipExiting           uint64 // SCX_EV_ENQ_SKIP_EXITING
	EnqSkipMigrationDisabled uint64 // SCX_EV_ENQ_SKIP_MIGRATION_DISABLED
	ReenqImmed               uint64 // SCX_EV_REENQ_IMMED
	ReenqLocalRepeat         uint64 // SCX_EV_REENQ_LOCAL_REPEAT
	RefillSliceDfl           uint64 // SCX_EV_REFILL_SLICE_DFL
	BypassDuration           uint64 // SCX_EV_BYPASS_DURATION, ns
	BypassDispatch           uint64 // SCX_EV_BYPASS_DISPATCH
	BypassActivate           uint64 // SCX_EV_BYPASS_ACTIVATE
	InsertNotOwned           uint64 // SCX_EV_INSERT_NOT_OWNED
	SubBypassDispatch        uint64 // SCX_EV_SUB_BYPASS_DISPATCH
}

// Event is one counter with the kernel's name.
type Event struct {
	Name  string
	Value uint64
}

// List returns the counters in the order of struct scx_event_stats.
func (e *Events) List() []Event {
	return []Event{
		{"SCX_EV_SELECT_CPU_FALLBACK", e.SelectCPUFallback},
		{"SCX_EV_DISPATCH_LOCAL_DSQ_OFFLINE", e.DispatchLocalDSQOffline},
		{"SCX_EV_DISPATCH_KEEP_LAST", e.DispatchKeepLast},
		{"SCX_EV_ENQ_SKIP_EXITING", e.EnqSkipExiting},
		{"SCX_EV_ENQ_SKIP_MIGRATION_DISABLED", e.EnqSkipMigrationDisabled},
		{"SCX_EV_REENQ_IMMED", e.ReenqImmed},
		{"SCX_EV_REENQ_LOCAL_REPEAT", e.ReenqLocalRepeat},
		{"SCX_EV_REFILL_SLICE_DFL", e.RefillSliceDfl},
		{"SCX_EV_BYPASS_DURATION", e.BypassDuration},
		{"SCX_EV_BYPASS_DISPATCH", e.BypassDispatch},
		{"SCX_EV_BYPASS_ACTIVATE", e.BypassActivate},
		{"SCX_EV_INSERT_NOT_OWNED", e.InsertNotOwned},
		{"SCX_EV_SUB_BYPASS_DISPATCH", e.SubBypassDispatch},
	}
}

// EventList returns the counters of the policy in the order of the kernel's struct scx_event_stats.
func (k *Kernel) EventList() []Event { return k.eventList(k.Events()) }

func (k *Kernel) eventList(e *Events) []Event {
	list := e.List()
	if k.old.Events == nil {
		return list
	}
	out := make([]Event, len(k.old.Events))
	for i, name := range k.old.Events {
		out[i].Name = name
		for _, ev := range list {
			if ev.Name == name || name == "SCX_EV_REENQ_REPEAT" && ev.Name == "SCX_EV_REENQ_LOCAL_REPEAT" { // as 7.3 calls it
				out[i].Value = ev.Value
			}
		}
	}
	return out
}

// Events returns the counters of the policy (scx_bpf_events); those of the last one once it ended, zeros before the
// first.
func (k *Kernel) Events() *Events {
	if s := k.prog(); s != nil {
		return &s.events
	}
	return &k.lastEvents
}
