package verifier_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// lab is a kernel to agree with: its types, and the flags of its functions.
type lab struct {
	spec   *btf.Spec
	config map[string]string
	enums  map[string]uint64
	flags  map[string]abi.KfuncFlags
	rows   []abi.Kfunc
	funcs  map[string]*btf.Func
}

func (l *lab) BTF() (*btf.Spec, error)            { return l.spec, nil }
func (l *lab) Version() uint32                    { return 7<<16 | 2<<8 }
func (l *lab) Kconfig(name string) (string, bool) { v, ok := l.config[name]; return v, ok }

func (l *lab) EnumValue(name string) (uint64, bool) { v, ok := l.enums[name]; return v, ok }

// newLab reads the kernel that SCHEDSIM_BTF names, with its config beside it.
func newLab(tb testing.TB) *lab {
	file := os.Getenv("SCHEDSIM_BTF")
	if file == "" {
		tb.Skip("SCHEDSIM_BTF is not set: a vmlinux.btf with the kernel's config beside it")
	}
	spec, err := btf.LoadSpec(file)
	if err != nil {
		tb.Fatal(err)
	}
	l := &lab{spec: spec, config: map[string]string{}, enums: map[string]uint64{}, flags: map[string]abi.KfuncFlags{}, funcs: map[string]*btf.Func{}}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(file), "config"))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			l.config[k] = v
		}
	}
	for t, err := range spec.All() {
		if err != nil {
			tb.Fatal(err)
		}
		if e, ok := t.(*btf.Enum); ok {
			for _, v := range e.Values {
				l.enums[v.Name] = v.Value
			}
		}
	}
	k, err := kernels.Get("7.2")
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range k.Kfuncs() {
		l.flags[f.Name] = f.Flags
	}
	l.rows = kfuncs.All(&kfuncs.Host{})
	return l
}

// kfunc finds a kernel function for a context.
func (l *lab) kfunc(c kfuncs.Context) func(name string) (verifier.Kfunc, error) {
	return func(name string) (verifier.Kfunc, error) {
		denied := fmt.Errorf("calling kernel function %s is not allowed", name)
		flags, ok := l.flags[name]
		if !ok {
			return verifier.Kfunc{}, denied
		}
		for i := range l.rows {
			if r := &l.rows[i]; r.Name == name {
				var d *kfuncs.Denied
				if err := kfuncs.Allowed(r, c); errors.As(err, &d) && !d.NeedsSleepable {
					return verifier.Kfunc{}, denied
				}
			}
		}
		if l.funcs[name] == nil {
			types, _ := l.spec.AnyTypesByName(name)
			for _, t := range types {
				if f, ok := t.(*btf.Func); ok && f.Name == name {
					l.funcs[name] = f
				}
			}
		}
		return verifier.Kfunc{Type: l.funcs[name], Flags: flags}, nil
	}
}

// structOpsHelpers are those that every callback of sched_ext_ops may call.
var structOpsHelpers = []int32{1, 2, 3, 5, 6, 7, 8, 12, 14, 15, 16, 17, 22, 35, 37, 42, 55, 80, 87, 88, 89, 93, 94, 105, 106, 109, 112, 113, 114,
	115, 117, 118, 120, 123, 125, 130, 131, 132, 133, 134, 141, 148, 149, 153, 154, 156, 157, 158, 164, 165, 169, 170, 171, 172, 175, 176, 177, 180,
	181, 182, 191, 194, 195, 197, 198, 199, 200, 201, 202, 203, 208, 209, 210, 211}

// baseHelpers are those of all types of programs.
var baseHelpers = []int32{1, 2, 3, 5, 6, 7, 8, 12, 35, 42, 87, 88, 89, 93, 94, 105, 106, 113, 115, 118, 123, 125, 130, 131, 132, 133, 134, 141, 149, 153, 154, 158,
	160, 164, 165, 169, 170, 171, 172, 177, 181, 182, 194, 195, 197, 198, 199, 200, 201, 202, 203, 208, 209, 120, 14, 80, 112, 114}

