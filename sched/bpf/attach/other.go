package attach

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/progtype"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Sizes of contexts.
const (
	maxSyscallCtx = 1<<16 - 1 // of SYSCALL programs: U16_MAX
	maxTraceSize  = 8192      // PERF_MAX_TRACE_SIZE
	ptRegsSize    = 168       // struct pt_regs of x86-64
	perfDataSize  = ptRegsSize + 16
	maxArgs       = 12 // MAX_BPF_FUNC_ARGS
)

// multiFunc stands for the functions of a program that attaches to many.
const multiFunc = "bpf_multi_func"

// Other says how a program attaches that is no callback of a struct_ops.
func (k *Kernel) Other(p *link.Program) (verifier.Attachment, error) {
	c, ok := kfuncs.ContextOf(p)
	if !ok {
		return verifier.Attachment{}, fmt.Errorf("section %q: %w", p.Section, ErrUnsupported)
	}
	at := k.base(c, hook(p))
	switch p.Kind {
	case elf.KindSyscall:
		at.Context = &verifier.Flat{Size: maxSyscallCtx, Writable: true, Variable: true}
		at.Helper = helperSet(traceHelpers, eventHelpers[:3], btfHelpers, syscallHelpers)
		at.Forbidden = set("d_path", "sk_storage_get", "sk_storage_delete")
		at.InlineCPU = true
		at.Form = progtype.TracingForm
	case elf.KindFentry, elf.KindFexit, elf.KindFmodRet, elf.KindFsession:
		return at, k.function(&at, p)
	case elf.KindTPBTF:
		return at, k.tracepoint(&at, p)
	case elf.KindIter:
		return at, k.iterator(&at, p)
	case elf.KindRawTP:
		events(&at, &rawArgs{writable: strings.HasSuffix(section(p), ".w")}, "bpf_raw_tracepoint_args")
	case elf.KindTracepoint:
		events(&at, &traceData{}, "")
	case elf.KindKprobe, elf.KindKretprobe:
		k.probe(&at, p)
	case elf.KindPerfEvent:
		events(&at, &perfData{}, "bpf_perf_event_data")
		at.KernCtx = "bpf_perf_event_data_kern"
		at.Helper = helperSet(traceHelpers, eventHelpers, perfHelpers)
	case elf.KindLSM:
		return k.lsm(p, false)
	case elf.KindOther:
		switch s := section(p); {
		case strings.HasPrefix(s, "uprobe"), strings.HasPrefix(s, "uretprobe"), s == "usdt", s == "usdt.s":
			k.probe(&at, p)
			return at, nil
		case strings.HasSuffix(strings.TrimSuffix(s, ".s"), ".multi") && s[0] == 'f':
			return k.multi(p, s)
		case s == "lsm_cgroup":
			return k.lsm(p, true)
		}
		if at, ok := progtype.Network(p.Section, k.types); ok {
			at.NrCPUs = k.CPUs
			return at, nil
		}
		return at, fmt.Errorf("programs of section %s: %w", section(p), ErrUnsupported)
	default:
		return at, fmt.Errorf("%s programs: %w", p.Kind, ErrUnsupported)
	}
	return at, nil
}

