package listing

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/internal/cdecl"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Program is one program of an object.
type Program struct {
	Name      string `json:"name"`
	Section   string `json:"section"`
	Kind      string `json:"kind"`
	Sleepable bool   `json:"sleepable"`
	AutoLoad  bool   `json:"auto_load"`
	// Error says why the program cannot be linked for the kernel; there are no functions then.
	Error string `json:"error,omitempty"`
	// Arch is the architecture of the machine code, "" if there is none.
	Arch      string     `json:"arch,omitempty"`
	Functions []Function `json:"functions,omitempty"`
}

// Function is the main function of a program, or one that it reaches.
type Function struct {
	Name      string `json:"name"`
	Prototype string `json:"prototype,omitempty"`
	Global    bool   `json:"global,omitempty"`
	Callback  bool   `json:"callback,omitempty"`
	Insns     []Insn `json:"instructions"`
}

// Insn is one instruction.
type Insn struct {
	Slot int32 `json:"slot"` // in 8-byte slots of the program
	// Source is the C line, where another one begins than that of the instruction before.
	Source *Source `json:"source,omitempty"`
	// Dead: it cannot be reached, given what the kernel has and the values of read-only variables.
	Dead bool   `json:"dead,omitempty"`
	Text string `json:"text"`
	Note string `json:"note,omitempty"`
	// Machine is the machine code for it, in the order of addresses; those outside of the function's flow come last.
	Machine []Machine `json:"machine,omitempty"`

	index int32 // in ir.Program.Insns
}

// Source is a line of C.
type Source struct {
	File string `json:"file"`
	Line uint32 `json:"line"`
	Text string `json:"text,omitempty"`
}

// Programs lists the programs of an object that was read as o and linked as l.
func Programs(o *elf.Object, l *link.Object) []Program {
	var out []Program
	for _, p := range l.Programs {
		out = append(out, program(o, l, p))
	}
	return out
}

func program(o *elf.Object, l *link.Object, p *link.Program) Program {
	out := Program{Name: p.Name, Section: p.Section, Kind: p.Kind.String(), Sleepable: p.Sleepable, AutoLoad: p.AutoLoad}
	if p.Err != nil {
		out.Error = p.Err.Error()
		return out
	}
	refs := make(map[int]*link.Ref, len(p.Refs))
	for i := range p.Refs {
		refs[p.Refs[i].Insn] = &p.Refs[i]
	}
	for i, s := range p.Code.Subs {
		f := Function{Name: s.Name, Global: p.Subs[i].Global, Callback: p.Subs[i].Callback}
		if t := p.Subs[i].Type; t != nil {
			f.Prototype = cdecl.Declaration(t)
		}
		fn := o.Funcs[p.Subs[i].Func]
		base, last := p.Code.Insns[s.Start].Orig, -1
		for k := s.Start; k < s.End; k++ {
			in := &p.Code.Insns[k]
			slot := in.Orig - base
			e := Insn{Slot: in.Orig, Dead: !p.IsLive(int(k)), Text: text(p.Code, in), index: k}
			if n := sort.Search(len(fn.Lines), func(i int) bool { return fn.Lines[i].Insn > slot }) - 1; n >= 0 && n != last {
				if last < 0 || fn.Lines[n].Line != fn.Lines[last].Line || fn.Lines[n].File != fn.Lines[last].File {
					e.Source = &Source{File: path.Base(fn.Lines[n].File), Line: fn.Lines[n].Line, Text: strings.TrimSpace(fn.Lines[n].Text)}
				}
				last = n
			}
			var notes []string
			switch {
			case in.Op == ir.Invalid && in.Imm >= 0 && in.Imm < int64(len(p.Poison)):
				notes = append(notes, p.Poison[in.Imm])
			case in.Op == ir.CallHelper:
				if name := helpers.Name(in.Imm); name != "" {
					e.Text = fmt.Sprintf("call bpf_%s#%d", name, in.Imm)
				}
			case in.Op == ir.LdImm64 && refs[int(k)] != nil:
				e.Text = fmt.Sprintf("r%d = %s", in.Dst, reference(l, p, refs[int(k)]))
			case in.Op == ir.LdImm64:
				notes = absent(notes, o, fn, slot)
			}
			if in.Probe {
				notes = append(notes, "yields 0 if the address is bad")
			}
			if in.Arena {
				notes = append(notes, "arena")
			}
			if in.Op != ir.Invalid { // whose reason names it
				notes = relocation(notes, o, fn, slot)
			}
			e.Note = strings.Join(notes, "; ")
			f.Insns = append(f.Insns, e)
		}
		out.Functions = append(out.Functions, f)
	}
	return out
}

