package verifier

import (
	"math"
	"strings"

	"github.com/schedsim/schedsim/vm/ir"
)

// Liveness says, before a path is followed, which registers and stack bytes may still be read from an instruction on.
// What is dead is forgotten, so that more states are equal. Registers are looked at within a function; of the stack, each
// half slot of four bytes, for each call that hands pointers to stack to a function. It follows kernel/bpf/liveness.c (7.2);
// stackflow.go finds what instructions access.

// halves is a set of half slots: 2n is the half of slot n closer to the frame pointer.
type halves [2]uint64

func (h *halves) has(i int) bool { return h[i>>6]>>(i&63)&1 != 0 }
func (h *halves) add(i int)      { h[i>>6] |= 1 << (i & 63) }
func (h *halves) or(o halves)    { h[0] |= o[0]; h[1] |= o[1] }

func allHalves() halves { return halves{math.MaxUint64, math.MaxUint64} }

// regUse are the registers that an instruction reads and writes.
func (v *verifier) regUse(i int32) (use, def uint16) {
	in := &v.insns[i]
	bit := func(r ir.Reg) uint16 { return 1 << r }
	op := in.Op
	switch {
	case op == ir.Mov64K || op == ir.Mov32K || op == ir.LdImm64:
		return 0, bit(in.Dst)
	case op == ir.Mov64X || op == ir.Mov32X || op >= ir.MovSX8to64 && op <= ir.MovSX16to32 || op == ir.CastKern || op == ir.CastUser:
		return bit(in.Src), bit(in.Dst)
	case op >= ir.Neg64 && op <= ir.BSwap64:
		return bit(in.Dst), bit(in.Dst)
	case op >= ir.Add64X && op <= ir.Arsh32K:
		use = bit(in.Dst)
		if _, _, byReg := splitALU(op); byReg {
			use |= bit(in.Src)
		}
		return use, bit(in.Dst)
	case op.IsLoad():
		return bit(in.Src), bit(in.Dst)
	case op >= ir.St8K && op <= ir.St64K:
		return bit(in.Dst), 0
	case op.IsStore():
		return bit(in.Dst) | bit(in.Src), 0
	case op.IsAtomic():
		use = bit(in.Dst) | bit(in.Src)
		switch {
		case op >= ir.CmpXchg32:
			return use | bit(0), bit(0)
		case op >= ir.FetchAdd32:
			return use, bit(in.Src)
		}
		return use, 0
	case op == ir.Exit:
		return bit(0), 0
	case op >= ir.JEq64X && op <= ir.JSet32K:
		use = bit(in.Dst)
		if _, _, byReg := splitJmp(op); byReg {
			use |= bit(in.Src)
		}
		return use, 0
	case v.callLike(in):
		return v.argMask(i), 1<<callerSaved - 1
	case v.legacyLoad(in):
		if use = bit(6); in.Off < 0 {
			use |= bit(in.Src)
		}
		return use, 1<<callerSaved - 1
	case op == ir.Invalid:
		return bit(in.Dst), bit(in.Dst)
	}
	return 0, 0
}

// callLike: it is a call, or one that the loader could not resolve. Loaders make calls of functions that do not exist of those,
// and of accesses to fields that do not exist.
func (v *verifier) callLike(in *ir.Insn) bool {
	if in.Op != ir.Invalid {
		return in.Op.IsCall()
	}
	if in.Imm < 0 || in.Imm >= int64(len(v.prog.Poison)) {
		return false
	}
	why := v.prog.Poison[in.Imm]
	return strings.HasPrefix(why, "needs the ") || strings.HasPrefix(why, "calls the ") || strings.HasPrefix(why, "invalid func ")
}

// argMask are the argument registers that a call reads.
func (v *verifier) argMask(i int32) uint16 { return (1<<v.numArgs(i) - 1) << 1 }

// computeLiveRegs is the usual backward dataflow. It follows bpf_compute_live_registers.
func (v *verifier) computeLiveRegs() error {
	use, def := make([]uint16, len(v.insns)), make([]uint16, len(v.insns))
	for i := range v.insns {
		use[i], def[i] = v.regUse(int32(i))
	}
	for si := range v.subs {
		for changed := true; changed; {
			if err := v.spend(len(v.subs[si].postorder)); err != nil {
				return err
			}
			changed = false
			for _, i := range v.subs[si].postorder {
				out := uint16(0)
				succ, n := v.successors(i)
				for _, s := range succ[:n] {
					out |= v.aux[s].live
				}
				if in := out&^def[i] | use[i]; in != v.aux[i].live {
					v.aux[i].live, changed = in, true
				}
			}
		}
	}
	return nil
}

