package elf

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// SetVar sets a global variable in the blueprint, by name: an integer or bool for integers, enums and bools, an enumerator's
// name for enums, a string for char arrays, a slice or array for arrays, a map of members for structs (those left out are
// zero), or exactly the variable's size in []byte for any type. Name may lead into the variable: "cfg.limit",
// "table[3].weight".
func (o *Object) SetVar(name string, value any) error {
	in, v, b, err := o.encodeVar(name, value)
	if err != nil {
		return err
	}
	in.Data = Patch(in.Data, v.Off, b)
	return nil
}

// CheckVar tells whether SetVar would take name and value, and changes nothing.
func (o *Object) CheckVar(name string, value any) error {
	_, _, _, err := o.encodeVar(name, value)
	return err
}

// encodeVar finds a variable and the bytes of its value.
func (o *Object) encodeVar(name string, value any) (in *Map, v Var, b []byte, err error) {
	var find Finder
	for _, m := range o.Maps {
		if m.Section != ".kconfig" && find.In(m.Vars, name) {
			in = m
		}
	}
	if in == nil {
		return nil, Var{}, nil, fmt.Errorf("%s: variable %s: there is none%s", o.Name, quote(name), find.Hint(name))
	}
	if v, err = find.Var.At(name); err == nil {
		if b, err = v.Encode(value); err == nil {
			return in, v, b, nil
		}
	}
	return nil, Var{}, nil, fmt.Errorf("%s: variable %s: %w", o.Name, quote(name), err)
}

// Finder looks for a variable in one data section after the other: one with exactly the name (which may hold dots: the
// compiler calls a static variable of a function "func.var"), else the one that a path begins with; global ones before
// static ones.
type Finder struct {
	Var  Var // the best so far
	rank int
	all  []string
}

// In searches the variables of one section for name, and tells whether one of them is the best so far.
func (f *Finder) In(vars []Var, name string) (better bool) {
	base := BaseName(name)
	for _, v := range vars {
		f.all = append(f.all, v.Name)
		rank := 0
		switch v.Name {
		case name:
			rank = 4
		case base:
			rank = 2
		default:
			continue
		}
		if !v.Static {
			rank++
		}
		if rank > f.rank {
			f.Var, f.rank, better = v, rank, true
		}
	}
	return better
}

// Hint is the tail of the message when nothing was found.
func (f *Finder) Hint(name string) string { return DidYouMean(BaseName(name), f.all) }

// Patch writes b at off, extending data where it is short. It always returns a copy: data may be part of the file.
func Patch(data []byte, off uint32, b []byte) []byte {
	out := make([]byte, max(uint64(len(data)), uint64(off)+uint64(len(b))))
	copy(out, data)
	copy(out[off:], b)
	return out
}

// BaseName is the variable's part of a path: "cfg" of "cfg.limit[2]".
func BaseName(path string) string {
	if i := strings.IndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return path
}

// At follows a path that begins with the variable's name into its type, and returns the part as a variable.
func (v Var) At(path string) (Var, error) {
	rest := strings.TrimPrefix(path, v.Name)
	for rest != "" {
		t := btf.UnderlyingType(v.Type)
		if rest[0] == '[' {
			var n uint32
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return v, fmt.Errorf("[ without ]")
			}
			if _, err := fmt.Sscanf(rest[1:end], "%d", &n); err != nil {
				return v, fmt.Errorf("index %s: expected a number", quote(rest[1:end]))
			}
			arr, ok := t.(*btf.Array)
			if !ok {
				return v, fmt.Errorf("index [%d] of %s, which is no array", n, TypeName(t))
			}
			size, err := btf.Sizeof(arr.Type)
			if err != nil {
				return v, err
			}
			if uint64(n+1)*uint64(size) > uint64(v.Size) || n == math.MaxUint32 {
				return v, fmt.Errorf("index %d of %d elements", n, arr.Nelems)
			}
			v = Var{Name: v.Name, Off: v.Off + n*uint32(size), Size: uint32(size), Type: arr.Type}
			rest = rest[end+1:]
			continue
		}
		name := rest[1:]
		if i := strings.IndexAny(name, ".["); i >= 0 {
			name = name[:i]
		}
		if rest[0] != '.' || name == "" {
			return v, fmt.Errorf("expected .member or [index] at %s", quote(rest))
		}
		m, ok, names := memberOf(t, name, 0)
		if !ok {
			return v, fmt.Errorf("%s has no member %s%s", TypeName(t), quote(name), DidYouMean(name, names))
		}
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			return v, err
		}
		off := uint64(m.Offset / 8)
		if m.BitfieldSize != 0 || m.Offset%8 != 0 || off+uint64(size) > uint64(v.Size) {
			return v, fmt.Errorf("member %s is a bitfield", quote(name))
		}
		v = Var{Name: v.Name, Off: v.Off + uint32(off), Size: uint32(size), Type: m.Type}
		rest = rest[1+len(name):]
	}
	return v, nil
}

