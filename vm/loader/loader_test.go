package loader_test

import (
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/loader"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
)

type host struct{}

func (host) CPU() int32                             { return 0 }
func (host) NrCPUs() int32                          { return 1 }
func (host) NowNS() uint64                          { return 0 }
func (host) CurrentTask() uint64                    { return 0 }
func (host) CurrentPID() (a, b int32)               { return 1, 1 }
func (host) Rand32() uint32                         { return 0 }
func (host) Printk(string)                          {}
func (host) ArmTimer(uint64, int32, uint64, func()) {}
func (host) DisarmTimer(uint64) bool                { return false }

// object has a counter in .bss, a limit in .rodata and a program that counts up to it.
func object() *link.Object {
	u64 := &btf.Int{Name: "u64", Size: 8}
	section := func(name string, frozen bool, flags uint32, data []byte, v string) *link.Map {
		return &link.Map{Name: name, Section: name, Type: elf.MapTypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: flags,
			Frozen: frozen, Data: data, Vars: []link.Var{{Name: v, Size: 8, Type: u64}}}
	}
	p := &link.Program{Name: "count_up_to_the_limit", Section: "syscall", Kind: elf.KindSyscall, AutoLoad: true, Sleepable: true,
		Code: &ir.Program{Name: "count_up_to_the_limit", Subs: []ir.Sub{{Name: "count_up_to_the_limit", End: 8}}, Line: func(int32) string { return "count.bpf.c:7" },
			Insns: []ir.Insn{
				{Op: ir.LdImm64, Dst: 1}, {Op: ir.Ld64, Dst: 2, Src: 1}, {Op: ir.LdImm64, Dst: 3}, {Op: ir.Ld64, Dst: 0, Src: 3},
				{Op: ir.JGe64X, Dst: 0, Src: 2, Target: 7}, {Op: ir.Add64K, Dst: 0, Imm: 1}, {Op: ir.St64X, Dst: 3, Src: 0}, {Op: ir.Exit},
			}},
		Refs: []link.Ref{{Insn: 0, Kind: link.RefMapValue, Map: 0}, {Insn: 2, Kind: link.RefMapValue, Map: 1}}}
	return &link.Object{Name: "count.bpf.o", License: "GPL", Programs: []*link.Program{p},
		Maps: []*link.Map{section(".rodata", true, maps.FlagRdonlyProg, []byte{2}, "limit"), section(".bss", false, maps.FlagMmapable, nil, "counter")}}
}

