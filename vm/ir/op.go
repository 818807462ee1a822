package ir

// IsJump tells whether op may jump to Target within its subprogram (calls are not jumps).
func (op Op) IsJump() bool { return op >= Ja && op <= MayGoto }

// Ends tells whether the instruction behind op is reached by jumps only.
func (op Op) Ends() bool { return op == Ja || op == GotoX || op == Exit || op == Invalid }

// IsCall tells whether op is one of the calls.
func (op Op) IsCall() bool { return op >= CallSub && op <= CallReg }

// IsLoad tells whether op reads memory into Dst.
func (op Op) IsLoad() bool { return op >= Ld8 && op <= Lds32 || op >= LdAcq8 && op <= LdAcq64 }

// IsStore tells whether op writes Src or Imm to memory.
func (op Op) IsStore() bool { return op >= St8X && op <= St64K || op >= StRel8 && op <= StRel64 }

// IsAtomic tells whether op is an atomic read-modify-write operation.
func (op Op) IsAtomic() bool { return op >= AtomicAdd32 && op <= CmpXchg64 }

// WritesDst tells whether op changes the register Dst.
func (op Op) WritesDst() bool {
	return op >= Add64X && op <= LdImm64 || op.IsLoad() || op == CastKern || op == CastUser
}

// WritesSrc tells whether op changes the register Src: the atomics that return the old value there.
func (op Op) WritesSrc() bool { return op >= FetchAdd32 && op <= Xchg64 }

// Size is the number of bytes of memory that op accesses, 0 if it is no memory operation.
func (op Op) Size() int {
	switch {
	case op >= Ld8 && op <= Ld64:
		return 1 << (op - Ld8)
	case op >= Lds8 && op <= Lds32:
		return 1 << (op - Lds8)
	case op >= St8X && op <= St64X:
		return 1 << (op - St8X)
	case op >= St8K && op <= St64K:
		return 1 << (op - St8K)
	case op >= LdAcq8 && op <= LdAcq64:
		return 1 << (op - LdAcq8)
	case op >= StRel8 && op <= StRel64:
		return 1 << (op - StRel8)
	case op.IsAtomic():
		return 4 << ((op - AtomicAdd32) & 1)
	}
	return 0
}
