package sys_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

// world is a kernel to make calls to: ours, or the host's. Memory is one region, in which pieces are handed out one after
// the other.
type world struct {
	name   string
	memory []byte
	base   uint64
	used   int
	call   func(cmd sys.Cmd, attr []byte) int64
	close  func(fd int32)
}

func (w *world) add(b []byte) (addr uint64, view []byte) {
	at := w.used
	w.used += (len(b) + 15) &^ 15
	copy(w.memory[at:], b)
	return w.base + uint64(at), w.memory[at : at+len(b)]
}

func (w *world) at(b []byte) uint64 {
	addr, _ := w.add(b)
	return addr
}

const worldSize = 8 << 20

func ours(t *testing.T) *world {
	r := newRig(t)
	w := &world{name: "sys", memory: make([]byte, worldSize), call: r.p.BPF, close: func(fd int32) { r.p.Close(int(fd)) }}
	w.base = r.u.Add(w.memory)
	return w
}

// hostWorld is the kernel that the test runs on.
func hostWorld(t *testing.T) *world {
	mem, err := unix.Mmap(-1, 0, worldSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	w := &world{name: "host", memory: mem, base: uint64(uintptr(unsafe.Pointer(&mem[0])))}
	w.call = func(cmd sys.Cmd, attr []byte) int64 {
		// Safety: the kernel writes to attr, which is kept alive by the call, and to the mapping.
		v, _, e := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(unsafe.SliceData(attr))), uintptr(len(attr)))
		runtime.KeepAlive(attr)
		if e != 0 {
			return -int64(e)
		}
		return int64(v)
	}
	w.close = func(fd int32) { unix.Close(int(fd)) }
	probe := w.call(sys.MapCreate, sys.MapAttr{Type: 9, KeySize: 4, ValueSize: 4, MaxEntries: 1}.Bytes()) // needs CAP_BPF
	if probe < 0 {
		t.Skipf("the host's bpf(): %v", unix.Errno(-probe))
	}
	w.close(int32(probe))
	return w
}

// script writes down what calls return: error numbers, and what they leave in memory. Descriptors are only told apart from
// errors.
type script struct {
	w   *world
	log []string
}

func (s *script) say(format string, args ...any) { s.log = append(s.log, fmt.Sprintf(format, args...)) }

// do makes a call and says what came of it.
func (s *script) do(what string, cmd sys.Cmd, attr []byte) int32 {
	v := s.w.call(cmd, attr)
	if v < 0 {
		s.say("%s %s: %v", cmd, what, abi.Errno(-v))
		return -1
	}
	s.say("%s %s: ok", cmd, what)
	return int32(v)
}

func (s *script) elem(what string, cmd sys.Cmd, m int32, key, value []byte, flags uint64) {
	addr, view := s.w.add(value)
	a := sys.ElemAttr{Map: m, Key: s.w.at(key), Value: addr, Flags: flags}.Bytes()
	switch cmd {
	case sys.MapDeleteElem:
		a = a[:16]
	case sys.MapGetNextKey:
		a = a[:24]
	}
	s.do(what, cmd, a)
	s.say("  %x", view)
}

