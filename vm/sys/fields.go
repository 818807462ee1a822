package sys

import (
	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// specialFields finds the special fields of a map's value, or of the variables of a data section.
func specialFields(t btf.Type) ([]maps.Field, error) {
	places := []maps.FieldPlace{{Type: t}}
	if ds, ok := t.(*btf.Datasec); ok {
		places = nil
		for _, v := range ds.Vars {
			if vt, ok := v.Type.(*btf.Var); ok {
				places = append(places, maps.FieldPlace{Type: vt.Type, Off: v.Offset})
			}
		}
	}
	fields, err := maps.FindFields(false, places...)
	if err != nil {
		return nil, refuse(abi.E2BIG, "value: %v", err)
	}
	return fields, nil
}
