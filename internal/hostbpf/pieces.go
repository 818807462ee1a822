package hostbpf

import "encoding/binary"

// piece adds one of the things that programs do.
func (p *Prober) piece() {
	switch p.n(22) {
	case 0, 1, 2, 3:
		p.ranges()
	case 4, 5:
		p.lookup()
	case 6:
		p.stackVar()
	case 7:
		p.spill()
	case 8:
		p.memHelper()
	case 9:
		p.ring()
	case 10:
		p.repeat()
	case 11:
		p.callSub()
	case 12:
		p.callback()
	case 13:
		p.lock()
	case 14:
		p.numbers()
	case 15:
		p.dynptr()
	case 16, 17:
		p.contextPiece()
	case 18:
		p.queue()
	case 19:
		p.region()
	case 20:
		if p.Plain {
			p.ranges()
			return
		}
		p.outer()
	case 21:
		p.arena()
	}
}

// ranges computes an index and uses it on a value.
func (p *Prober) ranges() {
	r := p.number()
	for range p.n(5) {
		p.arith(r)
	}
	m, size := ProbeData, 64
	if p.n(4) == 0 {
		m, size = ProbeConst, 16
	}
	s := p.n(4)
	limit := int32(size - sizes[s].bytes)
	if p.n(8) == 0 {
		limit += int32(p.n(3))
	}
	var outs []int
	for range 1 + p.n(2) {
		outs = append(outs, p.bound(r, limit)...)
	}
	for range p.n(3) {
		if p.n(4) == 0 {
			p.arith(r)
		}
	}
	p.value(1, m, 0)
	p.emit(0x0f, 1, r, 0, 0)
	if p.n(4) == 0 {
		p.addK(1, int32(p.n(9)-4))
	}
	p.access(s, 1, 0, m == ProbeConst)
	for _, at := range outs {
		p.land(at)
	}
}

// access loads, stores or does something atomic.
func (p *Prober) access(s, base int, off int16, read bool) {
	v := p.number()
	switch k := p.n(6); {
	case read || k < 2:
		p.load(s, v, base, off)
	case k == 2:
		if s < 3 {
			p.emit(0x81|sizes[s].bits, v, base, off, 0)
			break
		}
		p.load(s, v, base, off)
	case k == 3:
		p.store(s, base, v, off)
	case k == 4:
		p.storeK(s, base, off, int32(p.n(5)))
	default:
		if s < 2 {
			p.store(s, base, v, off)
			break
		}
		p.emit(0xc3|sizes[s].bits, base, v, off, atomics[p.n(9)])
	}
}

// lookup finds an element and accesses it.
func (p *Prober) lookup() {
	m, size, key := ProbeArray, 48, 2
	switch p.n(5) {
	case 0, 1:
		m, key = ProbeHash, 3
	case 2:
		m, size = ProbePerCPU, 16
	case 3:
		m, size = ProbeTimer, 24
	}
	if p.n(3) == 0 {
		p.store(key, 10, p.number(), -8)
	} else {
		p.storeK(key, 10, -8, int32(p.n(5)))
	}
	p.mapRef(1, m)
	p.mov(2, 10)
	p.addK(2, -8)
	p.helper(1)
	var outs []int
	if p.n(10) > 0 {
		outs = append(outs, p.jump(0x15, 0, 0))
	}
	base := 0
	if p.n(2) == 0 {
		r := p.number()
		for range p.n(3) {
			p.arith(r)
		}
		s := p.n(4)
		outs = append(outs, p.bound(r, int32(size-sizes[s].bytes))...)
		p.mov(1, 0)
		p.emit(0x0f, 1, r, 0, 0)
		base = 1
		p.access(s, base, 0, false)
	} else {
		for range 1 + p.n(2) {
			s := p.n(4)
			off := sizes[s].bytes * p.n(size/sizes[s].bytes)
			if m == ProbeTimer && p.n(4) > 0 {
				off = 16
			}
			p.access(s, base, int16(off), false)
		}
	}
	for _, at := range outs {
		p.land(at)
	}
}

