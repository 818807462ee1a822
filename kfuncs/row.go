package kfuncs

import (
	"slices"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/vm/abi"
)

// Host is the simulated kernel behind the functions. For the rows alone the zero Host does.
type Host struct {
	Machine *sim.Machine
	Kernel  *ext.Kernel
	// Mem is the address space in which the machine's kernel objects and the programs' maps lie.
	Mem abi.Memory
	// Print takes a line of what programs print (bpf_stream_vprintk and relatives); nil drops it.
	Print func(line string)
	// Layout is the kernel whose types the programs were built for.
	Layout kobj.Source
	// Permissions say whether functions ask when they are called.
	Permissions Permissions

	iters handles[ext.DSQIter]
	walks handles[cssTasks] // over the tasks of a cgroup
	masks []iterMask        // what iterators over more than a word of bits have copied
	held  map[*sim.Task]int // references that programs hold
	cpumasks
	heldCgroups map[*sim.Cgroup]int
}

// All returns the rows of all kernel functions, bound to h.
func All(h *Host) []abi.Kfunc {
	return h.inlined(h.checkedAtRuntime(slices.Concat(
		insertFuncs(h), dispatchFuncs(h), selectFuncs(h), idleFuncs(h), dsqFuncs(h), iterFuncs(h), taskFuncs(h), cpuFuncs(h),
		cidFuncs(h), exitFuncs(h), commonFuncs(h), taskRefFuncs(h), cpumaskFuncs(h), dynptrFuncs(h), cgroupFuncs(h), cssFuncs(h), taskIterFuncs(h), stringFuncs(h),
		streamFuncs(h), otherFuncs(h), renamedFuncs(h))))
}

// row makes a row; the name is taken from the prototype.
func row(proto string, flags abi.KfuncFlags, groups abi.Groups, call abi.Func) abi.Kfunc {
	return abi.Kfunc{Name: nameOf(proto), Proto: proto, Flags: flags, Groups: groups, Call: call}
}

// machineRow makes the row of a function that the BPF machine runs itself.
func machineRow(proto string, flags abi.KfuncFlags, groups abi.Groups) abi.Kfunc {
	return abi.Kfunc{Name: nameOf(proto), Proto: proto, Flags: flags, Groups: groups, Machine: true}
}

// nameOf is the word before the parameters: a prototype of a kernel function returns no pointer to a function.
func nameOf(proto string) string {
	head, _, _ := strings.Cut(proto, "(")
	return head[strings.LastIndexAny(head, " *")+1:]
}

// Info describes a kernel function for lists.
type Info struct {
	Name, Proto string
	Flags       abi.KfuncFlags
	// Groups are the kernel's names of its groups.
	Groups []string
	// Implemented: programs that call it can be loaded.
	Implemented bool
	// Callbacks and CIDCallbacks are the callbacks of the two forms of sched_ext_ops from which it may be called, Syscall
	// and Tracing tell the same of programs of those types.
	Callbacks, CIDCallbacks []string
	Syscall, Tracing        bool
}

// List describes all kernel functions, sorted by name.
func List() []Info {
	var out []Info
	for _, k := range All(&Host{}) {
		i := Info{Name: k.Name, Proto: k.Proto, Flags: k.Flags, Groups: ops.GroupNames(k.Groups), Implemented: k.Modelled()}
		for _, r := range callbacksOf(&k, false) {
			i.Callbacks = append(i.Callbacks, r.Name)
		}
		for _, r := range callbacksOf(&k, true) {
			i.CIDCallbacks = append(i.CIDCallbacks, r.CIDName)
		}
		i.Syscall = Allowed(&k, Context{Kind: KindSyscall, Sleepable: true}) == nil
		i.Tracing = Allowed(&k, Context{Kind: KindTracing, Sleepable: true}) == nil
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return out
}
