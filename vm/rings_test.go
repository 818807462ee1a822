package vm_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
)

// Types of maps by their kernel numbers.
const (
	progArray, hashOfMaps, ringBuf, userRingBuf = 3, 13, 27, 31
)

// load loads an object for every engine and runs the test.
func load(t *testing.T, o func() *link.Object, test func(t *testing.T, s *vm.Set, arg func(...uint64) uint64)) {
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			m := space(t)
			s, err := vm.Load(o(), vm.Options{Mem: m, Host: &host{}, Engine: e})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			test(t, s, func(args ...uint64) uint64 { return context(t, m, args...) })
		})
	}
}

// A program reserves a record, writes to it beyond the end of the buffer and back to its start, and submits it.
func TestRingBuf(t *testing.T) {
	load(t, func() *link.Object {
		p := program("emit", // emit(size, word): a record that ends with the word
			ir.Insn{Op: ir.Ld64, Dst: 6, Src: 1}, ir.Insn{Op: ir.Ld64, Dst: 7, Src: 1, Off: 8},
			ir.Insn{Op: ir.LdImm64, Dst: 1}, ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 6}, ir.Insn{Op: ir.Mov64K, Dst: 3}, helper("ringbuf_reserve"),
			ir.Insn{Op: ir.JEq64K, Dst: 0, Target: 13},
			ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 0}, ir.Insn{Op: ir.Add64X, Dst: 0, Src: 6}, ir.Insn{Op: ir.St64X, Dst: 0, Src: 7, Off: -8},
			ir.Insn{Op: ir.Mov64K, Dst: 2}, helper("ringbuf_submit"), ir.Insn{Op: ir.Mov64K, Imm: 1}, exit)
		p.Refs = []link.Ref{{Insn: 2, Kind: link.RefMap}}
		return &link.Object{Name: "ring.bpf.o", Programs: []*link.Program{p}, Maps: []*link.Map{{Name: "ring", Type: ringBuf, MaxEntries: 4096}}}
	}, func(t *testing.T, s *vm.Set, arg func(...uint64) uint64) {
		ring := s.Map("ring").(*maps.RingBuf)
		var got, want []uint64
		for i := range uint64(40) {
			if r0, f := s.Program("emit").Run(arg(1000, i)); f != nil || r0 != 1 {
				t.Fatalf("record %d: %d, %v", i, r0, f)
			}
			want = append(want, i)
			if i%3 == 2 {
				ring.Consume(func(b []byte) { got = append(got, binary.LittleEndian.Uint64(b[len(b)-8:])) })
			}
		}
		ring.Consume(func(b []byte) { got = append(got, binary.LittleEndian.Uint64(b[len(b)-8:])) })
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if r0, f := s.Program("emit").Run(arg(5000, 1)); f != nil || r0 != 0 {
			t.Errorf("a record that never fits: %d, %v", r0, f)
		}
	})
}

// A callback gets each sample of user space as a dynptr and reads it.
func TestUserRingBuf(t *testing.T) {
	load(t, func() *link.Object {
		p := program("drain", // drain(&sum)
			ir.Insn{Op: ir.Mov64X, Dst: 3, Src: 1}, ir.Insn{Op: ir.LdImm64, Dst: 1}, ir.Insn{Op: ir.LdImm64, Dst: 2}, ir.Insn{Op: ir.Mov64K, Dst: 4},
			helper("user_ringbuf_drain"), exit,
			// callback(dynptr, sum): *sum += the first 4 bytes
			ir.Insn{Op: ir.Mov64X, Dst: 6, Src: 2}, ir.Insn{Op: ir.Mov64X, Dst: 3, Src: 1}, ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 10}, ir.Insn{Op: ir.Add64K, Dst: 1, Imm: -8},
			ir.Insn{Op: ir.Mov64K, Dst: 2, Imm: 4}, ir.Insn{Op: ir.Mov64K, Dst: 4}, ir.Insn{Op: ir.Mov64K, Dst: 5}, helper("dynptr_read"),
			ir.Insn{Op: ir.JNe64K, Dst: 0, Target: 17}, ir.Insn{Op: ir.Ld32, Dst: 7, Src: 10, Off: -8}, ir.Insn{Op: ir.AtomicAdd64, Dst: 6, Src: 7}, exit)
		p.Code.Subs = []ir.Sub{{Name: "drain", End: 6}, {Name: "cb", Start: 6, End: 18}}
		p.Refs = []link.Ref{{Insn: 1, Kind: link.RefMap}, {Insn: 2, Kind: link.RefFunc, Sub: 1}}
		read := program("read", ir.Insn{Op: ir.Ld64, Dst: 0, Src: 1}, exit)
		return &link.Object{Name: "user.bpf.o", Programs: []*link.Program{p, read}, Maps: []*link.Map{{Name: "user", Type: userRingBuf, MaxEntries: 4096}}}
	}, func(t *testing.T, s *vm.Set, arg func(...uint64) uint64) {
		ring := s.Map("user").(*maps.RingBuf)
		for i := range byte(5) {
			ring.Produce([]byte{i, 1, 0, 0, 9})
		}
		ctx := arg(0)
		if r0, f := s.Program("drain").Run(ctx); f != nil || r0 != 5 {
			t.Fatalf("drained %d, %v", r0, f)
		}
		ring.Produce([]byte{7}) // too short: the callback stops
		ring.Produce([]byte{7, 0, 0, 0})
		if r0, f := s.Program("drain").Run(ctx); f != nil || r0 != 1 {
			t.Errorf("drained %d, %v", r0, f)
		}
		if r0, f := s.Program("drain").Run(ctx); f != nil || r0 != 1 {
			t.Errorf("drained %d, %v", r0, f)
		}
		if r0, f := s.Program("read").Run(ctx); f != nil || r0 != 5*256+10+7 {
			t.Errorf("sum %d, %v", r0, f)
		}
	})
}