// member finds the callback that a program implements, and its prototype.
func member(o *link.Object, p *link.Program, l *lab) (typ, name string, proto *btf.FuncProto) {
	for _, s := range o.StructOps {
		for _, m := range s.Members {
			if m.Prog != p.Name {
				continue
			}
			var st *btf.Struct
			if l.spec.TypeByName(s.Type, &st) != nil {
				return s.Type, m.Name, nil
			}
			for _, km := range st.Members {
				if ptr, ok := km.Type.(*btf.Pointer); ok && km.Name == m.Name {
					proto, _ = ptr.Target.(*btf.FuncProto)
				}
			}
			return s.Type, m.Name, proto
		}
	}
	return "", "", nil
}

// attachment says where a program is attached; a reason where that is not modelled.
func attachment(o *link.Object, p *link.Program, l *lab) (verifier.Attachment, string) {
	at := verifier.Attachment{Kernel: l.spec, Sleepable: p.Sleepable, NrCPUs: 8,
		Helper: func(id int32) bool { return slices.Contains(structOpsHelpers, id) }}
	switch p.Kind {
	case elf.KindStructOps:
		typ, name, proto := member(o, p, l)
		if proto == nil {
			return at, "struct_ops of unknown type " + typ
		}
		at.StructOps = true
		args := verifier.NewArgs(proto, true)
		c := kfuncs.ForeignStructOps(typ, p.Sleepable)
		cid := typ == "sched_ext_ops_cid"
		if typ == "sched_ext_ops" || cid {
			row, ok := ops.ByMember(name, cid)
			if !ok {
				return at, "no callback " + name
			}
			for i, a := range row.Args {
				args.Nullable[i] = a.Kind == ops.ArgTaskNullable
			}
			c = kfuncs.StructOps(row.ID, cid, p.Sleepable)
			at.Store = func(typ string, off, size uint32) bool { return l.writable(typ, off, size) }
		}
		at.Context, at.Kfunc = args, l.kfunc(c)
		if _, void := proto.Return.(*btf.Void); void {
			at.Return.Kind = verifier.ReturnVoid
		}
	case elf.KindSyscall:
		at.Context = &verifier.Flat{Size: 65535, Writable: true, Variable: true, Aligned: true}
		at.Kfunc = l.kfunc(kfuncs.Context{Kind: kfuncs.KindSyscall, Sleepable: true})
		h := append(slices.Clone(structOpsHelpers), 160)
		at.Helper = func(id int32) bool { return slices.Contains(h, id) }
	case elf.KindFentry, elf.KindFexit, elf.KindFmodRet, elf.KindTPBTF, elf.KindIter, elf.KindLSM:
		return l.tracing(at, p)
	case elf.KindRawTP, elf.KindTracepoint, elf.KindKprobe, elf.KindKretprobe, elf.KindPerfEvent:
		size := map[elf.ProgKind]uint32{elf.KindRawTP: 96, elf.KindTracepoint: 8192, elf.KindKprobe: 168, elf.KindKretprobe: 168, elf.KindPerfEvent: 200}[p.Kind]
		at.Context = &verifier.Flat{Size: size, Aligned: true, Translated: p.Kind == elf.KindPerfEvent}
		at.PrivateStack, at.Tracing = true, true
		at.Kfunc = l.kfunc(kfuncs.Context{Kind: kfuncs.KindTracing})
		at.Helper = func(id int32) bool { return id != 26 && id != 28 && id != 160 }
	default:
		return l.network(at, p)
	}
	return at, ""
}

