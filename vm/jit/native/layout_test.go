package native

import (
	"testing"
	"unsafe"

	"github.com/schedsim/schedsim/vm/mem"
)

// Assembly has the offsets of these fields as numbers.
func TestContextLayout(t *testing.T) {
	host := int32(unsafe.Offsetof(context{}.host)) // loaded as a pair with bias
	resume := int32(unsafe.Offsetof(context{}.resume))
	for i, off := range []int32{OffBase, OffSP, OffPC, OffLeft, OffR0, OffBias, host, resume} {
		if off != int32(8*i) {
			t.Errorf("field %d of context is at %d", i, off)
		}
	}
	if n := unsafe.Sizeof(context{}); n > ContextSize {
		t.Errorf("context has %d bytes", n)
	}
	if Contexts*ContextSize > mem.PageSize {
		t.Error("the control page is too small")
	}
}