func memberOf(t btf.Type, name string, depth int) (btf.Member, bool, []string) {
	var ms []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		ms = t.Members
	case *btf.Union:
		ms = t.Members
	}
	var names []string
	for _, m := range ms {
		if m.Name == name {
			return m, true, nil
		}
		if m.Name != "" {
			names = append(names, m.Name)
			continue
		}
		if depth < 16 {
			in, ok, more := memberOf(m.Type, name, depth+1)
			if ok {
				in.Offset += m.Offset
				return in, true, nil
			}
			names = append(names, more...)
		}
	}
	return btf.Member{}, false, names
}

// Encode checks that value fits the variable and returns its bytes.
func (v Var) Encode(value any) ([]byte, error) {
	if b, ok := value.([]byte); ok {
		if len(b) != int(v.Size) {
			return nil, fmt.Errorf("%d bytes given, the variable has %d", len(b), v.Size)
		}
		return b, nil
	}
	return encode(v.Type, v.Size, reflect.ValueOf(value))
}

// EncodeType returns the bytes of a value of a type that is no variable's.
func EncodeType(t btf.Type, value any) ([]byte, error) {
	size, err := btf.Sizeof(t)
	if err != nil {
		return nil, err
	}
	return Var{Size: uint32(size), Type: t}.Encode(value)
}

func encode(t btf.Type, size uint32, value reflect.Value) ([]byte, error) {
	if t == nil {
		return nil, fmt.Errorf("its type is not known: give %d bytes", size)
	}
	if value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	switch u := btf.UnderlyingType(t).(type) {
	case *btf.Int:
		return encodeInt(u.Size, u.Encoding == btf.Signed, u.Encoding == btf.Bool, value)
	case *btf.Enum:
		if value.Kind() == reflect.String {
			return encodeEnum(u, value.String())
		}
		return encodeInt(u.Size, u.Signed, false, value)
	case *btf.Struct:
		return encodeStruct(u, u.Members, size, value)
	case *btf.Union:
		return encodeStruct(u, u.Members, size, value)
	case *btf.Pointer:
		return encodeInt(8, false, false, value)
	case *btf.Array:
		elem, err := btf.Sizeof(u.Type)
		if err != nil {
			return nil, err
		}
		if value.Kind() == reflect.String {
			i, ok := btf.UnderlyingType(u.Type).(*btf.Int)
			if !ok || i.Size != 1 {
				return nil, fmt.Errorf("a string given, expected an array of %s", TypeName(u.Type))
			}
			if len(value.String()) >= int(size) {
				return nil, fmt.Errorf("a string of %d bytes and its end do not fit %d", len(value.String()), size)
			}
			b := make([]byte, size)
			copy(b, value.String())
			return b, nil
		}
		if k := value.Kind(); k != reflect.Slice && k != reflect.Array {
			return nil, fmt.Errorf("%s given, expected %d elements", goType(value), u.Nelems)
		}
		if uint64(value.Len())*uint64(elem) > uint64(size) {
			return nil, fmt.Errorf("%d elements given, it has %d", value.Len(), u.Nelems)
		}
		b := make([]byte, size)
		for i := range value.Len() {
			e, err := encode(u.Type, uint32(elem), value.Index(i))
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			copy(b[i*elem:], e)
		}
		return b, nil
	default:
		return nil, fmt.Errorf("%s given, expected %d bytes: it is %s", goType(value), size, TypeName(u))
	}
}

func encodeEnum(e *btf.Enum, name string) ([]byte, error) {
	var names []string
	for _, v := range e.Values {
		if v.Name == name {
			b := binary.LittleEndian.AppendUint64(nil, v.Value)
			return b[:e.Size], nil
		}
		names = append(names, v.Name)
	}
	return nil, fmt.Errorf("%s has no enumerator %s%s", TypeName(e), quote(name), DidYouMean(name, names))
}

