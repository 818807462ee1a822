package verifier

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// A test program is a text of instructions as the kernel's log writes them, labels ("name:"), and functions ("sub name:", with
// their types "int name:" and "void name:", "global name(types):"). The instruction that is refused ends in "; ERROR code".

// testMaps are the maps of test programs: "r1 = map name", "r1 = value name+off".
func testMaps() []*link.Map {
	u32 := &btf.Int{Name: "u32", Size: 4}
	task := &btf.Struct{Name: "task_struct", Size: 64}
	kptr := &btf.Pointer{Target: &btf.TypeTag{Value: "kptr", Type: task}}
	spin := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: u32}}}
	timer := &btf.Struct{Name: "bpf_timer", Size: 16}
	lockVal := &btf.Struct{Name: "lockval", Size: 16, Members: []btf.Member{{Name: "lock", Type: spin}, {Name: "x", Type: u32, Offset: 32}, {Name: "p", Type: kptr, Offset: 64}}}
	timerVal := &btf.Struct{Name: "timerval", Size: 24, Members: []btf.Member{{Name: "t", Type: timer}, {Name: "x", Type: u32, Offset: 128}}}
	return []*link.Map{
		{Name: "array", Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 4},
		{Name: "hash", Type: 1, KeySize: 8, ValueSize: 16, MaxEntries: 4},
		{Name: "rodata", Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: elf.FlagRdonlyProg, Frozen: true, Section: ".rodata", Data: []byte{7, 0, 0, 0, 0, 0, 0, 0, '%', 'd', 0}},
		{Name: "lock", Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 1, Value: lockVal},
		{Name: "timer", Type: 2, KeySize: 4, ValueSize: 24, MaxEntries: 1, Value: timerVal},
		{Name: "ringbuf", Type: 27, MaxEntries: 4096},
		{Name: "queue", Type: 22, ValueSize: 8, MaxEntries: 4},
		{Name: "arena", Type: 33, MaxEntries: 16},
		{Name: "progs", Type: 3, KeySize: 4, ValueSize: 4, MaxEntries: 4},
		{Name: "percpu", Type: 6, KeySize: 4, ValueSize: 16, MaxEntries: 4},
		{Name: "bloom", Type: 30, ValueSize: 8, MaxEntries: 4},
		{Name: "userring", Type: 31, MaxEntries: 4096},
		{Name: "tasks", Type: 29, KeySize: 4, ValueSize: 8},
		{Name: "outer", Type: 12, KeySize: 4, ValueSize: 4, MaxEntries: 4, Inner: &link.Map{Name: "inner", Type: 1, KeySize: 8, ValueSize: 16, MaxEntries: 4}},
		{Name: "work", Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 1, Value: valueOf("bpf_wq", 16)},
		{Name: "taskwork", Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, Value: valueOf("bpf_task_work", 8)},
		{Name: "resilient", Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, Value: valueOf("bpf_res_spin_lock", 8)},
		{Name: "graph", Type: 2, KeySize: 4, ValueSize: 40, MaxEntries: 1, Value: &btf.Struct{Name: "graphval", Size: 40, Members: []btf.Member{
			{Name: "lock", Type: spin},
			{Name: "head", Type: &btf.Struct{Name: "bpf_list_head", Size: 16}, Offset: 64, Tags: []string{"contains:foo:node"}},
			{Name: "root", Type: &btf.Struct{Name: "bpf_rb_root", Size: 16}, Offset: 192, Tags: []string{"contains:foo:rb"}}}}},
	}
}

// valueOf is a map value that is one special struct.
func valueOf(name string, size uint32) btf.Type {
	return &btf.Struct{Name: "val", Size: size, Members: []btf.Member{{Name: "f", Type: &btf.Struct{Name: name, Size: size}}}}
}

var (
	memRE   = regexp.MustCompile(`^\*\((u|s)(8|16|32|64) \*\)\(r(\d+) ([+-]) (\d+)\)$`)
	binRE   = regexp.MustCompile(`^([rw])(\d+) (s?[-+*/%|&^]=|<<=|s?>>=|=) (.+)$`)
	jmpRE   = regexp.MustCompile(`^if ([rw])(\d+) (==|!=|s?[<>]=?|&) (\S+) goto (\w+)$`)
	lockRE  = regexp.MustCompile(`^(fetch|lock) (add|or|and|xor|xchg|cmpxchg) (\*\(.+\)) (r\d+)$`)
	errorRE = regexp.MustCompile(`^(.*\S)\s*; ERROR (\S+)$`)
)

