package elf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func testdata(tb testing.TB, name string) *Object {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	o, err := Read(name, bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func TestMaps(t *testing.T) {
	o := testdata(t, "maps.bpf.o")
	u32Array := func(name string) *Map {
		return &Map{Name: name, Type: MapTypeArray, KeySize: 4, ValueSize: 4, MaxEntries: 4}
	}
	want := []*Map{
		u32Array("in0"), u32Array("in1"),
		{Name: "outer", Type: MapTypeArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 3, Inner: u32Array("outer.inner"),
			Slots: []Slot{{0, "in0"}, {2, "in1"}}},
		{Name: "progs", Type: MapTypeProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 2, Slots: []Slot{{1, "target"}}},
		{Name: "hash", Type: MapTypeHash, KeySize: 8, ValueSize: 24, MaxEntries: 64, Flags: 1},
		{Name: "array", Type: MapTypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 8},
		{Name: "percpu", Type: 6, KeySize: 4, ValueSize: 8, MaxEntries: 1, Weak: true},
		{Name: "ring", Type: 27, MaxEntries: 4096},
		{Name: "queue", Type: 22, ValueSize: 4, MaxEntries: 16, Pinning: 1},
		{Name: "bloomlike", Type: 30, KeySize: 4, ValueSize: 8, MaxEntries: 8, Extra: 0x500000003},
		{Name: "hashed", Type: MapTypeHashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 5,
			Inner: &Map{Name: "hashed.inner", Type: 22, ValueSize: 8, MaxEntries: 7}},
		{Name: "unknown", Type: 4000, MaxEntries: 1},
	}
	byName := cmpopts.SortSlices(func(a, b *Map) bool { return a.Name < b.Name })
	if diff := cmp.Diff(want, o.Maps, cmpopts.IgnoreFields(Map{}, "Key", "Value"), byName); diff != "" {
		t.Errorf("maps (-want +got):\n%s", diff)
	}
	for _, m := range o.Maps {
		if m.Name == "hash" && (m.Key.TypeName() != "key" || m.Value.TypeName() != "value") {
			t.Errorf("hash: key %v, value %v", m.Key, m.Value)
		}
	}
	// Every map reference of the program leads to the map of that name, in the order of the source.
	var refs []string
	for _, f := range o.Funcs {
		for _, r := range f.Relocs {
			if r.Kind != RelocMap {
				t.Errorf("%s, instruction %d: kind %d", f.Name, r.Insn, r.Kind)
			}
			refs = append(refs, o.Maps[r.Index].Name)
		}
	}
	if diff := cmp.Diff([]string{"hash", "outer", "percpu", "unknown", "progs"}, refs); diff != "" {
		t.Errorf("map references (-want +got):\n%s", diff)
	}
}

func TestGlobals(t *testing.T) {
	o := testdata(t, "globals.bpf.o")
	type variable struct {
		Name   string
		Size   uint32
		Static bool
		Weak   bool
		Bytes  string // the initial value
	}
	want := map[string][]variable{
		".rodata": {
			{"__KERN_ONE", 8, false, true, "\x00\x00\x00\x00\x00\x00\x00\x00"},
			{"__KERN_BIG", 8, false, true, "\x00\x00\x00\x00\x00\x00\x00\x00"},
			{"__KERN_ABSENT", 8, false, true, "\x05\x00\x00\x00\x00\x00\x00\x00"},
			{"verbose", 1, false, false, "\x00"},
			{"bias", 4, false, false, "\xfd\xff\xff\xff"},
			{"mode", 4, false, false, "\x02\x00\x00\x00"},
			{"limits", 24, false, false, "\x0a\x00\x00\x00\x14\x00\x00\x00\x1e\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04\x00\x00\x00\x00"},
			{"label", 8, false, false, "none\x00\x00\x00\x00"},
			{"table", 16, false, false, "\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00"},
		},
		".rodata.fixed": {{"fixed", 8, false, false, "\x0b\x00\x00\x00\x0c\x00\x00\x00"}},
		".data":         {{"start", 4, false, false, "\x2a\x00\x00\x00"}, {"delta", 2, true, false, "\xf9\xff"}, {"sum.calls", 4, true, false, "\x01\x00\x00\x00"}},
		".data.percpu":  {{"per_cpu", 8, false, false, "\x00\x00\x00\x00\x00\x00\x00\x00"}},
		".data.lock":    {{"lock_word", 4, false, false, "\x09\x00\x00\x00"}},
		".bss":          {{"counter", 8, false, false, ""}, {"hidden_counter", 4, true, false, ""}, {"big", 800000, false, false, ""}},
	}
	got := map[string][]variable{}
	for _, m := range o.Maps {
		ro := strings.HasPrefix(m.Name, ".rodata")
		if m.Frozen != ro || (m.Flags&FlagRdonlyProg != 0) != ro || m.MaxEntries != 1 || m.KeySize != 4 || m.Type != MapTypeArray || m.Section != m.Name {
			t.Errorf("%+v: no data section", m)
		}
		if strings.HasPrefix(m.Name, ".rodata.str") {
			if len(m.Vars) != 0 || !bytes.Contains(m.Data, []byte("a string without a home\x00")) {
				t.Errorf("%s: %d variables, %q", m.Name, len(m.Vars), m.Data)
			}
			continue
		}
		for _, v := range m.Vars {
			nv := variable{v.Name, v.Size, v.Static, v.Weak, ""}
			if m.Data != nil {
				nv.Bytes = string(m.Data[v.Off:][:v.Size])
			}
			if v.Off+v.Size > m.ValueSize {
				t.Errorf("%s: %d+%d of %d bytes", v.Name, v.Off, v.Size, m.ValueSize)
			}
			got[m.Name] = append(got[m.Name], nv)
		}
		if m.Name == ".bss" && m.Data != nil {
			t.Error(".bss has bytes in memory")
		}
	}
	byName := cmpopts.SortSlices(func(a, b variable) bool { return a.Name < b.Name })
	if diff := cmp.Diff(want, got, byName); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

func TestPrograms(t *testing.T) {
	o := testdata(t, "calls.bpf.o")
	want := []Program{
		{Name: "first", Section: "fentry/do_thing", Kind: KindFentry, Attach: "do_thing", AutoLoad: true},
		{Name: "second", Section: "fexit/do_thing", Kind: KindFexit, Attach: "do_thing", AutoLoad: true},
		{Name: "third", Section: "fexit/other_thing", Kind: KindFexit, Attach: "other_thing", AutoLoad: true},
		{Name: "fourth", Section: "?kprobe/sys_thing", Kind: KindKprobe, Attach: "sys_thing"},
		{Name: "fifth", Section: "iter.s/task", Kind: KindIter, Attach: "task", Sleepable: true, AutoLoad: true},
		{Name: "sixth", Section: "tracepoint/sched/sched_switch", Kind: KindTracepoint, Attach: "sched/sched_switch", AutoLoad: true},
		{Name: "seventh", Section: "xdp", Kind: KindOther, AutoLoad: true},
		{Name: "eighth", Section: "made_up", Kind: KindUnknown, AutoLoad: true},
		{Name: "two_in_one_a", Section: "raw_tp/a", Kind: KindRawTP, Attach: "a", AutoLoad: true},
		{Name: "two_in_one_b", Section: "raw_tp/a", Kind: KindRawTP, Attach: "a", AutoLoad: true},
	}
	var got []Program
	for _, p := range o.Programs {
		if f := o.Funcs[p.Func]; f.Name != p.Name || f.Section != p.Section || f.Type == nil || f.Type.Name != p.Name {
			t.Errorf("%s: function %s in %s, type %v", p.Name, f.Name, f.Section, f.Type)
		}
		q := *p
		q.Func = 0
		got = append(got, q)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	if o.License != "GPL" {
		t.Errorf("license %q", o.License)
	}
	calls := map[string][]string{}
	global := map[string]bool{}
	for _, f := range o.Funcs {
		global[f.Name] = f.Global
		if len(f.Lines) == 0 || f.Lines[0].File != "./calls.bpf.c" || f.Lines[0].Line == 0 || f.Lines[0].Text == "" {
			t.Errorf("%s: lines %v", f.Name, f.Lines)
		}
		for _, r := range f.Relocs {
			s := o.Funcs[r.Index].Name
			if r.Kind == RelocFunc {
				s = "&" + s
			} else if r.Kind != RelocCall {
				t.Errorf("%s: relocation %+v", f.Name, r)
			}
			calls[f.Name] = append(calls[f.Name], s)
		}
	}
	wantCalls := map[string][]string{
		"global_func": {"unused_by_second", "leaf"}, "unused_by_second": {"leaf"}, "hidden_func": {"leaf"},
		"first": {"&callback", "global_func"}, "second": {"leaf", "weak_func"}, "third": {"hidden_func"},
		"two_in_one_a": {"leaf"}, "two_in_one_b": {"leaf"},
	}
	if diff := cmp.Diff(wantCalls, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for name, want := range map[string]bool{"leaf": false, "callback": false, "global_func": true, "weak_func": true, "hidden_func": false} {
		if global[name] != want {
			t.Errorf("%s: global %t, want %t", name, global[name], want)
		}
	}
}

func TestExterns(t *testing.T) {
	o := testdata(t, "ksyms.bpf.o")
	type ext struct {
		Name      string
		Kind      ExternKind
		Weak      bool
		Off, Size uint32
	}
	want := []ext{ // kconfig by falling alignment, then size, then name
		{"CONFIG_HZ", ExternKconfig, false, 0, 4},
		{"CONFIG_MODULAR", ExternKconfig, true, 4, 4},
		{"LINUX_KERNEL_VERSION", ExternKconfig, false, 8, 4},
		{"CONFIG_ABSENT", ExternKconfig, true, 12, 1},
		{"CONFIG_LETTER", ExternKconfig, true, 13, 1},
		{"CONFIG_PREEMPT", ExternKconfig, true, 14, 1},
		{"CONFIG_VERSION_TEXT", ExternKconfig, true, 15, 16},
		{"kern_get", ExternVar, false, 0, 0},
		{"kern_gone", ExternFunc, true, 0, 0},
		{"kern_insert___v0", ExternFunc, true, 0, 0},
		{"kern_insert___v1", ExternFunc, true, 0, 0},
		{"kern_insert___v2___compat", ExternFunc, true, 0, 0},
		{"kern_kick", ExternFunc, false, 0, 0},
		{"kern_kick_impl", ExternFunc, false, 0, 0},
		{"kern_move___compat", ExternFunc, true, 0, 0},
		{"kern_now", ExternFunc, false, 0, 0},
		{"no_such_var", ExternVar, true, 0, 0},
		{"per_cpu_counter", ExternVar, false, 0, 0},
		{"root_thing", ExternVar, false, 0, 0},
	}
	var got []ext
	for _, e := range o.Externs {
		got = append(got, ext{e.Name, e.Kind, e.Weak, e.Off, e.Size})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("externs (-want +got):\n%s", diff)
	}
	m := o.Maps[len(o.Maps)-1]
	if m.Section != ".kconfig" || m.ValueSize != 31 || !m.Frozen || len(m.Vars) != 7 {
		t.Errorf("kconfig map %+v", m)
	}
}

func TestStructOps(t *testing.T) {
	o := testdata(t, "ops.bpf.o")
	if len(o.StructOps) != 2 {
		t.Fatalf("%d tables", len(o.StructOps))
	}
	type member struct {
		Name, Prog string
		Func       bool
		Bytes      string
	}
	zero := strings.Repeat("\x00", 8)
	want := map[string][]member{
		"first_ops": {
			{"start", "ops_start", true, zero}, {"stop", "ops_stop", true, zero}, {"extra", "", true, zero}, {"forgotten", "ops_forgotten", true, zero},
			{"flags", "", false, "\x88\x77\x66\x55\x44\x33\x22\x11"}, {"timeout", "", false, "\x30\x75\x00\x00"}, {"reserved", "", false, zero[:4]},
			{"name", "", false, "first" + zero + zero[:3]},
		},
		"second_ops": {
			{"start", "ops_start", true, zero}, {"stop", "", true, zero}, {"extra", "", true, zero}, {"forgotten", "", true, zero},
			{"flags", "", false, zero}, {"timeout", "", false, zero[:4]}, {"reserved", "", false, zero[:4]}, {"name", "", false, "second" + zero + zero[:2]},
		},
	}
	for _, so := range o.StructOps {
		var got []member
		for _, m := range so.Members {
			got = append(got, member{m.Name, m.Prog, m.Func, string(m.Bytes)})
		}
		if diff := cmp.Diff(want[so.Name], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", so.Name, diff)
		}
		if link := so.Name == "first_ops"; so.Link != link || !so.AutoCreate || so.Type.Name != "table_ops" {
			t.Errorf("%s: link %t, auto-create %t, type %s", so.Name, so.Link, so.AutoCreate, so.Type.Name)
		}
	}
}

func TestArena(t *testing.T) {
	o := testdata(t, "arena.bpf.o")
	if o.Arena == nil || o.Arena.Size != 32 || o.Arena.Map < 0 || o.Maps[o.Arena.Map].Name != "arena" || len(o.Arena.Vars) != 1 {
		t.Fatalf("arena %+v", o.Arena)
	}
	found := false
	for _, r := range o.Funcs[0].Relocs {
		found = found || r.Kind == RelocArena && r.Off == 0
	}
	if !found {
		t.Errorf("no reference to the arena's data in %+v", o.Funcs[0].Relocs)
	}
}

func TestSectionKinds(t *testing.T) {
	for _, tc := range []struct {
		name      string
		kind      ProgKind
		attach    string
		sleepable bool
		autoLoad  bool
	}{
		{"struct_ops/x", KindStructOps, "x", false, true},
		{"struct_ops.s/x", KindStructOps, "x", true, true},
		{"?struct_ops.s", KindStructOps, "", true, false},
		{"syscall", KindSyscall, "", true, true},
		{"fentry.s/a", KindFentry, "a", true, true},
		{"fmod_ret/a", KindFmodRet, "a", false, true},
		{"fsession/a", KindFsession, "a", false, true},
		{"raw_tracepoint.w/a", KindRawTP, "a", false, true},
		{"tp/a/b", KindTracepoint, "a/b", false, true},
		{"kretprobe/a", KindKretprobe, "a", false, true},
		{"lsm.s/a", KindLSM, "a", true, true},
		{"perf_event", KindPerfEvent, "", false, true},
		{"cgroup/skb", KindOther, "skb", false, true},
		{"struct_opsx", KindUnknown, "", false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			kind, attach, sleepable, autoLoad := kindOf(tc.name)
			if kind != tc.kind || attach != tc.attach || sleepable != tc.sleepable || autoLoad != tc.autoLoad {
				t.Errorf("got %v %q %t %t", kind, attach, sleepable, autoLoad)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	names := []string{"nr_cpus", "nr_cpu_ids", "slice_ns", "fifo_sched", "usersched_pid"}
	for _, tc := range []struct{ name, in, want string }{
		{"swap", "slcie_ns", "slice_ns"},
		{"missing", "fifo_shed", "fifo_sched"},
		{"part", "sched_pid", "usersched_pid"},
		{"exact", "nr_cpus", "nr_cpus"},
		{"nothing alike", "zzzzzz", ""},
		{"empty", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Nearest(tc.in, names); got != tc.want {
				t.Errorf("Nearest(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	raw, err := os.ReadFile("testdata/globals.bpf.o")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read("globals.bpf.o", bytes.NewReader(raw)); err != nil {
			b.Fatal(err)
		}
	}
}
