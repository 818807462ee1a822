package loader

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
)

// Variables come back as they were, also those far inside of a section and of a megabyte.
func TestGlobals(t *testing.T) {
	vars := []elf.Var{{Name: "a", Off: 0, Size: 4}, {Name: strings.Repeat("long", 50), Off: 127, Size: 128}, {Name: "far", Off: 1<<32 - 1, Size: 22 << 20}, {Name: "", Off: 300}}
	all := globalsOf(&link.Object{Maps: []*link.Map{{Name: "plain", Vars: vars}, {Name: ".bss", Section: ".bss", Vars: vars}},
		Arena: &elf.Arena{Map: 7, Vars: vars[:1]}})
	if len(all) != 2 || all[0].m != 1 || all[0].arena || all[1].m != 7 || !all[1].arena {
		t.Fatalf("%+v", all)
	}
	var got []elf.Var
	all[0].each(func(name string, off, size uint32) bool {
		got = append(got, elf.Var{Name: name, Off: off, Size: size})
		return true
	})
	if d := cmp.Diff(vars, got); d != "" {
		t.Error(d)
	}
	if off, size, ok := all[0].find("far"); !ok || off != 1<<32-1 || size != 22<<20 {
		t.Errorf("found %d, %d, %v", off, size, ok)
	}
	if _, _, ok := all[1].find("far"); ok {
		t.Error("found in the arena")
	}
}
