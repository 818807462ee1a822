package vm_test

import (
	"fmt"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/mem"
)

// A program is loaded into an address space together with the kernel functions that it may call, and run by name. What it
// does wrong is a Fault that says where.
func ExampleLoad() {
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		panic(err)
	}
	defer m.Close()
	object := &link.Object{Name: "double.bpf.o", Programs: []*link.Program{{
		Name: "twice", AutoLoad: true,
		Code: &ir.Program{
			Name: "twice", Kfuncs: []string{"double"}, Subs: []ir.Sub{{Name: "twice", End: 3}},
			Insns: []ir.Insn{
				{Op: ir.Ld64, Dst: 1, Src: 1}, // r1 = the first argument
				{Op: ir.CallKfunc, Orig: 1},   // r0 = double(r1)
				{Op: ir.Exit, Orig: 2},
			},
			Line: func(i int32) string { return fmt.Sprintf("double.bpf.c:%d", 7+i) },
		},
		Calls: []link.KfuncCall{{Insn: 1, Name: "double"}},
	}}}
	set, err := vm.Load(object, vm.Options{Mem: m, Host: &host{}, Kfuncs: []abi.Kfunc{
		{Name: "double", Call: func(_ *abi.Call, a *abi.Args) uint64 { return 2 * a[0] }},
	}})
	if err != nil {
		panic(err)
	}
	defer set.Close()
	ctx, _, err := m.Alloc(8, 8)
	if err != nil {
		panic(err)
	}
	m.Store(ctx, 8, 21)
	r0, _ := set.Program("twice").Run(ctx)
	_, fault := set.Program("twice").Run(0)
	fmt.Println(r0, set.Insns(), set.Calls())
	fmt.Println(fault)
	// Output:
	// 42 4 1
	// program twice: instruction 0 (double.bpf.c:7): invalid read of 8 bytes at 0x0
}
