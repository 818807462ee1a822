package ext

import "github.com/schedsim/schedsim/sim"

// node is an element of a circular list, after the kernel's list_head. Its zero value is on no list. The head of a
// list is a node as well. An element without a task is the cursor of an iterator.
type node struct {
	next, prev *node
	t          *sim.Task
}

// init makes n the head of an empty list.
func (n *node) init() { n.next, n.prev = n, n }

// on tells whether n is on a list (or, for a head, whether the list has elements).
func (n *node) on() bool { return n.next != nil && n.next != n }

// insertAfter puts n behind at.
func (n *node) insertAfter(at *node) {
	n.prev, n.next = at, at.next
	at.next.prev = n
	at.next = n
}

// insertBefore puts n in front of at; in front of the head is the tail.
func (n *node) insertBefore(at *node) { n.insertAfter(at.prev) }

// del takes n off its list; it does nothing when n is on none.
func (n *node) del() {
	if n.next == nil {
		return
	}
	n.prev.next = n.next
	n.next.prev = n.prev
	n.next, n.prev = nil, nil
}

// first returns the first task of the list with head n, skipping cursors; nil if there is none.
func (n *node) first() *sim.Task {
	for e := n.next; e != n; e = e.next {
		if e.t != nil {
			return e.t
		}
	}
	return nil
}