// stackMasks is what an instruction does to the stack of one frame.
type stackMasks struct{ reads, writes, live halves }

// instance is a function as called from an instruction, at a depth of calls: what it does to the frames below it and to its
// own (struct func_instance). Functions that are handed no pointers to stack have one instance, of depth 0.
type instance struct {
	v      *verifier
	sub    int
	depth  int
	frames [maxFrames][]stackMasks // by frame, then by instruction of the function; nil while nothing is known
	done   bool
}

type instanceKey struct {
	depth int
	site  int32 // the call, or the start of the function at depth 0
}

// masks are those of a frame, made on demand.
func (x *instance) masks(frame int8) ([]stackMasks, error) {
	if x.frames[frame] == nil {
		s := &x.v.subs[x.sub]
		n := s.end - s.start
		if err := x.v.charge(int64(n) * 48); err != nil {
			return nil, err
		}
		x.frames[frame] = make([]stackMasks, n)
	}
	return x.frames[frame], nil
}

func (x *instance) read(i int32, frame int8, h halves) error {
	m, err := x.masks(frame)
	if err == nil {
		m[i-x.v.subs[x.sub].start].reads.or(h)
	}
	return err
}

func (x *instance) write(i int32, frame int8, h halves) error {
	m, err := x.masks(frame)
	if err == nil {
		m[i-x.v.subs[x.sub].start].writes.or(h)
	}
	return err
}

// readAll counts everything in the frames of a set as read.
func (x *instance) readAll(i int32, frames uint16) error {
	for f := int8(0); int(f) <= x.depth; f++ {
		if frames>>f&1 != 0 {
			if err := x.read(i, f, allHalves()); err != nil {
				return err
			}
		}
	}
	return nil
}

// merge adds what another pass over the function found: it may read what any pass reads, and surely writes what all write.
// It follows merge_instances.
func (x *instance) merge(o *instance) {
	for f := range x.depth + 1 {
		a, b := x.frames[f], o.frames[f]
		if a == nil && b != nil {
			a, b = b, nil
			x.frames[f] = a
		}
		for i := range a {
			if b == nil {
				a[i].writes = halves{}
				continue
			}
			a[i].reads.or(b[i].reads)
			a[i].writes[0] &= b[i].writes[0]
			a[i].writes[1] &= b[i].writes[1]
		}
	}
}

// update computes what is live before each instruction.
func (x *instance) update() error {
	x.done = true
	s := &x.v.subs[x.sub]
	for f := range x.depth + 1 {
		m := x.frames[f]
		if m == nil {
			continue
		}
		for changed := true; changed; {
			if err := x.v.spend(len(s.postorder)); err != nil {
				return err
			}
			changed = false
			for _, i := range s.postorder {
				succ, n := x.v.successors(i)
				if n == 0 {
					continue
				}
				var live halves
				for _, t := range succ[:n] {
					live.or(m[t-s.start].live)
				}
				e := &m[i-s.start]
				live[0], live[1] = live[0]&^e.writes[0]|e.reads[0], live[1]&^e.writes[1]|e.reads[1]
				if live != e.live {
					e.live, changed = live, true
				}
			}
		}
	}
	return nil
}

// liveBefore are the live half slots of a frame before an instruction of the function.
func (x *instance) liveBefore(i int32, frame int) halves {
	if frame < 0 || frame > x.depth || x.frames[frame] == nil {
		return halves{}
	}
	return x.frames[frame][i-x.v.subs[x.sub].start].live
}

// maxStackFlows bounds the work: each call that hands on pointers to stack is a pass over a function.
const maxStackFlows = 10000

// computeStackLiveness follows bpf_compute_subprog_arg_access: callers come first, and take the functions with them to
// which they hand pointers to stack.
func (v *verifier) computeStackLiveness() error {
	v.instances = map[instanceKey]*instance{}
	v.flowSlots = make([]*[stackSlots]track, len(v.insns))
	seen := make([]bool, len(v.subs))
	var sites [maxFrames]int32
	for k := len(v.order) - 1; k >= 0; k-- {
		sub := v.order[k]
		if seen[sub] && !v.subs[sub].global {
			continue
		}
		if err := v.flowInto(v.instanceAt(nil, 0, sub), nil, &sites, seen); err != nil {
			return err
		}
	}
	v.flowSlots = nil
	return nil
}