// creation makes maps with good and bad attributes.
func (s *script) creation() {
	base := sys.MapAttr{Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 16, Name: "m"}
	for _, typ := range []uint32{0, 1, 2, 5, 6, 9, 10, 11, 12, 22, 23, 27, 30, 31, 99} {
		for _, e := range []struct {
			name string
			edit func(*sys.MapAttr)
		}{
			{"as it is", func(*sys.MapAttr) {}},
			{"no key", func(a *sys.MapAttr) { a.KeySize = 0 }},
			{"key of 5", func(a *sys.MapAttr) { a.KeySize = 5 }},
			{"no value", func(a *sys.MapAttr) { a.ValueSize = 0 }},
			{"no key or value, a page", func(a *sys.MapAttr) { a.KeySize, a.ValueSize, a.MaxEntries = 0, 0, 4096 }},
			{"no key or value, odd", func(a *sys.MapAttr) { a.KeySize, a.ValueSize, a.MaxEntries = 0, 0, 5000 }},
			{"no entries", func(a *sys.MapAttr) { a.MaxEntries = 0 }},
			{"huge value", func(a *sys.MapAttr) { a.ValueSize = 1 << 30 }},
			{"huge key", func(a *sys.MapAttr) { a.KeySize = 1 << 30 }},
			{"no prealloc", func(a *sys.MapAttr) { a.Flags = 1 }},
			{"no common lru", func(a *sys.MapAttr) { a.Flags = 2 }},
			{"read-only", func(a *sys.MapAttr) { a.Flags = 8 }},
			{"read-only and write-only", func(a *sys.MapAttr) { a.Flags = 24 }},
			{"read-only for programs", func(a *sys.MapAttr) { a.Flags = 1 << 7 }},
			{"no access for programs", func(a *sys.MapAttr) { a.Flags = 3 << 7 }},
			{"zero seed", func(a *sys.MapAttr) { a.Flags = 1 << 6 }},
			{"mmapable", func(a *sys.MapAttr) { a.Flags = 1 << 10 }},
			{"inner", func(a *sys.MapAttr) { a.Flags = 1 << 12 }},
			{"unknown flag", func(a *sys.MapAttr) { a.Flags = 1 << 28 }},
			{"node", func(a *sys.MapAttr) { a.Flags, a.NUMANode = 4, 77 }},
			{"extra", func(a *sys.MapAttr) { a.Extra = 3 }},
			{"name", func(a *sys.MapAttr) { a.Name = "a-b" }},
			{"long name", func(a *sys.MapAttr) { a.Name = "abcdefghijklmnopq" }},
			{"key type alone", func(a *sys.MapAttr) { a.KeyType = 1 }},
			{"types without BTF", func(a *sys.MapAttr) { a.KeyType, a.ValueType, a.BTF = 1, 1, 1<<20 }},
			{"kernel type", func(a *sys.MapAttr) { a.VmlinuxType = 1 }},
			{"no inner map", func(a *sys.MapAttr) { a.ValueSize, a.InnerFD = 4, 1<<20 }},
		} {
			a := base
			a.Type = typ
			e.edit(&a)
			if e.name == "huge value" && (typ == 2 || typ == 30) {
				continue // an array takes the memory; a bloom filter is wrong in two ways here
			}
			if fd := s.do(fmt.Sprintf("type %d, %s", typ, e.name), sys.MapCreate, a.Bytes()); fd >= 0 {
				s.w.close(fd)
			}
		}
	}
}

// elements does random things to a few maps.
func (s *script) elements(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	attrs := []sys.MapAttr{
		{Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 4}, {Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 4},
		{Type: 22, ValueSize: 8, MaxEntries: 3}, {Type: 23, ValueSize: 8, MaxEntries: 3},
		{Type: 11, KeySize: 8, ValueSize: 8, MaxEntries: 4, Flags: 1}, {Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 4, Flags: 8},
	}
	var fds []int32
	for i, a := range attrs {
		fds = append(fds, s.do(fmt.Sprint("map ", i), sys.MapCreate, a.Bytes()))
	}
	cmds := []sys.Cmd{sys.MapLookupElem, sys.MapUpdateElem, sys.MapUpdateElem, sys.MapDeleteElem, sys.MapLookupAndDeleteElem, sys.MapFreeze}
	for i := range 300 {
		m, cmd := r.IntN(len(fds)), cmds[r.IntN(len(cmds))]
		if cmd == sys.MapFreeze && r.IntN(10) > 0 {
			cmd = sys.MapUpdateElem
		}
		key := make([]byte, attrs[m].KeySize)
		for k := range key {
			if k%4 == 0 {
				key[k] = byte(r.IntN(6))
			}
		}
		flags := []uint64{0, 0, 0, 1, 2, 3, 4, 8, 1 << 32}[r.IntN(9)]
		if flags == 8 && cmd == sys.MapUpdateElem {
			flags = 64 // BPF_F_CPU is newer than some hosts
		}
		what := fmt.Sprintf("%d: map %d key %x flags %#x", i, m, key, flags)
		if cmd == sys.MapFreeze {
			s.do(what, cmd, sys.Words(uint32(fds[m])))
			continue
		}
		if len(key) == 0 && r.IntN(8) > 0 {
			addr, view := s.w.add(binary.LittleEndian.AppendUint64(nil, r.Uint64N(100)))
			a := sys.ElemAttr{Map: fds[m], Value: addr, Flags: flags}.Bytes()
			if cmd == sys.MapDeleteElem {
				a = a[:16]
			}
			s.do(what, cmd, a)
			s.say("  %x", view)
			continue
		}
		s.elem(what, cmd, fds[m], append(key, make([]byte, 0)...), binary.LittleEndian.AppendUint64(nil, r.Uint64N(100)), flags)
	}
	for _, fd := range fds {
		s.w.close(fd)
	}
}

