package permissions

import (
	"encoding/binary"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// asm writes instructions in the encoding of the kernel.
type asm struct{ text []byte }

func (a *asm) op(code, dst, src byte, off int16, imm int32) {
	a.text = append(a.text, code, dst|src<<4)
	a.text = binary.LittleEndian.AppendUint16(a.text, uint16(off))
	a.text = binary.LittleEndian.AppendUint32(a.text, uint32(imm))
}

func (a *asm) mov(dst, src byte)             { a.op(0xbf, dst, src, 0, 0) }
func (a *asm) set(dst byte, v int32)         { a.op(0xb7, dst, 0, 0, v) }
func (a *asm) add(dst byte, v int32)         { a.op(0x07, dst, 0, 0, v) }
func (a *asm) load(dst, src byte, off int16) { a.op(0x79, dst, src, off, 0) }
func (a *asm) zero(off int16)                { a.op(0x7a, 10, 0, off, 0) }
func (a *asm) helper(id int32)               { a.op(0x85, 0, 0, 0, id) }
func (a *asm) call(id btf.TypeID)            { a.op(0x85, 0, 2, 0, int32(id)) }
func (a *asm) exit()                         { a.op(0x95, 0, 0, 0, 0) }
func (a *asm) stack(dst byte, off int32)     { a.mov(dst, 10); a.add(dst, off) }

// The stack of the programs: an iterator, and zeroes that pointers to memory point to.
const (
	iterAt, iterSize = -256, 64
	memoryAt         = iterAt + iterSize
)

// getCurrentTaskBTF is the helper that every type of program may call.
const getCurrentTaskBTF = 158

// style is how a call is dressed. A function may refuse one dress and take another.
type style int

const (
	dressed style = iota // with what must come before and after it
	inRCU                // and between bpf_rcu_read_lock and its end, as programs that sleep must who follow pointers
	bare                 // alone: its arguments may then be wrong
)

// program calls f with arguments of the right types.
func (k *kernel) program(f *function, s style) []byte {
	a := &asm{}
	for off := int16(iterAt); off < 0; off += 8 {
		iterator := f.iter || f.name == "bpf_iter_scx_dsq_new"
		if !iterator || off >= memoryAt {
			a.zero(off) // an iterator's place must be untouched
		}
	}
	a.helper(getCurrentTaskBTF)
	a.mov(6, 0)
	if s == inRCU {
		a.call(k.funcs["bpf_rcu_read_lock"])
	}
	a.load(7, 6, int16(k.cpusPtr))
	if s != bare && f.iter {
		a.stack(1, iterAt)
		a.set(2, 1)
		a.set(3, 0)
		a.call(k.funcs["bpf_iter_scx_dsq_new"])
	}
	if s != bare && f.acquired != "" {
		a.call(k.funcs[f.acquired])
		a.mov(7, 0)
	}
	for i, p := range f.params[:min(len(f.params), 5)] {
		k.argument(a, byte(i+1), f.params, i, p)
	}
	a.call(f.id)
	if s != bare {
		if f.release != "" {
			a.mov(1, 0)
			a.call(k.funcs[f.release])
		}
		if (f.iter || f.name == "bpf_iter_scx_dsq_new") && f.name != "bpf_iter_scx_dsq_destroy" {
			a.stack(1, iterAt)
			a.call(k.funcs["bpf_iter_scx_dsq_destroy"])
		}
	}
	if s == inRCU {
		a.call(k.funcs["bpf_rcu_read_unlock"])
	}
	a.set(0, 0)
	a.exit()
	return a.text
}

// argument puts something of a parameter's type into a register.
func (k *kernel) argument(a *asm, reg byte, params []btf.FuncParam, i int, p btf.FuncParam) {
	switch {
	case target(p.Type) != nil:
		switch pointee(p.Type) {
		case "task_struct":
			a.mov(reg, 6)
		case "cpumask":
			a.mov(reg, 7)
		case "bpf_iter_scx_dsq":
			a.stack(reg, iterAt)
		default:
			a.stack(reg, memoryAt)
		}
	case strings.HasSuffix(p.Name, "__sz"): // the size of what the parameter before it points to
		size := int32(16)
		if i > 0 {
			if s, ok := target(params[i-1].Type).(*btf.Struct); ok {
				size = int32(s.Size)
			}
		}
		a.set(reg, size)
	default:
		a.set(reg, 0)
	}
}

// trivial is a program that does nothing: it loads wherever programs may be.
func trivial() []byte {
	a := &asm{}
	a.set(0, 0)
	a.exit()
	return a.text
}
