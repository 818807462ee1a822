package reports

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// field is one field of a message: a number or bytes.
type field struct {
	num protowire.Number
	v   uint64
	b   []byte
}

// decode splits a message into its fields. It is written for the tests and shares nothing with the writer.
func decode(t *testing.T, b []byte) []field {
	t.Helper()
	var fs []field
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("bad tag: %v", protowire.ParseError(n))
		}
		b = b[n:]
		f := field{num: num}
		switch typ {
		case protowire.VarintType:
			f.v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default:
			t.Fatalf("field %d has wire type %d", num, typ)
		}
		if n < 0 {
			t.Fatalf("field %d: %v", num, protowire.ParseError(n))
		}
		b = b[n:]
		fs = append(fs, f)
	}
	return fs
}

func get(fs []field, num protowire.Number) (field, bool) {
	for _, f := range fs {
		if f.num == num {
			return f, true
		}
	}
	return field{}, false
}

func num(fs []field, n protowire.Number) int64 { f, _ := get(fs, n); return int64(f.v) }
func str(fs []field, n protowire.Number) string {
	f, _ := get(fs, n)
	return string(f.b)
}

// decoded is a trace as its readers see it.
type decoded struct {
	ftrace   map[int64][]string // per CPU, in order
	tracks   map[uint64]string
	counters []string
	slices   []string
	threads  map[int64]string
	clocks   int
}

func decodeTrace(t *testing.T, data []byte) *decoded {
	d := &decoded{ftrace: map[int64][]string{}, tracks: map[uint64]string{}, threads: map[int64]string{}}
	for i, p := range decode(t, data) {
		if p.num != 1 || p.b == nil {
			t.Fatalf("field %d in the trace", p.num)
		}
		pkt := decode(t, p.b)
		if num(pkt, 10) == 0 {
			t.Error("packet without trusted_packet_sequence_id")
		}
		if _, ok := get(pkt, 6); ok {
			if i != 0 {
				t.Error("the clock is not the first packet")
			}
			d.clocks++
		}
		if f, ok := get(pkt, 60); ok {
			tr := decode(t, f.b)
			uuid := uint64(num(tr, 1))
			if was, ok := d.tracks[uuid]; ok {
				t.Errorf("tracks %q and %q have one uuid", was, str(tr, 2))
			}
			d.tracks[uuid] = str(tr, 2)
		}
		if f, ok := get(pkt, 11); ok {
			ev := decode(t, f.b)
			uuid := uint64(num(ev, 11))
			name, ok := d.tracks[uuid]
			if !ok {
				t.Errorf("event on an unknown track %#x", uuid)
			}
			at := num(pkt, 8)
			switch num(ev, 9) {
			case 4:
				d.counters = append(d.counters, fmt.Sprintf("%d %s %d", at, name, num(ev, 30)))
			case 1:
				d.slices = append(d.slices, fmt.Sprintf("%d %s begin %s", at, name, str(ev, 23)))
			case 2:
				d.slices = append(d.slices, fmt.Sprintf("%d %s end", at, name))
			default:
				t.Errorf("event of type %d", num(ev, 9))
			}
		}
		if f, ok := get(pkt, 2); ok {
			for _, th := range decode(t, f.b) {
				if th.num == 2 {
					m := decode(t, th.b)
					d.threads[num(m, 1)] = fmt.Sprintf("%s of %d", str(m, 2), num(m, 3))
				}
			}
		}
		if f, ok := get(pkt, 1); ok {
			bundle := decode(t, f.b)
			cpu := num(bundle, 1)
			last := int64(-1)
			for _, e := range bundle {
				if e.num != 2 {
					continue
				}
				m := decode(t, e.b)
				at := num(m, 1)
				if at < last {
					t.Errorf("CPU %d: event at %d after %d", cpu, at, last)
				}
				last = at
				d.ftrace[cpu] = append(d.ftrace[cpu], ftraceText(t, at, m))
			}
		}
	}
	return d
}

func ftraceText(t *testing.T, at int64, m []field) string {
	if f, ok := get(m, 4); ok {
		s := decode(t, f.b)
		return fmt.Sprintf("%d [%d] switch %s:%d [%d] %d -> %s:%d [%d]", at, num(m, 2), str(s, 1), num(s, 2), num(s, 3),
			num(s, 4), str(s, 5), num(s, 6), num(s, 7))
	}
	for n, what := range map[protowire.Number]string{20: "waking", 114: "new"} {
		if f, ok := get(m, n); ok {
			s := decode(t, f.b)
			return fmt.Sprintf("%d [%d] %s %s:%d [%d] %d on %d", at, num(m, 2), what, str(s, 1), num(s, 2), num(s, 3), num(s, 4), num(s, 5))
		}
	}
	t.Fatalf("event without a known kind: %v", m)
	return ""
}

