package verdict

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Lint is a remark on something that kernels take, or refuse only when the scheduler is attached.
type Lint struct {
	// Rule is the name of a Rule.
	Rule, Text string
	// Program: it is about the row's program, else about the object. Kernel: about the row's kernel, else about all.
	Program, Kernel bool
	Source          ir.Source
}

// Rule describes a sort of remark.
type Rule struct{ Name, Rule, Fix string }

// The rules.
const (
	lintSignature  = "lint-signature"
	lintConst      = "lint-const"
	lintDeprecated = "lint-deprecated"
	lintMissing    = "lint-missing-kfunc"
	lintCallbacks  = "lint-callbacks"
	lintFlags      = "lint-flags"
	lintDropped    = "lint-dropped"
)

// Rules lists the sorts of remarks.
func Rules() []Rule {
	return []Rule{
		{lintSignature, "A program is declared as its callback is. The kernel looks at what a program does only, and passes it one pointer, to the " +
			"array of the callback's arguments.",
			"Declare it with the macro BPF_STRUCT_OPS, with the arguments and the return type of the callback (schedsim list callbacks)."},
		{lintConst, "Variables that are const volatile, which user space sets before loading, are set by somebody: otherwise they are 0, and code that " +
			"depends on them is left out.", "Set it in the loader, or with -G name=value; give it an initial value if 0 is none."},
		{lintDeprecated, "What the kernel has deprecated is not used.", "Use what the remark names."},
		{lintMissing, "Kernel functions that an object tests for exist. Where one does not, the code that needs it is left out.",
			"Nothing, if there is another way for that kernel; see what schedsim list kfuncs --kernel says."},
		{lintCallbacks, "A scheduler has the callbacks that what it does depends on.", "Implement the callback that the remark names."},
		{lintFlags, "Flags of a scheduler fit its callbacks and the kernel. The kernel checks it when the scheduler is attached.",
			"Drop the flag, or add what it needs."},
		{lintDropped, "What a table of callbacks sets is known to the kernel. A program for a member that is not is dropped here; libbpf refuses the " +
			"object, unless the loader clears the member first, as those of the SCX project do.", "Clear the member in the loader where the kernel lacks it."},
	}
}

// deprecated are kernel functions and what to use instead.
var deprecated = map[string]string{
	"scx_bpf_dispatch":                    "scx_bpf_dsq_insert",
	"scx_bpf_dispatch_vtime":              "scx_bpf_dsq_insert_vtime",
	"scx_bpf_consume":                     "scx_bpf_dsq_move_to_local",
	"scx_bpf_dispatch_from_dsq":           "scx_bpf_dsq_move",
	"scx_bpf_dispatch_vtime_from_dsq":     "scx_bpf_dsq_move_vtime",
	"scx_bpf_dispatch_from_dsq_set_slice": "scx_bpf_dsq_move_set_slice",
	"scx_bpf_dispatch_from_dsq_set_vtime": "scx_bpf_dsq_move_set_vtime",
	"scx_bpf_cpu_rq":                      "scx_bpf_locked_rq or scx_bpf_cpu_curr",
	"scx_bpf_reenqueue_local":             "scx_bpf_reenqueue_local___v2, which may be called from anywhere",
}

// lint adds remarks to the rows: those on a program to its row, those on the object to the first.
func (k *Kernel) lint(o *elf.Object, l *link.Object, rows []Row) {
	if len(rows) == 0 {
		return
	}
	about := func(rule string, kernel bool, format string, args ...any) {
		rows[0].Lints = append(rows[0].Lints, Lint{Rule: rule, Text: fmt.Sprintf(format, args...), Kernel: kernel})
	}
	for i := range rows {
		for _, p := range l.Programs {
			if p.Name == rows[i].Program {
				k.lintProgram(l, p, &rows[i])
			}
		}
	}
	if names := unsetConsts(o); len(names) > 0 {
		about(lintConst, false, "const volatile and 0 unless a loader or -G sets it: %s", strings.Join(names, ", "))
	}
	if names := k.missing(o); len(names) > 0 {
		about(lintMissing, true, "tests for kernel functions that there are not: %s", strings.Join(names, ", "))
	}
	for _, w := range l.Warnings {
		about(lintDropped, true, "%s", w)
	}
	for _, t := range l.StructOps {
		if t.Type == "sched_ext_ops" {
			k.lintTable(l, t, about)
		}
	}
}

