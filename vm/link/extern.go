package link

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// extern is how an extern was resolved.
type extern struct {
	set  bool
	name string // the kernel's name
	why  string // not set: the reason, for messages
}

// resolveExterns follows bpf_object__resolve_externs: kconfig values are written to the .kconfig map, functions and
// variables looked up in the kernel's BTF.
func (l *linker) resolveExterns() error {
	l.externs = make([]extern, len(l.in.Externs))
	for i, e := range l.in.Externs {
		var err error
		switch e.Kind {
		case elf.ExternKconfig:
			err = l.kconfig(e)
		case elf.ExternFunc:
			l.externs[i], err = l.ksymFunc(e)
		default:
			l.externs[i], err = l.ksymVar(e)
		}
		if err != nil {
			return fmt.Errorf("extern %q: %w", e.Name, err)
		}
	}
	return nil
}

// Missing is the error of something that the object needs and the kernel does not have. Another kernel may.
type Missing struct {
	Kind string // "function", "variable", "struct", or "member" of a struct
	Name string // of a member: "struct.member"
	hint string
	text string // instead of what Error says otherwise
}

// Error names it, and what is alike.
func (m *Missing) Error() string {
	if m.text != "" {
		return m.text + m.hint
	}
	return fmt.Sprintf("the kernel has no %s %q%s", m.Kind, m.Name, m.hint)
}

// ksymFunc follows bpf_object__resolve_ksym_func_btf_id: the last ___suffix is no part of the kernel's name, and the
// prototypes must be compatible, or a weak declaration counts as absent.
func (l *linker) ksymFunc(e *elf.Extern) (extern, error) {
	name := essential(e.Name)
	fn, err := l.kernelFunc(name)
	if err != nil {
		return extern{}, err
	}
	module := ""
	if fn == nil {
		if fn, module, err = l.moduleFunc(name); err != nil {
			return extern{}, err
		}
	}
	if fn == nil {
		why := fmt.Sprintf("kernel function %q, which the kernel does not have", name)
		if e.Weak {
			return extern{why: why}, nil
		}
		return extern{}, &Missing{"function", name, l.nearestKernel(name, "func"), ""}
	}
	if !compatible(e.Type, fn.Type) {
		why := fmt.Sprintf("kernel function %q, declared as %s but %s in the kernel", name, protoString(e.Type), protoString(fn.Type))
		if e.Weak {
			return extern{why: why}, nil
		}
		return extern{}, fmt.Errorf("declared as %s, but the kernel's %q is %s", protoString(e.Type), name, protoString(fn.Type))
	}
	if module != "" {
		return extern{set: true, name: module + ":" + name}, nil
	}
	// A function with implicit arguments (KF_IMPLICIT_ARGS) has a twin with the suffix _impl that spells them out. Both
	// are one function to callers: the verifier supplies the arguments, whatever the program passes there.
	if public, ok := strings.CutSuffix(name, "_impl"); ok {
		twin, err := l.kernelFunc(public)
		if err != nil {
			return extern{}, err
		}
		if twin != nil && implicitTwin(twin.Type, fn.Type) {
			name = public
		}
	}
	return extern{set: true, name: name}, nil
}

// implicitTwin tells whether impl has the parameters of public and more.
func implicitTwin(public, impl btf.Type) bool {
	p, ok1 := public.(*btf.FuncProto)
	i, ok2 := impl.(*btf.FuncProto)
	if !ok1 || !ok2 || len(i.Params) <= len(p.Params) {
		return false
	}
	for k, param := range p.Params {
		if i.Params[k].Name != param.Name {
			return false
		}
	}
	return true
}

// ksymVar follows bpf_object__resolve_ksym_var_btf_id for typed variables; those without a type (extern void) name any
// symbol of the kernel that its BTF knows.
func (l *linker) ksymVar(e *elf.Extern) (extern, error) {
	types, err := l.kernelTypes(e.Name)
	if err != nil {
		return extern{}, err
	}
	local := btf.UnderlyingType(e.Type)
	_, untyped := local.(*btf.Void)
	for _, t := range types {
		switch t := t.(type) {
		case *btf.Func:
			if untyped {
				return extern{set: true, name: e.Name}, nil
			}
		case *btf.Var:
			if untyped {
				return extern{set: true, name: e.Name}, nil
			}
			kernel := btf.UnderlyingType(t.Type)
			if !compatible(local, kernel) {
				return extern{}, fmt.Errorf("declared as %s, but the kernel's variable is %s", typeName(local), typeName(kernel))
			}
			return extern{set: true, name: e.Name}, nil
		}
	}
	if e.Weak {
		return extern{why: fmt.Sprintf("kernel variable %q, which the kernel does not have", e.Name)}, nil
	}
	return extern{}, &Missing{"variable", e.Name, l.nearestKernel(e.Name, "var"), ""}
}

func (l *linker) kernelTypes(name string) ([]btf.Type, error) {
	types, err := l.kernel.AnyTypesByName(name)
	if err != nil && !isNotFound(err) {
		return nil, fmt.Errorf("kernel type %q: %w", name, err)
	}
	out := types[:0]
	for _, t := range types {
		if t.TypeName() == name {
			out = append(out, t)
		}
	}
	return out, nil
}

func (l *linker) kernelFunc(name string) (*btf.Func, error) {
	types, err := l.kernelTypes(name)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if f, ok := t.(*btf.Func); ok {
			return f, nil
		}
	}
	return nil, nil
}

