package verifier

import (
	"math"

	"github.com/schedsim/schedsim/vm/ir"
)

// markFastcalls finds what compilers put around calls that may be inlined: spills before and fills after them, in slots that
// nothing else uses. Where the call leaves registers alone, the kernel takes both out, and the function needs less stack.
// It follows mark_fastcall_patterns.
func (v *verifier) markFastcalls() {
	for si := range v.subs {
		s := &v.subs[si]
		lowest := int32(0)
		for i := s.start; i < s.end; i++ {
			if in := &v.insns[i]; in.Op == ir.St64X && in.Dst == fp {
				lowest = min(lowest, in.Off)
			}
		}
		for i := s.start; i < s.end && lowest < 0; i++ {
			v.markFastcall(s, i, lowest)
		}
	}
}

// markFastcall follows mark_fastcall_pattern_for_call.
func (v *verifier) markFastcall(s *subInfo, i, off int32) {
	params, void, fast, ok := v.fastcall(i)
	if !ok {
		return
	}
	low := 0
	if void {
		low = 1
	}
	expected := uint16(1<<callerSaved-1) &^ (uint16(2<<params-1) &^ (1<<low - 1))
	n := int32(0)
	for k := int32(1); k <= callerSaved; k, off = k+1, off+regSize {
		if i-k < 0 || int(i+k) >= len(v.insns) || v.aux[i-k+1].target || v.aux[i+k].target {
			break
		}
		st, ld := &v.insns[i-k], &v.insns[i+k]
		if st.Op != ir.St64X || ld.Op != ir.Ld64 || st.Dst != fp || ld.Src != fp || st.Src != ld.Dst ||
			expected>>st.Src&1 == 0 || st.Off != off || ld.Off != off {
			break
		}
		expected &^= 1 << st.Src
		v.aux[i-k].fastcall, v.aux[i+k].fastcall = true, true
		n = k
	}
	if n == 0 {
		return
	}
	if fast {
		v.aux[i].spills = int8(n)
	} else {
		s.keepSpills = true
	}
	s.spillOff = min(s.spillOff, off)
}

// fastcall tells what a call would change if it changed only its arguments and result, and whether that is so: of the
// helper that is inlined, and of casts.
func (v *verifier) fastcall(i int32) (params int, void, fast, ok bool) {
	switch in := &v.insns[i]; in.Op {
	case ir.CallHelper:
		if h := v.helper(int32(in.Imm)); h != nil {
			return h.nargs(), h.ret&retBase == retVoid, h.id == 8 && v.at.InlineCPU, true
		}
	case ir.CallKfunc:
		if k, err := v.kfunc(i); err == nil {
			return min(5, k.nargs), isVoid(k.ret), k.name == "bpf_cast_to_kern_ctx" || k.name == "bpf_rdonly_cast", true
		}
	}
	return 0, false, false, false
}

// touchStack: an access to slots of spills around calls by anything else keeps them. It follows
// check_fastcall_stack_contract.
func (v *verifier) touchStack(f *frame, off int64) {
	s := &v.subs[f.sub]
	if int64(s.spillOff) <= off || v.aux[v.insnIdx].fastcall {
		return
	}
	if s.spillOff == math.MinInt16 {
		return
	}
	s.spillOff = math.MinInt16
	for i := s.start; i < s.end; i++ {
		v.aux[i].spills, v.aux[i].fastcall = 0, false
	}
}

// dropSpills is the effect of taking the spills out. It follows bpf_remove_fastcall_spills_fills.
func (v *verifier) dropSpills() {
	for si := range v.subs {
		s := &v.subs[si]
		some := false
		for i := s.start; i < s.end; i++ {
			some = some || v.aux[i].spills > 0
		}
		if some && !s.keepSpills {
			s.stack = int(-s.spillOff)
		}
	}
}

// addStacks fills in what functions use, with what the kernel adds: for the budget of loops with may_goto two words (a count
// and the time), for calls of bpf_loop that it inlines three registers.
func (v *verifier) addStacks(reached []bool) {
	for si := range v.subs {
		s := &v.subs[si]
		loop, budget := 0, 0
		kept := s.end // the first instruction after i that stays; a may_goto to it goes nowhere and does not
		for i := s.end - 1; i >= s.start; i-- {
			if v.aux[i].loop > 0 {
				loop = 3*regSize + (-s.stack & (regSize - 1))
			}
			in := &v.insns[i]
			if !reached[i] || (in.Op == ir.Ja || in.Op == ir.MayGoto) && in.Target > i && in.Target <= kept {
				continue
			}
			kept = i
			if in.Op == ir.MayGoto {
				budget = 2 * regSize
			}
		}
		v.result.Stacks = append(v.result.Stacks, s.stack+loop+budget)
		v.result.StackDepth += s.stack + loop + budget
	}
}
