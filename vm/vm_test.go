package vm_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

// host is a machine of 2 CPUs with timers that the test fires.
type host struct {
	now  uint64
	fire map[uint64]func()
	out  []string
}

func (h *host) CPU() int32                    { return 1 }
func (h *host) NrCPUs() int32                 { return 2 }
func (h *host) NowNS() uint64                 { return h.now }
func (h *host) CurrentTask() uint64           { return 0 }
func (h *host) CurrentPID() (pid, tgid int32) { return 0, 0 }
func (h *host) Rand32() uint32                { return 0 }
func (h *host) Printk(line string)            { h.out = append(h.out, line) }
func (h *host) DisarmTimer(key uint64) bool {
	_, ok := h.fire[key]
	delete(h.fire, key)
	return ok
}

func (h *host) ArmTimer(key uint64, _ int32, _ uint64, fire func()) { h.fire[key] = fire }

// engines are all engines of this machine.
func engines(t *testing.T) []vm.Engine {
	list := []vm.Engine{vm.Interp()}
	if e, err := vm.EngineByName("jit"); err == nil {
		list = append(list, e)
	} else {
		t.Logf("interpreter only: %v", err)
	}
	return list
}

func space(t *testing.T) *mem.Space {
	t.Helper()
	m, err := mem.New(mem.Options{Reserve: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func helper(name string) ir.Insn { return ir.Insn{Op: ir.CallHelper, Imm: helpers.Number(name)} }

// program makes a linked program; every instruction is on its own line of test.c and takes one slot.
func program(name string, insns ...ir.Insn) *link.Program {
	for i := range insns {
		insns[i].Orig = int32(i)
	}
	p := &link.Program{Name: name, AutoLoad: true, Code: &ir.Program{Name: name, Insns: insns, Subs: []ir.Sub{{Name: name, End: int32(len(insns))}}}}
	p.Code.Line = func(i int32) string { return fmt.Sprintf("test.c:%d", 10+i) }
	return p
}

var exit = ir.Insn{Op: ir.Exit}

// counter is an object with a global variable, an array and a program that adds its argument to both.
func counter() *link.Object {
	p := program("count",
		ir.Insn{Op: ir.Ld64, Dst: 6, Src: 1},            // the argument
		ir.Insn{Op: ir.LdImm64, Dst: 1},                 // &total
		ir.Insn{Op: ir.AtomicAdd64, Dst: 1, Src: 6},     //
		ir.Insn{Op: ir.St32K, Dst: 10, Off: -4, Imm: 1}, // key
		ir.Insn{Op: ir.LdImm64, Dst: 1},                 // &arr
		ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 10},         //
		ir.Insn{Op: ir.Add64K, Dst: 2, Imm: -4},         //
		helper("map_lookup_elem"),                       //
		ir.Insn{Op: ir.JNe64K, Dst: 0, Target: 10},      //
		exit, //
		ir.Insn{Op: ir.FetchAdd64, Dst: 0, Src: 6}, //
		ir.Insn{Op: ir.Mov64X, Dst: 0, Src: 6},     // what the element was before
		exit)
	p.Refs = []link.Ref{{Insn: 1, Kind: link.RefMapValue, Map: 0, Off: 8}, {Insn: 4, Kind: link.RefMap, Map: 1}}
	return &link.Object{
		Name: "counter.bpf.o",
		Maps: []*link.Map{
			{Name: ".data", Section: ".data", Type: elf.MapTypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: maps.FlagMmapable,
				Data: []byte{1, 2, 3}, Vars: []link.Var{{Name: "head", Off: 0, Size: 8}, {Name: "total", Off: 8, Size: 8}}},
			{Name: "arr", Type: elf.MapTypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 4},
		},
		Programs: []*link.Program{p},
	}
}

// context is a block of arguments in m.
func context(t *testing.T, m *mem.Space, args ...uint64) uint64 {
	t.Helper()
	a, b, err := m.Alloc(64, 8)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range args {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	return a
}

func TestRun(t *testing.T) {
	var addrs []uint64
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			m := space(t)
			s, err := vm.Load(counter(), vm.Options{Mem: m, Host: &host{}, Engine: e})
			if err != nil {
				t.Fatal(err)
			}
			ctx := context(t, m, 5)
			for i := range uint64(3) {
				r0, f := s.Program("count").Run(ctx)
				if f != nil || r0 != 5*i {
					t.Fatalf("run %d: r0 = %d, fault %v", i, r0, f)
				}
			}
			if s.Insns() != 3*12 || s.Calls() != 3 {
				t.Errorf("%d instructions and %d calls, want 36 and 3", s.Insns(), s.Calls())
			}
			total, err := s.Global("total")
			if err != nil || binary.LittleEndian.Uint64(total) != 15 {
				t.Errorf("total % x, %v", total, err)
			}
			if head, _ := s.Global("head"); string(head) != "\x01\x02\x03\x00\x00\x00\x00\x00" {
				t.Errorf("head % x", head)
			}
			if _, err := s.Global("totals"); err == nil || err.Error() != `counter.bpf.o: no global variable "totals"; did you mean "total"?` {
				t.Errorf("error %v", err)
			}
			at := s.Map("arr").Lookup([]byte{1, 0, 0, 0}, 0)
			if v, _ := m.Load(at, 8); v != 15 {
				t.Errorf("element %d, want 15", v)
			}
			if s.Program("nobody") != nil || s.Map("nothing") != nil {
				t.Error("something that is not there was found")
			}
			addrs = append(addrs, at, s.Map("arr").Info().Addr, ctx)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			limit := m.Limit()
			s2, err := vm.Load(counter(), vm.Options{Mem: m, Host: &host{}, Engine: e})
			if err != nil {
				t.Fatal(err)
			}
			if m.Limit() != limit {
				t.Errorf("loading again took %d more bytes: something was not freed", m.Limit()-limit)
			}
			if head, _ := s2.Global("total"); binary.LittleEndian.Uint64(head) != 0 {
				t.Error("the second set sees the first one's data")
			}
			s2.Close()
		})
	}
	if len(addrs) == 6 && !cmp.Equal(addrs[:3], addrs[3:]) {
		t.Errorf("addresses depend on the engine: %#x", addrs)
	}
}

