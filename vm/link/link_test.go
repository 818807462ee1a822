package link

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// testKernel is the kernel of vm/elf/testdata/kernel.bpf.c.
type testKernel struct {
	spec   *btf.Spec
	config map[string]string
}

func (k testKernel) BTF() (*btf.Spec, error) { return k.spec, nil }
func (k testKernel) Version() uint32         { return 7<<16 | 2<<8 | 13 }

func (k testKernel) Kconfig(name string) (string, bool) {
	v, ok := k.config[name]
	return v, ok
}

func (k testKernel) EnumValue(name string) (uint64, bool) {
	for _, e := range []string{"kern", "flags"} {
		var enum *btf.Enum
		if err := k.spec.TypeByName(e, &enum); err != nil {
			panic(err)
		}
		for _, v := range enum.Values {
			if v.Name == name {
				return v.Value, true
			}
		}
	}
	return 0, false
}

func newTestKernel(tb testing.TB) testKernel {
	return testKernel{spec: read(tb, "kernel.bpf.o").BTF, config: map[string]string{"CONFIG_PREEMPT": "y", "CONFIG_HZ": "250",
		"CONFIG_VERSION_TEXT": `"a text that is too long"`, "CONFIG_MODULAR": "m", "CONFIG_LETTER": "y"}}
}

func read(tb testing.TB, name string) *elf.Object {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "elf", "testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	o, err := elf.Read(name, bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	if name == "ops.bpf.o" { // NULL for the callback that the kernel does not have, as a loader sets it
		member(o, "forgotten").Prog = ""
		for _, p := range o.Programs {
			p.AutoLoad = p.AutoLoad && p.Name != "ops_forgotten"
		}
	}
	return o
}

