package sys

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
)

// Sizes of the structures that OBJ_GET_INFO_BY_FD fills.
const (
	progInfoSize = 232
	mapInfoSize  = 104
	linkInfoSize = 64
	btfInfoSize  = 32
)

// info is one of these structures on its way.
type info struct {
	c   *call
	b   [progInfoSize]byte
	len uint32 // bytes that the caller has of it
}

func (i *info) u32(off int) uint32      { return binary.LittleEndian.Uint32(i.b[off:]) }
func (i *info) u64(off int) uint64      { return binary.LittleEndian.Uint64(i.b[off:]) }
func (i *info) set32(off int, v uint32) { binary.LittleEndian.PutUint32(i.b[off:], v) }
func (i *info) set64(off int, v uint64) { binary.LittleEndian.PutUint64(i.b[off:], v) }
func (i *info) str(off int, s string)   { copy(i.b[off:off+NameLen-1], s) }

// take reads the caller's structure, of which the kernel knows the first known bytes; beyond, zeros are expected from byte
// tail on.
func (i *info) take(size, tail uint32) error {
	n, at := i.c.u32(4), i.c.u64(8)
	if tail > 0 {
		if n > pageSize {
			return refuse(abi.E2BIG, "structure of %d bytes", n)
		}
		if n > tail {
			rest, err := i.c.read(at+uint64(tail), uint64(n-tail))
			if err != nil {
				return err
			}
			for _, b := range rest {
				if b != 0 {
					return refuse(abi.E2BIG, "the structure is not zero behind its end")
				}
			}
		}
	}
	i.len = min(n, size)
	return i.c.readTo(at, i.b[:i.len])
}

// give writes the structure back.
func (i *info) give() error {
	if err := i.c.write(i.c.u64(8), i.b[:i.len]); err != nil {
		return err
	}
	return i.c.put(4, i.len)
}

// array fills an array of the caller: the number of elements at cntAt becomes the true one, as many as fit are written to
// the address at ptrAt.
func (i *info) array(cntAt, ptrAt, size int, all []byte) error {
	room, have := i.u32(cntAt), uint32(len(all)/size)
	i.set32(cntAt, have)
	return i.c.write(i.u64(ptrAt), all[:int(min(room, have))*size])
}

// objInfo follows bpf_obj_get_info_by_fd.
func (c *call) objInfo() (int64, error) {
	if err := c.checkAttr(ObjGetInfoByFD); err != nil {
		return 0, err
	}
	f := c.p.file(c.fd(0))
	if f == nil {
		return 0, refuse(abi.EBADFD, "descriptor %d is not open", c.fd(0))
	}
	i := &info{c: c}
	switch o := f.obj.(type) {
	case *Prog:
		return 0, i.prog(o)
	case *Map:
		return 0, i.mapInfo(o)
	case *BTF:
		return 0, i.btf(o)
	case *Link:
		return 0, i.link(o)
	}
	return 0, refuse(abi.EINVAL, "descriptor %d is %s", c.fd(0), kindOf(f.obj))
}

// mapInfo follows bpf_map_get_info_by_fd.
func (i *info) mapInfo(m *Map) error {
	if err := i.take(mapInfoSize, 100); err != nil {
		return err
	}
	i.set32(0, uint32(m.spec.Type))
	i.set32(4, m.id)
	i.set32(8, m.spec.KeySize)
	i.set32(12, m.spec.ValueSize)
	i.set32(16, m.spec.MaxEntries)
	if m.m != nil {
		i.set32(16, m.m.Info().MaxEntries)
	}
	i.set32(20, m.flags)
	i.str(24, m.name)
	i.set32(44, m.vmlinuxType)
	if m.btf != nil {
		i.set32(64, m.btf.id)
		i.set32(68, m.keyType)
		i.set32(72, m.valueType)
	}
	i.set64(80, m.extra)
	if i.u64(88) != 0 || i.u32(96) != 0 {
		return refuse(abi.EINVAL, "hashes of maps are not supported")
	}
	return i.give()
}

// link follows bpf_link_get_info_by_fd and bpf_struct_ops_map_link_fill_link_info.
func (i *info) link(l *Link) error {
	if err := i.take(linkInfoSize, linkInfoSize); err != nil {
		return err
	}
	i.set32(4, l.id)
	if l.iter != nil {
		return i.iter(l)
	}
	if p := l.prog; p != nil { // bpf_tracing_link_fill_link_info
		i.set32(0, linkTypeRawTracepoint)
		if p.typ == ProgTypeTracing {
			i.set32(0, linkTypeTracing)
			i.set32(16, p.attachType)
			i.set32(24, p.attachBTF)
		}
		i.set32(8, p.id)
		return i.give()
	}
	i.set32(0, linkTypeStructOps)
	if l.m != nil {
		i.set32(16, l.m.id)
	}
	return i.give()
}

