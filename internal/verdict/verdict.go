package verdict

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Verdict is what a kernel says to a program.
type Verdict string

// The verdicts, the first two as veristat calls them.
const (
	Success Verdict = "success"
	Failure Verdict = "failure"
	// Unsupported: nothing can be said, because the program uses what is not modelled.
	Unsupported Verdict = "unsupported"
)

// Row is the verdict of one kernel on one program.
type Row struct {
	File, Program, Section string
	// Callback is the member of the struct_ops table that the program implements, or the type of the program.
	Callback string
	Kernel   string
	Verdict  Verdict
	// AutoLoad: a loader loads the program unless it is told otherwise.
	AutoLoad bool
	// Duration of the verification; 0 without a clock.
	Duration time.Duration
	Insns    int // instructions followed
	States   int // states kept for comparison
	Peak     int // most of them at a time
	Stack    int // bytes of stack, the largest chain of calls
	// Reason is why it is no success, in a line. Err has more, if it was the verifier that refused.
	Reason string
	Err    *verifier.Error
	Lints  []Lint

	writes []string // fields of p->scx that it writes
	lacks  bool     // refused for what the kernel does not have
}

// Code is the code of the refusal: that of the verifier, "load" where the program does not fit the kernel, "" for none.
func (r *Row) Code() string {
	switch {
	case r.lacks:
		return "load"
	case r.Err != nil:
		return string(r.Err.Code)
	case r.Verdict != Success:
		return "load"
	}
	return ""
}

// Options say how programs are verified.
type Options struct {
	// Globals are values of global variables, by name.
	Globals map[string]any
	// Program chooses programs by name; nil: all.
	Program func(name string) bool
	// All verifies programs too that are not loaded unless a loader asks for them.
	All bool
	// Lint adds remarks.
	Lint bool
	// Clock is the time since some moment, for Row.Duration; nil for none.
	Clock func() time.Duration
}

// target shows a kernel to the linker, with the types of the options.
type target struct {
	*kernels.Kernel
	types *btf.Spec
}

func (t target) BTF() (*btf.Spec, error) { return t.types, nil }
func (t target) Version() uint32         { return t.Code }

// Kernel is a kernel to be asked. It is for one goroutine.
type Kernel struct {
	k      *kernels.Kernel
	types  *btf.Spec
	places *attach.Kernel
	names  map[string]bool // of the kernel's functions
}

// New makes a Kernel of the version. Types, if not nil, are used instead of its own.
func New(version string, types *btf.Spec) (*Kernel, error) {
	k, err := kernels.Get(version)
	if err != nil {
		return nil, err
	}
	if types == nil {
		types = k.BTF()
	}
	return &Kernel{k: k, types: types, places: attach.WithTypes(k, types)}, nil
}

// Check verifies the programs of an object. File is what rows call it. The error tells that the object is of no use on any
// kernel (a global variable that it does not have); what only this kernel refuses is in the rows.
func (k *Kernel) Check(file string, o *elf.Object, opt Options) ([]Row, error) {
	for _, name := range slices.Sorted(maps.Keys(opt.Globals)) {
		if err := o.CheckVar(name, opt.Globals[name]); err != nil {
			return nil, err
		}
	}
	l, err := link.Link(o, target{k.k, k.types}, link.Options{Globals: opt.Globals, FillEnums: true, KeepGoing: true})
	if err != nil {
		var rows []Row
		for _, p := range o.Programs {
			if opt.wants(p.Name, p.AutoLoad) {
				rows = append(rows, Row{File: file, Program: p.Name, Section: p.Section, Callback: p.Kind.String(), Kernel: k.k.Version,
					Verdict: Failure, AutoLoad: p.AutoLoad, Reason: err.Error()})
			}
		}
		if rows == nil {
			rows = []Row{{File: file, Kernel: k.k.Version, Verdict: Failure, AutoLoad: true, Reason: err.Error()}}
		}
		return rows, nil
	}
	var rows []Row
	for _, p := range l.Programs {
		if opt.wants(p.Name, p.AutoLoad) {
			rows = append(rows, k.program(file, l, p, opt))
		}
	}
	if opt.Lint {
		k.lint(o, l, rows)
	}
	return rows, nil
}

