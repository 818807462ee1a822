package machines

import (
	"fmt"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/sim"
)

// Source says where a number of a profile comes from.
type Source struct {
	Param    string
	Measured bool // else it is assumed
	From     string
}

// Profile is a kind of machine.
type Profile struct {
	Name, Title string
	Machine     Machine
	Sources     []Source
}

// Default is the profile of runs that ask for none.
const Default = "modern-x86"

// Profiles are all of them.
func Profiles() []Profile { return []Profile{modernX86(), lab(), off()} }

// Names are their names.
func Names() []string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// Get returns the profile with that name.
func Get(name string) (Profile, error) {
	ps := Profiles()
	if i := slices.IndexFunc(ps, func(p Profile) bool { return p.Name == name }); i >= 0 {
		return ps[i], nil
	}
	return Profile{}, fmt.Errorf("%q: expected %s", name, strings.Join(Names(), ", "))
}

// Costs are the overheads of the default profile.
func Costs() sim.Costs { return modernX86().Machine.Costs }

// off is a machine without overheads: schedules are those of the textbook.
func off() Profile {
	return Profile{Name: "off", Title: "no overheads: the schedules of the textbook", Machine: Machine{Name: "off"}}
}

// modernX86 is a server of the 2020s near 3 GHz. docs/calibration.md says how its numbers were measured (scripts/host-costs), and why
// the others are assumed. They are the same for every scheduler, so comparisons depend on them less than absolute numbers do.
func modernX86() Profile {
	const host = "Linux 6.18 on a virtual CPU near 3 GHz (scripts/host-costs): "
	return Profile{
		Name: "modern-x86", Title: "a server of the 2020s near 3 GHz; paths of one CPU measured, those between CPUs assumed",
		Machine: Machine{Name: "modern-x86", Costs: sim.Costs{
			Switch: 400, Wakeup: 300, Fork: 2500, Tick: 1000, Timer: 1000, IPI: 1000, IRQWork: 500,
			Migration: 3000, MigrationLLC: 15_000, MigrationNode: 30_000,
			IdleExit: 2000,
			InsnPS:   70, KfuncNS: 20, Callback: 20,
		}},
		Sources: []Source{
			{"switch", true, host + "two threads that yield, 300 ns, and 100 ns more between processes"},
			{"wakeup", true, host + "half a round trip through pipes, less the calls and the switch"},
			{"fork", true, host + "pthread_create; fork takes ten times as long"},
			{"tick", true, host + "what the shorter interrupts take from a busy loop"},
			{"timer", true, "as the tick, whose interrupt is a timer's"},
			{"ipi", false, "with leaving idle and a wakeup 3.3 us; measured from a wakeup to running on an idle virtual CPU: 2.9 us"},
			{"irq-work", false, "an interrupt without a timer to set; a virtual machine leaves the guest for it: 8.0 us (BenchmarkIRQWork)"},
			{"migration", false, "refilling the first two levels of cache"},
			{"migration-llc", false, "refilling a working set of some hundred KB from memory"},
			{"migration-node", false, "twice that, from remote memory"},
			{"idle-exit", false, "a shallow idle state (C1); deep ones are off"},
			{"insn", true, "a mix of 85 BPF instructions takes 6.0 ns in the JIT of a 6.18 kernel near 3 GHz"},
			{"kfunc", false, "a lock and a list operation: between a helper (1.5 ns) and an update of a hash map (43 ns)"},
			{"callback", false, "entering and leaving a program through its trampoline"},
		},
	}
}

// lab is one CPU of the virtual machine on which runs of a real kernel were recorded (QEMU, icount shift 1: 2 ns an
// instruction). Its paths are about ten times as long as those of a server. docs/calibration.md has the fit.
func lab() Profile {
	return Profile{
		Name: "lab", Title: "one CPU of the virtual machine of the recorded runs: 2 ns an instruction",
		Machine: Machine{Name: "lab", Costs: sim.Costs{
			Switch: 3850, Wakeup: 650, Queue: 3250, Select: 1050, Call: 1900, Block: 4400, Preempt: 2100, Fork: 98_000, Exit: 12_400, ExitRest: 8500,
			Tick: 3200, Timer: 1450, Softirq: 1000, IPI: 500,
			Move:     3500,
			IdleExit: 2200,
			InsnPS:   2000, KfuncNS: 100,
		}},
		Sources: []Source{
			{"switch", true, "from the time at which the kernel's scheduler reads the clock to the task's own code: event streams and round trips of two tasks that wake each other"},
			{"wakeup", true, "from the time that a woken task is queued to the return of its waker, in recorded event streams"},
			{"queue", true, "from the beginning of a wakeup to the time that the task is queued"},
			{"select", true, "how much longer that takes on two CPUs than on one, under scx_simple"},
			{"call", true, "from a task's call to the beginning of the wakeup, in event streams"},
			{"block", true, "from the return of a wakeup to the switch of the waker, which then sleeps"},
			{"preempt", true, "how much longer the first slice after a wakeup is under EEVDF than the others: 2.4 us less what these vary"},
			{"fork", true, "from the switch to a task that forks to the first wakeup, and from one to the next"},
			{"exit", true, "from the end of a forked task's work to the switch, where its slice is over: 14.5 us, less what comes before a preemption"},
			{"exit-rest", true, "from the switch back to such a task to its last: 12.5 us less a switch"},
			{"tick", true, "from the edge of a tick to the switch that it brings about, 7.4 us under EEVDF, less the above"},
			{"timer", true, "from the end of a sleep on a busy CPU to the beginning of the wakeup, in event streams"},
			{"softirq", true, "from the time for which a program sets its timer to the callback, 2.45 us, less the above"},
			{"ipi", false, "the other CPU finds it when it has its turn"},
			{"move", true, "how much longer, under scx_simple on two and four CPUs, the way from a wakeup to the switch to a task is that was queued for another CPU, of the CPU's own turns: 3.57 us"},
			{"idle-exit", true, "the shortest time from a wakeup by another CPU to the switch, in event streams of two CPUs"},
			{"insn", true, "the setting of the virtual machine"},
			{"kfunc", true, "round trips of two tasks under scx_flatcg, which calls 38 more than simple in each and takes 3.8 us longer"},
		},
	}
}