// checkTrace compares the scheduling events and the names of a trace with the records it was made from.
func checkTrace(t *testing.T, d *decoded, records []sim.Record, names NameFunc) {
	t.Helper()
	want := map[int64][]string{}
	threads := map[int64]string{}
	task := func(cpu sim.CPU, pid int32) string {
		if pid == 0 {
			return fmt.Sprintf("swapper/%d:0 [120]", cpu)
		}
		i := names(pid)
		threads[int64(pid)] = fmt.Sprintf("%s of %d", i.Comm, i.TGID)
		return fmt.Sprintf("%s:%d [%d]", i.Comm, pid, 120+i.Nice)
	}
	for _, r := range records {
		cpu, s := int64(r.CPU), ""
		switch r.Kind {
		case sim.KindSwitch:
			state := map[sim.State]int{sim.StateRunning: 0, sim.StateInterruptible: 1, sim.StateDead: 16}[sim.State(r.B)]
			s = fmt.Sprintf("%d [%d] switch %s %d -> %s", r.At, r.A, task(r.CPU, int32(r.A)), state, task(r.CPU, r.Task))
		case sim.KindWaking:
			s = fmt.Sprintf("%d [%d] waking %s 1 on %d", r.At, r.A, task(r.CPU, r.Task), r.B)
		case sim.KindWakeup:
			if r.A == 1 {
				s = fmt.Sprintf("%d [0] new %s 1 on %d", r.At, task(r.CPU, r.Task), r.CPU)
			}
		}
		if s != "" {
			want[cpu] = append(want[cpu], s)
		}
	}
	if diff := cmp.Diff(want, d.ftrace); diff != "" {
		t.Errorf("events (-records +trace):\n%.2000s", diff)
	}
	if diff := cmp.Diff(threads, d.threads); diff != "" {
		t.Errorf("threads (-records +trace):\n%s", diff)
	}
	if d.clocks != 1 {
		t.Errorf("%d clock snapshots", d.clocks)
	}
}

// TestPerfettoIsTheRun: what the trace says is what the records say.
func TestPerfettoIsTheRun(t *testing.T) {
	for _, size := range []struct{ cpus, tasks, steps int }{{1, 1, 5}, {2, 5, 200}, {4, 9, 12000}} {
		y := newToy(11, size.cpus, size.tasks, size.steps)
		var b bytes.Buffer
		p := NewPerfetto(&b, PerfettoOptions{CPUs: size.cpus, Names: names})
		y.play(p)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		checkTrace(t, decodeTrace(t, b.Bytes()), y.records, names)
	}
}

func TestPerfettoTracks(t *testing.T) {
	var b bytes.Buffer
	p := NewPerfetto(&b, PerfettoOptions{CPUs: 2, Names: names})
	op := func(at sim.Time, cpu sim.CPU, c ops.Callback) {
		p.Record(&sim.Record{At: at, Kind: sim.KindOp, CPU: cpu, A: uint64(c)})
	}
	end := func(at sim.Time, cpu sim.CPU, cost uint64) {
		p.Record(&sim.Record{At: at, Kind: sim.KindOpEnd, CPU: cpu, B: cost})
	}
	end(0, 0, 5) // one that began before the trace
	op(100, 0, ops.SelectCPU)
	end(100, 0, 30)
	op(100, 0, ops.Enqueue)
	end(100, 0, 20)
	op(100, 1, ops.Dispatch)
	op(100, 1, ops.Dequeue)
	end(100, 1, 5)
	end(100, 1, 50)
	op(200, 0, ops.Tick)
	end(200, 0, 0)
	for i, id := range []uint64{7, ops.DSQGlobal, ops.DSQLocalOn | 1, 1 << 40, 7} {
		p.Record(&sim.Record{At: 300, Kind: sim.KindDSQInsert, Task: 1, A: id, B: uint64(i)})
	}
	p.Record(&sim.Record{At: 301, Kind: sim.KindDSQRemove, Task: 1, A: 7})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	d := decodeTrace(t, b.Bytes())
	want := []string{
		"100 sched_ext callbacks CPU 0 begin select_cpu", "130 sched_ext callbacks CPU 0 end",
		"130 sched_ext callbacks CPU 0 begin enqueue", "150 sched_ext callbacks CPU 0 end",
		"100 sched_ext callbacks CPU 1 begin dispatch", "100 sched_ext callbacks CPU 1 begin dequeue",
		"105 sched_ext callbacks CPU 1 end", "150 sched_ext callbacks CPU 1 end",
		"200 sched_ext callbacks CPU 0 begin tick", "200 sched_ext callbacks CPU 0 end",
	}
	if diff := cmp.Diff(want, d.slices); diff != "" {
		t.Errorf("slices (-want +got):\n%s", diff)
	}
	want = []string{
		"300 DSQ 7 nr_queued 0", "300 DSQ GLOBAL nr_queued 1", "300 DSQ LOCAL_ON|1 nr_queued 2",
		"300 DSQ 1099511627776 nr_queued 3", "300 DSQ 7 nr_queued 4", "301 DSQ 7 nr_queued 0",
	}
	if diff := cmp.Diff(want, d.counters); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestPerfettoWriteError(t *testing.T) {
	p := NewPerfetto(failing{}, PerfettoOptions{CPUs: 1, Names: names})
	newToy(1, 1, 2, 20).play(p)
	if err := p.Close(); err == nil {
		t.Error("the error of the writer is lost")
	}
}

func BenchmarkPerfetto(b *testing.B) {
	y := newToy(1, 4, 9, 2000)
	b.ReportAllocs()
	for b.Loop() {
		p := NewPerfetto(&bytes.Buffer{}, PerfettoOptions{CPUs: 4, Names: names})
		y.play(p)
	}
	b.ReportMetric(float64(len(y.records)), "records/op")
}

func BenchmarkCollector(b *testing.B) {
	y := newToy(1, 4, 9, 2000)
	b.ReportAllocs()
	for b.Loop() {
		c := NewCollector(4, names)
		y.play(c)
	}
	b.ReportMetric(float64(len(y.records)), "records/op")
}
