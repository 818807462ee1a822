package amd64

// Alu is one of the eight two-operand operations that share an encoding; the value is their number in it.
type Alu byte

// The operations.
const (
	Add Alu = 0
	Or  Alu = 1
	And Alu = 4
	Sub Alu = 5
	Xor Alu = 6
	Cmp Alu = 7
)

// Shift is a shift or rotation; the value is its number in the encoding.
type Shift byte

// The shifts.
const (
	Rol Shift = 0
	Shl Shift = 4
	Shr Shift = 5
	Sar Shift = 7
)

// Unary is an operation of group F7; the value is its number in the encoding.
type Unary byte

// The unary operations. Mul, Div and IDiv work on RDX:RAX.
const (
	Neg  Unary = 3
	Mul  Unary = 4
	Div  Unary = 6
	IDiv Unary = 7
)

// Cond is a condition of a jump; the value is its number in the encoding.
type Cond byte

// The conditions: B and A compare unsigned, L and G signed.
const (
	CondB  Cond = 2
	CondAE Cond = 3
	CondE  Cond = 4
	CondNE Cond = 5
	CondBE Cond = 6
	CondA  Cond = 7
	CondS  Cond = 8
	CondL  Cond = 12
	CondGE Cond = 13
	CondLE Cond = 14
	CondG  Cond = 15
)

// AluRR is dst op= src.
func (a *Asm) AluRR(op Alu, w Width, dst, src Reg) { a.opRR(w, []byte{byte(op)<<3 | 1}, src, dst) }

// AluRI is dst op= imm, sign-extended.
func (a *Asm) AluRI(op Alu, w Width, dst Reg, imm int32) {
	a.rex(w, 0, 0, dst, false)
	switch {
	case fits8(int64(imm)):
		a.emit(0x83, modrm(3, byte(op), dst.low()), byte(imm))
	case dst == RAX:
		a.emit(byte(op)<<3 | 5)
		a.imm32(imm)
	default:
		a.emit(0x81, modrm(3, byte(op), dst.low()))
		a.imm32(imm)
	}
}

// AluRM is dst op= [m].
func (a *Asm) AluRM(op Alu, w Width, dst Reg, m Mem) {
	a.opRM(w, []byte{byte(op)<<3 | 3}, dst, m, false)
}

// AluMR is [m] op= src.
func (a *Asm) AluMR(op Alu, w Width, m Mem, src Reg) {
	a.opRM(w, []byte{byte(op)<<3 | 1}, src, m, false)
}

// AluMI is [m] op= imm, sign-extended.
func (a *Asm) AluMI(op Alu, w Width, m Mem, imm int32) {
	if fits8(int64(imm)) {
		a.opRM(w, []byte{0x83}, Reg(op), m, false)
		a.emit(byte(imm))
		return
	}
	a.opRM(w, []byte{0x81}, Reg(op), m, false)
	a.imm32(imm)
}

// TestRR sets the flags of dst & src.
func (a *Asm) TestRR(w Width, dst, src Reg) { a.opRR(w, []byte{0x85}, src, dst) }

// TestRI sets the flags of dst & imm, sign-extended.
func (a *Asm) TestRI(w Width, dst Reg, imm int32) {
	a.rex(w, 0, 0, dst, false)
	if dst == RAX {
		a.emit(0xa9)
	} else {
		a.emit(0xf7, modrm(3, 0, dst.low()))
	}
	a.imm32(imm)
}

// MovRR is dst = src.
func (a *Asm) MovRR(w Width, dst, src Reg) { a.opRR(w, []byte{0x89}, src, dst) }

// MovRI is dst = imm in the shortest form that leaves the flags alone.
func (a *Asm) MovRI(dst Reg, imm int64) {
	switch {
	case imm == int64(uint32(imm)):
		a.rex(W32, 0, 0, dst, false)
		a.emit(0xb8 + dst.low())
		a.imm32(int32(uint32(imm)))
	case fits32(imm):
		a.rex(W64, 0, 0, dst, false)
		a.emit(0xc7, modrm(3, 0, dst.low()))
		a.imm32(int32(imm))
	default:
		a.rex(W64, 0, 0, dst, false)
		a.emit(0xb8 + dst.low())
		a.imm64(uint64(imm))
	}
}

// Zero is dst = 0; it changes the flags.
func (a *Asm) Zero(dst Reg) { a.AluRR(Xor, W32, dst, dst) }

// Load is dst = [m], zero-extended from size 1, 2, 4 or 8 bytes.
func (a *Asm) Load(size int, dst Reg, m Mem) {
	switch size {
	case 1:
		a.opRM(W32, []byte{0x0f, 0xb6}, dst, m, false)
	case 2:
		a.opRM(W32, []byte{0x0f, 0xb7}, dst, m, false)
	case 4:
		a.opRM(W32, []byte{0x8b}, dst, m, false)
	default:
		a.opRM(W64, []byte{0x8b}, dst, m, false)
	}
}

