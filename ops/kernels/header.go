package kernels

import (
	"io"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/internal/cdecl"
)

// Header writes a C header with the kernel's types and kernel functions for programs to include as vmlinux.h.
//
// BPF_NO_PRESERVE_ACCESS_INDEX and BPF_NO_KFUNC_PROTOTYPES leave out the attribute that makes field accesses
// relocatable, and the prototypes, as in the headers that bpftool writes.
func (k *Kernel) Header(w io.Writer) error {
	var all []btf.Type
	k.types(func(t btf.Type) { all = append(all, t) })
	p := cdecl.NewPrinter(w, all)

	p.Printf("/* Types of Linux %s for BPF programs. */\n", k.Release)
	p.Printf("%s", headerTop)
	for _, t := range all {
		switch t.(type) {
		case *btf.Struct, *btf.Union, *btf.Enum:
			if t.TypeName() != "" {
				p.Define(t)
			}
		case *btf.Typedef:
			p.Define(t)
		}
	}
	for _, f := range k.Kfuncs() {
		p.Mention(f.Type.Type)
	}
	for _, t := range all { // what no typedef or member has printed in place
		if e, ok := t.(*btf.Enum); ok && e.Name == "" {
			p.Enumerators(e)
		}
	}
	p.Printf("#ifndef BPF_NO_KFUNC_PROTOTYPES\n")
	for _, f := range k.Kfuncs() {
		p.Printf("extern %s __weak __ksym;\n", p.Variable(f.Type.Type, f.Name))
	}
	p.Printf("#endif\n%s", headerEnd)
	return p.Flush()
}

const headerTop = `#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif

`

const headerEnd = `
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
`
