package sys_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

// second is another process of a rig's kernel, with memory of its own.
func (r *rig) second() *rig {
	u := new(sys.Buffers)
	u.Add(make([]byte, 1000)) // its buffers are elsewhere
	return &rig{t: r.t, h: r.h, m: r.m, k: r.k, p: r.k.NewProcess(u), u: u}
}

// Two processes share what is pinned, or has an id that they know; what one does the other sees, and everything lives as long
// as one of them, a pin or a program holds it.
func TestTwoProcesses(t *testing.T) {
	onEngines(t, func(t *testing.T, a *rig) {
		b := a.second()
		counter := a.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: 1 << 10, Name: "counter"}.Bytes())
		table := a.hash(4, 8, 4)
		// The program adds one to the counter and returns it.
		prog := a.syscallProg(join(ld64(1, 2, counter, 0), insn(0x79, 0, 1, 0, 0), insn(0x07, 0, 0, 0, 1), insn(0x7b, 1, 0, 0, 0), ld64(1, 1, table, 0), exit))
		a.ok(sys.ObjPin, sys.PathAttr{Path: a.u.AddString("/sys/fs/bpf/prog"), FD: prog}.Bytes())
		a.ok(sys.ObjPin, sys.PathAttr{Path: a.u.AddString("/sys/fs/bpf/table"), FD: table}.Bytes())

		// Descriptors are a process's own.
		b.errno(abi.EBADF, sys.MapLookupElem, b.elem(counter, u32(0), make([]byte, 8), 0))
		bp := b.ok(sys.ObjGet, sys.PathAttr{Path: b.u.AddString("/sys/fs/bpf/prog")}.Bytes())
		bt := b.ok(sys.ObjGet, sys.PathAttr{Path: b.u.AddString("/sys/fs/bpf/table")}.Bytes())
		bc := b.ok(sys.MapGetFDByID, sys.Words(a.p.Map(int(counter)).ID(), 0, 0))
		if bc == counter || bp == prog {
			t.Error("the test needs descriptors that differ")
		}
		value := func(r *rig, m int32, key uint32) uint64 {
			t.Helper()
			v := make([]byte, 8)
			r.ok(sys.MapLookupElem, r.elem(m, u32(key), v, 0))
			return binary.LittleEndian.Uint64(v)
		}
		b.ok(sys.MapUpdateElem, b.elem(bc, u32(0), u64(40), 0))
		a.returns(prog, 41)
		b.returns(bp, 42)
		a.ok(sys.MapUpdateElem, a.elem(table, u32(7), u64(70), 0))
		if x, y := value(b, bc, 0), value(b, bt, 7); x != 42 || y != 70 {
			t.Errorf("the other process reads %d and %d", x, y)
		}
		// A mapping shows both the same pages.
		sa, errA := a.p.Mmap(int(counter), true)
		sb, errB := b.p.Mmap(int(bc), false)
		if errA != nil || errB != nil || cmp.Diff(sa, sb) != "" || len(sa) != 1 || a.m.View()[sa[0].Off] != 42 {
			t.Errorf("mappings %v (%v) and %v (%v)", sa, errA, sb, errB)
		}

		a.p.Exit()
		a.errno(abi.ENXIO, sys.MapGetNextID, sys.Words(0, 0, 0)) // it says no more
		if c := a.k.Counts(); c != (sys.Counts{Maps: 2, Progs: 1}) {
			t.Errorf("after the first process: %+v", c)
		}
		b.returns(bp, 43)
		for _, fd := range []int32{bc, bt, bp} {
			b.p.Close(int(fd))
		}
		// The pins hold the program, which holds the counter.
		if c := a.k.Counts(); c != (sys.Counts{Maps: 2, Progs: 1}) {
			t.Errorf("pinned: %+v", c)
		}
		b.returns(b.ok(sys.ObjGet, sys.PathAttr{Path: b.u.AddString("/sys/fs/bpf/prog")}.Bytes()), 44)
		b.p.Exit()
		a.k.Unlink("/sys/fs/bpf/prog")
		if c := a.k.Counts(); c != (sys.Counts{Maps: 1}) {
			t.Errorf("without the program: %+v", c)
		}
		a.k.Unlink("/sys/fs/bpf/table")
		if c := a.k.Counts(); c != (sys.Counts{}) {
			t.Errorf("at the end: %+v", c)
		}
	})
}

// What a process writes to a mapping.
func TestStore(t *testing.T) {
	r := newRig(t)
	arr := r.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 2, Flags: 1 << 10}.Bytes())
	arena := r.ok(sys.MapCreate, sys.MapAttr{Type: 33, MaxEntries: 4, Flags: 1 << 10}.Bytes())
	hash := r.hash(4, 8, 4)
	readOnly := r.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: 1<<10 | 1<<3}.Bytes())
	frozen := r.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1}.Bytes())
	r.ok(sys.MapFreeze, sys.Words(uint32(frozen)))
	for _, tc := range []struct {
		name string
		fd   int32
		at   uint64
		data []byte
		want abi.Errno
	}{
		{"second element", arr, 8, u64(5), 0},
		{"across elements", arr, 4, u64(0x0807060504030201), 0},
		{"nothing at the end", arr, 16, nil, 0},
		{"over the end", arr, 12, u64(5), abi.EFAULT},
		{"far away", arr, 1 << 63, u64(5), abi.EFAULT},
		{"arena", arena, 4096 + 8, u64(77), 0},
		{"arena, across pages", arena, 2*4096 - 4, u64(1<<32 | 9), 0},
		{"arena, over the end", arena, 4*4096 - 4, u64(5), abi.EFAULT},
		{"arena, around the end of addresses", arena, 1<<64 - 4, u64(5), abi.EFAULT},
		{"hash", hash, 0, u64(5), abi.EFAULT},
		{"opened for reading", readOnly, 0, u64(5), abi.EPERM},
		{"frozen", frozen, 0, u64(5), abi.EPERM},
		{"no map", 1, 0, u64(5), abi.EINVAL},
		{"no descriptor", 99, 0, u64(5), abi.EBADF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := sys.Errno(r.p.Store(int(tc.fd), tc.at, tc.data)); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
	v := make([]byte, 8)
	r.ok(sys.MapLookupElem, r.elem(arr, u32(1), v, 0))
	if got := binary.LittleEndian.Uint64(v); got != 0x08070605 {
		t.Errorf("the second element is %#x", got)
	}
	// A program sees the arena's pages: the first word of the second and of the third.
	first := func(page int32) []byte {
		return join(ld64(1, 2, arena, page*4096), insn(0xbf, 1, 1, 1, 1), insn(0x79, 0, 1, 0, 0), exit)
	}
	r.returns(r.syscallProg(join(ld64(1, 2, arena, 4096+8), insn(0xbf, 1, 1, 1, 1), insn(0x79, 0, 1, 0, 0), exit)), 77)
	r.returns(r.syscallProg(first(2)), 1)
	r.returns(r.syscallProg(first(0)), 0) // a page that was never touched
}
