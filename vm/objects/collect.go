package objects

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// These are the functions for trees and lists. A root is any 16 bytes of memory, a node must be that of an object.

const rootSize = 16

// rootAt returns what register r points to: nil with a fault if it is no memory, nil without one if it is empty.
func (t *Table) rootAt(c *abi.Call, a *abi.Args, r int, kind maps.FieldKind) *root {
	root := t.roots[a[r]]
	switch {
	case root != nil && root.kind != kind:
		c.Fault = fmt.Sprintf("argument %d: %#x is a %s, not a %s", r+1, a[r], root.kind, kind)
		return nil
	case root == nil && t.c.Mem.Bytes(a[r], rootSize) == nil:
		c.Fault = fmt.Sprintf("argument %d: %#x is no %s", r+1, a[r], kind)
	}
	return root
}

// nodeAt returns the node that register r points to; nil after a fault.
func (t *Table) nodeAt(c *abi.Call, a *abi.Args, r int, kind maps.FieldKind) *node {
	n := t.nodes[a[r]]
	if n == nil || n.kind != kind {
		c.Fault = fmt.Sprintf("argument %d: %#x is no %s of an object", r+1, a[r], kind)
		return nil
	}
	return n
}

// addrOf is what programs get for a node, 0 for none.
func addrOf(n *node) uint64 {
	if n == nil {
		return 0
	}
	return n.addr
}

