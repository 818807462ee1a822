package recipes

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/vm/abi"
)

// What scripts do with a loaded object.

func (x *runner) fnGet(unpack func(...any) error) (starlark.Value, error) {
	var path string
	if err := unpack("path", &path); err != nil {
		return nil, err
	}
	c, err := x.l.Var(path)
	if err != nil {
		return nil, err
	}
	return x.value(c, path)
}

func (x *runner) fnSet(unpack func(...any) error) (starlark.Value, error) {
	var path string
	var v starlark.Value
	if err := unpack("path", &path, "value", &v); err != nil {
		return nil, err
	}
	g, err := toGo(v)
	if err != nil {
		return nil, err
	}
	return starlark.None, x.setVar(path, g)
}

// mapAndKey unpacks what most functions of maps begin with.
func (x *runner) mapAndKey(unpack func(...any) error, more ...any) (*agent.Map, any, error) {
	var name string
	var key starlark.Value
	if err := unpack(append([]any{"map", &name, "key", &key}, more...)...); err != nil {
		return nil, nil, err
	}
	m, err := x.l.Map(name)
	if err != nil {
		return nil, nil, err
	}
	k, err := toGo(key)
	return m, k, err
}

// fnMapGet is a copy of the value of a key, None if there is none.
func (x *runner) fnMapGet(unpack func(...any) error) (starlark.Value, error) {
	m, key, err := x.mapAndKey(unpack)
	if err != nil {
		return nil, err
	}
	c, err := m.Lookup(key)
	if errors.Is(err, abi.ENOENT) {
		return starlark.None, nil
	}
	if err != nil {
		return nil, err
	}
	return x.value(m.CPUs(c)[0], "value")
}

// fnMapGetCPUs is a list of copies, one for each CPU.
func (x *runner) fnMapGetCPUs(unpack func(...any) error) (starlark.Value, error) {
	m, key, err := x.mapAndKey(unpack)
	if err != nil {
		return nil, err
	}
	c, err := m.Lookup(key)
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, e := range m.CPUs(c) {
		v, err := x.value(e, "value")
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return list(out), nil
}

func (x *runner) fnMapSet(unpack func(...any) error) (starlark.Value, error) {
	var v starlark.Value
	m, key, err := x.mapAndKey(unpack, "value", &v)
	if err != nil {
		return nil, err
	}
	value, err := raw(v)
	if err != nil {
		return nil, err
	}
	x.note("map " + m.Name())
	return starlark.None, m.Update(key, value)
}

// raw is toGo, but what came from a map or out of new() goes back byte by byte.
func raw(v starlark.Value) (any, error) {
	switch v := v.(type) {
	case *cellValue:
		return v.c.B, nil
	case *starlark.List:
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = raw(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return toGo(v)
}

func (x *runner) fnMapDelete(unpack func(...any) error) (starlark.Value, error) {
	m, key, err := x.mapAndKey(unpack)
	if err != nil {
		return nil, err
	}
	if err := m.Delete(key); errors.Is(err, abi.ENOENT) {
		return starlark.False, nil
	} else if err != nil {
		return nil, err
	}
	return starlark.True, nil
}

func (x *runner) fnMapKeys(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("map", &name); err != nil {
		return nil, err
	}
	m, err := x.l.Map(name)
	if err != nil {
		return nil, err
	}
	keys, err := m.Keys()
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	for _, k := range keys {
		v, err := x.value(k, "key")
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return list(out), nil
}

func (x *runner) fnMapInner(unpack func(...any) error) (starlark.Value, error) {
	entries := 0
	m, key, err := x.mapAndKey(unpack, "entries?", &entries)
	if err != nil {
		return nil, err
	}
	return starlark.None, m.PutInner(key, uint32(entries))
}

// fnNew is a zero value of a type.
func (x *runner) fnNew(unpack func(...any) error) (starlark.Value, error) {
	var name string
	if err := unpack("type", &name); err != nil {
		return nil, err
	}
	t, err := x.typeOf(name)
	if err != nil {
		return nil, err
	}
	c, err := agent.NewCell(t)
	if err != nil {
		return nil, err
	}
	return &cellValue{c, name, x}, nil
}

// fnSetattr sets a member by its name.
func (x *runner) fnSetattr(unpack func(...any) error) (starlark.Value, error) {
	var o starlark.HasSetField
	var name string
	var v starlark.Value
	if err := unpack("value", &o, "name", &name, "to", &v); err != nil {
		return nil, err
	}
	return starlark.None, o.SetField(name, v)
}

// fnArena is what lies at a user address of the arena.
func (x *runner) fnArena(unpack func(...any) error) (starlark.Value, error) {
	var addr starlark.Int
	var name string
	if err := unpack("addr", &addr, "type", &name); err != nil {
		return nil, err
	}
	a, ok := addr.Uint64()
	if !ok {
		return nil, fmt.Errorf("arena: address %s", addr)
	}
	t, err := x.typeOf(name)
	if err != nil {
		return nil, err
	}
	c, err := x.l.Arena(a, t)
	if err != nil {
		return nil, err
	}
	return x.value(c, name)
}

// fnArenaWrite writes 64-bit words to a user address of the arena.
func (x *runner) fnArenaWrite(unpack func(...any) error) (starlark.Value, error) {
	var addr starlark.Int
	var words *starlark.List
	if err := unpack("addr", &addr, "words", &words); err != nil {
		return nil, err
	}
	a, ok := addr.Uint64()
	if !ok {
		return nil, fmt.Errorf("arena_write: address %s", addr)
	}
	var b []byte
	for i := range words.Len() {
		w, ok := words.Index(i).(starlark.Int)
		u, fits := uint64(0), false
		if ok {
			u, fits = w.Uint64()
		}
		if !fits {
			return nil, fmt.Errorf("arena_write: word %d is %s", i, words.Index(i))
		}
		b = binary.LittleEndian.AppendUint64(b, u)
	}
	return starlark.None, x.l.WriteArena(a, b)
}

// fnRun runs a SYSCALL program with the members of its argument by name, and returns a struct of "ret" and "args".
func (x *runner) fnRun(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	if x.l == nil {
		return nil, errLoaded
	}
	name := ""
	if len(args) != 0 {
		name, _ = starlark.AsString(args[0])
	}
	if name == "" || len(args) > 2 {
		return nil, errors.New("run: expected the name of a program, and its argument as a value or by names")
	}
	var arg any
	if len(args) == 2 {
		var err error
		if arg, err = raw(args[1]); err != nil {
			return nil, err
		}
	} else if len(kw) > 0 {
		members := map[string]any{}
		for _, p := range kw {
			v, err := toGo(p[1])
			if err != nil {
				return nil, err
			}
			members[string(p[0].(starlark.String))] = v
		}
		arg = members
	}
	r0, c, err := x.runProg(name, arg)
	if err != nil {
		return nil, err
	}
	out := starlark.StringDict{"ret": starlark.MakeInt(int(r0)), "args": starlark.None}
	if c.Type != nil && len(c.B) > 0 {
		out["args"] = &cellValue{c, name, x}
	}
	return object("result", out), nil
}