// testProgram is an assembled test.
type testProgram struct {
	obj  *link.Object
	prog *link.Program
	want Code  // "" for a program that is accepted
	insn int32 // that earns it
}

type assembler struct {
	p      *link.Program
	maps   []*link.Map
	labels map[string]int32
	subs   map[string]int32
	fix    []func() error
	at     int32
}

func assemble(name, text string) (*testProgram, error) {
	a := &assembler{p: &link.Program{Name: name, Code: &ir.Program{Name: name}, AutoLoad: true}, maps: testMaps(), labels: map[string]int32{}, subs: map[string]int32{}}
	t := &testProgram{prog: a.p, insn: -1}
	code := a.p.Code
	open := func(name string, global bool) {
		if n := len(code.Subs); n > 0 {
			code.Subs[n-1].End = a.at
		}
		a.subs[name] = a.at
		code.Subs = append(code.Subs, ir.Sub{Name: name, Start: a.at})
		a.p.Subs = append(a.p.Subs, link.Sub{Global: global})
	}
	open(name, false)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := errorRE.FindStringSubmatch(line); m != nil {
			line = m[1]
			t.want, t.insn = Code(m[2]), a.at
		}
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if l, ok := strings.CutSuffix(line, ":"); ok {
			if s, ok := strings.CutPrefix(l, "sub "); ok {
				open(s, false)
			} else if s, ok := strings.CutPrefix(l, "int "); ok {
				open(s, false)
				a.p.Subs[len(a.p.Subs)-1].Type = globalType(s, "")
			} else if s, ok := strings.CutPrefix(l, "void "); ok {
				open(s, false)
				a.p.Subs[len(a.p.Subs)-1].Type = &btf.Func{Name: s, Type: &btf.FuncProto{Return: &btf.Void{}}}
			} else if s, ok := strings.CutPrefix(l, "global "); ok {
				fn, params, _ := strings.Cut(strings.TrimSuffix(s, ")"), "(")
				open(fn, true)
				a.p.Subs[len(a.p.Subs)-1].Type = globalType(fn, params)
			} else {
				a.labels[l] = a.at
			}
			continue
		}
		in := ir.Insn{Orig: a.at}
		if err := a.insn(line, &in); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		code.Insns = append(code.Insns, in)
		a.at++
	}
	code.Subs[len(code.Subs)-1].End = a.at
	for _, f := range a.fix {
		if err := f(); err != nil {
			return nil, err
		}
	}
	t.obj = &link.Object{Name: name, License: "GPL", Maps: a.maps, Programs: []*link.Program{a.p}}
	return t, nil
}

// globalType is the type of a global function: its parameters are "int", "mem" (16 bytes that are not null), "memnull" or
// "task".
func globalType(name, params string) *btf.Func {
	f := &btf.Func{Name: name}
	p := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}
	for s := range strings.SplitSeq(params, ",") {
		var tags []string
		var t btf.Type = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
		mem := &btf.Pointer{Target: &btf.Struct{Name: "m", Size: 16}}
		switch s {
		case "":
			continue
		case "mem":
			t, tags = mem, []string{"arg:nonnull"}
		case "memnull":
			t = mem
		case "ctx":
			t, tags = &btf.Pointer{Target: &btf.Struct{Name: "anything", Size: 8}}, []string{"arg:ctx"}
		case "tasknull":
			t, tags = &btf.Pointer{Target: &btf.Struct{Name: "task_struct"}}, []string{"arg:trusted", "arg:nullable"}
		case "untrusted":
			t, tags = &btf.Pointer{Target: &btf.Struct{Name: "task_struct"}}, []string{"arg:untrusted"}
		case "arena":
			t, tags = &btf.Pointer{Target: &btf.Struct{Name: "m", Size: 16}}, []string{"arg:arena"}
		case "dynptr":
			t = &btf.Pointer{Target: &btf.Struct{Name: "bpf_dynptr", Size: 16}}
		case "odd":
			t, tags = mem, []string{"arg:odd"}
		case "task":
			t, tags = &btf.Pointer{Target: &btf.Struct{Name: "task_struct"}}, []string{"arg:trusted"}
		}
		p.Params = append(p.Params, btf.FuncParam{Name: "p", Type: t})
		f.ParamTags = append(f.ParamTags, tags)
	}
	f.Type = p
	return f
}

