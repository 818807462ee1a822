package fidelity

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Stream is what a scheduler was called with: the callbacks of sched_ext_ops in order of time. Its text form, which may be
// compressed with gzip, has a line each:
//
//	# a comment
//	cpus N
//	tick NS                the first tick of CPU 0 after T0; left out if unknown
//	until NS               the stream is whole up to here; left out: up to its last line
//	task PID NICE NAME     a task of the workload; all other PIDs are the kernel's or the recorder's
//	T CPU OP PID A B SLICE VTIME
//
// T counts in ns from T0 and may be negative. OP is a member of sched_ext_ops, noted when it was called, or, with "_ret" behind
// it, when it returned. PID is its task (dispatch: the previous one), 0 for none. A and B are its arguments as
// OpArgs names them, in hex with 0x; SLICE and VTIME are p->scx.slice and p->scx.dsq_vtime at that time. A column that was
// not recorded is "-", at the end of a line it may be left out.
type Stream struct {
	CPUs  int
	Tick  int64 // -1: unknown
	Until int64
	Tasks []StreamTask
	Ops   []Op
}

// StreamTask is a task of the workload.
type StreamTask struct {
	PID  int32
	Nice int
	Name string
}

// Op is one callback.
type Op struct {
	At   int64
	CPU  int32
	Name string
	PID  int32
	// A, B, Slice and VTime are nothing where they were not recorded.
	A, B, Slice, VTime Value
}

// Value is a number that may not be there.
type Value struct {
	N  uint64
	OK bool
}

// Num is a number that is there.
func Num(n uint64) Value { return Value{n, true} }

// opArgs says what A and B of each callback are; "" for nothing. Callbacks that are not here have neither.
var opArgs = []struct{ name, a, b string }{
	{"select_cpu", "prev_cpu", "wake_flags"},
	{"select_cpu_ret", "cpu", "1 if it was idle"},
	{"enqueue", "enq_flags", "cpu of the task"},
	{"dequeue", "deq_flags", ""},
	{"dispatch", "cpu", "flags of prev, prev->scx.flags"},
	{"dispatch_ret", "cpu", "1 if a task was moved to the local queue, | prev->scx.flags << 8"},
	{"tick", "", ""},
	{"runnable", "enq_flags", ""},
	{"running", "p->scx.weight", ""},
	{"stopping", "runnable", ""},
	{"quiescent", "deq_flags", ""},
	{"yield", "pid of to", ""},
	{"set_weight", "weight", ""},
	{"set_cpumask", "first word of the mask", ""},
	{"update_idle", "cpu", "idle"},
	{"cpu_acquire", "cpu", ""},
	{"cpu_release", "cpu", "reason"},
	{"init_task", "fork", ""},
	{"exit_task", "cancelled", ""},
	{"enable", "", ""},
	{"disable", "", ""},
	{"cpu_online", "cpu", ""},
	{"cpu_offline", "cpu", ""},
}

// OpArgs names the arguments of a callback; ok tells that the stream knows it.
func OpArgs(op string) (a, b string, ok bool) {
	for _, o := range opArgs {
		if o.name == op {
			return o.a, o.b, true
		}
	}
	return "", "", false
}

// String is the op's line.
func (o Op) String() string {
	cols := []string{strconv.FormatInt(o.At, 10), strconv.Itoa(int(o.CPU)), o.Name, strconv.Itoa(int(o.PID)),
		o.A.text(16), o.B.text(16), o.Slice.text(10), o.VTime.text(10)}
	for cols[len(cols)-1] == "-" {
		cols = cols[:len(cols)-1]
	}
	return strings.Join(cols, " ")
}

func (v Value) text(base int) string {
	switch {
	case !v.OK:
		return "-"
	case base == 16:
		return "0x" + strconv.FormatUint(v.N, 16)
	}
	return strconv.FormatUint(v.N, base)
}

