package sys

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/verifier"
)

// checker is the state of the part of bpf_check that this package has.
type checker struct {
	c     *call
	p     *Prog
	code  *link.Bytecode
	lp    *link.Program
	log   []string             // of the verifier, when it refused
	place *verifier.Attachment // nil: the verifier was not asked
	// judged: the verifier has accepted the program.
	judged bool
}

// check decodes and checks the program and sets everything that running it needs. Maps that it holds stay in p when it is
// refused.
func (c *call) check(p *Prog) (*checker, error) {
	k := &checker{c: c, p: p}
	if err := k.check(); err != nil {
		return k, err
	}
	if c.k.opt.Attach == nil {
		for _, l := range k.lp.Live {
			if l {
				p.verified++
			}
		}
	}
	return k, nil
}

func (k *checker) check() error {
	if err := k.fdArray(); err != nil {
		return err
	}
	var err error
	if err = k.jumpTables(); err != nil {
		return err
	}
	if k.code, err = link.DecodeJumps(k.p.raw, k.p.targets); err != nil {
		return err
	}
	k.lp = &link.Program{Name: k.p.name, Section: k.section(), Kind: k.p.kind(), Sleepable: k.p.sleepable || k.p.typ == ProgTypeSyscall,
		AutoLoad: true, Poison: k.code.Poison, Gotos: k.code.Gotos, Code: &ir.Program{Insns: k.code.Insns}}
	k.p.link = k.lp
	if err := k.subprograms(); err != nil {
		return err
	}
	if err := k.debugInfo(); err != nil {
		return err
	}
	k.lp.Code.Name = k.lp.Name
	k.lp.Code.Line = k.p.lineOf
	for _, ps := range k.code.Pseudo {
		if err := k.resolve(ps); err != nil {
			return err
		}
	}
	if err := k.attach(); err != nil {
		return err
	}
	adopted := k.adopt(k.c.p.analysis)
	if err := k.verify(); err != nil {
		return err
	}
	if err := engine.Check(k.lp.Code); err != nil {
		return err
	}
	if !adopted {
		if err := k.analyze(); err != nil {
			return err
		}
	}
	k.facts()
	if idle := k.c.k.opt.Idle; idle != nil && idle(k.p) {
		k.p.idle = true
		return nil
	}
	if err := k.calls(); err != nil {
		return err
	}
	if err := k.variables(); err != nil {
		return err
	}
	if v := k.c.k.opt.Verify; v != nil {
		if err := v(k.p); err != nil {
			return err
		}
	}
	return nil
}

// section is a section name that would lead to such a program, for messages.
func (k *checker) section() string {
	if s := k.p.netSection(); s != "" {
		return s
	}
	s := k.p.kind().String()
	if k.p.sleepable && k.p.typ != ProgTypeSyscall {
		s += ".s"
	}
	return s
}

// fdArray follows process_fd_array: with a count, the program holds all maps in the array.
func (k *checker) fdArray() error {
	for i := range k.c.u32(atFDArrayCnt) {
		fd, err := k.fdAt(int32(i))
		if err != nil {
			return err
		}
		if m := k.c.p.Map(fd); m != nil {
			if _, err := k.useMap(m); err != nil {
				return err
			}
		} else if _, _, err := fdObject[*BTF](k.c.p, fd); err != nil {
			return fmt.Errorf("fd %d is not pointing to valid bpf_map or btf: %w", fd, err)
		}
	}
	return nil
}

func (k *checker) fdAt(i int32) (int, error) {
	var b [4]byte
	if err := k.c.readTo(k.c.u64(atFDArray)+uint64(int64(i)*4), b[:]); err != nil {
		return 0, err
	}
	return int(int32(binary.LittleEndian.Uint32(b[:]))), nil
}

// useMap follows __add_used_map.
func (k *checker) useMap(m *Map) (int, error) {
	if i := slices.Index(k.p.maps, m); i >= 0 {
		return i, nil
	}
	switch {
	case len(k.p.maps) == maxUsedMaps:
		return 0, refuse(abi.E2BIG, "The total number of maps per program has reached the limit of %d", maxUsedMaps)
	case m.ops != nil:
		return 0, refuse(abi.EINVAL, "struct_ops maps cannot be used in programs")
	}
	m.hold()
	k.p.maps = append(k.p.maps, m)
	if a, ok := m.m.(*maps.InsnArray); ok {
		if err := k.insnArray(a); err != nil {
			return 0, err
		}
	}
	return len(k.p.maps) - 1, nil
}

