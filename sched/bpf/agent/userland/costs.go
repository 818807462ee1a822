package userland

import (
	"fmt"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
)

// Costs is the CPU time that a user-space scheduler's work takes on a CPU of full capacity. What the programs cost that it
// makes the kernel run is the machine's (sim.Costs), and comes on top.
type Costs struct {
	// Turn is one turn of the main loop: the look at the exit code, sched_yield and what surrounds them.
	Turn sim.Duration
	// Take is taking one task over from the programs, or finding that there is none.
	Take sim.Duration
	// Pass is each task that is compared with while one is put in order.
	Pass sim.Duration
	// Select is asking a SYSCALL program for a CPU (BPF_PROG_TEST_RUN).
	Select sim.Duration
	// Give is handing one task back.
	Give sim.Duration
}

// Assumed, not measured: a system call with little work in it takes 300 ns, bpf(2) on a queue 400 ns and on a program 800 ns, a
// record of a ring buffer in shared memory 80 ns, and a step along a list or a tree, whose nodes are cold, 5 ns.

func queueCosts() Costs { return Costs{Turn: 300, Take: 400, Pass: 5, Give: 400} }

func ringCosts() Costs { return Costs{Turn: 300, Take: 80, Pass: 5, Select: 800, Give: 80} }

// setting is something about a scheduler that a recipe can set.
type setting struct {
	name string
	dur  *sim.Duration
	num  *int
	text *string
}

func (c *Costs) settings() []setting {
	return []setting{{name: "turn", dur: &c.Turn}, {name: "take", dur: &c.Take}, {name: "pass", dur: &c.Pass},
		{name: "select", dur: &c.Select}, {name: "give", dur: &c.Give}}
}

// apply sets what args say.
func apply(list []setting, args map[string]any) error {
	names := make([]string, len(list))
	used := 0
	for i, s := range list {
		names[i] = s.name
		v, ok := args[s.name]
		if !ok {
			continue
		}
		used++
		if s.text != nil {
			if *s.text, ok = v.(string); !ok {
				return fmt.Errorf("%s: %v, want a name", s.name, v)
			}
			continue
		}
		n, ok := number(v)
		switch {
		case !ok && s.dur != nil:
			return fmt.Errorf("%s: %v, want a duration such as 300ns", s.name, v)
		case !ok || n < 1 || n > int64(sim.Second):
			return fmt.Errorf("%s: %v, want 1 or more, and at most a second where it is a time", s.name, v)
		case s.dur != nil:
			*s.dur = sim.Duration(n)
		default:
			*s.num = int(n)
		}
	}
	if used == len(args) {
		return nil
	}
	for name := range args {
		known := false
		for _, s := range list {
			known = known || s.name == name
		}
		if !known {
			return fmt.Errorf("%q is no setting of it%s", name, elf.DidYouMean(name, names))
		}
	}
	return nil
}

func number(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= 1<<62
	case int:
		return int64(v), true
	case string:
		return agent.Duration(v)
	}
	return 0, false
}
