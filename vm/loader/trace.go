package loader

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/sys"
)

// AttachTrace attaches a tracing program to the hook that its section names. It follows bpf_program__attach_trace and
// bpf_program__attach_raw_tracepoint; programs of other types are refused. Errors are the kernel's reasons.
func (l *Object) AttachTrace(name string) error {
	defer l.u.Reset()
	for _, p := range l.progs {
		if p.Name != name {
			continue
		}
		var err error
		switch p.Kind {
		case elf.KindFentry, elf.KindFexit, elf.KindFmodRet, elf.KindTPBTF:
			attach := map[elf.ProgKind]uint32{elf.KindFentry: sys.AttachTraceFentry, elf.KindFexit: sys.AttachTraceFexit,
				elf.KindFmodRet: sys.AttachModifyReturn, elf.KindTPBTF: sys.AttachTraceRawTP}[p.Kind]
			_, err = l.call(sys.LinkCreate, sys.Words(uint32(l.progFD[name]), 0, attach, 0))
		case elf.KindRawTP:
			at := l.u.Add(append([]byte(p.Attach), 0))
			_, err = l.call(sys.RawTracepointOpen, sys.Words(uint32(at), uint32(at>>32), uint32(l.progFD[name]), 0))
		default:
			return fmt.Errorf("%s: program %s (%s) is not attached to a hook", l.o.Name, name, p.Section)
		}
		if err != nil {
			return fmt.Errorf("%s: program %s (%s): %w", l.o.Name, name, p.Section, err)
		}
		return nil
	}
	return fmt.Errorf("%s: no program %s is loaded", l.o.Name, name)
}
