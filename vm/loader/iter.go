package loader

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/sys"
)

// ReadIter reads what a program of the type iter writes, to the end: it makes a link and a file of it, as bpf_program__attach_iter
// and bpf_iter_create do, and closes both. What was read before an error is returned with it.
func (l *Object) ReadIter(prog string) ([]byte, error) {
	fd := l.progFD(prog)
	if fd == 0 {
		return nil, fmt.Errorf("%s: program %s is not loaded", l.o.Name, prog)
	}
	p := l.p
	link, err := l.call(sys.LinkCreate, sys.Words(uint32(fd), 0, sys.AttachTraceIter, 0))
	if err != nil {
		return nil, fmt.Errorf("%s: program %s: %w", l.o.Name, prog, err)
	}
	defer p.Close(int(link))
	file, err := l.call(sys.IterCreate, sys.Words(uint32(link), 0))
	if err != nil {
		return nil, fmt.Errorf("%s: program %s: %w", l.o.Name, prog, err)
	}
	defer p.Close(int(file))
	var out []byte
	for {
		b, err := p.Read(int(file), iterRead)
		if err != nil {
			return out, fmt.Errorf("%s: program %s: %w", l.o.Name, prog, err)
		}
		if len(b) == 0 {
			return out, nil
		}
		out = append(out, b...)
	}
}

// iterRead is how much is read at a time.
const iterRead = 64 << 10
