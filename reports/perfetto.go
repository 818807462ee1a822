package reports

import (
	"fmt"
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Perfetto writes a run as a Perfetto trace (protobuf), for ui.perfetto.dev and what else reads such traces: the CPU view
// from sched_switch, thread states and wakeup latencies from sched_waking, a counter per DSQ, and a track per CPU with the
// callbacks of the sched_ext policy. It is a sim.Sink. Close must be called at the end.
//
// Callbacks take no simulated time while they run; what they cost is charged to the CPU at once. So that they can be
// seen, a callback is drawn as long as it cost, and one that starts before the last has been drawn comes after it.
type Perfetto struct {
	w     io.Writer
	err   error
	opt   PerfettoOptions
	tasks map[int32]TaskInfo
	order []int32 // PIDs by first appearance
	cpus  []perfettoCPU
	// dsqs are the counter tracks that have been announced.
	dsqs map[uint64]bool
	// callbacks are the names of the callbacks by number.
	callbacks []string
	started   bool
	dated     bool             // the track of the timeline has been announced
	speeds    map[sim.CPU]bool // so have those of the CPUs' speeds
	pkt       wire             // reused
	ev        wire
}

// perfettoCPU is what is collected for one CPU.
type perfettoCPU struct {
	bundle wire // FtraceEventBundle
	events int
	// drawn is how far the track of callbacks is drawn; open are the starts of those that run.
	drawn  sim.Time
	open   []sim.Time
	idle   string // name of the idle task
	opened bool   // the track has been announced
}

// PerfettoOptions describe the machine to the trace.
type PerfettoOptions struct {
	CPUs  int
	Names NameFunc
	// Text finds the text of a record (sim.Machine.Text); nil: there is none.
	Text func(id uint64) string
}

// Field numbers of the Perfetto protos.
const (
	tracePacket = 1

	packetFtrace     = 1
	packetTree       = 2
	packetClock      = 6
	packetTimestamp  = 8
	packetSequence   = 10
	packetTrackEvent = 11
	packetFlags      = 13
	packetTrack      = 60

	bundleCPU   = 1
	bundleEvent = 2

	ftraceTime       = 1
	ftracePID        = 2
	ftraceSwitch     = 4
	ftraceWaking     = 20
	ftraceWakeupNew  = 114
	trackEventType   = 9
	trackEventTrack  = 11
	trackEventName   = 23
	trackEventValue  = 30
	trackUUID        = 1
	trackName        = 2
	trackCounter     = 8
	counterUnit      = 3
	counterUnitCount = 2

	sliceBegin = 1
	sliceEnd   = 2
	counterVal = 4
	instant    = 3

	clockMonotonic = 3
	clockBoottime  = 6

	// sequenceID is our trusted_packet_sequence_id: any constant that is not 0.
	sequenceID = 1
	// The uuids of tracks: a number for the kind above, the CPU or DSQ below.
	uuidCallbacks = 1 << 56
	uuidDSQ       = 2 << 56
	uuidTimeline  = 3 << 56
	uuidSpeed     = 4 << 56
)

// bundleEvents is how many events are collected before a bundle is written.
const bundleEvents = 4096

// NewPerfetto makes a Perfetto that writes to w. Writing errors are kept for Close.
func NewPerfetto(w io.Writer, o PerfettoOptions) *Perfetto {
	p := &Perfetto{w: w, opt: o, tasks: map[int32]TaskInfo{}, dsqs: map[uint64]bool{}, cpus: make([]perfettoCPU, o.CPUs)}
	for i := range p.cpus {
		p.cpus[i].idle = "swapper/" + strconv.Itoa(i)
	}
	for c := range ops.NrCallbacks {
		p.callbacks = append(p.callbacks, c.String())
	}
	return p
}

var _ sim.Sink = (*Perfetto)(nil)

// Record implements sim.Sink.
func (p *Perfetto) Record(r *sim.Record) {
	if !p.started {
		p.started = true
		p.clock(r.At)
	}
	switch r.Kind {
	case sim.KindSwitch:
		prev, next := p.task(int32(r.A)), p.task(r.Task)
		e := p.ev[:0]
		e.str(1, p.comm(r.CPU, prev))
		e.int(2, int64(prev.PID))
		e.int(3, prio(prev))
		e.int(4, traceState(sim.State(r.B), prev.PID))
		e.str(5, p.comm(r.CPU, next))
		e.int(6, int64(next.PID))
		e.int(7, prio(next))
		p.ev = e
		p.ftrace(r.CPU, r.At, prev.PID, ftraceSwitch, e)
	case sim.KindWaking:
		p.wakeup(r, int32(r.A), ftraceWaking, sim.CPU(r.B))
	case sim.KindWakeup:
		if r.A == 1 {
			p.wakeup(r, 0, ftraceWakeupNew, r.CPU)
		}
	case sim.KindFork:
		p.task(r.Task)
	case sim.KindDSQInsert, sim.KindDSQRemove:
		p.dsq(r)
	case sim.KindOp:
		p.callback(r)
	case sim.KindOpEnd:
		p.callbackEnd(r)
	case sim.KindTimeline:
		p.timeline(r)
	case sim.KindSpeed:
		p.speed(r)
	}
}

// task returns what is known of a PID; the zero TaskInfo for the idle tasks.
func (p *Perfetto) task(pid int32) TaskInfo {
	if pid == 0 {
		return TaskInfo{}
	}
	t, ok := p.tasks[pid]
	if !ok {
		t = p.opt.Names(pid)
		t.PID = pid
		p.tasks[pid] = t
		p.order = append(p.order, pid)
	}
	return t
}

func (p *Perfetto) comm(cpu sim.CPU, t TaskInfo) string {
	if t.PID == 0 {
		return p.cpus[cpu].idle
	}
	return t.Comm
}

// prio is the kernel's static priority.
func prio(t TaskInfo) int64 { return 120 + int64(t.Nice) }

// traceState is prev_state of the sched_switch tracepoint.
func traceState(s sim.State, pid int32) int64 {
	const exitDead = 0x10
	switch {
	case pid == 0:
		return 0
	case s == sim.StateDead:
		return exitDead
	}
	return int64(s)
}

func (p *Perfetto) wakeup(r *sim.Record, waker int32, field protowire.Number, target sim.CPU) {
	t := p.task(r.Task)
	e := p.ev[:0]
	e.str(1, t.Comm)
	e.int(2, int64(t.PID))
	e.int(3, prio(t))
	e.int(4, 1)
	e.int(5, int64(target))
	p.ev = e
	p.ftrace(r.CPU, r.At, waker, field, e)
}

// ftrace adds an event to the bundle of cpu.
func (p *Perfetto) ftrace(cpu sim.CPU, at sim.Time, pid int32, field protowire.Number, event wire) {
	c := &p.cpus[cpu]
	e := p.pkt[:0]
	e.uint(ftraceTime, uint64(at))
	e.uint(ftracePID, uint64(uint32(pid)))
	e.msg(field, event)
	p.pkt = e
	if c.events == 0 {
		c.bundle.uint(bundleCPU, uint64(cpu))
	}
	c.bundle.msg(bundleEvent, e)
	if c.events++; c.events == bundleEvents {
		p.flush(cpu)
	}
}

func (p *Perfetto) flush(cpu sim.CPU) {
	c := &p.cpus[cpu]
	if c.events == 0 {
		return
	}
	var pkt wire
	pkt.msg(packetFtrace, c.bundle)
	p.packet(pkt)
	c.bundle, c.events = c.bundle[:0], 0
}

// packet writes one TracePacket with our sequence id.
func (p *Perfetto) packet(pkt wire) {
	pkt.uint(packetSequence, sequenceID)
	var out wire
	out.msg(tracePacket, pkt)
	if p.err == nil {
		_, p.err = p.w.Write(out)
	}
}

// clock writes the first packet: simulated time is both clocks.
func (p *Perfetto) clock(at sim.Time) {
	var snap wire
	for _, id := range []uint64{clockBoottime, clockMonotonic} {
		var c wire
		c.uint(1, id)
		c.uint(2, uint64(at))
		snap.msg(1, c)
	}
	snap.uint(2, clockBoottime)
	var pkt wire
	pkt.uint(packetTimestamp, uint64(at))
	pkt.uint(packetFlags, 1) // the sequence begins here
	pkt.msg(packetClock, snap)
	p.packet(pkt)
}

// track announces a track.
func (p *Perfetto) track(uuid uint64, name string, counter bool) {
	var d wire
	d.uint(trackUUID, uuid)
	d.str(trackName, name)
	if counter {
		var c wire
		c.uint(counterUnit, counterUnitCount)
		d.msg(trackCounter, c)
	}
	var pkt wire
	pkt.msg(packetTrack, d)
	p.packet(pkt)
}

func (p *Perfetto) trackEvent(at sim.Time, typ, uuid uint64, more func(e *wire)) {
	e := p.ev[:0]
	e.uint(trackEventType, typ)
	e.uint(trackEventTrack, uuid)
	if more != nil {
		more(&e)
	}
	p.ev = e
	pkt := p.pkt[:0]
	pkt.uint(packetTimestamp, uint64(at))
	pkt.msg(packetTrackEvent, e)
	p.pkt = pkt
	p.packet(pkt)
}

// DSQName is how reports call a dispatch queue.
func DSQName(id uint64) string {
	switch {
	case id == ops.DSQGlobal:
		return "GLOBAL"
	case id == ops.DSQBypass:
		return "BYPASS"
	case id&ops.DSQLocalOn == ops.DSQLocalOn:
		return "LOCAL_ON|" + strconv.FormatUint(id&ops.DSQLocalCPUMask, 10)
	case id&ops.DSQFlagBuiltin != 0:
		return fmt.Sprintf("%#x", id)
	}
	return strconv.FormatUint(id, 10)
}

// dsq draws the length of a queue.
func (p *Perfetto) dsq(r *sim.Record) {
	// Ids of policies use all bits, so the uuid is a hash of them that keeps small ids and CPUs apart.
	uuid := uuidDSQ | (r.A^r.A>>40)&(1<<56-1)
	if !p.dsqs[r.A] {
		p.dsqs[r.A] = true
		p.track(uuid, "DSQ "+DSQName(r.A)+" nr_queued", true)
	}
	p.trackEvent(r.At, counterVal, uuid, func(e *wire) { e.int(trackEventValue, int64(r.B)) })
}

// timeline draws what was done to the machine as instants on a track of their own.
func (p *Perfetto) timeline(r *sim.Record) {
	if p.opt.Text == nil {
		return
	}
	if !p.dated {
		p.dated = true
		p.track(uuidTimeline, "timeline", false)
	}
	text := p.opt.Text(r.A)
	if r.B != 0 {
		text = "refused: " + text
	}
	p.trackEvent(r.At, instant, uuidTimeline, func(e *wire) { e.str(trackEventName, text) })
}

// speed draws the rate of a CPU.
func (p *Perfetto) speed(r *sim.Record) {
	uuid := uuidSpeed | uint64(r.CPU)
	if !p.speeds[r.CPU] {
		if p.speeds == nil {
			p.speeds = map[sim.CPU]bool{}
		}
		p.speeds[r.CPU] = true
		p.track(uuid, fmt.Sprintf("speed CPU %d", r.CPU), true)
	}
	p.trackEvent(r.At, counterVal, uuid, func(e *wire) { e.int(trackEventValue, int64(r.B)) })
}

func (p *Perfetto) callback(r *sim.Record) {
	c := &p.cpus[r.CPU]
	uuid := uuidCallbacks | uint64(r.CPU)
	if !c.opened {
		c.opened = true
		p.track(uuid, fmt.Sprintf("sched_ext callbacks CPU %d", r.CPU), false)
	}
	c.drawn = max(c.drawn, r.At)
	c.open = append(c.open, c.drawn)
	p.trackEvent(c.drawn, sliceBegin, uuid, func(e *wire) { e.str(trackEventName, p.callbacks[r.A]) })
}

func (p *Perfetto) callbackEnd(r *sim.Record) {
	c := &p.cpus[r.CPU]
	if len(c.open) == 0 {
		return // began before the trace
	}
	from := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	c.drawn = max(c.drawn, from.Add(sim.Duration(r.B)), r.At)
	p.trackEvent(c.drawn, sliceEnd, uuidCallbacks|uint64(r.CPU), nil)
}

// Close writes what is left and the names of the tasks, and returns the first error.
func (p *Perfetto) Close() error {
	for i := range p.cpus {
		p.flush(sim.CPU(i))
	}
	if len(p.order) > 0 {
		var tree wire
		seen := map[int32]bool{}
		for _, pid := range p.order {
			t := p.tasks[pid]
			tgid := t.TGID
			if tgid == 0 {
				tgid = pid
			}
			if !seen[tgid] {
				seen[tgid] = true
				name := t.Comm
				if leader, ok := p.tasks[tgid]; ok {
					name = leader.Comm
				}
				var proc wire
				proc.int(1, int64(tgid))
				proc.str(3, name)
				tree.msg(1, proc)
			}
			var th wire
			th.int(1, int64(pid))
			th.str(2, t.Comm)
			th.int(3, int64(tgid))
			tree.msg(2, th)
		}
		var pkt wire
		pkt.msg(packetTree, tree)
		p.packet(pkt)
	}
	return p.err
}
