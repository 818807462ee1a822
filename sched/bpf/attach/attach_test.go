package attach_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

func kernel(t *testing.T) *kernels.Kernel {
	t.Helper()
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every callback of both forms of the table is a place: its arguments are those of its row, and those that may be null are
// the ones that the kernel passes null for.
func TestMembers(t *testing.T) {
	k := attach.New(kernel(t))
	for _, typ := range []string{"sched_ext_ops", "sched_ext_ops_cid"} {
		cid := typ == "sched_ext_ops_cid"
		for _, r := range ops.Rows() {
			name := r.Member(cid)
			if name == "" {
				continue
			}
			t.Run(typ+"."+name, func(t *testing.T) {
				row, _ := ops.ByMember(name, cid)
				at, err := k.Member(typ, name, false)
				if err != nil {
					t.Fatal(err)
				}
				if void := at.Return.Kind == verifier.ReturnVoid; void != (row.Ret == "void") {
					t.Errorf("returns nothing: %v, the row says %s", void, row.Ret)
				}
				for i, a := range row.Args {
					f, ok := at.Context.Access(i*8, 8, false)
					if !ok {
						t.Fatalf("argument %d cannot be read", i)
					}
					if pointer := strings.HasSuffix(a.Type, "*"); pointer != (f.Struct != nil) {
						t.Errorf("argument %d (%s) is a pointer: %v", i, a.Type, f.Struct != nil)
					}
					if f.Struct != nil && (!f.Trusted || !strings.HasSuffix(a.Type, " "+f.Struct.TypeName()+" *")) {
						t.Errorf("argument %d: %+v, the row says %s", i, f, a.Type)
					}
					if f.Nullable != (a.Kind == ops.ArgTaskNullable) {
						t.Errorf("argument %d may be null: %v", i, f.Nullable)
					}
					if _, ok := at.Context.Access(i*8, 8, true); ok {
						t.Errorf("argument %d can be written", i)
					}
				}
				if _, ok := at.Context.Access(len(row.Args)*8, 8, false); ok {
					t.Errorf("there is a %d-th argument", len(row.Args)+1)
				}
				if _, err := k.Member(typ, name, true); (err == nil) != row.Sleepable {
					t.Errorf("sleepable program: %v, the row says %v", err, row.Sleepable)
				}
			})
		}
	}
}

// Kernel functions are permitted by the callback that calls, also those that are in more than one set.
func TestKfuncs(t *testing.T) {
	k := attach.New(kernel(t))
	for _, tc := range []struct {
		member, kfunc string
		ok            bool
	}{
		{"enqueue", "scx_bpf_dsq_insert", true},
		{"dispatch", "scx_bpf_dsq_insert", true},
		{"running", "scx_bpf_dsq_insert", false},
		{"dispatch", "scx_bpf_dsq_move_to_local", true},
		{"enqueue", "scx_bpf_dsq_move_to_local", false},
		{"init", "scx_bpf_create_dsq", true},
		{"init_task", "scx_bpf_create_dsq", true},
		{"tick", "scx_bpf_create_dsq", false},
		{"tick", "bpf_cpumask_create", true},
		{"tick", "bpf_no_such_function", false},
	} {
		t.Run(tc.member+" "+tc.kfunc, func(t *testing.T) {
			at, err := k.Member("sched_ext_ops", tc.member, false)
			if err != nil {
				t.Fatal(err)
			}
			f, err := at.Kfunc(tc.kfunc)
			if (err == nil) != tc.ok {
				t.Fatalf("got %v", err)
			}
			if err == nil && f.Type == nil {
				t.Error("the function has no type")
			}
			if want := "calling kernel function " + tc.kfunc + " is not allowed"; err != nil && err.Error() != want {
				t.Errorf("message %q, want %q", err, want)
			}
		})
	}
}

// A scheduler may write three fields of a task, from no other struct, and not beyond them.
func TestStore(t *testing.T) {
	kern := kernel(t)
	k := attach.New(kern)
	at, err := k.Member("sched_ext_ops", "enqueue", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		name string
		ok   bool
	}{{"scx.slice", true}, {"scx.dsq_vtime", true}, {"scx.disallow", true}, {"scx.weight", false}, {"pid", false}} {
		off, size, ok := kern.Field("task_struct." + f.name)
		if !ok {
			t.Fatalf("no field %s", f.name)
		}
		if got := at.Store("task_struct", off, size); got != f.ok {
			t.Errorf("%s can be written: %v", f.name, got)
		}
		if at.Store("task_struct", off+1, size) && size > 1 || at.Store("cgroup", off, size) {
			t.Errorf("beyond %s", f.name)
		}
	}
	if at, _ = k.Other(&link.Program{Kind: elf.KindSyscall, Section: "syscall"}); at.Store != nil {
		t.Error("syscall programs can write to tasks")
	}
}

// Other kinds of programs: what their context holds, what they may return and call.
func TestOther(t *testing.T) {
	k := attach.New(kernel(t))
	for _, tc := range []struct {
		name      string
		p         link.Program
		read      []int // offsets of 8 bytes that can be read, and after -1 those that cannot
		returns   verifier.Return
		helper    string
		forbidden string
		err       string
	}{
		{"syscall", link.Program{Kind: elf.KindSyscall, Section: "syscall"}, []int{0, 65520, 4, -1, 65528}, verifier.Return{}, "bpf_sys_bpf", "bpf_seq_write", ""},
		{"tp_btf", link.Program{Kind: elf.KindTPBTF, Section: "tp_btf/sched_switch", Attach: "sched_switch"}, []int{0, 8, 16, 24, -1, 32},
			verifier.Return{}, "bpf_get_func_arg", "bpf_sys_bpf", ""},
		{"tp_btf unknown", link.Program{Kind: elf.KindTPBTF, Section: "tp_btf/none", Attach: "none"}, nil, verifier.Return{}, "", "", "no such tracepoint"},
		{"fexit", link.Program{Kind: elf.KindFexit, Section: "fexit/futex_wake", Attach: "futex_wake"}, []int{0, 8, 16, 24, 32, 40, -1, 48},
			verifier.Return{Kind: verifier.ReturnRange}, "bpf_get_func_ret", "bpf_seq_write", ""},
		{"fentry", link.Program{Kind: elf.KindFentry, Section: "fentry/futex_wake", Attach: "futex_wake"}, []int{0, 32, -1, 40},
			verifier.Return{Kind: verifier.ReturnRange}, "bpf_get_func_arg", "bpf_seq_write", ""},
		{"fentry unknown", link.Program{Kind: elf.KindFentry, Section: "fentry/none", Attach: "none"}, nil, verifier.Return{}, "", "", "no such function"},
		{"iter", link.Program{Kind: elf.KindIter, Section: "iter/task", Attach: "task"}, []int{0, 8, -1, 16},
			verifier.Return{Kind: verifier.ReturnRange, Hi: 1}, "bpf_seq_write", "bpf_get_func_arg", ""},
		{"raw_tp", link.Program{Kind: elf.KindRawTP, Section: "raw_tp/sched_switch"}, []int{0, 88, -1, 96}, verifier.Return{}, "bpf_get_stackid", "bpf_d_path", ""},
		{"tracepoint", link.Program{Kind: elf.KindTracepoint, Section: "tp/sched/sched_switch"}, []int{8, 8184, -1, 0, 8192}, verifier.Return{},
			"bpf_perf_event_output", "bpf_read_branch_records", ""},
		{"kprobe", link.Program{Kind: elf.KindKprobe, Section: "kprobe/x"}, []int{0, 160, -1, 168}, verifier.Return{}, "bpf_get_stackid", "bpf_override_return", ""},
		{"perf_event", link.Program{Kind: elf.KindPerfEvent, Section: "perf_event"}, []int{0, 168, 176, -1, 184}, verifier.Return{},
			"bpf_read_branch_records", "bpf_override_return", ""},
		{"lsm", link.Program{Kind: elf.KindLSM, Section: "lsm/file_open"}, nil, verifier.Return{}, "", "", "not supported"},
		{"unknown", link.Program{Kind: elf.KindUnknown, Section: "nothing"}, nil, verifier.Return{}, "", "", "not supported"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at, err := k.Other(&tc.p)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				if errors.Is(err, attach.ErrUnsupported) != (tc.err == "not supported") {
					t.Errorf("%v: the wrong kind of error", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := true
			for _, off := range tc.read {
				if off < 0 {
					want = false
				} else if _, ok := at.Context.Access(off, 8, false); ok != want {
					t.Errorf("offset %d can be read: %v", off, ok)
				}
			}
			if at.Return != tc.returns {
				t.Errorf("returns %+v", at.Return)
			}
			if !at.Helper(int32(helpers.Number(tc.helper))) || at.Helper(int32(helpers.Number(tc.forbidden))) {
				t.Errorf("%s: %v, %s: %v", tc.helper, at.Helper(int32(helpers.Number(tc.helper))), tc.forbidden, at.Helper(int32(helpers.Number(tc.forbidden))))
			}
			if at.Helper(-1) || at.Helper(0) || at.Helper(1<<20) {
				t.Error("helpers that do not exist")
			}
		})
	}
}

// All names of helpers exist.
func TestHelperNames(t *testing.T) {
	for _, name := range attach.HelperNames() {
		if helpers.Number(name) == 0 {
			t.Errorf("no helper %s", name)
		}
	}
}

// Of tracepoints, pointers that may be null are marked, and those that may be errors are numbers.
func TestTracepointArgs(t *testing.T) {
	k := attach.New(kernel(t))
	at, err := k.Other(&link.Program{Kind: elf.KindTPBTF, Attach: "sched_pi_setprio"})
	if err != nil {
		t.Fatal(err)
	}
	for i, nullable := range []bool{false, true} {
		if f, ok := at.Context.Access(i*8, 8, false); !ok || f.Struct == nil || f.Nullable != nullable {
			t.Errorf("argument %d: %+v, %v", i, f, ok)
		}
	}
}

// A struct_ops program attaches where a table names it.
func TestTable(t *testing.T) {
	k := kernel(t)
	o := &link.Object{StructOps: []*link.StructOps{{Name: "s", Type: "sched_ext_ops",
		Members: []link.Member{{Name: "dispatch", Kind: link.MemberFunc, Prog: "x"}}}}}
	at, err := attach.Program(k, o, &link.Program{Name: "x", Kind: elf.KindStructOps})
	if err != nil || !at.StructOps {
		t.Fatalf("%+v, %v", at, err)
	}
	if _, err := at.Kfunc("scx_bpf_dsq_move_to_local"); err != nil {
		t.Error(err)
	}
	if _, err = attach.Program(k, o, &link.Program{Name: "y", Kind: elf.KindStructOps}); err == nil {
		t.Error("a program that no table names has a place")
	}
	o.StructOps[0].Type = "no_such_ops"
	if _, err = attach.Program(k, o, &link.Program{Name: "x", Kind: elf.KindStructOps}); err == nil {
		t.Error("a struct that the kernel does not have")
	}
}

// A kernel function of another part of the kernel that is not modelled is the kernel's to judge; one of sched_ext's is
// judged by its sets.
func TestUnmodelled(t *testing.T) {
	for _, tc := range []struct {
		kernel, kfunc string
		ok            bool
	}{
		{"7.2", "__bpf_trap", true},
		{"7.3", "scx_bpf_sub_grant", true},
		{"7.2", "scx_bpf_sub_dispatch", false},
		{"6.18", "scx_bpf_dispatch_cancel", true},
		{"7.2", "scx_bpf_dispatch_cancel", false},
	} {
		t.Run(tc.kernel+" "+tc.kfunc, func(t *testing.T) {
			k, err := kernels.Get(tc.kernel)
			if err != nil {
				t.Fatal(err)
			}
			at, err := attach.New(k).Member("sched_ext_ops", "tick", false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := at.Kfunc(tc.kfunc); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A callback that the kernel has and this package does not know is no refusal.
func TestNewCallback(t *testing.T) {
	k, err := kernels.Get("7.3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attach.New(k).Member("sched_ext_ops", "init_cids", true); !errors.Is(err, attach.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if _, err := attach.New(kernel(t)).Member("sched_ext_ops", "init_cids", true); err == nil || errors.Is(err, attach.ErrUnsupported) {
		t.Errorf("7.2: got %v", err)
	}
}

// What is read of an object that a callback is passed is proved, but not the elements of an array at its end: there may be none.
func TestProvedArray(t *testing.T) {
	kern := kernel(t)
	at, err := attach.New(kern).Member("sched_ext_ops_cid", "set_cmask", false)
	if err != nil {
		t.Fatal(err)
	}
	var mask *btf.Struct
	if err := kern.BTF().TypeByName("scx_cmask", &mask); err != nil {
		t.Fatal(err)
	}
	code := &ir.Program{Name: "p", Subs: []ir.Sub{{Name: "p", End: 5}}, Insns: []ir.Insn{
		{Op: ir.Ld64, Dst: 1, Src: 1, Off: 8},
		{Op: ir.Ld32, Dst: 0, Src: 1, Off: 0, Orig: 1},
		{Op: ir.Ld64, Dst: 0, Src: 1, Off: int32(mask.Size) + 8*1000, Orig: 2},
		{Op: ir.Mov64K, Orig: 3},
		{Op: ir.Exit, Orig: 4},
	}}
	p := &link.Program{Name: "p", Kind: elf.KindStructOps, Code: code, Subs: []link.Sub{{}}}
	res, err := verifier.Check(&link.Object{License: "GPL", Programs: []*link.Program{p}}, p, at)
	if err != nil {
		t.Fatal(err)
	}
	if want := []bool{true, true, false, false, false}; !slices.Equal(res.Proved, want) {
		t.Errorf("proved: %v", res.Proved)
	}
	if !res.Probe[2] || res.Probe[1] {
		t.Errorf("loads that yield 0 where there is nothing: %v", res.Probe)
	}
}