// programs loads programs with good and bad attributes.
func (s *script) programs() {
	ret := join(movK(0, 3), exit)
	gpl, mit := s.w.at([]byte("GPL\x00")), s.w.at([]byte("MIT\x00"))
	arr := s.do("array", sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 1}.Bytes())
	hash := s.do("hash", sys.MapCreate, sys.MapAttr{Type: 1, KeySize: 4, ValueSize: 16, MaxEntries: 1}.Bytes())
	array := func(fds ...uint32) uint64 { return s.w.at(sys.Words(fds...)) }
	for _, tc := range []struct {
		name string
		typ  uint32
		code []byte
		edit func(*sys.ProgAttr)
	}{
		{"syscall", 31, ret, func(a *sys.ProgAttr) { a.Flags = 16 }},
		{"socket filter", 1, ret, nil},
		{"type 0", 0, ret, nil},
		{"type 99", 99, ret, nil},
		{"struct_ops without type", 27, ret, nil},
		{"struct_ops, MIT", 27, ret, func(a *sys.ProgAttr) { a.License = mit }},
		{"tracing without target", 26, ret, nil},
		{"syscall with an attach type", 31, ret, func(a *sys.ProgAttr) { a.Flags, a.AttachType = 16, 3 }},
		{"socket filter with a target", 1, ret, func(a *sys.ProgAttr) { a.AttachBTF = 3 }},
		{"target too large", 26, ret, func(a *sys.ProgAttr) { a.AttachBTF = 1 << 21 }},
		{"attach to nothing", 26, ret, func(a *sys.ProgAttr) { a.AttachProg, a.AttachBTF = 1<<20, 1 }},
		{"no instructions", 1, ret, func(a *sys.ProgAttr) { a.InsnCnt = 0 }},
		{"too many", 1, ret, func(a *sys.ProgAttr) { a.InsnCnt = 1000001 }},
		{"bad address", 1, ret, func(a *sys.ProgAttr) { a.Insns = 8 }},
		{"bad license", 1, ret, func(a *sys.ProgAttr) { a.License = 8 }},
		{"flags", 1, ret, func(a *sys.ProgAttr) { a.Flags = 1 << 20 }},
		{"name", 1, ret, func(a *sys.ProgAttr) { a.Name = "a/b" }},
		{"long name", 1, ret, func(a *sys.ProgAttr) { a.Name = "abcdefghijklmnopq" }},
		{"no exit", 1, movK(0, 1), nil},
		{"unknown opcode", 1, join(insn(0xff, 0, 0, 0, 0), exit), nil},
		{"register", 1, join(movK(12, 0), exit), nil},
		{"jump out", 1, join(insn(0x05, 0, 0, 7, 0), exit), nil},
		{"half a load", 1, insn(0x18, 1, 0, 0, 0), nil},
		{"load of something", 1, join(ld64(1, 9, 0, 0), ret), nil},
		{"map", 1, join(ld64(1, 1, arr, 0), ret), nil},
		{"no map", 1, join(ld64(1, 1, 1<<20, 0), ret), nil},
		{"map with an offset", 1, join(ld64(1, 1, arr, 4), ret), nil},
		{"value", 1, join(ld64(1, 2, arr, 8), ret), nil},
		{"value outside", 1, join(ld64(1, 2, arr, 16), ret), nil},
		{"value of a hash", 1, join(ld64(1, 2, hash, 0), ret), nil},
		{"index without array", 1, join(ld64(1, 5, 0, 0), ret), nil},
		{"index", 1, join(ld64(1, 5, 1, 0), ret), func(a *sys.ProgAttr) { a.FDArray = array(9, uint32(arr)) }},
		{"value by index", 1, join(ld64(1, 6, 1, 4), ret), func(a *sys.ProgAttr) { a.FDArray = array(9, uint32(arr)) }},
		{"subprogram", 1, join(insn(0x85, 0, 1, 0, 1), exit, ret), nil},
		{"subprogram outside", 1, join(insn(0x85, 0, 1, 0, 5), exit), nil},
		{"helper", 1, join(helper(5), exit), nil},
		{"no helper", 1, join(helper(5000), exit), nil},
		{"no kernel function", 31, join(kcall(0x7fffffff), exit), func(a *sys.ProgAttr) { a.Flags = 16 }},
		{"GPL-only helper, MIT", 31, join(helper(35), exit), func(a *sys.ProgAttr) { a.Flags, a.License = 16, mit }},
		{"free helper, MIT", 31, join(helper(5), exit), func(a *sys.ProgAttr) { a.Flags, a.License = 16, mit }},
		{"log without size", 1, ret, func(a *sys.ProgAttr) { a.LogBuf, a.LogLevel = array(0), 1 }},
		{"log without level", 1, ret, func(a *sys.ProgAttr) { a.LogBuf, a.LogSize = array(0), 4 }},
		{"log level", 1, ret, func(a *sys.ProgAttr) { a.LogBuf, a.LogSize, a.LogLevel = array(0), 4, 16 }},
		{"log too short", 1, ret, func(a *sys.ProgAttr) { a.LogBuf, a.LogSize, a.LogLevel = array(0), 4, 1 }},
		{"log nowhere", 1, ret, func(a *sys.ProgAttr) { a.LogBuf, a.LogSize, a.LogLevel = 8, 1000, 1 }},
		{"level alone", 1, ret, func(a *sys.ProgAttr) { a.LogLevel = 1 }},
		{"function types without BTF", 1, ret, func(a *sys.ProgAttr) { a.FuncInfoCnt, a.FuncInfoRec, a.BTF = 1, 8, 1<<20 }},
	} {
		a := sys.ProgAttr{Type: tc.typ, InsnCnt: uint32(len(tc.code) / 8), Insns: s.w.at(tc.code), License: gpl, Name: "p"}
		if tc.edit != nil {
			tc.edit(&a)
		}
		if fd := s.do(tc.name, sys.ProgLoad, a.Bytes()); fd >= 0 {
			s.w.close(fd)
		}
	}
	// A program that runs: retval and context.
	code := join(insn(0x79, 2, 1, 0, 0), insn(0x07, 2, 0, 0, 5), insn(0x7b, 1, 2, 0, 0), movK(0, 42), exit)
	p := s.do("runs", sys.ProgLoad, sys.ProgAttr{Type: 31, Flags: 16, InsnCnt: 5, Insns: s.w.at(code), License: gpl}.Bytes())
	ctx, view := s.w.add([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	run := sys.RunAttr{Prog: p, CtxSize: 8, Ctx: ctx}.Bytes()
	s.do("run", sys.ProgTestRun, run)
	s.say("  %d %x", run.U32(sys.ResultRetval), view)
	s.do("context without size", sys.ProgTestRun, sys.RunAttr{Prog: p, Ctx: ctx}.Bytes())
	s.do("size without context", sys.ProgTestRun, sys.RunAttr{Prog: p, CtxSize: 8}.Bytes())
	s.do("no program", sys.ProgTestRun, sys.RunAttr{Prog: 1 << 20}.Bytes())
	s.do("a map", sys.ProgTestRun, sys.RunAttr{Prog: arr}.Bytes())
	s.do("bind", sys.ProgBindMap, sys.Words(uint32(p), uint32(hash), 0))
	s.do("bind with flags", sys.ProgBindMap, sys.Words(uint32(p), uint32(hash), 1))
	s.do("bind nothing", sys.ProgBindMap, sys.Words(uint32(p), 1<<20, 0))
	s.do("bind twisted", sys.ProgBindMap, sys.Words(uint32(hash), uint32(p), 0))
	info := make([]byte, 232)
	addr, got := s.w.add(info)
	s.do("info", sys.ObjGetInfoByFD, sys.InfoAttr{FD: p, Len: 232, Info: addr}.Bytes())
	s.say("  type %d, %d bytes, %d maps, gpl %d", got[0], got[20], got[52], got[84])
	for _, fd := range []int32{p, arr, hash} {
		s.w.close(fd)
	}
}

// rest is about descriptors, ids, BTF, links and paths.
func (s *script) rest() {
	m := s.do("map", sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, Name: "abc"}.Bytes())
	info := make([]byte, 104)
	addr, got := s.w.add(info)
	s.do("info", sys.ObjGetInfoByFD, sys.InfoAttr{FD: m, Len: 80, Info: addr}.Bytes())
	s.say("  %x %x %s", got[:4], got[8:24], got[24:40])
	s.do("info of nothing", sys.ObjGetInfoByFD, sys.InfoAttr{FD: 1 << 20}.Bytes())
	s.do("info nowhere", sys.ObjGetInfoByFD, sys.InfoAttr{FD: m, Len: 80, Info: 8}.Bytes())
	junk, _ := s.w.add(bytes.Repeat([]byte{1}, 400))
	s.do("info of the future", sys.ObjGetInfoByFD, sys.InfoAttr{FD: m, Len: 400, Info: junk}.Bytes())
	s.do("link of a map", sys.LinkCreate, sys.Words(uint32(m), 0, sys.AttachStructOps, 0))
	s.do("link of nothing", sys.LinkCreate, sys.Words(1<<20, 0, sys.AttachStructOps, 0))
	s.do("nothing", sys.LinkDetach, sys.Words(1<<20))
	s.do("a map", sys.LinkDetach, sys.Words(uint32(m)))
	s.do("a map", sys.LinkUpdate, sys.Words(uint32(m), 0, 0, 0))
	s.do("flags", sys.LinkUpdate, sys.Words(uint32(m), 0, 1, 0))
	s.do("no id", sys.MapGetFDByID, sys.Words(1<<30, 0, 0))
	s.do("id 0", sys.ProgGetFDByID, sys.Words(0))
	s.do("after the last", sys.MapGetNextID, sys.Words(1<<30, 0))
	s.do("after all", sys.MapGetNextID, sys.Words(1<<31, 0))
	s.do("unknown command", 77, nil)
	s.do("no attributes", sys.MapCreate, nil)
	s.do("attributes of the future", sys.MapCreate, append(make([]byte, 300), 1))
	s.do("attributes too long", sys.MapCreate, make([]byte, 5000))
	s.do("nothing", sys.ObjPin, sys.PathAttr{Path: s.w.at([]byte("/sys/fs/bpf/x\x00")), FD: 1 << 20}.Bytes())
	s.do("elsewhere", sys.ObjPin, sys.PathAttr{Path: s.w.at([]byte("/tmp/sys-test-pin\x00")), FD: m}.Bytes())
	s.do("no directory", sys.ObjPin, sys.PathAttr{Path: s.w.at([]byte("/tmp/sys-test-none/x\x00")), FD: m}.Bytes())
	s.do("empty path", sys.ObjPin, sys.PathAttr{Path: s.w.at([]byte{0}), FD: m}.Bytes())
	s.do("bad path", sys.ObjPin, sys.PathAttr{Path: 8, FD: m}.Bytes())
	s.do("flags", sys.ObjPin, sys.PathAttr{Path: s.w.at([]byte("/x\x00")), FD: m, Flags: 8}.Bytes())
	s.do("descriptor", sys.ObjGet, sys.PathAttr{Path: s.w.at([]byte("/x\x00")), FD: m}.Bytes())
	s.do("nothing", sys.ObjGet, sys.PathAttr{Path: s.w.at([]byte("/tmp/sys-test-none/x\x00"))}.Bytes())

	b, err := btf.NewBuilder([]btf.Type{intType()}, nil)
	if err != nil {
		panic(err)
	}
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		panic(err)
	}
	for _, tc := range []struct {
		name string
		edit func(b []byte) []byte
	}{
		{"good", func(b []byte) []byte { return b }},
		{"nothing", func([]byte) []byte { return nil }},
		{"header alone", func(b []byte) []byte { return b[:24] }},
		{"magic", func(b []byte) []byte { b[0] = 1; return b }},
		{"version", func(b []byte) []byte { b[2] = 9; return b }},
		{"flags", func(b []byte) []byte { b[3] = 9; return b }},
		{"strings", func(b []byte) []byte { b[len(b)-1] = 'x'; return b }},
		{"cut", func(b []byte) []byte { return b[:len(b)-4] }},
		{"kind", func(b []byte) []byte { b[24+7] = 31; return b }},
		{"no types", func(b []byte) []byte { put(b, 12, 0); put(b, 16, 0); return append(b[:24:24], b[40:]...) }},
	} {
		data := tc.edit(bytes.Clone(raw))
		if fd := s.do(tc.name, sys.BTFLoad, sys.BTFAttr{BTF: s.w.at(data), Size: uint32(len(data))}.Bytes()); fd >= 0 {
			for _, a := range []sys.MapAttr{{KeyType: 1, ValueType: 1, ValueSize: 4}, {KeyType: 1, ValueType: 1, ValueSize: 8}, {KeyType: 1, ValueType: 9, ValueSize: 4}} { // hashes without a type of the key are newer than some hosts
				a.Type, a.KeySize, a.MaxEntries, a.BTF = 1, 4, 1, fd
				if m := s.do(fmt.Sprintf("with types %d and %d", a.KeyType, a.ValueType), sys.MapCreate, a.Bytes()); m >= 0 {
					s.w.close(m)
				}
			}
			s.do("BTF", sys.ObjPin, sys.PathAttr{Path: s.w.at([]byte("/sys/fs/bpf/x\x00")), FD: fd}.Bytes())
			s.w.close(fd)
		}
	}
	s.w.close(m)
}

