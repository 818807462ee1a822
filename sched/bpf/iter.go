package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/sys"
)

// Programs of the type iter run when user space reads a file of theirs. Of their targets, tasks are modelled.

// seqFile are the arguments of an iterator, and what it writes to while it runs.
type seqFile struct {
	file, meta, ctx object
	to              *sys.Seq
}

// iterable tells whether a program can be read.
func iterable(kind elf.ProgKind, attach string) bool { return kind == elf.KindIter && attach == "task" }

// seqWrite is helpers.Sys.Seq.
func (p *Policy) seqWrite(_ uint64, data []byte) bool { return p.seq.to != nil && p.seq.to.Write(data) }

// iters is what can be read: threads by PID (task_seq_get_next).
func (p *Policy) iters() []sys.IterTarget {
	return []sys.IterTarget{{Name: "task", Resched: true, Tasks: true, Next: p.nextTask, Show: p.showTask}}
}

// nextTask follows task_seq_get_next.
func (p *Policy) nextTask(which sys.IterTasks, place *uint32) uint64 {
	var next *sim.Task
	p.env.Machine.Tasks(func(t *sim.Task) {
		pid := uint32(t.PID)
		switch {
		case pid < *place, which.TID != 0 && pid != which.TID, next != nil && t.PID > next.PID:
		case which.PID != 0 && uint32(t.K.TGID()) != which.PID:
		default:
			next = t
		}
	})
	if next == nil {
		return 0
	}
	*place = uint32(next.PID)
	return addrOf(next)
}

// ReadIter reads a program of the section iter/task to the end, as a process does with a link of it. An error that is an
// abi.Errno is what read(2) fails with.
func (p *Policy) ReadIter(name string) ([]byte, error) {
	if p.loaded == nil {
		return nil, fmt.Errorf("the object is not loaded")
	}
	prog := p.loaded.Prog(name)
	if prog == nil || !iterable(prog.Kind(), prog.Linked().Attach) {
		return nil, fmt.Errorf("%s: program %s: no iterator over tasks that was loaded", p.file, name)
	}
	return p.loaded.ReadIter(name)
}

// showTask runs the program for a task, 0 for the end. It follows task_seq_show.
func (p *Policy) showTask(prog *sys.Prog, to *sys.Seq, task uint64) (ret uint64, err error) {
	s := &p.seq
	if s.ctx.bytes == nil {
		for _, o := range []struct {
			o      *object
			name   string
			fields []string
		}{{&s.file, "seq_file", nil}, {&s.meta, "bpf_iter_meta", []string{"seq", "session_id", "seq_num"}}, {&s.ctx, "bpf_iter__task", nil}} {
			if err := o.o.init(p.opt.Mem, p.opt.Kernel, o.name, o.fields); err != nil {
				return 0, err
			}
		}
	}
	outer := s.to
	s.to = to
	defer func() { s.to = outer }()
	s.meta.set("seq", s.file.addr)
	s.meta.set("session_id", to.Session)
	s.meta.set("seq_num", to.Num)
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
	if p.kernel == nil || p.loaded == nil {
		return 0, fmt.Errorf("the scheduler is gone")
	}
	return ret, nil
}
