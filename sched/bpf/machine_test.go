package bpf

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/mem"
)

// set is an object of testdata loaded into a machine of its own, without a scheduler.
type set struct {
	*vm.Set
	t   *testing.T
	rig *rig
}

// bothEngines runs a test with an object loaded for each engine.
func bothEngines(t *testing.T, file string, test func(s *set)) {
	for _, name := range []string{"interp", "jit"} {
		t.Run(name, func(t *testing.T) {
			e, err := vm.EngineByName(name)
			if err != nil {
				t.Skip(err)
			}
			test(loadSet(t, file, e))
		})
	}
}

func loadSet(t *testing.T, file string, e vm.Engine, globals ...map[string]any) *set {
	r := newRig(t, rigConfig{topo: "1n2l2c2t"})
	path := file
	if !filepath.IsAbs(file) {
		path = filepath.Join("testdata", file)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, err := elf.Read(file, f)
	if err != nil {
		t.Fatal(err)
	}
	opt := link.Options{FillEnums: true}
	for _, g := range globals {
		opt.Globals = g
	}
	l, err := link.Link(o, Target(r.kernel), opt)
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{opt: Options{Kernel: r.kernel, Mem: r.space}, env: sched.Env{Machine: r.m, Kernel: r.k}}
	ksyms := &ksyms{m: r.m, mem: r.space, kernel: r.kernel}
	v, err := vm.Load(l, vm.Options{Mem: r.space, Host: newHost(p), Ksym: ksyms.address, PerCPU: ksyms.perCPU, Engine: e, Budget: 1 << 32,
		Kfuncs: kfuncs.All(&kfuncs.Host{Machine: r.m, Kernel: r.k, Mem: r.space, Layout: r.kernel})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return &set{v, t, r}
}

// run runs a program that must not fault; its result is an int.
func (s *set) run(name string) int {
	s.t.Helper()
	r0, f := s.Program(name).Run(0)
	if f != nil {
		s.t.Fatal(f)
	}
	return int(int32(r0))
}

func (s *set) want(name string, want int) {
	s.t.Helper()
	if got := s.run(name); got != want {
		s.t.Errorf("%s returned %d, want %d", name, got, want)
	}
}

// words are the bytes of a global variable as 64-bit numbers.
func (s *set) words(name string) []uint64 {
	s.t.Helper()
	b, err := s.Global(name)
	if err != nil {
		s.t.Fatal(err)
	}
	var w []uint64
	for ; len(b) >= 8; b = b[8:] {
		w = append(w, binary.LittleEndian.Uint64(b))
	}
	return w
}

func (s *set) wantWords(name string, want ...uint64) {
	s.t.Helper()
	if d := cmp.Diff(want, s.words(name)); d != "" {
		s.t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestArena(t *testing.T) {
	const user, pages = 1 << 44, 64
	bothEngines(t, "arena.bpf.o", func(s *set) {
		a := s.Arena()
		// The globals lie in the last two pages, as user space sees them, and nothing else is there.
		if got := a.DataAddr(); got != user+(pages-2)*mem.PageSize || a.Mem.Used() != 2 {
			t.Errorf("globals at %#x, %d pages", got, a.Mem.Used())
		}
		s.want("globals", 42+7+9)
		s.want("globals", 44+7+9)
		if b := a.Bytes(a.DataAddr(), 8); b[0] != 44 && s.words("counter")[0] != 44 {
			t.Errorf("user space sees %v", b)
		}
		s.want("list", 300)
		s.wantWords("sum", 299*300/2)
		s.wantWords("at", user)
		s.wantWords("head", user+299*16)
		// User space follows the pointers.
		n := 0
		for p := s.words("head")[0]; p != 0; n++ {
			b := a.Bytes(p, 16)
			if v := binary.LittleEndian.Uint64(b[8:]); v != uint64(299-n) {
				t.Fatalf("node %d has the value %d", n, v)
			}
			p = binary.LittleEndian.Uint64(b)
		}
		if n != 300 {
			t.Errorf("%d nodes", n)
		}
		s.want("spill", 5+7+10+14+19)
		s.want("atomics", 0)
		s.wantWords("got", 5, 8, 24, 100, 0, 1, 101, 0)
		// A page that user space touches is there for programs, and not for others.
		if b := a.Bytes(user+40*mem.PageSize, 1); b == nil || !a.Mem.Mapped(40) || a.Alloc(user+40*mem.PageSize, 1) != 0 {
			t.Error("the page that user space touched is not its own")
		}
	})
}

func TestArenaPages(t *testing.T) {
	const user = 1 << 44
	bothEngines(t, "arena.bpf.o", func(s *set) {
		s.want("unmapped", 0)
		s.wantWords("got", 77, 0, 77, 0, 0, 0, 0, 0)
		if s.Arena().Mem.Mapped(0) {
			t.Error("the page is there after the program has ended")
		}
		s.want("reuse", 0)
		ebusy := ^uint64(16 - 1)
		s.wantWords("got", 0, 0, 0, uint64(uint32(ebusy))|0xffffffff<<32, 0, 0, 0, 0)
		// The reserved pages are nobody's: the next ones come behind the globals of the first page.
		if got := s.Arena().Alloc(0, 2); got != user+5*mem.PageSize {
			t.Errorf("two pages at %#x", got)
		}
	})
}

// Whatever hostile programs do in an arena, engines agree about it.
func TestArenaHostile(t *testing.T) {
	type end struct {
		R0    uint64
		Insns uint64
		Pages [][]byte
	}
	var ends []end
	bothEngines(t, "arena.bpf.o", func(s *set) {
		s.want("list", 300)
		r0, f := s.Program("hostile").Run(0)
		if f != nil {
			t.Fatal(f)
		}
		e := end{R0: r0, Insns: s.Insns()}
		for _, p := range []uint64{0, 1, 62, 63} {
			e.Pages = append(e.Pages, append([]byte(nil), s.Arena().Bytes(1<<44+p*mem.PageSize, mem.PageSize)...))
		}
		ends = append(ends, e)
	})
	if len(ends) == 2 {
		if d := cmp.Diff(ends[0], ends[1]); d != "" {
			t.Errorf("-interp +jit:\n%s", d)
		}
	}
}

func TestObjects(t *testing.T) {
	bothEngines(t, "objects.bpf.o", func(s *set) {
		s.want("sort", 11)
		s.wantWords("out", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 0)
		if n := s.words("calls")[0]; n < 20 || n > 40 {
			t.Errorf("less() ran %d times for 11 items", n)
		}
		s.want("keep", 0)
		_, f := s.Program("bad").Run(0)
		if f == nil {
			t.Error("dropped what is no object")
		}
	})
}

func TestKsymProgram(t *testing.T) {
	bothEngines(t, "ksyms.bpf.o", func(s *set) {
		s.want("read", 104)
		b, err := s.Global("out")
		if err != nil {
			t.Fatal(err)
		}
		for cpu := range 8 {
			row := b[12*cpu:]
			id, size, rq := binary.LittleEndian.Uint32(row), binary.LittleEndian.Uint32(row[4:]), binary.LittleEndian.Uint32(row[8:])
			if id != uint32(cpu%4/2) || size != 4 || rq != uint32(cpu) {
				t.Errorf("CPU %d: cache %d of %d CPUs, runqueue of %d", cpu, id, size, rq)
			}
		}
	})
}

// An object with jump tables does what the same source without them does.
func TestJumpTables(t *testing.T) {
	var insns uint64
	bothEngines(t, "jump22.bpf.o", func(s *set) {
		plain := loadSet(t, "jump.bpf.o", vm.Interp())
		if s.Map(".jumptables") == nil || plain.Map(".jumptables") != nil {
			t.Fatal("the objects do not differ in what is tested")
		}
		for in := range byte(20) {
			for _, v := range []*set{plain, s} {
				b, err := v.Global("in")
				if err != nil {
					t.Fatal(err)
				}
				b[0] = in
			}
			s.want("run", plain.run("run"))
			s.wantWords("out", plain.words("out")...)
		}
		// An indirect jump is one instruction; a search in its place would make 12020 of them.
		if insns == 0 {
			insns = s.Insns()
		}
		if n := s.Insns(); n != insns || n > 12_000 {
			t.Errorf("%d instructions, %d on the other engine", n, insns)
		}
	})
}
