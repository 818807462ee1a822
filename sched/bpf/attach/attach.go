package attach

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/progtype"
	"github.com/schedsim/schedsim/vm/verifier"
)

// ErrUnsupported is wrapped by errors about places that a kernel has and this package does not: nothing can be said of such
// a program. Other errors are refusals, as the kernel's.
var ErrUnsupported = errors.New("not supported")

// Kernel is a kernel to whose places programs attach. It is for one goroutine.
type Kernel struct {
	// CPUs bounds what bpf_get_smp_processor_id may return. 0: 8192.
	CPUs uint32
	// Rules say what may be called from where: those of the kernel, unless they are replaced.
	Rules *kfuncs.Rules

	types *btf.Spec
	flags map[string]abi.KfuncFlags
	rows  map[string]*abi.Kfunc
	funcs map[string]*btf.Func
	// fields are the writable ones of task_struct, from and to.
	fields [][2]uint32
	// helpers tells which helpers all programs may call.
	helpers func(id int32) bool
}

// New makes a Kernel.
func New(k *kernels.Kernel) *Kernel { return WithTypes(k, k.BTF()) }

// WithTypes makes a Kernel with other types than k has itself: all of a real kernel's, say.
func WithTypes(k *kernels.Kernel, types *btf.Spec) *Kernel {
	out := &Kernel{types: types, flags: map[string]abi.KfuncFlags{}, rows: map[string]*abi.Kfunc{}, funcs: map[string]*btf.Func{},
		Rules: kfuncs.RulesOf(k)}
	rows := kfuncs.All(&kfuncs.Host{})
	for i := range rows {
		out.rows[rows[i].Name] = &rows[i]
	}
	for _, f := range k.Kfuncs() {
		out.flags[f.Name] = f.Flags
		if out.rows[f.Name] == nil && f.Sets != nil { // of sched_ext, but not modelled
			out.rows[f.Name] = &abi.Kfunc{Name: f.Name, Flags: f.Flags}
		}
	}
	out.fields, out.helpers = writable(types), helperSet()
	return out
}

// Program says where a program of an object attaches on a kernel. A struct_ops program attaches where a table of the
// object names it.
func Program(k *kernels.Kernel, o *link.Object, p *link.Program) (verifier.Attachment, error) {
	return New(k).Program(o, p)
}

// Program is the function of that name for more than one program.
func (k *Kernel) Program(o *link.Object, p *link.Program) (verifier.Attachment, error) {
	if p.Kind != elf.KindStructOps {
		return k.Other(p)
	}
	for _, s := range o.StructOps {
		for _, m := range s.Members {
			if m.Kind == link.MemberFunc && m.Prog == p.Name && p.Name != "" {
				return k.Member(s.Type, m.Name, p.Sleepable)
			}
		}
	}
	return verifier.Attachment{}, fmt.Errorf("program %s: no struct_ops table names it", p.Name)
}

// base is what all programs have.
func (k *Kernel) base(c kfuncs.Context, hook progtype.Hook) verifier.Attachment {
	return verifier.Attachment{Kernel: k.types, Sleepable: c.Sleepable, NrCPUs: k.CPUs, Helper: k.helpers, Kfunc: k.kfunc(c, hook)}
}

// Member says how a struct_ops program attaches to a member of a struct of the kernel. For those of sched_ext it follows
// bpf_scx_verifier_ops, with the nullable arguments that the stubs of the callbacks name.
func (k *Kernel) Member(typ, member string, sleepable bool) (verifier.Attachment, error) {
	proto, err := k.prototype(typ, member)
	if err != nil {
		return verifier.Attachment{}, err
	}
	cid := typ == "sched_ext_ops_cid"
	args := verifier.NewArgs(proto, true)
	var at verifier.Attachment
	if typ == "sched_ext_ops" || cid {
		row, ok := ops.ByMember(member, cid)
		switch {
		case !ok:
			return at, fmt.Errorf("struct %s: callback %s: %w", typ, member, ErrUnsupported) // the kernel has it
		case sleepable && !row.Sleepable:
			return at, fmt.Errorf("struct %s: a sleepable program cannot implement %s", typ, member)
		}
		at = k.base(kfuncs.StructOps(row.ID, cid, sleepable), progtype.HookStructOps)
		for i := range args.Nullable {
			args.Nullable[i] = i < len(row.Args) && row.Args[i].Kind == ops.ArgTaskNullable
		}
		at.Store = k.store
		at.PrivateStack = member == "dispatch" // it may nest along a hierarchy of schedulers
	} else {
		at = k.base(kfuncs.ForeignStructOps(typ, sleepable), progtype.HookStructOps)
		k.stub(typ, member, args)
		if err := k.foreign(&at, args, typ, member, sleepable); err != nil {
			return at, err
		}
	}
	at.Context, at.StructOps, at.NeedsGPL = args, true, "struct ops programs"
	switch ret := btf.UnderlyingType(proto.Return).(type) {
	case *btf.Void:
		at.Return.Kind = verifier.ReturnVoid
	case *btf.Pointer:
		if st, ok := btf.UnderlyingType(ret.Target).(*btf.Struct); ok {
			at.Return = verifier.Return{Kind: verifier.ReturnRange, Struct: st}
		}
	}
	return at, nil
}