// stackVar accesses the stack at a computed place.
func (p *Prober) stackVar() {
	for off := -64; off < 0; off += 8 {
		if p.n(12) > 0 {
			p.storeK(3, 10, int16(off), 0)
		}
	}
	r := p.number()
	s := p.n(4)
	outs := p.bound(r, int32(64-sizes[s].bytes))
	p.mov(1, 10)
	p.emit(0x0f, 1, r, 0, 0)
	p.access(s, 1, -64, false)
	for _, at := range outs {
		p.land(at)
	}
}

// spill stores registers and reads them, or parts of them, back.
func (p *Prober) spill() {
	src := []int{6, 7, 8, 9, 10}[p.n(5)]
	off := int16(-8 * (1 + p.n(6)))
	p.store(3, 10, src, off)
	for range p.n(3) {
		p.store(p.n(4), 10, p.number(), off+int16(p.n(8)))
	}
	dst := 1
	p.load(3, dst, 10, off)
	switch src {
	case 6:
		if p.kind == ProbeSyscall {
			p.load(3, p.number(), dst, 8)
		}
	case 10:
		p.storeK(3, dst, -16, 1)
	default:
		p.mov(src, dst)
		if p.n(2) == 0 {
			p.load(p.n(4), src, 10, off+int16(p.n(4)))
		}
	}
}

// memHelper passes memory to a helper.
func (p *Prober) memHelper() {
	r := p.number()
	switch p.n(5) {
	case 0: // get_current_comm
		p.mov(1, 10)
		p.addK(1, -32)
		p.movK(2, int32(1+p.n(32)))
		p.helper(16)
		p.load(p.n(4), r, 10, int16(-32+p.n(24)))
	case 1: // probe_read_kernel of a computed size
		outs := p.bound(r, 32)
		p.mov(1, 10)
		p.addK(1, -32)
		p.mov(2, r)
		p.movK(3, 0)
		p.helper(113)
		for _, at := range outs {
			p.land(at)
		}
	case 2: // map_update_elem
		p.storeK(3, 10, -8, int32(p.n(4)))
		for off := -56; off < -8; off += 8 {
			if p.n(16) > 0 {
				p.storeK(3, 10, int16(off), 2)
			}
		}
		p.mapRef(1, []ProbeMap{ProbeHash, ProbeArray}[p.n(2)])
		p.mov(2, 10)
		p.addK(2, -8)
		p.mov(3, 10)
		p.addK(3, -56)
		p.movK(4, 0)
		p.helper(2)
		p.mov(r, 0)
	case 3: // strtol of constants
		p.value(1, ProbeConst, 0)
		p.movK(2, int32(1+p.n(17)))
		p.movK(3, 10)
		p.mov(4, 10)
		p.addK(4, -8)
		p.helper(105)
		p.load(3, r, 10, -8)
	case 4: // a number of a helper
		p.helper([]int32{5, 7, 8, 14, 15, 118, 125}[p.n(7)])
		p.mov(r, 0)
	}
}

// ring reserves and gives back.
func (p *Prober) ring() {
	size := 8 * (1 + p.n(4))
	p.mapRef(1, ProbeRing)
	p.movK(2, int32(size))
	p.movK(3, 0)
	p.helper(131)
	at := p.jump(0x15, 0, 0)
	s := p.n(4)
	p.access(s, 0, int16(sizes[s].bytes*p.n(size/sizes[s].bytes)), false)
	p.mov(1, 0)
	p.movK(2, 0)
	p.helper(int32(132 + p.n(2)))
	p.land(at)
}

// repeat is a counted loop over a value.
func (p *Prober) repeat() {
	r := p.number()
	p.movK(r, 0)
	top := p.slots()
	p.value(1, ProbeData, 0)
	p.emit(0x0f, 1, r, 0, 0)
	p.access(0, 1, 0, false)
	p.addK(r, int32(1+p.n(3)))
	at := p.jump([]byte{0xa5, 0xc5, 0x55, 0xa6}[p.n(4)], r, int32(10+p.n(55)))
	binary.LittleEndian.PutUint16(p.code[8*at+2:], uint16(top-at-1))
}

