package interp

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// cast follows addr_space_cast as do_misc_fixups (CastKern becomes a 32-bit move) and the JIT (CastUser) translate it.
func (c *code) cast(op ir.Op, x uint64) uint64 {
	switch {
	case c.env.Arena == nil:
		return x
	case op == ir.CastKern || uint32(x) == 0:
		return uint64(uint32(x))
	}
	return c.env.Arena.User()&^(1<<32-1) | uint64(uint32(x))
}

// arena returns the bytes that an access at offset off of the address space has in the arena, nil if it has none.
func (c *code) arena(in *ir.Insn, off uint64) []byte {
	if !in.Arena || c.env.Arena == nil {
		return nil
	}
	return c.env.Arena.At(off+mem.Base, uint64(in.Op.Size()))
}

// lenient is a load outside of the address space that does not fault: from the arena, or 0.
func (c *code) lenient(in *ir.Insn, off uint64) uint64 {
	b := c.arena(in, off)
	if b == nil {
		return 0
	}
	var w [8]byte
	copy(w[:], b)
	v := binary.LittleEndian.Uint64(w[:])
	switch in.Op {
	case ir.Lds8:
		return uint64(int8(v))
	case ir.Lds16:
		return uint64(int16(v))
	case ir.Lds32:
		return uint64(int32(v))
	}
	return v
}

// arenaStore is a store outside of the address space: to the arena, or nowhere.
func (c *code) arenaStore(in *ir.Insn, off, v uint64) {
	var w [8]byte
	binary.LittleEndian.PutUint64(w[:], v)
	b := c.arena(in, off)
	copy(b, w[:len(b)])
}

// arenaAtomic is an atomic operation outside of the address space. Where the arena has nothing, the old value is 0 and no
// new one is stored (ex_handler_bpf in arch/x86/net/bpf_jit_comp.c, 7.2).
func (c *code) arenaAtomic(regs *[16]uint64, in *ir.Insn, off uint64) {
	b := c.arena(in, off)
	switch {
	case len(b) == 4:
		atomic32(regs, in, b)
	case len(b) == 8:
		atomic64(regs, in, b)
	case in.Op.WritesSrc():
		regs[in.Src&15] = 0
	case in.Op == ir.CmpXchg32 || in.Op == ir.CmpXchg64:
		regs[0] = 0
	}
}
