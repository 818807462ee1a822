package bpf

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/sys"
)

// Programs of the types tracepoint and kprobe are attached through perf events: what they are passed is the record of the
// tracepoint (struct trace_event_raw_*), or the registers at the function's entry or return (struct pt_regs).

// maxTrace is how much of a record a program can access (PERF_MAX_TRACE_SIZE).
const maxTrace = 8192

// perfEvent is the memory of records and registers. There is one: while a program runs on it, events cause none
// (trace_call_bpf).
type perfEvent struct {
	addr  uint64
	bytes []byte
	busy  bool
	k     fieldSource

	record string // the struct, while it is filled
	end    uint32 // of what was filled
}

// fieldSource is kernels.Kernel.
type fieldSource interface {
	Field(path string) (off, size uint32, ok bool)
}

// begin starts a record.
func (e *perfEvent) begin(record string) {
	clear(e.bytes[:e.end])
	e.record, e.end = record, 0
}

// field is the bytes of a member; one that the kernel's record does not have is nil.
func (e *perfEvent) field(name string) []byte {
	off, size, ok := e.k.Field(e.record + "." + name)
	if !ok {
		return nil
	}
	e.end = max(e.end, off+size)
	return e.bytes[off : off+size]
}

// set fills a number.
func (e *perfEvent) set(name string, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(e.field(name), b[:])
}

// word fills a number of 8 bytes at an offset: records of system calls, which BTF does not describe.
func (e *perfEvent) word(off uint32, v uint64) {
	binary.LittleEndian.PutUint64(e.bytes[off:], v)
	e.end = max(e.end, off+8)
}

// text fills a name: an array of characters, or in later kernels its place behind the record (__data_loc).
func (e *perfEvent) text(name, s string) {
	if b := e.field(name); b != nil {
		copy(b[:len(b)-1], s)
		return
	}
	loc := e.field("__data_loc_" + name)
	off, _, ok := e.k.Field(e.record + ".__data")
	if loc == nil || !ok {
		return
	}
	off = max(off, e.end)
	n := copy(e.bytes[off:len(e.bytes)-1], s)
	binary.LittleEndian.PutUint32(loc, uint32(n+1)<<16|off)
	e.end = off + uint32(n) + 1
}

// classic is a tracepoint as programs of the type tracepoint see it.
type classic struct {
	point sim.TracePoint
	when  func(a *sim.TraceArgs) bool
	// record is its struct; "" for a system call.
	record string
	fill   func(p *Policy, e *perfEvent, a *sim.TraceArgs)
	// size is how many bytes of the record a program may look at (trace_event_get_offsets).
	size uint32
}

// The numbers of system calls on x86-64, and the operations with which threads wait for a futex and wake others.
const (
	sysFutex     = 202
	sysExecve    = 59
	futexWait    = 0x80 // FUTEX_WAIT_PRIVATE
	futexWake    = 0x81 // FUTEX_WAKE_PRIVATE
	syscallNr    = 8    // struct syscall_trace_enter.nr
	syscallArgs  = 16   // .args, and syscall_trace_exit.ret
	taskReport   = 0x7f
	reportQueued = 0x100 // TASK_REPORT_MAX: it was preempted
)

// classicTracepoint finds a tracepoint by the name of its section: "sched/sched_switch". What user space passes is 0, but for
// the operation of futexes. A thread that gets another name is one that executes another program.
func classicTracepoint(k fieldSource, name string) (classic, bool) {
	c := classic{}
	last := ""
	switch name {
	case "sched/sched_switch":
		c, last = classic{point: sim.TraceSwitch, record: "trace_event_raw_sched_switch", fill: fillSwitch}, "next_prio"
	case "sched/sched_waking":
		c, last = classic{point: sim.TraceWaking, record: "trace_event_raw_sched_wakeup_template", fill: fillWakeup}, "target_cpu"
	case "sched/sched_wakeup":
		c, last = classic{point: sim.TraceWakeup, record: "trace_event_raw_sched_wakeup_template", fill: fillWakeup}, "target_cpu"
	case "sched/sched_wakeup_new":
		c, last = classic{point: sim.TraceWakeupNew, record: "trace_event_raw_sched_wakeup_template", fill: fillWakeup}, "target_cpu"
	case "sched/sched_migrate_task":
		c, last = classic{point: sim.TraceMigrate, record: "trace_event_raw_sched_migrate_task", fill: fillMigrate}, "dest_cpu"
	case "sched/sched_process_fork":
		c, last = classic{point: sim.TraceFork, record: "trace_event_raw_sched_process_fork", fill: fillFork}, "child_pid"
	case "sched/sched_process_exit":
		c, last = classic{point: sim.TraceExit, record: "trace_event_raw_sched_process_exit", fill: fillExit}, "group_dead"
	case "sched/sched_process_exec":
		c, last = classic{point: sim.TraceRename, record: "trace_event_raw_sched_process_exec", fill: fillExec}, "old_pid"
	case "task/task_rename":
		c, last = classic{point: sim.TraceRename, record: "trace_event_raw_task_rename", fill: fillRename}, "oom_score_adj"
	case "cgroup/cgroup_mkdir":
		c, last = classic{point: sim.TraceCgroupMkdir, record: "trace_event_raw_cgroup", fill: fillCgroup}, "__data_loc_path"
	case "cgroup/cgroup_rmdir":
		c, last = classic{point: sim.TraceCgroupRmdir, record: "trace_event_raw_cgroup", fill: fillCgroup}, "__data_loc_path"
	case "cgroup/cgroup_attach_task":
		c, last = classic{point: sim.TraceCgroupAttachTask, record: "trace_event_raw_cgroup_migrate", fill: fillCgroupMigrate}, "__data_loc_comm"
	}
	if c.fill != nil {
		off, size, ok := k.Field(c.record + "." + last)
		c.size = off + size
		return c, ok
	}
	return syscallTracepoint(name)
}

