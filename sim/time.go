package sim

import "time"

// Time is a point of simulated time in nanoseconds since boot.
type Time int64

// Duration is a span of simulated time in nanoseconds.
type Duration int64

// Units of Duration.
const (
	Nanosecond  Duration = 1
	Microsecond          = 1000 * Nanosecond
	Millisecond          = 1000 * Microsecond
	Second               = 1000 * Millisecond
)

// Never is later than any event.
const Never Time = 1<<63 - 1

// Add returns t+d, saturating at Never.
func (t Time) Add(d Duration) Time {
	s := t + Time(d)
	if d > 0 && s < t {
		return Never
	}
	return s
}

// Sub returns the span from u to t.
func (t Time) Sub(u Time) Duration { return Duration(t - u) }

// String formats t as a duration since boot ("1.5ms").
func (t Time) String() string { return time.Duration(t).String() }

// String formats d as time.Duration does ("1.5ms").
func (d Duration) String() string { return time.Duration(d).String() }

// Milliseconds returns d in milliseconds.
func (d Duration) Milliseconds() float64 { return float64(d) / 1e6 }

// Seconds returns d in seconds.
func (d Duration) Seconds() float64 { return float64(d) / 1e9 }

// CPU numbers a logical CPU. Negative means none.
type CPU int32

// NoCPU is the absent CPU.
const NoCPU CPU = -1
