package link

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// throwName is the kernel function that does not return: the program goes on at its exception callback.
const throwName = "bpf_throw"

// ExceptionTag begins the declaration tag by which a main function names its exception callback.
const ExceptionTag = "exception_callback:"

// ExceptionCallbacks are the names that the tags of a function give, in order.
func ExceptionCallbacks(f *btf.Func) []string {
	if f == nil {
		return nil
	}
	var names []string
	for _, tag := range f.Tags {
		if name, ok := strings.CutPrefix(tag, ExceptionTag); ok {
			names = append(names, name)
		}
	}
	return names
}

// exceptionCallback finds the exception callback of a program among all functions, -1 if it has none. It follows
// bpf_prog_assign_exc_cb of libbpf.
func (l *linker) exceptionCallback(p *elf.Program) (int, error) {
	names := ExceptionCallbacks(l.in.Funcs[p.Func].Type)
	if len(names) != 1 { // of several the verifier says what is wrong
		return -1, nil
	}
	if names[0] == "" {
		return 0, fmt.Errorf("the tag %s names no function", ExceptionTag)
	}
	i := slices.IndexFunc(l.in.Funcs, func(f *elf.Func) bool { return f.Name == names[0] && f.Section == ".text" })
	if i < 0 {
		var have []string
		for _, f := range l.in.Funcs {
			if f.Section == ".text" {
				have = append(have, f.Name)
			}
		}
		return 0, fmt.Errorf("there is no exception callback %q%s", names[0], elf.DidYouMean(names[0], have))
	}
	if !l.in.Funcs[i].Global {
		return 0, fmt.Errorf("the exception callback %q must be a global function that is not hidden", names[0])
	}
	return i, nil
}
