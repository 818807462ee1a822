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
	p := l.prog(name)
	if p == nil {
		return fmt.Errorf("%s: no program %s is loaded", l.o.Name, name)
	}
	var err error
	switch p.kind {
	case elf.KindFentry, elf.KindFexit, elf.KindFmodRet, elf.KindTPBTF:
		attach := map[elf.ProgKind]uint32{elf.KindFentry: sys.AttachTraceFentry, elf.KindFexit: sys.AttachTraceFexit,
			elf.KindFmodRet: sys.AttachModifyReturn, elf.KindTPBTF: sys.AttachTraceRawTP}[p.kind]
		_, err = l.call(sys.LinkCreate, sys.Words(uint32(p.fd), 0, attach, 0))
	case elf.KindRawTP:
		at := l.u.Add(append([]byte(p.attach), 0))
		_, err = l.call(sys.RawTracepointOpen, sys.Words(uint32(at), uint32(at>>32), uint32(p.fd), 0))
	default:
		return fmt.Errorf("%s: program %s (%s) is not attached to a hook", l.o.Name, name, p.section)
	}
	if err != nil {
		return fmt.Errorf("%s: program %s (%s): %w", l.o.Name, name, p.section, err)
	}
	return nil
}