// reference is what the address of a load stands for.
func reference(l *link.Object, p *link.Program, r *link.Ref) string {
	switch r.Kind {
	case link.RefMap:
		return fmt.Sprintf("map %q", l.Maps[r.Map].Name)
	case link.RefMapValue:
		m := l.Maps[r.Map]
		return "&" + variable(m.Vars, m.Name, r.Off)
	case link.RefArena:
		if l.Arena != nil {
			return "&" + variable(l.Arena.Vars, l.Arena.Section, r.Off) + " in the arena"
		}
	case link.RefFunc:
		return "&" + p.Code.Subs[r.Sub].Name
	case link.RefKsymFunc:
		return "ksym " + r.Name
	case link.RefKsymVar:
		return "ksym " + plus(r.Name, r.Off)
	}
	return "?"
}

// variable names byte off of a section by the variable that it lies in.
func variable(vars []link.Var, section string, off int64) string {
	for _, v := range vars {
		if off >= int64(v.Off) && (off < int64(v.Off)+int64(v.Size) || off == int64(v.Off)) {
			return plus(v.Name, off-int64(v.Off))
		}
	}
	return plus(section, off)
}

func plus(name string, off int64) string {
	if off == 0 {
		return name
	}
	return fmt.Sprintf("%s%+d", name, off)
}

// absent notes that a load is 0 because the kernel lacks what it refers to.
func absent(notes []string, o *elf.Object, fn *elf.Func, slot int32) []string {
	for _, r := range fn.Relocs {
		if r.Insn == slot && r.Kind == elf.RelocExtern {
			return append(notes, "ksym "+o.Externs[r.Index].Name+", which the kernel does not have")
		}
	}
	return notes
}

// relocation notes what CO-RE adapted.
func relocation(notes []string, o *elf.Object, fn *elf.Func, slot int32) []string {
	for _, r := range fn.Core {
		if r.Insn != slot || o.BTF == nil {
			continue
		}
		t, err := o.BTF.TypeByID(r.TypeID)
		if err != nil {
			continue
		}
		what := [...]string{"offset of ", "size of ", "exists: ", "sign of ", "shift of ", "shift of ", "local type id of ", "type id of ", "exists: ",
			"size of ", "exists: ", "value of ", "matches: "}
		if int(r.Kind) >= len(what) {
			continue
		}
		notes = append(notes, what[r.Kind]+accessed(t, r))
	}
	return notes
}

// accessed is the field, type or enumerator that a CO-RE record is about.
func accessed(t btf.Type, r elf.CoreReloc) string {
	name := cdecl.TypeString(t)
	steps := strings.Split(r.Access, ":")
	switch {
	case r.Kind == elf.CoreEnumvalExists || r.Kind == elf.CoreEnumvalValue:
		if e, ok := btf.UnderlyingType(t).(*btf.Enum); ok {
			if n, ok := index(steps[0], len(e.Values)); ok {
				return e.Values[n].Name
			}
		}
		return name
	case r.Kind >= elf.CoreTypeIDLocal:
		return name
	}
	for _, s := range steps[1:] {
		switch u := btf.UnderlyingType(t).(type) {
		case *btf.Struct:
			n, ok := index(s, len(u.Members))
			if !ok {
				return name
			}
			name, t = name+field(u.Members[n].Name), u.Members[n].Type
		case *btf.Union:
			n, ok := index(s, len(u.Members))
			if !ok {
				return name
			}
			name, t = name+field(u.Members[n].Name), u.Members[n].Type
		case *btf.Array:
			name, t = name+"["+s+"]", u.Type
		default:
			return name
		}
	}
	return name
}

func field(name string) string {
	if name == "" {
		return ""
	}
	return "." + name
}

// index is a step of an access, if it is one of n.
func index(s string, n int) (int, bool) {
	var i int
	if _, err := fmt.Sscanf(s, "%d", &i); err != nil || i < 0 || i >= n {
		return 0, false
	}
	return i, true
}
