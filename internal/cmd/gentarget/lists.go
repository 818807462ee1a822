package main

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// condenseConfig keeps the options of a .config that are set, sorted.
func condenseConfig(config []byte) ([]byte, error) {
	var lines []string
	s := bufio.NewScanner(bytes.NewReader(config))
	for n := 1; s.Scan(); n++ {
		l := strings.TrimSpace(s.Text())
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if name, _, ok := strings.Cut(l, "="); !ok || !strings.HasPrefix(name, "CONFIG_") {
			return nil, fmt.Errorf("line %d: %q is no option", n, l)
		}
		lines = append(lines, l)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// flagNames are the KF_ flags of include/linux/btf.h without their prefix, by bit. Bit 4 went out of use when trusted
// arguments became the rule.
var flagNames = [...]string{0: "ACQUIRE", 1: "RELEASE", 2: "RET_NULL", 4: "TRUSTED_ARGS", 5: "SLEEPABLE", 6: "DESTRUCTIVE", 7: "RCU",
	8: "ITER_NEW", 9: "ITER_NEXT", 10: "ITER_DESTROY", 11: "RCU_PROTECTED", 12: "FASTCALL", 13: "ARENA_RET", 14: "ARENA_ARG1",
	15: "ARENA_ARG2", 16: "IMPLICIT_ARGS", 17: "SPINLOCK_SAFE", 18: "PERFMON"}

// setNames tells the sets of sched_ext by what is in them and what is not: their names are not in the image. They are
// those of the kernel without the prefix scx_kfunc_ids_.
var setNames = []struct {
	name      string
	has, lack []string
}{
	{"enqueue_dispatch", []string{"scx_bpf_dsq_insert"}, nil},
	{"dispatch", []string{"scx_bpf_dispatch_cancel"}, nil},
	{"cpu_release", []string{"scx_bpf_reenqueue_local"}, nil},
	{"unlocked", []string{"scx_bpf_create_dsq"}, nil},
	{"any", []string{"scx_bpf_error_bstr"}, nil},
	{"init", []string{"scx_bpf_cid_override"}, nil},
	{"cid", []string{"scx_bpf_cid_to_cpu"}, nil},
	{"idle", []string{"scx_bpf_pick_idle_cpu"}, []string{"scx_bpf_kick_cpu"}},
	{"cpu_only", []string{"scx_bpf_pick_idle_cpu", "scx_bpf_kick_cpu"}, nil},
	{"select_cpu", []string{"scx_bpf_select_cpu_dfl"}, []string{"scx_bpf_create_dsq", "scx_bpf_pick_idle_cpu"}},
}

// kfuncList lists the functions in the image's sets of kernel functions: name, flags, and in parentheses the sets of
// sched_ext that they are in. One that is in several sets keeps the flags common to all.
func kfuncList(spec *btf.Spec, ids []byte) (list []byte, names map[string]bool, err error) {
	byID := map[uint32]string{}
	for t, err := range spec.All() {
		if err != nil {
			return nil, nil, err
		}
		if f, ok := t.(*btf.Func); ok {
			id, err := spec.TypeID(f)
			if err != nil {
				return nil, nil, err
			}
			byID[uint32(id)] = f.Name
		}
	}
	flags, in := map[string]uint32{}, map[string][]string{}
	for _, set := range kfuncSets(ids, func(id uint32) bool { return byID[id] != "" }) {
		members := map[string]bool{}
		for _, e := range set {
			members[byID[e.id]] = true
		}
		name := setName(members)
		for _, e := range set {
			fn := byID[e.id]
			if old, ok := flags[fn]; ok {
				e.flags &= old
			}
			flags[fn] = e.flags
			if name != "" {
				in[fn] = append(in[fn], name)
			}
		}
	}
	names = map[string]bool{}
	var lines []string
	for fn, f := range flags {
		names[fn] = true
		l := fn
		words, err := flagWords(f)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", fn, err)
		}
		for _, w := range words {
			l += " " + w
		}
		if s := in[fn]; s != nil {
			slices.Sort(s)
			l += " (" + strings.Join(s, " ") + ")"
		}
		lines = append(lines, l)
	}
	// A function with the tag that no set has means that the sets were not understood.
	tagged, err := kfuncs(spec)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range tagged {
		if !names[f.Name] {
			return nil, nil, fmt.Errorf("kernel function %s is in no set of the image", f.Name)
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, "\n") + "\n"), names, nil
}

// setName is the name of a set of sched_ext, "" for others.
func setName(members map[string]bool) string {
	member := func(n string) bool { return members[n] }
	for _, s := range setNames {
		if !slices.ContainsFunc(s.has, func(n string) bool { return !members[n] }) && !slices.ContainsFunc(s.lack, member) {
			return s.name
		}
	}
	return ""
}

// flagWords are the names of flags, sorted.
func flagWords(f uint32) ([]string, error) {
	var out []string
	for bit := range 32 {
		if f&(1<<bit) == 0 {
			continue
		}
		if bit >= len(flagNames) || flagNames[bit] == "" {
			return nil, fmt.Errorf("flag %#x is not known", 1<<bit)
		}
		out = append(out, flagNames[bit])
	}
	slices.Sort(out)
	return out, nil
}

// kfuncs are the functions of spec with the tag bpf_kfunc, in the order of their ids.
func kfuncs(spec *btf.Spec) ([]*btf.Func, error) {
	var out []*btf.Func
	for t, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		if f, ok := t.(*btf.Func); ok && slices.Contains(f.Tags, "bpf_kfunc") {
			out = append(out, f)
		}
	}
	return out, nil
}
