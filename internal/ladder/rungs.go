package ladder

import (
	"slices"
	"strings"
)

// TopRung is the highest rung.
const TopRung = 12

// Entry says what is known of a scheduler, by the name of its object.
type Entry struct {
	Name string // of the object, without ".bpf.o"
	// Rung is how much it asks for: RungText says what.
	Rung int
	// CID is the rung of an object of that name in the cid form (sched_ext_ops_cid); 0: there is none.
	CID int
	// Kernel is the last kernel that the scheduler was made for, where it cannot work on the one that is asked for; "": it can.
	Kernel string
	// Checks are the names of what it is checked for.
	Checks []string
}

// Entries lists the schedulers that are known: those of the SCX project, of the kernel's tools/sched_ext, and those that
// the SCX project once had. Others are run all the same, without a rung or a check.
func Entries() []Entry {
	return []Entry{
		{Name: "scx_prev", Rung: 1, Checks: []string{"sticky"}},
		{Name: "scx_cpu0", Rung: 1, Checks: []string{"one-cpu"}},
		{Name: "scx_simple", Rung: 1, Checks: []string{"vtime"}},
		{Name: "scx_central", Rung: 3, Checks: []string{"central"}},
		// It cancels timers in select_cpu, where 7.2 refuses that (bpf_timer_cancel, interrupts are off).
		{Name: "scx_nest", Rung: 3, Kernel: "6.18", Checks: []string{"nest"}},
		{Name: "scx_flow", Rung: 4, Checks: []string{"latency"}},
		{Name: "scx_tickless", Rung: 4, Checks: []string{"tickless"}},
		{Name: "scx_beerland", Rung: 4, Checks: []string{"vtime", "locality"}},
		{Name: "scx_bpfland", Rung: 5, Checks: []string{"latency"}},
		{Name: "scx_cosmos", Rung: 5, Checks: []string{"vtime", "locality"}},
		{Name: "scx_flash", Rung: 5, Checks: []string{"vtime"}},
		{Name: "scx_forge", Rung: 5, Checks: []string{"vtime"}},
		{Name: "scx_pandemonium", Rung: 5, Checks: []string{"latency"}},
		{Name: "scx_timely", Rung: 5, Checks: []string{"latency"}},
		{Name: "scx_pair", Rung: 6, Checks: []string{"pair"}},
		{Name: "scx_flatcg", Rung: 6, Checks: []string{"cgroup-weights"}},
		{Name: "scx_qmap", Rung: 6, CID: 12, Checks: []string{"five-queues"}},
		{Name: "scx_sdt", Rung: 7, Checks: []string{"fifo"}},
		{Name: "scx_rusty", Rung: 7, Checks: []string{"domains"}},
		{Name: "scx_cake", Rung: 8, Checks: []string{"locality"}},
		{Name: "scx_cake_debug", Rung: 8, Checks: []string{"locality"}},
		{Name: "scx_p2dq", Rung: 8, Checks: []string{"llc"}},
		{Name: "scx_chaos", Rung: 8, Checks: []string{"llc"}},
		{Name: "scx_mitosis", Rung: 9, Checks: []string{"cells"}},
		{Name: "scx_layered", Rung: 9, Checks: []string{"layers"}},
		{Name: "scx_lavd", Rung: 10, Checks: []string{"latency"}},
		{Name: "scx_rustland", Rung: 11, Checks: []string{"user-space", "latency"}},
		{Name: "scx_rlfifo", Rung: 11, Checks: []string{"user-space"}},
		{Name: "scx_userland", Rung: 11, Checks: []string{"user-space"}},
	}
}

// RungText says what a rung asks for beyond those below it.
func RungText(rung int) string {
	texts := []string{
		0:  "objects without programs",
		1:  "queues, direct dispatch, the built-in choice of idle CPUs, virtual time",
		2:  "queue maps, task storage, tasks by PID",
		3:  "timers, cpumasks as kptrs, kicks, loops by iterators, resized sections",
		4:  "iterators over queues, SYSCALL programs, tracing programs, re-enqueueing, per-CPU variables of the kernel",
		5:  "global subprograms, idle tracking by node, cgroup storage, hash maps, atomics",
		6:  "maps in maps, spin locks, red-black trees, cgroups with weights",
		7:  "arenas",
		8:  "arenas of megabytes with locks and atomics in them, deep chains of calls",
		9:  "iterators over cgroups, programs that follow what happens to cgroups and tasks, a user-space half with a loop",
		10: "18,000 instructions, cgroup bandwidth, fields of runqueues, ring buffers",
		11: "a user-space half that is the policy: a task of its own, ring buffers in both directions",
		12: "the cid form of the callbacks",
	}
	if rung < 0 || rung >= len(texts) {
		return "not known"
	}
	return texts[rung]
}

// Find is the entry of an object by its file's name, nil for one that is not known; cid tells that its table has the cid form.
func Find(object string, cid bool) *Entry {
	name := baseName(object)
	for _, e := range Entries() {
		if e.Name != name {
			continue
		}
		if cid && e.CID > 0 {
			e.Rung = e.CID
		}
		e.Checks = slices.Clone(e.Checks)
		return &e
	}
	return nil
}

// checksOf lists the checks of an object: those asked for that there are.
func checksOf(e *Entry) []string {
	if e == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(e.Checks), func(name string) bool { return CheckByName(name) == nil })
}

// shortName is the name of a scheduler in tables.
func shortName(object string) string { return strings.TrimPrefix(baseName(object), "scx_") }
