package objects

// A red-black tree, with the shape that lib/rbtree.c gives it: programs can see it (bpf_rbtree_left), and how often less()
// runs depends on it.

// postorder appends the nodes below and with n: children before parents.
func postorder(list []*node, n *node) []*node {
	if n == nil {
		return list
	}
	return append(postorder(postorder(list, n.left), n.right), n)
}

// replace puts b, which may be nil, in the place of a below a's parent.
func (r *root) replace(a, b *node) {
	switch p := a.parent; {
	case p == nil:
		r.top = b
	case p.left == a:
		p.left = b
	default:
		p.right = b
	}
	if b != nil {
		b.parent = a.parent
	}
}

// rotateLeft makes n the left child of its right child; rotateRight is its mirror image.
func (r *root) rotateLeft(n *node) {
	up := n.right
	n.right = up.left
	if n.right != nil {
		n.right.parent = n
	}
	r.replace(n, up)
	up.left, n.parent = n, up
}

func (r *root) rotateRight(n *node) {
	up := n.left
	n.left = up.right
	if n.left != nil {
		n.left.parent = n
	}
	r.replace(n, up)
	up.right, n.parent = n, up
}

func isRed(n *node) bool { return n != nil && n.red }

// insert restores the colours after n was linked as a leaf (rb_insert_color).
func (r *root) insert(n *node) {
	n.red = true
	for isRed(n.parent) {
		p, g := n.parent, n.parent.parent // a red node has a parent: the root is black
		uncle, rotateOut, rotateIn := g.right, r.rotateLeft, r.rotateRight
		outer := p.left == n
		if p == g.right {
			uncle, rotateOut, rotateIn = g.left, r.rotateRight, r.rotateLeft
			outer = p.right == n
		}
		if isRed(uncle) {
			p.red, uncle.red, g.red = false, false, true
			n = g
			continue
		}
		if !outer {
			rotateOut(p)
			p = n
		}
		p.red, g.red = false, true
		rotateIn(g)
		break
	}
	r.top.red = false
}

// erase takes n out (rb_erase).
func (r *root) erase(n *node) {
	var child, parent *node
	black := !n.red // whether a black node is missing below parent now
	switch {
	case n.left == nil:
		child, parent = n.right, n.parent
		r.replace(n, child)
	case n.right == nil:
		child, parent = n.left, n.parent
		r.replace(n, child)
	default:
		s := n.right
		for s.left != nil {
			s = s.left
		}
		black = !s.red
		child, parent = s.right, s.parent
		if parent == n {
			parent = s
		} else {
			r.replace(s, child)
			s.right = n.right
			s.right.parent = s
		}
		r.replace(n, s)
		s.left = n.left
		s.left.parent = s
		s.red = n.red
	}
	if black {
		r.eraseColor(child, parent)
	}
}

// eraseColor restores the colours where a black node is missing on the way to n, a child of parent that may be nil.
func (r *root) eraseColor(n, parent *node) {
	for parent != nil && !isRed(n) {
		left := parent.left == n
		sibling := func() *node {
			if left {
				return parent.right
			}
			return parent.left
		}
		rotateToward, rotateAway := r.rotateLeft, r.rotateRight
		if !left {
			rotateToward, rotateAway = r.rotateRight, r.rotateLeft
		}
		s := sibling()
		if s.red {
			s.red, parent.red = false, true
			rotateToward(parent)
			s = sibling()
		}
		near, far := s.left, s.right
		if !left {
			near, far = s.right, s.left
		}
		if !isRed(near) && !isRed(far) {
			s.red = true
			n, parent = parent, parent.parent
			continue
		}
		if !isRed(far) {
			near.red, s.red = false, true
			rotateAway(s)
			far, s = s, near
		}
		s.red, parent.red, far.red = parent.red, false, false
		rotateToward(parent)
		return
	}
	if n != nil {
		n.red = false
	}
}
