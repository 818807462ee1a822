package bpf

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
)

// The value of a struct_ops map has the id and the size that the kernel's BTF gives it, so that loaders who look there find
// what this kernel wants.
func TestStructOpsValue(t *testing.T) {
	for _, version := range kernels.List() {
		t.Run(version, func(t *testing.T) {
			k, err := kernels.Get(version)
			if err != nil {
				t.Fatal(err)
			}
			space, err := mem.New(mem.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer space.Close()
			sk, err := sys.New(sys.Options{Mem: space, Host: loadHost{}, BTF: k.BTF(), StructOps: []*sys.StructOpsType{{Name: "sched_ext_ops"}}})
			if err != nil {
				t.Fatal(err)
			}
			defer sk.Close()
			_, ids, ok := sk.StructOps("sched_ext_ops")
			if !ok {
				t.Fatal("no sched_ext_ops")
			}
			var value, ops *btf.Struct
			if err := k.BTF().TypeByName("bpf_struct_ops_sched_ext_ops", &value); err != nil {
				t.Fatal(err)
			}
			if err := k.BTF().TypeByName("sched_ext_ops", &ops); err != nil {
				t.Fatal(err)
			}
			id, err := k.BTF().TypeID(value)
			if err != nil {
				t.Fatal(err)
			}
			data := value.Members[1]
			if ids.Value != uint32(id) || ids.ValueSize != value.Size || data.Offset.Bytes() != ids.DataOff || data.Type != btf.Type(ops) {
				t.Errorf("%+v; the kernel has id %d, %d bytes, %s at %d", ids, id, value.Size, data.Name, data.Offset.Bytes())
			}
		})
	}
}
