package sys

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
)

// Programs of the type iter run when user space reads: a link says over what (LINK_CREATE), a file is one reading of it
// (ITER_CREATE), and read(2) of that runs the program for each object and returns what it has written. It follows
// kernel/bpf/bpf_iter.c (7.2).

// IterTarget is what programs of the type iter can be read over (struct bpf_iter_reg and its seq_operations).
type IterTarget struct {
	// Name is that of the type of objects: "task" is bpf_iter_task in the kernel's BTF.
	Name string
	// Resched: programs that may sleep can be read (BPF_ITER_RESCHED).
	Resched bool
	// Tasks: the bpf_iter_link_info of a link may choose tasks; see IterTasks.
	Tasks bool
	// Next is the first object at *place or behind it, to which it sets *place; 0: there is none. After an object comes the one
	// behind its place.
	Next func(which IterTasks, place *uint32) (obj uint64)
	// Show runs the program for an object, 0 behind the last one. What the program writes goes to s. An error ends the reading.
	Show func(p *Prog, s *Seq, obj uint64) (ret uint64, err error)
}

// IterTasks chooses tasks: the thread TID, the threads of the process PID, or all if both are 0.
type IterTasks struct{ TID, PID uint32 }

// Seq is what an iterator writes to (struct seq_file), with its place in the reading.
type Seq struct {
	Session, Num uint64
	buf          []byte
	over         bool // what was written does not fit
}

// seqSize is the buffer of one read (bpf_seq_read).
const seqSize = 8 * pageSize

// Write follows seq_write, which takes all or nothing.
func (s *Seq) Write(data []byte) bool {
	if s.over || len(s.buf)+len(data) >= seqSize {
		s.over = true
		return false
	}
	s.buf = append(s.buf, data...)
	return true
}

// cut drops what was written behind the first n bytes.
func (s *Seq) cut(n int) { s.buf, s.over = s.buf[:n], false }

// iterLink is what a link of a program of the type iter has.
type iterLink struct {
	target *IterTarget
	tasks  IterTasks
}

// reading is an open file of an iterator.
type reading struct {
	iterLink
	prog  *Prog
	seq   Seq
	place uint32
	done  bool // the program was run behind the last object
	rest  []byte
}

func (r *reading) hold() {}
func (r *reading) put()  { r.prog.put() }

// attachIter follows bpf_iter_link_attach.
func (c *call) attachIter(p *Prog) (int64, error) {
	if c.u32(4) != 0 || c.u32(12) != 0 {
		return 0, refuse(abi.EINVAL, "an iterator has neither target nor flags")
	}
	info, err := c.iterInfo(c.u64(16), c.u32(24))
	if err != nil {
		return 0, err
	}
	var target *IterTarget
	for i := range c.k.opt.Iters {
		if c.k.opt.Iters[i].Name == p.link.Attach {
			target = &c.k.opt.Iters[i]
		}
	}
	switch {
	case target == nil:
		return 0, refuse(abi.ENOENT, "iterator over %s: nothing can be read", p.link.Attach)
	case p.sleepable && !target.Resched:
		return 0, refuse(abi.EINVAL, "a program that may sleep cannot be read over %s", target.Name)
	}
	l := iterLink{target: target}
	if target.Tasks { // bpf_iter_attach_task
		u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(info[4*i:]) }
		l.tasks = IterTasks{u32(0), u32(1)}
		given := 0
		for i := range 3 {
			if u32(i) != 0 {
				given++
			}
		}
		switch {
		case given > 1:
			return 0, refuse(abi.EINVAL, "more than one of tid, pid and pid_fd")
		case u32(2) != 0:
			return 0, refuse(abi.EBADF, "there are no descriptors of processes")
		}
	}
	if c.p.place() < 0 {
		return 0, abi.EMFILE
	}
	p.hold()
	link := &Link{k: c.k, refs: 1, prog: p, iter: &l}
	link.id = c.k.links.add(link)
	return c.p.install(link, 0)
}

// iterInfoSize is sizeof(union bpf_iter_link_info).
const iterInfoSize = 16

// iterInfo reads the bpf_iter_link_info of LINK_CREATE.
func (c *call) iterInfo(addr uint64, n uint32) (info [iterInfoSize]byte, err error) {
	if (addr == 0) != (n == 0) {
		return info, refuse(abi.EINVAL, "what to iterate over needs both address and size")
	}
	if n > iterInfoSize {
		if n > pageSize {
			return info, refuse(abi.E2BIG, "%d bytes of what to iterate over", n)
		}
		rest, err := c.read(addr+iterInfoSize, uint64(n-iterInfoSize))
		if err != nil {
			return info, err
		}
		for _, b := range rest {
			if b != 0 {
				return info, refuse(abi.E2BIG, "what to iterate over is not zero behind its end")
			}
		}
	}
	return info, c.readTo(addr, info[:min(n, iterInfoSize)])
}

