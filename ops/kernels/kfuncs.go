package kernels

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
)

// KfuncInfo is what a kernel says of one of its kernel functions.
type KfuncInfo struct {
	Name string
	// Proto is the C declaration as programs see it, without implicit arguments: "s32 scx_bpf_task_cpu(const struct
	// task_struct *p)".
	Proto string
	Flags abi.KfuncFlags
	// Sets are the sets of sched_ext that it is in, sorted: the kernel's names without scx_kfunc_ids_. Nil for none.
	Sets []string
	// Type is its BTF type.
	Type *btf.Func
}

// Kfuncs returns the kernel functions that the kernel offers to programs, sorted by name.
func (k *Kernel) Kfuncs() []KfuncInfo {
	if k.kfuncs != nil {
		return k.kfuncs
	}
	for l := range strings.Lines(k.rawKfuncs) {
		l, sets, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " (")
		words := strings.Fields(l)
		info := KfuncInfo{Name: words[0]}
		if sets != "" {
			info.Sets = strings.Fields(strings.TrimSuffix(sets, ")"))
		}
		for _, w := range words[1:] {
			f, ok := FlagByName(w)
			if !ok {
				panic(fmt.Sprintf("BUG: kernel function %s: unknown flag %s", info.Name, w))
			}
			info.Flags |= f
		}
		if err := k.BTF().TypeByName(info.Name, &info.Type); err != nil {
			panic(fmt.Sprintf("BUG: kernel function %s: %v", info.Name, err))
		}
		info.Proto = Declaration(info.Type)
		k.kfuncs = append(k.kfuncs, info)
	}
	return k.kfuncs
}

// flagNames are the KF_ flags of include/linux/btf.h without their prefix.
var flagNames = [...]struct {
	name string
	flag abi.KfuncFlags
}{
	{"ACQUIRE", abi.Acquire},
	{"RELEASE", abi.Release},
	{"RET_NULL", abi.RetNull},
	{"TRUSTED_ARGS", abi.TrustedArgs},
	{"SLEEPABLE", abi.Sleepable},
	{"DESTRUCTIVE", abi.Destructive},
	{"RCU", abi.RCU},
	{"ITER_NEW", abi.IterNew},
	{"ITER_NEXT", abi.IterNext},
	{"ITER_DESTROY", abi.IterDestroy},
	{"RCU_PROTECTED", abi.RCUProtected},
	{"IMPLICIT_ARGS", abi.ImplicitArgs},
	{"FASTCALL", abi.FastCall},
	{"ARENA_RET", abi.ArenaRet},
	{"ARENA_ARG1", abi.ArenaArg1},
	{"ARENA_ARG2", abi.ArenaArg2},
	{"SPINLOCK_SAFE", abi.SpinlockSafe},
	{"PERFMON", abi.Perfmon},
}

// FlagByName returns the flag with that name (KF_ left out).
func FlagByName(name string) (abi.KfuncFlags, bool) {
	for _, f := range flagNames {
		if f.name == name {
			return f.flag, true
		}
	}
	return 0, false
}

// FlagNames returns the names of flags in the order of the kernel's bits, separated by spaces.
func FlagNames(flags abi.KfuncFlags) string {
	var out []string
	for _, f := range flagNames {
		if flags&f.flag != 0 {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, " ")
}
