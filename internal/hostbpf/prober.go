package hostbpf

import (
	"encoding/binary"
	"math/rand/v2"
)

// ProbeMap is a map that programs of a Prober use, by its number in LdImm64 instructions with source register 1 (the map) or 2
// (a byte of its value): the loader puts the descriptor in place of the number.
type ProbeMap int32

// The maps, whose sizes programs rely on.
const (
	ProbeArray  ProbeMap = iota // keys of 4, 4 values of 48 bytes
	ProbeHash                   // keys of 8, values of 48
	ProbeConst                  // one value of 16, which nobody can write: 7, 0, 200, -1
	ProbeData                   // one value of 64
	ProbePerCPU                 // keys of 4, 2 values of 16 for each CPU
	ProbeRing
	ProbeLock  // keys of 4, 2 values of 16: a bpf_spin_lock, then numbers
	ProbeQueue // values of 8
	ProbeTimer // keys of 4, 2 values of 24: a bpf_timer, then a number
	ProbeArena // 16 pages
	ProbeOuter // keys of 4, 2 inner arrays with 4 values of 48 bytes
	NrProbeMaps
)

// ProbeKfunc is a kernel function that programs call, by its number in calls: the loader puts the BTF id in place of it.
type ProbeKfunc int32

// The kernel functions.
const (
	ProbeNumNew ProbeKfunc = iota
	ProbeNumNext
	ProbeNumDestroy
	ProbeRCULock
	ProbeRCUUnlock
	ProbePreemptDisable
	ProbePreemptEnable
	ProbeDynptrSize
	ProbeDynptrIsNull
	ProbeDynptrAdjust
	ProbeDynptrClone
	NrProbeKfuncs
)

// ProbeKfuncName is the name of a kernel function.
func ProbeKfuncName(k ProbeKfunc) string {
	return [...]string{"bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy", "bpf_rcu_read_lock", "bpf_rcu_read_unlock",
		"bpf_preempt_disable", "bpf_preempt_enable", "bpf_dynptr_size", "bpf_dynptr_is_null", "bpf_dynptr_adjust", "bpf_dynptr_clone"}[k]
}

// ProbeKind is the sort of a program.
type ProbeKind int

// The sorts: by what their context is.
const (
	ProbeSyscall    ProbeKind = iota // plain memory
	ProbeRawTP                       // twelve numbers
	ProbeKprobe                      // registers
	ProbeTracepoint                  // tp_btf/sched_switch: a bool, two tasks, a number
	NrProbeKinds
	// Programs of the network, which no machine of ours runs.
	ProbeTC     ProbeKind = iota - 1 // struct __sk_buff
	ProbeXDP                         // struct xdp_md
	ProbeSocket                      // struct __sk_buff, of which less may be accessed
	nrNetKinds
)

// Probe is one program for a verifier.
type Probe struct {
	Code []byte
	Kind ProbeKind
	// Mutated: it was changed after it was made, so that it is likely to be refused.
	Mutated bool
}

// Prober makes programs as people write them, that are good or nearly so: half of them are changed in a few places. It is for
// comparing verifiers, and for running what one has accepted; nothing is known of what the programs compute.
//
// R6 is the context; R7, R8 and R9 hold numbers between the pieces of a program.
type Prober struct {
	Rand *rand.Rand
	// Plain leaves out what 7.2 knows more of than 6.18: divisions, and elements of inner arrays.
	Plain bool
	// Net makes programs of the network, too.
	Net bool

	code  []byte
	kind  ProbeKind
	fixes []probeCall
	subs  [3]int // where subprograms start, 0: not used
}

type probeCall struct{ slot, sub int }

// Make makes a program.
func (p *Prober) Make() Probe {
	p.code, p.fixes, p.subs = nil, nil, [3]int{}
	if p.Net && p.n(3) == 0 {
		p.kind = NrProbeKinds + ProbeKind(p.n(int(nrNetKinds-NrProbeKinds)))
	} else {
		p.kind = ProbeKind(p.n(int(NrProbeKinds)))
	}
	p.emit(0xbf, 6, 1, 0, 0)
	for r := 7; r <= 9; r++ {
		p.scalar(r)
	}
	for range 1 + p.n(5) {
		p.piece()
	}
	p.emit(0xb7, 0, 0, 0, 0)
	p.emit(0x95, 0, 0, 0, 0)
	p.subprograms()
	out := Probe{Code: p.code, Kind: p.kind}
	if p.n(8) < 5 {
		out.Mutated = true
		for range 1 + p.n(3) {
			p.mutate()
		}
	}
	return out
}