// iterCreate follows bpf_iter_create and bpf_iter_new_fd.
func (c *call) iterCreate() (int64, error) {
	if err := c.checkAttr(IterCreate); err != nil {
		return 0, err
	}
	if c.u32(4) != 0 {
		return 0, refuse(abi.EINVAL, "flags %#x", c.u32(4))
	}
	l, _, err := fdObject[*Link](c.p, c.fd(0))
	if err != nil {
		return 0, err
	}
	if l.iter == nil {
		return 0, refuse(abi.EINVAL, "descriptor %d is the link of no iterator", c.fd(0))
	}
	c.k.sessions++
	r := &reading{iterLink: *l.iter, prog: l.prog, seq: Seq{Session: c.k.sessions}, place: l.iter.tasks.first()}
	r.prog.hold()
	return c.p.install(r, flagRdonly)
}

// first is the place where a reading begins.
func (t IterTasks) first() uint32 { return max(t.TID, t.PID) }

// updateIter follows bpf_iter_link_replace. Readings under way go on with the program that they have.
func (l *Link) updateIter(p, old *Prog) error {
	switch {
	case old != nil && l.prog != old:
		return refuse(abi.EPERM, "another program is linked")
	case p.typ != l.prog.typ, p.attachType != l.prog.attachType, p.attachBTF != l.prog.attachBTF:
		return refuse(abi.EINVAL, "program %q is of another type or attaches elsewhere", p.Name())
	}
	p.hold()
	was := l.prog
	l.prog = p
	was.put()
	return nil
}

// Read is read(2) of a descriptor of this process: at most n bytes, none at the end. The error is that of the call (see Errno).
// Only files of ITER_CREATE have something to be read.
func (p *Process) Read(fd int, n int) ([]byte, error) {
	f := p.file(fd)
	switch {
	case f == nil || !f.read:
		return nil, refuse(abi.EBADF, "descriptor %d is not open for reading", fd)
	case p.k.closed:
		return nil, refuse(abi.ENXIO, "the kernel is gone")
	}
	r, ok := f.obj.(*reading)
	if !ok {
		return nil, refuse(abi.EINVAL, "descriptor %d is %s", fd, kindOf(f.obj))
	}
	f.refs++ // the program may do anything
	r.prog.hold()
	defer func() {
		r.prog.put()
		f.put()
		p.k.sweep()
	}()
	return r.read(n)
}

// read follows bpf_seq_read.
func (r *reading) read(n int) ([]byte, error) {
	if len(r.rest) == 0 {
		if err := r.fill(n); err != nil {
			return nil, err
		}
	}
	out := append([]byte(nil), r.rest[:min(n, len(r.rest))]...)
	r.rest = r.rest[len(out):]
	return out, nil
}

// fill runs the program until there are n bytes or there is nothing more.
func (r *reading) fill(n int) error {
	s := &r.seq
	s.cut(0)
	obj := r.target.Next(r.tasks, &r.place)
	for first := true; obj != 0; first = false {
		kept := len(s.buf)
		if !first && kept >= n {
			break
		}
		ret, err := r.target.Show(r.prog, s, obj)
		switch {
		case err != nil:
			return err
		case ret == 0 && !s.over:
			obj = r.next()
			if obj != 0 {
				s.Num++
			}
			continue
		case kept == 0 && ret != 0:
			return refuse(abi.EAGAIN, "the program returned %d", ret)
		case kept == 0:
			return refuse(abi.E2BIG, "the program wrote more than %d bytes", seqSize-1)
		}
		s.cut(kept) // the next read begins with this object
		break
	}
	if obj == 0 && !r.done {
		kept := len(s.buf)
		if _, err := r.target.Show(r.prog, s, 0); err != nil {
			return err
		}
		if r.done = !s.over; s.over {
			if s.cut(kept); kept == 0 {
				return refuse(abi.E2BIG, "the program wrote more than %d bytes", seqSize-1)
			}
		}
	}
	r.rest = s.buf
	return nil
}

// next is the object behind the current one. It follows task_seq_get_next where that looks at what was chosen.
func (r *reading) next() uint64 {
	if r.place++; r.tasks.TID != 0 {
		return 0
	}
	return r.target.Next(r.tasks, &r.place)
}