// LoadSX is dst = [m], sign-extended to 64 bits from size 1, 2 or 4 bytes.
func (a *Asm) LoadSX(size int, dst Reg, m Mem) {
	switch size {
	case 1:
		a.opRM(W64, []byte{0x0f, 0xbe}, dst, m, false)
	case 2:
		a.opRM(W64, []byte{0x0f, 0xbf}, dst, m, false)
	default:
		a.opRM(W64, []byte{0x63}, dst, m, false)
	}
}

// Store is [m] = the low size bytes of src.
func (a *Asm) Store(size int, m Mem, src Reg) {
	switch size {
	case 1:
		a.opRM(W32, []byte{0x88}, src, m, src >= RSP && src <= RDI)
	case 2:
		a.emit(0x66)
		a.opRM(W32, []byte{0x89}, src, m, false)
	case 4:
		a.opRM(W32, []byte{0x89}, src, m, false)
	default:
		a.opRM(W64, []byte{0x89}, src, m, false)
	}
}

// StoreImm is [m] = the low size bytes of imm, sign-extended to 8 bytes.
func (a *Asm) StoreImm(size int, m Mem, imm int32) {
	switch size {
	case 1:
		a.opRM(W32, []byte{0xc6}, 0, m, false)
		a.emit(byte(imm))
	case 2:
		a.emit(0x66)
		a.opRM(W32, []byte{0xc7}, 0, m, false)
		a.emit(byte(imm), byte(imm>>8))
	case 4:
		a.opRM(W32, []byte{0xc7}, 0, m, false)
		a.imm32(imm)
	default:
		a.opRM(W64, []byte{0xc7}, 0, m, false)
		a.imm32(imm)
	}
}

// Lea is dst = the address of m.
func (a *Asm) Lea(w Width, dst Reg, m Mem) { a.opRM(w, []byte{0x8d}, dst, m, false) }

// MovZX is dst = src zero-extended from size 1 or 2 bytes.
func (a *Asm) MovZX(size int, dst, src Reg) {
	if size == 1 {
		a.rex(W32, dst, 0, src, src >= RSP && src <= RDI)
		a.emit(0x0f, 0xb6, modrm(3, dst.low(), src.low()))
		return
	}
	a.opRR(W32, []byte{0x0f, 0xb7}, dst, src)
}

// MovSX is dst = src sign-extended from size 1, 2 or 4 bytes to the width; the combination 4 and W32 is a move.
func (a *Asm) MovSX(size int, w Width, dst, src Reg) {
	switch size {
	case 1:
		a.rex(w, dst, 0, src, src >= RSP && src <= RDI)
		a.emit(0x0f, 0xbe, modrm(3, dst.low(), src.low()))
	case 2:
		a.opRR(w, []byte{0x0f, 0xbf}, dst, src)
	default:
		a.opRR(w, []byte{0x63}, dst, src)
	}
}

// IMulRR is dst *= src.
func (a *Asm) IMulRR(w Width, dst, src Reg) { a.opRR(w, []byte{0x0f, 0xaf}, dst, src) }

// IMulRI is dst = src * imm.
func (a *Asm) IMulRI(w Width, dst, src Reg, imm int32) {
	if fits8(int64(imm)) {
		a.opRR(w, []byte{0x6b}, dst, src)
		a.emit(byte(imm))
		return
	}
	a.opRR(w, []byte{0x69}, dst, src)
	a.imm32(imm)
}

// Unary applies op to r.
func (a *Asm) Unary(op Unary, w Width, r Reg) { a.opRR(w, []byte{0xf7}, Reg(op), r) }

// SignExtendAcc spreads the sign of RAX over RDX (cqo, cdq).
func (a *Asm) SignExtendAcc(w Width) {
	a.rex(w, 0, 0, 0, false)
	a.emit(0x99)
}

// ShiftRI shifts r by a constant.
func (a *Asm) ShiftRI(op Shift, w Width, r Reg, n byte) {
	if n == 1 {
		a.opRR(w, []byte{0xd1}, Reg(op), r)
		return
	}
	a.opRR(w, []byte{0xc1}, Reg(op), r)
	a.emit(n)
}

// ShiftCL shifts r by CL.
func (a *Asm) ShiftCL(op Shift, w Width, r Reg) { a.opRR(w, []byte{0xd3}, Reg(op), r) }

// Rol16 rotates the low 16 bits of r.
func (a *Asm) Rol16(r Reg, n byte) {
	a.emit(0x66)
	a.ShiftRI(Rol, W32, r, n)
}

// ShiftX is dst = src shifted by n, of BMI2: any register counts, flags stay.
func (a *Asm) ShiftX(op Shift, w Width, dst, src, n Reg) {
	var pp byte
	switch op {
	case Shl:
		pp = 1 // 66
	case Sar:
		pp = 2 // F3
	default:
		pp = 3 // F2
	}
	var wbit byte
	if w {
		wbit = 0x80
	}
	a.emit(0xc4, (1^dst.high())<<7|1<<6|(1^src.high())<<5|2, wbit|(^byte(n)&15)<<3|pp, 0xf7, modrm(3, dst.low(), src.low()))
}

// Bswap reverses the bytes of r.
func (a *Asm) Bswap(w Width, r Reg) {
	a.rex(w, 0, 0, r, false)
	a.emit(0x0f, 0xc8+r.low())
}

