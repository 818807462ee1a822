package native

import (
	"unsafe"

	"github.com/schedsim/schedsim/vm/abi"
)

// Displacements in an abi.Index, which machine code reads: the parts of its slices, and the fields of an element.
const (
	IndexBuckets = int32(unsafe.Offsetof(abi.Index{}.Buckets))
	IndexLen     = IndexBuckets + 8
	IndexElems   = int32(unsafe.Offsetof(abi.Index{}.Elems))
	ElemSize     = int32(unsafe.Sizeof(abi.IndexElem{}))
	ElemNext     = int32(unsafe.Offsetof(abi.IndexElem{}.Next))
	ElemAddr     = int32(unsafe.Offsetof(abi.IndexElem{}.Addr))
	ElemKey      = int32(unsafe.Offsetof(abi.IndexElem{}.Key))
)

// The length of a slice is its second word.
var _ [0]struct{} = [unsafe.Sizeof([]int32{}) - 24]struct{}{}