// subprograms finds where subprograms start: at targets of calls and of address loads. It follows add_subprog_and_kfunc.
func (k *checker) subprograms() error {
	starts := []int32{0}
	for _, ps := range k.code.Pseudo {
		load := k.code.Insns[ps.Insn].Op == ir.LdImm64
		if load && ps.Src != pseudoFunc || k.code.Insns[ps.Insn].Op == ir.CallKfunc {
			continue
		}
		t := int64(ps.Slot) + 1 + int64(ps.Imm)
		if t < 0 || t >= int64(len(k.code.Index)) {
			return refuse(abi.EINVAL, "call to invalid destination")
		}
		if k.code.Index[t] < 0 {
			return refuse(abi.EINVAL, "call into the middle of ldimm64 insn %d", t-1)
		}
		at := k.code.Index[t]
		k.code.Insns[ps.Insn].Target = at
		starts = append(starts, at)
	}
	exception, err := k.exceptionCallback()
	if err != nil {
		return err
	}
	starts = append(starts, exception)
	slices.Sort(starts)
	starts = slices.Compact(starts)
	if len(starts) > 256 { // BPF_MAX_SUBPROGS
		return refuse(abi.E2BIG, "too many subprograms")
	}
	for i, s := range starts {
		end := int32(len(k.code.Insns))
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		k.lp.Code.Subs = append(k.lp.Code.Subs, ir.Sub{Name: k.p.name, Start: s, End: end})
		k.lp.Subs = append(k.lp.Subs, link.Sub{})
	}
	k.lp.Code.Exception = int32(k.sub(exception))
	for _, ps := range k.code.Pseudo {
		if in := k.code.Insns[ps.Insn]; in.Op == ir.LdImm64 && ps.Src == pseudoFunc {
			k.lp.Subs[k.sub(in.Target)].Callback = true
		}
	}
	return nil
}

// sub is the index of the subprogram that starts at an instruction.
func (k *checker) sub(at int32) int {
	i, _ := slices.BinarySearchFunc(k.lp.Code.Subs, at, func(s ir.Sub, at int32) int { return int(s.Start) - int(at) })
	return i
}

// debugInfo takes types of functions and lines. It follows bpf_check_btf_info.
func (k *checker) debugInfo() error {
	c := k.c
	nf, nl := c.u32(atFuncInfoCnt), c.u32(atLineInfoCnt)
	if nf == 0 && nl == 0 {
		return nil
	}
	b, _, err := fdObject[*BTF](c.p, c.fd(atProgBTF))
	if err != nil {
		return err
	}
	b.hold()
	k.p.btf = b
	if nf > 0 {
		if err := k.funcInfo(b, nf); err != nil {
			return err
		}
	}
	if nl > 0 {
		return k.lineInfo(b, nl)
	}
	return nil
}

// records copies n records of user space, of which the kernel knows the first size bytes.
func (k *checker) records(addr uint64, n, rec, size, least uint32, what string) ([]byte, error) {
	switch {
	case rec < least || rec > maxRecord || rec%4 != 0:
		return nil, refuse(abi.EINVAL, "invalid %s rec size %d", what, rec)
	case uint64(n)*uint64(rec) > uint64(len(k.p.raw))*maxRecord/8:
		return nil, refuse(abi.EINVAL, "%d records of %s for %d instructions", n, what, len(k.p.raw)/8)
	}
	all, err := k.c.read(addr, uint64(n)*uint64(rec))
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, n*size)
	for i := range n {
		r := all[i*rec:][:rec]
		if rec > size && len(bytes.Trim(r[size:], "\x00")) > 0 {
			return nil, refuse(abi.E2BIG, "nonzero tailing record in %s", what)
		}
		var one [16]byte
		copy(one[:size], r)
		out = append(out, one[:size]...)
	}
	return out, nil
}

// funcInfo follows check_btf_func_early and check_btf_func.
func (k *checker) funcInfo(b *BTF, n uint32) error {
	recs, err := k.records(k.c.u64(atFuncInfo), n, k.c.u32(atFuncInfoRec), 8, 8, "func info")
	if err != nil {
		return err
	}
	if int(n) != len(k.lp.Code.Subs) {
		return refuse(abi.EINVAL, "number of funcs in func_info doesn't match number of subprogs")
	}
	for i := range int(n) {
		off, id := binary.LittleEndian.Uint32(recs[i*8:]), binary.LittleEndian.Uint32(recs[i*8+4:])
		s := &k.lp.Code.Subs[i]
		if off != uint32(k.code.Insns[s.Start].Orig) {
			return refuse(abi.EINVAL, "func_info BTF section doesn't match subprog layout in BPF program")
		}
		t, err := b.typ(id)
		if err != nil {
			return refuse(abi.EINVAL, "invalid type id %d in func info", id)
		}
		f, ok := t.(*btf.Func)
		if !ok {
			return refuse(abi.EINVAL, "invalid type id %d in func info", id)
		}
		s.Name = f.Name
		k.lp.Subs[i].Type, k.lp.Subs[i].Global = f, f.Linkage == btf.GlobalFunc && i > 0
	}
	k.lp.Name, k.lp.Type = k.lp.Code.Subs[0].Name, k.lp.Subs[0].Type
	k.p.funcInfo = recs
	return nil
}

