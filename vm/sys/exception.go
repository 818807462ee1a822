package sys

import (
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/link"
)

// exceptionCallback is the instruction at which the exception callback starts that a tag of the main function names, 0 if
// there is none. It follows bpf_find_exception_callback_insn_off (kernel/bpf/verifier.c, 7.2).
func (k *checker) exceptionCallback() (int32, error) {
	c := k.c
	n := c.u32(atFuncInfoCnt)
	if n == 0 {
		return 0, nil
	}
	b, _, err := fdObject[*BTF](c.p, c.fd(atProgBTF))
	if err != nil {
		return 0, err
	}
	recs, err := k.records(c.u64(atFuncInfo), n, c.u32(atFuncInfoRec), 8, 8, "func info")
	if err != nil {
		return 0, err
	}
	main, _ := b.funcAt(binary.LittleEndian.Uint32(recs[4:]))
	names := link.ExceptionCallbacks(main)
	switch {
	case len(names) == 0:
		return 0, nil
	case len(names) > 1:
		return 0, refuse(abi.EEXIST, "multiple exception callback tags for main subprog")
	}
	f := b.funcNamed(names[0])
	switch {
	case f == nil:
		return 0, refuse(abi.ENOENT, "exception callback '%s' could not be found in BTF", names[0])
	case f.Linkage != btf.GlobalFunc:
		return 0, refuse(abi.EINVAL, "exception callback '%s' must have global linkage", names[0])
	}
	slot := uint32(0)
	for ; len(recs) > 0; recs = recs[8:] {
		if g, _ := b.funcAt(binary.LittleEndian.Uint32(recs[4:])); g != f {
			continue
		}
		if slot = binary.LittleEndian.Uint32(recs); slot == 0 {
			return 0, refuse(abi.EINVAL, "invalid exception callback insn_off in func_info: 0")
		}
	}
	switch {
	case slot == 0:
		return 0, refuse(abi.EINVAL, "exception callback type id not found in func_info")
	case slot >= uint32(len(k.code.Index)):
		return 0, refuse(abi.EINVAL, "call to invalid destination")
	case k.code.Index[slot] < 0:
		return 0, refuse(abi.EINVAL, "call into the middle of ldimm64 insn %d", slot-1)
	}
	return k.code.Index[slot], nil
}

// funcAt is the function with that type id.
func (b *BTF) funcAt(id uint32) (f *btf.Func, ok bool) {
	t, err := b.typ(id)
	if err != nil {
		return nil, false
	}
	f, ok = t.(*btf.Func)
	return f, ok
}

// funcNamed is the function of that name with the lowest type id, nil if there is none.
func (b *BTF) funcNamed(name string) *btf.Func {
	types, err := b.types().AnyTypesByName(name)
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(types, func(t btf.Type) bool {
		f, ok := t.(*btf.Func)
		return ok && f.Name == name
	})
	if i < 0 {
		return nil
	}
	return types[i].(*btf.Func)
}
