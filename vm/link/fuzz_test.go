package link

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/elf"
)

// damaged is a test object with some bytes changed: each four bytes of patch are an offset, which wraps around, and a value.
func damaged(tb testing.TB, file uint8, patch []byte) []byte {
	files, err := filepath.Glob("../elf/testdata/*.bpf.o")
	if err != nil || len(files) == 0 {
		tb.Fatal("no objects", err)
	}
	b, err := os.ReadFile(files[int(file)%len(files)])
	if err != nil {
		tb.Fatal(err)
	}
	for ; len(patch) >= 4; patch = patch[4:] {
		b[(int(patch[0])|int(patch[1])<<8|int(patch[2])<<16)%len(b)] = patch[3]
	}
	return b
}

// linkDamaged states what holds for every object that can be read: linking gives an object or an error, without a panic,
// and programs that are well-formed.
func linkDamaged(tb testing.TB, k testKernel, b []byte) {
	o, err := elf.Read("damaged", bytes.NewReader(b))
	if err != nil {
		return
	}
	l, err := Link(o, k, Options{FillEnums: true})
	if (l == nil) == (err == nil) {
		tb.Fatalf("object %v, error %v", l, err)
	}
	if err != nil {
		if strings.Contains(err.Error(), "malformed BTF (") || !strings.HasPrefix(err.Error(), "damaged: ") {
			tb.Errorf("error %v", err)
		}
		return
	}
	for _, p := range l.Programs {
		checkProgram(tb, l, p)
	}
	for _, m := range l.Maps {
		if uint64(len(m.Data)) > uint64(m.ValueSize) {
			tb.Errorf("map %q: %d bytes of %d", m.Name, len(m.Data), m.ValueSize)
		}
		for _, v := range m.Vars {
			name := v.Name
			if strings.ContainsAny(name, ".[") || m.Section == ".kconfig" {
				continue
			}
			if err := l.SetVar(name, make([]byte, v.Size)); err != nil && !strings.HasPrefix(err.Error(), "damaged: ") {
				tb.Errorf("error %v", err)
			}
		}
	}
}

func FuzzLink(f *testing.F) {
	for file := range uint8(9) {
		f.Add(file, []byte{})
		f.Add(file, []byte{0x60, 0, 0, 0x8d, 0x48, 1, 0, 5})
	}
	k := newTestKernel(f)
	f.Fuzz(func(t *testing.T, file uint8, patch []byte) { linkDamaged(t, k, damaged(t, file, patch)) })
}

// TestDamaged links many damaged objects.
func TestDamaged(t *testing.T) {
	k := newTestKernel(t)
	rapid.Check(t, func(rt *rapid.T) {
		file := rapid.Uint8Range(0, 8).Draw(rt, "file")
		patch := rapid.SliceOfN(rapid.Byte(), 4, 24).Draw(rt, "patch")
		linkDamaged(t, k, damaged(t, file, patch))
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// TestDamagedCode links objects whose code is damaged, which is where the linker has most to check.
func TestDamagedCode(t *testing.T) {
	k := newTestKernel(t)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"calls.bpf.o", "core.bpf.o", "globals.bpf.o", "isa.bpf.o", "ksyms.bpf.o", "maps.bpf.o"}).Draw(rt, "file")
		o := read(t, name)
		o.Name = "damaged"
		for range rapid.IntRange(1, 4).Draw(rt, "changes") {
			fn := o.Funcs[rapid.IntRange(0, len(o.Funcs)-1).Draw(rt, "function")]
			fn.Code = bytes.Clone(fn.Code)
			fn.Code[rapid.IntRange(0, len(fn.Code)-1).Draw(rt, "offset")] = rapid.Byte().Draw(rt, "value")
		}
		l, err := Link(o, k, Options{})
		if (l == nil) == (err == nil) || err != nil && strings.Contains(err.Error(), "malformed BTF (") {
			rt.Fatalf("object %v, error %v", l, err)
		}
		if l != nil {
			for _, p := range l.Programs {
				checkProgram(t, l, p)
			}
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
}