func load(t *testing.T, o *link.Object) (*sys.Kernel, *loader.Object, error) {
	t.Helper()
	m, err := mem.New(mem.Options{Reserve: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	k, err := sys.New(sys.Options{Mem: m, Host: host{}, Maps: 16,
		Kfuncs: []abi.Kfunc{{Name: "double", Call: func(_ *abi.Call, a *abi.Args) uint64 { return 2 * a[0] }}, {Name: "later"}},
		Ksym:   func(name string) (uint64, bool) { return 8, name == "known" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		m.Close()
	})
	var u sys.Buffers
	l, err := loader.Load(k.NewProcess(&u), &u, o, loader.Options{})
	return k, l, err
}

func TestLoad(t *testing.T) {
	k, l, err := load(t, object())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint64{1, 2, 2} {
		if r0, f := l.Prog("count_up_to_the_limit").Run(0); r0 != want || f != nil {
			t.Fatalf("%d, %v; want %d", r0, f, want)
		}
	}
	if b, err := l.Global("counter"); err != nil || b[0] != 2 {
		t.Errorf("counter %v, %v", b, err)
	}
	if _, err := l.Global("limits"); err == nil || err.Error() != `count.bpf.o: no global variable "limits"; did you mean "limit"?` {
		t.Errorf("%v", err)
	}
	var names []string
	for _, m := range l.Maps() {
		names = append(names, m.Name())
	}
	if d := cmp.Diff([]string{"count.rodata", "count.bss"}, names); d != "" || !l.Map(".rodata").Frozen() {
		t.Error(d, l.Map(".rodata").Frozen())
	}
	if p := l.Prog("count_up_to_the_limit"); p.Name() != "count_up_to_the_limit" || len(p.Maps()) != 2 {
		t.Errorf("%s holds %d maps", p.Name(), len(p.Maps()))
	}
	if c := k.Counts(); c != (sys.Counts{Maps: 2, Progs: 1, BTFs: 1}) {
		t.Errorf("live: %+v", c)
	}
	l.Close()
	if c := k.Counts(); c != (sys.Counts{}) {
		t.Errorf("live: %+v", c)
	}
}

// What is refused is said as for the object: names in full, the instruction, the line, who needs it.
func TestRefused(t *testing.T) {
	insns := func(o *link.Object, in ...ir.Insn) *link.Program {
		p := o.Programs[0]
		p.Code.Insns, p.Refs, p.Code.Subs[0].End = append(in, ir.Insn{Op: ir.Exit}), nil, int32(len(in)+1)
		return p
	}
	for _, tc := range []struct {
		name string
		edit func(*link.Object)
		want string // "" if it loads
	}{
		{"unknown function", func(o *link.Object) {
			p := insns(o, ir.Insn{Op: ir.CallKfunc})
			p.Code.Kfuncs, p.Calls = []string{"doubel"}, []link.KfuncCall{{Name: "doubel"}}
		}, `count.bpf.o: program count_up_to_the_limit: instruction 0 (count.bpf.c:7): kernel function doubel: not known; did you mean "double"?`},
		{"unknown function in dead code", func(o *link.Object) {
			insns(o, ir.Insn{Op: ir.CallKfunc}).Code.Kfuncs = []string{"doubel"}
		}, ""},
		{"function that is not modelled", func(o *link.Object) {
			p := insns(o, ir.Insn{Op: ir.CallKfunc})
			p.Code.Kfuncs, p.Calls = []string{"later"}, []link.KfuncCall{{Name: "later"}}
		}, `count.bpf.o: program count_up_to_the_limit: instruction 0 (count.bpf.c:7): kernel function later: not supported`},
		{"helper that does not exist", func(o *link.Object) {
			insns(o, ir.Insn{Op: ir.CallHelper, Imm: 4000}).Helpers = []link.HelperCall{{ID: 4000}}
		}, `count.bpf.o: program count_up_to_the_limit: instruction 0 (count.bpf.c:7): helper 4000: does not exist`},
		{"GPL-only helper", func(o *link.Object) {
			o.License = "MIT"
			insns(o, ir.Insn{Op: ir.CallHelper, Imm: 35}).Helpers = []link.HelperCall{{ID: 35}}
		}, `count.bpf.o: program count_up_to_the_limit: instruction 0 (count.bpf.c:7): cannot call GPL-restricted function from non-GPL compatible program`},
		{"kernel variable", func(o *link.Object) {
			insns(o, ir.Insn{Op: ir.LdImm64}).Refs = []link.Ref{{Kind: link.RefKsymVar, Name: "unknown"}}
		}, `count.bpf.o: program count_up_to_the_limit: instruction 0 (count.bpf.c:7): kernel variable "unknown": not modelled`},
		{"kernel variable that exists", func(o *link.Object) {
			insns(o, ir.Insn{Op: ir.LdImm64}).Refs = []link.Ref{{Kind: link.RefKsymVar, Name: "known"}}
		}, ""},
		{"map", func(o *link.Object) { o.Maps[1].MaxEntries = 0 },
			`count.bpf.o: map ".bss": max_entries 0: EINVAL (used by program count_up_to_the_limit, instruction 0 (count.bpf.c:7))`},
		{"map that nothing uses", func(o *link.Object) {
			o.Maps = append(o.Maps, &link.Map{Name: "x", Type: 15, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		}, ""},
		{"malformed", func(o *link.Object) { insns(o).Code.Insns[0] = ir.Insn{Op: ir.Mov64K} },
			`count.bpf.o: program count_up_to_the_limit: program "count_up_to_the_limit": instruction 0: last instruction of "count_up_to_the_limit" is neither exit nor jump`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := object()
			tc.edit(o)
			k, l, err := load(t, o)
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want != "" && (err == nil || err.Error() != tc.want):
				t.Errorf("error %v\nwant  %s", err, tc.want)
			}
			l.Close()
			if c := k.Counts(); c != (sys.Counts{}) {
				t.Errorf("live: %+v", c)
			}
		})
	}
}

// tailCaller has an array of programs with one at place 2, and a program that goes on as that.
func tailCaller() *link.Object {
	program := func(name string, insns ...ir.Insn) *link.Program {
		return &link.Program{Name: name, Section: "syscall", Kind: elf.KindSyscall, AutoLoad: true, Sleepable: true,
			Code: &ir.Program{Name: name, Insns: insns, Subs: []ir.Sub{{Name: name, End: int32(len(insns))}}, Line: func(int32) string { return "" }}}
	}
	caller := program("caller", ir.Insn{Op: ir.LdImm64, Dst: 2}, ir.Insn{Op: ir.Mov64K, Dst: 3, Imm: 2}, ir.Insn{Op: ir.CallHelper, Imm: 12},
		ir.Insn{Op: ir.Mov64K, Imm: 7}, ir.Insn{Op: ir.Exit})
	caller.Refs, caller.Helpers = []link.Ref{{Kind: link.RefMap}}, []link.HelperCall{{Insn: 2, ID: 12}}
	return &link.Object{Name: "tail.bpf.o", License: "GPL",
		Programs: []*link.Program{caller, program("target", ir.Insn{Op: ir.Mov64K, Imm: 5}, ir.Insn{Op: ir.Exit})},
		Maps: []*link.Map{{Name: "jumps", Type: elf.MapTypeProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 3,
			Slots: []elf.Slot{{Index: 2, Name: "target"}}}}}
}

// The initial elements of an array of programs, as libbpf puts them there when the programs are loaded.
func TestProgArraySlots(t *testing.T) {
	k, l, err := load(t, tailCaller())
	if err != nil {
		t.Fatal(err)
	}
	if r0, f := l.Prog("caller").Run(0); r0 != 5 || f != nil {
		t.Errorf("it returns %d, %v; want 5", r0, f)
	}
	l.Close()
	if c := k.Counts(); c != (sys.Counts{}) {
		t.Errorf("live: %+v", c)
	}
	for _, tc := range []struct {
		name string
		edit func(*link.Object)
		want string
	}{
		{"program that is not loaded", func(o *link.Object) { o.Programs[1].AutoLoad = false }, `tail.bpf.o: map "jumps": element 2: program "target" is not loaded`},
		{"program of another kind", func(o *link.Object) { o.Programs[1].Kind = elf.KindRawTP }, `tail.bpf.o: map "jumps": element 2: program "target": EINVAL`},
		{"element behind the end", func(o *link.Object) { o.Maps[0].Slots[0].Index = 3 }, `tail.bpf.o: map "jumps": element 3: program "target": E2BIG`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := tailCaller()
			tc.edit(o)
			if _, _, err := load(t, o); err == nil || err.Error() != tc.want {
				t.Errorf("error %v\nwant  %s", err, tc.want)
			}
		})
	}
}

// Forgetting takes what only loading needs; what was loaded goes on.
func TestForget(t *testing.T) {
	o := object()
	_, l, err := load(t, o)
	if err != nil {
		t.Fatal(err)
	}
	l.Forget()
	if r0, f := l.Prog("count_up_to_the_limit").Run(0); r0 != 1 || f != nil {
		t.Errorf("it returns %d, %v; want 1", r0, f)
	}
	if r0, err := l.Run("count_up_to_the_limit", nil); r0 != 2 || err != nil {
		t.Errorf("it returns %d, %v; want 2", r0, err)
	}
	if b, err := l.Global("counter"); err != nil || b[0] != 2 {
		t.Errorf("counter %v, %v", b, err)
	}
	if m := l.Map(".rodata"); m == nil || !m.Frozen() {
		t.Errorf("map %v", m)
	}
	if p := l.Programs(); len(p) == 0 || p[0] != "count_up_to_the_limit" {
		t.Errorf("programs %q", p)
	}
	if o.Programs[0].Code == nil || o.Maps[0].Data == nil {
		t.Error("the object of the caller has changed")
	}
	l.Close()
}
