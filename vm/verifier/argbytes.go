package verifier

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/ir"
)

// numArgs is the number of arguments in registers that a call takes, as far as it is known.
func (v *verifier) numArgs(i int32) int {
	switch in := &v.insns[i]; in.Op {
	case ir.CallHelper:
		if h := v.helper(int32(in.Imm)); h != nil {
			return h.nargs()
		}
	case ir.CallKfunc:
		if k, err := v.kfunc(i); err == nil {
			return min(5, k.nargs)
		}
	}
	return 5
}

// helperArgBytes is the number of bytes that a helper reads through an argument; negative: that it writes without reading.
// It follows bpf_helper_stack_access_bytes.
func (v *verifier) helperArgBytes(i int32, arg int) int64 {
	h := v.helper(int32(v.insns[i].Imm))
	if h == nil {
		return unknownBytes
	}
	a := h.args[arg]
	size := int64(unknownBytes)
	switch a.base() {
	case argMapKey, argMapValue:
		size = v.mapArgBytes(h, i, arg, a.base() == argMapKey)
	case argMem:
		switch {
		case h.sizes[arg] != 0:
			size = int64(h.sizes[arg])
		case arg < 4 && h.args[arg+1].isSize():
			aux := &v.aux[i]
			switch {
			case aux.constNum>>(arg+2)&1 != 0:
				size = int64(aux.consts[arg+2])
			case a.has(argUninit):
				return 0
			default:
				return maxStack
			}
		}
	case argDynptr:
		size = dynptrSlots * regSize
	case argStack:
		return 0
	}
	if size != unknownBytes && a.has(argUninit) {
		return -size
	}
	return size
}

// mapArgBytes is the size of a key or value of the map that a helper is given, or the largest one that it can be.
func (v *verifier) mapArgBytes(h *helper, i int32, arg int, key bool) int64 {
	of := func(m *mapInfo) int64 {
		if key {
			return int64(m.key)
		}
		return int64(m.value)
	}
	for k := range arg {
		if h.args[k].base() != argMap {
			continue
		}
		if aux := &v.aux[i]; aux.constMap>>(k+1)&1 != 0 {
			if m := v.maps[aux.consts[k+1]]; m != nil {
				return of(m)
			}
		}
		break
	}
	size := int64(0)
	for _, m := range v.maps {
		if m == nil {
			continue
		}
		size = max(size, of(m))
		if m.inner != nil {
			size = max(size, of(m.inner))
		}
	}
	if size == 0 {
		return unknownBytes
	}
	return size
}

// kfuncArgBytes is helperArgBytes for a kernel function. It follows bpf_kfunc_stack_access_bytes.
func (v *verifier) kfuncArgBytes(i int32, arg int) int64 {
	k, err := v.kfunc(i)
	if err != nil {
		return unknownBytes
	}
	if arg >= len(k.params) {
		return 0
	}
	p, ok := skipMods(k.params[arg].Type).(*btf.Pointer)
	if !ok {
		return 0
	}
	size := int64(unknownBytes)
	switch {
	case isNamed(p, "bpf_dynptr"):
		size = dynptrSlots * regSize
	case arg+1 < len(k.params) && isSizeParam(k.params[arg+1].Name):
		aux := &v.aux[i]
		if arg+2 >= len(aux.consts) || aux.constNum>>(arg+2)&1 == 0 {
			return maxStack
		}
		size = int64(aux.consts[arg+2])
	default:
		if n, ok := sizeOf(p.Target); ok {
			size = int64(n)
		}
	}
	if size != unknownBytes && (arg == 0 && k.iterNew() || strings.HasSuffix(k.params[arg].Name, "__uninit")) {
		return -size
	}
	return size
}
