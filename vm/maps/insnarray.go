package maps

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
)

// InsnArray is a map of type insn_array: places in the code of one program, which user space sets before the program is loaded. It
// follows kernel/bpf/bpf_insn_array.c (7.2). For programs it is a table of Entries of 8 bytes at Jumps, which an indirect jump
// takes; here an entry is the number of an instruction of the program, in 8-byte slots.
type InsnArray struct {
	Head
	// Jumps is the address of what programs see, 0s until a program was loaded.
	Jumps uint64

	base uint64 // of the values
	used bool
}

// The value of an element, struct bpf_insn_array_value: 32-bit words.
const (
	insnOrig      = 0
	insnXlated    = 4
	insnJitted    = 8
	insnValueSize = 16
)

func newInsnArray(h Head) (*InsnArray, error) {
	a := &InsnArray{Head: h}
	a.Flags |= FlagRdonlyProg // programs do not write to it
	n := uint64(h.MaxEntries)
	var err error
	if a.base, _, err = h.t.Mem.Alloc(n*insnValueSize, 8); err != nil {
		return nil, err
	}
	if a.Jumps, _, err = h.t.Mem.Alloc(n*8, 8); err != nil {
		h.t.Mem.Free(a.base, n*insnValueSize)
		return nil, err
	}
	return a, nil
}

// checkInsnArray follows insn_array_alloc_check.
func (s *Spec) checkInsnArray(refuse refusal) error {
	if s.MaxEntries == 0 || s.KeySize != 4 || s.ValueSize != insnValueSize {
		return refuse(abi.EINVAL, "key size %d, value size %d, max_entries %d; an insn_array has keys of 4 bytes and values of %d", s.KeySize,
			s.ValueSize, s.MaxEntries, insnValueSize)
	}
	return nil
}

// JumpsSize is how many bytes programs see at Jumps.
func (a *InsnArray) JumpsSize() uint64 { return 8 * uint64(a.MaxEntries) }

func (a *InsnArray) value(i uint32) []byte {
	return a.t.Mem.Bytes(a.base+uint64(i)*insnValueSize, insnValueSize)
}

// Offset is where element i leads, in slots of the program that uses the map.
func (a *InsnArray) Offset(i uint32) uint32 {
	return binary.LittleEndian.Uint32(a.value(i)[insnXlated:])
}

// Use makes the map that of a program of n slots; start tells whether an instruction begins in a slot. Only one program can ever
// use a map, unless it is refused (Unuse). It follows bpf_insn_array_init.
func (a *InsnArray) Use(n uint32, start func(slot uint32) bool) abi.Errno {
	if !a.Frozen {
		return abi.EINVAL
	}
	for i := range a.MaxEntries {
		if off := binary.LittleEndian.Uint32(a.value(i)[insnOrig:]); off >= n || !start(off) {
			return abi.EINVAL
		}
	}
	if a.used {
		return abi.EBUSY
	}
	a.used = true
	for i := range a.MaxEntries {
		v := a.value(i)
		copy(v[insnXlated:insnXlated+4], v[insnOrig:])
	}
	return 0
}

// Unuse is the counterpart of Use for a program that was refused. It follows bpf_insn_array_release.
func (a *InsnArray) Unuse() { a.used = false }

// Ready completes the map for its program: jitted is where the machine code of the instruction in a slot is, from the beginning of
// that of its function. It follows bpf_prog_update_insn_ptrs.
func (a *InsnArray) Ready(jitted func(slot uint32) uint32) {
	for i := range a.MaxEntries {
		slot := a.Offset(i)
		binary.LittleEndian.PutUint32(a.value(i)[insnJitted:], jitted(slot))
		a.t.Mem.Store(a.Jumps+8*uint64(i), 8, uint64(slot))
	}
}

// Lookup follows insn_array_lookup_elem.
func (a *InsnArray) Lookup(key []byte, _ int32) uint64 {
	i := binary.LittleEndian.Uint32(key)
	if i >= a.MaxEntries {
		return 0
	}
	return a.base + uint64(i)*insnValueSize
}

// Update follows insn_array_update_elem.
func (a *InsnArray) Update(key, value []byte, flags uint64, _ int32) abi.Errno {
	i := binary.LittleEndian.Uint32(key)
	switch {
	case i >= a.MaxEntries:
		return abi.E2BIG
	case flags&NoExist != 0:
		return abi.EEXIST
	case binary.LittleEndian.Uint32(value[insnXlated:]) != 0, binary.LittleEndian.Uint32(value[insnJitted:]) != 0:
		return abi.EINVAL
	}
	copy(a.value(i)[insnOrig:insnOrig+4], value)
	return 0
}

// Delete follows insn_array_delete_elem.
func (a *InsnArray) Delete([]byte) abi.Errno { return abi.EINVAL }

// Next follows bpf_array_get_next_key.
func (a *InsnArray) Next(key, next []byte) abi.Errno { return nextIndex(a.MaxEntries, key, next) }

// Each is refused: bpf_for_each_map_elem is not for these maps.
func (a *InsnArray) Each(int32, func(key, value uint64) bool) (int, abi.Errno) {
	return 0, abi.ENOTSUPP
}

// KeyOf finds nothing: programs have no pointers to elements.
func (a *InsnArray) KeyOf(uint64) (uint64, bool) { return 0, false }

func (a *InsnArray) release() {
	a.t.Mem.Free(a.base, uint64(a.MaxEntries)*insnValueSize)
	a.t.Mem.Free(a.Jumps, a.JumpsSize())
}