var binKinds = map[string]aluKind{"+=": aluAdd, "-=": aluSub, "*=": aluMul, "/=": aluDiv, "s/=": aluSDiv, "%=": aluMod, "s%=": aluSMod, "|=": aluOr,
	"&=": aluAnd, "^=": aluXor, "<<=": aluLsh, ">>=": aluRsh, "s>>=": aluArsh, "=": aluMov}

var jmpKinds = map[string]jmpKind{"==": jEq, "!=": jNe, ">": jGt, ">=": jGe, "<": jLt, "<=": jLe, "s>": jSGt, "s>=": jSGe, "s<": jSLt, "s<=": jSLe, "&": jSet}

func reg64(s string) (ir.Reg, bool) {
	if len(s) < 2 || s[0] != 'r' && s[0] != 'w' {
		return 0, false
	}
	n, err := strconv.Atoi(s[1:])
	return ir.Reg(n), err == nil
}

func mem(s string) (size int, signed bool, base ir.Reg, off int32, ok bool) {
	m := memRE.FindStringSubmatch(s)
	if m == nil {
		return
	}
	bits, _ := strconv.Atoi(m[2])
	r, _ := strconv.Atoi(m[3])
	o, _ := strconv.Atoi(m[5])
	if m[4] == "-" {
		o = -o
	}
	return bits / 8, m[1] == "s", ir.Reg(r), int32(o), true
}

var sizeIndex = map[int]ir.Op{1: 0, 2: 1, 4: 2, 8: 3}

func (a *assembler) target(in int32, label string) {
	a.fix = append(a.fix, func() error {
		t, ok := a.labels[label]
		if !ok {
			return fmt.Errorf("no label %s", label)
		}
		a.p.Code.Insns[in].Target = t
		return nil
	})
}

func (a *assembler) insn(s string, in *ir.Insn) error {
	switch {
	case s == "exit":
		in.Op = ir.Exit
		return nil
	case strings.HasPrefix(s, "goto "):
		in.Op = ir.Ja
		a.target(a.at, s[5:])
		return nil
	case strings.HasPrefix(s, "may_goto "):
		in.Op = ir.MayGoto
		a.target(a.at, s[9:])
		return nil
	case strings.HasPrefix(s, "call "):
		return a.call(s[5:], in)
	case strings.HasPrefix(s, "ld_abs "), strings.HasPrefix(s, "ld_ind "):
		n, err := strconv.Atoi(strings.Fields(s)[1])
		in.Op, in.Off, in.Imm = ir.Invalid, int32(n), int64(len(a.p.Poison))
		a.p.Poison = append(a.p.Poison, link.LegacyLoad)
		return err
	}
	if m := lockRE.FindStringSubmatch(s); m != nil {
		size, _, base, off, ok := mem(m[3])
		if !ok {
			return fmt.Errorf("bad memory")
		}
		op := map[string]ir.Op{"lock add": ir.AtomicAdd32, "lock or": ir.AtomicOr32, "lock and": ir.AtomicAnd32, "lock xor": ir.AtomicXor32, "fetch add": ir.FetchAdd32,
			"fetch or": ir.FetchOr32, "fetch and": ir.FetchAnd32, "fetch xor": ir.FetchXor32, "fetch xchg": ir.Xchg32, "fetch cmpxchg": ir.CmpXchg32}[m[1]+" "+m[2]]
		in.Op, in.Dst, in.Off = op+ir.Op(size/8), base, off
		in.Src, _ = reg64(m[4])
		return nil
	}
	if m := jmpRE.FindStringSubmatch(s); m != nil {
		in.Op = ir.JEq64X + ir.Op(jmpKinds[m[3]])*4
		if m[1] == "w" {
			in.Op += 2
		}
		in.Dst, _ = reg64("r" + m[2])
		if r, ok := reg64(m[4]); ok {
			in.Src = r
		} else {
			v, err := strconv.ParseInt(m[4], 0, 64)
			if err != nil {
				return err
			}
			in.Op, in.Imm = in.Op+1, v
		}
		a.target(a.at, m[5])
		return nil
	}
	if l, r, ok := strings.Cut(s, " = "); ok && strings.HasPrefix(l, "*(") {
		size, _, base, off, ok := mem(l)
		if !ok {
			return fmt.Errorf("bad memory")
		}
		in.Dst, in.Off = base, off
		if src, ok := reg64(r); ok {
			in.Op, in.Src = ir.St8X+sizeIndex[size], src
			return nil
		}
		v, err := strconv.ParseInt(r, 0, 64)
		in.Op, in.Imm = ir.St8K+sizeIndex[size], v
		return err
	}
	m := binRE.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("what is that")
	}
	in.Dst, _ = reg64("r" + m[2])
	return a.assign(m[1] == "r", m[3], m[4], in)
}

