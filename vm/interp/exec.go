package interp

import (
	"encoding/binary"
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// exec runs lv.p from instruction pc until its activation ends. Registers beyond R10 are never named (engine.Check).
//
// Instructions are counted by runs of straight code: lv.insns is the count up to instruction lv.start, where the current
// run began, so that only jumps and calls pay for counting. A case that ends in goto taken jumps to in.Target.
//
// What not every instruction needs lives in lv, the memory too, not in variables: with more than a few of those, the compiler
// spills all of them around the dispatch, which took half as much time again per instruction in BenchmarkInterp/alu.
func (c *code) exec(lv *level, pc int) (uint64, *engine.Fault) {
	var (
		prog = lv.p.insns
		regs = &lv.regs
		le   = binary.LittleEndian
	)
	lv.insns, lv.start, lv.depth, lv.loops = c.env.State.Insns, pc, 0, 0
	lv.view = c.env.Mem.View()
	if lv.insns >= c.env.State.Limit {
		return c.exhausted(lv, pc)
	}
	for {
		in := &prog[pc]
		pc++
		d, x := in.Dst&15, regs[in.Src&15]
		switch in.Op {
		case ir.Invalid:
			return c.fault(lv, pc, engine.PoisonFault())
		case ir.Add64X:
			regs[d] += x
		case ir.Add64K:
			regs[d] += uint64(in.Imm)
		case ir.Add32X:
			regs[d] = uint64(uint32(regs[d]) + uint32(x))
		case ir.Add32K:
			regs[d] = uint64(uint32(regs[d]) + uint32(in.Imm))
		case ir.Sub64X:
			regs[d] -= x
		case ir.Sub64K:
			regs[d] -= uint64(in.Imm)
		case ir.Sub32X:
			regs[d] = uint64(uint32(regs[d]) - uint32(x))
		case ir.Sub32K:
			regs[d] = uint64(uint32(regs[d]) - uint32(in.Imm))
		case ir.Mul64X:
			regs[d] *= x
		case ir.Mul64K:
			regs[d] *= uint64(in.Imm)
		case ir.Mul32X:
			regs[d] = uint64(uint32(regs[d]) * uint32(x))
		case ir.Mul32K:
			regs[d] = uint64(uint32(regs[d]) * uint32(in.Imm))
		case ir.Div64X:
			regs[d] = div64(regs[d], x)
		case ir.Div64K:
			regs[d] = div64(regs[d], uint64(in.Imm))
		case ir.Div32X:
			regs[d] = div32(uint32(regs[d]), uint32(x))
		case ir.Div32K:
			regs[d] = div32(uint32(regs[d]), uint32(in.Imm))
		case ir.SDiv64X:
			regs[d] = sdiv64(regs[d], x)
		case ir.SDiv64K:
			regs[d] = sdiv64(regs[d], uint64(in.Imm))
		case ir.SDiv32X:
			regs[d] = sdiv32(uint32(regs[d]), uint32(x))
		case ir.SDiv32K:
			regs[d] = sdiv32(uint32(regs[d]), uint32(in.Imm))
		case ir.Mod64X:
			regs[d] = mod64(regs[d], x)
		case ir.Mod64K:
			regs[d] = mod64(regs[d], uint64(in.Imm))
		case ir.Mod32X:
			regs[d] = mod32(uint32(regs[d]), uint32(x))
		case ir.Mod32K:
			regs[d] = mod32(uint32(regs[d]), uint32(in.Imm))
		case ir.SMod64X:
			regs[d] = smod64(regs[d], x)
		case ir.SMod64K:
			regs[d] = smod64(regs[d], uint64(in.Imm))
		case ir.SMod32X:
			regs[d] = smod32(uint32(regs[d]), uint32(x))
		case ir.SMod32K:
			regs[d] = smod32(uint32(regs[d]), uint32(in.Imm))
		case ir.Or64X:
			regs[d] |= x
		case ir.Or64K:
			regs[d] |= uint64(in.Imm)
		case ir.Or32X:
			regs[d] = uint64(uint32(regs[d]) | uint32(x))
		case ir.Or32K:
			regs[d] = uint64(uint32(regs[d]) | uint32(in.Imm))
		case ir.And64X:
			regs[d] &= x
		case ir.And64K:
			regs[d] &= uint64(in.Imm)
		case ir.And32X:
			regs[d] = uint64(uint32(regs[d]) & uint32(x))
		case ir.And32K:
			regs[d] = uint64(uint32(regs[d]) & uint32(in.Imm))
		case ir.Xor64X:
			regs[d] ^= x
		case ir.Xor64K:
			regs[d] ^= uint64(in.Imm)
		case ir.Xor32X:
			regs[d] = uint64(uint32(regs[d]) ^ uint32(x))
		case ir.Xor32K:
			regs[d] = uint64(uint32(regs[d]) ^ uint32(in.Imm))
		case ir.Lsh64X:
			regs[d] <<= x & 63
		case ir.Lsh64K:
			regs[d] <<= uint64(in.Imm) & 63
		case ir.Lsh32X:
			regs[d] = uint64(uint32(regs[d]) << (x & 31))
		case ir.Lsh32K:
			regs[d] = uint64(uint32(regs[d]) << (in.Imm & 31))
		case ir.Rsh64X:
			regs[d] >>= x & 63
		case ir.Rsh64K:
			regs[d] >>= uint64(in.Imm) & 63
		case ir.Rsh32X:
			regs[d] = uint64(uint32(regs[d]) >> (x & 31))
		case ir.Rsh32K:
			regs[d] = uint64(uint32(regs[d]) >> (in.Imm & 31))
		case ir.Arsh64X:
			regs[d] = uint64(int64(regs[d]) >> (x & 63))
		case ir.Arsh64K:
			regs[d] = uint64(int64(regs[d]) >> (in.Imm & 63))
		case ir.Arsh32X:
			regs[d] = uint64(uint32(int32(regs[d]) >> (x & 31)))
		case ir.Arsh32K:
			regs[d] = uint64(uint32(int32(regs[d]) >> (in.Imm & 31)))
		case ir.Mov64X:
			regs[d] = x
		case ir.CastKern, ir.CastUser:
			regs[d] = c.cast(in.Op, x)
		case ir.Mov64K, ir.LdImm64:
			regs[d] = uint64(in.Imm)
		case ir.Mov32X:
			regs[d] = uint64(uint32(x))
		case ir.Mov32K:
			regs[d] = uint64(uint32(in.Imm))
		case ir.Neg64:
			regs[d] = -regs[d]
		case ir.Neg32:
			regs[d] = uint64(-uint32(regs[d]))
		case ir.MovSX8to64:
			regs[d] = uint64(int8(x))
		case ir.MovSX16to64:
			regs[d] = uint64(int16(x))
		case ir.MovSX32to64:
			regs[d] = uint64(int32(x))
		case ir.MovSX8to32:
			regs[d] = uint64(uint32(int8(x)))
		case ir.MovSX16to32:
			regs[d] = uint64(uint32(int16(x)))
		case ir.LE16:
			regs[d] = uint64(uint16(regs[d]))
		case ir.LE32:
			regs[d] = uint64(uint32(regs[d]))
		case ir.LE64:
		case ir.BE16, ir.BSwap16:
			regs[d] = uint64(bits.ReverseBytes16(uint16(regs[d])))
		case ir.BE32, ir.BSwap32:
			regs[d] = uint64(bits.ReverseBytes32(uint32(regs[d])))
		case ir.BE64, ir.BSwap64:
			regs[d] = bits.ReverseBytes64(regs[d])

		case ir.Ld8, ir.LdAcq8:
			off := x + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-1 {
				if in.Probe || in.Arena && c.env.Arena != nil {
					regs[d] = c.lenient(in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			regs[d] = uint64(lv.view[off])
		case ir.Ld16, ir.LdAcq16:
			off := x + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-2 {
				if in.Probe || in.Arena && c.env.Arena != nil {
					regs[d] = c.lenient(in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			regs[d] = uint64(le.Uint16(lv.view[off:]))
		case ir.Ld32, ir.LdAcq32:
			off := x + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-4 {
				if in.Probe || in.Arena && c.env.Arena != nil {
					regs[d] = c.lenient(in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			regs[d] = uint64(le.Uint32(lv.view[off:]))
		case ir.Ld64, ir.LdAcq64:
			off := x + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-8 {
				if in.Probe || in.Arena && c.env.Arena != nil {
					regs[d] = c.lenient(in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			regs[d] = le.Uint64(lv.view[off:])
		case ir.Lds8:
			off := x + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-1 {
				if in.Probe || in.Arena && c.env.Arena != nil {
					regs[d] = c.lenient(in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			regs[d] = uint64(int8(lv.view[off]))
		case ir.Lds16:
			off := x + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-2 {
				if in.Probe || in.Arena && c.env.Arena != nil {
					regs[d] = c.lenient(in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			regs[d] = uint64(int16(le.Uint16(lv.view[off:])))
		case ir.Lds32:
			off := x + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-4 {
				if in.Probe || in.Arena && c.env.Arena != nil {
					regs[d] = c.lenient(in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			regs[d] = uint64(int32(le.Uint32(lv.view[off:])))
		case ir.St8X, ir.StRel8:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-1 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, x)
					continue
				}
				return c.access(lv, pc, off)
			}
			lv.view[off] = byte(x)
		case ir.St16X, ir.StRel16:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-2 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, x)
					continue
				}
				return c.access(lv, pc, off)
			}
			le.PutUint16(lv.view[off:], uint16(x))
		case ir.St32X, ir.StRel32:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-4 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, x)
					continue
				}
				return c.access(lv, pc, off)
			}
			le.PutUint32(lv.view[off:], uint32(x))
		case ir.St64X, ir.StRel64:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-8 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, x)
					continue
				}
				return c.access(lv, pc, off)
			}
			le.PutUint64(lv.view[off:], x)
		case ir.St8K:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-1 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, uint64(in.Imm))
					continue
				}
				return c.access(lv, pc, off)
			}
			lv.view[off] = byte(in.Imm)
		case ir.St16K:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-2 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, uint64(in.Imm))
					continue
				}
				return c.access(lv, pc, off)
			}
			le.PutUint16(lv.view[off:], uint16(in.Imm))
		case ir.St32K:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-4 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, uint64(in.Imm))
					continue
				}
				return c.access(lv, pc, off)
			}
			le.PutUint32(lv.view[off:], uint32(in.Imm))
		case ir.St64K:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-8 {
				if in.Arena && c.env.Arena != nil {
					c.arenaStore(in, off, uint64(in.Imm))
					continue
				}
				return c.access(lv, pc, off)
			}
			le.PutUint64(lv.view[off:], uint64(in.Imm))

		case ir.AtomicAdd32, ir.AtomicOr32, ir.AtomicAnd32, ir.AtomicXor32,
			ir.FetchAdd32, ir.FetchOr32, ir.FetchAnd32, ir.FetchXor32, ir.Xchg32, ir.CmpXchg32:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-4 {
				if in.Arena && c.env.Arena != nil {
					c.arenaAtomic(regs, in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			atomic32(regs, in, lv.view[off:off+4])
		case ir.AtomicAdd64, ir.AtomicOr64, ir.AtomicAnd64, ir.AtomicXor64,
			ir.FetchAdd64, ir.FetchOr64, ir.FetchAnd64, ir.FetchXor64, ir.Xchg64, ir.CmpXchg64:
			off := regs[d] + uint64(int64(in.Off)) - mem.Base
			if off > uint64(len(lv.view))-8 {
				if in.Arena && c.env.Arena != nil {
					c.arenaAtomic(regs, in, off)
					continue
				}
				return c.access(lv, pc, off)
			}
			atomic64(regs, in, lv.view[off:off+8])

		case ir.Ja:
			goto taken
		case ir.JEq64X:
			if regs[d] == x {
				goto taken
			}
		case ir.JEq64K:
			if regs[d] == uint64(in.Imm) {
				goto taken
			}
		case ir.JEq32X:
			if uint32(regs[d]) == uint32(x) {
				goto taken
			}
		case ir.JEq32K:
			if uint32(regs[d]) == uint32(in.Imm) {
				goto taken
			}
		case ir.JNe64X:
			if regs[d] != x {
				goto taken
			}
		case ir.JNe64K:
			if regs[d] != uint64(in.Imm) {
				goto taken
			}
		case ir.JNe32X:
			if uint32(regs[d]) != uint32(x) {
				goto taken
			}
		case ir.JNe32K:
			if uint32(regs[d]) != uint32(in.Imm) {
				goto taken
			}
		case ir.JGt64X:
			if regs[d] > x {
				goto taken
			}
		case ir.JGt64K:
			if regs[d] > uint64(in.Imm) {
				goto taken
			}
		case ir.JGt32X:
			if uint32(regs[d]) > uint32(x) {
				goto taken
			}
		case ir.JGt32K:
			if uint32(regs[d]) > uint32(in.Imm) {
				goto taken
			}
		case ir.JGe64X:
			if regs[d] >= x {
				goto taken
			}
		case ir.JGe64K:
			if regs[d] >= uint64(in.Imm) {
				goto taken
			}
		case ir.JGe32X:
			if uint32(regs[d]) >= uint32(x) {
				goto taken
			}
		case ir.JGe32K:
			if uint32(regs[d]) >= uint32(in.Imm) {
				goto taken
			}
		case ir.JLt64X:
			if regs[d] < x {
				goto taken
			}
		case ir.JLt64K:
			if regs[d] < uint64(in.Imm) {
				goto taken
			}
		case ir.JLt32X:
			if uint32(regs[d]) < uint32(x) {
				goto taken
			}
		case ir.JLt32K:
			if uint32(regs[d]) < uint32(in.Imm) {
				goto taken
			}
		case ir.JLe64X:
			if regs[d] <= x {
				goto taken
			}
		case ir.JLe64K:
			if regs[d] <= uint64(in.Imm) {
				goto taken
			}
		case ir.JLe32X:
			if uint32(regs[d]) <= uint32(x) {
				goto taken
			}
		case ir.JLe32K:
			if uint32(regs[d]) <= uint32(in.Imm) {
				goto taken
			}
		case ir.JSGt64X:
			if int64(regs[d]) > int64(x) {
				goto taken
			}
		case ir.JSGt64K:
			if int64(regs[d]) > in.Imm {
				goto taken
			}
		case ir.JSGt32X:
			if int32(regs[d]) > int32(x) {
				goto taken
			}
		case ir.JSGt32K:
			if int32(regs[d]) > int32(in.Imm) {
				goto taken
			}
		case ir.JSGe64X:
			if int64(regs[d]) >= int64(x) {
				goto taken
			}
		case ir.JSGe64K:
			if int64(regs[d]) >= in.Imm {
				goto taken
			}
		case ir.JSGe32X:
			if int32(regs[d]) >= int32(x) {
				goto taken
			}
		case ir.JSGe32K:
			if int32(regs[d]) >= int32(in.Imm) {
				goto taken
			}
		case ir.JSLt64X:
			if int64(regs[d]) < int64(x) {
				goto taken
			}
		case ir.JSLt64K:
			if int64(regs[d]) < in.Imm {
				goto taken
			}
		case ir.JSLt32X:
			if int32(regs[d]) < int32(x) {
				goto taken
			}
		case ir.JSLt32K:
			if int32(regs[d]) < int32(in.Imm) {
				goto taken
			}
		case ir.JSLe64X:
			if int64(regs[d]) <= int64(x) {
				goto taken
			}
		case ir.JSLe64K:
			if int64(regs[d]) <= in.Imm {
				goto taken
			}
		case ir.JSLe32X:
			if int32(regs[d]) <= int32(x) {
				goto taken
			}
		case ir.JSLe32K:
			if int32(regs[d]) <= int32(in.Imm) {
				goto taken
			}
		case ir.JSet64X:
			if regs[d]&x != 0 {
				goto taken
			}
		case ir.JSet64K:
			if regs[d]&uint64(in.Imm) != 0 {
				goto taken
			}
		case ir.JSet32X:
			if uint32(regs[d]&x) != 0 {
				goto taken
			}
		case ir.JSet32K:
			if uint32(regs[d])&uint32(in.Imm) != 0 {
				goto taken
			}
		case ir.MayGoto:
			if lv.loops >= engine.MaxLoops {
				goto taken
			}
			lv.loops++
		case ir.GotoX:
			lv.count(pc)
			if lv.insns >= c.env.State.Limit {
				return c.fault(lv, pc, engine.BudgetFault(c.env.Budget))
			}
			target, ok := lv.p.jump(pc-1, regs[d])
			if !ok {
				return c.fault(lv, pc, engine.JumpFault(regs[d]))
			}
			pc, lv.start = target, target

		case ir.CallSub, ir.CallReg:
			lv.count(pc)
			target := int(in.Target)
			if in.Op == ir.CallReg {
				q, at := c.resolve(regs[d])
				if q != lv.p {
					if c.env.ByNumber {
						if msg := c.callNumber(lv, regs[d]); msg != "" {
							return c.callFault(lv, pc)
						}
						lv.view = c.env.Mem.View()
						continue
					}
					return c.fault(lv, pc, engine.TargetFault(regs[d]))
				}
				target = int(at)
			}
			if f := c.enter(lv, pc); f != nil {
				return 0, f
			}
			pc, lv.start = target, target
			if lv.insns >= c.env.State.Limit {
				return c.exhausted(lv, pc)
			}
		case ir.CallHelper, ir.CallKfunc:
			lv.count(pc)
			c.env.State.Insns = lv.insns
			call := c.env.Call
			var fn abi.Func
			if in.Op == ir.CallKfunc {
				call.Calls++
				fn = lv.p.kfuncs[in.Imm]
			} else {
				if uint64(in.Imm) < uint64(len(c.env.Helpers)) {
					fn = c.env.Helpers[in.Imm]
				}
				if fn == nil {
					return c.fault(lv, pc, engine.HelperFault(in.Imm))
				}
				call.Calls++
			}
			regs[0] = fn(call, (*abi.Args)(regs[1:6]))
			if call.Next != abi.NextCaller && call.Fault == "" {
				next, r0, f := c.goOn(lv, pc)
				if next < 0 {
					if f == nil {
						c.env.State.Insns = lv.insns
					}
					return r0, f
				}
				prog, pc, lv.view = lv.p.insns, next, c.env.Mem.View()
				continue
			}
			regs[1], regs[2], regs[3], regs[4], regs[5] = 0, 0, 0, 0, 0
			lv.insns = c.env.State.Insns
			if call.Fault != "" {
				return c.callFault(lv, pc)
			}
			if n := c.env.Mem.Limit(); n != uint64(len(lv.view)) {
				lv.view = c.env.Mem.View()
			}
		case ir.Exit:
			lv.count(pc)
			if lv.depth == 0 {
				c.env.State.Insns = lv.insns
				return regs[0], nil
			}
			pc = c.leave(lv)
		}
		continue

	taken:
		lv.count(pc)
		target := int(in.Target)
		if target < pc && lv.insns >= c.env.State.Limit {
			return c.fault(lv, pc, engine.BudgetFault(c.env.Budget))
		}
		pc, lv.start = target, target
	}
}