// Write writes the text form, not compressed.
func (s *Stream) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "cpus %d\n", s.CPUs)
	if s.Tick >= 0 {
		fmt.Fprintf(b, "tick %d\n", s.Tick)
	}
	if s.Until > 0 {
		fmt.Fprintf(b, "until %d\n", s.Until)
	}
	for _, t := range s.Tasks {
		fmt.Fprintf(b, "task %d %d %s\n", t.PID, t.Nice, t.Name)
	}
	for i := range s.Ops {
		fmt.Fprintln(b, s.Ops[i])
	}
	return b.Flush()
}

// ReadStreamFile reads a file, compressed or not.
func ReadStreamFile(name string) (*Stream, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := bufio.NewReader(f)
	var r io.Reader = b
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if r, err = gzip.NewReader(b); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	s, err := ReadStream(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// ReadStream reads the text form.
func ReadStream(r io.Reader) (*Stream, error) {
	s := &Stream{Tick: -1}
	names := map[string]string{} // one string per name
	sc := bufio.NewScanner(r)
	n := 0
	for sc.Scan() {
		n++
		if err := s.line(sc.Text(), names); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if s.CPUs < 1 {
		return nil, errors.New("no line \"cpus N\"")
	}
	for i := range s.Ops {
		if o := &s.Ops[i]; int(o.CPU) >= s.CPUs {
			return nil, fmt.Errorf("callback %d: CPU %d of %d", i, o.CPU, s.CPUs)
		}
	}
	slices.SortStableFunc(s.Ops, func(a, b Op) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	if s.Until == 0 && len(s.Ops) > 0 {
		s.Until = s.Ops[len(s.Ops)-1].At + 1
	}
	return s, nil
}

func (s *Stream) line(line string, names map[string]string) error {
	f := strings.Fields(line)
	if len(f) == 0 || f[0][0] == '#' {
		return nil
	}
	num := func(to *int64) error {
		if len(f) != 2 {
			return fmt.Errorf("%q: want one number", line)
		}
		v, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || v < 0 {
			return fmt.Errorf("%q: want a number, 0 or more", line)
		}
		*to = v
		return nil
	}
	switch f[0] {
	case "cpus":
		var v int64
		err := num(&v)
		s.CPUs = int(min(v, 1<<16))
		return err
	case "tick":
		return num(&s.Tick)
	case "until":
		return num(&s.Until)
	case "task":
		var t StreamTask
		if len(f) < 4 {
			return fmt.Errorf("%q: want task PID NICE NAME", line)
		}
		pid, err := strconv.ParseInt(f[1], 10, 32)
		nice, err2 := strconv.Atoi(f[2])
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		t.PID, t.Nice, t.Name = int32(pid), nice, strings.Join(f[3:], " ")
		s.Tasks = append(s.Tasks, t)
		return nil
	}
	o, err := parseOp(f)
	if err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	if name, ok := names[o.Name]; ok {
		o.Name = name
	} else {
		names[strings.Clone(o.Name)] = strings.Clone(o.Name)
	}
	s.Ops = append(s.Ops, o)
	return nil
}

func parseOp(f []string) (o Op, err error) {
	if len(f) < 4 || len(f) > 8 {
		return o, errors.New("want T CPU OP PID A B SLICE VTIME")
	}
	if o.At, err = strconv.ParseInt(f[0], 10, 64); err != nil {
		return o, err
	}
	cpu, err := strconv.ParseUint(f[1], 10, 16)
	if err != nil {
		return o, err
	}
	o.CPU, o.Name = int32(cpu), f[2]
	if _, _, ok := OpArgs(o.Name); !ok {
		return o, fmt.Errorf("no callback %q", o.Name)
	}
	pid, err := strconv.ParseInt(f[3], 10, 32)
	if err != nil {
		return o, err
	}
	o.PID = int32(pid)
	for i, to := range []*Value{&o.A, &o.B, &o.Slice, &o.VTime} {
		if i+4 >= len(f) || f[i+4] == "-" {
			continue
		}
		if to.N, err = strconv.ParseUint(f[i+4], 0, 64); err != nil {
			return o, err
		}
		to.OK = true
	}
	return o, nil
}
