package bpf

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// helpers are the numbers of the helpers that the programs call.
var helpers = []int32{1, 2, 8, 42, 181}

// verify verifies the programs of an object, as the kernel does, and notes what that has proved of their accesses.
func verify(tb testing.TB, kernel *kernels.Kernel, o *link.Object) {
	at := attachment(kernel)
	for _, p := range o.Programs {
		r, err := verifier.Check(o, p, at)
		if err != nil {
			tb.Fatalf("%s: %v", p.Name, err)
		}
		for i := range p.Code.Insns {
			p.Code.Insns[i].Proved = r.Proved[i]
		}
	}
}

// attachment is where the programs attach: somewhere without a context.
func attachment(kernel *kernels.Kernel) verifier.Attachment {
	rows := kfuncs.All(&kfuncs.Host{})
	return verifier.Attachment{Kernel: kernel.BTF(), NrCPUs: 8,
		Helper: func(id int32) bool { return slices.Contains(helpers, id) },
		Kfunc: func(name string) (verifier.Kfunc, error) {
			for i := range rows {
				var f *btf.Func
				if rows[i].Name == name {
					err := kernel.BTF().TypeByName(name, &f)
					return verifier.Kfunc{Type: f, Flags: rows[i].Flags}, err
				}
			}
			return verifier.Kfunc{}, fmt.Errorf("no kernel function %s", name)
		}}
}