// iter follows bpf_iter_link_fill_link_info and bpf_iter_fill_link_info.
func (i *info) iter(l *Link) error {
	i.set32(0, linkTypeIter)
	i.set32(8, l.prog.id)
	at, room := i.u64(16), i.u32(24)
	if (at == 0) != (room == 0) {
		return refuse(abi.EINVAL, "a name needs both address and size")
	}
	name := append([]byte(l.iter.target.Name), 0)
	i.set32(24, uint32(len(name)))
	if at != 0 {
		short := int(room) < len(name)
		if short {
			name = append(name[:room-1], 0)
		}
		if err := i.c.write(at, name); err != nil {
			return err
		}
		if short {
			return refuse(abi.ENOSPC, "the name has %d bytes", i.u32(24))
		}
	}
	i.set32(32, l.iter.tasks.TID)
	i.set32(36, l.iter.tasks.PID)
	return i.give()
}

// btf follows btf_get_info_by_fd.
func (i *info) btf(b *BTF) error {
	if err := i.take(btfInfoSize, btfInfoSize); err != nil {
		return err
	}
	raw := b.bytes()
	n := min(uint64(i.u32(8)), uint64(len(raw)))
	if err := i.c.write(i.u64(0), raw[:n]); err != nil {
		return err
	}
	i.set32(8, uint32(len(raw)))
	i.set32(12, b.id)
	name, room := i.u64(16), i.u32(24)
	if (name == 0) != (room == 0) {
		return refuse(abi.EINVAL, "a name needs both address and size")
	}
	text := append([]byte(b.module), 0) // BTF of programs has no name
	var short error
	if name != 0 {
		if uint32(len(text)) > room {
			text = append(text[:room-1], 0)
			short = abi.ENOSPC
		}
		if err := i.c.write(name, text); err != nil {
			return err
		}
	}
	i.set32(24, uint32(len(b.module)))
	i.set32(28, 0)
	if b.module != "" {
		i.set32(28, 1)
	}
	if err := i.give(); err != nil {
		return err
	}
	return short
}

// prog follows bpf_prog_get_info_by_fd.
func (i *info) prog(p *Prog) error {
	if err := i.take(progInfoSize, 228); err != nil {
		return err
	}
	i.set32(0, p.typ)
	i.set32(4, p.id)
	copy(i.b[8:16], p.tag[:])
	i.set64(40, p.loadedNS)
	i.set32(48, 0)
	i.str(64, p.name)
	i.set32(84, 0)
	if p.gpl {
		i.set32(84, 1)
	}
	var ids []byte
	for _, m := range p.maps {
		ids = binary.LittleEndian.AppendUint32(ids, m.id)
	}
	if err := i.array(52, 56, 4, ids); err != nil {
		return err
	}
	for _, r := range []struct {
		cnt, rec int
		size     uint32
	}{{144, 132, 8}, {148, 172, 16}, {168, 176, 8}} { // follows set_info_rec_size
		if (i.u32(r.cnt) != 0 || i.u32(r.rec) != 0) && i.u32(r.rec) != r.size {
			return refuse(abi.EINVAL, "records of %d bytes, the kernel's have %d", i.u32(r.rec), r.size)
		}
		i.set32(r.rec, r.size)
	}
	i.set64(192, 0)
	i.set64(200, 0)
	i.set64(208, 0)
	i.set32(216, p.verified)
	if p.btf != nil {
		i.set32(128, p.btf.id)
	}
	if !i.c.p.Caps.BPF {
		for _, off := range []int{16, 20, 104, 108, 144, 148, 168} {
			i.set32(off, 0)
		}
		return i.give()
	}
	if err := i.bytes(20, 32, p.bytecode()); err != nil {
		return err
	}
	i.set32(16, 0) // no machine code to show
	var addrs, lens, tags []byte
	for _, s := range p.link.Code.Functions() {
		addrs = binary.LittleEndian.AppendUint64(addrs, engine.CodeAddr(int(p.id), s.Start))
		lens = binary.LittleEndian.AppendUint32(lens, uint32(s.End-s.Start)*8)
		tags = append(tags, p.tag[:]...)
	}
	for _, a := range []struct {
		cnt, ptr, size int
		all            []byte
	}{{104, 112, 8, addrs}, {108, 120, 4, lens}, {144, 136, 8, p.funcRecords()}, {148, 152, 16, p.lineRecords()}, {168, 160, 8, nil}, {180, 184, 8, tags}} {
		if err := i.array(a.cnt, a.ptr, a.size, a.all); err != nil {
			return err
		}
	}
	i.set32(220, 0)
	i.set32(224, p.attachBTF)
	return i.give()
}

// bytes is array of bytes whose count is a length.
func (i *info) bytes(lenAt, ptrAt int, all []byte) error {
	room := i.u32(lenAt)
	i.set32(lenAt, uint32(len(all)))
	return i.c.write(i.u64(ptrAt), all[:min(int(room), len(all))])
}

// calcTag follows bpf_prog_calc_tag: descriptors of maps do not count.
func (p *Prog) calcTag() {
	b := append([]byte(nil), p.raw...)
	for s := 0; s+16 <= len(b); s += 8 {
		if src := b[s+1] >> 4; b[s] == 0x18 && (src == pseudoMapFD || src == pseudoMapValue) {
			clear(b[s+4 : s+8])
			clear(b[s+12 : s+16])
			s += 8
		}
	}
	sum := sha256.Sum256(b)
	copy(p.tag[:], sum[:])
}