func put(b []byte, off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }

// batches moves elements of an array.
func (s *script) batches() {
	m := s.do("array", sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 4, MaxEntries: 8}.Bytes())
	h := s.do("hash", sys.MapCreate, sys.MapAttr{Type: 1, KeySize: 4, ValueSize: 4, MaxEntries: 8}.Bytes())
	q := s.do("queue", sys.MapCreate, sys.MapAttr{Type: 22, ValueSize: 4, MaxEntries: 8}.Bytes())
	var keys, values []byte
	for i := range uint32(8) {
		keys, values = binary.LittleEndian.AppendUint32(keys, i), binary.LittleEndian.AppendUint32(values, i*i)
	}
	one := func(what string, cmd sys.Cmd, b sys.BatchAttr) {
		k, kv := s.w.add(keys)
		v, vv := s.w.add(values)
		b.Keys, b.Values = k, v
		a := b.Bytes()
		s.do(what, cmd, a)
		s.say("  %d %x %x", a.U32(sys.ResultBatchCount), kv, vv)
	}
	for _, fd := range []int32{m, h, q} {
		out := s.w.at(make([]byte, 4))
		one("all", sys.MapUpdateBatch, sys.BatchAttr{Map: fd, Count: 8})
		one("none", sys.MapUpdateBatch, sys.BatchAttr{Map: fd})
		one("flags", sys.MapUpdateBatch, sys.BatchAttr{Map: fd, Count: 8, ElemFlags: 64})
		one("lock", sys.MapUpdateBatch, sys.BatchAttr{Map: fd, Count: 8, ElemFlags: 4})
		if fd == m { // the order of a hash is its own
			one("three", sys.MapLookupBatch, sys.BatchAttr{Map: fd, Count: 3, Out: out})
			one("three more", sys.MapLookupBatch, sys.BatchAttr{Map: fd, Count: 3, In: out, Out: out})
			one("the last", sys.MapLookupBatch, sys.BatchAttr{Map: fd, Count: 3, In: out, Out: out})
		}
		one("nowhere", sys.MapLookupBatch, sys.BatchAttr{Map: fd, Count: 3, In: 8, Out: out})
		one("three", sys.MapDeleteBatch, sys.BatchAttr{Map: fd, Count: 3})
		one("three again", sys.MapDeleteBatch, sys.BatchAttr{Map: fd, Count: 3})
		one("map", sys.MapLookupAndDeleteBatch, sys.BatchAttr{Map: fd + 1000, Count: 3})
		s.w.close(fd)
	}
}

