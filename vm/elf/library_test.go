package elf_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/elf"
)

// TestAgainstLibrary compares our reading with that of cilium/ebpf, for the objects that it accepts.
func TestAgainstLibrary(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bpf.o")
	if err != nil || len(files) == 0 {
		t.Fatal("no objects", err)
	}
	for _, dir := range filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS")) {
		more, err := filepath.Glob(filepath.Join(dir, "*.bpf.o"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	compared := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
			if err != nil {
				t.Skip("the library refuses it:", err)
			}
			o, err := elf.Read(filepath.Base(file), bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			compared++
			theirs, ours := libraryMaps(spec), ourMaps(o)
			for name := range ours {
				if _, ok := theirs[name]; !ok && strings.HasPrefix(name, ".rodata") {
					delete(ours, name) // the library drops constants that no program refers to
				}
			}
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("maps (-library +ours):\n%s", diff)
			}
			if diff := cmp.Diff(libraryPrograms(spec), ourPrograms(o)); diff != "" {
				t.Errorf("programs (-library +ours):\n%s", diff)
			}
		})
	}
	if compared < 3 {
		t.Errorf("the library accepted %d objects only", compared)
	}
}

type mapSummary struct {
	Type, Key, Value, Max, Flags uint32
	Extra                        uint64
	Inner                        *mapSummary
	Slots                        int
}

func libraryMaps(spec *ebpf.CollectionSpec) map[string]mapSummary {
	out := map[string]mapSummary{}
	for name, m := range spec.Maps {
		if m.Type == ebpf.StructOpsMap {
			continue
		}
		s := mapSummary{Type: uint32(m.Type), Key: m.KeySize, Value: m.ValueSize, Max: m.MaxEntries, Flags: m.Flags, Extra: m.MapExtra}
		if m.InnerMap != nil {
			in := m.InnerMap
			s.Inner = &mapSummary{Type: uint32(in.Type), Key: in.KeySize, Value: in.ValueSize, Max: in.MaxEntries, Flags: in.Flags}
		}
		if !strings.HasPrefix(name, ".") {
			s.Slots = len(m.Contents)
		}
		out[name] = s
	}
	return out
}

func ourMaps(o *elf.Object) map[string]mapSummary {
	out := map[string]mapSummary{}
	for _, m := range o.Maps {
		if m.Section == ".kconfig" {
			continue
		}
		s := mapSummary{Type: uint32(m.Type), Key: m.KeySize, Value: m.ValueSize, Max: m.MaxEntries, Flags: m.Flags, Extra: m.Extra, Slots: len(m.Slots)}
		if m.Section != "" {
			s.Flags &^= elf.FlagMmapable // the library decides that when it loads
		}
		if in := m.Inner; in != nil {
			s.Inner = &mapSummary{Type: uint32(in.Type), Key: in.KeySize, Value: in.ValueSize, Max: in.MaxEntries, Flags: in.Flags}
		}
		out[m.Name] = s
	}
	return out
}

type progSummary struct {
	Section string
	Slots   int // of the main function and everything it reaches
	Source  string
}

func libraryPrograms(spec *ebpf.CollectionSpec) map[string]progSummary {
	out := map[string]progSummary{}
	for name, p := range spec.Programs {
		s := progSummary{Section: p.SectionName}
		for it := p.Instructions.Iterate(); it.Next(); {
			s.Slots += int(it.Ins.Width())
			if s.Source == "" && it.Ins.Source() != nil {
				s.Source = strings.TrimSpace(it.Ins.Source().String())
			}
		}
		out[name] = s
	}
	return out
}

func ourPrograms(o *elf.Object) map[string]progSummary {
	out := map[string]progSummary{}
	for _, p := range o.Programs {
		s := progSummary{Section: p.Section}
		seen := map[int]bool{p.Func: true}
		for todo := []int{p.Func}; len(todo) > 0; todo = todo[1:] {
			f := o.Funcs[todo[0]]
			s.Slots += len(f.Code) / asm.InstructionSize
			for _, r := range f.Relocs {
				if (r.Kind == elf.RelocCall || r.Kind == elf.RelocFunc) && !seen[int(r.Index)] {
					seen[int(r.Index)] = true
					todo = append(todo, int(r.Index))
				}
			}
		}
		if lines := o.Funcs[p.Func].Lines; len(lines) > 0 {
			s.Source = strings.TrimSpace(lines[0].Text)
		}
		out[p.Name] = s
	}
	return out
}
