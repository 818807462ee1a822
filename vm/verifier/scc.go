package verifier

import "slices"

// A path that ends in a state equal to one on the way to it (a loop that converged) does not yet know which scalars have
// to be precise: other paths through the loop will tell. Such ends are kept with their cycle until all paths that
// started in it are explored; then precision is carried backwards over them until nothing changes. A cycle is told apart
// by the calls that lead to it.

// sccVisit is one visit of a cycle (struct bpf_scc_visit).
type sccVisit struct {
	calls []int32
	entry *state
	edges []*state
}

// maxBackedgeRounds bounds the iteration; beyond it every scalar is precise.
const maxBackedgeRounds = 64

// chain finds the outermost cycle that the state is in.
func (v *verifier) chain(st *state) (scc int, calls []int32) {
	calls = v.callBuf[:0]
	for i := range st.frames {
		at := st.at(i)
		if scc = v.aux[at].scc; scc != 0 {
			return scc, calls
		}
		calls = append(calls, at)
		v.callBuf = calls[:0]
	}
	return 0, nil
}

func (v *verifier) lookupVisit(st *state) (int, []int32, *sccVisit) {
	scc, calls := v.chain(st)
	if scc == 0 {
		return 0, nil, nil
	}
	for _, vi := range v.visits[scc] {
		if slices.Equal(vi.calls, calls) {
			return scc, calls, vi
		}
	}
	return scc, calls, nil
}

func (v *verifier) enterSCC(st *state) {
	scc, calls, vi := v.lookupVisit(st)
	if scc == 0 {
		return
	}
	if vi == nil {
		vi = &sccVisit{calls: slices.Clone(calls)}
		v.visits[scc] = append(v.visits[scc], vi)
	}
	if vi.entry == nil {
		vi.entry = st
	}
}

func (v *verifier) exitSCC(st *state) error {
	scc, _, vi := v.lookupVisit(st)
	if scc == 0 || vi == nil || vi.entry != st {
		return nil
	}
	vi.entry = nil
	v.edges -= len(vi.edges)
	v.countPeak()
	defer func() {
		for _, e := range vi.edges {
			v.discharge(e.bytes())
			v.pool.free(e)
		}
		vi.edges = nil
	}()
	for round := 0; ; round++ {
		if round > maxBackedgeRounds {
			for _, e := range vi.edges {
				allPrecise(e)
			}
			return nil
		}
		changed := false
		for _, e := range vi.edges {
			c, err := v.propagatePrecision(e.equal, e)
			if err != nil {
				return err
			}
			changed = changed || c
		}
		if !changed {
			return nil
		}
	}
}

func (v *verifier) addBackedge(old, edge *state) error {
	_, _, vi := v.lookupVisit(old)
	if vi == nil {
		return bug("a back edge outside of any cycle")
	}
	vi.edges = append(vi.edges, edge)
	v.edges++
	v.countPeak()
	return v.charge(edge.bytes())
}

// incomplete: the cycle of the state is still being explored, so that precision marks may be missing.
func (v *verifier) incomplete(st *state) bool {
	if v.edges == 0 {
		return false
	}
	_, _, vi := v.lookupVisit(st)
	return vi != nil && len(vi.edges) > 0
}

// leave ends a path: checkpoints of which all paths are explored are done. It follows bpf_update_branch_counts.
func (v *verifier) leave(st *state) error {
	for checkpoint := false; st != nil; checkpoint = true {
		st.branches--
		if st.branches > 0 {
			return nil
		}
		if err := v.exitSCC(st); err != nil {
			return err
		}
		parent := st.parent
		if checkpoint {
			v.release(st)
		}
		st = parent
	}
	return nil
}
