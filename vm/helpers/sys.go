package helpers

import (
	"github.com/schedsim/schedsim/vm/abi"
)

// Sys is the rest of a kernel, for the helpers that need it. A nil function refuses its helper by name when a program that
// calls it is loaded.
type Sys struct {
	// BPF is the bpf() system call from a program of type syscall: the command, with the attributes in kernel memory.
	BPF func(cmd int32, attr []byte) int64
	// Close closes a descriptor.
	Close func(fd uint32) int64
	// Symbol is the address of a kernel symbol, 0 if there is none.
	Symbol func(name string) uint64
	// BTF is the id of a kernel type, or a negative errno.
	BTF func(name string, kind uint32) int64
	// Seq writes to a struct seq_file, in whose output iterators write; false: it does not fit.
	Seq func(seq uint64, data []byte) bool
}

func (e *Env) sysRows() []row {
	var rows []row
	add := func(ok bool, r ...row) {
		if ok {
			rows = append(rows, r...)
		}
	}
	add(e.Sys.BPF != nil, row{"sys_bpf", e.sysBPF})
	add(e.Sys.Close != nil, row{"sys_close", func(_ *abi.Call, a *abi.Args) uint64 { return uint64(e.Sys.Close(uint32(a[0]))) }})
	add(e.Sys.Symbol != nil, row{"kallsyms_lookup_name", e.kallsyms})
	add(e.Sys.BTF != nil, row{"btf_find_by_name_kind", e.btfFind})
	add(e.Sys.Seq != nil, row{"seq_write", e.seqWrite}, row{"seq_printf", e.seqPrintf})
	return rows
}

// sysBPF follows bpf_sys_bpf, which lets only some commands through.
func (e *Env) sysBPF(c *abi.Call, a *abi.Args) uint64 {
	cmd := int32(a[0])
	switch cmd {
	case 0, 2, 3, 5, 14, 17, 18, 22, 28: // map create, update, delete; program load; map by id, raw tracepoint, BTF load, freeze, link
	default:
		return errno(abi.EINVAL)
	}
	attr := e.out(c, "sys_bpf", a[1], uint64(uint32(a[2])))
	if attr == nil {
		return 0
	}
	return uint64(e.Sys.BPF(cmd, attr))
}

// name is the C string R1 of R2 bytes with its end; ok is false if it is none, or if c.Fault is set.
func (e *Env) name(c *abi.Call, a *abi.Args, helper string) (s string, ok bool) {
	n := int32(a[1])
	if n <= 1 {
		return "", false
	}
	b := e.in(c, helper, a[0], uint64(n))
	if b == nil || b[n-1] != 0 {
		return "", false
	}
	for i, ch := range b {
		if ch == 0 {
			return string(b[:i]), true
		}
	}
	return "", false
}

// kallsyms follows bpf_kallsyms_lookup_name: the address goes to R4.
func (e *Env) kallsyms(c *abi.Call, a *abi.Args) uint64 {
	const name = "kallsyms_lookup_name"
	if e.out(c, name, a[3], 8) == nil {
		return 0
	}
	e.Mem.Store(a[3], 8, 0)
	if int32(a[2]) != 0 {
		return errno(abi.EINVAL)
	}
	symbol, ok := e.name(c, a, name)
	if !ok {
		return errno(abi.EINVAL)
	}
	addr := e.Sys.Symbol(symbol)
	if addr == 0 {
		return errno(abi.ENOENT)
	}
	e.Mem.Store(a[3], 8, addr)
	return 0
}

// btfFind follows bpf_btf_find_by_name_kind.
func (e *Env) btfFind(c *abi.Call, a *abi.Args) uint64 {
	if int32(a[3]) != 0 {
		return errno(abi.EINVAL)
	}
	typ, ok := e.name(c, a, "btf_find_by_name_kind")
	if !ok {
		return errno(abi.EINVAL)
	}
	return uint64(e.Sys.BTF(typ, uint32(a[2])))
}

// seqWrite follows bpf_seq_write.
func (e *Env) seqWrite(c *abi.Call, a *abi.Args) uint64 {
	data := e.in(c, "seq_write", a[1], uint64(uint32(a[2])))
	if data == nil {
		return 0
	}
	return e.seq(a[0], data)
}

func (e *Env) seq(file uint64, data []byte) uint64 {
	if !e.Sys.Seq(file, data) {
		return errno(abi.EOVERFLOW)
	}
	return 0
}

// seqPrintf follows bpf_seq_printf: format R2 of R3 bytes, R5 bytes of arguments at R4.
func (e *Env) seqPrintf(c *abi.Call, a *abi.Args) uint64 {
	args, bad := e.varargs(c, a[3], a[4], "seq_printf")
	if bad != 0 || c.Fault != "" {
		return errno(bad)
	}
	f, ok := e.format(c, &abi.Args{a[1], a[2]}, "seq_printf")
	if !ok {
		return errno(abi.EINVAL)
	}
	out, err := Sprintf(e.Mem, f, args)
	if err != 0 {
		return errno(err)
	}
	return e.seq(a[0], out)
}