// writable are the fields of task_struct that sched_ext lets programs write.
func (l *lab) writable(typ string, off, size uint32) bool {
	if typ != "task_struct" {
		return false
	}
	var task, scx *btf.Struct
	if l.spec.TypeByName("task_struct", &task) != nil || l.spec.TypeByName("sched_ext_entity", &scx) != nil {
		return false
	}
	base := uint32(0)
	for _, m := range task.Members {
		if m.Name == "scx" {
			base = m.Offset.Bytes()
		}
	}
	for _, m := range scx.Members {
		if m.Name == "slice" || m.Name == "dsq_vtime" || m.Name == "disallow" {
			n, _ := btf.Sizeof(m.Type)
			if lo := base + m.Offset.Bytes(); off >= lo && off+size <= lo+uint32(n) {
				return true
			}
		}
	}
	return false
}

func (l *lab) tracing(at verifier.Attachment, p *link.Program) (verifier.Attachment, string) {
	at.PrivateStack, at.Tracing = p.Kind != elf.KindIter, p.Kind != elf.KindIter && !p.Sleepable
	at.Kfunc = l.kfunc(kfuncs.Context{Kind: kfuncs.KindTracing, Sleepable: p.Sleepable})
	at.Helper = func(id int32) bool { return id != 26 && id != 28 && id != 12 }
	name := p.Attach
	var params []btf.FuncParam
	var ret btf.Type
	switch p.Kind {
	case elf.KindTPBTF:
		var td *btf.Typedef
		if err := l.spec.TypeByName("btf_trace_"+name, &td); err != nil {
			return at, "no tracepoint " + name
		}
		ptr, _ := td.Type.(*btf.Pointer)
		fp, ok := ptr.Target.(*btf.FuncProto)
		if !ok || len(fp.Params) == 0 {
			return at, "no tracepoint " + name
		}
		params = fp.Params[1:]
	default:
		switch p.Kind {
		case elf.KindIter:
			name = "bpf_iter_" + name
		case elf.KindLSM:
			name = "bpf_lsm_" + name
		}
		var f *btf.Func
		if err := l.spec.TypeByName(name, &f); err != nil {
			return at, "no function " + name
		}
		fp := f.Type.(*btf.FuncProto)
		params, ret = fp.Params, fp.Return
	}
	args := verifier.NewArgs(&btf.FuncProto{Params: params}, p.Kind != elf.KindFentry && p.Kind != elf.KindFexit && p.Kind != elf.KindFmodRet)
	at.Context = args
	at.Return = verifier.Return{Kind: verifier.ReturnRange}
	switch p.Kind {
	case elf.KindTPBTF:
		at.Return.Kind = verifier.ReturnAny
	case elf.KindIter:
		at.Return.Hi = 1
		if f, ok := l.iterArg(p.Attach); ok {
			at.Context = f
		}
	case elf.KindFexit, elf.KindFmodRet:
		args.Result = ret
		if p.Kind == elf.KindFmodRet {
			at.Return.Kind = verifier.ReturnAny
		}
	case elf.KindLSM:
		return at, "lsm programs"
	}
	return at, ""
}

// iterArg is the context of an iterator: pointers to its meta data and object, of which the latter is null at the end.
func (l *lab) iterArg(name string) (verifier.Context, bool) {
	var st *btf.Struct
	if l.spec.TypeByName("bpf_iter__"+name, &st) != nil {
		return nil, false
	}
	var params []btf.FuncParam
	for i, m := range st.Members {
		t := m.Type
		if u, ok := t.(*btf.Union); ok && len(u.Members) == 1 {
			t = u.Members[0].Type
		}
		n := m.Name
		if i > 0 {
			n += "__nullable"
		}
		params = append(params, btf.FuncParam{Name: n, Type: t})
	}
	return verifier.NewArgs(&btf.FuncProto{Params: params}, true), true
}

// skb stands for the contexts of networking programs: numbers at some offsets, everything else is not modelled.
type skb struct{ size int }

func (s skb) Region() uint32 { return 0 }
func (s skb) Movable() bool  { return false }
func (s skb) Access(off, size int, write bool) (verifier.Field, bool) {
	if off < 0 || off+size > s.size || off%size != 0 {
		return verifier.Field{}, false
	}
	if s.size == 192 && !write && size <= 4 && off < 48 {
		return verifier.Field{}, true
	}
	return verifier.Field{Unsupported: "of networking"}, false
}

