// Package elf reads compiled BPF objects (.bpf.o) into blueprints, the way libbpf 1.7 and later does: programs and
// subprograms, maps, global data, struct_ops tables, externs, relocations and the BTF that describes them.
//
// An Object is plain data about the file and nothing else: it names no kernel, and reading the same bytes gives the same
// Object on every system. Package link turns it into a program set for one kernel.
//
// The ELF container is read by debug/elf and BTF types by cilium's btf package. The rest is ours: the collection loader of
// that project refuses objects that libbpf takes (weak kconfig symbols, typed per-CPU ksyms, arena globals, weak maps), its
// CO-RE works per type instead of per relocation and does not adjust access sizes, and instructions have to be checked for
// reserved fields, which a decoder made for well-formed input does not do.
//
// Read Object first, then Read.
package elf