func (o *Options) wants(name string, autoload bool) bool {
	return (o.All || autoload) && (o.Program == nil || o.Program(name))
}

func (k *Kernel) program(file string, l *link.Object, p *link.Program, opt Options) Row {
	r := Row{File: file, Program: p.Name, Section: p.Section, Callback: callback(l, p), Kernel: k.k.Version, Verdict: Success, AutoLoad: p.AutoLoad}
	at, err := k.places.Program(l, p)
	if err == nil {
		err = oneMember(l, p)
	}
	if err != nil {
		r.Verdict, r.Reason = Failure, err.Error()
		if errors.Is(err, attach.ErrUnsupported) {
			r.Verdict = Unsupported
		}
		return r
	}
	if opt.Lint && at.Store != nil {
		at.Store = k.noteWrites(at.Store, &r.writes)
	}
	var start time.Duration
	if opt.Clock != nil {
		start = opt.Clock()
	}
	res, err := verifier.Check(l, p, at)
	if opt.Clock != nil {
		r.Duration = opt.Clock() - start
	}
	r.Insns, r.States, r.Peak, r.Stack = res.Insns, res.States, res.PeakStates, res.MaxStackDepth
	if err == nil {
		return r
	}
	r.Verdict, r.Reason = Failure, err.Error()
	if errors.As(err, &r.Err) {
		r.Reason = r.Err.Msg
		// The linker has put an instruction that cannot run in the place of one that needs what there is not.
		r.lacks = r.Err.Code == verifier.CodeInvalidInsn && slices.Contains(p.Poison, r.Reason) && strings.HasSuffix(r.Reason, "does not have")
		if r.Err.Code == verifier.CodeUnsupported {
			r.Verdict = Unsupported
		}
	}
	return r
}

// oneMember: a program attaches to one member of one struct, whichever tables name it.
func oneMember(l *link.Object, p *link.Program) error {
	first := ""
	for _, s := range l.StructOps {
		for _, m := range s.Members {
			switch name := s.Type + "." + m.Name; {
			case m.Kind != link.MemberFunc || m.Prog != p.Name || name == first:
			case first != "":
				return fmt.Errorf("program %s: named as %s and as %s, but a program attaches to one member", p.Name, first, name)
			default:
				first = name
			}
		}
	}
	return nil
}

// callback is the member of a struct_ops table that names p, or its type.
func callback(l *link.Object, p *link.Program) string {
	for _, s := range l.StructOps {
		for _, m := range s.Members {
			if m.Kind == link.MemberFunc && m.Prog == p.Name && p.Name != "" {
				if s.Type != "sched_ext_ops" {
					return strings.TrimPrefix(s.Type, "sched_ext_ops_") + "." + m.Name
				}
				return m.Name
			}
		}
	}
	if p.Attach != "" {
		return p.Kind.String() + "/" + p.Attach
	}
	return p.Kind.String()
}

// Failed tells whether any row is a refusal, and whether any is Unsupported.
func Failed(rows []Row) (failed, unsupported bool) {
	failed = slices.ContainsFunc(rows, func(r Row) bool { return r.Verdict == Failure })
	unsupported = slices.ContainsFunc(rows, func(r Row) bool { return r.Verdict == Unsupported })
	return failed, unsupported
}

// noteWrites notes which fields of a task a program may write and does.
func (k *Kernel) noteWrites(store func(string, uint32, uint32) bool, to *[]string) func(string, uint32, uint32) bool {
	return func(typ string, off, size uint32) bool {
		ok := store(typ, off, size)
		for _, f := range []string{"slice", "dsq_vtime"} {
			if at, _, found := k.k.Field("task_struct.scx." + f); ok && found && at == off && !slices.Contains(*to, f) {
				*to = append(*to, f)
			}
		}
		return ok
	}
}