// lineInfo follows check_btf_line.
func (k *checker) lineInfo(b *BTF, n uint32) error {
	recs, err := k.records(k.c.u64(atLineInfo), n, k.c.u32(atLineInfoRec), 16, 16, "line info")
	if err != nil {
		return err
	}
	sub, prev := 0, int64(-1)
	for i := range int(n) {
		r := recs[i*16:]
		off := binary.LittleEndian.Uint32(r)
		if int64(off) <= prev || uint64(off) >= uint64(len(k.code.Index)) {
			return refuse(abi.EINVAL, "Invalid line_info[%d].insn_off:%d (prev_offset:%d prog->len:%d)", i, off, prev, len(k.code.Index))
		}
		if k.code.Index[off] < 0 {
			return refuse(abi.EINVAL, "Invalid insn code at line_info[%d].insn_off", i)
		}
		if !b.hasString(binary.LittleEndian.Uint32(r[4:])) || !b.hasString(binary.LittleEndian.Uint32(r[8:])) {
			return refuse(abi.EINVAL, "Invalid line_info[%d].line_off or .file_name_off", i)
		}
		if sub < len(k.lp.Code.Subs) {
			switch start := k.code.Insns[k.lp.Code.Subs[sub].Start].Orig; {
			case off == uint32(start):
				sub++
			case uint32(start) < off:
				return refuse(abi.EINVAL, "missing bpf_line_info for func#%d", sub)
			}
		}
		prev = int64(off)
	}
	if sub != len(k.lp.Code.Subs) {
		return refuse(abi.EINVAL, "missing bpf_line_info for %d funcs starting from func#%d", len(k.lp.Code.Subs)-sub, sub)
	}
	k.p.lineInfo = recs
	return nil
}

// lineOf is ir.Program.Line.
func (p *Prog) lineOf(insn int32) string {
	in, ok := p.link.Code.At(int(insn))
	if !ok {
		return ""
	}
	slot, recs := uint32(in.Orig), p.lineRecords()
	i := sort.Search(len(recs)/lineRecord, func(i int) bool { return binary.LittleEndian.Uint32(recs[i*lineRecord:]) > slot }) - 1
	if i < 0 {
		return ""
	}
	r := recs[i*lineRecord:]
	file, _ := p.btf.string(binary.LittleEndian.Uint32(r[4:]))
	line := binary.LittleEndian.Uint32(r[12:]) >> 10
	if file == "" || line == 0 {
		return ""
	}
	return path.Base(file) + ":" + strconv.FormatUint(uint64(line), 10)
}

// resolve finds what an instruction refers to. Insns keep no addresses yet: they are what the maps and functions of this
// kernel have, and go to the code that runs.
func (k *checker) resolve(ps link.Pseudo) error {
	in := &k.code.Insns[ps.Insn]
	switch in.Op {
	case ir.CallSub:
		return nil
	case ir.CallKfunc:
		return k.kfunc(ps, in)
	}
	ref := link.Ref{Insn: ps.Insn, Map: -1, Sub: -1}
	switch ps.Src {
	case pseudoFunc:
		ref.Kind, ref.Sub = link.RefFunc, k.sub(in.Target)
		in.Target = 0
	case pseudoBTFID:
		name, function, err := k.c.k.symbol(uint32(ps.Imm))
		if err != nil {
			return refuse(abi.ENOENT, "ldimm64 insn specifies invalid btf_id %d.", uint32(ps.Imm))
		}
		if ps.Hi != 0 {
			return refuse(abi.EINVAL, "variable of a module: modules have functions only")
		}
		ref.Kind, ref.Name = link.RefKsymVar, name
		if function {
			ref.Kind = link.RefKsymFunc
		}
	case pseudoMapFD, pseudoMapIdx, pseudoMapValue, pseudoMapIdxValue:
		value := ps.Src == pseudoMapValue || ps.Src == pseudoMapIdxValue
		if !value && ps.Hi != 0 {
			return refuse(abi.EINVAL, "unrecognized bpf_ld_imm64 insn")
		}
		fd := int(ps.Imm)
		if ps.Src == pseudoMapIdx || ps.Src == pseudoMapIdxValue {
			if k.c.u64(atFDArray) == 0 {
				return refuse(abi.EPROTO, "fd_idx without fd_array is invalid")
			}
			var err error
			if fd, err = k.fdAt(ps.Imm); err != nil {
				return err
			}
		}
		m, _, err := fdObject[*Map](k.c.p, fd)
		if err != nil {
			return &refusal{Errno(err), fmt.Sprintf("fd %d is not pointing to valid bpf_map", fd)}
		}
		if ref.Map, err = k.useMap(m); err != nil {
			return err
		}
		ref.Kind = link.RefMap
		if value {
			if ref.Kind, ref.Off, err = m.direct(uint32(ps.Hi)); err != nil {
				return err
			}
		}
	default:
		return refuse(abi.EINVAL, "unrecognized bpf_ld_imm64 insn")
	}
	k.lp.Refs = append(k.lp.Refs, ref)
	return nil
}