func (p *Prober) n(n int) int { return p.Rand.IntN(n) }

func (p *Prober) slots() int { return len(p.code) / 8 }

func (p *Prober) emit(op byte, dst, src int, off int16, imm int32) {
	var b [8]byte
	b[0], b[1] = op, byte(dst|src<<4)
	binary.LittleEndian.PutUint16(b[2:], uint16(off))
	binary.LittleEndian.PutUint32(b[4:], uint32(imm))
	p.code = append(p.code, b[:]...)
}

func (p *Prober) imm64(dst, src int, lo, hi int32) {
	p.emit(0x18, dst, src, 0, lo)
	p.emit(0, 0, 0, 0, hi)
}

func (p *Prober) mapRef(dst int, m ProbeMap)         { p.imm64(dst, 1, int32(m), 0) }
func (p *Prober) value(dst int, m ProbeMap, off int) { p.imm64(dst, 2, int32(m), int32(off)) }
func (p *Prober) helper(id int32)                    { p.emit(0x85, 0, 0, 0, id) }
func (p *Prober) kfunc(k ProbeKfunc)                 { p.emit(0x85, 0, 2, 0, int32(k)) }
func (p *Prober) mov(dst, src int)                   { p.emit(0xbf, dst, src, 0, 0) }
func (p *Prober) movK(dst int, imm int32)            { p.emit(0xb7, dst, 0, 0, imm) }
func (p *Prober) addK(dst int, imm int32)            { p.emit(0x07, dst, 0, 0, imm) }
func (p *Prober) load(s, dst, src int, off int16)    { p.emit(0x61|sizes[s].bits, dst, src, off, 0) }
func (p *Prober) store(s, dst, src int, off int16)   { p.emit(0x63|sizes[s].bits, dst, src, off, 0) }
func (p *Prober) storeK(s, dst int, off int16, imm int32) {
	p.emit(0x62|sizes[s].bits, dst, 0, off, imm)
}
func (p *Prober) jump(op byte, dst int, imm int32) (at int) {
	p.emit(op, dst, 0, 0, imm)
	return p.slots() - 1
}

// land makes the jump at slot at lead here.
func (p *Prober) land(at int) { binary.LittleEndian.PutUint16(p.code[8*at+2:], uint16(p.slots()-at-1)) }

// scalar sets a register to a number that a verifier does not know, or knows.
func (p *Prober) scalar(r int) {
	switch p.n(6) {
	case 0:
		p.movK(r, int32(edges[p.n(len(edges))]))
	case 1:
		p.value(r, ProbeData, 8*p.n(7))
		p.load(p.n(4), r, r, 0)
	case 2:
		p.value(r, ProbeConst, 4*p.n(4))
		p.load(2, r, r, 0)
	default:
		p.context(r)
	}
}

// context loads a number of the context.
func (p *Prober) context(r int) {
	switch p.kind {
	case ProbeSyscall, ProbeKprobe:
		s := p.n(4)
		p.load(s, r, 6, int16(sizes[s].bytes*p.n(160/sizes[s].bytes)))
	case ProbeRawTP:
		p.load(3, r, 6, int16(8*p.n(12)))
	case ProbeTracepoint:
		p.load(3, r, 6, int16([]int{0, 24}[p.n(2)]))
	case ProbeTC, ProbeSocket:
		p.load(2, r, 6, int16(4*[]int{0, 1, 2, 3, 4, 10, 12, 13, 16, 17}[p.n(10)]))
	case ProbeXDP:
		p.load(2, r, 6, int16(12+4*p.n(2)))
	}
}

func (p *Prober) number() int { return 7 + p.n(3) }

var compares = []byte{0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0}

