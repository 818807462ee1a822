package bpf

import (
	"errors"
	"fmt"
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
	var have []string
	for _, version := range kernels.List() {
		k, e := kernels.Get(version)
		if e != nil || version == p.opt.Kernel.Version {
			continue
		}
		if hasType(k.BTF(), missing.Kind, missing.Name) {
			have = append(have, version)
		}
	}
	if len(have) == 0 {
		return fmt.Errorf("%w: none of the kernels that are known (%s) has it, the object may be for a newer one", err, strings.Join(kernels.List(), ", "))
	}
	return fmt.Errorf("%w: --kernel %s has it", err, strings.Join(have, " or "))
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
	var t *btf.Struct
	return s.TypeByName(name, &t) == nil
}
