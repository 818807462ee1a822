package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/sys"
)

// Programs of the type iter run when user space reads a link of theirs. Of their targets, tasks are modelled.

// seqSize is the buffer in which the output of one read collects (bpf_seq_read).
const seqSize = 8 * 4096

// seqFile is what an iterator writes to, and its arguments.
type seqFile struct {
	file, meta, ctx object
	buf             []byte
	over            bool // what was written does not fit
}

// iterable tells whether a program can be read.
func iterable(kind elf.ProgKind, attach string) bool { return kind == elf.KindIter && attach == "task" }

// seqWrite is helpers.Sys.Seq: it follows seq_write, which takes all or nothing.
func (p *Policy) seqWrite(_ uint64, data []byte) bool {
	s := &p.seq
	if s.over || len(s.buf)+len(data) >= seqSize {
		s.over = true
		return false
	}
	s.buf = append(s.buf, data...)
	return true
}

// ReadIter runs a program of the section iter/task as reading its link to the end does (bpf_seq_read, task_seq_next): once for
// each thread by PID, and once without one. What it has written is the result. An error that is an abi.Errno is what read(2)
// fails with.
func (p *Policy) ReadIter(name string) ([]byte, error) {
	if p.loaded == nil {
		return nil, fmt.Errorf("the object is not loaded")
	}
	prog := p.loaded.Prog(name)
	if prog == nil || !iterable(prog.Kind(), prog.Linked().Attach) {
		return nil, fmt.Errorf("%s: program %s: no iterator over tasks that was loaded", p.file, name)
	}
	s := &p.seq
	if s.ctx.bytes == nil {
		for _, o := range []struct {
			o      *object
			name   string
			fields []string
		}{{&s.file, "seq_file", nil}, {&s.meta, "bpf_iter_meta", []string{"seq", "session_id", "seq_num"}}, {&s.ctx, "bpf_iter__task", nil}} {
			if err := o.o.init(p.opt.Mem, p.opt.Kernel, o.name, o.fields); err != nil {
				return nil, err
			}
		}
	}
	var tasks []*sim.Task
	p.env.Machine.Tasks(func(t *sim.Task) { tasks = append(tasks, t) })
	slices.SortFunc(tasks, func(a, b *sim.Task) int { return int(a.PID - b.PID) })

	var out []byte
	s.buf = s.buf[:0]
	for i, t := range append(tasks, nil) {
		addr := addrOf(t)
		kept := len(s.buf)
		ret := p.show(prog, addr, uint64(i))
		if p.kernel == nil || p.loaded == nil {
			return nil, fmt.Errorf("the scheduler is gone")
		}
		if (ret != 0 || s.over) && kept > 0 && t != nil { // the read ends before this task; the next one begins with it
			out = append(out, s.buf[:kept]...)
			s.buf, kept = s.buf[:0], 0
			ret = p.show(prog, addr, uint64(i))
		}
		switch {
		case t == nil && (ret != 0 || s.over):
			s.buf = s.buf[:kept]
		case ret != 0:
			return out, abi.EAGAIN
		case s.over:
			return out, abi.E2BIG
		}
	}
	return append(out, s.buf...), nil
}

// show runs the program for a task.
func (p *Policy) show(prog *sys.Prog, task, seq uint64) (ret uint64) {
	s := &p.seq
	s.over = false
	s.meta.set("seq", s.file.addr)
	s.meta.set("session_id", 1)
	s.meta.set("seq_num", seq)
	// The pointers are in unions, which fill 8 bytes each.
	binary.LittleEndian.PutUint64(s.ctx.bytes[0:], s.meta.addr)
	binary.LittleEndian.PutUint64(s.ctx.bytes[8:], task)
	p.charged(func() {
		r0, f := prog.Run(s.ctx.addr)
		if f != nil && p.fault == "" {
			p.fault = f.Error()
		}
		ret = r0
	})
	return ret
}
