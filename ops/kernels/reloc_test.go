package kernels

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

// TestRelocations resolves the CO-RE relocations of compiled objects against the full BTF and against the reduced one:
// the results must be the same. It needs KERNEL_BTF (the file that the reduced BTF was made from) and BPF_OBJECTS (a
// glob pattern).
func TestRelocations(t *testing.T) {
	full, objects := os.Getenv("KERNEL_BTF"), os.Getenv("BPF_OBJECTS")
	if full == "" || objects == "" {
		t.Skip("KERNEL_BTF and BPF_OBJECTS are not set")
	}
	raw, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	want, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(objects)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %d files", objects, err, len(files))
	}
	have := kernel(t).BTF()
	total := 0
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			local, relos := relocations(t, f)
			for _, r := range relos {
				if strings.HasPrefix(r.String(), "CORERelocation(target_type_id") {
					continue // ids are those of the BTF at hand
				}
				total++
				a, errA := relocate(local, r, want)
				b, errB := relocate(local, r, have)
				if (errA == nil) != (errB == nil) || cmp.Diff(a, b) != "" {
					t.Errorf("%v: full %v (%v), reduced %v (%v)", r, a, errA, b, errB)
				}
			}
		})
	}
	t.Logf("%d relocations in %d objects", total, len(files))
}

func relocate(local *btf.Spec, r *btf.CORERelocation, target *btf.Spec) (string, error) {
	fix, err := btf.CORERelocate([]*btf.CORERelocation{r}, []*btf.Spec{target}, binary.LittleEndian, local.TypeID)
	if err != nil {
		return "", err
	}
	return fix[0].String(), nil
}

func relocations(t *testing.T, file string) (*btf.Spec, []*btf.CORERelocation) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spec, ext, err := btf.LoadSpecAndExtInfosFromReader(bytes.NewReader(data))
	if err != nil {
		t.Skip(err)
	}
	e, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var out []*btf.CORERelocation
	for _, s := range e.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 || s.Size == 0 || strings.HasPrefix(s.Name, ".rel") {
			continue
		}
		_, _, relos := ext.Section(s.Name)
		for _, r := range relos {
			out = append(out, r.Relo)
		}
	}
	return spec, out
}