// lsm attaches to a hook of the security framework, which reduced types of a kernel do not have.
func (k *Kernel) lsm(p *link.Program, cgroup bool) (verifier.Attachment, error) {
	at, err := progtype.LSM(p.Attach, k.types, p.Sleepable, cgroup)
	if errors.Is(err, progtype.ErrNoHook) {
		err = fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	at.NrCPUs = k.CPUs
	return at, err
}

// probe is a kprobe or a uprobe.
func (k *Kernel) probe(at *verifier.Attachment, p *link.Program) {
	events(at, &verifier.Flat{Size: ptRegsSize, Writable: true, Aligned: true}, "pt_regs")
	at.KernCtx = "pt_regs"
	if session(p) {
		at.Return = verifier.Return{Kind: verifier.ReturnRange, Hi: 1}
	}
}

// session tells whether the program of a probe runs at the function's end, too.
func session(p *link.Program) bool {
	return strings.HasSuffix(strings.TrimSuffix(section(p), ".s"), ".session")
}

// hook is where the kernel looks up the functions that a program may call.
func hook(p *link.Program) progtype.Hook {
	switch p.Kind {
	case elf.KindSyscall:
		return progtype.HookSyscall
	case elf.KindKprobe, elf.KindKretprobe, elf.KindOther:
		if session(p) {
			return progtype.HookKprobe | progtype.HookSession
		}
		return progtype.HookKprobe
	case elf.KindIter:
		return progtype.HookTracing | progtype.HookIter
	case elf.KindLSM:
		return progtype.HookTracing | progtype.HookLSM
	case elf.KindFsession:
		return progtype.HookTracing | progtype.HookSession
	}
	return progtype.HookTracing
}

// events is what programs of events have in common.
func events(at *verifier.Attachment, ctx verifier.Context, ctxType string) {
	at.Context, at.CtxType = ctx, ctxType
	at.PrivateStack, at.InlineCPU, at.Tracing, at.Event = true, true, !at.Sleepable, true
	at.Helper = helperSet(traceHelpers, eventHelpers)
}

// traceData is the context of tracepoint programs: the event's record, whose first eight bytes are hidden. It follows
// tp_prog_is_valid_access.
type traceData struct{}

func (*traceData) Region() uint32 { return 0 }
func (*traceData) Movable() bool  { return true }

func (*traceData) Access(off, size int, write bool) (verifier.Field, bool) {
	return verifier.Field{}, off >= 8 && off < maxTraceSize && !write && off%size == 0
}

// rawArgs is the context of raw tracepoints: numbers, and in front of them, if programs may write to it, the tracepoint's
// buffer. It follows raw_tp_prog_is_valid_access and raw_tp_writable_prog_is_valid_access.
type rawArgs struct{ writable bool }

func (*rawArgs) Region() uint32 { return 0 }
func (*rawArgs) Movable() bool  { return true }

func (r *rawArgs) Access(off, size int, write bool) (verifier.Field, bool) {
	if off < 0 || off >= 8*maxArgs || write || off%size != 0 {
		return verifier.Field{}, false
	}
	if off == 0 && r.writable {
		return verifier.Field{Kind: verifier.FieldTPBuffer}, size == 8
	}
	return verifier.Field{}, true
}

// perfData is the context of perf_event programs. It follows pe_prog_is_valid_access.
type perfData struct{}

func (*perfData) Region() uint32 { return 0 }
func (*perfData) Movable() bool  { return false }

func (*perfData) Access(off, size int, write bool) (verifier.Field, bool) {
	ok := off >= 0 && off+size <= perfDataSize && !write && off%size == 0
	return verifier.Field{}, ok && (size == 8 || off >= ptRegsSize)
}

// tracing is what programs have in common that attach to something with BTF.
func tracing(at *verifier.Attachment, more ...[]string) {
	at.PrivateStack, at.InlineCPU, at.Tracing = true, true, !at.Sleepable
	at.Form = progtype.TracingForm
	at.Helper = helperSet(append(more, traceHelpers, eventHelpers, btfHelpers)...)
}

// function attaches to a kernel function. It follows btf_ctx_access.
func (k *Kernel) function(at *verifier.Attachment, p *link.Program) error {
	f := k.fn(p.Attach)
	if f == nil {
		return fmt.Errorf("%s/%s: the kernel has no such function", p.Kind, p.Attach)
	}
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return fmt.Errorf("%s/%s: no function", p.Kind, p.Attach)
	}
	if err := attachable(p); err != nil {
		return err
	}
	tracing(at, argHelpers, []string{"get_func_ret"})
	var forbidden []string
	if !dPathFunc(p.Attach) {
		forbidden = append(forbidden, "d_path")
	}
	if p.Kind == elf.KindFmodRet || strings.HasPrefix(p.Attach, "bpf_sk_storage") || p.Attach == multiFunc {
		forbidden = append(forbidden, "sk_storage_get", "sk_storage_delete")
	}
	at.Forbidden = set(forbidden...)
	args := verifier.NewArgs(proto, false)
	at.Return = verifier.Return{Kind: verifier.ReturnRange}
	switch p.Kind {
	case elf.KindFexit, elf.KindFsession:
		args.Result = proto.Return
	case elf.KindFmodRet:
		i, ok := btf.UnderlyingType(proto.Return).(*btf.Int)
		if !ok || i.Size > 8 {
			return fmt.Errorf("fmod_ret/%s: the function does not return an int", p.Attach)
		}
		args.Result, at.Return = proto.Return, verifier.Return{}
	}
	at.Context = args
	return nil
}

