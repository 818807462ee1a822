package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
)

// leaveCases are the programs of leave.bpf.c with what they return, and what they leave in the variable seen; -1: anything.
func leaveCases() []leaveCase {
	return []leaveCase{
		{"direct", 0, 5, 1},
		{"missing", 0, 77, 0},
		{"from_sub", 0, 15, 1},
		{"twice", 0, 20, 1},
		{"sub_missing", 0, 1013, 0},
		{"chain", 0, 1001 + 34, 34}, // 33 tail calls make 34 programs, and each adds one
		{"deeper", 0, 105, 1},
		{"two_levels", 0, 115, 1},
		{"thrower", 2, 3, 0x10},
		{"thrower", 10, 110, 0},
		{"thrower", 6, 33, 0},
		{"catcher", 2, 4, 0x10},
		{"catcher", 10, 1110, 0x100},
		{"catcher", 7, 1033, 0x100},
		{"handled", 4, 7, 0x10},
		{"handled", 6, 2, 0},
		{"handled", 20, 400, 0},
		{"behind", 2, 4, 0x10},
		{"behind", 3, 34, 0},
	}
}

type leaveCase struct {
	prog string
	in   uint64
	want int
	seen uint64
}

// Tail calls and exceptions of programs and subprograms.
func TestLeave(t *testing.T) {
	var insns []uint64
	bothEngines(t, "leave.bpf.o", func(s *set) {
		var counts []uint64
		for _, tc := range leaveCases() {
			for name, v := range map[string]uint64{"in": tc.in, "seen": 0} {
				b, err := s.Global(name)
				if err != nil {
					t.Fatal(err)
				}
				binary.LittleEndian.PutUint64(b, v)
			}
			before := s.Insns()
			s.want(tc.prog, tc.want)
			s.wantWords("seen", tc.seen)
			counts = append(counts, s.Insns()-before)
		}
		if insns == nil {
			insns = counts
		}
		for i, n := range counts {
			if n != insns[i] {
				s.t.Errorf("%s: %d instructions, %d on the first engine", leaveCases()[i].prog, n, insns[i])
			}
		}
	})
}

// The same on the kernel that the test runs on.
func TestLeaveHost(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Skip(err)
	}
	b, err := os.ReadFile(filepath.Join("testdata", "leave.bpf.o"))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	// The library does not append exception callbacks to programs.
	for name, p := range spec.Programs {
		if f := btf.FuncMetadata(&p.Instructions[0]); f != nil && len(f.Tags) > 0 {
			delete(spec.Programs, name)
		}
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		var v *ebpf.VerifierError
		if errors.As(err, &v) {
			t.Fatalf("%+v", v)
		}
		t.Skip(err)
	}
	defer c.Close()
	for _, tc := range leaveCases() {
		if c.Programs[tc.prog] == nil {
			continue
		}
		c.Variables["in"].Set(tc.in)
		c.Variables["seen"].Set(uint64(0))
		r0, err := c.Programs[tc.prog].Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		if err != nil {
			t.Fatal(err)
		}
		var seen uint64
		c.Variables["seen"].Get(&seen)
		if int(int32(r0)) != tc.want || seen != tc.seen {
			t.Errorf("%s(%d) returned %d and left %#x, want %d and %#x", tc.prog, tc.in, int32(r0), seen, tc.want, tc.seen)
		}
	}
}
