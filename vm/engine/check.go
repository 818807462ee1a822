package engine

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/ir"
)

// Check tells whether p is well-formed, so that no engine needs to look at run time: subprograms cover the code in order,
// jumps stay within them, none falls off its end, calls go to their starts, operations and registers exist, and R10 is
// never written. ir.Invalid may stand anywhere: it is a Fault when it is reached. It follows check_subprogs and the structural part of check_cfg (kernel/bpf, 7.2).
func Check(p *ir.Program) error {
	if len(p.Insns) == 0 || len(p.Subs) == 0 {
		return fmt.Errorf("program %q: no instructions", p.Name)
	}
	if len(p.Insns) > 1<<20 {
		return fmt.Errorf("program %q: %d instructions, at most %d are possible", p.Name, len(p.Insns), 1<<20)
	}
	starts := make(map[int32]bool, len(p.Subs))
	next := int32(0)
	for _, s := range p.Subs {
		if s.Start != next || s.End <= s.Start || int(s.End) > len(p.Insns) {
			return fmt.Errorf("program %q: subprogram %q covers instructions %d to %d", p.Name, s.Name, s.Start, s.End)
		}
		if s.Stack < 0 || s.Stack > FrameSize {
			return fmt.Errorf("program %q: subprogram %q uses %d bytes of stack, at most %d are possible", p.Name, s.Name, s.Stack, FrameSize)
		}
		if msg := checkJumps(s); msg != "" {
			return fmt.Errorf("program %q: subprogram %q: %s", p.Name, s.Name, msg)
		}
		starts[s.Start] = true
		next = s.End
	}
	if p.Exception < 0 || int(p.Exception) >= len(p.Subs) {
		return fmt.Errorf("program %q: exception callback %d of %d subprograms", p.Name, p.Exception, len(p.Subs))
	}
	if int(next) != len(p.Insns) {
		return fmt.Errorf("program %q: instructions after %d belong to no subprogram", p.Name, next)
	}
	for _, s := range p.Subs {
		for i := s.Start; i < s.End; i++ {
			if msg := checkInsn(p, s, i, starts); msg != "" {
				return fmt.Errorf("program %q: instruction %d: %s", p.Name, p.Insns[i].Orig, msg)
			}
		}
		if last := p.Insns[s.End-1].Op; !last.Ends() {
			return fmt.Errorf("program %q: instruction %d: last instruction of %q is neither exit nor jump", p.Name, p.Insns[s.End-1].Orig, s.Name)
		}
	}
	return nil
}

// checkJumps tells whether the indirect jumps of s are well-formed. Engines make tables of them, whose size must be in
// proportion to that of the subprogram.
func checkJumps(s ir.Sub) string {
	for k, j := range s.Jumps {
		switch {
		case j.Target < s.Start || j.Target >= s.End:
			return fmt.Sprintf("an indirect jump leads to instruction %d", j.Target)
		case j.Value < 0, k > 0 && j.Value <= s.Jumps[k-1].Value, j.Value-s.Jumps[0].Value > 4*(s.End-s.Start)+64:
			return fmt.Sprintf("value %d of an indirect jump", j.Value)
		}
	}
	return ""
}

func checkInsn(p *ir.Program, s ir.Sub, i int32, starts map[int32]bool) string {
	in := &p.Insns[i]
	if in.Op >= ir.NrOps {
		return fmt.Sprintf("unknown operation %d", in.Op)
	}
	if in.Dst > 10 || in.Src > 10 {
		return fmt.Sprintf("register r%d does not exist", max(in.Dst, in.Src))
	}
	switch {
	case in.Op.IsJump():
		if in.Target < s.Start || in.Target >= s.End {
			return fmt.Sprintf("jump out of %q", s.Name)
		}
	case in.Op == ir.GotoX:
		if len(s.Jumps) == 0 {
			return "indirect jump that leads nowhere"
		}
	case in.Op == ir.CallSub:
		if !starts[in.Target] {
			return "call to the middle of a subprogram"
		}
	case in.Op == ir.CallKfunc:
		if in.Imm < 0 || in.Imm >= int64(len(p.Kfuncs)) {
			return fmt.Sprintf("kfunc number %d does not exist", in.Imm)
		}
	}
	if in.Probe && (in.Op < ir.Ld8 || in.Op > ir.Lds32) {
		return "only a plain load can be a probe"
	}
	if in.Arena && in.Op.Size() == 0 {
		return "only an access to memory can be one of an arena"
	}
	if in.Op.WritesDst() && in.Dst == 10 || in.Op.WritesSrc() && in.Src == 10 {
		return "r10 is read-only"
	}
	return ""
}
