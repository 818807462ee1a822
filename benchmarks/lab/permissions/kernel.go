package permissions

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// kernel is what the types of a kernel say.
type kernel struct {
	spec  *btf.Spec
	funcs map[string]btf.TypeID
	types map[string]btf.TypeID // typedefs of tracepoints
	rows  []*function
	// cpusPtr is where task_struct has a pointer to a cpumask.
	cpusPtr uint32
}

// function is one of sched_ext's kernel functions: a row of the table.
type function struct {
	name   string
	id     btf.TypeID
	params []btf.FuncParam
	// acquired is the function that gives what this one gives back, release the one that takes back what this one gives.
	acquired, release string
	iter              bool // its first argument is an iterator that the program has begun
}

// ours tells whether a function is one of sched_ext's. What ends in _impl is how the kernel calls one with more arguments.
func ours(name string) bool {
	for _, p := range []string{"scx_bpf_", "__scx_bpf_", "bpf_iter_scx_dsq_"} {
		if strings.HasPrefix(name, p) {
			return !strings.HasSuffix(name, "_impl")
		}
	}
	return false
}

func readKernel(r io.ReaderAt) (*kernel, error) {
	spec, err := btf.LoadSpecFromReader(r)
	if err != nil {
		return nil, err
	}
	k := &kernel{spec: spec, funcs: map[string]btf.TypeID{}, types: map[string]btf.TypeID{}}
	for t, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case *btf.Func:
			id, err := spec.TypeID(t)
			if err != nil {
				return nil, err
			}
			k.funcs[t.Name] = id
			if p, ok := t.Type.(*btf.FuncProto); ok && ours(t.Name) {
				k.rows = append(k.rows, &function{name: t.Name, id: id, params: p.Params})
			}
		case *btf.Typedef:
			if strings.HasPrefix(t.Name, "btf_trace_") {
				id, err := spec.TypeID(t)
				if err != nil {
					return nil, err
				}
				k.types[t.Name] = id
			}
		}
	}
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		return nil, err
	}
	for _, m := range task.Members {
		if m.Name == "cpus_ptr" {
			k.cpusPtr = m.Offset.Bytes()
		}
	}
	if k.cpusPtr == 0 {
		return nil, fmt.Errorf("task_struct has no cpus_ptr")
	}
	slices.SortFunc(k.rows, func(a, b *function) int { return strings.Compare(a.name, b.name) })
	for _, f := range k.rows {
		k.describe(f)
	}
	return k, nil
}

// describe fills in what a program must do before and after it calls f.
func (k *kernel) describe(f *function) {
	switch f.name {
	case "scx_bpf_get_possible_cpumask", "scx_bpf_get_online_cpumask":
		f.release = "scx_bpf_put_cpumask"
	case "scx_bpf_get_idle_cpumask", "scx_bpf_get_idle_cpumask_node", "scx_bpf_get_idle_smtmask", "scx_bpf_get_idle_smtmask_node":
		f.release = "scx_bpf_put_idle_cpumask"
	case "scx_bpf_task_cgroup":
		f.release = "bpf_cgroup_release"
	case "scx_bpf_put_cpumask":
		f.acquired = "scx_bpf_get_possible_cpumask"
	case "scx_bpf_put_idle_cpumask":
		f.acquired = "scx_bpf_get_idle_cpumask"
	}
	f.iter = f.name != "bpf_iter_scx_dsq_new" && len(f.params) > 0 && pointee(f.params[0].Type) == "bpf_iter_scx_dsq"
}

func (k *kernel) typedef(name string) (btf.TypeID, bool) {
	id, ok := k.types[name]
	return id, ok
}

// target is what a pointer points to, nil for other types.
func target(t btf.Type) btf.Type {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return nil
	}
	return btf.UnderlyingType(p.Target)
}

// pointee is the name of the struct that a pointer points to, "" for others.
func pointee(t btf.Type) string {
	if s, ok := target(t).(*btf.Struct); ok {
		return s.Name
	}
	return ""
}