// syscallTracepoint finds the tracepoint of a system call. A futex has two points in the machine, waiting and waking.
func syscallTracepoint(name string) (classic, bool) {
	enter := func(a *sim.TraceArgs) bool { return a.N == 0 }
	exit := func(a *sim.TraceArgs) bool { return a.N == 1 }
	number := func(nr uint64, ret func(a *sim.TraceArgs) int64) func(*Policy, *perfEvent, *sim.TraceArgs) {
		return func(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
			e.begin("")
			e.word(syscallNr, nr)
			if ret != nil {
				e.word(syscallArgs, uint64(ret(a)))
			}
		}
	}
	switch name {
	case "syscalls/sys_enter_futex":
		return classic{point: sim.TraceFutexWait, when: enter, size: syscallArgs + 6*8, fill: func(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
			e.begin("")
			e.word(syscallNr, sysFutex)
			op := uint64(futexWait)
			if a.Point == sim.TraceFutexWake {
				op = futexWake
			}
			e.word(syscallArgs+8, op)
		}}, true
	case "syscalls/sys_exit_futex":
		return classic{point: sim.TraceFutexWait, when: exit, size: syscallArgs + 8,
			fill: number(sysFutex, func(a *sim.TraceArgs) int64 { return a.Ret })}, true
	case "syscalls/sys_enter_execve":
		return classic{point: sim.TraceRename, size: syscallArgs + 3*8, fill: number(sysExecve, nil)}, true
	case "syscalls/sys_exit_execve":
		return classic{point: sim.TraceRename, size: syscallArgs + 8,
			fill: number(sysExecve, func(*sim.TraceArgs) int64 { return 0 })}, true
	}
	return classic{}, false
}

func fillSwitch(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	prev, next := a.Other, a.Task
	e.text("prev_comm", prev.Comm)
	e.set("prev_pid", uint64(prev.PID))
	e.set("prev_prio", uint64(prev.K.Prio()))
	state := uint64(prev.State) & taskReport
	switch {
	case a.N == 1:
		state = reportQueued
	case prev.State == sim.StateDead:
		state = 0x10 // EXIT_DEAD: nobody waits for it
	}
	e.set("prev_state", state)
	e.text("next_comm", next.Comm)
	e.set("next_pid", uint64(next.PID))
	e.set("next_prio", uint64(next.K.Prio()))
}

func fillWakeup(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.text("comm", a.Task.Comm)
	e.set("pid", uint64(a.Task.PID))
	e.set("prio", uint64(a.Task.K.Prio()))
	e.set("target_cpu", uint64(a.Task.CPU()))
}

func fillMigrate(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.set("pid", uint64(a.Task.PID))
	e.set("prio", uint64(a.Task.K.Prio()))
	e.set("orig_cpu", uint64(a.Task.CPU()))
	e.set("dest_cpu", a.N)
	e.text("comm", a.Task.Comm)
}

func fillFork(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.set("parent_pid", uint64(a.Other.PID))
	e.set("child_pid", uint64(a.Task.PID))
	e.text("parent_comm", a.Other.Comm)
	e.text("child_comm", a.Task.Comm)
}

