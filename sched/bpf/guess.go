package bpf

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/link"
)

// unset are the variables of read-only data that are zero in the object and that live code reads: a loader sets them, or
// nobody would read them.
func unset(o *link.Object) []string {
	read := map[[2]uint32]bool{} // map, offset
	for _, p := range o.Programs {
		if !p.AutoLoad {
			continue
		}
		for _, r := range p.Refs {
			if r.Kind == link.RefMapValue && p.IsLive(r.Insn) && r.Off >= 0 {
				read[[2]uint32{uint32(r.Map), uint32(r.Off)}] = true
			}
		}
	}
	var names []string
	for i, m := range o.Maps {
		if !m.Frozen || m.Section == ".kconfig" {
			continue
		}
		for _, v := range m.Vars {
			if strings.HasPrefix(v.Name, "__") || v.Name == "uei_dump_len" || !zeros(m.Data, v.Off, v.Size) {
				continue
			}
			for off := v.Off; off < v.Off+v.Size; off++ {
				if read[[2]uint32{uint32(i), off}] {
					names = append(names, v.Name)
					break
				}
			}
		}
	}
	return names
}

func zeros(data []byte, off, size uint32) bool {
	b := data[min(len(data), int(off)):min(len(data), int(off+size))]
	return len(bytes.Trim(b, "\x00")) == 0
}

// maxUnset is how many variables a remark names.
const maxUnset = 12

// unknown remarks that nothing is known of the scheduler's user-space half.
func (p *Policy) unknown(o *link.Object) {
	names := unset(o)
	if len(names) == 0 {
		return
	}
	more := ""
	if n := len(names) - maxUnset; n > 0 {
		names, more = names[:maxUnset], fmt.Sprintf(" and %d more", n)
	}
	p.notice(fmt.Sprintf("%s: no recipe for the scheduler %q: its loader seems to set %s%s, which are 0 now; -G sets them, --recipe takes a file (schedsim recipe list)",
		p.file, p.name, strings.Join(names, ", "), more))
}
