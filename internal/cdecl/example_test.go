package cdecl_test

import (
	"os"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/internal/cdecl"
)

// Types come in the order that a compiler wants, with what their layout needs to be said.
func ExamplePrinter() {
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Char}
	id := &btf.Typedef{Name: "u32", Type: u32}
	task := &btf.Struct{Name: "task", Size: 64, Members: []btf.Member{
		{Name: "comm", Type: &btf.Array{Index: u32, Type: char, Nelems: 16}},
		{Name: "next", Type: &btf.Pointer{Target: &btf.Struct{Name: "list"}}, Offset: 128},
		{Name: "id", Type: id, Offset: 256},
		{Name: "flag", Type: u32, Offset: 288, BitfieldSize: 1},
	}}
	p := cdecl.NewPrinter(os.Stdout, []btf.Type{task, id})
	p.Define(task)
	p.Printf("extern %s;\n", p.Variable(&btf.Const{Type: &btf.Pointer{Target: task}}, "current"))
	if err := p.Flush(); err != nil {
		panic(err)
	}
	// Output:
	// struct list;
	//
	// typedef unsigned int u32;
	//
	// struct task {
	// 	char comm[16];
	// 	struct list *next;
	// 	long: 64;
	// 	u32 id;
	// 	unsigned int flag: 1;
	// 	char: 7;
	// 	char: 8;
	// 	short: 16;
	// 	long: 64;
	// 	long: 64;
	// 	long: 64;
	// };
	//
	// extern struct task *const current;
}
