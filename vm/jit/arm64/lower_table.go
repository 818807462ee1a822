package arm64

import (
	"unsafe"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// Find lowers the lookup at instruction i in a table, or the update of a value that is there. R2-R4 keep their values for the
// case that the helper must be called after all; it does not look at R5.
func (l *lowering) Find(i int32, in *ir.Insn, t *engine.Table, update bool) {
	a, r0, r1, r5 := l.a, hostReg[0], hostReg[1], hostReg[5]
	key, value, flags := hostReg[2], hostReg[3], hostReg[4]
	none, done := a.NewLabel(), a.NewLabel()
	slow := l.behind(i, l.helpers[in.Imm])
	slow.Before = func() { a.MovRI(r1, t.Map) }
	if t.Storage == 0 && !update {
		slow.After = func() { a.MovRI(r0, 0) } // code behind relies on an element or null
	}
	zero := a.NewLabel()
	outside := zero // where a processor without a value leads
	if t.Storage != 0 {
		a.LogicImm(AndS, W64, XZR, flags, ^uint64(1))
		a.BCond(NE, zero)
		a.BZero(W64, key, false, zero)
		r0 = key // what is compared
	} else {
		a.Load(int(t.Key), r0, l.checked(2, 0, int(t.Key), slow.Call))
	}
	if update {
		outside = slow.Call()
		a.LogicImm(AndS, W64, XZR, flags, ^uint64(2))
		a.BCond(NE, outside)
		n := min(int(t.Size), 8)
		l.checked(3, 0, n, slow.Call)
		l.checked(3, int32(t.Size)-int32(n), n, slow.Call)
	}
	if t.CPUs != 0 {
		l.needCPU = true
		a.Load(4, regT1, At(regContext, native.OffCPU))
		l.cmpU32(regT1, t.CPUs)
		a.BCond(HS, outside)
	}
	l.hash(regT1, r0, t)
	// Safety: Env keeps the index alive, and objects of the heap do not move; its slices are read each time.
	a.MovRI(regT2, uint64(uintptr(unsafe.Pointer(t.Index))))
	a.Load(4, r1, At(regT2, native.IndexLen))
	a.AddImm(W32, r1, r1, -1, false)
	a.AluRR(And, W32, r1, r1, regT1)
	a.Load(8, regT3, At(regT2, native.IndexBuckets))
	a.AddShifted(r1, regT3, r1, 2)
	a.LoadSX(4, r5, At(r1, 0))
	loop, next := a.NewLabel(), a.NewLabel()
	a.Bind(loop)
	a.CmpImm(W64, r5, 0)
	a.BCond(LT, none)
	a.Load(8, regT4, At(regT2, native.IndexElems))
	a.MovRI(regT3, uint64(native.ElemSize))
	a.MAdd(W64, r5, r5, regT3, regT4)
	a.Load(8, regT3, At(r5, native.ElemKey))
	a.CmpRR(W64, regT3, r0)
	a.BCond(NE, next)
	a.Load(8, r1, At(r5, native.ElemAddr))
	r0 = hostReg[0]
	if !a.AddImm(W64, r0, r1, int64(t.Value), false) {
		a.MovRI(regT3, t.Value)
		a.AluRR(Add, W64, r0, r1, regT3)
	}
	if t.CPUs != 0 {
		a.Load(4, regT3, At(regContext, native.OffCPU))
		l.multiple(r0, r0, regT3, t.Stride)
	}
	if update {
		l.copyValue(r0, value, int(t.Size))
		a.MovRI(r0, 0)
	}
	a.Bind(done)
	l.inlineEnd(i)
	a.Bind(slow.Join)
	absent := outside
	if t.Storage != 0 {
		absent = slow.Call()
	}
	l.later(func() {
		a.Bind(next)
		a.LoadSX(4, r5, At(r5, native.ElemNext))
		a.B(loop)
		a.Bind(none)
		switch {
		case update:
			a.B(absent)
		case t.Storage != 0:
			a.BZero(W32, flags, true, absent)
		}
		a.Bind(zero)
		a.MovRI(r0, 0)
		a.B(done)
	})
}

// hash is dst = the hash of key, of which the low half matters. It changes the other temporaries.
func (l *lowering) hash(dst, key Reg, t *engine.Table) {
	a := l.a
	a.MovRI(regT2, t.Seed^abi.HashXor)
	a.AluRR(Eor, W64, dst, key, regT2)
	a.MovRI(regT2, abi.HashMul)
	mix := func() {
		a.Mul(W64, regT3, dst, regT2)
		a.UMulH(regT4, dst, regT2)
		a.AluRR(Eor, W64, dst, regT3, regT4)
	}
	mix()
	if t.Storage == 0 && t.Key == 8 {
		a.MovRI(regT3, abi.HashXor)
		a.AluRR(Eor, W64, dst, dst, regT3)
		mix()
	}
}

// copyValue copies n bytes from one simulated address to another. They may overlap, so that all are read first.
func (l *lowering) copyValue(to, from Reg, n int) {
	a := l.a
	if n == 4 {
		a.Load(4, regT1, AtIndex(regBias, from))
		a.Store(4, AtIndex(regBias, to), regT1)
		return
	}
	// The arguments are done with.
	regs := [flow.MaxCopy / 8]Reg{regT2, regT3, regT4, hostReg[1], hostReg[2], hostReg[4], hostReg[5], regT1}
	a.AluRR(Add, W64, regT1, regBias, from)
	for k := range n / 8 {
		a.Load(8, regs[k], At(regT1, int32(8*k)))
	}
	a.AluRR(Add, W64, to, to, regBias)
	for k := range n / 8 {
		a.Store(8, At(to, int32(8*k)), regs[k])
	}
}
