package sys

import (
	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// Arrays of programs. An element is the id of a program, which the map holds.

// progOwner is struct bpf_map_owner: a program can go on only as one of its kind.
type progOwner struct {
	typ, attachType uint32
	sleepable       bool
	proto           any // of what the program attaches to
}

// fits tells whether p may be in the array m, or make tail calls through it. The first program that asks decides about the
// others. It follows __bpf_prog_map_compatible (kernel/bpf/core.c, 7.2).
func (m *Map) fits(p *Prog) bool {
	o := progOwner{p.typ, p.attachType, p.sleepable, nil}
	switch p.typ {
	case ProgTypeTracing, ProgTypeLSM, ProgTypeExt, ProgTypeStructOps:
		o.proto = p.attachProto()
	}
	if m.owner == nil {
		m.owner = &o
	}
	return *m.owner == o
}

// attachProto is the type of the function in whose place the program is called, or something else that only programs at the
// same place have.
func (p *Prog) attachProto() any {
	if p.stType != nil {
		if st, _ := p.k.structByName(p.stType.Name); st != nil && p.stMember < len(st.Members) {
			if t := protoOf(st.Members[p.stMember].Type); t != nil {
				return t
			}
		}
		return [2]any{p.stType, p.stMember}
	}
	if b := p.k.opt.BTF; b != nil {
		if t, err := b.TypeByID(btf.TypeID(p.attachBTF)); err == nil {
			if f, ok := t.(*btf.Func); ok {
				t = f.Type
			}
			if proto := protoOf(t); proto != nil {
				return proto
			}
		}
	}
	return p.attachBTF
}

// protoOf is the prototype that t is or points to, nil if it is something else.
func protoOf(t btf.Type) *btf.FuncProto {
	t = btf.UnderlyingType(t)
	if ptr, ok := t.(*btf.Pointer); ok {
		t = btf.UnderlyingType(ptr.Target)
	}
	proto, _ := t.(*btf.FuncProto)
	return proto
}

// checkTailCall follows bpf_check_tail_call: all arrays of programs that p uses must be for programs of its kind.
func (p *Prog) checkTailCall() error {
	for _, m := range p.maps {
		if m.m != nil && m.spec.Type == maps.TypeProgArray && !m.fits(p) {
			return refuse(abi.EINVAL, "map %q is for programs of another kind", m.name)
		}
	}
	return nil
}

// progOf is what a prog_array makes of a descriptor. It follows prog_fd_array_get_ptr (kernel/bpf/arraymap.c, 7.2).
func (k *Kernel) progOf(h *maps.Head, fd int32) (uint64, abi.Errno) {
	p, _, err := fdObject[*Prog](k.caller, int(fd))
	if err != nil {
		return 0, Errno(err)
	}
	m, ok := k.maps.get(h.ID)
	if !ok || p.typ == ProgTypeExt || !m.fits(p) {
		return 0, abi.EINVAL
	}
	p.hold()
	return uint64(p.id), 0
}

// putProg is maps.Hooks.Prog.
func (k *Kernel) putProg(object uint64) {
	if p, ok := k.progs.get(uint32(object)); ok {
		p.put()
	}
}

// tailTarget is how a tail call by a program of s reaches what an array holds.
func (k *Kernel) tailTarget(s *set, object uint64) (abi.Next, abi.Other) {
	p, ok := k.progs.get(uint32(object))
	switch {
	case !ok:
		return abi.NextCaller, nil
	case p.set == s:
		return abi.Next(p.run.Number() + 1), nil
	}
	return abi.NextOther, p
}

var _ abi.Other = (*Prog)(nil)

// TailRun runs the program in place of one of another set; see abi.Other.
func (p *Prog) TailRun(ctx uint64, tails int32) (r0 uint64, n int32, fault string) {
	if p.run == nil {
		if f := p.ready(); f != nil {
			return 0, tails, f.Error()
		}
	}
	return p.run.TailRun(ctx, tails)
}
