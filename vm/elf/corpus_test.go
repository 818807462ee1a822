package elf_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/schedsim/schedsim/vm/elf"
)

// TestCorpus reads every object below SCHEDSIM_OBJECTS, a list of directories.
func TestCorpus(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS"))
	if len(dirs) == 0 {
		t.Skip("SCHEDSIM_OBJECTS is not set: directories with .bpf.o files")
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.bpf.o"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no objects (%v)", dir, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				f, err := os.Open(file)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				o, err := elf.Read(filepath.Base(file), f)
				if err != nil {
					t.Fatal(err)
				}
				insns := 0
				for _, fn := range o.Funcs {
					insns += len(fn.Code) / 8
				}
				t.Logf("%d programs, %d functions, %d slots, %d maps, %d externs, %d struct_ops", len(o.Programs), len(o.Funcs), insns, len(o.Maps), len(o.Externs), len(o.StructOps))
			})
		}
	}
}
