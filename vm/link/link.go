package link

import (
	"errors"

	"github.com/schedsim/schedsim/vm/elf"
)

// Options tune Link. The zero value links the object as it is.
type Options struct {
	// Globals are values of global variables by name, set before constants are folded: integers, bools, strings (char
	// arrays) or []byte of the variable's size.
	Globals map[string]any
	// FillEnums sets every u64 variable __X in read-only data to the value of the kernel's enumerator X, as
	// SCX_ENUM_INIT does. Globals win.
	FillEnums bool
	// Arena accepts objects that use an arena. Without it they are refused with ErrUnsupported.
	Arena bool
}

// ErrUnsupported marks objects that are well-formed but use what schedsim does not do yet.
var ErrUnsupported = errors.New("not supported")

// Link links an object for a kernel.
func Link(o *elf.Object, t Target, opt Options) (*Object, error) {
	return nil, errors.New("link: to be written")
}