// direct is what a load of the address of byte off of the map's value refers to. It follows the map_direct_value_addr
// functions.
func (m *Map) direct(off uint32) (link.RefKind, int64, error) {
	if a, ok := m.m.(*maps.Arena); ok {
		if uint64(off) >= uint64(a.MaxEntries)*pageSize {
			return 0, 0, refuse(abi.ERANGE, "invalid access to map value pointer, value_size=%d off=%d", m.spec.ValueSize, off)
		}
		return link.RefArena, int64(a.Mem.User()+uint64(off)) - int64(a.DataAddr()), nil
	}
	if a, ok := m.m.(*maps.InsnArray); ok {
		if off%8 != 0 || uint64(off) >= a.JumpsSize() {
			return 0, 0, refuse(abi.EACCES, "invalid access to map value pointer, value_size=%d off=%d", m.spec.ValueSize, off)
		}
		return link.RefMapValue, int64(off), nil
	}
	a, ok := m.m.(*maps.Array)
	switch {
	case !ok || a.Stride != 0:
		return 0, 0, refuse(abi.EINVAL, "no direct value access support for this map type")
	case m.spec.MaxEntries != 1:
		return 0, 0, refuse(abi.ENOTSUPP, "invalid access to map value pointer, value_size=%d off=%d", m.spec.ValueSize, off)
	case off >= m.spec.ValueSize && off != 0:
		return 0, 0, refuse(abi.EINVAL, "invalid access to map value pointer, value_size=%d off=%d", m.spec.ValueSize, off)
	}
	return link.RefMapValue, int64(off), nil
}

// kfunc resolves a call of a kernel function by its BTF id.
func (k *checker) kfunc(ps link.Pseudo, in *ir.Insn) error {
	if ps.Off != 0 {
		return k.moduleKfunc(ps, in)
	}
	name, function, err := k.c.k.symbol(uint32(ps.Imm))
	if err != nil || !function {
		return refuse(abi.EINVAL, "kernel btf_id %d is not a function", ps.Imm)
	}
	k.call(name, in)
	return nil
}

// call makes the instruction one that calls the kernel function.
func (k *checker) call(name string, in *ir.Insn) {
	n := slices.Index(k.lp.Code.Kfuncs, name)
	if n < 0 {
		n = len(k.lp.Code.Kfuncs)
		k.lp.Code.Kfuncs = append(k.lp.Code.Kfuncs, name)
	}
	in.Imm = int64(n)
}

// attach follows check_attach_btf_id and check_struct_ops_btf_id.
func (k *checker) attach() error {
	p := k.p
	switch p.typ {
	case ProgTypeStructOps:
		return k.attachStructOps()
	case ProgTypeTracing, ProgTypeLSM, ProgTypeExt:
		if p.attachBTF == 0 {
			return refuse(abi.EINVAL, "Tracing programs must provide btf_id")
		}
		if !k.c.k.known(p.attachBTF) {
			return refuse(abi.EINVAL, "attach_btf_id %d: not known", p.attachBTF)
		}
	}
	return nil
}

// known tells whether a type id means something.
func (k *Kernel) known(id uint32) bool {
	if _, _, err := k.symbol(id); err == nil {
		return true
	}
	if k.opt.BTF == nil {
		return false
	}
	_, err := k.opt.BTF.TypeByID(btf.TypeID(id))
	return err == nil
}

