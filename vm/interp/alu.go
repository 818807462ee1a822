package interp

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/ir"
)

// The divisions follow the instructions that the kernel's verifier puts around them (bpf_do_misc_fixups): dividing by
// zero gives 0, the remainder of it is the dividend, and dividing by -1 is a negation that may wrap.

func div64(a, b uint64) uint64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func div32(a, b uint32) uint64 {
	if b == 0 {
		return 0
	}
	return uint64(a / b)
}

func mod64(a, b uint64) uint64 {
	if b == 0 {
		return a
	}
	return a % b
}

func mod32(a, b uint32) uint64 {
	if b == 0 {
		return uint64(a)
	}
	return uint64(a % b)
}

// Go defines the smallest number divided by -1 as itself, with remainder 0: what the kernel does.

func sdiv64(a, b uint64) uint64 {
	if b == 0 {
		return 0
	}
	return uint64(int64(a) / int64(b))
}

func sdiv32(a, b uint32) uint64 {
	if b == 0 {
		return 0
	}
	return uint64(uint32(int32(a) / int32(b)))
}

func smod64(a, b uint64) uint64 {
	if b == 0 {
		return a
	}
	return uint64(int64(a) % int64(b))
}

func smod32(a, b uint32) uint64 {
	if b == 0 {
		return uint64(a)
	}
	return uint64(uint32(int32(a) % int32(b)))
}

// atomic64 runs one of the 64-bit atomics on the 8 bytes b.
func atomic64(regs *[16]uint64, in *ir.Insn, b []byte) {
	old := binary.LittleEndian.Uint64(b)
	src := &regs[in.Src&15]
	v := old
	switch in.Op {
	case ir.AtomicAdd64, ir.FetchAdd64:
		v += *src
	case ir.AtomicOr64, ir.FetchOr64:
		v |= *src
	case ir.AtomicAnd64, ir.FetchAnd64:
		v &= *src
	case ir.AtomicXor64, ir.FetchXor64:
		v ^= *src
	case ir.Xchg64:
		v = *src
	case ir.CmpXchg64:
		if old == regs[0] {
			v = *src
		}
		regs[0] = old
	}
	binary.LittleEndian.PutUint64(b, v)
	if in.Op.WritesSrc() {
		*src = old
	}
}

// atomic32 runs one of the 32-bit atomics on the 4 bytes b. Old values are zero-extended.
func atomic32(regs *[16]uint64, in *ir.Insn, b []byte) {
	old := binary.LittleEndian.Uint32(b)
	src := &regs[in.Src&15]
	v := old
	switch in.Op {
	case ir.AtomicAdd32, ir.FetchAdd32:
		v += uint32(*src)
	case ir.AtomicOr32, ir.FetchOr32:
		v |= uint32(*src)
	case ir.AtomicAnd32, ir.FetchAnd32:
		v &= uint32(*src)
	case ir.AtomicXor32, ir.FetchXor32:
		v ^= uint32(*src)
	case ir.Xchg32:
		v = uint32(*src)
	case ir.CmpXchg32:
		if old == uint32(regs[0]) {
			v = uint32(*src)
		}
		regs[0] = uint64(old)
	}
	binary.LittleEndian.PutUint32(b, v)
	if in.Op.WritesSrc() {
		*src = uint64(old)
	}
}