// The host's kernel and this package agree on error numbers and results. What a host is too old or too new for is not asked.
func TestHostKernel(t *testing.T) {
	host := hostWorld(t)
	for _, tc := range []struct {
		name string
		run  func(*script)
	}{
		{"creation", (*script).creation},
		{"elements", func(s *script) { s.elements(1) }},
		{"more elements", func(s *script) { s.elements(2) }},
		{"programs", (*script).programs},
		{"batches", (*script).batches},
		{"rest", (*script).rest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host.used = 0
			clear(host.memory)
			h, o := &script{w: host}, &script{w: ours(t)}
			tc.run(h)
			tc.run(o)
			if len(h.log) != len(o.log) {
				t.Fatalf("%d lines from the host, %d from here", len(h.log), len(o.log))
			}
			for i := range h.log {
				if h.log[i] != o.log[i] {
					t.Errorf("line %d:\n%s: %s\n%s: %s", i, host.name, h.log[i], o.w.name, o.log[i])
				}
			}
			t.Logf("%d lines compared", len(h.log))
		})
	}
}

// The program of TestExceptionCallback, with its callback and without, on the host's kernel.
func TestExceptionHost(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Skip(err)
	}
	u64t := &btf.Int{Name: "u64", Size: 8}
	proto := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, Params: []btf.FuncParam{{Name: "x", Type: u64t}}}
	ctx := &btf.FuncProto{Return: proto.Return, Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Struct{Name: "__sk_buff"}}}}}
	throw := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: -1}
	var fn *btf.Func
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skip(err)
	}
	if err := spec.TypeByName("bpf_throw", &fn); err != nil {
		t.Skip(err)
	}
	id, err := spec.TypeID(fn)
	if err != nil {
		t.Fatal(err)
	}
	throw.Constant = int64(id)
	start := func(in asm.Instruction, f *btf.Func) asm.Instruction {
		return btf.WithFuncMetadata(in.WithSymbol(f.Name), f)
	}
	for _, tc := range []struct {
		name string
		tags []string
		want uint32
	}{{"callback", []string{"exception_callback:callback"}, 6}, {"default", nil, 5}} {
		t.Run(tc.name, func(t *testing.T) {
			main := &btf.Func{Name: "main", Type: ctx, Linkage: btf.GlobalFunc, Tags: tc.tags}
			insns := asm.Instructions{
				start(asm.Mov.Imm(asm.R1, 5), main), asm.Call.Label("sub"), asm.Add.Imm(asm.R0, 100), asm.Return(),
				start(throw, &btf.Func{Name: "sub", Type: proto}), asm.Mov.Imm(asm.R0, 9), asm.Return(),
			}
			if tc.tags != nil {
				insns = append(insns, start(asm.Mov.Reg(asm.R0, asm.R1), &btf.Func{Name: "callback", Type: proto, Linkage: btf.GlobalFunc}), asm.Add.Imm(asm.R0, 1), asm.Return())
			}
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "main", Type: ebpf.SchedCLS, License: "GPL", Instructions: insns})
			if errors.Is(err, unix.EPERM) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatalf("%+v", err)
			}
			defer p.Close()
			r0, _, err := p.Test(make([]byte, 64))
			if err != nil || r0 != tc.want {
				t.Errorf("it returns %d, %v; want %d", r0, err, tc.want)
			}
		})
	}
}
