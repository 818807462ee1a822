package maps

import (
	"cmp"
	"slices"
)

// pageRanges are the pages of an arena that may be allocated, as ranges. It follows kernel/bpf/range_tree.c (7.2), so that
// allocations get the same pages: the range that fits best, and of several the one that changed last.
type pageRanges struct {
	byStart []*pageRange
	bySize  []*pageRange // the largest first, equal ones in the order in which they came
}

type pageRange struct{ start, last uint32 }

func (r *pageRange) size() uint32 { return r.last - r.start + 1 }

// find is range_tree_find: the start of a range of at least n pages.
func (t *pageRanges) find(n uint32) (start uint32, ok bool) {
	i, _ := slices.BinarySearchFunc(t.bySize, n, func(r *pageRange, n uint32) int {
		if r.size() >= n {
			return -1
		}
		return 1
	})
	if i == 0 {
		return 0, false
	}
	return t.bySize[i-1].start, true
}

// first is the index in byStart of the first range that ends at or behind a page.
func (t *pageRanges) first(page uint32) int {
	i, _ := slices.BinarySearchFunc(t.byStart, page, func(r *pageRange, page uint32) int {
		if r.last < page {
			return -1
		}
		return 1
	})
	return i
}

func (t *pageRanges) insert(r *pageRange) {
	i, _ := slices.BinarySearchFunc(t.bySize, r.size(), func(o *pageRange, n uint32) int {
		if o.size() >= n {
			return -1
		}
		return 1
	})
	t.bySize = slices.Insert(t.bySize, i, r)
	i, _ = slices.BinarySearchFunc(t.byStart, r.start, func(o *pageRange, s uint32) int { return cmp.Compare(o.start, s) })
	t.byStart = slices.Insert(t.byStart, i, r)
}

func (t *pageRanges) remove(r *pageRange) {
	i := t.first(r.start)
	t.byStart = slices.Delete(t.byStart, i, i+1)
	i, _ = slices.BinarySearchFunc(t.bySize, r.size(), func(o *pageRange, n uint32) int { return cmp.Compare(n, o.size()) })
	for t.bySize[i] != r {
		i++
	}
	t.bySize = slices.Delete(t.bySize, i, i+1)
}

// resize gives a range other ends.
func (t *pageRanges) resize(r *pageRange, start, last uint32) {
	t.remove(r)
	r.start, r.last = start, last
	t.insert(r)
}

// clear is range_tree_clear: it takes n pages out.
func (t *pageRanges) clear(start, n uint32) {
	last := start + n - 1
	for {
		i := t.first(start)
		if i == len(t.byStart) || t.byStart[i].start > last {
			return
		}
		switch r := t.byStart[i]; {
		case r.start < start && r.last > last:
			end := r.last
			t.resize(r, r.start, start-1)
			t.insert(&pageRange{last + 1, end})
		case r.start < start:
			t.resize(r, r.start, start-1)
		case r.last > last:
			t.resize(r, last+1, r.last)
			return
		default:
			t.remove(r)
		}
	}
}

// has is is_range_tree_set: all of n pages are in a range.
func (t *pageRanges) has(start, n uint32) bool {
	i := t.first(start)
	return i < len(t.byStart) && t.byStart[i].start <= start && t.byStart[i].last >= start+n-1
}

// set is range_tree_set: it puts n pages in.
func (t *pageRanges) set(start, n uint32) {
	if t.has(start, n) {
		return
	}
	t.clear(start, n)
	last := start + n - 1
	i := t.first(start)
	var left, right *pageRange
	if i > 0 && t.byStart[i-1].last+1 == start {
		left = t.byStart[i-1]
	}
	if i < len(t.byStart) && t.byStart[i].start == last+1 {
		right = t.byStart[i]
	}
	switch {
	case left != nil && right != nil:
		end := right.last
		t.remove(right)
		t.resize(left, left.start, end)
	case left != nil:
		t.resize(left, left.start, last)
	case right != nil:
		t.resize(right, start, right.last)
	default:
		t.insert(&pageRange{start, last})
	}
}
