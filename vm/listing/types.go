package listing

import (
	"bytes"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/internal/cdecl"
	"github.com/schedsim/schedsim/vm/elf"
)

// Type is one named type of an object.
type Type struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Size int    `json:"size,omitempty"`
}

// Types lists the named structs, unions, enums and typedefs of an object's BTF in its order, and writes all as C that a compiler
// takes.
func Types(o *elf.Object) (list []Type, c []byte, err error) {
	if o.BTF == nil {
		return nil, nil, fmt.Errorf("%s: no BTF", o.Name)
	}
	// See elf.Read: types of a hostile file are read lazily by cilium's btf package.
	defer func() {
		if p := recover(); p != nil {
			list, c, err = nil, nil, fmt.Errorf("%s: malformed BTF (%v)", o.Name, p)
		}
	}()
	var all []btf.Type
	for t, err := range o.BTF.All() {
		if err != nil {
			return nil, nil, fmt.Errorf("%s: BTF: %w", o.Name, err)
		}
		all = append(all, t)
	}
	var out bytes.Buffer
	p := cdecl.NewPrinter(&out, all)
	for _, t := range all {
		switch t.(type) {
		case *btf.Struct, *btf.Union, *btf.Enum, *btf.Typedef:
		default:
			continue
		}
		if t.TypeName() == "" {
			continue
		}
		p.Define(t)
		size, err := btf.Sizeof(t)
		if err != nil {
			size = 0 // a typedef of a function
		}
		list = append(list, Type{elf.KindOf(t), t.TypeName(), size})
	}
	for _, t := range all {
		if e, ok := t.(*btf.Enum); ok && e.Name == "" {
			p.Enumerators(e)
		}
	}
	if err := p.Flush(); err != nil {
		return nil, nil, err
	}
	return list, out.Bytes(), nil
}
