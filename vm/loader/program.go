package loader

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/sys"
)

// placeholders are operands of the right shape.
func (l *Object) placeholders(p *link.Program) map[int]operand {
	out := make(map[int]operand, len(p.Refs))
	for _, r := range p.Refs {
		out[r.Insn] = operand{}
	}
	return out
}

// operands resolves what the program refers to, as bpf_object__relocate_data does. What does not exist may stand in dead
// code.
func (l *Object) operands(p *link.Program) (map[int]operand, error) {
	out := make(map[int]operand, len(p.Refs))
	for _, r := range p.Refs {
		o, err := l.operand(p, r)
		if err != nil {
			if p.IsLive(r.Insn) {
				return nil, fmt.Errorf("%s: %w", p.Code.Where(r.Insn), err)
			}
			o = operand{} // a null pointer
		}
		out[r.Insn] = o
	}
	return out, nil
}

func (l *Object) operand(p *link.Program, r link.Ref) (operand, error) {
	k := l.p.Kernel()
	switch r.Kind {
	case link.RefMap, link.RefMapValue, link.RefArena:
		if err := l.refused[r.Map]; err != nil {
			return operand{}, err
		}
		o := operand{src: pseudoMapFD, imm: l.mapFD[r.Map]}
		switch r.Kind {
		case link.RefMapValue:
			o.src, o.hi = pseudoMapValue, int32(r.Off)
		case link.RefArena:
			o.src, o.hi = pseudoMapValue, int32(r.Off)
			if l.o.Arena != nil {
				o.hi += int32(arenaData(l.o.Maps[r.Map], l.o.Arena))
			}
		}
		return o, nil
	case link.RefFunc:
		return operand{src: pseudoFunc}, nil // the distance is set by the caller, who knows the layout
	case link.RefKsymFunc:
		return operand{src: pseudoBTFID, imm: int32(k.FuncID(r.Name))}, nil
	case link.RefKsymVar:
		if r.Off != 0 {
			return operand{}, fmt.Errorf("kernel variable %q: address of byte %d, which no instruction can name", r.Name, r.Off)
		}
		if id := k.SymbolID(r.Name, false); id != 0 {
			return operand{src: pseudoBTFID, imm: int32(id)}, nil
		}
		return operand{}, fmt.Errorf("kernel variable %q: not modelled", r.Name)
	}
	panic(fmt.Sprintf("BUG: reference of kind %d", r.Kind))
}

// loadProgram loads one program. It follows bpf_object_load_prog.
func (l *Object) loadProgram(p *link.Program, c progCode) error {
	ops, err := l.operands(p)
	if err != nil {
		return err
	}
	fds, err := l.kernelCalls(p, ops)
	if err != nil {
		return err
	}
	defer fds.close()
	e, err := encode(p, l.placeholders(p))
	if err != nil {
		return err
	}
	for _, r := range p.Refs { // distances of callbacks, now that the layout is known
		if o := ops[r.Insn]; r.Kind == link.RefFunc {
			o.imm = e.distance(r.Insn, p.Code.Subs[r.Sub].Start)
			ops[r.Insn] = o
		}
	}
	if e, err = encode(p, ops); err != nil {
		return err
	}
	a := sys.ProgAttr{InsnCnt: uint32(len(e.code) / 8), Insns: l.u.Add(e.code), License: l.u.AddString(l.license()), Name: progName(p.Name), BTF: l.btf}
	if len(fds.fds) > 0 {
		a.FDArray = l.u.Add(fds.bytes())
	}
	if err := l.kind(p, &a); err != nil {
		return err
	}
	if len(c.funcInfo) > 0 {
		a.FuncInfo, a.FuncInfoRec, a.FuncInfoCnt = l.u.Add(c.funcInfo), 8, uint32(len(c.funcInfo)/8)
	}
	if len(c.lineInfo) > 0 {
		a.LineInfo, a.LineInfoRec, a.LineInfoCnt = l.u.Add(c.lineInfo), 16, uint32(len(c.lineInfo)/16)
	}
	l.p.Analyzed(p) // before it come no other calls
	fd, err := l.call(sys.ProgLoad, a.Bytes())
	if err != nil {
		return err
	}
	l.loaded = append(l.loaded, prog{p.Name, p.Section, p.Attach, p.Kind, fd})
	return nil
}

// license is the object's; one made by hand may have none and means to be allowed everything.
func (l *Object) license() string {
	if l.o.License == "" {
		return "GPL"
	}
	return l.o.License
}

func progName(name string) string { return name[:min(len(name), sys.NameLen-1)] }

