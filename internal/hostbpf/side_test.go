//go:build linux

package hostbpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
	"github.com/schedsim/schedsim/vm/verifier"
)

var (
	probes     = flag.Int("probes", 4000, "number of programs that TestVerifiedRuns verifies, and runs where they are accepted")
	hostProbes = flag.Int("host-probes", 2000, "number of programs that TestVerdicts has the kernel verify too")
	verbose    = flag.Bool("verdicts", false, "TestVerdicts shows a program for each class of differences")
)

func hostVersion(tb testing.TB) (major, minor int) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		tb.Skip(err)
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		tb.Skip(err)
	}
	return major, minor
}

// side is a kernel to load programs into: ours, or the host's. Both take the same bytes.
type side struct {
	memory []byte
	base   uint64
	used   int
	call   func(cmd sys.Cmd, attr []byte) int64
	close  func(fd int32)

	types *btf.Spec
	id    func(name string, function bool) uint32
	btf   int32
	funcs [3]uint32 // type ids of functions
	maps  [NrProbeMaps]int32
	ids   [NrProbeKfuncs]uint32
	tp    uint32

	k *sys.Kernel // nil: the host
	p *sys.Process
	m *mem.Space
	// contexts by kind, and the value that programs write to
	ctx  [NrProbeKinds]uint64
	rand *rand.Rand
}

const sideSize = 1 << 20

func (s *side) add(b []byte) uint64 {
	at := s.used
	s.used += (len(b) + 15) &^ 15
	clear(s.memory[at:s.used])
	copy(s.memory[at:], b)
	return s.base + uint64(at)
}

// hostSide is the kernel that the test runs on.
func hostSide(tb testing.TB) *side {
	if err := Available(); err != nil {
		tb.Skip(err)
	}
	memory, err := unix.Mmap(-1, 0, sideSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		tb.Skip(err)
	}
	tb.Cleanup(func() { unix.Munmap(memory) })
	s := &side{memory: memory, base: uint64(uintptr(unsafe.Pointer(&memory[0])))}
	s.call = func(cmd sys.Cmd, attr []byte) int64 {
		// Safety: the kernel writes to attr, which is kept alive by the call, and to the mapping.
		v, _, e := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(unsafe.SliceData(attr))), uintptr(len(attr)))
		for e == unix.EAGAIN { // a signal of the runtime's, which the verifier does not work through
			v, _, e = unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(unsafe.SliceData(attr))), uintptr(len(attr)))
		}
		runtime.KeepAlive(attr)
		if e != 0 {
			return -int64(e)
		}
		return int64(v)
	}
	s.close = func(fd int32) { unix.Close(int(fd)) }
	if s.types, err = btf.LoadKernelSpec(); err != nil {
		tb.Skip(err)
	}
	s.id = func(name string, function bool) uint32 { return typeID(s.types, name, function) }
	s.setup(tb)
	return s
}

func typeID(spec *btf.Spec, name string, function bool) uint32 {
	types, _ := spec.AnyTypesByName(name)
	for _, t := range types {
		_, isFunc := t.(*btf.Func)
		if isFunc != function {
			continue
		}
		if id, err := spec.TypeID(t); err == nil {
			return uint32(id)
		}
	}
	return 0
}

// machineHost is a kernel that does nothing by itself; its random numbers are those of a program.
type machineHost struct {
	task uint64
	rand *rand.Rand
}

func (h *machineHost) CPU() int32                             { return 1 }
func (h *machineHost) NrCPUs() int32                          { return 2 }
func (h *machineHost) NowNS() uint64                          { return 123456789 }
func (h *machineHost) CurrentTask() uint64                    { return h.task }
func (h *machineHost) CurrentPID() (a, b int32)               { return 1, 1 }
func (h *machineHost) Rand32() uint32                         { return h.rand.Uint32() }
func (h *machineHost) Printk(string)                          {}
func (h *machineHost) DisarmTimer(uint64) bool                { return false }
func (h *machineHost) ArmTimer(uint64, int32, uint64, func()) {}