// arith changes a number in one of the ways that a verifier follows.
func (p *Prober) arith(r int) {
	class := byte(7)
	bits := 64
	if p.n(2) == 0 {
		class, bits = 4, 32
	}
	other := p.number()
	small := int32([]int{0, 1, 2, 3, 7, 8, 15, 16, 31, 40, 47, 48, 63, 255, -1, -8, 1 << 20}[p.n(17)])
	switch p.n(14) {
	case 0, 1:
		p.emit(0x50|class, r, 0, 0, small) // and
	case 2:
		p.emit(0x70|class, r, 0, 0, int32(p.n(bits)))
	case 3:
		p.emit(0x60|class, r, 0, 0, int32(p.n(min(bits, 34))))
	case 4:
		p.emit(0xc0|class, r, 0, 0, int32(p.n(bits)))
	case 5:
		p.emit(0x00|class, r, 0, 0, small)
	case 6:
		p.emit(0x10|8|class, r, other, 0, 0)
	case 7:
		p.emit([]byte{0x00, 0x20, 0x40, 0x50, 0xa0}[p.n(5)]|8|class, r, other, 0, 0)
	case 8:
		p.emit(0x80|class, r, 0, 0, 0)
	case 9:
		if p.Plain {
			p.emit(0x50|class, r, 0, 0, small)
			return
		}
		p.emit([]byte{0x30, 0x90}[p.n(2)]|class, r, 0, int16(p.n(2)), int32(1+p.n(48)))
	case 10:
		p.emit(0xb0|8|class, r, r, int16([]int{0, 8, 16}[p.n(3)]), 0) // moves that truncate or extend
	case 11:
		p.emit(0x20|class, r, 0, 0, int32([]int{0, 1, 2, 4, 8, 12, 24, -1}[p.n(8)]))
	case 12:
		p.emit(0xb0|8|class, r, other, 0, 0) // which links two numbers
	case 13:
		p.emit([]byte{0xd4, 0xdc, 0xd7}[p.n(3)], r, 0, 0, int32(16<<p.n(3)))
	}
}

// bound leaves the piece unless a comparison holds; the jumps go where end lands them.
func (p *Prober) bound(r int, limit int32) (out []int) {
	class := byte([]int{5, 6}[p.n(2)])
	switch p.n(6) {
	case 0: // the plain one
		out = append(out, p.jump(0x20|class, r, limit))
	case 1: // signed, from both sides
		out = append(out, p.jump(0x60|class, r, limit), p.jump(0xc0|class, r, 0))
	case 2: // with a register
		other := p.number()
		p.movK(other, limit)
		p.emit(0x20|8|class, r, other, 0, 0)
		out = append(out, p.slots()-1)
	case 3:
		out = append(out, p.jump(0x30|class, r, limit+1))
	case 4:
		p.emit(0x57, r, 0, 0, limit)
	default:
		out = append(out, p.jump(compares[p.n(len(compares))]|class, r, limit-int32(p.n(3))+1))
	}
	return out
}

// mutate changes an instruction.
func (p *Prober) mutate() {
	n := p.slots()
	at := p.n(n) * 8
	b := p.code[at : at+8]
	switch p.n(9) {
	case 0:
		b[1] = b[1]&0xf0 | byte(p.n(11))
	case 1:
		b[1] = b[1]&15 | byte(p.n(11))<<4
	case 2:
		off := int16(binary.LittleEndian.Uint16(b[2:])) + int16(p.n(33)-16)
		binary.LittleEndian.PutUint16(b[2:], uint16(off))
	case 3:
		imm := int32(binary.LittleEndian.Uint32(b[4:])) + int32([]int{1, -1, 8, -8, 4, 16, 64}[p.n(7)])
		binary.LittleEndian.PutUint32(b[4:], uint32(imm))
	case 4:
		binary.LittleEndian.PutUint32(b[4:], uint32(edges[p.n(len(edges))]))
	case 5: // another operation of the class, or the other width
		switch b[0] & 7 {
		case 4, 7:
			b[0] = b[0]&15 | byte(p.n(13))<<4
			if p.n(4) == 0 {
				b[0] ^= 3
			}
		case 5, 6:
			b[0] = b[0]&15 | compares[p.n(len(compares))]
		case 1, 2, 3:
			b[0] = b[0]&^0x18 | sizes[p.n(4)].bits
		}
	case 6: // left out
		if b[0] != 0x18 && b[0] != 0 && b[0] != 0x95 {
			copy(b, []byte{0x05, 0, 0, 0, 0, 0, 0, 0})
		}
	case 7: // the same as another
		from := p.n(n) * 8
		if p.code[from] != 0x18 && p.code[from] != 0 && b[0] != 0x18 && b[0] != 0 {
			copy(b, p.code[from:from+8])
		}
	case 8: // two change places
		if at+16 <= len(p.code) && b[0] != 0x18 && b[0] != 0 && p.code[at+8] != 0x18 && p.code[at+8] != 0 {
			var t [8]byte
			copy(t[:], b)
			copy(b, p.code[at+8:at+16])
			copy(p.code[at+8:at+16], t[:])
		}
	}
}