func linked(tb testing.TB, name string, opt Options) *Object {
	tb.Helper()
	o, err := Link(read(tb, name), newTestKernel(tb), opt)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func (o *Object) program(tb testing.TB, name string) *Program {
	tb.Helper()
	for _, p := range o.Programs {
		if p.Name == name {
			return p
		}
	}
	tb.Fatalf("no program %q", name)
	return nil
}

// straight runs code without branches, calls or loads, and returns the 64-bit words that it stores through an address.
func straight(tb testing.TB, p *Program) map[int64]uint64 {
	tb.Helper()
	var regs [11]uint64
	base := map[int]int64{}
	for _, r := range p.Refs {
		base[r.Insn] = r.Off
	}
	out := map[int64]uint64{}
	for i := range p.Code.Insns {
		in := &p.Code.Insns[i]
		switch {
		case in.Op == ir.LdImm64:
			regs[in.Dst] = uint64(in.Imm)
			if off, ok := base[i]; ok {
				regs[in.Dst] = uint64(off)
			}
		case in.Op == ir.Mov64K:
			regs[in.Dst] = uint64(in.Imm)
		case in.Op == ir.Mov32K:
			regs[in.Dst] = uint64(uint32(in.Imm))
		case in.Op == ir.Mov64X:
			regs[in.Dst] = regs[in.Src]
		case in.Op == ir.St64X:
			out[int64(regs[in.Dst])+int64(in.Off)] = regs[in.Src]
		case in.Op >= ir.Add64X && in.Op <= ir.Arsh32K:
			b := uint64(in.Imm)
			if (in.Op-ir.Add64X)&1 == 0 {
				b = regs[in.Src]
			}
			regs[in.Dst] = arith(in.Op-(in.Op-ir.Add64X)&3, (in.Op-ir.Add64X)&2 == 0, regs[in.Dst], b)
		case in.Op == ir.Exit:
			return out
		default:
			tb.Fatalf("instruction %d: operation %d", i, in.Op)
		}
	}
	return out
}

func TestCoreValues(t *testing.T) {
	o := linked(t, "core.bpf.o", Options{})
	got := straight(t, o.program(t, "values"))
	// struct thing of kernel.bpf.c: moved_away 0, id 24, wide 32, signed_wide 40, next 48, parts 56 (8 each), union 88, bits 96.
	for i, want := range []struct {
		what string
		val  uint64
	}{
		{"offset of id", 24}, {"offset of next", 48}, {"offset of parts[1].level", 56 + 8 + 4}, {"offset of anon, in a union", 88},
		{"size of wide", 8}, {"size of parts", 32}, {"id exists", 1}, {"gone exists", 0}, {"sb is signed", 1}, {"b1 is signed", 0},
		{"left shift of b1 (bits 3-9 of 32)", 64 - 10}, {"right shift of b1", 64 - 7}, {"offset of b1", 96},
		{"thing exists", 1}, {"absent exists", 0}, {"size of grown", 24}, {"size of absent", 0}, {"grown matches", 1}, {"thing matches", 0},
		{"FLAG_A exists", 1}, {"value of FLAG_A", 1 << 4}, {"FLAG_OLD exists", 0}, {"value of FLAG_NEW", 1 << 40}, {"id of absent", 0},
	} {
		if got[int64(i)*8] != want.val {
			t.Errorf("out[%d], %s: %d, want %d", i, want.what, got[int64(i)*8], want.val)
		}
	}
	id, err := o.BTF.TypeByID(btf.TypeID(got[24*8]))
	if err != nil || id.TypeName() != "grown" {
		t.Errorf("local id of grown: %d is %v (%v)", got[24*8], id, err)
	}
}

func TestCoreAccess(t *testing.T) {
	o := linked(t, "core.bpf.o", Options{})
	type access struct {
		op  ir.Op
		off int32
	}
	var got []access
	for _, in := range o.program(t, "access").Code.Insns {
		if in.Op.IsLoad() || in.Op.IsStore() {
			got = append(got, access{in.Op, in.Off})
		}
	}
	want := []access{{ir.Ld64, 32}, {ir.St32X, 24}, {ir.Ld64, 48}, {ir.Ld32, 56 + 8 + 4}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(access{})); diff != "" {
		t.Errorf("accesses (-want +got):\n%s", diff)
	}
	// Of t->id = t->wide; t->next->parts[1].level, the last load alone goes through a pointer that came from a kernel object.
	var probes []bool
	for _, in := range o.program(t, "access").Code.Insns {
		if in.Op.IsLoad() {
			probes = append(probes, in.Probe)
		}
	}
	if !slices.Equal(probes, []bool{false, false, true}) {
		t.Errorf("probes %v", probes)
	}
	for _, tc := range []struct{ name, prog, want string }{
		{"field", "poisoned", "needs the offset of struct thing___old.gone, which the kernel does not have"},
		{"size of a signed field", "bad_size", "needs the offset of struct thing.signed_wide, which has 8 bytes in the kernel and 4 in the object"},
		{"enumerator", "old_value", "needs the value of enum flags::FLAG_OLD, which the kernel does not have"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := o.program(t, tc.prog)
			i := slices.IndexFunc(p.Code.Insns, func(in ir.Insn) bool { return in.Op == ir.Invalid })
			if i < 0 || !p.Live[i] || p.Poison[p.Code.Insns[i].Imm] != tc.want {
				t.Errorf("instruction %d, poison %q, want %q", i, p.Poison, tc.want)
			}
		})
	}
	p := o.program(t, "dead")
	for i, in := range p.Code.Insns {
		if in.Op == ir.Invalid && p.Live[i] {
			t.Errorf("instruction %d: poisoned and live, though the field is known not to exist", i)
		}
	}
	if !slices.Contains(p.Live, false) || len(p.Poison) == 0 {
		t.Errorf("live %v, poison %q: expected a dead poisoned access", p.Live, p.Poison)
	}
}

