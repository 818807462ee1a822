package verdict

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/verifier"
)

// codesDir has a program for each code.
var codesDir = filepath.Join("..", "..", "vm", "verifier", "codes")

func read(tb testing.TB, path string) *elf.Object {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	o, err := elf.Read(filepath.Base(path), bytes.NewReader(raw))
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func check(tb testing.TB, version, path string, opt Options) []Row {
	tb.Helper()
	k, err := New(version, nil)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := k.Check(filepath.Base(path), read(tb, path), opt)
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

// TestExamples: each program of vm/verifier/codes is refused for the reason that it is named after.
func TestExamples(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{"refused.bpf.o", "license.bpf.o"} {
		for _, r := range check(t, "7.2", filepath.Join(codesDir, name), Options{}) {
			t.Run(r.Program, func(t *testing.T) {
				want := strings.ReplaceAll(strings.TrimSuffix(r.Program, "_gpl"), "_", "-")
				seen[want] = true
				if r.Code() != want {
					t.Errorf("%s: %s [%s], want %s", r.Verdict, r.Reason, r.Code(), want)
				}
			})
		}
	}
	for _, c := range verifier.Codes() {
		if c.Code != verifier.CodeUnsupported && !seen[string(c.Code)] {
			t.Errorf("%s has no program", c.Code)
		}
	}
}
