package bpf

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/mem"
)

// TestArenaLibrary runs the self-tests of the arena library of the SCX project: allocators, trees, heaps, queues and bit maps in
// an arena. They need scx_lib_selftests.bpf.o in directories of SCHEDSIM_OBJECTS: all that are there are run.
func TestArenaLibrary(t *testing.T) {
	n := 0
	for _, dir := range filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS")) {
		f := filepath.Join(dir, "scx_lib_selftests.bpf.o")
		if _, err := os.Stat(f); err == nil {
			n++
			t.Run(dir, func(t *testing.T) { arenaLibrary(t, f) })
		}
	}
	if n == 0 {
		t.Skip("scx_lib_selftests.bpf.o is in none of the directories of SCHEDSIM_OBJECTS")
	}
}

func arenaLibrary(t *testing.T, file string) {
	ends := map[string][3]uint64{}
	for _, name := range []string{"interp", "jit"} {
		t.Run(name, func(t *testing.T) {
			e, err := vm.EngineByName(name)
			if err != nil {
				t.Skip(err)
			}
			s := loadSet(t, file, e, map[string]any{"nr_cpu_ids": 8})
			args, b, err := s.rig.space.Alloc(64, 8)
			if err != nil {
				t.Fatal(err)
			}
			run := func(prog string, words ...uint64) {
				t.Helper()
				clear(b)
				for i, w := range words {
					binary.LittleEndian.PutUint64(b[8*i:], w)
				}
				r0, f := s.Program(prog).Run(args)
				if f != nil {
					t.Fatal(f)
				}
				if int32(r0) != 0 {
					t.Fatalf("%s returned %d", prog, int32(r0))
				}
			}
			run("arena_init", 512, 42)
			run("arena_topology_init", 1|2<<32, 2|2<<32, 0) // the most children on each level: u32 each
			node := func(id, mask uint64) {
				t.Helper()
				run("arena_alloc_mask")
				at := binary.LittleEndian.Uint64(b)
				binary.LittleEndian.PutUint64(s.Arena().Bytes(at, 80), mask)
				run("arena_topology_node_init", at, 0, id)
			}
			node(0, 0xff) // the machine, its node, its caches, cores and threads
			node(0, 0xff)
			for llc := range uint64(2) {
				node(llc, 0x33<<(2*llc))
			}
			for core := range uint64(4) {
				node(core, 0x11<<core)
			}
			for cpu := range uint64(8) {
				node(cpu, 1<<cpu)
			}
			run("arena_selftest")
			h := uint64(0)
			for p := range uint64(s.Arena().MaxEntries) {
				if a := s.Arena(); a.Mem.Mapped(uint32(p)) {
					for _, v := range a.Bytes(a.Mem.User()+p*mem.PageSize, mem.PageSize) {
						h = h*0x100000001b3 + uint64(v)
					}
				}
			}
			ends[name] = [3]uint64{s.Insns(), s.Arena().Mem.Used(), h}
			t.Logf("%d instructions, %d calls, %d pages", s.Insns(), s.Calls(), s.Arena().Mem.Used())
		})
	}
	if i, j := ends["interp"], ends["jit"]; len(ends) == 2 && i != j {
		t.Errorf("instructions, pages and contents: %x with the interpreter, %x with machine code", i, j)
	}
}
