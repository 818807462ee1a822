package fair

// The timeline of a runqueue: a red-black tree of entities in the order of their deadlines, equal deadlines in the
// order of insertion. Each node also knows, for the subtree below it, the least vruntime and the shortest and longest
// slice, so that the earliest eligible deadline is found in one walk (RB_DECLARE_CALLBACKS_MULTI in fair.c).
//
// The links are in the entities, so that queueing allocates nothing. What is picked depends on the order only, never
// on the shape of the tree.

// node is an entity's place in the tree.
type node struct {
	up, left, right *entity
	red             bool
	minVruntime     uint64
	minSlice        uint64
	maxSlice        uint64
}

// tree is the timeline. The zero value is empty.
type tree struct {
	root, first *entity
}

// update recomputes e's subtree values and tells whether they stayed the same (min_vruntime_update).
func (e *entity) update() bool {
	mv, mins, maxs := e.vruntime, e.slice, e.slice
	if c := e.left; c != nil {
		mv, mins, maxs = vmin(mv, c.minVruntime), min(mins, c.minSlice), max(maxs, c.maxSlice)
	}
	if c := e.right; c != nil {
		mv, mins, maxs = vmin(mv, c.minVruntime), min(mins, c.minSlice), max(maxs, c.maxSlice)
	}
	same := mv == e.minVruntime && mins == e.minSlice && maxs == e.maxSlice
	e.minVruntime, e.minSlice, e.maxSlice = mv, mins, maxs
	return same
}

// propagate updates e and its ancestors, as far as something changes.
func propagate(e *entity) {
	for ; e != nil; e = e.up {
		if e.update() {
			return
		}
	}
}

// replace puts n, which may be nil, in the place of its parent p's child o.
func (t *tree) replace(p, o, n *entity) {
	switch {
	case p == nil:
		t.root = n
	case p.left == o:
		p.left = n
	default:
		p.right = n
	}
	if n != nil {
		n.up = p
	}
}

// rotateLeft makes e's right child the parent of e.
func (t *tree) rotateLeft(e *entity) {
	r := e.right
	t.replace(e.up, e, r)
	e.right = r.left
	if e.right != nil {
		e.right.up = e
	}
	r.left, e.up = e, r
	e.update()
	r.update()
}

// rotateRight makes e's left child the parent of e.
func (t *tree) rotateRight(e *entity) {
	l := e.left
	t.replace(e.up, e, l)
	e.left = l.right
	if e.left != nil {
		e.left.up = e
	}
	l.right, e.up = e, l
	e.update()
	l.update()
}

// insert adds e behind the entities whose deadline is not later.
func (t *tree) insert(e *entity) {
	e.node = node{red: true, minVruntime: e.vruntime, minSlice: e.slice, maxSlice: e.slice}
	leftmost := true
	var p *entity
	for n := t.root; n != nil; {
		p = n
		if e.before(n) {
			n = n.left
		} else {
			n, leftmost = n.right, false
		}
	}
	e.up = p
	switch {
	case p == nil:
		t.root = e
	case e.before(p):
		p.left = e
	default:
		p.right = e
	}
	if leftmost {
		t.first = e
	}
	propagate(p)

	for e.up != nil && e.up.red {
		p := e.up
		g := p.up
		if p == g.left {
			if u := g.right; u != nil && u.red {
				p.red, u.red, g.red = false, false, true
				e = g
				continue
			}
			if e == p.right {
				t.rotateLeft(p)
				e, p = p, e
			}
			p.red, g.red = false, true
			t.rotateRight(g)
		} else {
			if u := g.left; u != nil && u.red {
				p.red, u.red, g.red = false, false, true
				e = g
				continue
			}
			if e == p.left {
				t.rotateRight(p)
				e, p = p, e
			}
			p.red, g.red = false, true
			t.rotateLeft(g)
		}
	}
	t.root.red = false
}

// remove takes e out.
func (t *tree) remove(e *entity) {
	if t.first == e {
		t.first = e.next()
	}
	var x, xp *entity // the node that moved up, and its parent
	black := !e.red
	switch {
	case e.left == nil:
		x, xp = e.right, e.up
		t.replace(e.up, e, x)
	case e.right == nil:
		x, xp = e.left, e.up
		t.replace(e.up, e, x)
	default:
		s := e.right
		for s.left != nil {
			s = s.left
		}
		black = !s.red
		x = s.right
		if s.up == e {
			xp = s
		} else {
			xp = s.up
			t.replace(s.up, s, x)
			s.right = e.right
			s.right.up = s
		}
		t.replace(e.up, e, s)
		s.left = e.left
		s.left.up = s
		s.red = e.red
		// s took e's place: its values change with its children, so the walk below must reach it.
		for n := xp; n != s; n = n.up {
			n.update()
		}
		s.update()
		propagate(s.up)
	}
	propagate(xp)
	if black {
		t.rebalance(x, xp)
	}
	e.node = node{}
}

// rebalance restores the black height after a black node above x, a child of p, was removed.
func (t *tree) rebalance(x, p *entity) {
	for x != t.root && (x == nil || !x.red) {
		if x == p.left {
			s := p.right
			if s.red {
				s.red, p.red = false, true
				t.rotateLeft(p)
				s = p.right
			}
			if !isRed(s.left) && !isRed(s.right) {
				s.red = true
				x, p = p, p.up
				continue
			}
			if !isRed(s.right) {
				s.left.red, s.red = false, true
				t.rotateRight(s)
				s = p.right
			}
			s.red, p.red, s.right.red = p.red, false, false
			t.rotateLeft(p)
		} else {
			s := p.left
			if s.red {
				s.red, p.red = false, true
				t.rotateRight(p)
				s = p.left
			}
			if !isRed(s.left) && !isRed(s.right) {
				s.red = true
				x, p = p, p.up
				continue
			}
			if !isRed(s.left) {
				s.right.red, s.red = false, true
				t.rotateLeft(s)
				s = p.left
			}
			s.red, p.red, s.left.red = p.red, false, false
			t.rotateRight(p)
		}
		x = t.root
	}
	if x != nil {
		x.red = false
	}
}

func isRed(e *entity) bool { return e != nil && e.red }

// next returns the entity that follows e in the order, nil at the end.
func (e *entity) next() *entity {
	if n := e.right; n != nil {
		for n.left != nil {
			n = n.left
		}
		return n
	}
	n := e
	for n.up != nil && n == n.up.right {
		n = n.up
	}
	return n.up
}
