package recipes

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/schedsim/schedsim/vm/elf"
)

// maxSteps bounds what one call into a script or one expression executes.
const maxSteps = 100_000_000

func fileOptions() *syntax.FileOptions {
	return &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true}
}

// program compiles the script; nil without one.
func (r *Recipe) program() (*starlark.Program, error) {
	if r.Script == "" {
		return nil, nil
	}
	names := (&runner{}).builtins()
	known := maps.Clone(names)
	for _, name := range machineNames {
		known[name] = starlark.None
	}
	_, p, err := starlark.SourceProgramOptions(fileOptions(), r.scriptFile, r.Script, func(name string) bool {
		_, ok := names[name]
		return ok || slices.Contains(machineNames, name)
	})
	return p, named(err, known)
}

// checkExpr tells whether an expression is one.
func checkExpr(file string, line int, x string) error {
	_, err := fileOptions().ParseExpr(file, position(line, x), 0)
	return scriptError(err)
}

// position makes the first line of x that of the file.
func position(line int, x string) any {
	return syntax.FilePortion{Content: []byte(x), FirstLine: int32(line), FirstCol: 1}
}

// named gives an error about a name that is not defined the nearest of those that are.
func named(err error, env starlark.StringDict) error {
	var list resolve.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		return err
	}
	text := list[0].Msg
	if name, ok := strings.CutPrefix(text, "undefined: "); ok && !strings.Contains(text, "did you mean") {
		text += elf.DidYouMean(name, sorted(env))
	}
	return &Error{list[0].Pos.Filename(), int(list[0].Pos.Line), errors.New(text)}
}

// scriptError is the innermost place of an error with its text.
func scriptError(err error) error {
	e, ok := err.(*starlark.EvalError)
	if !ok {
		return err
	}
	for i := len(e.CallStack) - 1; i >= 0; i-- {
		if pos := e.CallStack[i].Pos; pos.Line > 0 {
			return &Error{pos.Filename(), int(pos.Line), e.Unwrap()}
		}
	}
	return err
}

// toGo makes a value of Starlark one of Go: nil, bool, int64, uint64, float64, string, []byte, []any, map[string]any.
func toGo(v starlark.Value) (any, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		if i, ok := v.Int64(); ok {
			return i, nil
		}
		if u, ok := v.Uint64(); ok {
			return u, nil
		}
		return nil, fmt.Errorf("%s does not fit 64 bits", v)
	case starlark.Float:
		return float64(v), nil
	case starlark.String:
		return string(v), nil
	case starlark.Bytes:
		return []byte(v), nil
	case *cellValue:
		return v.c.Get()
	case starlark.IterableMapping:
		out := map[string]any{}
		for _, item := range v.Items() {
			k, ok := starlark.AsString(item[0])
			if !ok {
				return nil, fmt.Errorf("a dict with a key of type %s, expected names", item[0].Type())
			}
			var err error
			if out[k], err = toGo(item[1]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *starlarkstruct.Struct:
		out := map[string]any{}
		for _, name := range v.AttrNames() {
			a, err := v.Attr(name)
			if err != nil {
				return nil, err
			}
			if out[name], err = toGo(a); err != nil {
				return nil, err
			}
		}
		return out, nil
	case starlark.Iterable:
		out := []any{}
		it := v.Iterate()
		defer it.Done()
		var x starlark.Value
		for it.Next(&x) {
			e, err := toGo(x)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a value of type %s", v.Type())
}

// fromGo is the inverse of toGo.
func fromGo(v any) starlark.Value {
	switch v := v.(type) {
	case nil:
		return starlark.None
	case bool:
		return starlark.Bool(v)
	case int:
		return starlark.MakeInt(v)
	case int32:
		return starlark.MakeInt(int(v))
	case int64:
		return starlark.MakeInt64(v)
	case uint64:
		return starlark.MakeBigInt(new(big.Int).SetUint64(v))
	case float64:
		return starlark.Float(v)
	case string:
		return starlark.String(v)
	case []byte:
		return starlark.Bytes(v)
	case []int32:
		return ints(v)
	case []any:
		out := make([]starlark.Value, len(v))
		for i := range v {
			out[i] = fromGo(v[i])
		}
		return starlark.NewList(out)
	case map[string]any:
		d := starlark.NewDict(len(v))
		for _, k := range sorted(v) {
			if err := d.SetKey(starlark.String(k), fromGo(v[k])); err != nil {
				panic("BUG: " + err.Error())
			}
		}
		return d
	}
	panic(fmt.Sprintf("BUG: a value of %T", v))
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func ints[T ~int32](list []T) *starlark.List {
	out := make([]starlark.Value, len(list))
	for i, v := range list {
		out[i] = starlark.MakeInt(int(v))
	}
	return starlark.NewList(out)
}