// callSub calls a function with a pointer and a number.
func (p *Prober) callSub() {
	p.storeK(3, 10, -8, 1)
	p.storeK(3, 10, -16, 1)
	p.mov(1, []int{10, 6}[p.n(8)/7])
	if p.n(8) > 0 {
		p.addK(1, -16)
	}
	p.mov(2, p.number())
	p.subs[1] = 1
	p.fixes = append(p.fixes, probeCall{p.slots(), 1})
	p.emit(0x85, 0, 1, 0, 0)
	p.mov(p.number(), 0)
}

// callback runs one with bpf_loop or over a map.
func (p *Prober) callback() {
	p.storeK(3, 10, -8, 1)
	p.subs[2] = 1
	if p.n(2) == 0 {
		p.movK(1, int32(p.n(20)))
		if p.n(3) == 0 {
			p.mov(1, p.number())
		}
		p.fixes = append(p.fixes, probeCall{p.slots(), 2})
		p.imm64(2, 4, 0, 0)
		p.mov(3, 10)
		p.addK(3, -8)
		p.movK(4, 0)
		p.helper(181)
		return
	}
	p.mapRef(1, []ProbeMap{ProbeArray, ProbeHash}[p.n(2)])
	p.fixes = append(p.fixes, probeCall{p.slots(), 2})
	p.imm64(2, 4, 0, 0)
	p.mov(3, 10)
	p.addK(3, -8)
	p.movK(4, 0)
	p.helper(164)
}

// subprograms makes those that are called.
func (p *Prober) subprograms() {
	var starts [3]int
	if p.subs[1] != 0 {
		starts[1] = p.slots()
		p.emit(0xbf, 7, 2, 0, 0)
		p.arith(7)
		s := p.n(4)
		switch p.n(3) {
		case 0:
			p.load(s, 0, 1, int16(p.n(16)))
		case 1:
			p.storeK(s, 1, int16(8*p.n(2)), 3)
			p.mov(0, 7)
		default:
			p.store(3, 10, 7, -8)
			p.load(3, 0, 10, -8)
		}
		p.emit(0x95, 0, 0, 0, 0)
	}
	if p.subs[2] != 0 {
		starts[2] = p.slots()
		switch p.n(3) {
		case 0:
			p.movK(0, 0)
		case 1: // of bpf_loop
			p.load(3, 0, 2, 0)
			p.emit(0x0f, 0, 1, 0, 0)
			p.store(3, 2, 0, 0)
			p.emit(0x57, 0, 0, 0, 1)
		default: // over a map
			p.load(p.n(4), 0, 3, int16(8*p.n(6)))
			p.load(3, 1, 4, 0)
			p.emit(0x57, 0, 0, 0, 1)
		}
		p.emit(0x95, 0, 0, 0, 0)
	}
	for _, c := range p.fixes {
		binary.LittleEndian.PutUint32(p.code[8*c.slot+4:], uint32(starts[c.sub]-c.slot-1))
	}
}

// lock holds a spin lock.
func (p *Prober) lock() {
	p.storeK(2, 10, -4, int32(p.n(3)))
	p.mapRef(1, ProbeLock)
	p.mov(2, 10)
	p.addK(2, -4)
	p.helper(1)
	at := p.jump(0x15, 0, 0)
	p.store(3, 10, 0, -16)
	p.mov(1, 0)
	p.helper(93)
	p.load(3, 1, 10, -16)
	p.access(2+p.n(2), 1, int16(4+4*p.n(3)), false)
	if p.n(8) == 0 {
		p.memHelper()
	}
	p.load(3, 1, 10, -16)
	p.helper(94)
	p.land(at)
}

