package verifier

import "slices"

// idMap maps the ids of an old state to those of the current one.
type idMap struct {
	pairs []idPair
	temp  uint32
}

type idPair struct{ old, cur uint32 }

// maxIDs is BPF_ID_MAP_SIZE: states with more ids are not compared.
const maxIDs = (11 + maxStack/regSize + 7) * maxFrames

// check follows check_ids: once an id has met another one, both stay together.
func (m *idMap) check(old, cur uint32) bool {
	if (old != 0) != (cur != 0) {
		return false
	}
	if old == 0 {
		return true
	}
	for _, p := range m.pairs {
		if p.old == old {
			return p.cur == cur
		}
		if p.cur == cur {
			return false
		}
	}
	if len(m.pairs) == maxIDs {
		return false
	}
	m.pairs = append(m.pairs, idPair{old, cur})
	return true
}

// checkScalar: an old scalar without id relied on no relation; one without a current id is given one of its own, so that
// two independent scalars do not pass for two linked ones.
func (m *idMap) checkScalar(old, cur uint32) bool {
	if old == 0 {
		return true
	}
	if cur == 0 {
		m.temp++
		cur = m.temp
	}
	if !m.check(old, cur) {
		return false
	}
	return old&addConst == 0 || m.check(old&^addConst, cur&^addConst)
}

// exactness says how close an old state has to be.
type exactness uint8

const (
	notExact    exactness = iota // only what is known to matter
	exact                        // the same, up to names
	rangeWithin                  // every range within the old one, whether known to matter or not
)

func (v *verifier) regsExact(old, cur *reg) bool {
	return old.regBody == cur.regBody && v.ids.check(old.id, cur.id) && v.ids.check(old.parent, cur.parent)
}

func within(old, cur *reg) bool {
	return old.r64.covers(cur.r64) && old.r32.covers(cur.r32) && old.bits.covers(cur.bits)
}

// regSafe tells whether what was safe with old is safe with cur. It follows regsafe (kernel/bpf/states.c, 7.2).
func (v *verifier) regSafe(old, cur *reg, ex exactness) bool {
	switch {
	case ex == exact:
		return v.regsExact(old, cur)
	case old.typ == notInit:
		return true
	case old.typ != cur.typ:
		return false
	}
	switch old.typ.base() {
	case scalar:
		if !old.precise && ex == notExact {
			return true
		}
		if old.id != 0 && old.id&addConst != cur.id&addConst || old.id&addConst != 0 && old.delta != cur.delta {
			return false
		}
		return v.ids.checkScalar(old.id, cur.id) && within(old, cur)
	case ptrToMapKey, ptrToMapValue, ptrToMem, ptrToBuf, ptrToTPBuffer:
		return old.delta == cur.delta && old.obj == cur.obj && within(old, cur) &&
			v.ids.check(old.id, cur.id) && v.ids.check(old.parent, cur.parent)
	case ptrToInsn:
		return old.obj == cur.obj && within(old, cur)
	case ptrToPacket, ptrToPacketMeta:
		a, b := old.packetRange(), cur.packetRange()
		if (a < 0 || b < 0) && a != b || a > b {
			return false
		}
		return v.ids.check(old.id, cur.id) && (old.id == 0 || old.r64.base == cur.r64.base) && within(old, cur)
	case ptrToStack:
		return v.regsExact(old, cur) && old.frame == cur.frame
	case ptrToArena:
		return true
	}
	return v.regsExact(old, cur)
}

// scalarView is the register that a load from half of a slot on would give: a spilled scalar, or an unknown number where
// only miscellaneous bytes are.
func (v *verifier) scalarView(s *slot, from int) *reg {
	if s.kind[from] == slotSpill && s.reg.typ == scalar {
		return &s.reg
	}
	for _, k := range s.kind[from:] {
		if k != slotMisc && k != slotInvalid && k != slotPoison {
			return nil
		}
	}
	return &v.unbound
}

