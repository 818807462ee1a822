package ext

import "github.com/schedsim/schedsim/sim"

// rbNode is a node of a tree ordered by p->scx.dsq_vtime. The order is read from the task whenever two nodes are
// compared, as the kernel does: a policy that changes the vtime of a queued task mangles the order here too.
type rbNode struct {
	parent, left, right *rbNode
	red                 bool
	t                   *sim.Task
}

// rbTree is a red-black tree; equal keys keep the order of insertion. The zero value is empty.
type rbTree struct{ root *rbNode }

// vtimeLess follows scx_dsq_priq_less: the order wraps around.
func vtimeLess(a, b *rbNode) bool {
	return int64(a.t.K.DSQVtime()-b.t.K.DSQVtime()) < 0
}

func (tr *rbTree) rotateLeft(x *rbNode) {
	y := x.right
	x.right = y.left
	if y.left != nil {
		y.left.parent = x
	}
	tr.replace(x, y)
	y.left = x
	x.parent = y
}

func (tr *rbTree) rotateRight(x *rbNode) {
	y := x.left
	x.left = y.right
	if y.right != nil {
		y.right.parent = x
	}
	tr.replace(x, y)
	y.right = x
	x.parent = y
}

// replace hangs v (which may be nil) where u hangs.
func (tr *rbTree) replace(u, v *rbNode) {
	switch {
	case u.parent == nil:
		tr.root = v
	case u == u.parent.left:
		u.parent.left = v
	default:
		u.parent.right = v
	}
	if v != nil {
		v.parent = u.parent
	}
}

// add follows rb_add: among equals the new node comes last.
func (tr *rbTree) add(z *rbNode) {
	var parent *rbNode
	left := false
	for x := tr.root; x != nil; {
		parent = x
		if left = vtimeLess(z, x); left {
			x = x.left
		} else {
			x = x.right
		}
	}
	z.parent, z.left, z.right, z.red = parent, nil, nil, true
	switch {
	case parent == nil:
		tr.root = z
	case left:
		parent.left = z
	default:
		parent.right = z
	}
	for z.parent != nil && z.parent.red {
		g := z.parent.parent
		if z.parent == g.left {
			if u := g.right; u != nil && u.red {
				z.parent.red, u.red, g.red = false, false, true
				z = g
				continue
			}
			if z == z.parent.right {
				z = z.parent
				tr.rotateLeft(z)
			}
			z.parent.red, g.red = false, true
			tr.rotateRight(g)
		} else {
			if u := g.left; u != nil && u.red {
				z.parent.red, u.red, g.red = false, false, true
				z = g
				continue
			}
			if z == z.parent.left {
				z = z.parent
				tr.rotateRight(z)
			}
			z.parent.red, g.red = false, true
			tr.rotateLeft(g)
		}
	}
	tr.root.red = false
}

// prevOf returns the node before z in order, nil if z is the first.
func prevOf(z *rbNode) *rbNode {
	if z.left != nil {
		z = z.left
		for z.right != nil {
			z = z.right
		}
		return z
	}
	for z.parent != nil && z == z.parent.left {
		z = z.parent
	}
	return z.parent
}

// erase takes z out of the tree.
func (tr *rbTree) erase(z *rbNode) {
	var x, xp *rbNode // the node that moved up (may be nil) and its parent
	red := z.red
	switch {
	case z.left == nil:
		x, xp = z.right, z.parent
		tr.replace(z, z.right)
	case z.right == nil:
		x, xp = z.left, z.parent
		tr.replace(z, z.left)
	default:
		y := z.right
		for y.left != nil {
			y = y.left
		}
		red = y.red
		x = y.right
		if y.parent == z {
			xp = y
		} else {
			xp = y.parent
			tr.replace(y, y.right)
			y.right = z.right
			y.right.parent = y
		}
		tr.replace(z, y)
		y.left = z.left
		y.left.parent = y
		y.red = z.red
	}
	z.parent, z.left, z.right, z.red = nil, nil, nil, false
	if !red {
		tr.fixErase(x, xp)
	}
}

// fixErase restores the colours after a black node went away above x, whose parent is xp.
func (tr *rbTree) fixErase(x, xp *rbNode) {
	isRed := func(n *rbNode) bool { return n != nil && n.red }
	for x != tr.root && !isRed(x) {
		if x == xp.left {
			w := xp.right
			if isRed(w) {
				w.red, xp.red = false, true
				tr.rotateLeft(xp)
				w = xp.right
			}
			if !isRed(w.left) && !isRed(w.right) {
				w.red = true
				x, xp = xp, xp.parent
				continue
			}
			if !isRed(w.right) {
				w.left.red, w.red = false, true
				tr.rotateRight(w)
				w = xp.right
			}
			w.red, xp.red = xp.red, false
			w.right.red = false
			tr.rotateLeft(xp)
		} else {
			w := xp.left
			if isRed(w) {
				w.red, xp.red = false, true
				tr.rotateRight(xp)
				w = xp.left
			}
			if !isRed(w.left) && !isRed(w.right) {
				w.red = true
				x, xp = xp, xp.parent
				continue
			}
			if !isRed(w.left) {
				w.right.red, w.red = false, true
				tr.rotateLeft(w)
				w = xp.left
			}
			w.red, xp.red = xp.red, false
			w.left.red = false
			tr.rotateRight(xp)
		}
		break
	}
	if tr.root != nil && (x == tr.root || isRed(x)) {
		x.red = false
	}
}
