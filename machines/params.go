package machines

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schedsim/schedsim/sim"
)

// Machine is what a machine is like apart from its topology. The zero value has no overheads, ticks 250 times a second and
// one clock.
type Machine struct {
	Name  string // the profile's, with "+" behind it once a number was set
	Costs sim.Costs
	HZ    int // ticks per second; 0: 250
	// ClockSkew is how far the clock of the last CPU is ahead of the first one's; those between lie between, in order.
	ClockSkew sim.Duration
}

// Unit is how a parameter is written.
type Unit uint8

// The units.
const (
	UnitTime  Unit = iota // a duration with its unit, "1.5us"
	UnitPicos             // picoseconds, "70ps", "1.2ns"
	UnitRate              // a fraction of full speed, "0.62"
	UnitHz                // a plain number
)

// Param is a number of a machine.
type Param struct {
	Name string
	Unit Unit
	Doc  string // what it is the price of, for people
	// field points to it: a *sim.Duration, *int64, *int32 or *int.
	field func(m *Machine) any
}

// Params are all numbers of a machine, in the order in which they are shown.
func Params() []Param {
	return []Param{
		{"switch", UnitTime, "context switch", func(m *Machine) any { return &m.Costs.Switch }},
		{"wakeup", UnitTime, "wakeup, on the waker's CPU", func(m *Machine) any { return &m.Costs.Wakeup }},
		{"queue", UnitTime, "part of a wakeup by a task before the woken one is queued", func(m *Machine) any { return &m.Costs.Queue }},
		{"select", UnitTime, "choice among several CPUs in a wakeup", func(m *Machine) any { return &m.Costs.Select }},
		{"call", UnitTime, "way of a task into the kernel to wake others", func(m *Machine) any { return &m.Costs.Call }},
		{"block", UnitTime, "from a task's wish to sleep to the switch", func(m *Machine) any { return &m.Costs.Block }},
		{"preempt", UnitTime, "from the end of an interrupt or a call to the switch that it brings about", func(m *Machine) any { return &m.Costs.Preempt }},
		{"fork", UnitTime, "creation of a task, on its parent's CPU", func(m *Machine) any { return &m.Costs.Fork }},
		{"exit", UnitTime, "end of a task, until its CPU reschedules because it leaves its group", func(m *Machine) any { return &m.Costs.Exit }},
		{"exit-rest", UnitTime, "end of a task, from there to its last switch", func(m *Machine) any { return &m.Costs.ExitRest }},
		{"tick", UnitTime, "tick interrupt", func(m *Machine) any { return &m.Costs.Tick }},
		{"timer", UnitTime, "interrupt of a timer that ends a sleep, or a slice under EEVDF", func(m *Machine) any { return &m.Costs.Timer }},
		{"softirq", UnitTime, "from the interrupt of a timer to the callback of a program's timer", func(m *Machine) any { return &m.Costs.Softirq }},
		{"ipi", UnitTime, "from sending a reschedule interrupt to its arrival", func(m *Machine) any { return &m.Costs.IPI }},
		{"irq-work", UnitTime, "interrupt that a CPU sends itself, as scx_bpf_kick_cpu does", func(m *Machine) any { return &m.Costs.IRQWork }},
		{"move", UnitTime, "move of a queued task from one runqueue to another, on the CPU that does it", func(m *Machine) any { return &m.Costs.Move }},
		{"migration", UnitTime, "cold caches after a move within a last-level cache", func(m *Machine) any { return &m.Costs.Migration }},
		{"migration-llc", UnitTime, "... to another last-level cache of the node", func(m *Machine) any { return &m.Costs.MigrationLLC }},
		{"migration-node", UnitTime, "... to another NUMA node", func(m *Machine) any { return &m.Costs.MigrationNode }},
		{"warmup", UnitTime, "run time on a CPU after which a move away costs all of the above; 0: always", func(m *Machine) any { return &m.Costs.Warmup }},
		{"idle-exit", UnitTime, "leaving the idle state", func(m *Machine) any { return &m.Costs.IdleExit }},
		{"deep-idle-exit", UnitTime, "leaving the deep idle state", func(m *Machine) any { return &m.Costs.DeepIdleExit }},
		{"deep-idle-after", UnitTime, "time in idle after which the state is deep; 0: never", func(m *Machine) any { return &m.Costs.DeepIdleAfter }},
		{"jitter", UnitRate, "by what part each of the above may be longer or shorter, drawn each time", func(m *Machine) any { return &m.Costs.Jitter }},
		{"smt", UnitRate, "speed of a thread while another thread of its core is busy; 0: full speed", func(m *Machine) any { return &m.Costs.SMT }},
		{"speed-delay", UnitTime, "until a CPU has the frequency that was asked for; 0: frequencies do not change", func(m *Machine) any { return &m.Costs.SpeedDelay }},
		{"callback", UnitTime, "entering and leaving a callback of a scheduler", func(m *Machine) any { return &m.Costs.Callback }},
		{"insn", UnitPicos, "BPF instruction", func(m *Machine) any { return &m.Costs.InsnPS }},
		{"kfunc", UnitTime, "call of a kernel function or helper by a program", func(m *Machine) any { return &m.Costs.KfuncNS }},
		{"hz", UnitHz, "ticks per second; 0: 250", func(m *Machine) any { return &m.HZ }},
		{"clock-skew", UnitTime, "how far the last CPU's clock is ahead of the first one's; those between lie between", func(m *Machine) any { return &m.ClockSkew }},
	}
}