// Loading names the program, the instruction and the line, and what would have been right.
func TestLoadErrors(t *testing.T) {
	kfunc := func(names ...string) func(*link.Object) {
		return func(o *link.Object) {
			p := program("p", ir.Insn{Op: ir.Mov64K}, ir.Insn{Op: ir.CallKfunc}, exit)
			p.Code.Kfuncs = names
			p.Calls = []link.KfuncCall{{Insn: 1, Name: names[0]}}
			o.Programs = append(o.Programs, p)
		}
	}
	call := func(name string) func(*link.Object) {
		return func(o *link.Object) {
			p := program("p", ir.Insn{Op: ir.Mov64K}, helper(name), exit)
			p.Helpers = []link.HelperCall{{Insn: 1, ID: int32(helpers.Number(name))}}
			o.Programs = append(o.Programs, p)
		}
	}
	ref := func(r link.Ref, live bool) func(*link.Object) {
		return func(o *link.Object) {
			p := program("p", ir.Insn{Op: ir.LdImm64}, exit)
			p.Refs, p.Live = []link.Ref{r}, []bool{live, true}
			o.Programs = append(o.Programs, p)
			o.Maps = append(o.Maps, &link.Map{Name: "stacks", Type: 7, KeySize: 4, ValueSize: 4, MaxEntries: 2})
		}
	}
	for _, tc := range []struct {
		name string
		edit func(*link.Object)
		want string // "" means that it loads
	}{
		{"known kfunc", kfunc("scx_bpf_now"), ""},
		{"unknown kfunc", kfunc("scx_bpf_nov"), `counter.bpf.o: program p: instruction 1 (test.c:11): kernel function scx_bpf_nov: not known; did you mean "scx_bpf_now"?`},
		{"unmodelled kfunc", kfunc("scx_bpf_later"), `counter.bpf.o: program p: instruction 1 (test.c:11): kernel function scx_bpf_later: not supported`},
		{"unmodelled helper", call("send_signal"), `counter.bpf.o: program p: instruction 1 (test.c:11): helper bpf_send_signal: not supported; tasks take no signals`},
		{"helper that needs more than programs", call("sys_bpf"), `counter.bpf.o: program p: instruction 1 (test.c:11): helper bpf_sys_bpf: not supported; there is no kernel behind the programs that could do it`},
		{"kernel variable", ref(link.Ref{Kind: link.RefKsymVar, Name: "runqueues"}, true), `counter.bpf.o: program p: instruction 0 (test.c:10): kernel variable "runqueues": not modelled`},
		{"kernel variable in dead code", ref(link.Ref{Kind: link.RefKsymVar, Name: "runqueues"}, false), ""},
		{"known kernel variable", ref(link.Ref{Kind: link.RefKsymVar, Name: "sd_llc_id"}, true), ""},
		{"kernel function's address", ref(link.Ref{Kind: link.RefKsymFunc, Name: "scx_bpf_now"}, true), ""},
		{"unsupported map", ref(link.Ref{Kind: link.RefMap, Map: 2}, true), `counter.bpf.o: map "stacks": type stack_trace: not supported (used by program p, instruction 0 (test.c:10))`},
		{"unsupported map in dead code", ref(link.Ref{Kind: link.RefMap, Map: 2}, false), ""},
		{"refused map", func(o *link.Object) { o.Maps[1].MaxEntries = 0 }, `counter.bpf.o: map "arr": max_entries 0: EINVAL (used by program count, instruction 4 (test.c:14))`},
		{"malformed", func(o *link.Object) { o.Programs = append(o.Programs, program("p", ir.Insn{Op: ir.Mov64K})) },
			`counter.bpf.o: program "p": instruction 0: last instruction of "p" is neither exit nor jump`},
		{"optional program", func(o *link.Object) {
			call("send_signal")(o)
			o.Programs[1].AutoLoad = false
		}, ""},
		{"optional program of a table", func(o *link.Object) {
			call("send_signal")(o)
			o.Programs[1].AutoLoad = false
			o.StructOps = []*link.StructOps{{Name: "ops", AutoCreate: true, Members: []link.Member{{Name: "init", Prog: "p"}}}}
		}, `counter.bpf.o: program p: instruction 1 (test.c:11): helper bpf_send_signal: not supported; tasks take no signals`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := counter()
			tc.edit(o)
			m := space(t)
			s, err := vm.Load(o, vm.Options{
				Mem: m, Host: &host{},
				Kfuncs: []abi.Kfunc{{Name: "scx_bpf_now", Call: func(*abi.Call, *abi.Args) uint64 { return 1 }}, {Name: "scx_bpf_later"}},
				Ksym:   func(name string) (uint64, bool) { return 8, name == "sd_llc_id" },
			})
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want != "" && (err == nil || err.Error() != tc.want):
				t.Errorf("error %v\nwant  %s", err, tc.want)
			case err == nil:
				s.Close()
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			o := counter()
			poisoned := program("poisoned", ir.Insn{Op: ir.Mov64K}, ir.Insn{Op: ir.Invalid, Imm: 1})
			poisoned.Poison = []string{"x", "the field does not exist"}
			stub := program("stub", ir.Insn{Op: ir.CallKfunc}, exit)
			stub.Code.Kfuncs = []string{"gone"}
			picky := program("picky", ir.Insn{Op: ir.CallKfunc}, exit)
			picky.Code.Kfuncs = []string{"refuse"}
			null := program("null", ir.Insn{Op: ir.Ld64, Dst: 0, Src: 3}, exit)
			o.Programs = append(o.Programs, poisoned, stub, picky, null)
			refuse := func(c *abi.Call, _ *abi.Args) uint64 { c.Fault = "argument 1: 0x7 is no task"; return 0 }
			s, err := vm.Load(o, vm.Options{Mem: space(t), Host: &host{}, Engine: e, Kfuncs: []abi.Kfunc{{Name: "refuse", Call: refuse}}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for name, want := range map[string]string{
				"poisoned": "program poisoned: instruction 1 (test.c:11): the field does not exist",
				"stub":     "program stub: instruction 0 (test.c:10): kernel function gone: not supported",
				"picky":    "program picky: instruction 0 (test.c:10): refuse: argument 1: 0x7 is no task",
				"null":     "program null: instruction 0 (test.c:10): invalid read of 8 bytes at 0x0",
				"count":    "program count: instruction 0 (test.c:10): invalid read of 8 bytes at 0x7",
			} {
				if _, f := s.Program(name).Run(7); f == nil || f.Error() != want {
					t.Errorf("%s: fault %v, want %s", name, f, want)
				}
			}
		})
	}
}

// A timer's callback runs by itself; its fault waits to be taken.
func TestAsync(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			timer := &btf.Struct{Name: "bpf_timer", Size: 16}
			value := &btf.Struct{Name: "elem", Size: 24, Members: []btf.Member{{Name: "n", Type: &btf.Int{Size: 8}}, {Name: "t", Type: timer, Offset: 64}}}
			start := program("start",
				ir.Insn{Op: ir.Mov64X, Dst: 6, Src: 1}, // the element
				ir.Insn{Op: ir.Mov64X, Dst: 7, Src: 1}, ir.Insn{Op: ir.Add64K, Dst: 7, Imm: 8},
				ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 7}, ir.Insn{Op: ir.LdImm64, Dst: 2}, ir.Insn{Op: ir.Mov64K, Dst: 3, Imm: 1}, helper("timer_init"),
				ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 7}, ir.Insn{Op: ir.LdImm64, Dst: 2}, helper("timer_set_callback"),
				ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 7}, ir.Insn{Op: ir.Mov64K, Dst: 2, Imm: 50}, helper("timer_start"), exit,
				// callback(map, key, value): value->n += key + 1, then a bad access when n is 6
				ir.Insn{Op: ir.Ld32, Dst: 4, Src: 2}, ir.Insn{Op: ir.Add64K, Dst: 4, Imm: 1}, ir.Insn{Op: ir.AtomicAdd64, Dst: 3, Src: 4}, ir.Insn{Op: ir.Ld64, Dst: 5, Src: 3},
				ir.Insn{Op: ir.JNe64K, Dst: 5, Imm: 6, Target: 20}, ir.Insn{Op: ir.St64K, Dst: 0}, ir.Insn{Op: ir.Mov64K}, exit)
			start.Code.Subs = []ir.Sub{{Name: "start", End: 14}, {Name: "cb", Start: 14, End: 22}}
			start.Refs = []link.Ref{{Insn: 4, Kind: link.RefMap}, {Insn: 8, Kind: link.RefFunc, Sub: 1}}
			o := &link.Object{Name: "timer.bpf.o", Programs: []*link.Program{counter().Programs[0], start},
				Maps: []*link.Map{{Name: "timers", Type: elf.MapTypeArray, KeySize: 4, ValueSize: 24, MaxEntries: 4, Value: value}}}
			o.Programs[0].Refs = nil
			h := &host{fire: map[uint64]func(){}}
			m := space(t)
			s, err := vm.Load(o, vm.Options{Mem: m, Host: h, Engine: e})
			if err != nil {
				t.Fatal(err)
			}
			at := s.Map("timers").Lookup([]byte{2, 0, 0, 0}, 0)
			if r0, f := s.Program("start").Run(at); r0 != 0 || f != nil {
				t.Fatalf("start: %d, %v", int64(r0), f)
			}
			fire := h.fire[at+8]
			fire()
			if v, _ := m.Load(at, 8); v != 3 || s.TakeFault() != nil {
				t.Errorf("after one callback n = %d", v)
			}
			fire()
			want := "program start: instruction 19 (test.c:29): invalid write of 8 bytes at 0x0"
			if f := s.TakeFault(); f == nil || f.Error() != want {
				t.Errorf("fault %v, want %s", f, want)
			}
			if f := s.TakeFault(); f != nil {
				t.Errorf("the fault came twice: %v", f)
			}
			if _, f := s.RunSub(0x10, abi.Args{}); f == nil || f.Msg != "call of 0x10, which is not a function" {
				t.Errorf("fault %v", f)
			}
			s.Close()
			if len(h.fire) != 0 {
				t.Error("a timer outlives its set")
			}
			fire() // the machine may still have it: nothing happens
		})
	}
}

