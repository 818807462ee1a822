package kernels

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// clang returns the path of a clang that can compile for BPF.
func clang(t *testing.T) string {
	for _, c := range []string{"clang", "clang-19", "clang-18", "clang-20", "clang-21", "clang-22"} {
		if p, err := exec.LookPath(c); err == nil {
			return p
		}
	}
	t.Skip("no clang on this machine")
	return ""
}

// TestHeaderCompiles compiles the header for BPF and asserts that the compiler's layout of every struct and union, and
// the value of every enumerator, are those of the BTF.
func TestHeaderCompiles(t *testing.T) {
	cc := clang(t)
	k := kernel(t)
	dir := t.TempDir()
	var h bytes.Buffer
	if err := k.Header(&h); err != nil {
		t.Fatal(err)
	}
	var c bytes.Buffer
	c.WriteString("#include \"vmlinux.h\"\n")
	asserts := layoutAsserts(t, &c, k)
	if asserts < 10000 {
		t.Errorf("%d assertions: too few to say anything", asserts)
	}
	c.WriteString("int f(struct task_struct *p) { return scx_bpf_task_cpu(p) + p->scx.weight; }\n")
	for name, b := range map[string]*bytes.Buffer{"vmlinux.h": &h, "check.bpf.c": &c} {
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, opt := range []string{"", "-DBPF_NO_PRESERVE_ACCESS_INDEX", "-DBPF_NO_KFUNC_PROTOTYPES -Wno-implicit-function-declaration"} {
		args := append([]string{"-target", "bpf", "-g", "-O2", "-Wall", "-Werror", "-Wno-missing-declarations", "-Wno-unused-value",
			"-c", "check.bpf.c", "-o", "check.bpf.o"}, fields(opt)...)
		cmd := exec.Command(cc, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%.3000s", opt, err, out)
		}
	}
	t.Logf("%d bytes of header, %d assertions", h.Len(), asserts)
}

func fields(s string) []string {
	var out []string
	for _, f := range bytes.Fields([]byte(s)) {
		out = append(out, string(f))
	}
	return out
}

// layoutAsserts writes a _Static_assert for the size of each named struct and union, the offset of each named member
// that is no bit field, and the value of each enumerator.
func layoutAsserts(t *testing.T, c *bytes.Buffer, k *Kernel) int {
	n := 0
	assert := func(format string, args ...any) {
		n++
		fmt.Fprintf(c, "_Static_assert("+format+", \"%d\");\n", append(args, n)...)
	}
	seen := map[string]bool{}
	k.types(func(typ btf.Type) {
		var ms []btf.Member
		tag, size := "struct", uint32(0)
		switch v := typ.(type) {
		case *btf.Struct:
			ms, size = v.Members, v.Size
		case *btf.Union:
			tag, ms, size = "union", v.Members, v.Size
		case *btf.Enum:
			for _, e := range v.Values {
				if !seen[e.Name] {
					seen[e.Name] = true
					assert("(unsigned long long)%s == %dULL", e.Name, e.Value)
				}
			}
			if v.Name != "" && len(v.Values) > 0 && !seen[" "+v.Name] {
				assert("sizeof(enum %s) == %d", v.Name, v.Size)
			}
			seen[" "+v.Name] = true
			return
		}
		name := typ.TypeName()
		if ms == nil || name == "" || seen[" "+name] {
			return
		}
		seen[" "+name] = true
		name = tag + " " + name
		assert("sizeof(%s) == %d", name, size)
		var walk func(ms []btf.Member, base btf.Bits)
		walk = func(ms []btf.Member, base btf.Bits) {
			for _, m := range ms {
				if m.Name == "" {
					switch v := btf.UnderlyingType(m.Type).(type) {
					case *btf.Struct:
						walk(v.Members, base+m.Offset)
					case *btf.Union:
						walk(v.Members, base+m.Offset)
					}
				} else if m.BitfieldSize == 0 {
					assert("__builtin_offsetof(%s, %s) == %d", name, m.Name, (base + m.Offset).Bytes())
				}
			}
		}
		walk(ms, 0)
	})
	return n
}
