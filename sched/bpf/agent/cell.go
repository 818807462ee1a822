package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// Cell is typed memory: a global variable or a part of one, a copy of a map's value, a struct in the arena.
type Cell struct {
	Type btf.Type
	// B are its bytes. Those of variables and of arena memory are the programs' own.
	B []byte
	// ReadOnly cells refuse to be set.
	ReadOnly bool
}

// NewCell is a zero value of a type.
func NewCell(t btf.Type) (Cell, error) {
	n, err := btf.Sizeof(t)
	if err != nil {
		return Cell{}, err
	}
	return Cell{Type: t, B: make([]byte, n)}, nil
}

// At is the part of a cell that a path leads to: "cfg.limit", "[3].weight".
func (c Cell) At(path string) (Cell, error) {
	if path == "" {
		return c, nil
	}
	if path[0] != '[' && path[0] != '.' {
		path = "." + path
	}
	v, err := (elf.Var{Size: uint32(len(c.B)), Type: c.Type}).At(path)
	if err != nil {
		return Cell{}, err
	}
	return Cell{v.Type, c.B[v.Off : v.Off+v.Size : v.Off+v.Size], c.ReadOnly}, nil
}

// Set changes the cell; value is what elf.Object.SetVar takes. Members of structs that a map leaves out become zero.
func (c Cell) Set(value any) error {
	if c.ReadOnly {
		return errors.New("it is read-only once the object is loaded")
	}
	b, err := (elf.Var{Size: uint32(len(c.B)), Type: c.Type}).Encode(value)
	if err != nil {
		return err
	}
	copy(c.B, b)
	return nil
}

// Uint is the value of a cell of up to 8 bytes, without its sign.
func (c Cell) Uint() uint64 {
	var w [8]byte
	copy(w[:], c.B)
	return binary.LittleEndian.Uint64(w[:])
}

// Int is the value of a cell of up to 8 bytes, with the sign of its size.
func (c Cell) Int() int64 {
	shift := 64 - 8*min(len(c.B), 8)
	return int64(c.Uint()<<shift) >> shift
}

// Get is the value: int64, uint64 or bool for numbers, enums and pointers, a string for an array of char, []any for other
// arrays, map[string]any for structs and unions. Members without names are left out.
func (c Cell) Get() (any, error) {
	switch t := btf.UnderlyingType(c.Type).(type) {
	case *btf.Int:
		switch {
		case t.Size > 8:
			return nil, fmt.Errorf("an integer of %d bytes", t.Size)
		case t.Encoding == btf.Bool:
			return c.Uint() != 0, nil
		case t.Encoding == btf.Signed:
			return c.Int(), nil
		}
		return c.Uint(), nil
	case *btf.Enum:
		if t.Signed {
			return c.Int(), nil
		}
		return c.Uint(), nil
	case *btf.Pointer:
		return c.Uint(), nil
	case *btf.Array:
		return c.array(t)
	case *btf.Struct:
		return c.members(t.Members)
	case *btf.Union:
		return c.members(t.Members)
	}
	return nil, fmt.Errorf("%s has no value", elf.TypeName(c.Type))
}

func (c Cell) array(t *btf.Array) (any, error) {
	if e, ok := btf.UnderlyingType(t.Type).(*btf.Int); ok && e.Size == 1 && strings.HasSuffix(e.Name, "char") && e.Name != "unsigned char" {
		s, _, _ := bytes.Cut(c.B, []byte{0})
		return string(s), nil
	}
	size, err := btf.Sizeof(t.Type)
	if err != nil || size == 0 {
		return nil, err
	}
	out := make([]any, 0, len(c.B)/size)
	for off := 0; off+size <= len(c.B); off += size {
		v, err := (Cell{t.Type, c.B[off : off+size], c.ReadOnly}).Get()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (c Cell) members(ms []btf.Member) (any, error) {
	out := map[string]any{}
	for _, m := range ms {
		if m.Name == "" || m.BitfieldSize != 0 {
			continue
		}
		cell, err := c.At("." + m.Name)
		if err != nil {
			continue // of no size, as flexible arrays
		}
		v, err := cell.Get()
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.Name, err)
		}
		out[m.Name] = v
	}
	return out, nil
}