// instanceAt finds or makes the instance of a function that is called at site.
func (v *verifier) instanceAt(caller *instance, site int32, sub int) *instance {
	key := instanceKey{0, v.subs[sub].start}
	if caller != nil {
		key = instanceKey{caller.depth + 1, site}
	}
	x := v.instances[key]
	if x == nil {
		x = &instance{v: v, sub: sub, depth: key.depth}
		v.instances[key] = x
	}
	return x
}

// flowInto analyses a function and those that it hands pointers to stack. It follows analyze_subprog.
func (v *verifier) flowInto(x *instance, args *[6]track, sites *[maxFrames]int32, seen []bool) error {
	if v.flows++; v.flows > maxStackFlows {
		v.insnIdx = -1
		return refuse(CodeTooComplex, "liveness analysis exceeded complexity limit (%d calls)", v.flows)
	}
	into := x
	if x.done {
		into = &instance{v: v, sub: x.sub, depth: x.depth}
	}
	seen[x.sub] = true
	s := &v.subs[x.sub]
	f := flow{v: v, inst: into, sub: s, depth: int8(x.depth), sites: sites}
	if err := f.run(args); err != nil {
		return err
	}
	for _, i := range s.postorder {
		ts := f.calls[i]
		if ts == nil {
			continue
		}
		callee, to, ok, err := v.flowCallee(i, ts, into)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if x.depth == maxFrames-1 {
			v.insnIdx = i
			return refuse(CodeCallDepth, "the call stack of %d frames is too deep", maxFrames+1)
		}
		sites[x.depth] = i
		c := v.instanceAt(into, i, callee)
		if err := v.flowInto(c, to, sites, seen); err != nil {
			return err
		}
		for f := range c.depth {
			if c.frames[f] != nil {
				if err := into.read(i, int8(f), c.liveBefore(v.subs[callee].start, f)); err != nil {
					return err
				}
			}
		}
	}
	if into != x {
		x.merge(into)
		for f := range into.frames {
			if into.frames[f] != nil && &into.frames[f][0] != &x.frames[f][0] {
				v.discharge(int64(len(into.frames[f])) * 48)
			}
		}
	}
	return x.update()
}

// flowCallee is the function that a call runs and the arguments that it gets, ok if pointers to stack are among them.
func (v *verifier) flowCallee(i int32, ts *tracks, x *instance) (callee int, args *[6]track, ok bool, err error) {
	in := &v.insns[i]
	args = &[6]track{}
	for k := range args {
		args[k].frame = trackNone
	}
	if in.Op == ir.CallSub {
		callee = v.subAt(in.Target)
		copy(args[1:], ts.regs[1:6])
	} else {
		// The register with the function, the one with what it is handed, and where the function gets that.
		var cb, from, to int
		if in.Op != ir.CallHelper {
			return 0, nil, false, nil
		}
		switch in.Imm {
		case 181, 209: // loop, user_ringbuf_drain
			cb, from, to = 2, 3, 2
		case 164: // for_each_map_elem
			cb, from, to = 2, 3, 4
		case 180: // find_vma
			cb, from, to = 3, 4, 3
		default:
			return 0, nil, false, nil
		}
		if v.aux[i].constSub>>cb&1 == 0 {
			if ts.regs[from].frame != trackNone {
				err = x.readAll(i, 1<<maxFrames-1)
			}
			return 0, nil, false, err
		}
		callee = int(v.aux[i].consts[cb])
		args[to] = ts.regs[from]
	}
	for k := 1; k <= 5; k++ {
		ok = ok || args[k].isPointer()
	}
	return callee, args, ok, nil
}

// instanceOf is the analysed instance that a frame belongs to: the one of its call, or of the call at a smaller depth where
// the function was handed no pointers to the frames below. It follows lookup_instance.
func (v *verifier) instanceOf(f *frame, no int) *instance {
	for depth := no; depth > 0; depth-- {
		if x := v.instances[instanceKey{depth, f.callsite}]; x != nil {
			return x
		}
	}
	return v.instances[instanceKey{0, v.subs[f.sub].start}]
}

// stackLive are the half slots of a frame that may be read from the state on. It follows bpf_stack_slot_alive.
func (v *verifier) stackLive(st *state, frame int) halves {
	last := len(st.frames) - 1
	x := st.frames[last].inst
	if x == nil {
		return allHalves()
	}
	live := x.liveBefore(st.insn, frame+x.depth-last)
	for i := frame; i < last; i++ {
		x := st.frames[i].inst
		if x == nil || frame+x.depth-i < 0 {
			return allHalves()
		}
		at := st.frames[i+1].callsite
		if !v.aux[at].callback {
			at++
		}
		live.or(x.liveBefore(at, frame+x.depth-i))
	}
	return live
}
