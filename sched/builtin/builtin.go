package builtin

import (
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/fifo"
	"github.com/schedsim/schedsim/sched/rr"
	"github.com/schedsim/schedsim/sched/vtime"
)

// Entry is one policy of the list.
type Entry struct {
	Name  string
	Title string // one line for a list of policies
	New   func() sched.Policy
}

// All returns the built-in policies in the order in which they are shown.
func All() []Entry {
	return []Entry{
		{"fifo", "one queue for all CPUs, first come first served", func() sched.Policy { return new(fifo.Policy) }},
		{"rr", "round robin, a queue per CPU, idle CPUs take from others", func() sched.Policy { return new(rr.Policy) }},
		{"vtime", "weighted fair: one queue by virtual time", func() sched.Policy { return new(vtime.Policy) }},
	}
}

// ByName returns a new policy of that name; false if there is none.
func ByName(name string) (sched.Policy, bool) {
	for _, e := range All() {
		if e.Name == name {
			return e.New(), true
		}
	}
	return nil, false
}