// moduleFunc finds a function in the first loaded module that has one of the name, as find_ksym_btf_id does.
func (l *linker) moduleFunc(name string) (fn *btf.Func, module string, err error) {
	t, ok := l.target.(Modular)
	if !ok {
		return nil, "", nil
	}
	for _, m := range t.Modules() {
		switch err := m.BTF.TypeByName(name, &fn); {
		case err == nil:
			return fn, m.Name, nil
		case !isNotFound(err):
			return nil, "", fmt.Errorf("types of module %s: %q: %w", m.Name, name, err)
		}
	}
	return nil, "", nil
}

// nearestKernel looks for a like name among the kernel's functions or variables. It reads all of the kernel's types, which
// only a message is worth.
func (l *linker) nearestKernel(name, kind string) string {
	var names []string
	for t, err := range l.kernel.All() {
		if err != nil {
			return ""
		}
		if kindOf(t) == kind {
			names = append(names, t.TypeName())
		}
	}
	return elf.DidYouMean(name, names)
}

// protoString spells a prototype with kinds and names of types, enough to see where two differ.
func protoString(t btf.Type) string {
	p, ok := t.(*btf.FuncProto)
	if !ok {
		return typeName(t)
	}
	var b strings.Builder
	b.WriteString(short(p.Return, maxDepth) + " (")
	for i, a := range p.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(short(a.Type, maxDepth))
	}
	return b.String() + ")"
}

func short(t btf.Type, depth int) string {
	if depth == 0 {
		return "..."
	}
	switch t := t.(type) {
	case *btf.Pointer:
		return short(t.Target, depth-1) + " *"
	case *btf.Typedef, *btf.Int:
		return t.TypeName()
	case *btf.Const:
		return short(t.Type, depth-1)
	case *btf.Volatile:
		return short(t.Type, depth-1)
	case *btf.TypeTag:
		return short(t.Type, depth-1)
	case *btf.Void:
		return "void"
	case *btf.Array:
		return fmt.Sprintf("%s[%d]", short(t.Type, depth-1), t.Nelems)
	case *btf.FuncProto:
		return "function"
	}
	return typeName(t)
}

// kconfig computes a .kconfig variable, following set_kcfg_value_tri, _num and _str.
func (l *linker) kconfig(e *elf.Extern) error {
	m := l.kconfigMap()
	dst := m.Data[e.Off:][:e.Size]
	t := btf.UnderlyingType(e.Type)
	if !strings.HasPrefix(e.Name, "CONFIG_") {
		switch {
		case e.Name == "LINUX_KERNEL_VERSION":
			return setKconfigNum(dst, t, uint64(l.target.Version()))
		case e.Name == "LINUX_HAS_BPF_COOKIE", e.Name == "LINUX_HAS_SYSCALL_WRAPPER":
			return setKconfigNum(dst, t, 1)
		case strings.HasPrefix(e.Name, "LINUX_") && e.Weak:
			return setKconfigNum(dst, t, 0)
		}
		return fmt.Errorf("neither CONFIG_... nor a LINUX_... value that is known")
	}
	v, ok := l.target.Kconfig(e.Name)
	if !ok {
		if e.Weak {
			return nil
		}
		return fmt.Errorf("the kernel's configuration does not set it")
	}
	switch {
	case v == "y" || v == "m" || v == "n":
		return setKconfigTri(dst, t, v[0])
	case strings.HasPrefix(v, `"`):
		arr, ok := t.(*btf.Array)
		if !ok || !isChar(arr.Type) {
			return fmt.Errorf("the value %s needs a char array, not %s", v, typeName(t))
		}
		s := strings.TrimSuffix(v[1:], `"`)
		copy(dst[:len(dst)-1], s)
		return nil
	}
	n, err := strconv.ParseUint(v, 0, 64)
	if err != nil {
		s, err := strconv.ParseInt(v, 0, 64)
		if err != nil {
			return fmt.Errorf("the value %q is no number", v)
		}
		n = uint64(s)
	}
	return setKconfigNum(dst, t, n)
}

func isChar(t btf.Type) bool {
	i, ok := btf.UnderlyingType(t).(*btf.Int)
	return ok && i.Size == 1 && i.Encoding != btf.Bool
}

func setKconfigTri(dst []byte, t btf.Type, v byte) error {
	switch u := t.(type) {
	case *btf.Enum:
		if u.Name == "libbpf_tristate" && len(dst) >= 4 {
			n := map[byte]uint32{'n': 0, 'y': 1, 'm': 2}[v]
			binary.LittleEndian.PutUint32(dst, n)
			return nil
		}
	case *btf.Int:
		switch {
		case u.Encoding == btf.Bool && u.Size == 1:
			if v == 'm' {
				return fmt.Errorf("the value m does not fit a bool")
			}
			dst[0] = byte(b2u(v == 'y'))
			return nil
		case u.Size == 1:
			dst[0] = v
			return nil
		}
	}
	return fmt.Errorf("the value %c needs a bool, char or enum libbpf_tristate, not %s", v, typeName(t))
}

func setKconfigNum(dst []byte, t btf.Type, v uint64) error {
	i, ok := t.(*btf.Int)
	if !ok || len(dst) > 8 || len(dst)&(len(dst)-1) != 0 {
		return fmt.Errorf("the value %d needs an integer, not %s", v, typeName(t))
	}
	bits := uint(len(dst)) * 8
	switch {
	case i.Encoding == btf.Bool && v > 1,
		i.Encoding == btf.Signed && bits < 64 && v+1<<(bits-1) >= 1<<bits,
		i.Encoding != btf.Signed && bits < 64 && v>>bits != 0:
		return fmt.Errorf("the value %d does not fit %s", v, typeName(t))
	}
	for k := range dst {
		dst[k] = byte(v >> (8 * k))
	}
	return nil
}

func (l *linker) kconfigMap() *Map {
	for _, m := range l.out.Maps {
		if m.Section == ".kconfig" {
			return m
		}
	}
	panic("BUG: a kconfig extern without a .kconfig map")
}
