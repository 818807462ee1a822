package reports

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/google/pprof/profile"

	"github.com/schedsim/schedsim/sim"
)

// Pprof folds a run into a profile for go tool pprof and its relatives: where the time of tasks went. A sample is a task on
// a CPU in a state; its stack, root first, is the state, the CPU, the task of the workload, the task. Its values are how
// often that was (events) and the time on a CPU, waiting for one, and asleep. It is a sim.Sink.
type Pprof struct {
	track *tracker
	sums  map[pprofKey]*[4]int64
}

var _ sim.Sink = (*Pprof)(nil)

type pprofKey struct {
	state string
	cpu   sim.CPU
	pid   int32
}

// The values of a sample.
const (
	pprofEvents = iota
	pprofOnCPU
	pprofQueue
	pprofBlocked
)

// NewPprof makes a Pprof for a machine with that many CPUs.
func NewPprof(cpus int, names NameFunc) *Pprof {
	p := &Pprof{track: newTracker(cpus, names), sums: map[pprofKey]*[4]int64{}}
	p.track.interval = p.interval
	return p
}

// Record implements sim.Sink.
func (p *Pprof) Record(r *sim.Record) { p.track.record(r) }

func (p *Pprof) interval(i interval) {
	state, value := "running", pprofOnCPU
	switch i.mode {
	case modeQueued:
		value = pprofQueue
		state = [...]string{reasonWoken: "waiting: woken", reasonNew: "waiting: new", reasonPreempted: "waiting: preempted"}[i.reason]
	case modeBlocked:
		state, value = "sleeping", pprofBlocked
	}
	k := pprofKey{state, i.cpu, i.t.PID}
	v := p.sums[k]
	if v == nil {
		v = new([4]int64)
		p.sums[k] = v
	}
	v[pprofEvents]++
	v[value] += int64(i.to.Sub(i.from))
}

// Write ends the fold at the time end and writes the profile, compressed. The same run gives the same bytes.
func (p *Pprof) Write(w io.Writer, info Info, end sim.Time) error {
	p.track.finish(end)
	prof := &profile.Profile{
		SampleType: []*profile.ValueType{
			{Type: "events", Unit: "count"}, {Type: "oncpu", Unit: "nanoseconds"},
			{Type: "runqueue", Unit: "nanoseconds"}, {Type: "blocked", Unit: "nanoseconds"},
		},
		DefaultSampleType: "runqueue",
		DurationNanos:     int64(end),
		Comments: []string{fmt.Sprintf("schedsim: %s, %s, %s, seed %d, kernel %s, costs %s",
			info.Scheduler, info.Topology, info.Workload, info.Seed, info.Kernel, info.Costs)},
	}
	b := &pprofBuilder{p: prof, frames: map[string]*profile.Location{}}
	keys := make([]pprofKey, 0, len(p.sums))
	for k := range p.sums {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b pprofKey) int {
		return cmp.Or(cmp.Compare(a.pid, b.pid), cmp.Compare(a.state, b.state), cmp.Compare(a.cpu, b.cpu))
	})
	for _, k := range keys {
		t := p.track.task(k.pid, 0)
		group := t.Group
		if group == "" {
			group = "kernel threads"
		}
		prof.Sample = append(prof.Sample, &profile.Sample{
			// The leaf comes first.
			Location: []*profile.Location{
				b.frame(fmt.Sprintf("%s [%d]", t.Comm, t.PID)), b.frame("task " + group),
				b.frame(fmt.Sprintf("CPU %d", k.cpu)), b.frame(k.state),
			},
			Value:    p.sums[k][:],
			NumLabel: map[string][]int64{"cpu": {int64(k.cpu)}, "pid": {int64(k.pid)}},
		})
	}
	if err := prof.CheckValid(); err != nil {
		panic("BUG: profile: " + err.Error())
	}
	return prof.Write(w)
}

// pprofBuilder makes one location per name.
type pprofBuilder struct {
	p      *profile.Profile
	frames map[string]*profile.Location
}

func (b *pprofBuilder) frame(name string) *profile.Location {
	if l := b.frames[name]; l != nil {
		return l
	}
	id := uint64(len(b.frames) + 1)
	f := &profile.Function{ID: id, Name: name, SystemName: name}
	l := &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
	b.p.Function = append(b.p.Function, f)
	b.p.Location = append(b.p.Location, l)
	b.frames[name] = l
	return l
}