func (k *Kernel) lintProgram(l *link.Object, p *link.Program, r *Row) {
	add := func(rule string, kernel bool, source ir.Source, format string, args ...any) {
		r.Lints = append(r.Lints, Lint{Rule: rule, Text: fmt.Sprintf(format, args...), Program: true, Kernel: kernel, Source: source})
	}
	var first ir.Source
	if p.Code != nil && p.Code.Source != nil {
		first = p.Code.Source(0)
	}
	if text := k.signature(l, p); text != "" {
		add(lintSignature, false, first, "%s", text)
	}
	for _, c := range p.Calls {
		if use, ok := deprecated[c.Name]; ok && k.has(strings.TrimSuffix(strings.Fields(use)[0], ",")) {
			add(lintDeprecated, true, p.Code.Source(int32(c.Insn)), "%s is deprecated: use %s", c.Name, use)
		}
	}
	for _, f := range r.writes {
		if set := "scx_bpf_task_set_" + f; k.has(set) {
			add(lintDeprecated, true, first, "writes p->scx.%s itself, which is deprecated: use %s", f, set)
		}
	}
}

// has tells whether the kernel has a function.
func (k *Kernel) has(kfunc string) bool {
	if k.names == nil {
		k.names = map[string]bool{}
		for _, f := range k.k.Kfuncs() {
			k.names[f.Name] = true
		}
	}
	return k.names[kfunc]
}

// signature compares the declaration of a struct_ops program with the prototype of its member.
func (k *Kernel) signature(l *link.Object, p *link.Program) string {
	if p.Type == nil {
		return ""
	}
	proto, ok := p.Type.Type.(*btf.FuncProto)
	want := k.member(l, p)
	if !ok || want == nil {
		return ""
	}
	if n := len(proto.Params); n > 1 || n == 1 && !isPointer(proto.Params[0].Type) {
		return fmt.Sprintf("takes %s, but a program gets one pointer, to the arguments: use BPF_STRUCT_OPS", plural(n, "argument"))
	}
	_, void := btf.UnderlyingType(proto.Return).(*btf.Void)
	_, wantVoid := btf.UnderlyingType(want.Return).(*btf.Void)
	switch {
	case void && !wantVoid:
		return fmt.Sprintf("returns nothing, but %s returns %s", callback(l, p), kindOf(want.Return))
	case !void && wantVoid:
		return fmt.Sprintf("returns %s, but %s returns nothing", kindOf(proto.Return), callback(l, p))
	case void:
		return ""
	}
	have, err := btf.Sizeof(proto.Return)
	need, werr := btf.Sizeof(want.Return)
	if err == nil && werr == nil && have != need {
		return fmt.Sprintf("returns %s, but %s returns %s", kindOf(proto.Return), callback(l, p), kindOf(want.Return))
	}
	return ""
}

// member is the prototype of the member that a program implements, nil if it implements none.
func (k *Kernel) member(l *link.Object, p *link.Program) *btf.FuncProto {
	for _, s := range l.StructOps {
		for _, m := range s.Members {
			if m.Kind != link.MemberFunc || m.Prog != p.Name {
				continue
			}
			var st *btf.Struct
			if k.types.TypeByName(s.Type, &st) != nil {
				return nil
			}
			for _, f := range st.Members {
				if f.Name != m.Name {
					continue
				}
				if ptr, ok := btf.UnderlyingType(f.Type).(*btf.Pointer); ok {
					proto, _ := btf.UnderlyingType(ptr.Target).(*btf.FuncProto)
					return proto
				}
			}
		}
	}
	return nil
}

func isPointer(t btf.Type) bool {
	_, ok := btf.UnderlyingType(t).(*btf.Pointer)
	return ok
}

