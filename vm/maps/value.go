package maps

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
)

// copyValue copies the value src to the memory dst, except for special fields. It follows copy_map_value.
func (h *Head) copyValue(dst, src []byte) {
	if len(h.Fields) == 0 {
		if len(src) == 8 && len(dst) == 8 { // most often
			binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src))
			return
		}
		copy(dst, src)
		return
	}
	at := uint32(0)
	for _, f := range h.Fields {
		copy(dst[at:f.Off], src[at:f.Off])
		at = f.Off + f.Size
	}
	copy(dst[at:], src[at:])
}

// showValue copies the value at addr to user space's dst; special fields are zero there. It follows copy_map_value and
// check_and_init_map_value.
func (h *Head) showValue(dst []byte, addr uint64) {
	copy(dst, h.t.Mem.Bytes(addr, uint64(len(dst))))
	for _, f := range h.Fields {
		clear(dst[f.Off : f.Off+f.Size])
	}
}

// cancelFields follows bpf_obj_cancel_fields: it stops what the value has running (timers, work). The rest stays.
func (h *Head) cancelFields(value uint64) {
	for _, f := range h.Fields {
		if cancel := h.t.Hooks.cancel(f.Kind); cancel != nil {
			at := value + uint64(f.Off)
			cancel(at)
			clear(h.t.Mem.Bytes(at, uint64(f.Size)))
		}
	}
}

// cancel is the hook for a field that runs something by itself, nil if there is none.
func (h *Hooks) cancel(k FieldKind) func(addr uint64) {
	switch k {
	case Timer:
		return h.Timer
	case Workqueue:
		return h.Workqueue
	case TaskWork:
		return h.TaskWork
	}
	return nil
}

// freeFields follows bpf_obj_free_fields: it releases what the special fields of a value hold and clears them.
func (h *Head) freeFields(value uint64) {
	h.cancelFields(value)
	for _, f := range h.Fields {
		at := value + uint64(f.Off)
		switch f.Kind {
		case KptrRef, KptrPerCPU:
			if p, _ := h.t.Mem.Load(at, 8); p != 0 {
				h.t.Mem.Store(at, 8, 0)
				if h.t.Hooks.Kptr != nil {
					h.t.Hooks.Kptr(f, p)
				}
			}
		case ListHead, RBRoot:
			if h.t.Hooks.Graph != nil {
				h.t.Hooks.Graph(f, at)
			}
		}
		clear(h.t.Mem.Bytes(at, uint64(f.Size)))
	}
}

// checkFlags follows check_flags of hashtab.c.
func checkFlags(exists bool, flags uint64) abi.Errno {
	switch {
	case exists && flags&^Lock == NoExist:
		return abi.EEXIST
	case !exists && flags&^Lock == Exist:
		return abi.ENOENT
	}
	return 0
}
