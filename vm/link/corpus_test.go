package link

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// fileTarget is a kernel given by its files.
type fileTarget struct {
	spec    *btf.Spec
	config  map[string]string
	enums   map[string]uint64
	version uint32
}

func (t *fileTarget) BTF() (*btf.Spec, error) { return t.spec, nil }

func (t *fileTarget) Kconfig(name string) (string, bool) {
	v, ok := t.config[name]
	return v, ok
}

func (t *fileTarget) Version() uint32 { return t.version }

func (t *fileTarget) EnumValue(name string) (uint64, bool) {
	if t.enums == nil {
		t.enums = map[string]uint64{}
		for typ, err := range t.spec.All() {
			if err != nil {
				panic(err)
			}
			if e, ok := typ.(*btf.Enum); ok {
				for _, v := range e.Values {
					t.enums[v.Name] = v.Value
				}
			}
		}
	}
	v, ok := t.enums[name]
	return v, ok
}

// realTarget is the kernel whose BTF SCHEDSIM_BTF names, with the file config beside it.
func realTarget(tb testing.TB) *fileTarget {
	file := os.Getenv("SCHEDSIM_BTF")
	if file == "" {
		tb.Skip("SCHEDSIM_BTF is not set: a vmlinux.btf with the kernel's config beside it")
	}
	spec, err := btf.LoadSpec(file)
	if err != nil {
		tb.Fatal(err)
	}
	t := &fileTarget{spec: spec, config: map[string]string{}, version: 7<<16 | 2<<8}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(file), "config"))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			t.config[k] = v
		}
	}
	return t
}

func objects(tb testing.TB) []string {
	dirs := filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS"))
	if len(dirs) == 0 {
		tb.Skip("SCHEDSIM_OBJECTS is not set: directories with .bpf.o files")
	}
	var files []string
	for _, dir := range dirs {
		l, err := filepath.Glob(filepath.Join(dir, "*.bpf.o"))
		if err != nil || len(l) == 0 {
			tb.Fatalf("%s: no objects (%v)", dir, err)
		}
		files = append(files, l...)
	}
	return files
}

func readFile(tb testing.TB, file string) *elf.Object {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	o, err := elf.Read(filepath.Base(file), bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// TestCorpus links every object below SCHEDSIM_OBJECTS against the kernel of SCHEDSIM_BTF. Schedulers need nothing that the
// kernel does not have.
func TestCorpus(t *testing.T) {
	target := realTarget(t)
	for _, file := range objects(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			in := readFile(t, file)
			o, err := Link(in, target, Options{FillEnums: true, KeepGoing: true})
			if err != nil && strings.HasPrefix(in.Name, "verifier_") && strings.Contains(err.Error(), "the kernel has no function") {
				t.Skip("functions of a test module:", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			insns, live := 0, 0
			var calls []string
			for _, p := range o.Programs {
				checkProgram(t, o, p)
				insns += len(p.Code.Insns)
				for i, l := range p.Live {
					if !l {
						continue
					}
					live++
					if in := p.Code.Insns[i]; in.Op == ir.Invalid && strings.HasPrefix(o.Name, "scx_") {
						t.Errorf("%s, instruction %d (%s): live, but %s", p.Name, in.Orig, p.Code.Line(int32(i)), p.Poison[in.Imm])
					}
				}
				for _, c := range p.Calls {
					calls = append(calls, c.Name)
				}
				if p.Err != nil && !strings.HasPrefix(o.Name, "verifier_") {
					t.Error(p.Err)
				}
			}
			slices.Sort(calls)
			t.Logf("%d programs, %d instructions, %d live; %s", len(o.Programs), insns, live, strings.Join(slices.Compact(calls), " "))
		})
	}
}

// BenchmarkReadLink reads and links one object of SCHEDSIM_OBJECTS after the other; the kernel's BTF is loaded before.
func BenchmarkReadLink(b *testing.B) {
	target := realTarget(b)
	for _, file := range objects(b) {
		raw, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(strings.TrimSuffix(filepath.Base(file), ".bpf.o"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o, err := elf.Read(file, bytes.NewReader(raw))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := Link(o, target, Options{FillEnums: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
