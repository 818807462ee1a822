package kfuncs

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
)

// handles are open iterators of which a program holds handles only: an iterator lies in the program's stack, where the program
// cannot read it, and its first word is the handle, 0 for none.
type handles[T any] []*T

// open gives it the lowest free handle and writes that into b.
func (hs *handles[T]) open(it *T, b []byte) {
	n := 0
	for n < len(*hs) && (*hs)[n] != nil {
		n++
	}
	if n == len(*hs) {
		*hs = append(*hs, nil)
	}
	(*hs)[n] = it
	binary.LittleEndian.PutUint64(b, uint64(n)+1)
}

// at is the iterator whose handle is in b, which the first argument points to; nil if it holds none. A wild handle is a fault.
func (hs handles[T]) at(c *abi.Call, a *abi.Args, b []byte) *T {
	if b == nil {
		return nil
	}
	n := u64At(b, 0)
	if n == 0 {
		return nil
	}
	if n > uint64(len(hs)) || hs[n-1] == nil {
		c.Fault = fmt.Sprintf("argument 1: %#x is no iterator", a[0])
		return nil
	}
	return hs[n-1]
}

// close takes back the handle in b, which is open.
func (hs handles[T]) close(b []byte) {
	hs[u64At(b, 0)-1] = nil
	clear(b)
}
