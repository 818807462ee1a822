package native

import (
	"testing"
	"unsafe"

	"github.com/schedsim/schedsim/vm/mem"
)

// Assembly has the offsets of these fields as numbers.
func TestContextLayout(t *testing.T) {
	host := int32(unsafe.Offsetof(context{}.host)) // loaded as a pair with bias
	for i, off := range []int32{OffBase, OffSP, OffPC, OffLeft, OffR0, OffBias, host, OffBack, OffExit} {
		if off != int32(8*i) {
			t.Errorf("field %d of context is at %d", i, off)
		}
	}
	if OffCalls != OffExit+4 {
		t.Error("calls is not behind exit")
	}
	if n := unsafe.Sizeof(context{}); n > ContextSize {
		t.Errorf("context has %d bytes", n)
	}
	if Contexts*ContextSize > mem.PageSize {
		t.Error("the control page is too small")
	}
}
