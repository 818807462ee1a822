package kernels

import (
	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/internal/cdecl"
)

// Declaration returns the C declaration of a function: "s32 f(u64 a, struct task_struct *p)".
func Declaration(f *btf.Func) string { return cdecl.Declaration(f) }

// TypeString returns a type as C writes it in a cast: "const struct cpumask *".
func TypeString(t btf.Type) string { return cdecl.TypeString(t) }