func (l *lab) network(at verifier.Attachment, p *link.Program) (verifier.Attachment, string) {
	sec, _, _ := strings.Cut(strings.TrimPrefix(p.Section, "?"), "/")
	size := 4096
	h := slices.Clone(baseHelpers)
	switch sec {
	case "socket", "tc", "tcx", "classifier", "action", "cgroup_skb", "sk_skb", "lwt_in", "lwt_out", "lwt_xmit":
		size = 192
		h = append(h, 26)
	case "lsm_cgroup", "lsm":
		return at, "programs of section " + sec
	}
	switch sec {
	case "tc", "action", "classifier", "tcx":
		// Helpers that the verifier does not know are let through, so that it says so.
		h = append(h, 28, 9, 39, 43, 69, 84, 86, 95, 99, 163, 122)
	case "socket":
		h = append(h, 122)
	case "cgroup", "cgroup_skb", "sk_lookup", "netfilter", "sockops":
		at.Return = verifier.Return{Kind: verifier.ReturnRange, Hi: 1}
		switch {
		case strings.HasSuffix(p.Section, "egress"), strings.Contains(p.Section, "/bind"):
			at.Return.Hi = 3
		case strings.Contains(p.Section, "recvmsg"), strings.Contains(p.Section, "getpeername"), strings.Contains(p.Section, "getsockname"):
			at.Return.Lo = 1
		}
	}
	at.Helper = func(id int32) bool { return slices.Contains(h, id) }
	at.Context, at.Kfunc = skb{size}, l.kfunc(kfuncs.Context{Kind: kfuncs.KindOther})
	at.CtxType = "__sk_buff"
	if sec == "xdp" {
		at.CtxType = "xdp_md"
	}
	return at, ""
}

// verdict of one program.
type verdict struct {
	file, prog, got string
	err             *verifier.Error
	res             verifier.Result
	why             string
}

func checkObject(tb testing.TB, l *lab, file string, only func(p *link.Program) bool) []verdict {
	tb.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".bpf.o")
	in, err := elf.Read(name, bytes.NewReader(raw))
	if err != nil {
		tb.Logf("%s: %v", name, err)
		return nil
	}
	// The recorded verdicts are from a loader that leaves variables for enumerators zero.
	o, err := link.Link(in, l, link.Options{KeepGoing: true})
	if err != nil {
		tb.Logf("%s: %v", name, err)
		return nil
	}
	var out []verdict
	for _, p := range o.Programs {
		if !only(p) {
			continue
		}
		at, why := attachment(o, p, l)
		v := verdict{file: name, prog: p.Name, got: "success", why: why}
		if why == "" {
			v.res, err = verifier.Check(o, p, at)
			if err != nil {
				v.got = "failure"
				if !errors.As(err, &v.err) {
					tb.Fatalf("%s: %v is no *Error", p.Name, err)
				}
			}
		}
		out = append(out, v)
	}
	return out
}

func objects(tb testing.TB, variable string) []string {
	dirs := filepath.SplitList(os.Getenv(variable))
	if len(dirs) == 0 {
		tb.Skip(variable + " is not set: directories with .bpf.o files")
	}
	var files []string
	for _, dir := range dirs {
		l, _ := filepath.Glob(filepath.Join(dir, "*.bpf.o"))
		if len(l) == 0 {
			tb.Fatalf("%s: no objects", dir)
		}
		files = append(files, l...)
	}
	return files
}