// ourSide is a kernel of ours with the types given, whose programs run on the engine given.
func ourSide(tb testing.TB, version string, types *btf.Spec, o sys.Options) *side {
	tb.Helper()
	k, err := kernels.Get(version)
	if err != nil {
		tb.Fatal(err)
	}
	if types == nil {
		types = k.BTF()
	}
	s := &side{memory: make([]byte, sideSize), types: types, rand: rand.New(rand.NewPCG(0, 0))}
	if s.m, err = mem.New(mem.Options{Reserve: 64 << 20}); err != nil {
		tb.Fatal(err)
	}
	var task *btf.Struct
	if err := types.TypeByName("task_struct", &task); err != nil {
		tb.Fatal(err)
	}
	var at [3]uint64
	for i := range at {
		var b []byte
		if at[i], b, err = s.m.Alloc(uint64(task.Size), 64); err != nil {
			tb.Fatal(err)
		}
		for off := 0; off+8 <= len(b); off += 8 { // some members lead to other tasks, most are 0 or numbers
			switch v := s.rand.IntN(8); {
			case v == 0:
				binary.LittleEndian.PutUint64(b[off:], at[s.rand.IntN(i+1)])
			case v < 3:
				binary.LittleEndian.PutUint64(b[off:], uint64(v))
			}
		}
	}
	h := &machineHost{task: at[0], rand: s.rand}
	places := attach.WithTypes(k, types)
	places.CPUs = 2
	o.Mem, o.Host, o.BTF, o.Maps = s.m, h, types, 64
	o.Kfuncs = kfuncs.All(&kfuncs.Host{Mem: s.m, Layout: k})
	o.Attach = func(p *sys.Prog) (verifier.Attachment, error) { return places.Other(p.Linked()) }
	o.Budget = 1 << 20
	if s.k, err = sys.New(o); err != nil {
		tb.Fatal(err)
	}
	var u sys.Buffers
	s.p = s.k.NewProcess(&u)
	s.base = u.Add(s.memory)
	s.call = s.p.BPF
	s.close = func(fd int32) { s.p.Close(int(fd)) }
	s.id = func(name string, function bool) uint32 {
		if function {
			return s.k.FuncID(name)
		}
		return typeID(types, name, false)
	}
	for kind := range s.ctx {
		var b []byte
		if s.ctx[kind], b, err = s.m.Alloc(1<<16, 64); err != nil {
			tb.Fatal(err)
		}
		for i := range b {
			b[i] = byte(s.rand.IntN(256))
		}
		if ProbeKind(kind) == ProbeTracepoint {
			for i, v := range []uint64{1, at[1], at[2], 1} {
				binary.LittleEndian.PutUint64(b[8*i:], v)
			}
		}
	}
	s.setup(tb)
	tb.Cleanup(func() {
		if err := errors.Join(s.k.Close(), s.m.Close()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// must makes a call that must not fail.
func (s *side) must(tb testing.TB, what string, cmd sys.Cmd, attr []byte) int32 {
	tb.Helper()
	v := s.call(cmd, attr)
	if v < 0 {
		tb.Fatalf("%s: %v", what, abi.Errno(-v))
	}
	return int32(v)
}

// setup makes the types and maps of programs.
func (s *side) setup(tb testing.TB) {
	tb.Helper()
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	u64 := &btf.Int{Name: "unsigned long long", Size: 8}
	spin := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: u32}}}
	lock := &btf.Struct{Name: "locked", Size: 16, Members: []btf.Member{{Name: "lock", Type: spin}, {Name: "a", Type: u32, Offset: 32}, {Name: "b", Type: u64, Offset: 64}}}
	opaque := &btf.Array{Index: u32, Type: u64, Nelems: 2}
	timer := &btf.Struct{Name: "timed", Size: 24, Members: []btf.Member{{Name: "timer", Type: &btf.Struct{Name: "bpf_timer", Size: 16, Members: []btf.Member{{Name: "__opaque", Type: opaque}}}}, {Name: "x", Type: u64, Offset: 128}}}
	var params []btf.FuncParam
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		params = append(params, btf.FuncParam{Name: n, Type: u64})
	}
	var b btf.Builder
	id := func(t btf.Type) uint32 {
		n, err := b.Add(t)
		if err != nil {
			tb.Fatal(err)
		}
		return uint32(n)
	}
	key, lockID, timerID := id(u32), id(lock), id(timer)
	for i, name := range []string{"probe", "sub1", "sub2"} {
		f := &btf.Func{Name: name, Type: &btf.FuncProto{Return: u64, Params: params}, Linkage: btf.StaticFunc}
		if i == 0 {
			f.Linkage, f.Type = btf.GlobalFunc, &btf.FuncProto{Return: u64, Params: params[:1]}
		}
		s.funcs[i] = id(f)
	}
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		tb.Fatal(err)
	}
	s.btf = s.must(tb, "types", sys.BTFLoad, sys.BTFAttr{BTF: s.add(raw), Size: uint32(len(raw))}.Bytes())
	create := func(m ProbeMap, a sys.MapAttr) {
		s.maps[m] = s.must(tb, fmt.Sprintf("map %d", m), sys.MapCreate, a.Bytes())
	}
	create(ProbeArray, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 48, MaxEntries: 4})
	create(ProbeHash, sys.MapAttr{Type: 1, KeySize: 8, ValueSize: 48, MaxEntries: 8})
	create(ProbeConst, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: 1 << 7})
	create(ProbeData, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 64, MaxEntries: 1})
	create(ProbePerCPU, sys.MapAttr{Type: 6, KeySize: 4, ValueSize: 16, MaxEntries: 2})
	create(ProbeRing, sys.MapAttr{Type: 27, MaxEntries: 4096})
	create(ProbeLock, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 2, BTF: s.btf, KeyType: key, ValueType: lockID})
	create(ProbeQueue, sys.MapAttr{Type: 22, ValueSize: 8, MaxEntries: 4})
	create(ProbeTimer, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 24, MaxEntries: 2, BTF: s.btf, KeyType: key, ValueType: timerID})
	create(ProbeArena, sys.MapAttr{Type: 33, MaxEntries: 16, Flags: 1 << 10, Extra: 1 << 44})
	create(ProbeOuter, sys.MapAttr{Type: 12, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerFD: s.maps[ProbeArray]})
	elem := func(m ProbeMap, key, value []byte) {
		s.must(tb, fmt.Sprintf("element of map %d", m), sys.MapUpdateElem, sys.ElemAttr{Map: s.maps[m], Key: s.add(key), Value: s.add(value)}.Bytes())
	}
	le := binary.LittleEndian
	constants := le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 7), 0), 200), 1<<32-1)
	elem(ProbeConst, make([]byte, 4), constants)
	s.must(tb, "freeze", sys.MapFreeze, sys.Words(uint32(s.maps[ProbeConst])))
	elem(ProbeOuter, make([]byte, 4), le.AppendUint32(nil, uint32(s.maps[ProbeArray])))
	for i := range s.ids {
		s.ids[i] = s.id(ProbeKfuncName(ProbeKfunc(i)), true)
	}
	s.tp = s.id("btf_trace_sched_switch", false)
}