// kernelCalls finds the ids of the kernel functions that the program calls, and descriptors of the types of the modules that
// they are in.
func (l *Object) kernelCalls(p *link.Program, ops map[int]operand) (moduleFDs, error) {
	k := l.p.Kernel()
	fds := moduleFDs{l: l}
	calls := make([]operand, len(p.Code.Kfuncs))
	for i, name := range p.Code.Kfuncs {
		if btfID, id, ok := k.ModuleFunc(name); ok {
			off, err := fds.add(btfID)
			if err != nil {
				fds.close()
				return fds, fmt.Errorf("kernel function %s: %w", name, err)
			}
			calls[i] = operand{imm: int32(id), off: off}
			continue
		}
		id := k.SymbolID(name, true)
		calls[i] = operand{imm: int32(id), poison: id == 0}
	}
	for _, c := range p.Calls {
		if calls[slices.Index(p.Code.Kfuncs, c.Name)].poison {
			fds.close()
			return fds, fmt.Errorf("%s: kernel function %s: not known%s", p.Code.Where(c.Insn), c.Name, elf.DidYouMean(c.Name, k.FuncNames()))
		}
	}
	for i := range p.Code.Insns {
		if in := &p.Code.Insns[i]; isKfuncCall(in) {
			ops[i] = calls[in.Imm]
		}
	}
	return fds, nil
}

// moduleFDs are descriptors of the BTF of modules, by their place in the program's array; the first place stands for vmlinux.
type moduleFDs struct {
	l   *Object
	ids []uint32
	fds []int32
}

// add returns the place of a module's BTF.
func (m *moduleFDs) add(id uint32) (int16, error) {
	if i := slices.Index(m.ids, id); i >= 0 {
		return int16(i + 1), nil
	}
	fd, err := m.l.call(sys.BTFGetFDByID, sys.Words(id))
	if err != nil {
		return 0, err
	}
	m.ids, m.fds = append(m.ids, id), append(m.fds, fd)
	return int16(len(m.fds)), nil
}

func (m *moduleFDs) bytes() []byte {
	b := make([]byte, 4, 4+4*len(m.fds))
	for _, fd := range m.fds {
		b = binary.LittleEndian.AppendUint32(b, uint32(fd))
	}
	return b
}

func (m *moduleFDs) close() {
	for _, fd := range m.fds {
		m.l.p.Close(int(fd))
	}
}

// kind sets type and attachment of the program by its sort. It follows section_defs and libbpf_prepare_prog_load.
func (l *Object) kind(p *link.Program, a *sys.ProgAttr) error {
	k := l.p.Kernel()
	if p.Sleepable && p.Kind != elf.KindSyscall {
		a.Flags |= sys.ProgFlagSleepable
	}
	switch p.Kind {
	case elf.KindStructOps:
		_, ids, index := l.member(p.Name)
		a.Type, a.AttachBTF, a.AttachType = sys.ProgTypeStructOps, ids.Type, uint32(index)
		return nil
	case elf.KindSyscall:
		a.Type, a.Flags = sys.ProgTypeSyscall, sys.ProgFlagSleepable
		return nil
	case elf.KindRawTP:
		a.Type = sys.ProgTypeRawTracepoint
		return nil
	case elf.KindTracepoint:
		a.Type = sys.ProgTypeTracepoint
		return nil
	case elf.KindKprobe, elf.KindKretprobe:
		a.Type = sys.ProgTypeKprobe
		return nil
	case elf.KindPerfEvent:
		a.Type = sys.ProgTypePerfEvent
		return nil
	case elf.KindTPBTF:
		a.AttachType = sys.AttachTraceRawTP
	case elf.KindFentry:
		a.AttachType = sys.AttachTraceFentry
	case elf.KindFexit:
		a.AttachType = sys.AttachTraceFexit
	case elf.KindFmodRet:
		a.AttachType = sys.AttachModifyReturn
	case elf.KindFsession:
		a.AttachType = sys.AttachFsession
	case elf.KindIter:
		a.AttachType = sys.AttachTraceIter
	case elf.KindLSM:
		a.AttachType = sys.AttachLSMMac
	default:
		a.Type = sys.ProgTypeSocketFilter
		return nil
	}
	a.Type = sys.ProgTypeTracing
	if p.Kind == elf.KindLSM {
		a.Type = sys.ProgTypeLSM
	}
	a.AttachBTF = k.AttachID(p.Attach)
	return nil
}

// member finds the table that names the program, if its type can be registered.
func (l *Object) member(prog string) (*sys.StructOpsType, sys.StructOpsIDs, int) {
	for _, t := range l.o.StructOps {
		st, ids, ok := l.p.Kernel().StructOps(t.Type)
		if !ok || !t.AutoCreate {
			continue
		}
		for _, m := range t.Members {
			if m.Prog != prog {
				continue
			}
			for _, km := range st.Members {
				if km.Name == m.Name {
					return st, ids, km.Index
				}
			}
		}
	}
	return nil, sys.StructOpsIDs{}, 0
}
