package cdecl

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// printState says how much of a type has been printed.
type printState uint8

const (
	unseen printState = iota
	named             // a typedef whose target is declared, not defined
	inWork            // its definition waits for what it needs
	defined
)

// Printer prints types so that each comes after what it needs: a complete definition for what is embedded, a
// declaration for what is only pointed to. Each is printed once.
type Printer struct {
	w       *bufio.Writer
	err     error
	names   names
	layout  layout
	state   map[btf.Type]printState
	forward map[string]bool // tags declared
	values  map[string]int  // enumerators printed
}

// NewPrinter makes a Printer for some of the given types and what they lead to: all types that are to have names of their own.
func NewPrinter(w io.Writer, all []btf.Type) *Printer {
	p := &Printer{
		w:       bufio.NewWriter(w),
		names:   names{},
		layout:  layout{align: map[btf.Type]uint32{}},
		state:   map[btf.Type]printState{},
		forward: map[string]bool{},
		values:  map[string]int{},
	}
	p.resolve(all)
	return p
}

// Flush writes what has been printed. Its error is the first one of all.
func (p *Printer) Flush() error {
	if p.err != nil {
		return p.err
	}
	return p.w.Flush()
}

// Printf prints text of the caller's between types.
func (p *Printer) Printf(format string, args ...any) { p.printf(format, args...) }

// Define prints what is missing of t and of what its definition needs.
func (p *Printer) Define(t btf.Type) { p.need(t, true) }

// Mention prints what is missing for pointers to t.
func (p *Printer) Mention(t btf.Type) { p.need(t, false) }

// Enumerators prints an enum without a name, unless it has been printed as part of something else.
func (p *Printer) Enumerators(e *btf.Enum) {
	if p.state[e] == unseen {
		p.enum(e)
		p.printf(";\n\n")
	}
}

// Variable declares name with type t, under the names that the Printer gives to types.
func (p *Printer) Variable(t btf.Type, name string) string { return p.names.decl(t, name) }

func (p *Printer) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

// resolve gives namesakes different names: in C tags share one space of names, everything else another. The first of
// several keeps its name, the others get ___2, ___3 (which relocation ignores).
func (p *Printer) resolve(all []btf.Type) {
	tags, typedefs := map[string]int{}, map[string]int{}
	for _, t := range all {
		space := tags
		switch t.(type) {
		case *btf.Struct, *btf.Union, *btf.Fwd, *btf.Enum:
		case *btf.Typedef:
			space = typedefs
		default:
			continue
		}
		name := t.TypeName()
		if name == "" {
			continue
		}
		if space[name]++; space[name] > 1 {
			p.names[t] = fmt.Sprintf("%s___%d", name, space[name])
		}
	}
}

// need prints what is missing for t to be used: completely (embedded) or by name (pointed to).
func (p *Printer) need(t btf.Type, complete bool) {
	switch v := t.(type) {
	case *btf.Const:
		p.need(v.Type, complete)
	case *btf.Volatile:
		p.need(v.Type, complete)
	case *btf.Restrict:
		p.need(v.Type, complete)
	case *btf.TypeTag:
		p.need(v.Type, complete)
	case *btf.Pointer:
		_, array := btf.QualifiedType(v.Target).(*btf.Array) // C wants complete elements
		p.need(v.Target, array)
	case *btf.Array:
		p.need(v.Type, complete)
	case *btf.FuncProto:
		p.need(v.Return, false)
		for _, a := range v.Params {
			p.need(a.Type, false)
		}
	case *btf.Fwd:
		p.declare(v)
	case *btf.Typedef:
		p.typedef(v, complete)
	case *btf.Enum:
		if v.Name != "" && p.state[v] == unseen {
			p.enum(v)
			p.printf(";\n\n")
		}
	case *btf.Struct:
		p.composite(v, v.Members, complete)
	case *btf.Union:
		p.composite(v, v.Members, complete)
	}
}

// declare prints a forward declaration once.
func (p *Printer) declare(t btf.Type) {
	tag := p.names.base(t)
	if !p.forward[tag] {
		p.forward[tag] = true
		p.printf("%s;\n\n", tag)
	}
}

func (p *Printer) composite(t btf.Type, ms []btf.Member, complete bool) {
	anonymous := t.TypeName() == ""
	if !complete && !anonymous {
		if p.state[t] != defined {
			p.declare(t)
		}
		return
	}
	if p.state[t] == defined || p.state[t] == inWork {
		return
	}
	p.state[t] = inWork
	for _, m := range ms {
		p.need(m.Type, true)
	}
	p.state[t] = defined
	if anonymous {
		return // printed where it is used
	}
	p.forward[p.names.base(t)] = true
	p.body(t, p.names.name(t), 0)
	p.printf(";\n\n")
}

func (p *Printer) typedef(t *btf.Typedef, complete bool) {
	if t.Name == "__builtin_va_list" {
		return // the compiler's own
	}
	switch p.state[t] {
	case defined, inWork:
		return
	case named:
		if complete {
			p.state[t] = inWork
			p.need(t.Type, true)
			p.state[t] = defined
		}
		return
	}
	p.state[t] = inWork
	p.need(t.Type, complete)
	p.printf("typedef ")
	p.member(t.Type, p.names.name(t), 0)
	p.printf(";\n\n")
	p.state[t] = named
	if complete {
		p.state[t] = defined
	}
}

