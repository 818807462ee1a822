package agent

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/elf"
)

// Adapt makes numbers of the texts in a value for a type: numbers in any base, durations ("5ms", in the unit that the name of
// the variable or member ends with, else nanoseconds), and enumerators of the kernel joined by "|". What remains is what
// elf.Object.SetVar takes.
func Adapt(k *kernels.Kernel, t btf.Type, name string, value any) (any, error) {
	switch u := btf.UnderlyingType(t).(type) {
	case *btf.Int:
		if s, ok := value.(string); ok {
			return textNumber(k, name, s)
		}
	case *btf.Enum:
		if s, ok := value.(string); ok {
			if n, err := strconv.ParseInt(s, 0, 64); err == nil {
				return n, nil
			}
		}
	case *btf.Array:
		list, ok := value.([]any)
		if !ok {
			return value, nil
		}
		out := make([]any, len(list))
		for i, v := range list {
			var err error
			if out[i], err = Adapt(k, u.Type, name, v); err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
		}
		return out, nil
	case *btf.Struct, *btf.Union:
		members, ok := value.(map[string]any)
		if !ok {
			return value, nil
		}
		out := map[string]any{}
		for m, v := range members {
			at, err := (elf.Var{Size: 1 << 31, Type: u}).At("." + m)
			if err != nil {
				return nil, err
			}
			if out[m], err = Adapt(k, at.Type, m, v); err != nil {
				return nil, fmt.Errorf("member %s: %w", m, err)
			}
		}
		return out, nil
	}
	return value, nil
}

// textNumber reads a number.
func textNumber(k *kernels.Kernel, name, s string) (any, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return n, nil
	}
	if s == "true" || s == "false" {
		return s == "true", nil
	}
	if n, ok := duration(name, s); ok {
		return n, nil
	}
	if k != nil {
		sum, found := uint64(0), true
		for word := range strings.SplitSeq(s, "|") {
			n, ok := k.EnumValue(strings.TrimSpace(word))
			sum, found = sum|n, found && ok
		}
		if found {
			return sum, nil
		}
	}
	return nil, fmt.Errorf("%q is neither a number, a duration such as 5ms, nor an enumerator of the kernel", s)
}

var units = []struct {
	text string
	ns   int64
}{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}

// duration reads "5ms" in the unit of a variable.
func duration(name, s string) (int64, bool) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.text)
		if !ok {
			continue
		}
		whole, frac, _ := strings.Cut(digits, ".")
		n, err := strconv.ParseInt(whole+frac, 10, 64)
		if err != nil || whole == "" || len(frac) > 9 {
			continue
		}
		ns, scale := n*u.ns, int64(1)
		for range frac {
			scale *= 10
		}
		if n != 0 && ns/n != u.ns || ns%scale != 0 {
			return 0, false
		}
		ns /= scale
		for _, in := range units[1:] {
			if strings.HasSuffix(name, "_"+in.text) || strings.HasSuffix(name, "_"+map[string]string{"us": "usec", "ms": "msec", "s": "sec"}[in.text]) {
				if ns%in.ns != 0 {
					return 0, false
				}
				return ns / in.ns, true
			}
		}
		return ns, true
	}
	return 0, false
}

// TypeOf is the type of a global variable of an object, or of the part that a path leads to.
func TypeOf(o *elf.Object, path string) (btf.Type, error) {
	var find elf.Finder
	for _, m := range o.Maps {
		if m.Section != ".kconfig" {
			find.In(m.Vars, path)
		}
	}
	if o.Arena != nil {
		find.In(o.Arena.Vars, path)
	}
	if find.Var.Name == "" {
		return nil, fmt.Errorf("%s: variable %q: there is none%s", o.Name, path, find.Hint(path))
	}
	v, err := find.Var.At(path)
	if err != nil {
		return nil, fmt.Errorf("%s: variable %q: %w", o.Name, path, err)
	}
	return v.Type, nil
}

// AdaptVar is Adapt for a global variable.
func AdaptVar(k *kernels.Kernel, o *elf.Object, path string, value any) (any, error) {
	t, err := TypeOf(o, path)
	if err != nil {
		return nil, err
	}
	name := path
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	v, err := Adapt(k, t, name, value)
	if err != nil {
		return nil, fmt.Errorf("%s: variable %q: %w", o.Name, path, err)
	}
	return v, nil
}

// Duration reads a duration such as "100ms", in nanoseconds.
func Duration(s string) (int64, bool) { return duration("", s) }
