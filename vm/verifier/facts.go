package verifier

import (
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// Facts are collected by instruction while paths are followed, not by path: what a path finds holds for its own registers
// only, and paths that are given up because an earlier one was more general add nothing. That is sound as long as a fact
// depends on nothing but what comparing states compares: the types of registers. So whether a pointer to a kernel object is
// one that the machine has handed out itself, which types do not tell, is decided by struct, for the whole program (doubt).

// fact is what is known of one instruction.
type fact struct {
	seen     bool // some path came here
	accessed bool // an access to memory was checked
	unproved bool // not all accesses were to memory of the machine's own
	mem      bool // to memory that is neither stack, context nor a map's
	// typ is the kernel struct that was accessed, nil for none; with two it is unproved.
	typ btf.Type
}

// prove notes an access through r by the current instruction. The address is known to lie in the address space if r points
// to the program's own memory, or to an object that the caller vouches for.
func (v *verifier) prove(r *reg, in *ir.Insn) {
	f := &v.facts[v.insnIdx]
	f.accessed = true
	if r.typ.base() == ptrToBTF {
		// An array at the end of a struct has elements beyond it, or has none.
		if n, ok := sizeOf(r.obj.typ); !ok || r.off()+int64(in.Off)+int64(in.Op.Size()) > int64(n) {
			f.unproved = true
			return
		}
	}
	const unsure = maybeNull | untrusted | rcuPtr | percpu | userMem
	switch {
	case r.typ.has(unsure):
		f.unproved = true
		return
	case r.typ.base() == ptrToBTF && r.typ.has(memAlloc):
	case r.typ.base() == ptrToBTF && r.typ.has(trusted):
		if f.typ != nil && f.typ != r.obj.typ {
			f.unproved = true
		}
		f.typ = r.obj.typ
		return
	}
	switch r.typ.base() {
	case ptrToStack, ptrToMapValue, ptrToMapKey:
	case ptrToCtx:
		// Memory of user space's may be shorter than what a program uses that was reached by a tail call.
		f.unproved = f.unproved || v.at.Context.Region() > 0
	case ptrToMem:
		f.mem = true
	case ptrToBTF:
		f.unproved = f.unproved || !r.typ.has(memAlloc)
	default:
		f.unproved = true
	}
}

// doubt says that pointers of r's sort may be ones that a machine which models part of the kernel leaves null, though the
// kernel does not: read from another object, or returned by a function.
func (v *verifier) doubt(r *reg) {
	switch {
	case r.typ.has(maybeNull | untrusted | rcuPtr):
	case r.typ.base() == ptrToMem:
		v.doubtMem = true
	case r.typ.base() == ptrToBTF && r.typ.has(trusted) && !slices.Contains(v.doubtful, r.obj.typ):
		v.doubtful = append(v.doubtful, r.obj.typ)
	}
}

// doubtResult doubts what a kernel function returns without saying that it may be null.
func (v *verifier) doubtResult(k *kfunc) {
	if !k.has(abi.RetNull) {
		v.doubt(&v.regs()[0])
	}
}

// proved are the facts for Result.Proved.
func (v *verifier) proved() []bool {
	out := make([]bool, len(v.facts))
	for i := range v.facts {
		f := &v.facts[i]
		out[i] = f.accessed && !f.unproved && (!f.mem || !v.doubtMem) && (f.typ == nil || !slices.Contains(v.doubtful, f.typ))
	}
	return out
}

// reached are the facts for Result.Reached.
func (v *verifier) reached() []bool {
	out := make([]bool, len(v.facts))
	for i := range v.facts {
		out[i] = v.facts[i].seen
	}
	return out
}

// probed are the facts for Result.Probe. It follows convert_ctx_accesses.
func (v *verifier) probed(proved []bool) []bool {
	out := make([]bool, len(v.insns))
	for i := range v.insns {
		t, op := v.aux[i].ptrType, v.insns[i].Op
		if op >= ir.Ld8 && op <= ir.Lds32 && !proved[i] {
			out[i] = t.base() == ptrToBTF || t.base() == ptrToMem && t.has(untrusted)
		}
	}
	return out
}

// arenaAccesses are the facts for Result.Arena.
func (v *verifier) arenaAccesses() []bool {
	out := make([]bool, len(v.insns))
	for i := range v.insns {
		op := v.insns[i].Op
		out[i] = v.aux[i].ptrType.base() == ptrToArena && (op.IsLoad() || op.IsStore() || op.IsAtomic())
	}
	return out
}