// TestSchedulers: the schedulers in the directories of SCHEDSIM_OBJECTS are accepted, those made to be refused are not.
func TestSchedulers(t *testing.T) {
	l := newLab(t)
	refused := map[string]bool{"maybe_null_fail_dispatch": true, "maybe_null_fail_yield": true, "tcp_ca_ssthresh": true}
	// clang-19 leaves casts of arena pointers out of these.
	lacking := map[string]bool{"qmap_dequeue": true, "qmap_dispatch": true, "qmap_init_task": true}
	good, bad, unsupported := 0, 0, 0
	for _, file := range objects(t, "SCHEDSIM_OBJECTS") {
		for _, v := range checkObject(t, l, file, func(p *link.Program) bool { return p.AutoLoad }) {
			want := "success"
			if refused[v.prog] || lacking[v.prog] && filepath.Base(filepath.Dir(file)) == "kernel" {
				want = "failure"
			}
			switch {
			case v.why != "" || v.err != nil && v.err.Code == verifier.CodeUnsupported:
				unsupported++
				t.Logf("UNSUPPORTED %s %s: %s%v", v.file, v.prog, v.why, v.err)
			case v.got == want:
				good++
			default:
				bad++
				t.Logf("DIFFERS %s: want %s, got %s: %v", v.file, want, v.got, v.err)
			}
		}
	}
	t.Logf("%d agree, %d differ, %d unsupported", good, bad, unsupported)
	if bad > 0 {
		t.Errorf("%d programs get another verdict than the kernel gives", bad)
	}
}

// record is a line of the kernel's verdicts.
type record struct {
	File, Prog, Verdict, Last string
	// Veristat loads through libbpf, the first verdict is from a loader that changes some instructions.
	Veristat struct{ Verdict string }
}

// TestAgreement compares the verdicts on the kernel's own tests with those in the file that SCHEDSIM_VERDICTS names.
func TestAgreement(t *testing.T) {
	l := newLab(t)
	name := os.Getenv("SCHEDSIM_VERDICTS")
	if name == "" {
		t.Skip("SCHEDSIM_VERDICTS is not set: a .jsonl.gz with the kernel's verdicts")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]record{}
	for d := json.NewDecoder(z); d.More(); {
		var r record
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if v := r.Veristat.Verdict; v != "" {
			r.Verdict = v
		}
		if r.Verdict != "success" && r.Verdict != "failure" {
			continue
		}
		if want[r.File] == nil {
			want[r.File] = map[string]record{}
		}
		want[r.File][r.Prog] = r
	}
	var sum [6]int
	for _, file := range objects(t, "SCHEDSIM_VERIFIER_OBJECTS") {
		base := strings.TrimSuffix(filepath.Base(file), ".bpf.o")
		recs := want[base]
		if recs == nil {
			continue
		}
		var n [6]int
		for _, v := range checkObject(t, l, file, func(p *link.Program) bool { _, ok := recs[p.Name]; return ok }) {
			r := recs[v.prog]
			switch {
			case v.why != "" || v.err != nil && v.err.Code == verifier.CodeUnsupported && r.Verdict == "success":
				n[4]++
				t.Logf("UNSUPPORTED %s/%s: %s%v", base, v.prog, v.why, v.err)
			case v.err != nil && v.err.Code == verifier.CodeUnsupported:
				n[5]++
			case v.got == r.Verdict && r.Verdict == "success":
				n[0]++
			case v.got == r.Verdict:
				n[1]++
			case v.got == "success":
				n[2]++
				t.Logf("UNSOUND %s/%s: the kernel says %q", base, v.prog, r.Last)
			default:
				n[3]++
				t.Logf("INCOMPLETE %s/%s: %v", base, v.prog, v.err)
			}
		}
		t.Logf("FILE %s: accept %d, refuse %d, unsound %d, incomplete %d, unsupported %d, refused as unsupported %d", base, n[0], n[1], n[2], n[3], n[4], n[5])
		for i := range n {
			sum[i] += n[i]
		}
	}
	if sum[2] > 0 {
		t.Errorf("%d programs that the kernel refuses are accepted", sum[2])
	}
	t.Logf("TOTAL: accept %d, refuse %d, unsound %d, incomplete %d, unsupported %d, refused as unsupported %d", sum[0], sum[1], sum[2], sum[3], sum[4], sum[5])
}
