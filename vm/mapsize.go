package vm

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

// fitSize sets the number of entries of a map as libbpf does before it creates the map: a ring buffer gets the next size that
// the kernel accepts, an array of events without a size one element for each processor. It follows adjust_ringbuf_sz and
// map_set_def_max_entries.
func fitSize(s *maps.Spec, cpus int32) {
	switch n := s.MaxEntries; s.Type {
	case maps.TypeRingBuf, maps.TypeUserRingBuf:
		pages := (n + mem.PageSize - 1) / mem.PageSize
		if up := uint32(1) << bits.Len32(pages-1); n != 0 && n <= 1<<31 {
			s.MaxEntries = up * mem.PageSize
		}
	case maps.TypePerfEventArray:
		if n == 0 {
			s.MaxEntries = uint32(cpus)
		}
	}
}
