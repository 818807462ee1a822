package verifier

import (
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Before any path is followed, constants are carried through the program: numbers, maps, functions, and what is loaded from
// read-only data. Branches that they decide become jumps, so that what a dead branch reads does not count as live. It
// follows kernel/bpf/const_fold.c (7.2).

// foldKind is what is known of a register.
type foldKind uint8

const (
	foldUnseen foldKind = iota
	foldUnknown
	foldConst    // the number val
	foldMap      // map number m
	foldMapValue // val bytes into the value of map number m
	foldSub      // the address of function number val
)

type foldVal struct {
	kind foldKind
	m    int32
	val  uint64
}

type foldRegs [11]foldVal

// computeConsts finds the constants before each instruction. It follows bpf_compute_const_regs.
func (v *verifier) computeConsts() error {
	n := int64(len(v.insns)) * foldBytes
	if err := v.charge(n); err != nil {
		return err
	}
	defer v.discharge(n)
	in := make([]foldRegs, len(v.insns))
	todo := make([]bool, len(v.insns)) // more is known than when it was looked at
	for i := range v.subs {
		todo[v.subs[i].start] = true
		r := &in[v.subs[i].start]
		for k := range r {
			r[k].kind = foldUnknown
		}
	}
	for changed := true; changed; {
		if err := v.spend(len(v.insns)); err != nil {
			return err
		}
		changed = false
		for s := len(v.subs) - 1; s >= 0; s-- {
			po := v.subs[s].postorder
			for k := len(po) - 1; k >= 0; k-- {
				if !todo[po[k]] {
					continue
				}
				todo[po[k]] = false
				out := in[po[k]]
				v.foldStep(po[k], &out)
				succ, n := v.successors(po[k])
				for _, t := range succ[:n] {
					if foldJoin(&in[t], &out) {
						todo[t], changed = true, true
					}
				}
			}
		}
	}
	for i := range in {
		a := &v.aux[i]
		for k := range a.consts {
			c := &in[i][k]
			switch {
			case c.kind == foldConst && c.val == uint64(uint32(c.val)):
				a.constNum |= 1 << k
				a.consts[k] = uint32(c.val)
			case c.kind == foldMap:
				a.constMap |= 1 << k
				a.consts[k] = uint32(c.m)
			case c.kind == foldSub:
				a.constSub |= 1 << k
				a.consts[k] = uint32(c.val)
			}
		}
	}
	return nil
}

func foldJoin(to, out *foldRegs) (changed bool) {
	for k := range to {
		switch t := &to[k]; {
		case t.kind == foldUnseen:
			if out[k].kind != foldUnseen {
				*t = out[k]
				changed = true
			}
		case t.kind != foldUnknown && *t != out[k]:
			t.kind = foldUnknown
			changed = true
		}
	}
	return changed
}

// foldStep applies an instruction.
func (v *verifier) foldStep(i int32, r *foldRegs) {
	in := &v.insns[i]
	unknown := foldVal{kind: foldUnknown}
	d := &r[in.Dst]
	switch op := in.Op; {
	case op >= ir.Add64X && op <= ir.BSwap64 || op == ir.CastKern || op == ir.CastUser:
		foldALU(in, r)
	case op == ir.LdImm64:
		*d = unknown
		switch ref := v.aux[i].ref; {
		case ref == nil:
			*d = foldVal{kind: foldConst, val: uint64(in.Imm)}
		case ref.Kind == link.RefMap:
			*d = foldVal{kind: foldMap, m: int32(ref.Map)}
		case ref.Kind == link.RefMapValue:
			*d = foldVal{kind: foldMapValue, m: int32(ref.Map), val: uint64(ref.Off)}
		case ref.Kind == link.RefFunc:
			*d = foldVal{kind: foldSub, val: uint64(ref.Sub)}
		}
	case op >= ir.LdAcq8 && op <= ir.LdAcq64:
		*d = unknown
	case op.IsLoad():
		*d = v.foldLoad(in, r[in.Src])
	case op >= ir.CmpXchg32 && op <= ir.CmpXchg64:
		r[0] = unknown
	case op.IsAtomic() && op.WritesSrc():
		r[in.Src] = unknown
	case v.callLike(in):
		for k := range callerSaved {
			r[k] = unknown
		}
	}
}

func foldALU(in *ir.Insn, r *foldRegs) {
	unknown := foldVal{kind: foldUnknown}
	d, s := &r[in.Dst], r[in.Src]
	num := d.kind == foldConst
	wide := true
	switch op := in.Op; op {
	case ir.Mov64K, ir.Mov32K:
		*d = foldVal{kind: foldConst, m: d.m, val: uint64(in.Imm)}
		wide = op == ir.Mov64K
	case ir.Mov64X, ir.Mov32X:
		*d = s
		wide = op == ir.Mov64X
	case ir.MovSX8to64, ir.MovSX16to64, ir.MovSX32to64, ir.MovSX8to32, ir.MovSX16to32:
		*d = s
		size := 4
		switch op {
		case ir.MovSX8to64, ir.MovSX8to32:
			size = 1
		case ir.MovSX16to64, ir.MovSX16to32:
			size = 2
		}
		if d.kind != foldConst {
			*d = unknown
			break
		}
		d.val = uint64(sextBytes(d.val, size))
		wide = op < ir.MovSX8to32
	case ir.Add64K, ir.Add32K, ir.Sub64K, ir.Sub32K:
		wide = op == ir.Add64K || op == ir.Sub64K
		switch {
		case !num && d.kind != foldMapValue:
			*d = unknown
		case op == ir.Add64K || op == ir.Add32K:
			d.val += uint64(in.Imm)
		default:
			d.val -= uint64(in.Imm)
		}
	case ir.And64K, ir.And32K:
		wide = op == ir.And64K
		switch {
		case num:
			d.val &= uint64(in.Imm)
		case in.Imm == 0:
			*d = foldVal{kind: foldConst, m: d.m}
		default:
			*d = unknown
		}
	case ir.And64X, ir.And32X:
		wide = op == ir.And64X
		switch {
		case num && d.val == 0:
		case s.kind == foldConst && s.val == 0:
			*d = foldVal{kind: foldConst, m: d.m}
		case num && s.kind == foldConst:
			d.val &= s.val
		default:
			*d = unknown
		}
	default:
		*d = unknown
	}
	if !wide {
		if d.kind == foldConst {
			d.val = uint64(uint32(d.val))
		} else {
			*d = unknown
		}
	}
}

// foldLoad is a load from constant data.
func (v *verifier) foldLoad(in *ir.Insn, base foldVal) foldVal {
	unknown := foldVal{kind: foldUnknown}
	if base.kind != foldMapValue {
		return unknown
	}
	m := v.maps[base.m]
	off, size := int64(int32(base.val)+in.Off), int64(in.Op.Size())
	if m == nil || !m.constant() || m.flags&elf.FlagRdonlyProg == 0 || m.max != 1 || off < 0 || off+size > int64(m.value) {
		return unknown
	}
	signed := in.Op >= ir.Lds8 && in.Op <= ir.Lds32
	return foldVal{kind: foldConst, val: m.read(off, int(size), signed)}
}

// pruneDeadBranches turns branches on constants into jumps. It follows bpf_prune_dead_branches. It changes a copy of the
// program.
func (v *verifier) pruneDeadBranches() {
	changed := false
	for i := range v.insns {
		in := &v.insns[i]
		a := &v.aux[i]
		if a.gotox || in.Op < ir.JEq64X || in.Op > ir.JSet32K || in.Dst >= fp || a.constNum>>in.Dst&1 == 0 {
			continue
		}
		k, wide, byReg := splitJmp(in.Op)
		x, y := uint64(a.consts[in.Dst]), uint64(in.Imm)
		if byReg {
			if in.Src >= fp || a.constNum>>in.Src&1 == 0 {
				continue
			}
			y = uint64(a.consts[in.Src])
		}
		if !wide {
			x, y = uint64(int32(x)), uint64(int32(y))
		}
		if !changed {
			v.insns = append([]ir.Insn(nil), v.insns...)
			in, changed = &v.insns[i], true
		}
		target := in.Target
		if !k.holds(x, y) {
			target = int32(i) + 1
		}
		*in = ir.Insn{Op: ir.Ja, Orig: in.Orig, Target: target}
	}
	if changed {
		for i := range v.subs {
			v.subs[i].postorder = nil
		}
		v.computePostorder()
	}
}

// holds evaluates a comparison.
func (k jmpKind) holds(x, y uint64) bool {
	switch k {
	case jEq:
		return x == y
	case jNe:
		return x != y
	case jGt:
		return x > y
	case jGe:
		return x >= y
	case jLt:
		return x < y
	case jLe:
		return x <= y
	case jSGt:
		return int64(x) > int64(y)
	case jSGe:
		return int64(x) >= int64(y)
	case jSLt:
		return int64(x) < int64(y)
	case jSLe:
		return int64(x) <= int64(y)
	}
	return x&y != 0
}
