package reports

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/schedsim/schedsim/sim"
)

// TestPprofIsTheRun: the sums over the samples are the toy's accounts.
func TestPprofIsTheRun(t *testing.T) {
	y := newToy(5, 3, 8, 1000)
	write := func() []byte {
		p := NewPprof(3, names)
		y.play(p)
		var b bytes.Buffer
		if err := p.Write(&b, testInfo, y.end); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	data := write()
	if !bytes.Equal(data, write()) {
		t.Error("two profiles of one run differ")
	}
	prof, err := profile.ParseData(data)
	if err != nil {
		t.Fatal(err)
	}
	if prof.TimeNanos != 0 || prof.DurationNanos != int64(y.end) || prof.DefaultSampleType != "runqueue" {
		t.Errorf("time %d, duration %d, default %q", prof.TimeNanos, prof.DurationNanos, prof.DefaultSampleType)
	}
	sums := map[int32][3]sim.Duration{}
	for _, s := range prof.Sample {
		if len(s.Location) != 4 || len(s.Value) != 4 || s.Value[0] <= 0 {
			t.Fatalf("sample %v", s)
		}
		pid := int32(s.NumLabel["pid"][0])
		if leaf := s.Location[0].Line[0].Function.Name; !strings.HasPrefix(leaf, names(pid).Comm) {
			t.Errorf("PID %d has the leaf %q", pid, leaf)
		}
		v := sums[pid]
		for i := range v {
			v[i] += sim.Duration(s.Value[i+1])
		}
		sums[pid] = v
	}
	for pid := int32(1); pid <= 8; pid++ {
		if want := [3]sim.Duration{y.onCPU[pid], y.queued[pid], y.blocked[pid]}; sums[pid] != want {
			t.Errorf("PID %d: %v, want %v", pid, sums[pid], want)
		}
	}
}