// numbers walks an iterator.
func (p *Prober) numbers() {
	p.mov(1, 10)
	p.addK(1, -16)
	p.movK(2, int32(p.n(4)))
	p.movK(3, int32(p.n(20)))
	p.kfunc(ProbeNumNew)
	top := p.slots()
	p.mov(1, 10)
	p.addK(1, -16)
	p.kfunc(ProbeNumNext)
	at := p.jump(0x15, 0, 0)
	r := p.number()
	p.load(2, r, 0, 0)
	if p.n(2) == 0 {
		skip := p.jump(0x25, r, 60)
		p.value(1, ProbeData, 0)
		p.emit(0x0f, 1, r, 0, 0)
		p.access(0, 1, 0, false)
		p.land(skip)
	}
	back := p.jump(0x05, 0, 0)
	binary.LittleEndian.PutUint16(p.code[8*back+2:], uint16(top-back-1))
	p.land(at)
	p.mov(1, 10)
	p.addK(1, -16)
	p.kfunc(ProbeNumDestroy)
}

// dynptr makes one of a value or the ring buffer.
func (p *Prober) dynptr() {
	ringbuf := p.n(2) == 0
	if ringbuf {
		p.mapRef(1, ProbeRing)
		p.movK(2, 16)
		p.movK(3, 0)
		p.mov(4, 10)
		p.addK(4, -16)
		p.helper(198)
	} else {
		p.value(1, ProbeData, 8*p.n(4))
		p.movK(2, int32(8+p.n(33)))
		p.movK(3, 0)
		p.mov(4, 10)
		p.addK(4, -16)
		p.helper(197)
	}
	var at []int
	switch p.n(5) {
	case 0: // data
		p.mov(1, 10)
		p.addK(1, -16)
		p.movK(2, int32(p.n(3)))
		p.movK(3, 8)
		p.helper(203)
		at = append(at, p.jump(0x15, 0, 0))
		p.access(p.n(4), 0, int16(p.n(4)), false)
	case 1: // read
		p.mov(1, 10)
		p.addK(1, -32)
		p.movK(2, int32(p.n(17)))
		p.mov(3, 10)
		p.addK(3, -16)
		p.mov(4, p.number())
		p.movK(5, 0)
		p.helper(201)
	case 2: // write
		p.storeK(3, 10, -24, 5)
		p.mov(1, 10)
		p.addK(1, -16)
		p.mov(2, p.number())
		p.mov(3, 10)
		p.addK(3, -24)
		p.movK(4, 8)
		p.movK(5, 0)
		p.helper(202)
	case 3:
		p.mov(1, 10)
		p.addK(1, -16)
		p.kfunc([]ProbeKfunc{ProbeDynptrSize, ProbeDynptrIsNull}[p.n(2)])
		p.mov(p.number(), 0)
	case 4:
		p.mov(1, 10)
		p.addK(1, -16)
		p.movK(2, 1)
		p.movK(3, 5)
		p.kfunc(ProbeDynptrAdjust)
	}
	for _, a := range at {
		p.land(a)
	}
	if ringbuf {
		p.mov(1, 10)
		p.addK(1, -16)
		p.movK(2, 0)
		p.helper(int32(199 + p.n(2)))
	}
}

// contextPiece does what only this sort of program can do.
func (p *Prober) contextPiece() {
	r := p.number()
	switch p.kind {
	case ProbeSyscall:
		s := p.n(4)
		outs := p.bound(r, int32(64-sizes[s].bytes))
		p.emit(0x57, r, 0, 0, int32(-sizes[s].bytes))
		p.mov(1, 6)
		p.emit(0x0f, 1, r, 0, 0)
		p.access(s, 1, int16(8*p.n(4)), false)
		for _, at := range outs {
			p.land(at)
		}
	case ProbeRawTP, ProbeKprobe:
		p.context(r)
		if p.n(4) == 0 {
			p.mov(1, 6)
			p.addK(1, int32(8*p.n(3)))
			p.load(3, r, 1, int16(8*p.n(4)))
		}
	case ProbeTC, ProbeXDP, ProbeSocket:
		p.packet()
	case ProbeTracepoint:
		p.load(3, 1, 6, int16(8+8*p.n(2))) // a task
		switch p.n(4) {
		case 0: // a member of it
			p.load(p.n(4), r, 1, int16(8*p.n(400)))
		case 1: // a pointer in it, and what that leads to
			p.load(3, 1, 1, int16(8*p.n(400)))
			p.load(p.n(4), r, 1, int16(8*p.n(40)))
		case 2: // two steps, with a check
			p.load(3, 1, 1, int16(8*p.n(400)))
			at := p.jump(0x15, 1, 0)
			p.load(3, 1, 1, int16(8*p.n(40)))
			p.load(3, r, 1, 0)
			p.land(at)
		default: // the running one
			p.helper(158)
			p.load(p.n(4), r, 0, int16(8*p.n(100)))
		}
	}
}