// A program goes on as another one, which the object's initialisers put into an array of programs.
func TestTailCall(t *testing.T) {
	load(t, func() *link.Object {
		entry := program("entry", ir.Insn{Op: ir.Ld64, Dst: 3, Src: 1}, ir.Insn{Op: ir.LdImm64, Dst: 2}, helper("tail_call"), ir.Insn{Op: ir.Mov64K, Imm: 7}, exit)
		entry.Refs = []link.Ref{{Insn: 1, Kind: link.RefMap}}
		target := program("target", ir.Insn{Op: ir.Ld64, Dst: 0, Src: 1, Off: 8}, exit)
		return &link.Object{Name: "tail.bpf.o", Programs: []*link.Program{entry, target},
			Maps: []*link.Map{{Name: "progs", Type: progArray, KeySize: 4, ValueSize: 4, MaxEntries: 3, Slots: []elf.Slot{{Index: 1, Name: "target"}, {Index: 2, Name: "entry"}}}}}
	}, func(t *testing.T, s *vm.Set, arg func(...uint64) uint64) {
		for i, want := range []uint64{7, 42, 7, 7} { // the third calls itself until the kernel's limit
			if r0, f := s.Program("entry").Run(arg(uint64(i), 42)); f != nil || r0 != want {
				t.Errorf("element %d: %d, %v, want %d", i, r0, f, want)
			}
		}
		if want := uint64(5 + 5 + 34*3 + 2 + 5); s.Insns() != want {
			t.Errorf("%d instructions, want %d", s.Insns(), want)
		}
	})
}

// Initialisers of a hash of maps use their index as key.
func TestHashOfMaps(t *testing.T) {
	inner := &link.Map{Name: "inner", Type: elf.MapTypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}
	load(t, func() *link.Object {
		p := program("p", exit)
		return &link.Object{Name: "h.bpf.o", Programs: []*link.Program{p}, Maps: []*link.Map{
			{Name: "outer", Type: hashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 4, Inner: inner, Slots: []elf.Slot{{Index: 2, Name: "inner"}}}, inner}}
	}, func(t *testing.T, s *vm.Set, _ func(...uint64) uint64) {
		if got, want := s.Map("outer").Lookup([]byte{2, 0, 0, 0}, 0), s.Map("inner").Info().Addr; got != want {
			t.Errorf("element 2 is %#x, want %#x", got, want)
		}
	})
}

// Sizes that libbpf makes fit before the kernel sees them.
func TestMapSizes(t *testing.T) {
	const perfEventArray = 4
	o := &link.Object{Name: "s.bpf.o", Programs: []*link.Program{program("p", exit)}, Maps: []*link.Map{
		{Name: "page", Type: ringBuf, MaxEntries: 4096}, {Name: "one", Type: ringBuf, MaxEntries: 1}, {Name: "odd", Type: userRingBuf, MaxEntries: 163840},
		{Name: "events", Type: perfEventArray, KeySize: 4, ValueSize: 4}, {Name: "two", Type: perfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 7}}}
	s, err := vm.Load(o, vm.Options{Mem: space(t), Host: &host{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, want := range map[string]uint32{"page": 4096, "one": 4096, "odd": 262144, "events": 2, "two": 7} {
		if got := s.Map(name).Info().MaxEntries; got != want {
			t.Errorf("%s: %d entries, want %d", name, got, want)
		}
	}
}
