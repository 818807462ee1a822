package verifier

import (
	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/link"
)

// ksymVar sets a register to the address of a kernel variable. It follows __check_pseudo_btf_id.
func (v *verifier) ksymVar(d *reg, ref *link.Ref) error {
	if v.at.Kernel == nil {
		return unsupported("kernel variable %s without the kernel's types", ref.Name)
	}
	if ref.Off != 0 {
		return unsupported("an address inside of the kernel variable %s", ref.Name)
	}
	var x *btf.Var
	if err := v.at.Kernel.TypeByName(ref.Name, &x); err != nil {
		d.markUnknown() // an address without a type is a number
		return nil
	}
	t := skipMods(x.Type)
	if v.perCPU(x) {
		d.setPointer(ptrToBTF|percpu, object{typ: t})
		return nil
	}
	if isStruct(t) {
		d.setPointer(ptrToBTF, object{typ: t})
		return nil
	}
	size, ok := sizeOf(t)
	if !ok {
		return refuse(CodeArgType, "ldimm64 unable to resolve the size of type '%s'", t.TypeName())
	}
	d.setPointer(ptrToMem|rdonly, object{size: size})
	return nil
}

func (v *verifier) perCPU(x *btf.Var) bool {
	var sec *btf.Datasec
	if v.at.Kernel.TypeByName(".data..percpu", &sec) != nil {
		return false
	}
	for _, s := range sec.Vars {
		if s.Type == x {
			return true
		}
	}
	return false
}
