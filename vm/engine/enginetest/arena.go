package enginetest

import (
	"testing"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// arenaUser is where user space sees the arena of the cases.
const arenaUser = 1 << 44

// am is a memory instruction that may be one of an arena.
func am(op ir.Op, dst, src ir.Reg, off int32, imm int64) ir.Insn {
	return ir.Insn{Op: op, Dst: dst, Src: src, Off: off, Imm: imm, Arena: true}
}

// Arenas runs the cases for ir.Insn.Arena and the casts.
func Arenas(t *testing.T, e engine.Engine) {
	data := layout(t, e)
	run(t, e, data, arenaCases(data))
}

func arenaCases(data uint64) []semantic {
	const last = 1<<32 - mem.PageSize
	user := func(r ir.Reg, off int64) ir.Insn { return k(ir.LdImm64, r, arenaUser+off) }
	kern := func(r ir.Reg) ir.Insn { return x(ir.CastKern, r, r) }
	list := []semantic{
		result("to the kernel", 0x12345678, user(1, 0x12345678), x(ir.CastKern, 0, 1)),
		result("to the kernel, in place", 0x12345678, user(0, 0x12345678), kern(0)),
		result("to user space", arenaUser+0x12345678, k(ir.LdImm64, 1, 0x12345678), x(ir.CastUser, 0, 1)),
		result("to user space, in place", arenaUser+0x12345678, k(ir.LdImm64, 0, 0x7777_12345678), x(ir.CastUser, 0, 0)),
		result("null to user space", 0, k(ir.LdImm64, 1, 0x7777_00000000), x(ir.CastUser, 0, 1)),
		result("to user space from far away", arenaUser+0xffffffff, k(ir.Mov64K, 1, -1), x(ir.CastUser, 0, 1)),

		result("store and load", 0x1122, user(1, 0x1008), kern(1), am(ir.St16K, 1, 0, 4, 0x1122), am(ir.Ld64, 0, 1, 4, 0)),
		result("signed load", 0xffffffff_ffff8001, user(1, 8), kern(1), am(ir.St16K, 1, 0, 0, 0x8001), am(ir.Lds16, 0, 1, 0, 0)),
		result("wide constant", 0x1234567890, user(1, 8), kern(1), am(ir.St64K, 1, 0, 0, 0x1234567890), am(ir.Ld64, 0, 1, 0, 0)),
		result("across two pages", 0xbbaa9988, user(1, 0x1000), kern(1), k(ir.LdImm64, 2, 0x55667788_bbaa9988), am(ir.St64X, 1, 2, -4, 0), am(ir.Ld32, 0, 1, -4, 0)),
		result("page behind a gap", 42, user(1, 0x3ff8), kern(1), am(ir.St64K, 1, 0, 0, 42), am(ir.Ld8, 0, 1, 0, 0)),
		result("last page", 42, user(1, last), kern(1), am(ir.St64K, 1, 0, 0xff8, 42), am(ir.LdAcq64, 0, 1, 0xff8, 0)),
		result("release", 0x77, user(1, last+8), kern(1), k(ir.Mov64K, 2, 0x77), am(ir.StRel32, 1, 2, 0, 0), am(ir.Ld64, 0, 1, 0, 0)),
		result("what is new is zero", 0, k(ir.Mov64K, 0, 5), user(1, 0x3008), kern(1), am(ir.Ld64, 0, 1, 0, 0)),

		result("load from the gap", 0, k(ir.Mov64K, 0, 5), user(1, 0x2000), kern(1), am(ir.Ld64, 0, 1, 0, 0)),
		result("signed load from the gap", 0, k(ir.Mov64K, 0, 5), user(1, 0x2000), kern(1), am(ir.Lds8, 0, 1, 0, 0)),
		result("load into the gap", 0, user(1, 0x1ffc), kern(1), am(ir.St32K, 1, 0, 0, -1), am(ir.Ld64, 0, 1, 0, 0)),
		result("load out of the gap", 0, user(1, 0x3000), kern(1), am(ir.St32K, 1, 0, 0, -1), am(ir.Ld64, 0, 1, -4, 0)),
		result("store into the gap", 0, user(1, 0x1ffc), kern(1), am(ir.St64K, 1, 0, 0, -1), am(ir.Ld32, 0, 1, 0, 0)),
		result("store to nowhere", 7, k(ir.Mov64K, 0, 7), user(1, 0x10000), kern(1), am(ir.St64X, 1, 0, 0, 0), am(ir.St8K, 1, 0, 0, 1)),
		result("below the window", 0, k(ir.Mov64K, 0, 5), user(1, 0), kern(1), am(ir.Ld16, 0, 1, -2, 0)),
		result("above the window", 0, k(ir.Mov64K, 0, 5), k(ir.Mov64K, 1, -8), kern(1), am(ir.Ld64, 0, 1, 32767, 0)),
		result("over the end of the window", 0, k(ir.Mov64K, 0, 5), k(ir.Mov64K, 1, -8), kern(1), am(ir.Ld64, 0, 1, 4, 0)),
		result("user address without a cast", 0, k(ir.Mov64K, 0, 5), user(1, 0), am(ir.Ld64, 0, 1, 0, 0)),
		result("anything else", 0, k(ir.LdImm64, 1, codeImm), am(ir.St64X, 1, 1, 0, 0), am(ir.Ld64, 0, 1, 0, 0)),
		result("ordinary memory", 0x0807060504030201, am(ir.Ld64, 0, 1, 8, 0)),
		result("ordinary memory of unknown place", 0x0807060504030201, k(ir.LdImm64, 1, int64(data)), k(ir.Xor64K, 1, 0), am(ir.Ld64, 0, 1, 8, 0)),
		result("stack", 42, am(ir.St64K, 10, 0, -8, 42), am(ir.Ld64, 0, 10, -8, 0)),
		faulty("without the mark", 2, engine.ReadFault(8, 8), user(1, 8), kern(1), m(ir.Ld64, 0, 1, 0)),
		// The mark of one access says nothing about the next.
		faulty("marked, then not", 3, engine.WriteFault(8, 8), user(1, 8), kern(1), am(ir.Ld64, 0, 1, 0, 0), m(ir.St64X, 1, 1, 0)),
	}
	atomic := func(name string, r0 uint64, op ir.Op, at int64, show ir.Reg) semantic {
		return result(name, r0, user(1, at), kern(1), k(ir.Mov64K, 0, 5), k(ir.LdImm64, 2, 0x100000007),
			am(ir.St64K, 1, 0, 0, 5), am(op, 1, 2, 0, 0), x(ir.Mov64X, 0, show))
	}
	list = append(list,
		atomic("fetch_add", 5, ir.FetchAdd64, 8, 2),
		atomic("fetch_or in the last page", 5, ir.FetchOr32, last, 2),
		atomic("fetch_xor of nothing", 0, ir.FetchXor64, 0x2000, 2),
		atomic("add to nothing", 0x100000007, ir.AtomicAdd64, 0x2000, 2),
		atomic("xchg", 5, ir.Xchg64, 0x3000, 2),
		atomic("xchg with nothing", 0, ir.Xchg32, 0x2000, 2),
		atomic("cmpxchg", 5, ir.CmpXchg64, 8, 0),
		atomic("cmpxchg with nothing", 0, ir.CmpXchg32, 0x2000, 0),
		atomic("cmpxchg with nothing keeps its operand", 0x100000007, ir.CmpXchg32, 0x2000, 2))
	// Pages come and go while programs run.
	list = append(list,
		result("a page comes", 9, user(6, 0x2000), kern(6), am(ir.St64K, 6, 0, 0, 8), k(ir.Mov64K, 1, 2), helper(HelperMap),
			am(ir.Ld64, 7, 6, 0, 0), am(ir.St64K, 6, 0, 0, 9), am(ir.Ld64, 0, 6, 0, 0), x(ir.Add64X, 0, 7)),
		result("a page goes", 0, user(6, 0x8), kern(6), am(ir.St64K, 6, 0, 0, 8), k(ir.Mov64K, 2, 1), helper(HelperMap),
			am(ir.St64K, 6, 0, 0, 9), am(ir.Ld64, 0, 6, 0, 0)),
		result("a page goes and comes", 0, user(6, 0x8), kern(6), am(ir.St64K, 6, 0, 0, 8), k(ir.Mov64K, 2, 1), helper(HelperMap),
			helper(HelperMap), am(ir.Ld64, 0, 6, 0, 0)))
	for i := range list {
		list[i].opt.Arena = arenaUser
	}
	none := []semantic{
		faulty("no arena", 1, engine.ReadFault(8, 8), k(ir.Mov64K, 1, 8), am(ir.Ld64, 0, 1, 0, 0)),
		faulty("no arena to store in", 1, engine.WriteFault(8, 8), k(ir.Mov64K, 1, 8), am(ir.St64K, 1, 0, 0, 0)),
		faulty("no arena for atomics", 1, engine.AtomicFault(4, 8), k(ir.Mov64K, 1, 8), am(ir.FetchAdd32, 1, 2, 0, 0)),
	}
	// An arena in the middle of the window, as user space may have mapped it.
	middle := []semantic{
		result("middle", 42, k(ir.LdImm64, 1, 0x7f7d26201008), kern(1), am(ir.St64K, 1, 0, 0, 42), am(ir.Ld64, 0, 1, 0, 0)),
		result("before its start", 0, k(ir.Mov64K, 1, 8), am(ir.St64K, 1, 0, 0, 42), am(ir.Ld64, 0, 1, 0, 0)),
		result("its user address", 0x7f7d26201008, k(ir.LdImm64, 1, 0x26201008), x(ir.CastUser, 0, 1)),
	}
	for i := range middle {
		middle[i].opt.Arena = 0x7f7d26200000
	}
	near := append(append(list, none...), middle...)
	var far []semantic // the same in the second arena of a space
	for _, c := range near {
		if c.opt.Arena != 0 {
			c.name, c.opt.Far = c.name+", second arena", true
			far = append(far, c)
		}
	}
	return append(near, far...)
}