// A kernel function may run another program before it returns, and knows what was counted until then.
func TestNested(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			outer := program("outer", ir.Insn{Op: ir.Mov64X, Dst: 6, Src: 1}, ir.Insn{Op: ir.CallKfunc}, ir.Insn{Op: ir.Add64X, Dst: 0, Src: 6}, exit)
			outer.Code.Kfuncs = []string{"run_inner"}
			outer.Calls = []link.KfuncCall{{Insn: 1, Name: "run_inner"}}
			inner := program("inner", ir.Insn{Op: ir.Mov64X, Dst: 0, Src: 1}, exit)
			var s *vm.Set
			var inside []string
			kfuncs := []abi.Kfunc{{Name: "run_inner", Call: func(c *abi.Call, a *abi.Args) uint64 {
				inside = append(inside, c.Prog.Name, fmt.Sprint(s.Work()))
				r0, f := s.Program("inner").Run(30)
				inside = append(inside, c.Prog.Name, fmt.Sprint(s.Work()))
				if f != nil {
					t.Error(f)
				}
				return r0
			}}}
			s, err := vm.Load(&link.Object{Name: "n.bpf.o", Programs: []*link.Program{outer, inner}}, vm.Options{Mem: space(t), Host: &host{}, Engine: e, Kfuncs: kfuncs})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r0, f := s.Program("outer").Run(12)
			if r0 != 42 || f != nil || strings.Join(inside, ", ") != "outer, 2 1, outer, 4 1" || s.Insns() != 6 {
				t.Errorf("r0 = %d, fault %v, programs %v, %d instructions", r0, f, inside, s.Insns())
			}
		})
	}
}

