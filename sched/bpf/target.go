package bpf

import (
	"strconv"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/link"
)

var _ link.Target = kernelTarget{}

// Target shows a kernel to the linker.
func Target(k *kernels.Kernel) link.Target { return kernelTarget{k, 0} }

// kernelTarget shows a kernel to the linker.
type kernelTarget struct {
	*kernels.Kernel
	hz int // ticks per second, where that is not the kernel's own setting
}

// Kconfig implements link.Target: CONFIG_HZ is the machine's.
func (t kernelTarget) Kconfig(name string) (string, bool) {
	v, ok := t.Kernel.Kconfig(name)
	if ok && name == "CONFIG_HZ" && t.hz != 0 {
		v = strconv.Itoa(t.hz)
	}
	return v, ok
}

// BTF describes the kernel's types.
func (t kernelTarget) BTF() (*btf.Spec, error) { return t.Kernel.BTF(), nil }

// Version is LINUX_VERSION_CODE.
func (t kernelTarget) Version() uint32 { return t.Kernel.Code }