// kindOf is a type in words.
func kindOf(t btf.Type) string {
	if n := t.TypeName(); n != "" {
		return n
	}
	n, _ := btf.Sizeof(t)
	return fmt.Sprintf("%d bytes", n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// unsetConsts are the variables of read-only data that are zero and of a size that loaders set, without those for
// enumerators, which loaders fill in.
func unsetConsts(o *elf.Object) []string {
	var names []string
	for _, m := range o.Maps {
		if !strings.HasPrefix(m.Section, ".rodata") {
			continue
		}
		for _, v := range m.Vars {
			if v.Size == 0 || v.Size > 8 || strings.HasPrefix(v.Name, "__") || strings.Contains(v.Name, ".") {
				continue
			}
			zero := true
			for i := v.Off; i < v.Off+v.Size && i < uint32(len(m.Data)); i++ {
				zero = zero && m.Data[i] == 0
			}
			if zero {
				names = append(names, v.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// missing are the weak kernel functions of an object that the kernel does not have, by the names that it looks for.
func (k *Kernel) missing(o *elf.Object) []string {
	var names []string
	for _, x := range o.Externs {
		if _, ok := x.Type.(*btf.FuncProto); !ok || !x.Weak {
			continue
		}
		name := x.Name
		if i := strings.LastIndex(name, "___"); i > 0 {
			name = name[:i]
		}
		if !k.has(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// lintTable looks at a scheduler as a whole: which callbacks it has and which flags.
func (k *Kernel) lintTable(l *link.Object, t *link.StructOps, about func(rule string, kernel bool, format string, args ...any)) {
	progs, mine := map[string]string{}, map[string]bool{}
	var flags uint64
	for _, m := range t.Members {
		switch {
		case m.Kind == link.MemberFunc && m.Prog != "":
			progs[m.Name], mine[m.Prog] = m.Prog, true
		case m.Name == "flags" && len(m.Bytes) == 8:
			flags = binary.LittleEndian.Uint64(m.Bytes)
		}
	}
	calls := func(names ...string) string {
		for _, p := range l.Programs {
			if !mine[p.Name] {
				continue
			}
			for _, c := range p.Calls {
				if slices.Contains(names, c.Name) {
					return c.Name
				}
			}
		}
		return ""
	}
	if known, ok := k.flags(); ok && flags&^known != 0 {
		about(lintFlags, true, "%s: flags %#x are not known to the kernel, which refuses to attach", t.Name, flags&^known)
	}
	if flags&ops.FlagEnqLast != 0 && progs["enqueue"] == "" {
		about(lintFlags, false, "%s: SCX_OPS_ENQ_LAST needs the callback enqueue", t.Name)
	}
	idleOff := progs["update_idle"] != "" && flags&ops.FlagKeepBuiltinIdle == 0
	if idleOff && flags&ops.FlagBuiltinIdlePerNode != 0 {
		about(lintFlags, false, "%s: SCX_OPS_BUILTIN_IDLE_PER_NODE needs SCX_OPS_KEEP_BUILTIN_IDLE where there is a callback update_idle", t.Name)
	}
	if name := calls("scx_bpf_select_cpu_dfl", "scx_bpf_pick_idle_cpu", "scx_bpf_test_and_clear_cpu_idle", "scx_bpf_get_idle_cpumask"); idleOff && name != "" {
		about(lintFlags, false, "%s: %s fails, since a callback update_idle without SCX_OPS_KEEP_BUILTIN_IDLE takes idle CPUs over", t.Name, name)
	}
	if name := calls("scx_bpf_create_dsq"); name != "" && progs["dispatch"] == "" {
		about(lintCallbacks, false, "%s: makes dispatch queues, but has no callback dispatch that would take tasks from them", t.Name)
	}
	if progs["exit"] == "" {
		about(lintCallbacks, false, "%s: has no callback exit, so nobody learns why it ended", t.Name)
	}
	if _, ok := k.k.EnumValue("SCX_ENQ_IMMED"); ok {
		for _, m := range []string{"cpu_acquire", "cpu_release"} {
			if progs[m] != "" {
				about(lintDeprecated, true, "%s: the callback %s is deprecated: use the tracepoint sched_switch, or SCX_ENQ_IMMED", t.Name, m)
			}
		}
	}
}

// flags are those of schedulers that the kernel knows.
func (k *Kernel) flags() (uint64, bool) { return k.k.EnumValue("SCX_OPS_ALL_FLAGS") }