// stub learns from the names of the parameters of a member's stub which arguments may be null and which the program owns. It
// follows prepare_arg_info (kernel/bpf/bpf_struct_ops.c, 7.2).
func (k *Kernel) stub(typ, member string, args *verifier.Args) {
	f := k.fn(typ + "__" + member)
	if f == nil {
		return
	}
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok || len(proto.Params) != len(args.Params) {
		return
	}
	args.Owned = make([]bool, len(args.Params))
	for i, p := range proto.Params {
		args.Nullable[i] = strings.HasSuffix(p.Name, "__nullable")
		args.Owned[i] = strings.HasSuffix(p.Name, "__ref")
	}
}

// prototype is that of a member that is a pointer to a function.
func (k *Kernel) prototype(typ, member string) (*btf.FuncProto, error) {
	var st *btf.Struct
	if err := k.types.TypeByName(typ, &st); err != nil {
		return nil, fmt.Errorf("struct %s: the kernel has no such struct_ops", typ)
	}
	for _, m := range st.Members {
		if m.Name != member {
			continue
		}
		if ptr, ok := btf.UnderlyingType(m.Type).(*btf.Pointer); ok {
			if proto, ok := btf.UnderlyingType(ptr.Target).(*btf.FuncProto); ok {
				return proto, nil
			}
		}
		return nil, fmt.Errorf("struct %s: member %s is no callback", typ, member)
	}
	return nil, fmt.Errorf("struct %s: no member %s", typ, member)
}

// writable finds the fields of task_struct that schedulers may write. It follows bpf_scx_btf_struct_access.
func writable(types *btf.Spec) [][2]uint32 {
	var task, scx *btf.Struct
	if types.TypeByName("task_struct", &task) != nil || types.TypeByName("sched_ext_entity", &scx) != nil {
		return nil
	}
	var out [][2]uint32
	for _, m := range task.Members {
		if m.Name != "scx" {
			continue
		}
		for _, f := range scx.Members {
			if f.Name == "slice" || f.Name == "dsq_vtime" || f.Name == "disallow" {
				n, _ := btf.Sizeof(f.Type)
				from := m.Offset.Bytes() + f.Offset.Bytes()
				out = append(out, [2]uint32{from, from + uint32(n)})
			}
		}
	}
	return out
}

func (k *Kernel) store(typ string, off, size uint32) bool {
	if typ != "task_struct" {
		return false
	}
	for _, f := range k.fields {
		if off >= f[0] && off+size <= f[1] {
			return true
		}
	}
	return false
}

// kfunc is verifier.Attachment.Kfunc for a place. That a function may sleep is for the verifier to judge, which knows what
// the program holds where it calls.
func (k *Kernel) kfunc(c kfuncs.Context, hook progtype.Hook) func(string) (verifier.Kfunc, error) {
	return func(name string) (verifier.Kfunc, error) {
		flags, ok := k.flags[name]
		// Functions that are not sched_ext's go by the type of the program.
		if known, general := progtype.Kfunc(name, 0); general {
			if _, allowed := progtype.Kfunc(name, hook); !allowed {
				return verifier.Kfunc{}, fmt.Errorf("calling kernel function %s is not allowed", name)
			}
			if !ok {
				flags = known
			}
			return verifier.Kfunc{Type: k.fn(name), Flags: flags}, nil
		}
		if !ok {
			return verifier.Kfunc{}, fmt.Errorf("calling kernel function %s is not allowed", name)
		}
		if r := k.rows[name]; r != nil {
			var d *kfuncs.Denied
			if err := k.Rules.Allowed(r, c); errors.As(err, &d) && !d.NeedsSleepable {
				return verifier.Kfunc{}, fmt.Errorf("calling kernel function %s is not allowed", name)
			}
		}
		return verifier.Kfunc{Type: k.fn(name), Flags: flags}, nil
	}
}

// fn is a function of the kernel, nil if there is none of that name.
func (k *Kernel) fn(name string) *btf.Func {
	if f, ok := k.funcs[name]; ok {
		return f
	}
	k.funcs[name] = nil
	types, _ := k.types.AnyTypesByName(name)
	for _, t := range types {
		if f, ok := t.(*btf.Func); ok && f.Name == name {
			k.funcs[name] = f
		}
	}
	return k.funcs[name]
}

func section(p *link.Program) string {
	s, _, _ := strings.Cut(strings.TrimPrefix(p.Section, "?"), "/")
	return s
}