func fillExit(p *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.text("comm", a.Task.Comm)
	e.set("pid", uint64(a.Task.PID))
	e.set("prio", uint64(a.Task.K.Prio()))
	dead := uint64(1)
	tgid := a.Task.K.TGID()
	p.env.Machine.Tasks(func(t *sim.Task) {
		if t != a.Task && !t.Exiting && t.K.TGID() == tgid {
			dead = 0
		}
	})
	e.set("group_dead", dead)
}

func fillExec(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.set("pid", uint64(a.Task.PID))
	e.set("old_pid", uint64(a.Task.PID))
	e.text("filename", a.Text)
}

func fillRename(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.set("pid", uint64(a.Task.PID))
	e.text("oldcomm", a.Task.Comm)
	e.text("newcomm", a.Text)
}

func fillCgroup(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.set("level", uint64(a.Cgroup.K.Level()))
	e.set("id", a.Cgroup.ID)
	e.text("path", a.Cgroup.Path())
}

func fillCgroupMigrate(_ *Policy, e *perfEvent, a *sim.TraceArgs) {
	e.set("dst_level", uint64(a.Cgroup.K.Level()))
	e.set("dst_id", a.Cgroup.ID)
	e.set("pid", uint64(a.Task.PID))
	e.text("dst_path", a.Cgroup.Path())
	e.text("comm", a.Task.Comm)
}

// registers are those that hold arguments, in order, on x86-64.
var registers = [5]string{"di", "si", "dx", "cx", "r8"}

// probeable tells whether the machine knows the place of a section.
func (p *Policy) probeable(kind elf.ProgKind, section string) bool {
	_, place, _ := strings.Cut(section, "/")
	if kind == elf.KindTracepoint {
		_, ok := classicTracepoint(p.opt.Kernel, place)
		return ok
	}
	_, ok := function(place, kind == elf.KindKprobe)
	return ok || place == registered && kind == elf.KindKprobe
}

// probe attaches a program of the types tracepoint and kprobe. It follows perf_event_set_bpf_prog.
func (p *Policy) probe(prog *sys.Prog, l *link.Program) error {
	if p.events.bytes == nil {
		var err error
		if p.events.addr, p.events.bytes, err = p.opt.Mem.Alloc(maxTrace, 8); err != nil {
			return err
		}
		p.events.k = p.opt.Kernel
	}
	_, place, _ := strings.Cut(l.Section, "/")
	if l.Kind == elf.KindTracepoint {
		c, ok := classicTracepoint(p.opt.Kernel, place)
		if !ok {
			return fmt.Errorf("%s: nothing in the machine happens there: %w", place, abi.ENOENT)
		}
		if n := prog.CtxSize(); n > c.size {
			return fmt.Errorf("program %s: it looks at %d bytes of the record of %s, which has %d: %w", l.Name, n, place, c.size, abi.EACCES)
		}
		prog.Keep()
		points := []sim.TracePoint{c.point}
		if c.point == sim.TraceFutexWait {
			points = append(points, sim.TraceFutexWake)
		}
		for _, point := range points {
			p.env.Machine.OnTrace(point, func(a *sim.TraceArgs) {
				if c.when == nil || c.when(a) {
					p.onEvent(prog, func(e *perfEvent) {
						e.begin(c.record)
						c.fill(p, e, a)
					})
				}
			})
		}
		return nil
	}
	entry := l.Kind == elf.KindKprobe
	run := func(h hook, a *sim.TraceArgs) {
		p.onEvent(prog, func(e *perfEvent) {
			e.begin("pt_regs")
			if !entry {
				e.set("ax", h.result(a))
				return
			}
			args := h.args(p, a)
			for i, r := range registers[:h.nargs] {
				e.set(r, args[i])
			}
		})
	}
	if place == registered && entry {
		prog.Keep()
		p.onReg = append(p.onReg, func() { run(hook{args: noArgs}, nil) })
		return nil
	}
	h, ok := function(place, entry)
	if !ok {
		return fmt.Errorf("%s: nothing in the machine happens there: %w", place, abi.ENOENT)
	}
	prog.Keep()
	p.env.Machine.OnTrace(h.point, func(a *sim.TraceArgs) {
		if h.when == nil || h.when(a) {
			run(h, a)
		}
	})
	return nil
}

// onEvent runs a program on a record. It follows trace_call_bpf: not while one runs already.
func (p *Policy) onEvent(prog *sys.Prog, fill func(e *perfEvent)) {
	if p.kernel == nil || p.events.busy {
		return
	}
	p.events.busy = true
	fill(&p.events)
	p.charged(func() {
		if _, f := prog.Run(p.events.addr); f != nil && p.fault == "" {
			p.fault = f.Error()
		}
	})
	p.events.busy = false
}
