package sys

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/link"
)

// Caps are the capabilities that the call asks for.
type Caps struct {
	BPF, Perfmon, NetAdmin, SysAdmin bool
}

// maxFiles is the number of descriptors of a process (RLIMIT_NOFILE).
const maxFiles = 4096

// Process is a user of a Kernel: descriptors and memory. It is not a process that the machine schedules.
type Process struct {
	// Caps may be changed between calls; a new process has all of them.
	Caps Caps

	k      *Kernel
	mem    UserMemory
	files  []*file // by descriptor, nil where closed
	spare  []file  // made in advance, to lie together
	reason error
	exited bool

	analysis *link.Program // see Analyzed
}

// object is what a file can stand for.
type object interface {
	hold()
	put()
}

// file is an open file description.
type file struct {
	obj         object // nil for one that is none of ours
	read, write bool
	refs        int
}

// NewProcess makes a process whose descriptors 0 to 2 are taken by files that are none of ours, as a shell would open
// them.
func (k *Kernel) NewProcess(m UserMemory) *Process {
	std := &file{read: true, write: true, refs: 3}
	p := &Process{Caps: Caps{true, true, true, true}, k: k, mem: m, files: []*file{std, std, std}}
	k.procs = append(k.procs, p)
	return p
}

// Kernel is the kernel that p calls.
func (p *Process) Kernel() *Kernel { return p.k }

// Reason says in words why the last call was refused, nil if it was not. A real process does not get to see it.
func (p *Process) Reason() error { return p.reason }

// Exit closes all descriptors.
func (p *Process) Exit() {
	if p.exited {
		return
	}
	p.exited = true
	for fd := range p.files {
		p.Close(fd)
	}
	p.files = nil
	p.k.forget(p)
}

// Close is close(2): 0 or -EBADF.
func (p *Process) Close(fd int) int64 {
	f := p.file(fd)
	if f == nil {
		return -int64(abi.EBADF)
	}
	p.files[fd] = nil
	f.put()
	p.k.sweep()
	return 0
}

// Dup is dup(2): the lowest free descriptor, which stands for the same open file.
func (p *Process) Dup(fd int) int64 {
	f := p.file(fd)
	if f == nil {
		return -int64(abi.EBADF)
	}
	n := p.place()
	if n < 0 {
		return -int64(abi.EMFILE)
	}
	f.refs++
	p.files[n] = f
	return int64(n)
}

// Open is the number of open descriptors.
func (p *Process) Open() int {
	n := 0
	for _, f := range p.files {
		if f != nil {
			n++
		}
	}
	return n
}

func (f *file) put() {
	if f.refs--; f.refs > 0 || f.obj == nil {
		return
	}
	if m, ok := f.obj.(*Map); ok {
		m.putUser()
	}
	f.obj.put()
}

// file is what fd stands for, nil if it is not open.
func (p *Process) file(fd int) *file {
	if fd < 0 || fd >= len(p.files) {
		return nil
	}
	return p.files[fd]
}

// place is the lowest free descriptor, -1 if there is none.
func (p *Process) place() int {
	for fd, f := range p.files {
		if f == nil {
			return fd
		}
	}
	if len(p.files) == maxFiles {
		return -1
	}
	p.files = append(p.files, nil)
	return len(p.files) - 1
}

// install opens a file for obj, whose reference (and, for a map, user reference) it takes over, also when it fails.
func (p *Process) install(obj object, flags uint32) (int64, error) {
	if len(p.spare) == 0 {
		p.spare = make([]file, 16)
	}
	f := &p.spare[0]
	p.spare = p.spare[1:]
	*f = file{obj: obj, read: flags&flagWronly == 0, write: flags&flagRdonly == 0, refs: 1}
	if fd := p.place(); fd >= 0 && !p.exited {
		p.files[fd] = f
		return int64(fd), nil
	}
	f.put()
	return 0, refuse(abi.EMFILE, "more than %d open files", maxFiles)
}

// fdObject finds the object of kind T behind fd: EBADF if fd is not open, EINVAL if it is something else.
func fdObject[T object](p *Process, fd int) (obj T, f *file, err error) {
	if f = p.file(fd); f == nil {
		return obj, nil, refuse(abi.EBADF, "descriptor %d is not open", fd)
	}
	obj, ok := f.obj.(T)
	if !ok {
		return obj, nil, refuse(abi.EINVAL, "descriptor %d is %s", fd, kindOf(f.obj))
	}
	return obj, f, nil
}

func kindOf(o object) string {
	switch o.(type) {
	case *Map:
		return "a map"
	case *Prog:
		return "a program"
	case *BTF:
		return "BTF"
	case *Link:
		return "a link"
	case *reading:
		return "an iterator"
	}
	return "another file"
}

// Map finds the map behind a descriptor, nil if there is none.
func (p *Process) Map(fd int) *Map {
	m, _, _ := fdObject[*Map](p, fd)
	return m
}

// Prog finds the program behind a descriptor, nil if there is none.
func (p *Process) Prog(fd int) *Prog {
	pr, _, _ := fdObject[*Prog](p, fd)
	return pr
}

// Link finds the link behind a descriptor, nil if there is none.
func (p *Process) Link(fd int) *Link {
	l, _, _ := fdObject[*Link](p, fd)
	return l
}
