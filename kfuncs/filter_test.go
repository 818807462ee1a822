package kfuncs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// matrix is testdata/matrix-VERSION.txt: the cells of each function, by context.
type matrix struct {
	contexts []string
	names    []string
	cells    map[string]string
}

func readMatrix(t *testing.T) matrix { return readMatrixOf(t, "7.2") }

func readMatrixOf(t *testing.T, version string) matrix {
	t.Helper()
	f, err := os.Open("testdata/matrix-" + version + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := matrix{cells: map[string]string{}}
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		if strings.HasPrefix(s.Text(), "#") || len(words) == 0 {
			continue
		}
		if words[0] == "contexts" {
			m.contexts = append(m.contexts, words[1:]...)
			continue
		}
		var cells strings.Builder
		for _, run := range words[1:] {
			n := 1
			if len(run) > 1 {
				if n, err = strconv.Atoi(run[:len(run)-1]); err != nil {
					t.Fatal(err)
				}
			}
			cells.WriteString(strings.Repeat(run[len(run)-1:], n))
		}
		if cells.Len() != len(m.contexts) {
			t.Fatalf("%s: %d cells for %d contexts", words[0], cells.Len(), len(m.contexts))
		}
		m.names = append(m.names, words[0])
		m.cells[words[0]] = cells.String()
	}
	return m
}

// contextOf makes a Context of the name of a column.
func contextOf(t *testing.T, column string) Context {
	form, name, _ := strings.Cut(column, ":")
	if form == "other" {
		section := map[string]string{"sched_cls": "tc", "socket_filter": "socket", "cgroup_skb": "cgroup_skb/egress"}[name]
		switch {
		case strings.HasPrefix(name, "tcp_congestion_ops"), strings.HasPrefix(name, "Qdisc_ops"):
			return ForeignStructOps(strings.Split(name, ".")[0], false)
		case section == "":
			section = name
		}
		kind, sleepable := kindOfSection(t, section)
		c, ok := ContextOf(&link.Program{Kind: kind, Sleepable: sleepable})
		if !ok {
			t.Fatalf("%s has no context", column)
		}
		return c
	}
	name, sleepable := strings.CutSuffix(name, ".s")
	row, ok := ops.ByMember(name, form == "cid")
	if !ok {
		t.Fatalf("no callback %s", column)
	}
	return StructOps(row.ID, form == "cid", sleepable)
}

func kindOfSection(t *testing.T, section string) (elf.ProgKind, bool) {
	base, _, _ := strings.Cut(section, "/")
	base, sleepable := strings.CutSuffix(base, ".s")
	kind, ok := map[string]elf.ProgKind{
		"syscall": elf.KindSyscall, "fentry": elf.KindFentry, "fexit": elf.KindFexit, "tp_btf": elf.KindTPBTF,
		"iter": elf.KindIter, "lsm": elf.KindLSM, "raw_tracepoint": elf.KindRawTP, "kprobe": elf.KindKprobe,
		"tracepoint": elf.KindTracepoint, "perf_event": elf.KindPerfEvent,
		"xdp": elf.KindOther, "tc": elf.KindOther, "socket": elf.KindOther, "cgroup_skb": elf.KindOther,
	}[base]
	if !ok {
		t.Fatalf("no kind for section %s", section)
	}
	return kind, sleepable
}