// Special fields are found where BTF says, in values and in data sections, and kptrs are dropped with their values.
func TestSpecialFields(t *testing.T) {
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4}
	kptr := func(name string) btf.Type {
		return &btf.Pointer{Target: &btf.TypeTag{Value: "kptr", Type: &btf.Struct{Name: name, Size: 8}}}
	}
	plain := &btf.Pointer{Target: &btf.Struct{Name: "task_struct"}}
	inner := &btf.Struct{Name: "inner", Size: 16, Members: []btf.Member{{Name: "p", Type: plain}, {Name: "m", Type: &btf.Typedef{Type: kptr("bpf_cpumask")}, Offset: 64}}}
	value := &btf.Struct{Name: "elem", Size: 48, Members: []btf.Member{{Name: "l", Type: lock}, {Name: "big", Type: &btf.Int{Size: 8}, Offset: 64},
		{Name: "in", Type: &btf.Array{Type: inner, Nelems: 2}, Offset: 128}}}
	two := &btf.Struct{Name: "two", Size: 8, Members: []btf.Member{{Name: "a", Type: lock}, {Name: "b", Type: lock, Offset: 32}}}
	o := &link.Object{Name: "f.bpf.o", Maps: []*link.Map{
		{Name: "values", Type: elf.MapTypeHash, KeySize: 4, ValueSize: 48, MaxEntries: 4, Value: value},
		{Name: ".data.A", Section: ".data.A", Type: elf.MapTypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 1, Data: make([]byte, 16),
			Vars: []link.Var{{Name: "l", Off: 0, Size: 4, Type: lock}, {Name: "mask", Off: 8, Size: 8, Type: kptr("bpf_cpumask")}}},
		{Name: "two locks", Type: elf.MapTypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Value: two},
	}, Programs: []*link.Program{program("p", exit)}}
	var dropped []string
	m := space(t)
	s, err := vm.Load(o, vm.Options{Mem: m, Host: &host{}, DropKptr: func(name string, ptr uint64) { dropped = append(dropped, fmt.Sprint(name, " ", ptr)) }})
	if err != nil {
		t.Fatal(err)
	}
	mask := func(off uint32) maps.Field {
		return maps.Field{Kind: maps.KptrRef, Off: off, Size: 8, Pointee: "bpf_cpumask"}
	}
	spin := maps.Field{Kind: maps.SpinLock, Size: 4}
	for name, want := range map[string][]maps.Field{"values": {spin, mask(24), mask(40)}, ".data.A": {spin, mask(8)}, "two locks": nil} {
		if d := cmp.Diff(want, s.Map(name).Info().Fields); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	key := []byte{1, 0, 0, 0}
	s.Map("values").Update(key, make([]byte, 48), maps.Any, 0)
	m.Store(s.Map("values").Lookup(key, 0)+40, 8, 77)
	s.Map("values").Delete(key)
	g, _ := s.Global("mask")
	g[0] = 5
	s.Close()
	if d := cmp.Diff([]string{"bpf_cpumask 77", "bpf_cpumask 5"}, dropped); d != "" {
		t.Error(d)
	}
}