// encodeStruct takes members by name; those of members without a name too.
func encodeStruct(t btf.Type, members []btf.Member, size uint32, value reflect.Value) ([]byte, error) {
	if value.Kind() != reflect.Map || value.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%s given, expected the members of %s", goType(value), TypeName(t))
	}
	names := make([]string, 0, value.Len())
	for _, k := range value.MapKeys() {
		names = append(names, k.String())
	}
	slices.Sort(names)
	b := make([]byte, size)
	for _, name := range names {
		m, err := (Var{Size: size, Type: t}).At("." + name)
		if err != nil {
			return nil, err
		}
		e, err := encode(m.Type, m.Size, value.MapIndex(reflect.ValueOf(name)))
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", name, err)
		}
		copy(b[m.Off:], e)
	}
	return b, nil
}

func goType(v reflect.Value) string {
	if !v.IsValid() {
		return "nil"
	}
	switch v.Kind() {
	case reflect.Map:
		return "a struct"
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Interface {
			return "a list"
		}
	}
	return v.Type().String()
}

func encodeInt(size uint32, signed, boolean bool, value reflect.Value) ([]byte, error) {
	if value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	var n uint64
	negative := false
	switch {
	case value.CanUint():
		n = value.Uint()
	case value.CanInt():
		n = uint64(value.Int())
		negative = value.Int() < 0
	case value.Kind() == reflect.Bool:
		if value.Bool() {
			n = 1
		}
	case value.CanFloat() && value.Float() == math.Trunc(value.Float()) && math.Abs(value.Float()) <= 1<<53:
		n = uint64(int64(value.Float())) // a number that came through JSON
		negative = value.Float() < 0
	default:
		return nil, fmt.Errorf("%s given, expected an integer", goType(value))
	}
	if size == 0 || size > 8 {
		return nil, fmt.Errorf("an integer of %d bytes", size)
	}
	bits := size * 8
	ok := true
	switch {
	case boolean:
		ok = n <= 1
	case bits == 64:
		ok = signed || !negative
		ok = ok && (!signed || negative || n < 1<<63)
	case signed:
		ok = int64(n) >= -1<<(bits-1) && int64(n) < 1<<(bits-1) && (negative || n < 1<<63)
	default:
		ok = !negative && n>>bits == 0
	}
	if !ok {
		if negative {
			return nil, fmt.Errorf("%d does not fit %d bytes (signed: %t)", int64(n), size, signed)
		}
		return nil, fmt.Errorf("%d does not fit %d bytes (signed: %t, bool: %t)", n, size, signed, boolean)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return b[:size:size], nil
}

// Resize gives the array that ends a data section another number of elements, as bpf_map__set_value_size does, and returns
// the new size of the section.
func (o *Object) Resize(name string, count uint32) (uint32, error) {
	var in *Map
	var find Finder
	for _, m := range o.Maps {
		if m.Section != ".kconfig" && find.In(m.Vars, name) {
			in = m
		}
	}
	if in == nil {
		return 0, fmt.Errorf("%s: variable %s: there is none%s", o.Name, quote(name), find.Hint(name))
	}
	last := &in.Vars[len(in.Vars)-1]
	arr, ok := btf.UnderlyingType(last.Type).(*btf.Array)
	if last.Name != find.Var.Name || !ok {
		return 0, fmt.Errorf("%s: variable %s: only an array that ends its section can have another size", o.Name, quote(name))
	}
	elem, err := btf.Sizeof(arr.Type)
	if err != nil {
		return 0, fmt.Errorf("%s: variable %s: %w", o.Name, quote(name), err)
	}
	size := uint64(last.Off) + uint64(count)*uint64(elem)
	if count == 0 || size > 1<<31 {
		return 0, fmt.Errorf("%s: variable %s: %d elements of %d bytes", o.Name, quote(name), count, elem)
	}
	grown := *arr
	grown.Nelems = count
	last.Size, last.Type, in.ValueSize = count*uint32(elem), &grown, uint32(size)
	in.Data = in.Data[:min(uint64(len(in.Data)), size)]
	return in.ValueSize, nil
}
