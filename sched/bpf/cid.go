package bpf

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/sys"
)

// findArena follows bpf_scx_reg_cid: the programs of a scheduler of the cid form use one arena.
func (b *binding) findArena() error {
	for id := ops.None + 1; id < ops.NrCallbacks; id++ {
		prog := b.progs[id]
		if prog == nil {
			continue
		}
		for _, m := range prog.Maps() {
			a, ok := m.Maps().(*maps.Arena)
			switch {
			case !ok:
			case b.arena != nil && b.arena != a:
				return sys.Refuse(abi.EINVAL, "sched_ext: cid-form scheduler uses multiple arena maps")
			default:
				b.arena = a
			}
		}
	}
	if b.arena == nil {
		return sys.Refuse(abi.EINVAL, "sched_ext: cid-form scheduler must use a BPF arena map")
	}
	return nil
}

// cmask is a struct scx_cmask in the arena: base, nr_cids, alloc_words, and the words.
type cmask struct {
	addr  uint64 // as programs see it
	bytes []byte
}

const (
	cmaskHeader = 16
	arenaGrow   = 4 // pages that the kernel adds to its pool at a time (SCX_ARENA_GROW_PAGES)
)

// allocCmasks follows scx_set_cmask_scratch_alloc: one mask for each CPU, with all CPUs as its range. The kernel takes pages
// out of the arena once ops.init has returned, and so does this.
func (p *Policy) allocCmasks() bool {
	b := p.bound
	if b.cmask != nil {
		return true
	}
	n := p.env.Machine.NrCPUs()
	words := (n+63)/64 + 1
	size := uint64(cmaskHeader + 8*words)
	size = (size + 7) &^ 7
	pages := max(uint64(arenaGrow), (size*uint64(n)+4095)/4096)
	user := b.arena.Alloc(0, uint32(pages))
	if user == 0 {
		return false
	}
	b.cmask = make([]cmask, n)
	for i := range b.cmask {
		at := user + uint64(i)*size
		m := cmask{addr: uint64(uint32(at)), bytes: b.arena.Bytes(at, size)}
		if m.bytes == nil { // across two pages that do not follow each other in memory
			return false
		}
		clear(m.bytes)
		binary.LittleEndian.PutUint32(m.bytes[4:], uint32(n))
		binary.LittleEndian.PutUint32(m.bytes[8:], uint32(words))
		b.cmask[i] = m
	}
	return true
}

// cmaskOf puts the CPUs of t into the mask of the running CPU and returns its address (scx_call_op_set_cpumask).
func (p *Policy) cmaskOf(t *sim.Task) uint64 {
	if !p.allocCmasks() {
		p.fault = "no room for a cmask in the arena"
		return 0
	}
	m := &p.bound.cmask[p.env.Machine.ThisCPU()]
	words := make([]uint64, (len(m.bytes)-cmaskHeader)/8)
	p.env.Kernel.CIDMask(words, t.K.CPUsMask().Words())
	for i, w := range words {
		binary.LittleEndian.PutUint64(m.bytes[cmaskHeader+8*i:], w)
	}
	return m.addr
}