// TestMatrix compares the rule with every measured cell.
func TestMatrix(t *testing.T) {
	m := readMatrix(t)
	if len(m.names) != 73 || len(m.contexts) != 109 {
		t.Fatalf("%d functions in %d contexts", len(m.names), len(m.contexts))
	}
	wrong, rows := 0, All(&Host{})
	for _, name := range m.names {
		k := lookup(rows, name)
		if k == nil {
			t.Errorf("%s: no row", name)
			continue
		}
		for i, column := range m.contexts {
			got := "A"
			if err := Allowed(k, contextOf(t, column)); err != nil {
				got = "-"
				var d *Denied
				if errors.As(err, &d) && d.NeedsSleepable {
					got = "s"
				}
			}
			if want := m.cells[name][i : i+1]; got != want {
				if wrong++; wrong < 20 {
					t.Errorf("%s in %s: %s, want %s", name, column, got, want)
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d cells differ", wrong)
	}
}

// kfuncsOf are the kernel functions of a kernel by name.
func kfuncsOf(t *testing.T, version string) map[string]kernels.KfuncInfo {
	t.Helper()
	k, err := kernels.Get(version)
	if err != nil {
		t.Fatal(err)
	}
	infos := map[string]kernels.KfuncInfo{}
	for _, i := range k.Kfuncs() {
		infos[i.Name] = i
	}
	return infos
}

// TestRows compares names, prototypes and flags with the kernel's.
func TestRows(t *testing.T) {
	kernel, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	infos := map[string]kernels.KfuncInfo{}
	for _, i := range kernel.Kfuncs() {
		infos[i.Name] = i
	}
	older, oldest := kfuncsOf(t, "6.18"), kfuncsOf(t, "6.16")
	rows := map[string]bool{}
	for _, k := range All(&Host{}) {
		if rows[k.Name] {
			t.Errorf("%s: two rows", k.Name)
		}
		rows[k.Name] = true
		i, ok := infos[k.Name]
		if !ok {
			i, ok = older[k.Name]
		}
		if !ok {
			i, ok = oldest[k.Name]
		}
		if !ok {
			t.Errorf("%s: not in the kernel", k.Name)
			continue
		}
		if k.Proto != i.Proto {
			t.Errorf("%s: prototype\n%s\nthe kernel's is\n%s", k.Name, k.Proto, i.Proto)
		}
		if k.Flags != i.Flags {
			t.Errorf("%s: flags [%s], the kernel's are [%s]", k.Name, kernels.FlagNames(k.Flags), kernels.FlagNames(i.Flags))
		}
	}
	for name := range infos {
		if strings.Contains(name, "scx_") && !rows[name] {
			t.Errorf("%s: no row", name)
		}
	}
}

func TestCheck(t *testing.T) {
	prog := func(calls ...link.KfuncCall) *link.Program {
		return &link.Program{Name: "simple_enqueue", Code: &ir.Program{Insns: []ir.Insn{{Orig: 0}, {Orig: 1}, {Orig: 3}}}, Calls: calls}
	}
	for _, tc := range []struct {
		name string
		prog *link.Program
		ctx  Context
		want string
	}{
		{"none", prog(), StructOps(ops.Enqueue, false, false), ""},
		{"allowed", prog(link.KfuncCall{Insn: 2, Name: "scx_bpf_dsq_insert___v2"}), StructOps(ops.Enqueue, false, false), ""},
		{"wrong callback", prog(link.KfuncCall{Insn: 2, Name: "scx_bpf_dsq_move_to_local", Line: "simple.bpf.c:83"}),
			StructOps(ops.Enqueue, false, false),
			"program simple_enqueue, instruction 3 (simple.bpf.c:83): calling kernel function scx_bpf_dsq_move_to_local is not " +
				"allowed in enqueue; it may be called from dispatch"},
		{"several callbacks", prog(link.KfuncCall{Insn: 0, Name: "scx_bpf_select_cpu_dfl"}), StructOps(ops.Running, false, false),
			"program simple_enqueue, instruction 0: calling kernel function scx_bpf_select_cpu_dfl is not allowed in running; it may " +
				"be called from select_cpu, enqueue, init_task, dump, cgroup_init, cgroup_exit, cgroup_prep_move, cgroup_cancel_move, " +
				"cgroup_set_weight, cgroup_set_bandwidth, cgroup_set_idle, sub_attach, sub_detach, cpu_online, cpu_offline, init, exit, " +
				"syscall programs"},
		{"not sleepable", prog(link.KfuncCall{Insn: 1, Name: "scx_bpf_create_dsq"}), StructOps(ops.Init, false, false),
			"program simple_enqueue, instruction 1: program must be sleepable to call sleepable kernel function scx_bpf_create_dsq " +
				"(SEC \"struct_ops.s/...\")"},
		{"sleepable", prog(link.KfuncCall{Insn: 1, Name: "scx_bpf_create_dsq"}), StructOps(ops.Init, false, true), ""},
		{"cid form", prog(link.KfuncCall{Insn: 1, Name: "scx_bpf_kick_cpu"}), StructOps(ops.Enqueue, true, false),
			"program simple_enqueue, instruction 1: calling kernel function scx_bpf_kick_cpu is not allowed in enqueue of " +
				"sched_ext_ops_cid; schedulers of the cid form use its cid counterpart"},
		{"foreign", prog(link.KfuncCall{Insn: 1, Name: "scx_bpf_kick_cpu"}), ForeignStructOps("tcp_congestion_ops", false),
			"program simple_enqueue, instruction 1: calling kernel function scx_bpf_kick_cpu is not allowed in struct " +
				"tcp_congestion_ops; it may be called from all callbacks"},
		{"unknown", prog(link.KfuncCall{Insn: 1, Name: "scx_bpf_no_such"}), StructOps(ops.Enqueue, false, false),
			"program simple_enqueue, instruction 1: kernel function scx_bpf_no_such is not modelled"},
		{"second call", prog(link.KfuncCall{Insn: 0, Name: "scx_bpf_now"}, link.KfuncCall{Insn: 1, Name: "scx_bpf_dispatch_cancel"}),
			StructOps(ops.Tick, false, false),
			"program simple_enqueue, instruction 1: calling kernel function scx_bpf_dispatch_cancel is not allowed in tick; it may be " +
				"called from dispatch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := Check(tc.prog, tc.ctx); err != nil {
				got = err.Error()
				var d *Denied
				if !errors.As(err, &d) {
					t.Errorf("%T does not wrap a *Denied", err)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestContextOf(t *testing.T) {
	for _, tc := range []struct {
		kind elf.ProgKind
		want string
	}{
		{elf.KindSyscall, "syscall programs true"},
		{elf.KindFentry, "fentry programs true"},
		{elf.KindKprobe, "kprobe programs true"},
		{elf.KindStructOps, " programs false"},
		{elf.KindUnknown, " programs false"},
	} {
		c, ok := ContextOf(&link.Program{Kind: tc.kind})
		if !ok {
			c = Context{Kind: KindOther}
		}
		if got := fmt.Sprint(c, ok); strings.TrimSpace(got) != strings.TrimSpace(tc.want) {
			t.Errorf("%v: %q, want %q", tc.kind, got, tc.want)
		}
	}
	if s := StructOps(ops.SelectCPU, true, false).String(); s != "select_cid of sched_ext_ops_cid" {
		t.Error(s)
	}
	if s := StructOps(ops.Init, false, true).String(); s != "init (sleepable)" {
		t.Error(s)
	}
}

func TestList(t *testing.T) {
	var names []string
	scx := 0
	for _, i := range List() {
		names = append(names, i.Name)
		switch i.Name {
		case "scx_bpf_create_dsq":
			if !i.Implemented || !i.Syscall || i.Tracing || len(i.Callbacks) == 0 || i.Groups[0] != "unlocked" {
				t.Errorf("%+v", i)
			}
		case "scx_bpf_dispatch_cancel":
			if diff := cmp.Diff([]string{"dispatch"}, i.Callbacks); diff != "" {
				t.Error(diff)
			}
		}
		if strings.Contains(i.Name, "scx_") {
			if scx++; !i.Implemented {
				t.Errorf("%s is not implemented", i.Name)
			}
		}
	}
	if scx != 73+7 { // seven names of 6.16
		t.Errorf("%d kernel functions of sched_ext", scx)
	}
	for i := 1; i < len(names); i++ {
		if names[i-1] >= names[i] {
			t.Errorf("%s before %s", names[i-1], names[i])
		}
	}
}
