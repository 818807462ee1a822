package listing

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/mem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// target is Linux 7.2 for the linker.
type target struct{ *kernels.Kernel }

func (t target) BTF() (*btf.Spec, error) { return t.Kernel.BTF(), nil }
func (t target) Version() uint32         { return t.Kernel.Code }

func read(t *testing.T, path string) (*elf.Object, *link.Object) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o, err := elf.Read(filepath.Base(path), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Link(o, target{k}, link.Options{FillEnums: true, KeepGoing: true})
	if err != nil {
		t.Fatal(err)
	}
	return o, l
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

const (
	objects  = "../elf/testdata/"
	examples = "../../examples/bpf/"
)

// TestGolden lists objects that have all sorts of instructions, references, maps and types.
func TestGolden(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		types      bool
	}{
		{"isa", objects + "isa.bpf.o", false},
		{"calls", objects + "calls.bpf.o", false},
		{"core", objects + "core.bpf.o", true},
		{"maps", objects + "maps.bpf.o", true},
		{"globals", objects + "globals.bpf.o", true},
		{"arena", objects + "arena.bpf.o", false},
		{"simple", examples + "simple.bpf.o", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, l := read(t, tc.path)
			var b bytes.Buffer
			if err := WritePrograms(&b, Programs(o, l)); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name+".xlated", b.Bytes())
			b.Reset()
			if err := WriteMaps(&b, Maps(l)); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name+".map", b.Bytes())
			if tc.types {
				_, c, err := Types(o)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, tc.name+".btf", c)
			}
		})
	}
}

// TestMachine: each byte of the machine code of a program is shown once, and the compiler's own marks make it whole.
func TestMachine(t *testing.T) {
	e, err := jit.New(jit.Options{})
	if err != nil {
		t.Skip(err)
	}
	for _, path := range []string{objects + "isa.bpf.o", examples + "simple.bpf.o", examples + "llc_vtime.bpf.o"} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			o, l := read(t, path)
			m, err := mem.New(mem.Options{Reserve: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			stack, _, err := m.Alloc(engine.DefaultStack, 4096)
			if err != nil {
				t.Fatal(err)
			}
			env := &engine.Env{Mem: m, Call: &abi.Call{Mem: m}, StackTop: stack + engine.DefaultStack, StackSize: engine.DefaultStack, Budget: 1}
			for _, p := range l.Programs {
				ep := engine.Prog{Code: p.Code, Info: &abi.Prog{Name: p.Name}}
				for range p.Code.Kfuncs {
					ep.Kfuncs = append(ep.Kfuncs, func(*abi.Call, *abi.Args) uint64 { return 0 })
				}
				env.Progs = append(env.Progs, ep)
			}
			c, err := e.Compile(env)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			lister, ok := c.(engine.Lister)
			if !ok {
				t.Fatalf("engine %s shows no code", e.Name())
			}
			for i, p := range Programs(o, l) {
				if p.Error != "" {
					continue
				}
				code := lister.Listing(i)
				if err := p.AddMachine(code); err != nil {
					t.Fatal(err)
				}
				var all []Machine
				for _, f := range p.Functions {
					for _, in := range f.Insns {
						all = append(all, in.Machine...)
					}
				}
				slices.SortFunc(all, func(a, b Machine) int { return int(a.Off - b.Off) })
				at := code.Off
				for _, m := range all {
					if m.Off != at {
						t.Fatalf("%s: %#x follows after %#x", p.Name, m.Off, at)
					}
					if m.Text == "" || m.Text[0] == '.' {
						t.Errorf("%s: %#x: %s is %s", p.Name, m.Off, m.Bytes, m.Text)
					}
					at += int32(len(m.Bytes) / 2)
				}
				if end := code.Off + int32(len(code.Code)); at != end {
					t.Errorf("%s: the code is shown up to %#x, but ends at %#x", p.Name, at, end)
				}
			}
		})
	}
}

// TestNoBTF: an object without types has no C.
func TestNoBTF(t *testing.T) {
	if _, _, err := Types(&elf.Object{Name: "x.bpf.o"}); err == nil || err.Error() != "x.bpf.o: no BTF" {
		t.Errorf("got %v", err)
	}
}