// analyze learns what is live by folding constants, for programs of which the loader does not know it.
func (k *checker) analyze() error {
	views := make([]*link.Map, len(k.p.maps))
	for i, m := range k.p.maps {
		views[i] = m.foldView()
	}
	return link.Analyze(k.lp, views)
}

// adopt takes over the results of an analysis if they can be those of this program.
func (k *checker) adopt(a *link.Program) bool {
	lp := k.lp
	if a == nil || a.Code == nil || len(a.Code.Insns) != len(lp.Code.Insns) || len(a.Code.Subs) != len(lp.Code.Subs) {
		return false
	}
	for i := range a.Code.Subs {
		if a.Code.Subs[i].Start != lp.Code.Subs[i].Start {
			return false
		}
		lp.Code.Subs[i].Stack = a.Code.Subs[i].Stack
		if i < len(a.Subs) {
			lp.Subs[i].Live = a.Subs[i].Live
		}
	}
	for i := range a.Code.Insns {
		in, from := &lp.Code.Insns[i], &a.Code.Insns[i]
		in.Probe = from.Probe && in.Op >= ir.Ld8 && in.Op <= ir.Lds32
		in.Arena = from.Arena && (in.Op.IsLoad() || in.Op.IsStore() || in.Op.IsAtomic())
		if in.Op == ir.Invalid && from.Op == ir.Invalid && from.Imm >= 0 && from.Imm < int64(len(a.Poison)) {
			in.Imm = int64(len(lp.Poison))
			lp.Poison = append(lp.Poison, a.Poison[from.Imm])
		}
	}
	lp.Live, lp.Section, lp.Attach, lp.Gotos = a.Live, a.Section, a.Attach, a.Gotos
	for _, c := range a.Calls {
		if in := lp.Code.Insns[c.Insn]; in.Op == ir.CallKfunc {
			lp.Calls = append(lp.Calls, link.KfuncCall{Insn: c.Insn, Name: lp.Code.Kfuncs[in.Imm], Line: c.Line})
		}
	}
	for _, h := range a.Helpers {
		if in := lp.Code.Insns[h.Insn]; in.Op == ir.CallHelper {
			lp.Helpers = append(lp.Helpers, link.HelperCall{Insn: h.Insn, ID: int32(in.Imm), Line: h.Line})
		}
	}
	return true
}

// at is an instruction for messages.
func (k *checker) at(insn int) string { return k.lp.Code.Where(insn) }

// calls checks what live code calls.
func (k *checker) calls() error {
	table := k.c.k.helperTable()
	for _, h := range k.lp.Helpers {
		id := int64(h.ID)
		switch {
		case id < 0 || id >= int64(len(table)) || table[id] == nil:
			return fmt.Errorf("%s: %w", k.at(h.Insn), helperError(id))
		case !k.p.gpl && gplOnly(h.ID):
			return refuse(abi.EINVAL, "%s: cannot call GPL-restricted function from non-GPL compatible program", k.at(h.Insn))
		}
	}
	for _, call := range k.lp.Calls {
		if !k.p.gpl {
			return refuse(abi.EINVAL, "%s: cannot call kernel function from non-GPL compatible program", k.at(call.Insn))
		}
		switch f := k.c.k.kfunc(call.Name); {
		case f == nil:
			return fmt.Errorf("%s: kernel function %s: not known%s", k.at(call.Insn), call.Name, elf.DidYouMean(call.Name, k.c.k.FuncNames()))
		case f.Call == nil && !f.Machine:
			return fmt.Errorf("%s: kernel function %s: not supported", k.at(call.Insn), call.Name)
		}
		if err := k.p.allow(call.Name); err != nil {
			return fmt.Errorf("%s: %w", k.at(call.Insn), err)
		}
	}
	return nil
}

// variables checks that the kernel variables exist whose addresses live code takes.
func (k *checker) variables() error {
	for _, r := range k.lp.Refs {
		if r.Kind != link.RefKsymVar || !k.lp.IsLive(r.Insn) {
			continue
		}
		ok := false
		if k.c.k.opt.Ksym != nil {
			_, ok = k.c.k.opt.Ksym(r.Name)
		}
		if !ok {
			return fmt.Errorf("%s: kernel variable %q: not modelled", k.at(r.Insn), r.Name)
		}
	}
	return nil
}

func helperError(id int64) error {
	name := helpers.Name(id)
	if name == "" {
		return fmt.Errorf("helper %d: does not exist", id)
	}
	if note := helpers.Note(id); note != "" {
		return fmt.Errorf("helper %s: not supported; %s", name, note)
	}
	return fmt.Errorf("helper %s: not supported", name)
}