func TestKsyms(t *testing.T) {
	o := linked(t, "ksyms.bpf.o", Options{})
	p := o.program(t, "main_prog")
	var calls []string
	for _, c := range p.Calls {
		if !strings.HasPrefix(c.Line, "ksyms.bpf.c:") {
			t.Errorf("%s: line %q", c.Name, c.Line)
		}
		calls = append(calls, c.Name)
	}
	slices.Sort(calls)
	// insert chooses ___v2, whose ___compat tail alone is stripped; kern_gone does not exist; CONFIG_HZ is 250.
	if diff := cmp.Diff([]string{"kern_insert___v2", "kern_kick", "kern_kick", "kern_move", "kern_now"}, calls); diff != "" {
		t.Errorf("live calls (-want +got):\n%s", diff)
	}
	if len(p.Helpers) != 0 {
		t.Errorf("live helpers %v: those depend on CONFIG_ABSENT and CONFIG_HZ", p.Helpers)
	}
	if !slices.Contains(p.Poison, `calls the kernel function "kern_gone", which the kernel does not have`) ||
		!slices.ContainsFunc(p.Poison, func(s string) bool {
			return strings.HasPrefix(s, `calls the kernel function "kern_insert", declared as void (struct thing *) but void (struct thing *, u64) in the kernel`)
		}) {
		t.Errorf("poison %q", p.Poison)
	}
	refs := map[string]RefKind{}
	for _, r := range p.Refs {
		if r.Kind != RefMapValue {
			refs[r.Name] = r.Kind
		}
	}
	want := map[string]RefKind{"kern_insert___v2": RefKsymFunc, "kern_insert": RefKsymFunc, "kern_move": RefKsymFunc, "kern_get": RefKsymVar,
		"per_cpu_counter": RefKsymVar, "root_thing": RefKsymVar}
	if diff := cmp.Diff(want, refs); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	kconfig := o.Maps[len(o.Maps)-1]
	wantData := "\xfa\x00\x00\x00" + "\x02\x00\x00\x00" + "\x0d\x02\x07\x00" + "\x00" + "y" + "\x01" + "a text that is \x00"
	if string(kconfig.Data) != wantData {
		t.Errorf("kconfig %q, want %q", kconfig.Data, wantData)
	}
	if p := o.program(t, "calls_missing"); p.AutoLoad || len(p.Calls) != 0 || p.Code.Insns[0].Op != ir.Invalid {
		t.Errorf("calls_missing: auto-load %t, calls %v, %v", p.AutoLoad, p.Calls, p.Code.Insns[0])
	}
}

func TestSubprograms(t *testing.T) {
	o := linked(t, "calls.bpf.o", Options{})
	type sub struct {
		Name                   string
		Stack                  int32
		Global, Live, Callback bool
	}
	for _, tc := range []struct {
		prog string
		want []sub
	}{
		{"first", []sub{{"first", 8, false, true, false}, {"callback", 0, false, true, true}, {"global_func", 0, true, true, false},
			{"unused_by_second", 0, false, true, false}, {"leaf", 32, false, true, false}}},
		{"second", []sub{{"second", 0, false, true, false}, {"leaf", 32, false, true, false}, {"weak_func", 0, true, true, false}}},
		{"third", []sub{{"third", 0, false, true, false}, {"hidden_func", 0, false, true, false}, {"leaf", 32, false, true, false}}},
		{"two_in_one_b", []sub{{"two_in_one_b", 0, false, true, false}, {"leaf", 32, false, true, false}}},
	} {
		t.Run(tc.prog, func(t *testing.T) {
			p := o.program(t, tc.prog)
			var got []sub
			for i, s := range p.Code.Subs {
				got = append(got, sub{s.Name, s.Stack, p.Subs[i].Global, p.Subs[i].Live, p.Subs[i].Callback})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("subprograms (-want +got):\n%s", diff)
			}
			checkProgram(t, o, p)
			for i := range p.Code.Insns {
				if line := p.Code.Line(int32(i)); !strings.HasPrefix(line, "calls.bpf.c:") {
					t.Errorf("instruction %d: line %q", i, line)
				}
				if !p.Live[i] {
					t.Errorf("instruction %d is dead", i)
				}
			}
		})
	}
	p := o.program(t, "first")
	if len(p.Helpers) != 1 || p.Helpers[0].ID != 181 || p.Helpers[0].Line == "" {
		t.Errorf("helpers %v", p.Helpers)
	}
	if len(p.Refs) != 1 || p.Refs[0].Kind != RefFunc || p.Refs[0].Sub != 1 {
		t.Errorf("references %+v", p.Refs)
	}
	// Slots count on through the subprograms, as in the kernel's messages.
	last := p.Code.Insns[len(p.Code.Insns)-1].Orig
	slots := int32(0)
	for _, in := range p.Code.Insns {
		slots++
		if in.Op == ir.LdImm64 {
			slots++
		}
	}
	if last != slots-1 {
		t.Errorf("the last instruction is slot %d of %d", last, slots)
	}
}