// Push and Pop move whole registers to and from the stack.
func (a *Asm) Push(r Reg) {
	a.rex(W32, 0, 0, r, false)
	a.emit(0x50 + r.low())
}

// Pop is the inverse of Push.
func (a *Asm) Pop(r Reg) {
	a.rex(W32, 0, 0, r, false)
	a.emit(0x58 + r.low())
}

// PushImm pushes a sign-extended constant.
func (a *Asm) PushImm(v int32) {
	a.emit(0x68)
	a.imm32(v)
}

// Ret returns.
func (a *Asm) Ret() { a.emit(0xc3) }

// Align puts traps here until the position is a multiple of n. No forward jump may lead over them: how many there are can change
// from one pass to the next.
func (a *Asm) Align(n int32) {
	for a.Pos()%n != 0 {
		a.Trap()
	}
}

// Trap is an instruction that never runs.
func (a *Asm) Trap() { a.emit(0xcc) }

// JmpR jumps to the address in r.
func (a *Asm) JmpR(r Reg) { a.opRR(W32, []byte{0xff}, 4, r) }

// JmpM jumps to the address at m.
func (a *Asm) JmpM(m Mem) { a.opRM(W32, []byte{0xff}, 4, m, false) }

// near tells whether a short jump, two bytes that start here, reaches l.
func (a *Asm) near(l Label) bool {
	if to := a.labels[l]; to >= 0 {
		return fits8(int64(to - (a.Pos() + 2)))
	}
	k := len(a.jumps)
	return k < len(a.guessAt) && fits8(int64(a.guess[l]-a.guessAt[k]))
}

// jump emits the short or the long form of a jump to l.
func (a *Asm) jump(l Label, short byte, long ...byte) {
	if a.near(l) {
		a.emit(short, 0)
		a.fixups = append(a.fixups, fixup{a.Pos() - 1, l, true})
	} else {
		a.emit(long...)
		a.fixups = append(a.fixups, fixup{a.Pos(), l, false})
		a.imm32(0)
	}
	a.jumps = append(a.jumps, a.Pos())
}

// Jmp jumps to l.
func (a *Asm) Jmp(l Label) { a.jump(l, 0xeb, 0xe9) }

// Jcc jumps to l if the condition holds.
func (a *Asm) Jcc(c Cond, l Label) { a.jump(l, 0x70|byte(c), 0x0f, 0x80|byte(c)) }

// LeaLabel is dst = the address of l.
func (a *Asm) LeaLabel(dst Reg, l Label) {
	a.rex(W64, dst, 0, 0, false)
	a.emit(0x8d, modrm(0, dst.low(), 5))
	a.fixups = append(a.fixups, fixup{a.Pos(), l, false})
	a.imm32(0)
}

// The helpers that run without a call are counted in XMM0, with all bits of XMM1 set: a counter in memory would make each
// of them wait for the one before, and no general register is left.

// ZeroHelpers begins to count.
func (a *Asm) ZeroHelpers() {
	a.emit(0x66, 0x0f, 0xef, 0xc0) // pxor xmm0, xmm0
	a.emit(0x66, 0x0f, 0x76, 0xc9) // pcmpeqd xmm1, xmm1
}

// LoadHelpers goes on counting from the 4 bytes at m.
func (a *Asm) LoadHelpers(m Mem) {
	a.emit(0x66)
	a.opRM(W32, []byte{0x0f, 0x6e}, 0, m, false) // movd xmm0, m
	a.emit(0x66, 0x0f, 0x76, 0xc9)               // pcmpeqd xmm1, xmm1
}

// CountHelper adds one.
func (a *Asm) CountHelper() { a.emit(0x66, 0x0f, 0xfb, 0xc1) } // psubq xmm0, xmm1

// StoreHelpers is the 4 bytes at m = the count.
func (a *Asm) StoreHelpers(m Mem) {
	a.emit(0x66)
	a.opRM(W32, []byte{0x0f, 0x7e}, 0, m, false) // movd m, xmm0
}

// LoadX is the low half of XMM register x = 8 bytes at m; the upper half becomes zero.
func (a *Asm) LoadX(x byte, m Mem) {
	a.emit(0xf3)
	a.opRM(W32, []byte{0x0f, 0x7e}, Reg(x), m, false)
}

// StoreX is [m] = the low half of XMM register x.
func (a *Asm) StoreX(m Mem, x byte) {
	a.emit(0x66)
	a.opRM(W32, []byte{0x0f, 0xd6}, Reg(x), m, false)
}

// MovToX is XMM register x = src.
func (a *Asm) MovToX(x byte, src Reg) {
	a.emit(0x66)
	a.rex(W64, Reg(x), 0, src, true)
	a.emit(0x0f, 0x6e, modrm(3, x&7, src.low()))
}

// MovFromX is dst = the low half of XMM register x.
func (a *Asm) MovFromX(dst Reg, x byte) {
	a.emit(0x66)
	a.rex(W64, Reg(x), 0, dst, true)
	a.emit(0x0f, 0x7e, modrm(3, x&7, dst.low()))
}
