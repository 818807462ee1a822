package amd64

import (
	"unsafe"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// Find lowers the lookup at instruction i in a table, or the update of a value that is there. R2-R4 keep their values for the
// case that the helper must be called after all; it does not look at R5.
func (l *lowering) Find(i int32, in *ir.Insn, t *engine.Table, update bool) {
	a := l.a
	none, done := a.NewLabel(), a.NewLabel()
	slow := l.behind(i, l.helpers[in.Imm])
	slow.Before = func() { a.MovRI(RDI, int64(t.Map)) }
	if t.Storage == 0 && !update {
		slow.After = func() { a.Zero(RAX) } // code behind relies on an element or null
	}
	call := slow.Call
	zero := a.NewLabel()
	outside := zero // where a processor without a value leads
	var key Mem
	if t.Storage != 0 {
		a.TestRI(W64, RCX, -2)
		a.Jcc(CondNE, zero)
		a.TestRR(W64, RSI, RSI)
		a.Jcc(CondE, zero)
	} else {
		key = l.checked(2, 0, int(t.Key), call)
		a.Load(int(t.Key), RAX, key)
	}
	if update {
		outside = call()
		a.TestRI(W64, RCX, ^2)
		a.Jcc(CondNE, outside)
		n := min(int(t.Size), 8)
		l.checked(3, 0, n, call)
		l.checked(3, int32(t.Size)-int32(n), n, call)
	}
	if t.CPUs != 0 {
		l.needCPU = true
		a.AluMI(Cmp, W32, l.field(native.OffCPU), int32(t.CPUs))
		a.Jcc(CondAE, outside)
	}
	if t.Storage != 0 {
		a.MovRR(W64, RAX, RSI)
	}
	a.MovRI(regT1, signed(t.Seed^abi.HashXor))
	a.AluRR(Xor, W64, RAX, regT1)
	a.MovRR(W64, regT2, RDX)
	a.MovRI(regT1, signed(abi.HashMul))
	a.Unary(Mul, W64, regT1)
	a.AluRR(Xor, W64, RAX, RDX)
	if t.Storage == 0 && t.Key == 8 {
		a.MovRI(RDX, signed(abi.HashXor))
		a.AluRR(Xor, W64, RAX, RDX)
		a.Unary(Mul, W64, regT1)
		a.AluRR(Xor, W64, RAX, RDX)
	}
	a.MovRR(W64, RDX, regT2)
	if t.Storage != 0 {
		a.MovRR(W64, regT2, RSI)
	} else {
		a.Load(int(t.Key), regT2, key)
	}
	// Safety: Env keeps the index alive, and objects of the heap do not move; its slices are read each time.
	a.MovRI(regT1, int64(uintptr(unsafe.Pointer(t.Index))))
	a.Load(4, RDI, At(regT1, native.IndexLen))
	a.AluRI(Sub, W32, RDI, 1)
	a.AluRR(And, W32, RDI, RAX)
	a.ShiftRI(Shl, W64, RDI, 2)
	a.AluRM(Add, W64, RDI, At(regT1, native.IndexBuckets))
	a.LoadSX(4, R8, At(RDI, 0))
	loop, next := a.NewLabel(), a.NewLabel()
	a.Bind(loop)
	a.TestRR(W64, R8, R8)
	a.Jcc(CondS, none)
	a.IMulRI(W64, R8, R8, native.ElemSize)
	a.AluRM(Add, W64, R8, At(regT1, native.IndexElems))
	a.AluRM(Cmp, W64, regT2, At(R8, native.ElemKey))
	a.Jcc(CondNE, next)
	a.Load(8, RAX, At(R8, native.ElemAddr))
	if t.Value != 0 {
		a.AluRI(Add, W64, RAX, int32(t.Value))
	}
	if t.CPUs != 0 {
		a.Load(4, RDI, l.field(native.OffCPU))
		l.times(RDI, t.Stride)
		a.AluRR(Add, W64, RAX, RDI)
	}
	if update {
		l.copyValue(RAX, RDX, int(t.Size))
		a.Zero(RAX)
	}
	a.Bind(done)
	l.inlineEnd(i)
	a.Bind(slow.Join)
	absent := outside
	if t.Storage != 0 {
		absent = call()
	}
	l.later(func() {
		a.Bind(next)
		a.LoadSX(4, R8, At(R8, native.ElemNext))
		a.Jmp(loop)
		a.Bind(none)
		switch {
		case update:
			a.Jmp(absent)
		case t.Storage != 0:
			a.TestRR(W32, RCX, RCX)
			a.Jcc(CondNE, absent)
		}
		a.Bind(zero)
		a.Zero(RAX)
		a.Jmp(done)
	})
}

// copyValue copies n bytes from one simulated address to another. They may overlap, so that all are read first.
func (l *lowering) copyValue(to, from Reg, n int) {
	a := l.a
	if n == 4 {
		a.Load(4, regT2, AtIndex(regBias, from, 0))
		a.Store(4, AtIndex(regBias, to, 0), regT2)
		return
	}
	for k := range n / 8 {
		a.LoadX(byte(4+k), AtIndex(regBias, from, int32(8*k)))
	}
	for k := range n / 8 {
		a.StoreX(AtIndex(regBias, to, int32(8*k)), byte(4+k))
	}
}

// signed is v as an operand.
func signed(v uint64) int64 { return int64(v) }