// attr is what loads a program.
func (s *side) attr(p *Probe, log int) (sys.Attr, []byte) {
	s.used = sideSize / 2
	code := bytes.Clone(p.Code)
	starts := []int{0}
	for at := 0; at+8 <= len(code); at += 8 {
		op, src := code[at], code[at+1]>>4
		imm := binary.LittleEndian.Uint32(code[at+4:])
		switch {
		case op == 0x18 && (src == 1 || src == 2):
			fd := int32(-1)
			if imm < uint32(NrProbeMaps) {
				fd = s.maps[imm]
			}
			binary.LittleEndian.PutUint32(code[at+4:], uint32(fd))
		case op == 0x85 && src == 2 && imm < uint32(NrProbeKfuncs):
			binary.LittleEndian.PutUint32(code[at+4:], s.ids[imm])
		case op == 0x85 && src == 1, op == 0x18 && src == 4:
			starts = append(starts, at/8+1+int(int32(imm)))
		}
		if op == 0x18 {
			at += 8
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var info []byte
	for i, at := range starts {
		info = binary.LittleEndian.AppendUint32(info, uint32(at))
		info = binary.LittleEndian.AppendUint32(info, s.funcs[min(i, 2)])
	}
	a := sys.ProgAttr{InsnCnt: uint32(len(code) / 8), Insns: s.add(code), License: s.add([]byte("GPL\x00")), BTF: s.btf,
		FuncInfo: s.add(info), FuncInfoRec: 8, FuncInfoCnt: uint32(len(starts))}
	switch p.Kind {
	case ProbeSyscall:
		a.Type, a.Flags = sys.ProgTypeSyscall, sys.ProgFlagSleepable
	case ProbeRawTP:
		a.Type = sys.ProgTypeRawTracepoint
	case ProbeKprobe:
		a.Type = sys.ProgTypeKprobe
	case ProbeTC:
		a.Type = 3 // SCHED_CLS
	case ProbeXDP:
		a.Type = 6
	case ProbeSocket:
		a.Type = sys.ProgTypeSocketFilter
	case ProbeTracepoint:
		a.Type, a.AttachType, a.AttachBTF = sys.ProgTypeTracing, sys.AttachTraceRawTP, s.tp
	}
	var buf []byte
	if log > 0 {
		at := s.used
		a.LogLevel, a.LogSize, a.LogBuf = 1, uint32(log), s.add(make([]byte, log))
		buf = s.memory[at : at+log]
	}
	return a.Bytes(), buf
}

// load loads a program, and closes it unless keep; it returns its descriptor or a negative error number.
func (s *side) load(p *Probe) int64 {
	a, _ := s.attr(p, 0)
	return s.call(sys.ProgLoad, a)
}

// log is what is said about a program when it is loaded once more.
func (s *side) log(p *Probe) string {
	a, buf := s.attr(p, 256<<10)
	if fd := s.call(sys.ProgLoad, a); fd >= 0 {
		s.close(int32(fd))
	}
	text, _, _ := strings.Cut(string(buf), "\x00")
	return text
}

// lastLine is the reason in the log.
func (s *side) lastLine(p *Probe) string {
	_, reason := lastOf(s.log(p))
	return reason
}

var digits = regexp.MustCompile(`-?(0x[0-9a-f]+|\b[0-9]+\b|R[0-9]+\b|#[0-9]+)`)

// class is a message without its numbers.
func class(msg string) string { return digits.ReplaceAllString(msg, "N") }

// probe is program number n; every other one is plain.
func probe(n uint64) Probe {
	return (&Prober{Rand: rand.New(rand.NewPCG(n, 0xbeef)), Plain: n%2 == 1}).Make()
}

// netProbe is program number n where programs of the network are wanted, too.
func netProbe(n uint64) Probe {
	return (&Prober{Rand: rand.New(rand.NewPCG(n, 0xbeef)), Plain: n%2 == 1, Net: true}).Make()
}

// run runs a program that was loaded as fd, with input number k of program number n.
func (s *side) run(fd int32, p *Probe, n, k uint64) (string, *sys.Fault) {
	*s.rand = *rand.New(rand.NewPCG(n, k))
	word := func() uint64 {
		if s.rand.IntN(2) == 0 {
			return edges[s.rand.IntN(len(edges))]
		}
		return s.rand.Uint64() >> s.rand.IntN(64)
	}
	ctx := s.m.Bytes(s.ctx[p.Kind], 256)
	for i := 0; i < len(ctx); i += 8 {
		if p.Kind != ProbeTracepoint || i != 8 && i != 16 {
			binary.LittleEndian.PutUint64(ctx[i:], word())
		}
	}
	value := s.p.Map(int(s.maps[ProbeData])).Maps().(*maps.Array).Data()
	for i := 0; i < 64; i += 8 {
		binary.LittleEndian.PutUint64(value[i:], word())
	}
	before := s.k.Insns()
	r0, f := s.p.Prog(int(fd)).Run(s.ctx[p.Kind])
	return fmt.Sprintf("r0 %#x, %d instructions, %x", r0, s.k.Insns()-before, value[:64]), f
}
