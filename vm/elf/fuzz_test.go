package elf

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// damaged is test object number file with some bytes changed: each four bytes of patch are an offset, which wraps around,
// and a value. File 255 is patch itself.
func damaged(tb testing.TB, file uint8, patch []byte) []byte {
	if file == 255 {
		return patch
	}
	files, err := filepath.Glob("testdata/*.bpf.o")
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

// FuzzRead: reading any bytes gives an object or an error, never both, neither or a panic; what it gives is consistent, and
// memory stays in proportion.
func FuzzRead(f *testing.F) {
	for file := range uint8(9) {
		f.Add(file, []byte{})
		f.Add(file, []byte{0x10, 1, 0, 0xff, 0x80, 2, 0, 1})
	}
	f.Add(uint8(255), []byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, file uint8, patch []byte) {
		b := damaged(t, file, patch)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		o, err := Read("fuzz", bytes.NewReader(b))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20+200*uint64(len(b)) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(b))
		}
		if (o == nil) == (err == nil) {
			t.Fatalf("object %v, error %v", o, err)
		}
		if err != nil && strings.Contains(err.Error(), "malformed BTF (") {
			t.Errorf("a panic in the reader: %v", err)
		}
		if o != nil {
			checkObject(t, o)
		}
	})
}

// TestDamaged reads many damaged objects; FuzzRead states what has to hold.
func TestDamaged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		file := rapid.Uint8Range(0, 8).Draw(rt, "file")
		patch := rapid.SliceOfN(rapid.Byte(), 4, 32).Draw(rt, "patch")
		o, err := Read("damaged", bytes.NewReader(damaged(t, file, patch)))
		if (o == nil) == (err == nil) {
			rt.Fatalf("object %v, error %v", o, err)
		}
		if err != nil && strings.Contains(err.Error(), "malformed BTF (") {
			rt.Errorf("a panic in the reader: %v", err)
		}
		if o != nil {
			checkObject(t, o)
		}
	})
}

func checkObject(t *testing.T, o *Object) {
	for _, p := range o.Programs {
		if o.Funcs[p.Func].Name != p.Name {
			t.Errorf("program %q is function %q", p.Name, o.Funcs[p.Func].Name)
		}
	}
	for _, m := range o.Maps {
		if uint64(len(m.Data)) > uint64(m.ValueSize) {
			t.Errorf("map %q: %d bytes of %d", m.Name, len(m.Data), m.ValueSize)
		}
		for _, v := range m.Vars {
			if uint64(v.Off)+uint64(v.Size) > uint64(m.ValueSize) {
				t.Errorf("map %q: variable %q at %d+%d of %d", m.Name, v.Name, v.Off, v.Size, m.ValueSize)
			}
		}
	}
	for _, fn := range o.Funcs {
		slots := int32(len(fn.Code) / 8)
		last := int32(-1)
		for _, r := range fn.Relocs {
			limit := len(o.Maps)
			switch r.Kind {
			case RelocFunc, RelocCall:
				limit = len(o.Funcs)
			case RelocExtern, RelocExternCall:
				limit = len(o.Externs)
			case RelocJumpTable:
				limit = len(o.JumpTables)
			}
			if r.Insn <= last || r.Insn >= slots || r.Index < 0 || int(r.Index) >= limit {
				t.Errorf("function %q: relocation %+v after %d of %d slots", fn.Name, r, last, slots)
			}
			last = r.Insn
		}
		for _, l := range fn.Lines {
			if l.Insn < 0 || l.Insn >= slots {
				t.Errorf("function %q: line %+v of %d slots", fn.Name, l, slots)
			}
		}
		for _, c := range fn.Core {
			if c.Insn < 0 || c.Insn >= slots {
				t.Errorf("function %q: relocation %+v of %d slots", fn.Name, c, slots)
			}
		}
	}
}