// queue pushes and pops.
func (p *Prober) queue() {
	p.store(3, 10, p.number(), -8)
	p.mapRef(1, ProbeQueue)
	p.mov(2, 10)
	p.addK(2, -8)
	p.movK(3, 0)
	p.helper(87)
	p.mapRef(1, ProbeQueue)
	p.mov(2, 10)
	p.addK(2, -8)
	p.helper(int32(88 + p.n(2)))
	p.load(3, p.number(), 10, -8)
}

// region is one in which not everything may be done.
func (p *Prober) region() {
	k := []ProbeKfunc{ProbeRCULock, ProbePreemptDisable}[p.n(2)]
	p.kfunc(k)
	switch p.n(4) {
	case 0:
		p.lookup()
	case 1:
		p.contextPiece()
	case 2:
		p.memHelper()
	}
	if p.n(8) > 0 {
		p.kfunc(k + 1)
	}
}

// outer finds a map in a map, and an element in that.
func (p *Prober) outer() {
	p.storeK(3, 10, -8, int32(p.n(3)))
	p.mapRef(1, ProbeOuter)
	p.mov(2, 10)
	p.addK(2, -8)
	p.helper(1)
	at := p.jump(0x15, 0, 0)
	p.mov(1, 0)
	p.mov(2, 10)
	p.addK(2, -8)
	p.helper(1)
	at2 := p.jump(0x15, 0, 0)
	s := p.n(4)
	p.access(s, 0, int16(sizes[s].bytes*p.n(48/sizes[s].bytes)), false)
	p.land(at)
	p.land(at2)
}

// arena accesses one, where nothing is checked.
func (p *Prober) arena() {
	p.mapRef(1, ProbeArena)
	r := p.number()
	p.mov(2, r)
	p.emit(0xbf, 2, 2, 1, 1) // addr_space_cast to the kernel's side
	p.access(p.n(4), 2, int16(p.n(64)), false)
}

// packet accesses a packet behind a check of its end, or a field of the context that may not be accessed.
func (p *Prober) packet() {
	data, end, meta := int16(76), int16(80), int16(140)
	if p.kind == ProbeXDP {
		data, end, meta = 0, 4, 8
	}
	r := p.number()
	switch p.n(8) {
	case 0: // a field, to be read or written
		if p.n(2) == 0 {
			p.load(p.n(4), r, 6, int16(4*p.n(48)))
		} else {
			p.store(p.n(4), 6, r, int16(4*p.n(48)))
		}
		return
	case 1: // meta data, which end where the packet begins
		p.load(2, 1, 6, meta)
		p.load(2, 2, 6, data)
	default:
		p.load(2, 1, 6, data)
		p.load(2, 2, 6, end)
	}
	s, at := p.n(4), p.n(20)
	var outs []int
	p.mov(3, 1)
	if p.n(3) == 0 { // at a computed place
		outs = append(outs, p.bound(r, 100)...)
		p.emit(0x0f, 3, r, 0, 0)
		p.mov(1, 3)
	}
	p.addK(3, int32(at+sizes[s].bytes-p.n(12)/11))
	op := []byte{0x2d, 0x3d, 0x2d, 0xad, 0xbd}[p.n(5)]
	if op < 0xa0 { // packet beyond its end: leave
		p.emit(op, 3, 2, 0, 0)
		outs = append(outs, p.slots()-1)
	} else if p.n(2) == 0 { // its end before the packet
		p.emit(op, 2, 3, 0, 0)
		outs = append(outs, p.slots()-1)
	} else {
		p.emit(op, 3, 2, 1, 0)
		p.emit(0x05, 0, 0, 0, 0)
		outs = append(outs, p.slots()-1)
	}
	p.access(s, 1, int16(at), false)
	for _, o := range outs {
		p.land(o)
	}
}
