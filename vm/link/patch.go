package link

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/schedsim/schedsim/vm/elf"
)

// Instruction classes and fields (include/uapi/linux/bpf.h).
const (
	classLD    = 0
	classLDX   = 1
	classST    = 2
	classSTX   = 3
	classALU   = 4
	classJMP   = 5
	classJMP32 = 6
	classALU64 = 7

	srcX = 0x08

	modeIMM    = 0x00
	modeMEM    = 0x60
	modeMEMSX  = 0x80
	modeATOMIC = 0xc0

	opCall    = 0x85
	opCallX   = 0x8d
	opExit    = 0x95
	opGotoX   = 0x0d
	opLdImm64 = 0x18
)

// patch applies the CO-RE relocations of a function to a copy of its code, following bpf_core_patch_insn. poison maps slots
// to the reason why their instruction must not be executed; offsets are the slots that hold offsets of fields.
func (c *core) patch(f *elf.Func) (code []byte, poison map[int32]string, offsets map[int32]bool, err error) {
	if len(f.Core) == 0 {
		return f.Code, nil, nil, nil
	}
	code = append([]byte(nil), f.Code...)
	for _, r := range f.Core {
		if c.kernel == nil || c.local == nil {
			return nil, nil, nil, fmt.Errorf("instruction %d: CO-RE relocation without BTF", r.Insn)
		}
		fx, err := c.resolve(r)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("instruction %d: CO-RE relocation: %w", r.Insn, err)
		}
		why, err := fx.apply(code[int(r.Insn)*8:])
		if err != nil {
			return nil, nil, nil, fmt.Errorf("instruction %d: CO-RE relocation: %w", r.Insn, err)
		}
		if why != "" {
			if poison == nil {
				poison = map[int32]string{}
			}
			poison[r.Insn] = "needs the " + why
		}
		if r.Kind == elf.CoreFieldByteOffset {
			if offsets == nil {
				offsets = map[int32]bool{}
			}
			offsets[r.Insn] = true
		}
	}
	return code, poison, offsets, nil
}

// apply changes the instruction at the start of code, or tells why it must not be executed.
func (f *fix) apply(code []byte) (poison string, err error) {
	imm := int64(int32(binary.LittleEndian.Uint32(code[4:])))
	off := int64(int16(binary.LittleEndian.Uint16(code[2:])))
	check := func(got int64) error {
		if f.validate && got != int64(f.old) {
			return fmt.Errorf("the instruction holds %d, the types say %d", got, f.old)
		}
		return nil
	}
	switch class := code[0] & 7; class {
	case classALU, classALU64:
		if code[0]&srcX != 0 {
			break
		}
		if f.poison != "" {
			return f.poison, nil
		}
		if err := check(imm); err != nil {
			return "", err
		}
		binary.LittleEndian.PutUint32(code[4:], uint32(f.new))
		return "", nil
	case classLDX, classST, classSTX:
		if f.poison != "" {
			return f.poison, nil
		}
		if err := check(off); err != nil {
			return "", err
		}
		if f.new > math.MaxInt16 {
			return "", fmt.Errorf("offset %d does not fit a load or store", f.new)
		}
		if f.badSize != "" {
			return f.badSize, nil
		}
		binary.LittleEndian.PutUint16(code[2:], uint16(f.new))
		if f.size == f.oldSize {
			return "", nil
		}
		sizes := [...]uint64{4, 2, 1, 8} // by bits 3 and 4 of the opcode
		if got := sizes[code[0]>>3&3]; got != f.oldSize {
			return "", fmt.Errorf("an access of %d bytes to a field of %d, which has %d in the kernel", got, f.oldSize, f.size)
		}
		for bits, n := range sizes {
			if n == f.size {
				code[0] = code[0]&^0x18 | byte(bits)<<3
				return "", nil
			}
		}
		return "", fmt.Errorf("the field has %d bytes in the kernel: no load or store does that", f.size)
	case classLD:
		if code[0] != opLdImm64 || len(code) < 16 || code[1]>>4 != 0 || off != 0 || binary.LittleEndian.Uint32(code[8:]) != 0 {
			break
		}
		if f.poison != "" {
			return f.poison, nil
		}
		if err := check(int64(uint64(uint32(imm)) | uint64(binary.LittleEndian.Uint32(code[12:]))<<32)); err != nil {
			return "", err
		}
		binary.LittleEndian.PutUint32(code[4:], uint32(f.new))
		binary.LittleEndian.PutUint32(code[12:], uint32(f.new>>32))
		return "", nil
	}
	return "", fmt.Errorf("opcode %#02x cannot be relocated", code[0])
}