func (a *assembler) assign(wide bool, op, val string, in *ir.Insn) error {
	if op == "=" {
		if size, signed, base, off, ok := mem(val); ok {
			in.Src, in.Off = base, off
			in.Op = ir.Ld8 + sizeIndex[size]
			if signed {
				in.Op = ir.Lds8 + sizeIndex[size]
			}
			return nil
		}
		kind, name, _ := strings.Cut(val, " ")
		switch kind {
		case "map", "value":
			name, off, _ := strings.Cut(name, "+")
			n, _ := strconv.Atoi(off)
			for i, m := range a.maps {
				if m.Name == name {
					r := link.Ref{Insn: int(a.at), Kind: link.RefMap, Map: i, Off: int64(n)}
					if kind == "value" {
						r.Kind = link.RefMapValue
					}
					a.p.Refs = append(a.p.Refs, r)
					in.Op = ir.LdImm64
					return nil
				}
			}
			return fmt.Errorf("no map %s", name)
		case "func":
			in.Op = ir.LdImm64
			at := a.at
			a.fix = append(a.fix, func() error {
				for i, s := range a.p.Code.Subs {
					if s.Name == name {
						a.p.Refs = append(a.p.Refs, link.Ref{Insn: int(at), Kind: link.RefFunc, Sub: i})
						return nil
					}
				}
				return fmt.Errorf("no function %s", name)
			})
			return nil
		case "cast":
			in.Op = ir.CastKern
			in.Src, _ = reg64(name)
			return nil
		}
		if rest, ok := strings.CutPrefix(val, "-r"); ok && wide {
			n, err := strconv.Atoi(rest)
			in.Op = ir.Neg64
			if err != nil || ir.Reg(n) != in.Dst {
				return fmt.Errorf("negation of another register")
			}
			return nil
		}
	}
	in.Op = ir.Add64X + ir.Op(binKinds[op])*4
	if !wide {
		in.Op += 2
	}
	if r, ok := reg64(val); ok {
		in.Src = r
		return nil
	}
	v, err := strconv.ParseInt(val, 0, 64)
	in.Op, in.Imm = in.Op+1, v
	if op == "=" && (v > 1<<31-1 || v < -1<<31) {
		in.Op = ir.LdImm64
	}
	return err
}

func (a *assembler) call(what string, in *ir.Insn) error {
	if n, ok := strings.CutPrefix(what, "#"); ok {
		v, err := strconv.ParseInt(n, 0, 64)
		in.Op, in.Imm = ir.CallHelper, v
		return err
	}
	for _, h := range helperProtos() {
		if h.name == what {
			in.Op, in.Imm = ir.CallHelper, int64(h.id)
			return nil
		}
	}
	if strings.HasPrefix(what, "bpf_") || strings.HasPrefix(what, "test_") {
		in.Op, in.Imm = ir.CallKfunc, int64(len(a.p.Code.Kfuncs))
		a.p.Code.Kfuncs = append(a.p.Code.Kfuncs, what)
		return nil
	}
	at := a.at
	in.Op = ir.CallSub
	a.fix = append(a.fix, func() error {
		t, ok := a.subs[what]
		if !ok {
			return fmt.Errorf("no function %s", what)
		}
		a.p.Code.Insns[at].Target = t
		return nil
	})
	return nil
}
