package link

import (
	"errors"
	"fmt"
	"math/bits"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// Options tune Link. The zero value links the object as it is.
type Options struct {
	// Globals are values of global variables by name, set before constants are folded: integers, bools, strings (char
	// arrays) or []byte of the variable's size.
	Globals map[string]any
	// FillEnums sets every u64 variable __X in read-only data to the value of the kernel's enumerator X, as
	// SCX_ENUM_INIT does. Globals win.
	FillEnums bool
	// KeepGoing notes errors of single programs in their Err instead of refusing the object.
	KeepGoing bool
}

// ErrUnsupported marks objects that are well-formed but use what schedsim does not do yet.
var ErrUnsupported = errors.New("not supported")

// maxInsns is the kernel's limit on the instructions of one program (BPF_COMPLEXITY_LIMIT_INSNS).
const maxInsns = 1 << 20

// linker is the state of one Link.
type linker struct {
	in           *elf.Object
	out          *Object
	target       Target
	kernel       *btf.Spec
	core         core
	externs      []extern
	codes        []*code // by function
	kconfigIndex int
	autoLoad     map[string]bool // by program, as struct_ops tables change it
}

// Link links an object for a kernel. Errors name the object and the program or symbol; those of objects that use what is
// not supported wrap ErrUnsupported.
func Link(o *elf.Object, t Target, opt Options) (linked *Object, err error) {
	// See elf.Read: types of a hostile file are read lazily by cilium's btf package.
	defer func() {
		if p := recover(); p != nil {
			if s, ok := p.(string); ok && strings.HasPrefix(s, "BUG: ") {
				panic(p)
			}
			linked, err = nil, fmt.Errorf("%s: malformed BTF (%v)", o.Name, p)
		}
	}()
	l := &linker{in: o, target: t, codes: make([]*code, len(o.Funcs)), kconfigIndex: -1, autoLoad: map[string]bool{}}
	if err := l.link(opt); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	return l.out, nil
}

func (l *linker) link(opt Options) error {
	var err error
	if l.kernel, err = l.target.BTF(); err != nil {
		return fmt.Errorf("kernel BTF: %w", err)
	}
	l.core = core{local: l.in.BTF, kernel: l.kernel, cands: map[btf.TypeID][]btf.Type{}}
	l.out = &Object{Name: l.in.Name, License: l.in.License, Arena: l.in.Arena, BTF: l.in.BTF, target: l.target, keepGoing: opt.KeepGoing}
	if a := l.in.Arena; a != nil && a.Map < 0 {
		return fmt.Errorf("section %s: data in an arena, but the object declares none", a.Section)
	}
	for i, m := range l.in.Maps {
		if m.Section == ".kconfig" {
			l.kconfigIndex = i
		}
		l.out.Maps = append(l.out.Maps, copyMap(m))
	}
	if err := l.resolveExterns(); err != nil {
		return err
	}
	if opt.FillEnums {
		if _, err := l.out.fillEnums(opt.Globals); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(opt.Globals))
	for name := range opt.Globals {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if _, err := l.out.setVar(name, opt.Globals[name]); err != nil {
			return err
		}
	}
	if err := l.structOps(); err != nil {
		return err
	}
	for _, p := range l.in.Programs {
		lp, err := l.program(p)
		if err != nil {
			if err = l.out.refuse(lp, err); err != nil {
				return err
			}
		}
		l.out.Programs = append(l.out.Programs, lp)
	}
	return l.out.Fold()
}

// refuse deals with an error of one program: it is the object's error, or the program is made one that cannot run.
func (o *Object) refuse(p *Program, err error) error {
	err = fmt.Errorf("section %s, program %q: %w", strconv.Quote(p.Section), p.Name, err)
	if p.AutoLoad && !o.keepGoing {
		return err
	}
	p.Err = err
	p.Code = &ir.Program{Name: p.Name, Insns: []ir.Insn{{Op: ir.Invalid}}, Subs: []ir.Sub{{Name: p.Name, End: 1}}, Line: func(int32) string { return "" }}
	p.Subs, p.Poison, p.Live = []Sub{{Type: p.Type, Live: true}}, []string{err.Error()}, []bool{true}
	p.Refs, p.Calls, p.Helpers = nil, nil, nil
	return nil
}

func copyMap(m *elf.Map) *Map {
	if m == nil {
		return nil
	}
	n := &Map{Name: m.Name, Type: m.Type, KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags,
		Extra: m.Extra, NUMANode: m.NUMANode, Section: m.Section, Data: slices.Clone(m.Data), Frozen: m.Frozen, Vars: slices.Clone(m.Vars),
		Key: m.Key, Value: m.Value, Inner: copyMap(m.Inner), Slots: slices.Clone(m.Slots)}
	if m.Section == ".kconfig" {
		n.Data = make([]byte, m.ValueSize)
	}
	if m.Type == elf.MapTypeRingBuf || m.Type == elf.MapTypeUserRingBuf {
		n.MaxEntries = ringSize(m.MaxEntries)
	}
	return n
}

// ringSize is the size of a ring buffer that is asked for with size bytes: the next power of two that is a multiple of the page
// size, as libbpf's adjust_ringbuf_sz makes it. What has none is left for the kernel to refuse.
func ringSize(size uint32) uint32 {
	const page = 4096
	if size == 0 || size%page == 0 && bits.OnesCount32(size) == 1 {
		return size
	}
	for n := uint64(page); n < 1<<32; n *= 2 {
		if n > uint64(size) {
			return uint32(n)
		}
	}
	return size
}

// program always returns a Program, whose Code is not set when there is an error. It puts a main function and the functions that it reaches together, in the order in which
// bpf_object__reloc_code appends them: each one after its first caller's earlier callees.
func (l *linker) program(p *elf.Program) (*Program, error) {
	main := l.in.Funcs[p.Func]
	out := &Program{Name: p.Name, Section: p.Section, Kind: p.Kind, Attach: p.Attach, Sleepable: p.Sleepable, AutoLoad: l.autoLoad[p.Name], Type: main.Type}
	order := []int{p.Func}
	subOf := map[int]int{p.Func: 0}
	var codes []*code
	total := 0
	// Depth-first without recursion: the stack holds functions whose callees are being appended.
	type frame struct {
		c    *code
		next int
	}
	callback, err := l.exceptionCallback(p)
	if err != nil {
		return out, err
	}
	push := func(fn int) (frame, error) {
		c, err := l.decode(fn)
		if err != nil {
			if fn != p.Func {
				err = fmt.Errorf("function %q: %w", l.in.Funcs[fn].Name, err)
			}
			return frame{}, err
		}
		if total += int(c.slots); total > maxInsns {
			return frame{}, fmt.Errorf("more than %d instructions", maxInsns)
		}
		codes = append(codes, c)
		return frame{c: c}, nil
	}
	top, err := push(p.Func)
	if err != nil {
		return out, err
	}
	for stack := []frame{top}; ; {
		if len(stack) == 0 { // the exception callback comes last, unless somebody refers to it
			if _, ok := subOf[callback]; ok || callback < 0 {
				break
			}
			stack = []frame{{c: &code{needs: []int{callback}}}}
		}
		f := &stack[len(stack)-1]
		if f.next == len(f.c.needs) {
			stack = stack[:len(stack)-1]
			continue
		}
		fn := f.c.needs[f.next]
		f.next++
		if _, ok := subOf[fn]; ok {
			continue
		}
		subOf[fn] = len(order)
		order = append(order, fn)
		nf, err := push(fn)
		if err != nil {
			return out, err
		}
		stack = append(stack, nf)
	}
	out.Code = &ir.Program{Name: p.Name, Insns: make([]ir.Insn, 0, total)}
	if callback >= 0 {
		out.Code.Exception = int32(subOf[callback])
	}
	kfuncs := map[string]int64{}
	starts := make([]int32, len(codes))
	for i, at := 0, int32(0); i < len(codes); i++ {
		starts[i] = at
		at += int32(len(codes[i].insns))
	}
	slot := int32(0)
	slots := make([]int32, len(codes))
	for i, c := range codes {
		base := starts[i]
		slots[i] = slot
		out.Code.Insns = append(out.Code.Insns, c.insns...)
		insns := out.Code.Insns[base:]
		for k := range insns {
			in := &insns[k]
			in.Orig += slot
			switch {
			case in.Op.IsJump():
				in.Target += base
			case in.Op == ir.Invalid:
				in.Imm += int64(len(out.Poison))
			}
		}
		for _, call := range c.calls {
			insns[call.insn].Target = starts[subOf[int(call.fn)]]
		}
		for _, k := range c.kfuncs {
			n, ok := kfuncs[k.name]
			if !ok {
				n = int64(len(out.Code.Kfuncs))
				kfuncs[k.name] = n
				out.Code.Kfuncs = append(out.Code.Kfuncs, k.name)
			}
			insns[k.insn].Imm = n
		}
		for _, r := range c.refs {
			r.Insn += int(base)
			if r.Kind == RefFunc {
				r.Sub = subOf[r.Sub]
			}
			out.Refs = append(out.Refs, r)
		}
		for _, at := range c.gotos {
			g := Goto{Insn: at + int(base), Jumps: slices.Clone(c.jumps)}
			for k := range g.Jumps {
				g.Jumps[k].Target += base
			}
			out.Gotos = append(out.Gotos, g)
		}
		out.Poison = append(out.Poison, c.poison...)
		out.core = append(out.core, c.core...)
		fn := l.in.Funcs[order[i]]
		out.Code.Subs = append(out.Code.Subs, ir.Sub{Name: fn.Name, Start: base, End: base + int32(len(c.insns))})
		out.Subs = append(out.Subs, Sub{Type: fn.Type, Func: order[i], Global: fn.Global && i > 0})
		slot += c.slots
	}
	for _, r := range out.Refs {
		if r.Kind == RefFunc {
			out.Subs[r.Sub].Callback = true
		}
	}
	out.Code.Source = sourceTable(out.Code, codes, slots)
	out.Code.Line = lineTable(out.Code.Source)
	return out, nil
}

// sourceTable makes Program.Source: the last line record of the function at or before the instruction.
func sourceTable(p *ir.Program, codes []*code, slots []int32) func(int32) ir.Source {
	linesOf := make([][]elf.Line, len(codes)) // and nothing else of them
	for i, c := range codes {
		linesOf[i] = c.fn.Lines
	}
	return func(insn int32) ir.Source {
		if insn < 0 || int(insn) >= len(p.Insns) {
			return ir.Source{}
		}
		orig := p.Insns[insn].Orig
		sub := sort.Search(len(slots), func(i int) bool { return slots[i] > orig }) - 1
		lines := linesOf[sub]
		k := sort.Search(len(lines), func(i int) bool { return lines[i].Insn > orig-slots[sub] }) - 1
		if k < 0 {
			return ir.Source{}
		}
		l := &lines[k]
		return ir.Source{File: l.File, Text: strings.TrimLeft(l.Text, " \t"), Line: l.Line, Col: l.Col}
	}
}

// lineTable makes Program.Line.
func lineTable(source func(int32) ir.Source) func(int32) string {
	return func(insn int32) string {
		s := source(insn)
		if s.Line == 0 && s.File == "" {
			return ""
		}
		return path.Base(s.File) + ":" + strconv.FormatUint(uint64(s.Line), 10)
	}
}
