package verifier

import (
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// A packet lies between two pointers of the context. What is behind a pointer into it is known from comparisons with the
// end: the range is how many bytes from the pointer's start (its id, without offset) are there.

const (
	maxPacketOff = 0xffff // MAX_PACKET_OFF
	// pktEnd and pktBeyond are ranges of pointers that are known to be at the end or behind it.
	pktEnd    = -1 // AT_PKT_END
	pktBeyond = -2 // BEYOND_PKT_END
)

func (t regType) packet() bool { return t == ptrToPacket || t == ptrToPacketMeta }

func (t regType) packetOrEnd() bool { return t.packet() || t == ptrToPacketEnd }

func (r *reg) packetRange() int     { return int(int32(r.obj.size)) }
func (r *reg) setPacketRange(n int) { r.obj.size = uint32(int32(n)) }

// packetStart: a pointer to the start that was not moved. It follows reg_is_init_pkt_pointer.
func (r *reg) packetStart(t regType) bool { return r.typ == t && r.id == 0 && r.bits.equals(0) }

// accessPacket follows check_packet_access.
func (v *verifier) accessPacket(r *reg, name string, off, size int64, zeroOK bool) error {
	if r.packetRange() < 0 {
		return refuse(CodeBounds, "%s offset is outside of the packet", name)
	}
	return v.region(r, name, off, size, uint32(r.packetRange()), zeroOK)
}

// movePacket keeps the range of a pointer to a packet that is moved from p to d. It follows adjust_ptr_min_max_vals.
func (v *verifier) movePacket(d, p *reg, known, sub bool, lo int64) {
	d.obj.size = p.obj.size
	if !known {
		d.id = v.newID()
	}
	if (!known && (!sub || lo < 0)) || d.packetRange() < 0 {
		d.setPacketRange(0)
	}
}

// dropPackets: packets may have moved, and with them slices of their dynptrs. It follows clear_all_pkt_pointers.
func (v *verifier) dropPackets() {
	v.cur.eachReg(func(r *reg) {
		if r.typ.packetOrEnd() || r.typ.base() == ptrToMem && r.typ.has(dynPacketMem) {
			r.markUnknown()
		}
	})
}

// packetBranch decides a comparison of a packet pointer that is known to be at or behind the end. It follows
// is_pkt_ptr_branch_taken.
func packetBranch(d, s *reg, k jmpKind) verdict {
	pkt := d
	switch {
	case s.typ == ptrToPacketEnd:
	case d.typ == ptrToPacketEnd:
		pkt, k = s, k.flip()
	default:
		return either
	}
	rng := pkt.packetRange()
	if rng >= 0 {
		return either
	}
	switch k {
	case jLe, jGt:
		if rng == pktBeyond {
			return decide(k == jGt, k != jGt)
		}
	case jLt, jGe:
		return decide(k == jGe, k != jGe)
	}
	return either
}

// comparePackets learns from a comparison with the end of a packet: st goes on where it is false, other where it is true.
// It follows try_match_pkt_pointers.
func (v *verifier) comparePackets(in *ir.Insn, k jmpKind, st, other *state) {
	regs := &st.cur().regs
	d, s := &regs[in.Dst], &regs[in.Src]
	inside := func(p, end *reg) bool {
		return p.typ == ptrToPacket && end.typ == ptrToPacketEnd || p.typ == ptrToPacketMeta && end.packetStart(ptrToPacket)
	}
	p, n := d, in.Dst
	switch {
	case inside(d, s):
	case inside(s, d):
		p, n, k = s, in.Src, k.flip()
	default:
		return
	}
	// Now p k end.
	from := *p
	switch k {
	case jGt: // false: p <= end
		v.packetRange(st, &from, false)
		markPacketEnd(other, n, true)
	case jLt: // true: p < end
		v.packetRange(other, &from, true)
		markPacketEnd(st, n, false)
	case jGe: // false: p < end
		v.packetRange(st, &from, true)
		markPacketEnd(other, n, false)
	case jLe: // true: p <= end
		v.packetRange(other, &from, false)
		markPacketEnd(st, n, true)
	}
}

// packetRange notes that the bytes up to p, and the one at p if open, are there. It follows find_good_pkt_pointers.
func (v *verifier) packetRange(st *state, p *reg, open bool) {
	top := p.umax()
	if top == 0 && open || top > maxPacketOff {
		return
	}
	rng := int(top)
	if open {
		rng++
	}
	st.eachReg(func(r *reg) {
		if r.typ == p.typ && r.id == p.id {
			r.setPacketRange(max(r.packetRange(), rng))
		}
	})
}

// markPacketEnd follows mark_pkt_end.
func markPacketEnd(st *state, n ir.Reg, beyond bool) {
	r := &st.cur().regs[n]
	if r.typ != ptrToPacket {
		return
	}
	r.setPacketRange(pktEnd)
	if beyond {
		r.setPacketRange(pktBeyond)
	}
}

// packetAllowed tells whether the program, or with h the helper, may access packets. It follows
// may_access_direct_pkt_data.
func (v *verifier) packetAllowed(h *helper, write bool) bool {
	switch v.at.Packet {
	case PacketNone:
		return false
	case PacketRead:
		if write {
			return false
		}
	case PacketOption:
		return true
	}
	return h == nil || h.packet
}

// legacyLoad tells whether an instruction that cannot be decoded is a load by LD_ABS or LD_IND.
func (v *verifier) legacyLoad(in *ir.Insn) bool {
	return in.Op == ir.Invalid && in.Off != 0 && in.Imm >= 0 && in.Imm < int64(len(v.prog.Poison)) && v.prog.Poison[in.Imm] == link.LegacyLoad
}

// stepLegacyLoad checks a load of packet data by a hidden function (LD_ABS, LD_IND), which may end the program. It follows
// check_ld_abs.
func (v *verifier) stepLegacyLoad(in *ir.Insn) (stepResult, error) {
	st := v.cur
	if !v.at.LegacyLoads {
		return 0, refuse(CodeInvalidInsn, "BPF_LD_[ABS|IND] instructions not allowed for this program type")
	}
	for _, f := range st.frames[1:] {
		if f.inCallback {
			return 0, refuse(CodeCallback, "cannot use BPF_LD_[ABS|IND] within callback")
		}
	}
	if err := v.readReg(6); err != nil {
		return 0, err
	}
	if err := v.checkLeaks(true, "BPF_LD_[ABS|IND]"); err != nil {
		return 0, err
	}
	regs := v.regs()
	if regs[6].typ != ptrToCtx {
		return 0, refuse(CodeArgType, "at the time of BPF_LD_ABS|IND R6 != pointer to skb")
	}
	if in.Off < 0 {
		if err := v.readReg(in.Src); err != nil {
			return 0, err
		}
	}
	if err := fixedOff(&regs[6], "R6", false); err != nil {
		return 0, err
	}
	for i := range callerSaved {
		regs[i].markNotInit()
	}
	regs[0].markUnknown()
	if len(st.frames) == 1 {
		return stepNext, nil
	}
	if _, err := v.push(v.insnIdx+1, v.insnIdx); err != nil {
		return 0, err
	}
	regs[0].setConst(0)
	return stepJump, v.returnToCaller()
}