// stackSafe follows stacksafe.
func (v *verifier) stackSafe(old, cur *frame, ex exactness) bool {
	for i := 0; i < len(old.stack)*regSize; i++ {
		n, b := i/regSize, i%regSize
		o := &old.stack[n]
		have := n < len(cur.stack)
		var c *slot
		if have {
			c = &cur.stack[n]
		}
		if b == 0 {
			switch {
			case ex != exact && (o.kind == allOf(slotPoison) || o.kind == allOf(slotMisc) || o.kind == allOf(slotInvalid)):
				i += regSize - 1
				continue
			case have && o.kind == allOf(slotSpill) && c.kind == allOf(slotSpill):
				if !v.regSafe(&o.reg, &c.reg, ex) {
					return false
				}
				i += regSize - 1
				continue
			}
		}
		if ex == exact {
			if !have || blank(o.kind[b]) != blank(c.kind[b]) {
				return false
			}
		}
		if k := o.kind[b]; k == slotInvalid || k == slotPoison || k == slotMisc {
			continue
		}
		if !have {
			return false
		}
		if b == 0 || b == 4 {
			if x, y := v.scalarView(o, b), v.scalarView(c, b); x != nil && y != nil {
				if !v.regSafe(x, y, ex) {
					return false
				}
				if i += 3; b == 0 {
					i += 4
				}
				continue
			}
		}
		if o.kind[b] != c.kind[b] {
			return false
		}
		if b == regSize-1 && !v.slotSafe(o, c, ex) {
			return false
		}
	}
	return true
}

func blank(k slotKind) slotKind {
	if k == slotPoison {
		return slotInvalid
	}
	return k
}

// slotSafe compares two slots of the same kinds.
func (v *verifier) slotSafe(o, c *slot, ex exactness) bool {
	x, y := &o.reg, &c.reg
	switch o.kind[regSize-1] {
	case slotSpill:
		return v.regSafe(x, y, ex)
	case slotDynptr:
		return x.obj.dyn == y.obj.dyn && x.obj.first == y.obj.first && v.ids.check(x.id, y.id) && v.ids.check(x.parent, y.parent)
	case slotIter: // how far it has come does not matter
		return x.typ == y.typ && x.obj.typ == y.obj.typ && x.obj.iter == y.obj.iter && v.ids.check(x.id, y.id)
	case slotIRQ:
		return v.ids.check(x.id, y.id) && x.obj.lockIRQ == y.obj.lockIRQ
	}
	return true
}

// refsSafe follows refsafe.
func (v *verifier) refsSafe(old, cur *state) bool {
	if len(old.refs) != len(cur.refs) || old.locks != cur.locks || old.preempt != cur.preempt || old.rcu != cur.rcu ||
		!v.ids.check(old.irqID, cur.irqID) || !v.ids.check(old.lockID, cur.lockID) || old.lockPtr != cur.lockPtr {
		return false
	}
	for i := range old.refs {
		o, c := &old.refs[i], &cur.refs[i]
		if !v.ids.check(o.id, c.id) || o.kind != c.kind || o.ptr != c.ptr || o.kind == refPtr && !v.ids.check(o.parent, c.parent) {
			return false
		}
	}
	return true
}

// statesEqual tells whether everything that was safe from old on is safe from cur on. It follows states_equal.
func (v *verifier) statesEqual(old, cur *state, ex exactness) bool {
	if len(old.frames) != len(cur.frames) || old.sleepable != cur.sleepable {
		return false
	}
	v.ids.pairs, v.ids.temp = v.ids.pairs[:0], v.idGen
	if !v.refsSafe(old, cur) {
		return false
	}
	for i, o := range old.frames {
		c := cur.frames[i]
		if o.callsite != c.callsite || o.callbackDepth > c.callbackDepth {
			return false
		}
		live := v.aux[old.at(i)].live
		for k := range o.regs {
			if live>>k&1 != 0 && !v.regSafe(&o.regs[k], &c.regs[k], ex) {
				return false
			}
		}
		if !v.stackSafe(o, c, ex) {
			return false
		}
	}
	return true
}

// allOf are the bytes of a slot of one kind.
func allOf(k slotKind) [regSize]slotKind { return [regSize]slotKind{k, k, k, k, k, k, k, k} }

