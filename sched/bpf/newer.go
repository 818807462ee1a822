package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/link"
)

// elsewhere adds to the error of an object that needs what the kernel does not have which of the known kernels do.
func (p *Policy) elsewhere(err error) error {
	var missing *link.Missing
	if !errors.As(err, &missing) {
		return err
	}
	who := whoHas(p.opt.Kernel, func(k *kernels.Kernel) bool { return hasType(k.BTF(), missing.Kind, missing.Name) })
	if _, member, ok := strings.Cut(missing.Name, "."); ok {
		who += "; --ops " + member + "=0 leaves it out, =NULL if it is a callback"
	}
	return fmt.Errorf("%w: %s", err, who)
}

// whoHas says which of the known kernels other than one have what is missing there.
func whoHas(but *kernels.Kernel, has func(k *kernels.Kernel) bool) string {
	var have []string
	for _, version := range kernels.List() {
		if k, err := kernels.Get(version); err == nil && version != but.Version && has(k) {
			have = append(have, version)
		}
	}
	if len(have) == 0 {
		return fmt.Sprintf("none of the kernels that are known (%s) has it, the object may be for a newer one", strings.Join(kernels.List(), ", "))
	}
	return "--kernel " + strings.Join(have, " or ") + " has it"
}

func hasType(s *btf.Spec, kind, name string) bool {
	switch kind {
	case "function":
		var t *btf.Func
		return s.TypeByName(name, &t) == nil
	case "variable":
		var t *btf.Var
		return s.TypeByName(name, &t) == nil
	}
	name, member, ofMember := strings.Cut(name, ".")
	var t *btf.Struct
	return s.TypeByName(name, &t) == nil &&
		(!ofMember || slices.ContainsFunc(t.Members, func(m btf.Member) bool { return m.Name == member }))
}
