package kernels

import "github.com/cilium/ebpf/btf"

// Target is a Kernel in the shape in which a linker of objects wants it (link.Target).
type Target struct{ *Kernel }

// Target returns k for linking.
func (k *Kernel) Target() Target { return Target{k} }

// BTF returns the kernel's types; the error is always nil.
func (t Target) BTF() (*btf.Spec, error) { return t.Kernel.BTF(), nil }

// Version is LINUX_VERSION_CODE.
func (t Target) Version() uint32 { return t.Code }
