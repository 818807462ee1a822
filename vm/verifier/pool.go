package verifier

// States are copied at every branch and checkpoint and given up as fast. Those that nothing refers to any more are used
// again, with the memory of their frames.

// pool holds states and frames that are not in use.
type pool struct {
	states []*state
	frames []*frame
	slots  []slot // memory for stacks
}

// stack makes room for n slots, and some more so that it can be used again.
func (p *pool) stack(n int) []slot {
	n = (n + 3) &^ 3
	if len(p.slots) < n {
		p.slots = make([]slot, max(256, n))
	}
	s := p.slots[:0:n]
	p.slots = p.slots[n:]
	return s
}

func (p *pool) state() *state {
	n := len(p.states)
	if n == 0 {
		return &state{}
	}
	s := p.states[n-1]
	p.states = p.states[:n-1]
	return s
}

func (p *pool) frame() *frame {
	n := len(p.frames)
	if n == 0 {
		some := make([]frame, 16)
		for i := range some {
			p.frames = append(p.frames, &some[i])
		}
		n = len(some)
	}
	f := p.frames[n-1]
	p.frames = p.frames[:n-1]
	return f
}

// clone copies what differs between branches, with the history since the last checkpoint.
func (p *pool) clone(s *state) *state {
	c := p.state()
	frames, refs, hist := c.frames[:0], c.refs[:0], c.hist[:0]
	*c = *s
	for _, f := range s.frames {
		g := p.frame()
		stack := g.stack[:0]
		if cap(stack) < len(f.stack) {
			stack = p.stack(len(f.stack))
		}
		*g = *f
		g.stack = append(stack, f.stack...)
		frames = append(frames, g)
	}
	c.frames, c.refs, c.hist = frames, append(refs, s.refs...), append(hist, s.hist...)
	c.misses, c.hits, c.evicted, c.equal = 0, 0, false, nil
	return c
}

// free takes a state back. Nothing may refer to it or its frames any more.
func (p *pool) free(s *state) {
	for i, f := range s.frames {
		p.frames = append(p.frames, f)
		s.frames[i] = nil
	}
	s.frames, s.parent, s.equal = s.frames[:0], nil, nil
	p.states = append(p.states, s)
}