// Value is the number, in ns, ps, 1024ths or Hz.
func (p Param) Value(m *Machine) int64 {
	switch f := p.field(m).(type) {
	case *sim.Duration:
		return int64(*f)
	case *int64:
		return *f
	case *int32:
		return int64(*f)
	case *int:
		return int64(*f)
	}
	panic("BUG: parameter " + p.Name + " of another type")
}

func (p Param) set(m *Machine, v int64) {
	switch f := p.field(m).(type) {
	case *sim.Duration:
		*f = sim.Duration(v)
	case *int64:
		*f = v
	case *int32:
		*f = int32(v)
	case *int:
		*f = int(v)
	}
}

// Text is the number as Set takes it.
func (p Param) Text(m *Machine) string {
	v := p.Value(m)
	switch p.Unit {
	case UnitTime:
		return strings.ReplaceAll(sim.Duration(v).String(), "µ", "u")
	case UnitPicos:
		return strconv.FormatInt(v, 10) + "ps"
	case UnitRate:
		return strconv.FormatFloat(float64(v)/1024, 'g', 4, 64)
	}
	return strconv.FormatInt(v, 10)
}

// Set sets numbers: "switch=2us,ipi=1us". A machine of which a number was set is no longer its profile's.
func (m *Machine) Set(list string) error {
	for part := range strings.SplitSeq(list, ",") {
		name, text, ok := strings.Cut(part, "=")
		name, text = strings.TrimSpace(name), strings.TrimSpace(text)
		if !ok || name == "" || text == "" {
			return fmt.Errorf("%q: expected name=value", part)
		}
		ps := Params()
		i := slices.IndexFunc(ps, func(p Param) bool { return p.Name == name })
		if i < 0 {
			return fmt.Errorf("%q: expected %s", name, strings.Join(ParamNames(), ", "))
		}
		v, err := ps[i].parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		ps[i].set(m, v)
		if !strings.HasSuffix(m.Name, "+") {
			m.Name += "+"
		}
	}
	if m.Costs.DeepIdleAfter > 0 && m.Costs.DeepIdleExit < m.Costs.IdleExit {
		return fmt.Errorf("deep-idle-exit %v is shorter than idle-exit %v", m.Costs.DeepIdleExit, m.Costs.IdleExit)
	}
	return nil
}

// maxCost bounds what one thing may cost; more is a mistake.
const maxCost = sim.Second

func (p Param) parse(text string) (int64, error) {
	switch p.Unit {
	case UnitHz:
		v, err := strconv.ParseUint(text, 10, 31)
		if err != nil || v < 1 || v > 10_000 {
			return 0, fmt.Errorf("%q: expected 1 to 10000", text)
		}
		return int64(v), nil
	case UnitRate:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0 && v <= 1) {
			return 0, fmt.Errorf("%q: expected a fraction, 0 to 1", text)
		}
		return int64(math.Round(v * 1024)), nil
	case UnitPicos:
		if ps, ok := strings.CutSuffix(text, "ps"); ok {
			v, err := strconv.ParseUint(ps, 10, 31)
			if err != nil {
				return 0, fmt.Errorf("%q: expected a time such as 70ps", text)
			}
			return int64(v), nil
		}
	}
	if text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || sim.Duration(d) > maxCost {
		return 0, fmt.Errorf("%q: expected a time with a unit, at most %v, such as 1.5us", text, maxCost)
	}
	if p.Unit == UnitPicos {
		return int64(d) * 1000, nil
	}
	return int64(d), nil
}

// ParamNames are the names of the parameters.
func ParamNames() []string {
	var names []string
	for _, p := range Params() {
		names = append(names, p.Name)
	}
	return names
}

// Skew is how far the clock of CPU i of n is ahead.
func (m *Machine) Skew(i, n int) sim.Duration {
	if n < 2 {
		return 0
	}
	return m.ClockSkew * sim.Duration(i) / sim.Duration(n-1)
}

// Skews are the Skew of each of n CPUs, nil if their clocks are the same.
func (m *Machine) Skews(n int) []sim.Duration {
	if m.ClockSkew == 0 {
		return nil
	}
	s := make([]sim.Duration, n)
	for i := range s {
		s[i] = m.Skew(i, n)
	}
	return s
}
