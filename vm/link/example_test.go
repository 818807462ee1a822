package link_test

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
)

// kernel is a link.Target without configuration.
type kernel struct{ *btf.Spec }

func (k kernel) BTF() (*btf.Spec, error)         { return k.Spec, nil }
func (k kernel) Kconfig(string) (string, bool)   { return "", false }
func (k kernel) EnumValue(string) (uint64, bool) { return 0, false }
func (k kernel) Version() uint32                 { return 7<<16 | 2<<8 }

func read(name string) *elf.Object {
	f, err := os.Open("../elf/testdata/" + name)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	o, err := elf.Read(name, f)
	if err != nil {
		panic(err)
	}
	return o
}

// An object is read once, and linked for a kernel with values for its global variables. Which calls count depends on them.
func Example() {
	blueprint := read("globals.bpf.o")
	target := kernel{read("kernel.bpf.o").BTF}
	for _, verbose := range []bool{false, true} {
		o, err := link.Link(blueprint, target, link.Options{Globals: map[string]any{"verbose": verbose, "table[2]": 4}})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, p := range o.Programs {
			fmt.Printf("verbose %t: %s (%s, auto-load %t): %d helper calls\n", verbose, p.Name, p.Kind, p.AutoLoad, len(p.Helpers))
		}
	}
	_, err := link.Link(blueprint, target, link.Options{Globals: map[string]any{"limits.hihg": 1}})
	fmt.Println(err)
	// Output:
	// verbose false: sum (syscall, auto-load true): 0 helper calls
	// verbose false: strings (syscall, auto-load false): 0 helper calls
	// verbose true: sum (syscall, auto-load true): 1 helper calls
	// verbose true: strings (syscall, auto-load false): 0 helper calls
	// globals.bpf.o: variable "limits.hihg": struct limits has no member "hihg"; did you mean "high"?
}
