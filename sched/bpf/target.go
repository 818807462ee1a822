package bpf

import (
	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/link"
)

var _ link.Target = kernelTarget{}

// Target shows a kernel to the linker.
func Target(k *kernels.Kernel) link.Target { return kernelTarget{k} }

// kernelTarget shows a kernel to the linker.
type kernelTarget struct{ *kernels.Kernel }

// BTF describes the kernel's types.
func (t kernelTarget) BTF() (*btf.Spec, error) { return t.Kernel.BTF(), nil }

// Version is LINUX_VERSION_CODE.
func (t kernelTarget) Version() uint32 { return t.Kernel.Code }