// Arrays of maps hold what their initialisers name, and take maps that user space creates.
func TestMapInMap(t *testing.T) {
	queue := func(name string) *link.Map { return &link.Map{Name: name, Type: 22, ValueSize: 8, MaxEntries: 4} }
	object := func(slots ...elf.Slot) *link.Object {
		outer := &link.Map{Name: "outer", Type: elf.MapTypeArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 3, Inner: queue("outer.inner"), Slots: slots}
		p := program("push", // push(queue in element r1[0], r1 + 8)
			ir.Insn{Op: ir.Mov64X, Dst: 6, Src: 1}, ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 1}, ir.Insn{Op: ir.LdImm64, Dst: 1}, helper("map_lookup_elem"),
			ir.Insn{Op: ir.JEq64K, Dst: 0, Target: 9},
			ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 0}, ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 6}, ir.Insn{Op: ir.Add64K, Dst: 2, Imm: 8}, helper("map_push_elem"), exit)
		p.Refs = []link.Ref{{Insn: 2, Kind: link.RefMap, Map: 0}}
		return &link.Object{Name: "m.bpf.o", Maps: []*link.Map{outer, queue("q")}, Programs: []*link.Program{p}}
	}
	m := space(t)
	s, err := vm.Load(object(elf.Slot{Index: 1, Name: "q"}), vm.Options{Mem: m, Host: &host{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	inner, err := s.Map("outer").(*maps.ArrayOfMaps).NewInner(2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(4) {
		if _, f := s.Program("push").Run(context(t, m, i, 77)); f != nil {
			t.Error(f)
		}
	}
	if a, b := s.Map("q").(*maps.Queue).Len(), inner.(*maps.Queue).Len(); a != 1 || b != 1 {
		t.Errorf("%d and %d elements, want one in each", a, b)
	}
	_, err = vm.Load(object(elf.Slot{Index: 1, Name: "nothing"}), vm.Options{Mem: m, Host: &host{}})
	if want := `m.bpf.o: map "outer": element 1: map "nothing" was not created`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestEngineByName(t *testing.T) {
	for name, want := range map[string]string{"interp": "interp", "auto": "", "": ""} {
		e, err := vm.EngineByName(name)
		if err != nil || want != "" && e.Name() != want {
			t.Errorf("%q: %v, %v", name, e, err)
		}
	}
	_, jitErr := vm.EngineByName("jit")
	if e, notice, err := vm.NewEngine("auto", vm.EngineOptions{}); err != nil || (notice != "") != (jitErr != nil) || (e.Name() == "jit") != (jitErr == nil) {
		t.Errorf("auto: %v, %q, %v; jit: %v", e, notice, err, jitErr)
	}
	if _, err := vm.EngineByName("gcc"); err == nil {
		t.Error(`an engine "gcc" exists`)
	}
}

// BenchmarkRun runs a short program; with "context", one for which the context has to be looked at, since accesses to it are
// not checked.
func BenchmarkRun(b *testing.B) {
	for _, name := range []string{"interp", "jit", "interp context", "jit context"} {
		b.Run(name, func(b *testing.B) {
			engine, context, _ := strings.Cut(name, " ")
			e, err := vm.EngineByName(engine)
			if err != nil {
				b.Skip(err)
			}
			m, err := mem.New(mem.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			o := counter()
			if context != "" {
				o.Programs[0].Code.Insns[0].Proved, o.Programs[0].CtxSize = true, 8
			}
			s, err := vm.Load(o, vm.Options{Mem: m, Host: &host{}, Engine: e})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ctx, _, _ := m.Alloc(64, 8)
			p := s.Program("count")
			b.ReportAllocs()
			for b.Loop() {
				if _, f := p.Run(ctx); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}

// Where accesses are not checked, nothing runs with arguments that nobody has looked at.
func TestUncheckedArguments(t *testing.T) {
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			o := counter()
			p := o.Programs[0]
			p.Code.Insns[0].Proved, p.CtxSize = true, 8
			m := space(t)
			s, err := vm.Load(o, vm.Options{Mem: m, Host: &host{}, Engine: e})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			want := "program count: instruction 0 (test.c:10): the context of 8 bytes at 0x0 does not lie in memory"
			if _, f := s.Program("count").Run(0); f == nil || f.Error() != want {
				t.Errorf("fault %v, want %s", f, want)
			}
			if s.Insns() != 0 {
				t.Errorf("%d instructions have run", s.Insns())
			}
			if _, _, f := s.Program("count").TailRun(^uint64(0), 1); f == "" {
				t.Error("it goes on as another program with any context")
			}
			ctx := context(t, m, 3)
			for _, fn := range []uint64{ir.CodeBase, ir.CodeBase + 8, 16} {
				if _, f := s.RunSub(fn, abi.Args{ctx}); f == nil {
					t.Errorf("the function at %#x runs by itself", fn)
				}
			}
			if _, f := s.Program("count").Run(ctx); f != nil {
				t.Error(f)
			}
		})
	}
}