// member prints a declaration whose type may be an anonymous struct, union or enum (possibly an array of or pointer
// to one), which is then defined in place.
func (p *Printer) member(t btf.Type, name string, indent int) {
	inner, decl := t, name
	for {
		switch v := inner.(type) {
		case *btf.Const:
			inner = v.Type
			continue
		case *btf.Volatile:
			inner = v.Type
			continue
		case *btf.Pointer:
			inner, decl = v.Target, "*"+decl
			continue
		case *btf.Array:
			if strings.HasPrefix(decl, "*") {
				decl = "(" + decl + ")"
			}
			inner, decl = v.Type, decl+"["+itoa(v.Nelems)+"]"
			continue
		}
		break
	}
	if inner.TypeName() == "" || decl == "" {
		switch v := inner.(type) {
		case *btf.Struct, *btf.Union:
			// A tagged struct without a name (-fms-extensions) is printed as an anonymous one, which is plain C.
			p.body(v, "", indent)
			p.printf("%s", join("", decl))
			return
		case *btf.Enum:
			if p.state[v] != unseen { // its second use: an integer of the same size stands for it
				p.printf("%s", join(enumInt(v), decl))
				return
			}
			p.enum(v)
			p.printf("%s", join("", decl))
			return
		}
	}
	p.printf("%s", p.names.decl(t, name))
}

// enumInt is an integer type as large as an enum.
func enumInt(e *btf.Enum) string {
	c := map[uint32]string{1: "char", 2: "short", 4: "int", 8: "long long"}[e.Size]
	if e.Signed {
		return c
	}
	return "unsigned " + c
}

// body prints a struct or union with its members under the given tag.
func (p *Printer) body(t btf.Type, tag string, indent int) {
	var ms []btf.Member
	var size uint32
	word, union := "struct", false
	switch v := t.(type) {
	case *btf.Struct:
		ms, size = v.Members, v.Size
	case *btf.Union:
		ms, size, word, union = v.Members, v.Size, "union", true
	}
	tab := strings.Repeat("\t", indent+1)
	p.layout.alignOf(t)
	packed := p.layout.packed(t, ms)
	p.printf("%s {\n", join(word, tag))
	cur, largest := uint32(0), uint32(0)
	for _, m := range ms {
		off := uint32(m.Offset)
		if !union && p.layout.next(m, cur, packed) != off {
			for _, pad := range pads(cur, off) {
				p.printf("%s%s;\n", tab, pad)
			}
		}
		p.printf("%s", tab)
		p.member(m.Type, m.Name, indent+1)
		bits := uint32(m.BitfieldSize)
		if bits != 0 {
			p.printf(": %d", bits)
		} else {
			bits = sizeBits(m.Type)
		}
		p.printf(";\n")
		cur, largest = off+bits, max(largest, bits)
	}
	if union {
		if roundUp(largest, p.layout.align[t]) < size*8 {
			p.printf("%schar __pad[%d];\n", tab, size)
		}
	} else if roundUp(cur, p.layout.align[t]) < size*8 {
		for _, pad := range pads(cur, size*8) {
			p.printf("%s%s;\n", tab, pad)
		}
	}
	p.printf("%s}", strings.Repeat("\t", indent))
	if packed {
		p.printf(" __attribute__((packed))")
	}
}

// enum prints an enum. Clang gives an enum the smallest of int, unsigned, long and unsigned long that holds its values;
// other sizes need the attribute mode.
func (p *Printer) enum(e *btf.Enum) {
	p.state[e] = defined
	if len(e.Values) == 0 {
		p.printf("enum %s", p.names.name(e))
		return
	}
	p.printf("%s {\n", join("enum", p.names.name(e)))
	wide := false
	for _, v := range e.Values {
		if p.values[v.Name]++; p.values[v.Name] > 1 {
			v.Name = fmt.Sprintf("%s___%d", v.Name, p.values[v.Name])
		}
		switch {
		case e.Size == 8 && e.Signed:
			p.printf("\t%s = %dLL,\n", v.Name, int64(v.Value))
			wide = wide || int64(v.Value) != int64(int32(v.Value))
		case e.Size == 8:
			p.printf("\t%s = %dULL,\n", v.Name, v.Value)
			wide = wide || v.Value > 1<<32-1
		case e.Signed:
			p.printf("\t%s = %d,\n", v.Name, int32(v.Value))
		default:
			p.printf("\t%s = %d,\n", v.Name, uint32(v.Value))
		}
	}
	p.printf("}")
	switch {
	case e.Size == 1:
		p.printf(" __attribute__((mode(byte)))")
	case e.Size == 2:
		p.printf(" __attribute__((mode(HI)))")
	case e.Size == 8 && !wide:
		p.printf(" __attribute__((mode(word)))")
	}
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
