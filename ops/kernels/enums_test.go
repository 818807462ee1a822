package kernels

import (
	"testing"

	"github.com/cilium/ebpf/btf"
)

// What is read of the bytes is what the types say.
func TestEnumerators(t *testing.T) {
	for _, version := range List() {
		k, err := Get(version)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		k.types(func(typ btf.Type) {
			e, ok := typ.(*btf.Enum)
			if !ok {
				return
			}
			for _, v := range e.Values {
				if seen[v.Name] {
					continue
				}
				seen[v.Name] = true
				if got, ok := k.EnumValue(v.Name); !ok || got != v.Value {
					t.Errorf("%s: %s is %#x, %v, want %#x", version, v.Name, got, ok, v.Value)
				}
			}
		})
		if len(seen) == 0 || len(k.enums) != len(seen) {
			t.Errorf("%s: %d enumerators, the types have %d", version, len(k.enums), len(seen))
		}
	}
}
