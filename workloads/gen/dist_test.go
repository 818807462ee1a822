package gen

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

const ms = sim.Millisecond

func stream(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// TestMoments checks mean and standard deviation of each family against its closed form, with 5 standard errors of room.
func TestMoments(t *testing.T) {
	const n = 200_000
	for _, tc := range []struct {
		name     string
		d        Dist
		mean, sd float64 // ns
	}{
		{"constant", Dist{Kind: Constant, Value: 3 * ms}, 3e6, 0},
		{"uniform", Dist{Kind: Uniform, Min: 2 * ms, Max: 8 * ms}, 5e6, 6e6 / math.Sqrt(12)},
		{"exponential", Dist{Kind: Exponential, Mean: ms}, 1e6, 1e6},
		{"normal", Dist{Kind: Normal, Mean: 10 * ms, SD: ms}, 1e7, 1e6},
		{"lognormal", Dist{Kind: LogNormal, Mean: 4 * ms, SD: 2 * ms}, 4e6, 2e6},
		// alpha 5: mean xm*a/(a-1), variance xm^2*a/((a-1)^2(a-2))
		{"pareto", Dist{Kind: Pareto, Min: ms, Alpha: 5}, 1.25e6, 1e6 * math.Sqrt(5.0/(16*3))},
		{"bimodal", Dist{Kind: Bimodal, Value: ms / 2, High: 5*ms + ms/2, P: 0.1}, 1e6, 5e6 * 0.3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.d.Check(); err != nil {
				t.Fatal(err)
			}
			s := NewSampler(tc.d, stream(7))
			var sum, sq float64
			for range n {
				x := float64(s.Sample())
				sum += x
				sq += float64(x * x)
			}
			mean := sum / n
			sd := math.Sqrt(math.Max(0, sq/n-float64(mean*mean)))
			if room := 5*tc.sd/math.Sqrt(n) + 1; math.Abs(mean-tc.mean) > room {
				t.Errorf("mean %.0f, want %.0f +- %.0f", mean, tc.mean, room)
			}
			if math.Abs(sd-tc.sd) > 0.03*tc.sd+1 {
				t.Errorf("sd %.0f, want %.0f +- 3%%", sd, tc.sd)
			}
		})
	}
}

func TestSampleRepeats(t *testing.T) {
	d := Dist{Kind: LogNormal, Mean: ms, SD: 3 * ms}
	a, b := NewSampler(d, stream(1)), NewSampler(d, stream(1))
	other := NewSampler(d, stream(2))
	same := true
	for range 100 {
		x := a.Sample()
		if y := b.Sample(); x != y {
			t.Fatalf("same stream, %v and %v", x, y)
		}
		same = same && x == other.Sample()
	}
	if same {
		t.Error("another stream drew the same 100 samples")
	}
}

func TestClamp(t *testing.T) {
	s := NewSampler(Dist{Kind: Exponential, Mean: ms, Lo: 500 * sim.Microsecond, Hi: 2 * ms}, stream(3))
	lo, hi := false, false
	for range 1000 {
		x := s.Sample()
		if x < 500*sim.Microsecond || x > 2*ms {
			t.Fatalf("%v is outside 500us..2ms", x)
		}
		lo, hi = lo || x == 500*sim.Microsecond, hi || x == 2*ms
	}
	if !lo || !hi {
		t.Errorf("1000 samples reached low bound: %v, high bound: %v; expected both", lo, hi)
	}
}

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name string
		d    Dist
		want string
	}{
		{"negative constant", Dist{Value: -1}, "value"},
		{"uniform reversed", Dist{Kind: Uniform, Min: 2, Max: 1}, "greater than max"},
		{"no mean", Dist{Kind: Exponential}, "mean"},
		{"negative sd", Dist{Kind: Normal, Mean: 1, SD: -1}, "sd"},
		{"no alpha", Dist{Kind: Pareto, Min: 1}, "alpha"},
		{"nan alpha", Dist{Kind: Pareto, Min: 1, Alpha: math.NaN()}, "alpha"},
		{"p above one", Dist{Kind: Bimodal, High: 1, P: 1.5}, "expected 0 to 1"},
		{"bounds reversed", Dist{Kind: Exponential, Mean: 1, Lo: 3, Hi: 2}, "at_most"},
		{"unknown kind", Dist{Kind: 99}, "unknown"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.d.Check()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestSampleBounds: whatever passes Check draws durations within 0..maxSample.
func TestSampleBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dur := rapid.Int64Range(-10, int64(maxSample)+10)
		d := Dist{
			Kind:  Kind(rapid.IntRange(0, int(Bimodal)).Draw(rt, "kind")),
			Value: sim.Duration(dur.Draw(rt, "value")), High: sim.Duration(dur.Draw(rt, "high")),
			Mean: sim.Duration(dur.Draw(rt, "mean")), SD: sim.Duration(dur.Draw(rt, "sd")),
			Min: sim.Duration(dur.Draw(rt, "min")), Max: sim.Duration(dur.Draw(rt, "max")),
			Alpha: rapid.Float64Range(-1, 10).Draw(rt, "alpha"), P: rapid.Float64Range(-0.1, 1.1).Draw(rt, "p"),
		}
		if d.Check() != nil {
			return
		}
		s := NewSampler(d, stream(rapid.Uint64().Draw(rt, "seed")))
		for range 20 {
			if x := s.Sample(); x < 0 || x > maxSample {
				rt.Fatalf("%v drew %d ns", d, x)
			}
		}
	})
}

func TestSampleAllocs(t *testing.T) {
	for k := range kindNames {
		d := Dist{Kind: Kind(k), Value: ms, High: 2 * ms, Mean: ms, SD: ms, Min: ms, Max: 2 * ms, Alpha: 2, P: 0.5}
		s := NewSampler(d, stream(1))
		if n := testing.AllocsPerRun(100, func() { s.Sample() }); n != 0 {
			t.Errorf("%s: %v allocations per sample", d.Kind, n)
		}
	}
}
