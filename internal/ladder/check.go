package ladder

import (
	"slices"

	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sim"
)

// Check is a question to a scheduler: does it do what its authors say?
type Check struct {
	Name string
	// Says is what the authors say, and Limit how far a scheduler may be from it. Both are sentences for the documentation.
	Says, Limit string
	// Workload is the text of the workload; Topo and Length are the machine and the simulated time.
	Workload string
	Topo     string
	Length   sim.Duration
	// Globals and Members are set in the object.
	Globals map[string]any
	Members []bpf.Member
	// Measure looks at what happened.
	Measure func(s *Seen) Finding
}

// Finding is what a check found.
type Finding struct {
	Check string `json:"check"`
	Limit string `json:"limit"`
	OK    bool   `json:"ok"`
	// Value is the figure that was held against the limit, Figure the same for a table: "0.4 %".
	Value  float64 `json:"value"`
	Figure string  `json:"figure"`
	// Text says more where it does not hold.
	Text string `json:"text,omitempty"`
}

// Checks lists all checks.
func Checks() []Check {
	return slices.Concat(shareChecks(), placeChecks(), partChecks(), latencyChecks(), duty())
}

// CheckByName returns a check, nil if there is none of that name.
func CheckByName(name string) *Check {
	all := Checks()
	if i := slices.IndexFunc(all, func(c Check) bool { return c.Name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// atMost is a finding about a figure that must not be above a limit; text says what it is.
func atMost(value, limit float64, figure, text string) Finding {
	return Finding{OK: value <= limit, Value: value, Figure: figure, Text: text}
}

// atLeast is the same for one that must not be below.
func atLeast(value, limit float64, figure, text string) Finding {
	return Finding{OK: value >= limit, Value: value, Figure: figure, Text: text}
}