// checkProgram states what holds for every linked program.
func checkProgram(tb testing.TB, o *Object, p *Program) {
	tb.Helper()
	c := p.Code
	if len(p.Live) != len(c.Insns) || len(p.Subs) != len(c.Subs) || len(c.Subs) == 0 || c.Subs[0].Start != 0 {
		tb.Fatalf("%s: %d instructions, %d live, %d and %d subprograms", p.Name, len(c.Insns), len(p.Live), len(c.Subs), len(p.Subs))
	}
	starts := map[int32]bool{}
	at := int32(0)
	for _, s := range c.Subs {
		if s.Start != at || s.End <= s.Start || s.Stack < 0 || s.Stack > 512 || s.Stack%8 != 0 {
			tb.Errorf("%s: subprogram %+v, expected to start at %d", p.Name, s, at)
		}
		starts[s.Start], at = true, s.End
	}
	if int(at) != len(c.Insns) {
		tb.Errorf("%s: subprograms end at %d of %d", p.Name, at, len(c.Insns))
	}
	orig := int32(-1)
	for k, s := range c.Subs {
		for i := s.Start; i < s.End; i++ {
			in := &c.Insns[i]
			if in.Orig <= orig || in.Dst > 10 || in.Src > 10 || in.Op >= ir.NrOps || in.Op.WritesDst() && in.Dst == 10 {
				tb.Errorf("%s: instruction %d: %+v after slot %d", p.Name, i, in, orig)
			}
			orig = in.Orig
			switch {
			case in.Op.IsJump() && (in.Target < s.Start || in.Target >= s.End):
				tb.Errorf("%s: instruction %d jumps to %d, outside of %q", p.Name, i, in.Target, s.Name)
			case in.Op == ir.CallSub && !starts[in.Target]:
				tb.Errorf("%s: instruction %d calls %d", p.Name, i, in.Target)
			case in.Op == ir.CallKfunc && (in.Imm < 0 || int(in.Imm) >= len(c.Kfuncs)):
				tb.Errorf("%s: instruction %d calls kfunc %d of %d", p.Name, i, in.Imm, len(c.Kfuncs))
			case in.Op == ir.Invalid && (in.Imm < 0 || int(in.Imm) >= len(p.Poison)):
				tb.Errorf("%s: instruction %d: poison %d of %d", p.Name, i, in.Imm, len(p.Poison))
			}
			if p.Live[i] && !p.Subs[k].Live {
				tb.Errorf("%s: instruction %d is live in the dead subprogram %q", p.Name, i, s.Name)
			}
		}
		if last := c.Insns[s.End-1].Op; last != ir.Exit && last != ir.Ja && last != ir.Invalid {
			tb.Errorf("%s: %q ends with operation %d", p.Name, s.Name, last)
		}
	}
	for _, r := range p.Refs {
		if c.Insns[r.Insn].Op != ir.LdImm64 || (r.Kind == RefMap || r.Kind == RefMapValue) && (r.Map < 0 || r.Map >= len(o.Maps)) ||
			r.Kind == RefFunc && (r.Sub < 0 || r.Sub >= len(c.Subs)) {
			tb.Errorf("%s: reference %+v", p.Name, r)
		}
	}
}

