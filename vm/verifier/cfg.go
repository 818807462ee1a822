package verifier

import (
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// insnAux is what the verifier knows of an instruction (struct bpf_insn_aux_data).
type insnAux struct {
	ref        *link.Ref
	prune      bool // look for an equal state here
	jump       bool // record where the path came from
	checkpoint bool // always keep the state
	iterNext   bool
	callback   bool // a call that runs a callback before it returns
	scc        int  // number of the cycle it is in, 0 for none
	gotox      bool // a step of the search that stands for an indirect jump
	entry      bool // a function starts here
	target     bool // something jumps here
	fastcall   bool // a spill or fill around a call that needs none
	spills     int8 // of a call: the number of such spills
	loop       int  // of bpf_loop: the function that it always runs, with flags of 0; -1 if there is none such
	live       uint16
	// Registers that hold a number, a map and a function known before any path is followed; consts are their values.
	constNum, constMap, constSub uint16
	consts                       [10]uint32
	ptrType                      regType // the sort of pointer that it accesses
}

// subInfo is what the verifier knows of a function.
type subInfo struct {
	start, end int32
	name       string
	global     bool
	called     bool // a global function that has to be verified
	verified   bool
	mightSleep bool
	throws     bool
	tailCall   bool
	legacy     bool // loads packet data by LD_ABS or LD_IND
	// movesPacket: packets may be elsewhere after a call.
	movesPacket bool
	isException bool
	isCallback  bool
	isAsync     bool
	noPrivate   bool  // an asynchronous callback may reach it: it uses the normal stack
	stack       int   // bytes
	spillOff    int32 // where spills around calls that need none start, 0 for nowhere
	keepSpills  bool
	args        []subArg
	argsErr     error
	argsDone    bool
	postorder   []int32
}

// subAt is the number of the function that has the instruction.
func (v *verifier) subAt(insn int32) int {
	lo, hi := 0, len(v.subs)
	for lo+1 < hi {
		if m := (lo + hi) / 2; v.subs[m].start <= insn {
			lo = m
		} else {
			hi = m
		}
	}
	return lo
}

// checkShape makes sure of everything that the rest takes for granted about a program: it may have been built by hand.
func (v *verifier) checkShape() error {
	n := int32(len(v.insns))
	switch {
	case n == 0 || len(v.subs) == 0:
		return refuse(CodeInvalidInsn, "the program has no instructions")
	case n > maxProgInsns:
		return refuse(CodeTooComplex, "BPF program is too large. It has %d insn", n)
	case len(v.subs) > maxSubprogs:
		return refuse(CodeTooComplex, "too many subprograms")
	}
	at := int32(0)
	starts := map[int32]bool{}
	for i := range v.subs {
		s := &v.subs[i]
		if s.start != at || s.end <= s.start || s.end > n || s.start >= n {
			return refuse(CodeInvalidInsn, "function %d has instructions %d to %d", i, s.start, s.end)
		}
		at = s.end
		starts[s.start] = true
		v.aux[s.start].entry = true
	}
	if at != n {
		return refuse(CodeInvalidInsn, "instructions after %d belong to no function", at)
	}
	for si := range v.subs {
		s := &v.subs[si]
		for i := s.start; i < s.end; i++ {
			in := &v.insns[i]
			v.insnIdx = i
			if in.Dst > fp || in.Src > fp || in.Op >= ir.NrOps {
				return refuse(CodeInvalidInsn, "R%d is invalid", max(in.Dst, in.Src))
			}
			switch {
			case in.Op.IsJump() && (in.Target < s.start || in.Target >= s.end):
				return refuse(CodeInvalidInsn, "jump out of range from insn %d to %d", i, in.Target)
			case in.Op == ir.CallSub && !starts[in.Target]:
				return refuse(CodeInvalidInsn, "call of instruction %d, where no function starts", in.Target)
			case in.Op == ir.CallKfunc && (in.Imm < 0 || in.Imm >= int64(len(v.prog.Code.Kfuncs))):
				return refuse(CodeInvalidInsn, "call of kernel function number %d", in.Imm)
			case in.Op == ir.CallHelper && (in.Imm < 0 || in.Imm > 1<<30):
				return refuse(CodeHelper, "invalid func unknown#%d", in.Imm)
			}
			if (in.Op.WritesDst() && in.Dst == fp) || (in.Op.WritesSrc() && in.Src == fp) {
				return refuse(CodeFramePointer, "frame pointer is read only")
			}
		}
		if last := v.insns[s.end-1].Op; last != ir.Exit && last != ir.Ja && last != ir.Invalid {
			v.insnIdx = s.end - 1
			return refuse(CodeInvalidInsn, "last insn is not an exit or jmp")
		}
	}
	return nil
}

// successors are the instructions that may follow within the function.
func (v *verifier) successors(i int32) (s [2]int32, n int) {
	in := &v.insns[i]
	switch {
	case in.Op == ir.Exit || in.Op == ir.Invalid && (int(i)+1 == len(v.insns) || v.aux[i+1].entry):
		return s, 0
	case in.Op == ir.Ja:
		return [2]int32{in.Target}, 1
	case in.Op.IsJump():
		return [2]int32{i + 1, in.Target}, 2
	}
	return [2]int32{i + 1}, 1
}

// callee is the function that an instruction calls or takes the address of.
func (v *verifier) callee(i int32) (sub int, ok bool) {
	in := &v.insns[i]
	if in.Op == ir.CallSub {
		return v.subAt(in.Target), true
	}
	if r := v.aux[i].ref; r != nil && r.Kind == link.RefFunc && r.Sub >= 0 && r.Sub < len(v.subs) {
		return r.Sub, true
	}
	return 0, false
}

// checkCFG marks the points where states are compared and paths recorded, and refuses instructions that no path reaches. It follows bpf_check_cfg (kernel/bpf/cfg.c, 7.2).
func (v *verifier) checkCFG() error {
	seen := make([]bool, len(v.insns))
	todo := []int32{0}
	seen[0] = true
	push := func(i int32) {
		if !seen[i] {
			seen[i] = true
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		v.visit(i, push)
	}
	if n := v.prog.Code.Exception; n > 0 && !seen[v.subs[n].start] {
		push(v.subs[n].start)
		for len(todo) > 0 {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			v.visit(i, push)
		}
	}
	for i, ok := range seen {
		if !ok {
			v.insnIdx = int32(i)
			return refuse(CodeUnreachable, "unreachable insn %d", v.insns[i].Orig)
		}
	}
	v.spreadSleep()
	return nil
}

func (v *verifier) visit(i int32, push func(int32)) {
	in := &v.insns[i]
	a := &v.aux[i]
	sub, calls := v.callee(i)
	switch {
	case v.callLike(in) || calls:
		if int(i)+1 < len(v.insns) {
			v.aux[i+1].prune, v.aux[i+1].jump = true, true
		}
		if calls {
			a.prune = true
			start := v.subs[sub].start
			v.aux[start].prune, v.aux[start].jump, v.aux[start].target = true, true, true
			push(start)
		}
		v.visitCall(i)
	case a.gotox: // states are compared before the jump, not at its targets
		a.prune = a.prune || v.gotoxs[i] != nil
		if in.Op.IsJump() && !v.aux[in.Target].gotox {
			v.aux[in.Target].jump, v.aux[in.Target].target = true, true
		}
	case in.Op == ir.Ja:
		v.aux[in.Target].prune, v.aux[in.Target].jump, v.aux[in.Target].target = true, true, true
	case in.Op.IsJump():
		a.prune = true
		a.checkpoint = a.checkpoint || in.Op == ir.MayGoto
		v.aux[in.Target].prune, v.aux[in.Target].jump, v.aux[in.Target].target = true, true, true
	}
	succ, n := v.successors(i)
	for _, s := range succ[:n] {
		push(s)
	}
}

// visitCall marks what matters of a call of a helper or kernel function.
func (v *verifier) visitCall(i int32) {
	in, a := &v.insns[i], &v.aux[i]
	sub := &v.subs[v.subAt(i)]
	switch in.Op {
	case ir.CallHelper:
		h := v.helper(int32(in.Imm))
		if h == nil {
			return
		}
		switch {
		case h.callback == callbackSync:
			a.callback, a.checkpoint, a.prune, a.jump = true, true, true, true
		case h.callback == callbackAsync:
			a.prune = true
		}
		sub.mightSleep = sub.mightSleep || h.sleeps
	case ir.CallKfunc:
		k, err := v.kfunc(i)
		if err != nil {
			return
		}
		switch {
		case k.callback == callbackSync:
			a.callback, a.checkpoint, a.prune, a.jump = true, true, true, true
		case k.callback == callbackAsync:
			a.prune = true
		case k.iterNext():
			a.iterNext, a.checkpoint, a.prune = true, true, true
		}
		sub.mightSleep = sub.mightSleep || k.sleepable()
	}
}

// spreadSleep tells callers that what they call may sleep. It follows merge_callee_effects.
func (v *verifier) spreadSleep() {
	for changed := true; changed; {
		changed = false
		for i := range v.insns {
			callee, ok := v.callee(int32(i))
			if !ok || !v.subs[callee].mightSleep {
				continue
			}
			if s := &v.subs[v.subAt(int32(i))]; !s.mightSleep {
				s.mightSleep, changed = true, true
			}
		}
	}
}

// sortSubs orders functions so that callees come first, and refuses recursion. It follows sort_subprogs_topo.
func (v *verifier) sortSubs() error {
	const (
		white = iota
		grey
		black
	)
	color := make([]uint8, len(v.subs))
	type level struct{ sub, next int }
	v.order = v.order[:0]
	for root := range v.subs {
		if color[root] != white {
			continue
		}
		color[root] = grey
		stack := []level{{root, 0}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			po := v.subs[top.sub].postorder
			if top.next == len(po) {
				color[top.sub] = black
				v.order = append(v.order, top.sub)
				stack = stack[:len(stack)-1]
				continue
			}
			i := po[top.next]
			top.next++
			callee, ok := v.callee(i)
			if !ok {
				continue
			}
			switch color[callee] {
			case white:
				color[callee] = grey
				stack = append(stack, level{callee, 0})
			case grey:
				if v.insns[i].Op == ir.CallSub {
					v.insnIdx = i
					return refuse(CodeRecursion, "recursive call from %s() to %s()", v.subs[top.sub].name, v.subs[callee].name)
				}
			}
		}
	}
	return nil
}

// computePostorder orders the instructions of each function so that successors come first where there are no cycles.
func (v *verifier) computePostorder() {
	state := make([]uint8, len(v.insns))
	var stack []int32
	for si := range v.subs {
		s := &v.subs[si]
		stack = append(stack[:0], s.start)
		state[s.start] = 1
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			if state[top] == 2 {
				s.postorder = append(s.postorder, top)
				stack = stack[:len(stack)-1]
				continue
			}
			state[top] = 2
			succ, n := v.successors(top)
			for _, t := range succ[:n] {
				if state[t] == 0 {
					state[t] = 1
					stack = append(stack, t)
				}
			}
		}
	}
}

// computeSCC numbers the cycles of the control flow within functions: strongly connected components with more than one
// instruction, with an edge to themselves, or that are a call with a callback. Tarjan's algorithm without recursion.
func (v *verifier) computeSCC() {
	n := int32(len(v.insns))
	const off = int32(1<<31 - 1)
	pre, low := make([]int32, n), make([]int32, n)
	var stack, dfs []int32
	next, scc := int32(1), 1
	for root := range n {
		if pre[root] != 0 {
			continue
		}
		dfs = append(dfs[:0], root)
	walk:
		for len(dfs) > 0 {
			w := dfs[len(dfs)-1]
			if pre[w] == 0 {
				pre[w], low[w] = next, next
				next++
				stack = append(stack, w)
			}
			succ, ns := v.successors(w)
			self := false
			for _, s := range succ[:ns] {
				self = self || s == w
				if pre[s] == 0 {
					dfs = append(dfs, s)
					continue walk
				}
				low[w] = min(low[w], low[s])
			}
			dfs = dfs[:len(dfs)-1]
			if low[w] < pre[w] {
				continue
			}
			cycle := stack[len(stack)-1] != w || self || v.aux[w].callback
			for {
				t := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				low[t] = off
				if cycle {
					v.aux[t].scc = scc
				}
				if t == w {
					break
				}
			}
			if cycle {
				scc++
			}
		}
	}
	v.visits = make([][]*sccVisit, scc)
}
