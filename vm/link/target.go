package link

import "github.com/cilium/ebpf/btf"

// Target is the kernel that an object is linked for.
type Target interface {
	// BTF describes the kernel's types, functions and variables.
	BTF() (*btf.Spec, error)
	// Kconfig is the value of a CONFIG_ symbol as .config spells it: y, m, 250, 0x10 or "text" with its quotes.
	Kconfig(name string) (value string, ok bool)
	// EnumValue is the value of an enumerator of any of the kernel's enums.
	EnumValue(name string) (uint64, bool)
	// Version is LINUX_VERSION_CODE.
	Version() uint32
}

// Modular is what a Target is besides if its kernel has modules.
type Modular interface {
	// Modules are the loaded ones. Functions are looked for in vmlinux first, then in them in this order.
	Modules() []Module
}

// Module is a part of a kernel with functions of its own, which are known as "module:function".
type Module struct {
	Name string
	BTF  *btf.Spec
}
