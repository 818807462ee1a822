package sys

// perfEvent is a performance counter. The machine has no such hardware: what it has counted is the host's to say
// (abi.PerfHost), otherwise nothing.
type perfEvent struct{ number uint64 }

func (*perfEvent) hold() {}
func (*perfEvent) put()  {}

// PerfEventOpen is perf_event_open(2) of any event: a descriptor that a map of type PERF_EVENT_ARRAY takes, or a negative errno.
func (p *Process) PerfEventOpen() int64 {
	p.k.perfEvents++
	fd, err := p.install(&perfEvent{p.k.perfEvents}, 0)
	if err != nil {
		return -int64(Errno(err))
	}
	return fd
}