func boolOf(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// grow returns the root at addr, made if it is empty.
func (t *Table) grow(addr uint64, kind maps.FieldKind) *root {
	r := t.roots[addr]
	if r == nil {
		r = &root{addr: addr, kind: kind}
		t.roots[addr] = r
	}
	return r
}

// unlink takes a node out of its tree or list, if it is in one.
func (t *Table) unlink(n *node) {
	r := n.owner
	if r == nil {
		return
	}
	if r.kind == maps.RBRoot {
		r.erase(n)
		r.version++
	} else {
		if n.left != nil {
			n.left.right = n.right
		} else {
			r.first = n.right
		}
		if n.right != nil {
			n.right.left = n.left
		} else {
			r.last = n.left
		}
	}
	n.owner, n.parent, n.left, n.right = nil, nil, nil, nil
	if r.top == nil && r.first == nil {
		delete(t.roots, r.addr)
	}
}

// RBAdd is bpf_rbtree_add(root, node, less): it asks the program's less on the way down. A node that is in a tree
// already costs its object a reference.
func (t *Table) RBAdd(c *abi.Call, a *abi.Args) uint64 {
	t.rootAt(c, a, 0, maps.RBRoot)
	n := t.nodeAt(c, a, 1, maps.RBNode)
	if c.Fault != "" || n == nil {
		return 0
	}
	if n.owner != nil {
		t.put(n.in)
		return abi.EINVAL.Ret()
	}
	at, less := a[0], a[2]
	r := t.grow(at, maps.RBRoot)
	var parent *node
	link, version := &r.top, r.version
	for *link != nil {
		parent = *link
		before := c.Sub(less, abi.Args{n.addr, parent.addr})&0xff != 0
		if c.Fault != "" {
			return 0
		}
		if t.roots[at] != r || r.version != version || t.nodes[n.addr] != n || n.owner != nil {
			c.Fault = "less() changed the tree"
			return 0
		}
		if before {
			link = &parent.left
		} else {
			link = &parent.right
		}
	}
	n.parent, n.owner, *link = parent, r, n
	r.insert(n)
	r.version++
	return 0
}

// RBRemove is bpf_rbtree_remove(root, node).
func (t *Table) RBRemove(c *abi.Call, a *abi.Args) uint64 {
	r, n := t.rootAt(c, a, 0, maps.RBRoot), t.nodeAt(c, a, 1, maps.RBNode)
	if c.Fault != "" || r == nil || n.owner != r {
		return 0
	}
	t.unlink(n)
	return n.addr
}

// RBFirst is bpf_rbtree_first(root).
func (t *Table) RBFirst(c *abi.Call, a *abi.Args) uint64 {
	r := t.rootAt(c, a, 0, maps.RBRoot)
	if r == nil {
		return 0
	}
	n := r.top
	for n.left != nil {
		n = n.left
	}
	return n.addr
}

// RBRoot is bpf_rbtree_root(root).
func (t *Table) RBRoot(c *abi.Call, a *abi.Args) uint64 {
	r := t.rootAt(c, a, 0, maps.RBRoot)
	if r == nil {
		return 0
	}
	return r.top.addr
}

// RBLeft is bpf_rbtree_left(root, node), RBRight bpf_rbtree_right.
func (t *Table) RBLeft(c *abi.Call, a *abi.Args) uint64 {
	if n := t.member(c, a, maps.RBRoot, maps.RBNode); n != nil {
		return addrOf(n.left)
	}
	return 0
}

// RBRight is bpf_rbtree_right(root, node).
func (t *Table) RBRight(c *abi.Call, a *abi.Args) uint64 {
	if n := t.member(c, a, maps.RBRoot, maps.RBNode); n != nil {
		return addrOf(n.right)
	}
	return 0
}

// member returns the node in the second register if it is in the tree or list in the first, else nil.
func (t *Table) member(c *abi.Call, a *abi.Args, rk, nk maps.FieldKind) *node {
	r, n := t.rootAt(c, a, 0, rk), t.nodeAt(c, a, 1, nk)
	if c.Fault != "" || r == nil || n.owner != r {
		return nil
	}
	return n
}

// add follows __bpf_list_add: n gets behind prev, or to the front.
func (t *Table) add(head uint64, n, prev *node) uint64 {
	if n.owner != nil || prev != nil && (prev.owner == nil || prev.owner.addr != head) {
		t.put(n.in)
		return abi.EINVAL.Ret()
	}
	r := t.grow(head, maps.ListHead)
	next := r.first
	if prev != nil {
		next = prev.right
	}
	n.owner, n.left, n.right = r, prev, next
	if prev != nil {
		prev.right = n
	} else {
		r.first = n
	}
	if next != nil {
		next.left = n
	} else {
		r.last = n
	}
	return 0
}

// PushFront is bpf_list_push_front(head, node).
func (t *Table) PushFront(c *abi.Call, a *abi.Args) uint64 {
	t.rootAt(c, a, 0, maps.ListHead)
	n := t.nodeAt(c, a, 1, maps.ListNode)
	if c.Fault != "" {
		return 0
	}
	return t.add(a[0], n, nil)
}

// PushBack is bpf_list_push_back(head, node).
func (t *Table) PushBack(c *abi.Call, a *abi.Args) uint64 {
	r := t.rootAt(c, a, 0, maps.ListHead)
	n := t.nodeAt(c, a, 1, maps.ListNode)
	if c.Fault != "" {
		return 0
	}
	if r == nil {
		return t.add(a[0], n, nil)
	}
	return t.add(a[0], n, r.last)
}

// Add is bpf_list_add(head, new, prev).
func (t *Table) Add(c *abi.Call, a *abi.Args) uint64 {
	t.rootAt(c, a, 0, maps.ListHead)
	n, prev := t.nodeAt(c, a, 1, maps.ListNode), t.nodeAt(c, a, 2, maps.ListNode)
	if c.Fault != "" {
		return 0
	}
	return t.add(a[0], n, prev)
}

// PopFront is bpf_list_pop_front(head).
func (t *Table) PopFront(c *abi.Call, a *abi.Args) uint64 {
	r := t.rootAt(c, a, 0, maps.ListHead)
	if r == nil {
		return 0
	}
	n := r.first
	t.unlink(n)
	return n.addr
}

// PopBack is bpf_list_pop_back(head).
func (t *Table) PopBack(c *abi.Call, a *abi.Args) uint64 {
	r := t.rootAt(c, a, 0, maps.ListHead)
	if r == nil {
		return 0
	}
	n := r.last
	t.unlink(n)
	return n.addr
}

// Del is bpf_list_del(head, node).
func (t *Table) Del(c *abi.Call, a *abi.Args) uint64 {
	n := t.member(c, a, maps.ListHead, maps.ListNode)
	if n == nil {
		return 0
	}
	t.unlink(n)
	return n.addr
}

// Front is bpf_list_front(head).
func (t *Table) Front(c *abi.Call, a *abi.Args) uint64 {
	r := t.rootAt(c, a, 0, maps.ListHead)
	if r == nil {
		return 0
	}
	return r.first.addr
}

// Back is bpf_list_back(head).
func (t *Table) Back(c *abi.Call, a *abi.Args) uint64 {
	r := t.rootAt(c, a, 0, maps.ListHead)
	if r == nil {
		return 0
	}
	return r.last.addr
}

// IsFirst is bpf_list_is_first(head, node).
func (t *Table) IsFirst(c *abi.Call, a *abi.Args) uint64 {
	n := t.member(c, a, maps.ListHead, maps.ListNode)
	return boolOf(n != nil && n.left == nil)
}

// IsLast is bpf_list_is_last(head, node).
func (t *Table) IsLast(c *abi.Call, a *abi.Args) uint64 {
	n := t.member(c, a, maps.ListHead, maps.ListNode)
	return boolOf(n != nil && n.right == nil)
}

// Empty is bpf_list_empty(head).
func (t *Table) Empty(c *abi.Call, a *abi.Args) uint64 {
	return boolOf(t.rootAt(c, a, 0, maps.ListHead) == nil)
}