// clean forgets what no path from here on reads. It follows clean_verifier_state.
func (v *verifier) clean(st *state) {
	for i, f := range st.frames {
		at := st.at(i)
		live := v.aux[at].live
		for k := range fp {
			if live>>k&1 == 0 && f.regs[k].typ != notInit {
				f.regs[k].markNotInit()
			}
		}
		alive := v.stackLive(st, i)
		for n := range f.stack {
			s := &f.stack[n]
			if s.kind == allOf(slotPoison) && s.reg.typ == notInit {
				continue
			}
			lo, hi := alive.has(2*n), alive.has(2*n+1)
			if lo && hi || s.special() {
				continue
			}
			if !hi {
				if lo && s.isSpill() {
					if s.reg.typ != scalar || s.reg.isNull() {
						continue
					}
					for b := range 4 {
						if s.kind[b] == slotSpill {
							s.kind[b] = slotMisc
						}
					}
				}
				s.reg.markNotInit()
			}
			for b := range regSize {
				if b < 4 && !lo || b >= 4 && !hi {
					s.kind[b] = slotPoison
				}
			}
		}
	}
}

// idUse counts the scalars that have an id.
type idUse struct {
	id uint32
	n  int
}

// clearSingular drops ids that only one scalar has: nothing is linked to it.
func (v *verifier) clearSingular(st *state) {
	v.idUses = v.idUses[:0]
	st.eachScalar(func(r *reg) {
		if r.id == 0 {
			return
		}
		id := r.id &^ addConst
		for i := range v.idUses {
			if v.idUses[i].id == id {
				v.idUses[i].n++
				return
			}
		}
		v.idUses = append(v.idUses, idUse{id, 1})
	})
	if len(v.idUses) == 0 {
		return
	}
	st.eachScalar(func(r *reg) {
		if r.id == 0 {
			return
		}
		id := r.id &^ addConst
		for i := range v.idUses {
			if v.idUses[i].id == id && v.idUses[i].n == 1 {
				r.clearID()
			}
		}
	})
}

// maybeLooping is a quick test before exact comparison.
func maybeLooping(old, cur *state) bool {
	if len(old.frames) != len(cur.frames) {
		return false
	}
	o, c := old.cur(), cur.cur()
	for i := range o.regs {
		if a, b := &o.regs[i], &c.regs[i]; a.regBody != b.regBody || a.id != b.id || a.parent != b.parent {
			return false
		}
	}
	return true
}

// iterDepthsDiffer: an active iterator was advanced in between, so that equal states are no infinite loop.
func iterDepthsDiffer(old, cur *state) bool {
	for i, o := range old.frames {
		for n := range o.stack {
			s := &o.stack[n]
			if s.kind[0] == slotIter && s.reg.obj.iter == iterActive &&
				(n >= len(cur.frames[i].stack) || cur.frames[i].stack[n].reg.depth != s.reg.depth) {
				return true
			}
		}
	}
	return false
}

// bucket is where states at an instruction are kept. Like the kernel's it depends on the call that led to the function, and
// may hold states of other instructions. It follows bpf_explored_state.
func (v *verifier) bucket(insn int32) int {
	site := int32(mainCallsite)
	if c := v.cur.cur().callsite; c != mainCallsite {
		site = v.insns[c].Orig
	}
	return int(uint32(v.insns[insn].Orig^site) % uint32(len(v.explored)))
}

