package sys_test

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

// answer is a module with a function "answer" that returns n.
func answer(name string, n uint64) *sys.Module {
	return &sys.Module{Name: name,
		Kfuncs: []abi.Kfunc{{Name: "answer", Call: func(*abi.Call, *abi.Args) uint64 { return n }}},
		Types:  []*btf.Func{{Name: "answer", Linkage: btf.GlobalFunc, Type: &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4}}}}}
}

// The errors of find_kfunc_desc_btf and fetch_kfunc_meta.
func TestModuleCall(t *testing.T) {
	x := newRig(t)
	if err := x.k.LoadModule(answer("one", 1)); err != nil {
		t.Fatal(err)
	}
	btfID, id, ok := x.k.ModuleFunc("one:answer")
	if !ok {
		t.Fatal("the module's function has no id")
	}
	mod := x.ok(sys.BTFGetFDByID, sys.Words(btfID))
	own := x.ok(sys.BTFLoad, x.btf(intType()))
	call := func(off int16, id uint32) []byte { return join(insn(0x85, 0, 2, off, int32(id)), exit) }
	array := func(fds ...int32) func(*sys.ProgAttr) {
		var b []byte
		for _, fd := range fds {
			b = append(b, u32(uint32(fd))...)
		}
		return func(a *sys.ProgAttr) { a.FDArray = x.u.Add(b) }
	}
	none := func(*sys.ProgAttr) {}
	for _, c := range []struct {
		name string
		code []byte
		edit func(*sys.ProgAttr)
		want abi.Errno
	}{
		{"negative offset", call(-1, id), array(0, mod), abi.EINVAL},
		{"no array", call(1, id), none, abi.EPROTO},
		{"no descriptor", call(1, id), array(0, 77), abi.EBADF},
		{"not a module's types", call(1, id), array(0, own), abi.EINVAL},
		{"not a function", call(1, id+100), array(0, mod), abi.EINVAL},
		{"good", call(1, id), array(0, mod), 0},
		{"good at another place", call(2, id), array(0, own, mod), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd := x.errno(c.want, sys.ProgLoad, x.prog(sys.ProgTypeSyscall, c.code, c.edit))
			if c.want == 0 {
				x.p.Close(int(fd))
			}
		})
	}

	x.p.Close(int(mod))
	if err := x.k.RemoveModule("one"); err != nil {
		t.Fatal(err)
	}
	if x.k.Counts().BTFs != 1 {
		t.Error("the module's types are still there")
	}
}

// A module goes when nothing uses it; a descriptor of its types does not keep its functions.
func TestModuleLife(t *testing.T) {
	x := newRig(t)
	for _, m := range []*sys.Module{answer("one", 1), answer("two", 2)} {
		if err := x.k.LoadModule(m); err != nil {
			t.Fatal(err)
		}
	}
	b, id, _ := x.k.ModuleFunc("two:answer")
	mod := x.ok(sys.BTFGetFDByID, sys.Words(b))
	load := func(want abi.Errno) int64 {
		return x.errno(want, sys.ProgLoad, x.prog(sys.ProgTypeSyscall, join(insn(0x85, 0, 2, 1, int32(id)), exit), func(a *sys.ProgAttr) {
			a.FDArray = x.u.Add(append(u32(0), u32(uint32(mod))...))
		}))
	}
	fd := load(0)
	if r0, f := x.p.Prog(int(fd)).Run(0); f != nil || r0 != 2 {
		t.Errorf("module two answered %d, %v", r0, f)
	}
	if err := x.k.RemoveModule("two"); !errors.Is(err, abi.EAGAIN) {
		t.Errorf("removed in use: %v", err)
	}
	x.p.Close(int(fd))
	if err := x.k.RemoveModule("two"); err != nil {
		t.Error(err)
	}
	load(abi.ENXIO)
	if err := x.k.RemoveModule("two"); !errors.Is(err, abi.ENOENT) {
		t.Errorf("removed twice: %v", err)
	}
	for name, m := range map[string]*sys.Module{
		"loaded twice":       answer("one", 1),
		"without a name":     answer("", 1),
		"without a type":     {Name: "three", Kfuncs: []abi.Kfunc{{Name: "f", Call: func(*abi.Call, *abi.Args) uint64 { return 0 }}}},
		"without a function": {Name: "three"},
	} {
		if err := x.k.LoadModule(m); err == nil {
			t.Errorf("module %s was accepted", name)
		}
	}
}
