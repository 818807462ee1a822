package main

import (
	"encoding/binary"
	"regexp"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// roots says which types of a kernel are kept.
type roots struct {
	// types are the names of structs, unions, enums and typedefs whose definition is kept, and how many pointers are
	// followed from them to other definitions.
	types map[string]int
	// patterns keep all types whose name matches.
	patterns []*regexp.Regexp
	// enumerators keep anonymous enums that have an enumerator which matches.
	enumerators *regexp.Regexp
	// funcs are the names of functions to keep beside the kernel functions.
	funcs map[string]bool
	// vars are the per-CPU variables that must be there; others are kept when their type is complete anyhow.
	vars map[string]bool
}

// reducer computes the closure of the roots over one spec.
type reducer struct {
	r     roots
	depth map[btf.Type]int      // kept composite types and typedefs: how many pointers may still be followed from there
	out   map[btf.Type]btf.Type // what stands for a type in the output
	fwds  map[fwdKey]*btf.Fwd
	full  map[fwdKey]btf.Type // the kept definition of a name
}

type fwdKey struct {
	name string
	kind btf.FwdKind
}

// reduce returns the raw BTF of the part of spec that r asks for, and the names of r that spec does not have.
func reduce(spec *btf.Spec, r roots) (raw []byte, absent []string, err error) {
	x := &reducer{
		r:     r,
		depth: map[btf.Type]int{},
		out:   map[btf.Type]btf.Type{},
		fwds:  map[fwdKey]*btf.Fwd{},
		full:  map[fwdKey]btf.Type{},
	}
	var all []btf.Type
	for t, err := range spec.All() {
		if err != nil {
			return nil, nil, err
		}
		all = append(all, t)
	}
	var tops []btf.Type
	found := map[string]bool{}
	for _, t := range all {
		if d, ok := x.root(t); ok {
			found[t.TypeName()] = true
			x.keep(t, d)
			tops = append(tops, t)
		}
	}
	for _, t := range all { // in the order of ids: the first of several namesakes stands for all
		if _, kept := x.depth[t]; !kept {
			continue
		}
		if k, ok := keyOf(t); ok && x.full[k] == nil {
			x.full[k] = t
		}
	}
	for _, t := range tops {
		x.convert(t)
	}
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range all {
		if ds, ok := t.(*btf.Datasec); ok {
			if c := x.datasec(ds); len(c.Vars) > 0 {
				if _, err := b.Add(c); err != nil {
					return nil, nil, err
				}
			}
			continue
		}
		if c := x.out[t]; c != nil {
			if _, err := b.Add(c); err != nil {
				return nil, nil, err
			}
		}
	}
	raw, err = b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	return raw, x.missing(found), err
}

// root tells whether t is asked for by name, and with what depth.
func (x *reducer) root(t btf.Type) (int, bool) {
	name := t.TypeName()
	switch t := t.(type) {
	case *btf.Func:
		return 0, x.r.funcs[name] || slices.Contains(t.Tags, "bpf_kfunc")
	case *btf.Enum:
		if name == "" {
			return 0, slices.ContainsFunc(t.Values, func(v btf.EnumValue) bool { return x.r.enumerators.MatchString(v.Name) })
		}
	case *btf.Struct, *btf.Union, *btf.Typedef, *btf.Int:
		if name == "" {
			return 0, false
		}
	case *btf.Var:
		return 0, x.r.vars[name] || x.simple(t.Type)
	default:
		return 0, false
	}
	if d, ok := x.r.types[name]; ok {
		return d, true
	}
	return 0, slices.ContainsFunc(x.r.patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
}

// simple tells whether a variable of type t can be kept without any further definition.
func (x *reducer) simple(t btf.Type) bool {
	for {
		switch v := t.(type) {
		case *btf.Array:
			t = v.Type
		case *btf.Typedef:
			t = v.Type
		case *btf.Const:
			t = v.Type
		case *btf.Volatile:
			t = v.Type
		case *btf.Int, *btf.Pointer, *btf.Enum:
			return true
		default:
			return false
		}
	}
}

// missing are the names asked for that the kernel does not have.
func (x *reducer) missing(found map[string]bool) []string {
	var names []string
	for _, m := range []map[string]bool{x.r.funcs, x.r.vars} {
		for n := range m {
			if !found[n] {
				names = append(names, n)
			}
		}
	}
	for n := range x.r.types {
		if !found[n] {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// keep marks t, what it embeds, and what it points to within d pointers.
func (x *reducer) keep(t btf.Type, d int) {
	switch v := t.(type) {
	case *btf.Struct, *btf.Union, *btf.Typedef, *btf.FuncProto:
		if old, ok := x.depth[t]; ok && old >= d {
			return
		}
		x.depth[t] = d
		switch v := v.(type) {
		case *btf.Struct:
			for _, m := range v.Members {
				x.keep(m.Type, d)
			}
		case *btf.Union:
			for _, m := range v.Members {
				x.keep(m.Type, d)
			}
		case *btf.Typedef:
			x.keep(v.Type, d)
		case *btf.FuncProto:
			x.keep(v.Return, d)
			for _, p := range v.Params {
				x.keep(p.Type, d)
			}
		}
	case *btf.Func:
		x.keep(v.Type, d)
	case *btf.Var:
		x.keep(v.Type, d)
	case *btf.Array:
		x.keep(v.Type, d)
	case *btf.Const:
		x.keep(v.Type, d)
	case *btf.Volatile:
		x.keep(v.Type, d)
	case *btf.Restrict:
		x.keep(v.Type, d)
	case *btf.TypeTag:
		x.keep(v.Type, d)
	case *btf.Pointer:
		// A type that cannot be declared forward is kept however deep it lies.
		if d > 0 || !forwardable(v.Target) {
			x.keep(v.Target, max(d-1, 0))
		}
	}
}

// forwardable tells whether a pointer to t can do with a forward declaration.
func forwardable(t btf.Type) bool {
	for {
		switch v := t.(type) {
		case *btf.Const:
			t = v.Type
		case *btf.Volatile:
			t = v.Type
		case *btf.Restrict:
			t = v.Type
		case *btf.TypeTag:
			t = v.Type
		case *btf.Struct:
			return v.Name != ""
		case *btf.Union:
			return v.Name != ""
		default:
			return false
		}
	}
}

func keyOf(t btf.Type) (fwdKey, bool) {
	switch v := t.(type) {
	case *btf.Struct:
		return fwdKey{v.Name, btf.FwdStruct}, true
	case *btf.Union:
		return fwdKey{v.Name, btf.FwdUnion}, true
	}
	return fwdKey{}, false
}

// convert returns the type that stands for t in the output.
func (x *reducer) convert(t btf.Type) btf.Type {
	if c, ok := x.out[t]; ok {
		return c
	}
	if k, ok := keyOf(t); ok {
		if _, kept := x.depth[t]; !kept {
			if full := x.full[k]; full != nil {
				return x.convert(full)
			}
			f := x.fwds[k]
			if f == nil {
				f = &btf.Fwd{Name: k.name, Kind: k.kind}
				x.fwds[k] = f
			}
			x.out[t] = f
			return f
		}
	}
	switch v := t.(type) {
	case *btf.Struct:
		c := &btf.Struct{Name: v.Name, Size: v.Size, Tags: v.Tags}
		x.out[t] = c
		c.Members = x.members(v.Members)
		return c
	case *btf.Union:
		c := &btf.Union{Name: v.Name, Size: v.Size, Tags: v.Tags}
		x.out[t] = c
		c.Members = x.members(v.Members)
		return c
	case *btf.Typedef:
		c := &btf.Typedef{Name: v.Name, Tags: v.Tags}
		x.out[t] = c
		c.Type = x.convert(v.Type)
		return c
	case *btf.Pointer:
		c := &btf.Pointer{}
		x.out[t] = c
		c.Target = x.convert(v.Target)
		return c
	case *btf.FuncProto:
		c := &btf.FuncProto{}
		x.out[t] = c
		c.Return = x.convert(v.Return)
		for _, p := range v.Params {
			c.Params = append(c.Params, btf.FuncParam{Name: p.Name, Type: x.convert(p.Type)})
		}
		return c
	case *btf.Func:
		c := &btf.Func{Name: v.Name, Linkage: v.Linkage, Tags: v.Tags, ParamTags: v.ParamTags}
		x.out[t] = c
		c.Type = x.convert(v.Type)
		return c
	case *btf.Var:
		c := &btf.Var{Name: v.Name, Linkage: v.Linkage, Tags: v.Tags}
		x.out[t] = c
		c.Type = x.convert(v.Type)
		return c
	case *btf.Array:
		c := &btf.Array{Nelems: v.Nelems}
		x.out[t] = c
		c.Index, c.Type = x.convert(v.Index), x.convert(v.Type)
		return c
	case *btf.Const:
		c := &btf.Const{}
		x.out[t] = c
		c.Type = x.convert(v.Type)
		return c
	case *btf.Volatile:
		c := &btf.Volatile{}
		x.out[t] = c
		c.Type = x.convert(v.Type)
		return c
	case *btf.Restrict:
		c := &btf.Restrict{}
		x.out[t] = c
		c.Type = x.convert(v.Type)
		return c
	case *btf.TypeTag:
		c := &btf.TypeTag{Value: v.Value}
		x.out[t] = c
		c.Type = x.convert(v.Type)
		return c
	}
	x.out[t] = t // Int, Enum, Float, Fwd, Void
	return t
}

func (x *reducer) members(in []btf.Member) []btf.Member {
	out := make([]btf.Member, len(in))
	for i, m := range in {
		out[i] = m
		out[i].Type = x.convert(m.Type)
	}
	return out
}

// datasec keeps the variables that were converted, at their offsets.
func (x *reducer) datasec(ds *btf.Datasec) *btf.Datasec {
	c := &btf.Datasec{Name: ds.Name, Size: ds.Size}
	for _, v := range ds.Vars {
		if t := x.out[v.Type]; t != nil {
			c.Vars = append(c.Vars, btf.VarSecinfo{Type: t, Offset: v.Offset, Size: v.Size})
		}
	}
	return c
}
