package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// entries reads a newc archive: names in order, and the contents of files.
func entries(t *testing.T, data []byte) (names []string, files map[string]string) {
	t.Helper()
	files = map[string]string{}
	align := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; ; {
		if at+110 > len(data) || string(data[at:at+6]) != "070701" {
			t.Fatalf("no header at byte %d of %d", at, len(data))
		}
		field := func(i int) int {
			v, err := strconv.ParseUint(string(data[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		mode, size, nameSize := field(1), field(6), field(11)
		name := string(data[at+110 : at+110+nameSize-1])
		body := align(at + 110 + nameSize)
		if name == "TRAILER!!!" {
			return names, files
		}
		names = append(names, fmt.Sprintf("%o %s", mode, name))
		if mode&0o170000 == 0o100000 {
			files[name] = string(data[body : body+size])
		}
		at = align(body + size)
	}
}

func TestArchive(t *testing.T) {
	pack := func() []byte {
		a := NewArchive()
		a.Add("/init", []byte("abc"), 0o755)
		a.Add("/o/deep/er/x.o", []byte("12345"), 0o644)
		a.Add("/o/deep/y", nil, 0o644)
		return a.Bytes()
	}
	data := pack()
	names, files := entries(t, data)
	want := []string{"40755 dev", "20600 dev/console", "40755 proc", "40755 sys", "40755 tmp", "100755 init", "40755 o", "40755 o/deep",
		"40755 o/deep/er", "100644 o/deep/er/x.o", "100644 o/deep/y"}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"init": "abc", "o/deep/er/x.o": "12345", "o/deep/y": ""}, files); d != "" {
		t.Error(d)
	}
	if !bytes.Equal(data, pack()) {
		t.Error("the same files, other bytes")
	}
}

func TestArgs(t *testing.T) {
	m := Machine{Data: []string{"/fw"}, Kernel: "/k", CPUs: 2, Icount: true, Shift: 1, QuantumUS: 20, Seed: 7, MemoryMB: 512, Port: "p"}
	icount := strings.Join(m.Args("/i", "/o"), " ")
	for _, want := range []string{"-L /fw", "-m 512", "-smp 2", "-kernel /k", "-initrd /i", "path=/o", "name=p", "-accel tcg,thread=single",
		"-icount shift=1,sleep=off", "-seed 7", "interval=20", "clock=vm"} {
		if !strings.Contains(icount, want) {
			t.Errorf("no %q in %s", want, icount)
		}
	}
	m.QuantumUS = 0
	if s := strings.Join(m.Args("/i", "/o"), " "); strings.Contains(s, "interval") {
		t.Errorf("a quantum in %s", s)
	}
	m.Icount = false
	if s := strings.Join(m.Args("/i", "/o"), " "); !strings.Contains(s, "thread=multi") || strings.Contains(s, "icount") {
		t.Error(s)
	}
}

// script is a program that takes QEMU's place.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// toPort has the script's $PORT be the file of the port.
const toPort = `for a in "$@"; do case "$a" in *path=*) PORT=${a##*path=};; esac; done` + "\n"

func TestRun(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	t.Run("lines", func(t *testing.T) {
		m := Machine{Program: script(t, toPort+`echo one >>"$PORT"; printf two >>"$PORT"; echo; echo three >>"$PORT"; printf rest >>"$PORT"`)}
		var lines []string
		all, err := m.Run(context.Background(), time.Minute, func(l []byte) { lines = append(lines, string(l)) })
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"one", "twothree"}, lines); d != "" {
			t.Error(d)
		}
		if string(all) != "one\ntwothree\nrest" {
			t.Errorf("%q", all)
		}
	})
	t.Run("failure", func(t *testing.T) {
		m := Machine{Program: script(t, "echo no such machine >&2; exit 3\n")}
		if _, err := m.Run(context.Background(), time.Minute, nil); err == nil || !strings.Contains(err.Error(), "no such machine") {
			t.Error(err)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		m := Machine{Program: script(t, toPort+`echo kept >>"$PORT"; echo stuck; exec sleep 600`)}
		all, err := m.Run(context.Background(), time.Second, nil)
		if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "stuck") || string(all) != "kept\n" {
			t.Errorf("%q, %v", all, err)
		}
	})
}