// visited looks for an explored state that makes going on needless, and remembers the current one where that may help. It
// follows bpf_is_state_visited.
func (v *verifier) visited(insn int32) (bool, error) {
	cur := v.cur
	aux := &v.aux[insn]
	force := aux.checkpoint || len(cur.hist) > 40
	add := force || v.jumps-v.prevJumps >= 2 && v.processed-v.prevProcessed >= 8
	v.clean(cur)
	at := v.bucket(insn)
	list := v.explored[at]
	seen := len(list)
	for i := len(list) - 1; i >= 0; i-- {
		old := list[i]
		if old.insn != insn || v.followAll && old.branches == 0 {
			continue
		}
		loop, hit := false, false
		if old.branches > 0 {
			var err error
			hit, loop, err = v.looping(old, aux, insn)
			if err != nil {
				return false, err
			}
			if !hit && !force && v.jumps-v.prevJumps < 20 && v.processed-v.prevProcessed < 100 {
				add = false
			}
		} else {
			loop = v.incomplete(old)
			ex := notExact
			if loop {
				ex = rangeWithin
			}
			hit = v.statesEqual(old, cur, ex)
		}
		if hit {
			old.hits++
			return true, v.prune(old, loop, insn)
		}
		if add {
			old.misses++
		}
		n := 3
		if aux.checkpoint && old.branches > 0 {
			n = 64
		}
		if old.misses > old.hits*n+n {
			list = slices.Delete(list, i, i+1)
			v.explored[at] = list
			old.evicted = true
			v.release(old)
		}
	}
	v.result.MaxStatesPerInsn = max(v.result.MaxStatesPerInsn, seen)
	if !add {
		return false, nil
	}
	v.result.States++
	v.stored++
	v.countPeak()
	v.prevJumps, v.prevProcessed = v.jumps, v.processed
	cur.eachScalar(func(r *reg) { r.precise = false })
	v.clearSingular(cur)
	kept := v.pool.clone(cur)
	kept.insn = insn
	v.enterSCC(kept)
	cur.parent, cur.first, cur.dfsDepth, cur.hist = kept, insn, kept.dfsDepth+1, cur.hist[:0]
	v.explored[at] = append(list, kept)
	return false, v.charge(kept.bytes())
}

// countPeak counts the states that are kept: also those that compare with nothing any more, but that others descend from.
func (v *verifier) countPeak() {
	v.result.PeakStates = max(v.result.PeakStates, v.stored+v.edges)
}

// release forgets a state that compares with nothing any more, once nothing descends from it. It follows
// maybe_free_verifier_state.
func (v *verifier) release(st *state) {
	if !st.evicted || st.branches != 0 || v.incomplete(st) {
		return
	}
	v.stored--
	v.discharge(st.bytes())
	v.pool.free(st)
}

// looping compares the current state with one on the way to it.
func (v *verifier) looping(old *state, aux *insnAux, insn int32) (hit, loop bool, err error) {
	cur := v.cur
	if f := old.cur(); f.inAsync && f.asyncEntry != cur.cur().asyncEntry {
		return false, false, nil
	}
	switch {
	case aux.iterNext:
		if v.statesEqual(old, cur, rangeWithin) {
			r1 := &cur.cur().regs[1]
			if r1.typ == ptrToStack && r1.bits.isConst() {
				f := cur.frames[r1.frame]
				if n := slotOf(r1.off()); n >= 0 && n < len(f.stack) && f.stack[n].reg.obj.iter == iterActive {
					return true, true, nil
				}
			}
		}
		return false, false, nil
	case aux.callback:
		return v.statesEqual(old, cur, rangeWithin), true, nil
	case v.isMayGoto(insn):
		if old.mayGoto != cur.mayGoto && v.statesEqual(old, cur, rangeWithin) {
			return true, true, nil
		}
	}
	if maybeLooping(old, cur) && v.statesEqual(old, cur, exact) && !iterDepthsDiffer(old, cur) &&
		old.mayGoto == cur.mayGoto && old.unroll == cur.unroll {
		return false, false, refuse(CodeLoop, "infinite loop detected at insn %d", v.insns[insn].Orig)
	}
	return false, false, nil
}

// prune ends the path: its scalars have to be precise where the old state's are.
func (v *verifier) prune(old *state, loop bool, insn int32) error {
	cur := v.cur
	if v.aux[insn].jump {
		v.pushHist(histEntry{})
	}
	if _, err := v.propagatePrecision(old, cur); err != nil {
		return err
	}
	if !loop {
		return nil
	}
	edge := v.pool.clone(cur)
	edge.equal, edge.insn = old, insn
	return v.addBackedge(old, edge)
}

// propagatePrecision marks in the history of cur what is precise in old.
func (v *verifier) propagatePrecision(old, cur *state) (changed bool, err error) {
	v.bt.reset(len(cur.frames) - 1)
	for i, f := range old.frames {
		for k := range fp {
			if r := &f.regs[k]; r.typ == scalar && r.precise {
				v.bt.regs[i] |= 1 << k
			}
		}
		for n := range f.stack {
			if s := &f.stack[n]; s.isScalarSpill() && s.reg.precise {
				v.bt.slots[i] |= 1 << n
			}
		}
	}
	return v.backtrack(cur)
}
