package kobj

// rqOffsets are the offsets of the fields of a struct rq.
type rqOffsets struct {
	nrRunning, cpu, curr, idle, nrSwitches, clock, clockTask, clockPelt uint32
	scxFlags, scxNrRunning, scxCPUReleased                              uint32
}

// RQ is a view of a runqueue, struct rq.
type RQ struct{ object }

// NewRQ allocates the runqueue of cpu.
func NewRQ(m Memory, l *Layout, cpu int32) (RQ, error) {
	o, err := newObject(m, l, l.sizes[rqStruct])
	if err != nil {
		return RQ{}, err
	}
	o.setI32(l.rq.cpu, cpu)
	return RQ{o}, nil
}

// CPU is rq->cpu.
func (r RQ) CPU() int32 { return r.i32(r.l.rq.cpu) }

// NrRunning is rq->nr_running.
func (r RQ) NrRunning() uint32     { return r.u32(r.l.rq.nrRunning) }
func (r RQ) SetNrRunning(v uint32) { r.setU32(r.l.rq.nrRunning, v) }

// Curr and Idle are the addresses of the current and of the idle task.
func (r RQ) Curr() uint64        { return r.u64(r.l.rq.curr) }
func (r RQ) SetCurr(addr uint64) { r.setU64(r.l.rq.curr, addr) }
func (r RQ) Idle() uint64        { return r.u64(r.l.rq.idle) }
func (r RQ) SetIdle(addr uint64) { r.setU64(r.l.rq.idle, addr) }

// NrSwitches is rq->nr_switches.
func (r RQ) NrSwitches() uint64     { return r.u64(r.l.rq.nrSwitches) }
func (r RQ) SetNrSwitches(v uint64) { r.setU64(r.l.rq.nrSwitches, v) }

// Clock is rq->clock in ns; the setter sets clock_task too, and clock_pelt, as for a CPU at full speed. rq->lost_idle_time
// stays 0.
func (r RQ) Clock() uint64 { return r.u64(r.l.rq.clock) }
func (r RQ) SetClock(ns uint64) {
	r.setU64(r.l.rq.clock, ns)
	r.setU64(r.l.rq.clockTask, ns)
	r.setU64(r.l.rq.clockPelt, ns)
}

// SCXFlags is rq->scx.flags (SCX_RQ_*), SCXNrRunning rq->scx.nr_running.
func (r RQ) SCXFlags() uint32         { return r.u32(r.l.rq.scxFlags) }
func (r RQ) SetSCXFlags(v uint32)     { r.setU32(r.l.rq.scxFlags, v) }
func (r RQ) SCXNrRunning() uint32     { return r.u32(r.l.rq.scxNrRunning) }
func (r RQ) SetSCXNrRunning(v uint32) { r.setU32(r.l.rq.scxNrRunning, v) }

// SCXCPUReleased is rq->scx.cpu_released: a higher class took the CPU.
func (r RQ) SCXCPUReleased() bool     { return r.u8(r.l.rq.scxCPUReleased) != 0 }
func (r RQ) SetSCXCPUReleased(v bool) { r.setU8(r.l.rq.scxCPUReleased, bit(v)) }