func TestStructOps(t *testing.T) {
	in := read(t, "ops.bpf.o")
	member(in, "forgotten").Prog = "ops_forgotten"
	if _, err := Link(in, newTestKernel(t), Options{}); err == nil || !strings.HasSuffix(err.Error(), `member "forgotten": the kernel's struct has no such member, and it is not NULL`) {
		t.Errorf("an unknown callback: %v", err)
	}
	o := linked(t, "ops.bpf.o", Options{})
	type member struct {
		Name  string
		Kind  MemberKind
		Prog  string
		Bytes string
	}
	want := []member{{"start", MemberFunc, "ops_start", ""}, {"stop", MemberFunc, "ops_stop", ""}, {"extra", MemberFunc, "", ""},
		{"flags", MemberInt, "", "\x88\x77\x66\x55\x44\x33\x22\x11"}, {"timeout", MemberInt, "", "\x30\x75\x00\x00"},
		{"name", MemberBytes, "", "first\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}}
	var got []member
	so := o.StructOps[slices.IndexFunc(o.StructOps, func(s *StructOps) bool { return s.Name == "first_ops" })]
	for _, m := range so.Members {
		got = append(got, member{m.Name, m.Kind, m.Prog, string(m.Bytes)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if so.Type != "table_ops" || !so.Link || !so.AutoCreate {
		t.Errorf("%+v", so)
	}
	if o.program(t, "ops_forgotten").AutoLoad || !o.program(t, "ops_start").AutoLoad {
		t.Error("the program that was forgotten must not load, the others must")
	}
	if len(o.Warnings) != 0 {
		t.Errorf("warnings %q", o.Warnings)
	}
	if p := o.program(t, "ops_stop"); p.Kind != elf.KindStructOps || !p.Sleepable || p.Attach != "stop" {
		t.Errorf("%+v", p)
	}
}

// TestStructOpsAutoLoad: the tables that want a program decide whether it is loaded.
func TestStructOpsAutoLoad(t *testing.T) {
	for _, tc := range []struct {
		name         string
		optionalProg bool
		first        bool // the table that wants start and stop is created by itself
		want         bool
	}{
		{"plain", false, true, true},
		{"optional program of a table", true, true, true},
		{"program of an optional table", false, false, false},
		{"optional both", true, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := read(t, "ops.bpf.o")
			for _, p := range in.Programs {
				p.AutoLoad = !tc.optionalProg && p.Name != "ops_forgotten"
			}
			for _, so := range in.StructOps {
				so.AutoCreate = tc.first || so.Name != "first_ops"
			}
			o, err := Link(in, newTestKernel(t), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := o.program(t, "ops_stop").AutoLoad; got != tc.want {
				t.Errorf("ops_stop: auto-load %t, want %t", got, tc.want)
			}
			if !o.program(t, "ops_start").AutoLoad || o.program(t, "ops_forgotten").AutoLoad {
				t.Error("ops_start is wanted by second_ops too, ops_forgotten by none")
			}
		})
	}
	in := read(t, "ops.bpf.o")
	member(in, "timeout").Name = "timout"
	for _, so := range in.StructOps {
		so.AutoCreate = so.Name != "first_ops"
	}
	o, err := Link(in, newTestKernel(t), Options{})
	if err != nil || len(o.StructOps) != 1 || !slices.ContainsFunc(o.Warnings, func(w string) bool { return strings.Contains(w, `member "timout"`) }) {
		t.Errorf("an optional table that the kernel does not know: %v", err)
	}
}

func TestGlobals(t *testing.T) {
	helpers := func(o *Object) (ids []int32) {
		for _, h := range o.program(t, "sum").Helpers {
			ids = append(ids, h.ID)
		}
		return ids
	}
	for _, tc := range []struct {
		name    string
		globals map[string]any
		want    []int32
	}{
		{"as it is", nil, nil},
		{"verbose", map[string]any{"verbose": true}, []int32{6}},
		{"mode", map[string]any{"mode": 1}, []int32{5}},
		{"both", map[string]any{"verbose": 1, "mode": uint8(1)}, []int32{6, 5}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := linked(t, "globals.bpf.o", Options{Globals: tc.globals})
			if diff := cmp.Diff(tc.want, helpers(o)); diff != "" {
				t.Errorf("live helpers (-want +got):\n%s", diff)
			}
			if p := o.program(t, "strings"); len(p.Calls) != 0 {
				t.Errorf("calls %v: sink does not exist", p.Calls)
			}
		})
	}
	t.Run("after linking", func(t *testing.T) {
		in := read(t, "globals.bpf.o")
		k := newTestKernel(t)
		o, err := Link(in, k, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.SetVar("verbose", true); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int32{6}, helpers(o)); diff != "" {
			t.Errorf("live helpers (-want +got):\n%s", diff)
		}
		again, err := Link(in, k, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := helpers(again); got != nil {
			t.Errorf("the blueprint changed: live helpers %v", got)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := Link(read(t, "globals.bpf.o"), newTestKernel(t), Options{Globals: map[string]any{"verbos": 1}})
		if err == nil || err.Error() != `globals.bpf.o: variable "verbos": there is none; did you mean "verbose"?` {
			t.Errorf("error %v", err)
		}
	})
}

func TestFillEnums(t *testing.T) {
	value := func(o *Object, name string) (n uint64) {
		m, v, err := o.Var(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range v.Size {
			n |= uint64(m.Data[v.Off+i]) << (8 * i)
		}
		return n
	}
	o := linked(t, "globals.bpf.o", Options{})
	filled, err := o.FillEnums()
	slices.Sort(filled)
	if err != nil || !slices.Equal(filled, []string{"__KERN_BIG", "__KERN_ONE"}) {
		t.Errorf("filled %v, %v", filled, err)
	}
	for name, want := range map[string]uint64{"__KERN_ONE": 1, "__KERN_BIG": 0xfedcba9876543210, "__KERN_ABSENT": 5} {
		if got := value(o, name); got != want {
			t.Errorf("%s = %#x, want %#x", name, got, want)
		}
	}
	o = linked(t, "globals.bpf.o", Options{FillEnums: true, Globals: map[string]any{"__KERN_ONE": 77}})
	if got := value(o, "__KERN_ONE"); got != 77 {
		t.Errorf("__KERN_ONE = %d: Globals must win", got)
	}
}

func TestResize(t *testing.T) {
	o := linked(t, "globals.bpf.o", Options{})
	if err := o.Resize("per_cpu", 100); err != nil {
		t.Fatal(err)
	}
	if err := o.SetVar("per_cpu[99]", 3); err != nil {
		t.Fatal(err)
	}
	m, v, err := o.Var("per_cpu[99]")
	if err != nil || m.ValueSize != 800 || v.Off != 792 || m.Data[792] != 3 {
		t.Errorf("%d bytes, variable %+v, %v", m.ValueSize, v, err)
	}
	for _, tc := range []struct {
		name, path string
		n          uint32
		want       string
	}{
		{"not an array", "lock_word", 2, "is no array"},
		{"not the last", "table", 2, "only the last variable of a section can grow"},
		{"nothing", "per_cpu", 0, "0 elements of 8 bytes"},
		{"too much", "per_cpu", 1 << 30, "1073741824 elements of 8 bytes"},
		{"unknown", "percpu", 1, "did you mean \"per_cpu\"?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := o.Resize(tc.path, tc.n); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestArena(t *testing.T) {
	in := read(t, "arena.bpf.o")
	in.Arena.Map = -1
	if _, err := Link(in, newTestKernel(t), Options{}); err == nil || err.Error() != "arena.bpf.o: section .addr_space.1: data in an arena, but the object declares none" {
		t.Errorf("error %v", err)
	}
	o := linked(t, "arena.bpf.o", Options{})
	p := o.program(t, "touch")
	if !slices.ContainsFunc(p.Refs, func(r Ref) bool { return r.Kind == RefArena && o.Maps[r.Map].Name == "arena" }) {
		t.Errorf("references %+v", p.Refs)
	}
	marked := 0
	for _, in := range p.Code.Insns {
		if in.Arena {
			marked++
		}
	}
	if marked != 2 {
		t.Errorf("%d accesses to the arena, want a load and a store", marked)
	}
	checkProgram(t, o, p)
}

func TestMapsSurvive(t *testing.T) {
	in := read(t, "maps.bpf.o")
	o, err := Link(in, newTestKernel(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Maps) != len(in.Maps) {
		t.Fatalf("%d maps of %d", len(o.Maps), len(in.Maps))
	}
	for i, m := range o.Maps {
		e := in.Maps[i]
		if m.Name != e.Name || m.Type != e.Type || m.KeySize != e.KeySize || m.ValueSize != e.ValueSize || m.MaxEntries != e.MaxEntries ||
			m.Flags != e.Flags || m.Extra != e.Extra || (m.Inner == nil) != (e.Inner == nil) || !slices.Equal(m.Slots, e.Slots) {
			t.Errorf("%+v\nfrom %+v", m, e)
		}
	}
}