// multi attaches to many functions at once: to the kernel a function without arguments. Its result cannot be read.
func (k *Kernel) multi(p *link.Program, section string) (verifier.Attachment, error) {
	one := *p
	one.Attach, one.Sleepable = multiFunc, false
	kind, _, _ := strings.Cut(section, ".")
	one.Kind = map[string]elf.ProgKind{"fentry": elf.KindFentry, "fexit": elf.KindFexit, "fsession": elf.KindFsession}[kind]
	c, _ := kfuncs.ContextOf(&one)
	at := k.base(c, hook(&one))
	if err := k.function(&at, &one); err != nil {
		return at, err
	}
	at.Context.(*verifier.Args).Result = nil
	if at.Sleepable = p.Sleepable; at.Sleepable {
		at.Tracing = false
	}
	return at, nil
}

// tracepoint attaches to a tracepoint of the kernel, by its BTF.
func (k *Kernel) tracepoint(at *verifier.Attachment, p *link.Program) error {
	var td *btf.Typedef
	err := k.types.TypeByName("btf_trace_"+p.Attach, &td)
	if err == nil {
		if ptr, ok := td.Type.(*btf.Pointer); ok {
			if proto, ok := ptr.Target.(*btf.FuncProto); ok && len(proto.Params) > 0 {
				if p.Sleepable && p.Attach != "sys_enter" && p.Attach != "sys_exit" {
					return words("Sleepable program cannot attach to non-faultable tracepoint %s", p.Attach)
				}
				tracing(at, argHelpers)
				at.Forbidden = set("d_path")
				params := slices.Clone(proto.Params[1:])
				if n := errorArg(p.Attach); n >= 0 && n < len(params) {
					params[n].Type = &btf.Int{Name: "u64", Size: 8}
				}
				args := verifier.NewArgs(&btf.FuncProto{Params: params}, true)
				mayBeNull(p.Attach, args)
				at.Context = args
				return nil
			}
		}
	}
	return fmt.Errorf("tp_btf/%s: the kernel has no such tracepoint", p.Attach)
}

// iterator is a program that walks objects: its arguments are pointers to meta data and to objects, of which the latter are
// null at the end.
func (k *Kernel) iterator(at *verifier.Attachment, p *link.Program) error {
	var st *btf.Struct
	if k.types.TypeByName("bpf_iter__"+p.Attach, &st) != nil {
		return fmt.Errorf("iter/%s: the kernel has no such iterator", p.Attach)
	}
	tracing(at, iterHelpers)
	if p.Attach == "tcp" || p.Attach == "unix" {
		at.Helper = helperSet(traceHelpers, eventHelpers, btfHelpers, iterHelpers, []string{"setsockopt", "getsockopt"})
	}
	at.PrivateStack, at.Tracing = false, false
	var params []btf.FuncParam
	var kinds []verifier.FieldKind
	var plain []bool
	for i, m := range st.Members {
		t := m.Type
		if u, ok := t.(*btf.Union); ok && len(u.Members) == 1 {
			t = u.Members[0].Type
		}
		name := m.Name
		if u, ok := m.Type.(*btf.Union); ok && len(u.Members) == 1 && name == "" {
			name = u.Members[0].Name
		}
		kinds = append(kinds, bufferArg(p.Attach, name))
		plain = append(plain, i > 0 && !trustedIter(p.Attach) && name != "map")
		if i > 0 && (name != "map" || p.Attach == "bpf_map") { // other maps are there even at the end
			name += "__nullable"
		}
		params = append(params, btf.FuncParam{Name: name, Type: t})
	}
	args := verifier.NewArgs(&btf.FuncProto{Params: params}, true)
	args.Plain, args.Kinds = plain, kinds
	at.Context, at.CssTaskIter, at.SockMapUpdate, at.SockMapDelete = args, true, true, true
	at.Return = verifier.Return{Kind: verifier.ReturnRange, Hi: 1}
	return nil
}
