package keep

import (
	"strings"
	"unsafe"
)

const (
	page   = 8192
	least  = 1280     // what is smaller shares a span of one page with others
	most   = 32 << 10 // what is larger has a span for itself
	header = 8        // what the allocator adds to objects with pointers
)

// room is size, rounded up to one that keeps little of its span from others.
func room(size int) int {
	if size <= least || size > most {
		return size
	}
	for n := page / 4; n < page; n *= 2 { // two or four of them fill a span of one page
		if size <= n {
			return n
		}
	}
	return (size + page - 1) / page * page
}

// Slice is an empty list with room for n elements, or a few more.
func Slice[T any](n int) []T {
	var elem T
	size := int(unsafe.Sizeof(elem))
	if n == 0 || size == 0 {
		return nil
	}
	return make([]T, 0, max(n, (room(n*size+header)-header)/size))
}

// Clone is a copy of a list.
func Clone[T any](list []T) []T { return append(Slice[T](len(list)), list...) }

// Part moves list behind what is in all, which has room for it: lists of which one piece of memory is made.
func Part[T any](all *[]T, list []T) []T {
	n := len(*all)
	*all = append(*all, list...)
	return (*all)[n:len(*all):len(*all)]
}

// Strings makes strings parts of one string.
func Strings(strs ...*string) {
	at, size := map[string]int{}, 0
	for _, s := range strs {
		if _, ok := at[*s]; !ok {
			at[*s] = size
			size += len(*s)
		}
	}
	var all strings.Builder
	all.Grow(room(size))
	for _, s := range strs {
		if at[*s] == all.Len() {
			all.WriteString(*s)
		}
	}
	for _, s := range strs {
		*s = all.String()[at[*s]:][:len(*s)]
	}
}
