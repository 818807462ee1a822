package cdecl

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Declaration returns the C declaration of a function: "s32 f(u64 a, struct task_struct *p)".
func Declaration(f *btf.Func) string {
	return names{}.decl(f.Type, f.Name)
}

// TypeString returns a type as C writes it in a cast: "const struct cpumask *".
func TypeString(t btf.Type) string {
	return names{}.decl(t, "")
}

// Variable returns the C declaration of a variable, or of a member: "struct task_struct *p".
func Variable(t btf.Type, name string) string {
	return names{}.decl(t, name)
}

// names are the names by which types are called where they differ from their own (namesakes get a suffix).
type names map[btf.Type]string

func (n names) name(t btf.Type) string {
	if s, ok := n[t]; ok {
		return s
	}
	return t.TypeName()
}

// decl declares name with type t. C declarators grow from the inside: name is what has been built so far.
func (n names) decl(t btf.Type, name string) string {
	quals := ""
	for {
		switch v := t.(type) {
		case *btf.Const:
			quals, t = quals+"const ", v.Type
			continue
		case *btf.Volatile:
			quals, t = quals+"volatile ", v.Type
			continue
		case *btf.Restrict:
			quals, t = quals+"restrict ", v.Type
			continue
		case *btf.TypeTag:
			t = v.Type
			continue
		case *btf.Pointer:
			inner := "*" + strings.ReplaceAll(quals, "restrict", "__restrict") + name
			if quals != "" && name == "" {
				inner = strings.TrimSuffix(inner, " ")
			}
			switch btf.QualifiedType(v.Target).(type) {
			case *btf.Array, *btf.FuncProto:
				inner = "(" + inner + ")"
			}
			return n.decl(v.Target, inner)
		case *btf.Array:
			// A qualified array is an array of qualified elements.
			return n.decl(qualify(v.Type, quals), name+fmt.Sprintf("[%d]", v.Nelems))
		case *btf.FuncProto:
			return n.decl(v.Return, name+n.params(v))
		}
		return join(quals+n.base(t), name)
	}
}

// qualify returns t with the qualifiers that it does not have yet.
func qualify(t btf.Type, quals string) btf.Type {
	has := ""
	for u := t; ; {
		switch v := u.(type) {
		case *btf.Const:
			has, u = has+"const ", v.Type
			continue
		case *btf.Volatile:
			has, u = has+"volatile ", v.Type
			continue
		}
		break
	}
	if strings.Contains(quals, "const") && !strings.Contains(has, "const") {
		t = &btf.Const{Type: t}
	}
	if strings.Contains(quals, "volatile") && !strings.Contains(has, "volatile") {
		t = &btf.Volatile{Type: t}
	}
	return t
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + " " + b
}

// params prints a parameter list.
func (n names) params(p *btf.FuncProto) string {
	if len(p.Params) == 0 {
		return "(void)"
	}
	var out []string
	for _, a := range p.Params {
		if _, void := a.Type.(*btf.Void); void {
			out = append(out, "...")
			continue
		}
		out = append(out, n.decl(a.Type, a.Name))
	}
	return "(" + strings.Join(out, ", ") + ")"
}

// base names a type that is not derived from another.
func (n names) base(t btf.Type) string {
	switch v := t.(type) {
	case *btf.Struct:
		return "struct " + n.name(v)
	case *btf.Union:
		return "union " + n.name(v)
	case *btf.Enum:
		return "enum " + n.name(v)
	case *btf.Fwd:
		if v.Kind == btf.FwdUnion {
			return "union " + n.name(v)
		}
		return "struct " + n.name(v)
	case *btf.Void:
		return "void"
	}
	return n.name(t)
}
