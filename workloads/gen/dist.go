package gen

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/schedsim/schedsim/sim"
)

// Kind names a family of distributions.
type Kind uint8

// The families. Constant is the zero value.
const (
	Constant Kind = iota
	Uniform
	Exponential
	Normal
	LogNormal
	Pareto
	Bimodal
)

var kindNames = [...]string{"constant", "uniform", "exponential", "normal", "lognormal", "pareto", "bimodal"}

// Kinds returns the names of all families, in the order of the constants.
func Kinds() []string { return kindNames[:] }

// KindByName finds a family by the name that workload files use.
func KindByName(name string) (Kind, bool) {
	for i, n := range kindNames {
		if n == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// String returns the family's name.
func (k Kind) String() string { return kindNames[k] }

// Dist is a distribution of durations. The fields that a family does not list are ignored.
//
//	constant     Value
//	uniform      Min, Max
//	exponential  Mean
//	normal       Mean, SD
//	lognormal    Mean, SD (of the durations themselves, not of their logarithm)
//	pareto       Min (scale), Alpha (shape)
//	bimodal      Value with probability 1-P, High with probability P
//
// Lo and Hi clamp what every family but constant and uniform draws: a sample below Lo becomes Lo, one above Hi becomes
// Hi. Lo is at least 0; Hi 0 means no upper bound.
type Dist struct {
	Kind     Kind
	Value    sim.Duration
	High     sim.Duration
	Mean, SD sim.Duration
	Min, Max sim.Duration
	Alpha, P float64
	Lo, Hi   sim.Duration
}

// maxSample bounds a sample: about 11.6 days, beyond any run, and far from overflow when added to a time.
const maxSample = sim.Duration(1e15)

// Check tells what is wrong with the parameters, nil if nothing is.
func (d Dist) Check() error {
	positive := func(name string, v sim.Duration) error {
		if v <= 0 || v > maxSample {
			return fmt.Errorf("%s: %s %v, expected more than 0 and at most %v", d.Kind, name, v, maxSample)
		}
		return nil
	}
	notNegative := func(name string, v sim.Duration) error {
		if v < 0 || v > maxSample {
			return fmt.Errorf("%s: %s %v, expected 0 to %v", d.Kind, name, v, maxSample)
		}
		return nil
	}
	var err error
	switch d.Kind {
	case Constant:
		return notNegative("value", d.Value)
	case Uniform:
		if err = notNegative("min", d.Min); err == nil {
			err = positive("max", d.Max)
		}
		if err == nil && d.Min > d.Max {
			err = fmt.Errorf("uniform: min %v is greater than max %v", d.Min, d.Max)
		}
		return err
	case Exponential:
		err = positive("mean", d.Mean)
	case Normal, LogNormal:
		if err = positive("mean", d.Mean); err == nil {
			err = notNegative("sd", d.SD)
		}
	case Pareto:
		if err = positive("min", d.Min); err == nil && !(d.Alpha > 0 && d.Alpha <= 1e6) {
			err = fmt.Errorf("pareto: alpha %v, expected more than 0", d.Alpha)
		}
	case Bimodal:
		if err = notNegative("low", d.Value); err == nil {
			err = positive("high", d.High)
		}
		if err == nil && !(d.P >= 0 && d.P <= 1) {
			err = fmt.Errorf("bimodal: p %v, expected 0 to 1", d.P)
		}
	default:
		err = fmt.Errorf("distribution %d: unknown", d.Kind)
	}
	if err == nil {
		err = notNegative("at_least", d.Lo)
	}
	if err == nil {
		err = notNegative("at_most", d.Hi)
	}
	if err == nil && d.Hi != 0 && d.Lo > d.Hi {
		err = fmt.Errorf("%s: at_least %v is greater than at_most %v", d.Kind, d.Lo, d.Hi)
	}
	return err
}

// String describes d with units ("exponential mean 1ms").
func (d Dist) String() string {
	switch d.Kind {
	case Constant:
		return d.Value.String()
	case Uniform:
		return fmt.Sprintf("uniform %v..%v", d.Min, d.Max)
	case Exponential:
		return fmt.Sprintf("exponential mean %v", d.Mean)
	case Pareto:
		return fmt.Sprintf("pareto min %v alpha %g", d.Min, d.Alpha)
	case Bimodal:
		return fmt.Sprintf("bimodal %v, %v with p %g", d.Value, d.High, d.P)
	default:
		return fmt.Sprintf("%s mean %v sd %v", d.Kind, d.Mean, d.SD)
	}
}

// Sampler draws from one Dist with one random stream. Sample allocates nothing.
type Sampler struct {
	d   Dist
	src rand.Source
	// rng is a view of src for the integer and uniform draws.
	rng *rand.Rand
	// mu and sigma are the parameters of the logarithm (lognormal).
	mu, sigma float64
}

// NewSampler binds d, which must have passed Check, to the stream r. r may be nil for a constant.
func NewSampler(d Dist, r *rand.Rand) *Sampler {
	s := &Sampler{d: d, rng: r}
	if r != nil {
		s.src = r // *rand.Rand has the Uint64 of a Source
	}
	if d.Kind == LogNormal {
		ratio := float64(d.SD) / float64(d.Mean)
		v := math.Log1p(float64(ratio * ratio))
		s.mu = math.Log(float64(d.Mean)) - v/2
		s.sigma = math.Sqrt(v)
	}
	return s
}

// Sample draws one duration: at least 0, in whole nanoseconds.
func (s *Sampler) Sample() sim.Duration {
	d := &s.d
	var x float64
	switch d.Kind {
	case Constant:
		return d.Value
	case Uniform:
		return d.Min + sim.Duration(s.rng.Int64N(int64(d.Max-d.Min)+1))
	case Bimodal:
		v := d.Value
		if s.rng.Float64() < d.P {
			v = d.High
		}
		return s.clamp(v)
	case Exponential:
		x = float64(d.Mean) * distuv.Exponential{Rate: 1, Src: s.src}.Rand()
	case Normal:
		x = distuv.Normal{Mu: float64(d.Mean), Sigma: float64(d.SD), Src: s.src}.Rand()
	case LogNormal:
		x = distuv.LogNormal{Mu: s.mu, Sigma: s.sigma, Src: s.src}.Rand()
	case Pareto:
		x = distuv.Pareto{Xm: float64(d.Min), Alpha: d.Alpha, Src: s.src}.Rand()
	}
	if !(x < float64(maxSample)) { // also catches NaN
		return s.clamp(maxSample)
	}
	if x < 0 {
		x = 0
	}
	return s.clamp(sim.Duration(math.RoundToEven(x)))
}

func (s *Sampler) clamp(v sim.Duration) sim.Duration {
	if v < s.d.Lo {
		v = s.d.Lo
	}
	if s.d.Hi != 0 && v > s.d.Hi {
		v = s.d.Hi
	}
	return v
}
