package bpf

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/verifier"
)

// ending is how a scheduler of testdata/lab/errors.bpf.o ended on a kernel, by what its ops.exit was told.
type ending struct {
	Kernel            string
	Table             string
	Refused           string // "load" or "attach", where that was refused
	Kind              ops.ExitKind
	Code              int64
	Reason, Msg, Dump string
}

// told reads what ops.exit has kept (struct told in errors.bpf.c).
func told(t *testing.T, p *Policy) ending {
	t.Helper()
	b, err := p.Global("told")
	if err != nil {
		t.Fatal(err)
	}
	return ending{
		Table: p.Name(), Kind: ops.ExitKind(binary.LittleEndian.Uint32(b)), Code: int64(binary.LittleEndian.Uint64(b[8:])),
		Reason: cString(b[16:144]), Msg: cString(b[144:1168]), Dump: cString(b[1168:]),
	}
}

// endsOtherwise says why a table is not compared on a kernel.
var endsOtherwise = map[string]map[string]string{
	"6.18": {"sub_attach_plain": "callbacks that came later are left out here, as loaders of schedulers do; libbpf by itself refuses them"},
}

// TestKernelErrors: the schedulers of testdata/lab/errors.bpf.o end as scripts/kernel-errors has seen them end on a real kernel:
// with the same kind, code, reason and message to the letter, but for numbers of tasks and times, and a dump of the same lines.
func TestKernelErrors(t *testing.T) {
	data, err := os.ReadFile("testdata/lab/errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var endings []ending
	if err := json.Unmarshal(data, &endings); err != nil {
		t.Fatal(err)
	}
	dumps := 0
	for _, want := range endings {
		for _, engine := range []string{"interp", "jit"} {
			if testing.Short() && (want.Kernel != "7.2" || engine == "interp") {
				continue
			}
			t.Run(want.Kernel+"/"+want.Table+"/"+engine, func(t *testing.T) {
				if why := endsOtherwise[want.Kernel][want.Table]; why != "" {
					t.Skip(why)
				}
				want := want
				got := attachWrong(t, want.Kernel, want.Table, engine)
				wantDump, gotDump := dumpLines(want.Dump), dumpLines(got.Dump)
				if n := len(wantDump); want.Table == "short_dump" && n > 0 {
					// Where it is cut depends on the name of the task in its second line.
					if len(want.Dump) != len(got.Dump) || len(gotDump) != n {
						t.Errorf("%d bytes, on the kernel %d:\n%s", len(got.Dump), len(want.Dump), got.Dump)
					}
					wantDump, gotDump = slices.Delete(wantDump, n-2, n-1), slices.Delete(gotDump, n-2, n-1)
				}
				if len(wantDump) > 0 {
					dumps++
					if d := cmp.Diff(wantDump, gotDump); d != "" {
						t.Errorf("dump (-kernel +simulator):\n%s", d)
					}
				}
				want.Dump, got.Dump = "", ""
				want.Msg, got.Msg = numbers.ReplaceAllString(want.Msg, "$1#"), numbers.ReplaceAllString(got.Msg, "$1#")
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("(-kernel +simulator):\n%s", d)
				}
			})
		}
	}
	if len(endings) < 66 || dumps < 8 && !testing.Short() {
		t.Errorf("only %d endings and %d dumps", len(endings), dumps)
	}
}

// kernelCounters are the variables of an object's .bss by name, as scripts/kernel-errors has read them on a real kernel.
type kernelCounters map[string]any

func (c kernelCounters) of(name string) float64 {
	v, _ := c[name].(float64)
	return v
}

// countersOf finds those of a table on a kernel.
func countersOf(t *testing.T, kernel, table string) kernelCounters {
	t.Helper()
	data, err := os.ReadFile("testdata/lab/counters.json")
	must(t, err)
	var all []kernelCounters
	must(t, json.Unmarshal(data, &all))
	for _, c := range all {
		if c["kernel"] == kernel && c["table"] == table {
			return c
		}
	}
	t.Fatalf("no counters of %s on %s", table, kernel)
	return nil
}

// attachWrong does what errors.c does: three tasks of the policy SCHED_EXT, that run for a millisecond and sleep for one, are there
// when the scheduler is attached, and four seconds pass.
func attachWrong(t *testing.T, kernel, table, engine string) ending {
	r := newRig(t, rigConfig{topo: "1n2l1c1t", quiet: true, kernel: kernel})
	o := r.options(engine)
	o.Table = table
	p, err := New("testdata/lab/errors.bpf.o", o)
	must(t, err)
	t.Cleanup(func() { p.Close() })
	tbl, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
	var refused *verifier.Error
	if errors.As(err, &refused) || err != nil && strings.Contains(err.Error(), "the kernel has no struct") {
		return ending{Kernel: kernel, Table: table, Refused: "load"}
	}
	must(t, err)
	for range 3 {
		r.spawn(sim.TaskSpec{Comm: "w", Policy: sim.PolicyExt, Behavior: periodic(sim.Millisecond, sim.Millisecond)})
	}
	switch table {
	case "pinned": // as if in a program, on CPU 0
		s, err := r.m.Spawn(sim.TaskSpec{Comm: "s", Policy: sim.PolicyExt, CPUs: []sim.CPU{0}, Behavior: hog()})
		must(t, err)
		r.m.MigrateDisable(s)
		r.run(10 * sim.Millisecond)
		must(t, r.m.SetAffinity(s, []sim.CPU{0, 1}))
	case "no_server":
		for range 2 {
			d := sim.Deadline{Runtime: 90 * sim.Millisecond, Deadline: 100 * sim.Millisecond, Period: 100 * sim.Millisecond}
			r.spawn(sim.TaskSpec{Comm: "promised", Policy: sim.PolicyDeadline, DL: d, Behavior: periodic(sim.Microsecond, sim.Second)})
		}
	}
	r.run(50 * sim.Millisecond)
	if table == "not_allowed" || table == "immed_always" { // all on CPU 0
		r.m.Tasks(func(t *sim.Task) {
			if t.Comm == "w" {
				err = errors.Join(err, r.m.SetAffinity(t, []sim.CPU{0}))
			}
		})
		must(t, err)
	}
	err = r.k.Enable(tbl)
	if (err != nil) != (r.k.State() == ops.Disabled) {
		t.Errorf("state %v after %v", r.k.State(), err)
	}
	if table == "hotplug" {
		if err := r.m.CPUDown(1); err != nil {
			t.Fatal(err)
		}
	}
	if table == "disallow_fork" {
		r.spawn(sim.TaskSpec{Comm: "w", Behavior: periodic(sim.Millisecond, sim.Millisecond)})
	}
	r.run(sim.Second)
	switch table { // what the machine does not do by itself
	case "soft_lockup":
		r.k.SoftLockup(1, 1)
	case "rcu_stall":
		r.k.RCUStall(1)
	case "watchdog_late":
		r.k.WatchdogLate(0, 1016)
	}
	r.run(3 * sim.Second)
	r.k.Disable(ops.ExitUnreg)
	e := told(t, p)
	e.Kernel = kernel
	if i := r.k.ExitInfo(); i.Kind != e.Kind || i.ExitCode != e.Code || i.Reason != e.Reason || i.Msg != e.Msg || i.Dump != e.Dump {
		t.Errorf("ops.exit was told %+v, and it was %+v", e, i)
	}
	return e
}

var (
	numbers = regexp.MustCompile(`(\[|failed to run for |check in for |soft lockup - CPU |stuck for |on cgroup |^cgroup )[0-9.]+`)
	// frame is a line of a backtrace; there are none here.
	frame = regexp.MustCompile(`^ +[a-zA-Z0-9_.]+\+0x[0-9a-f]+/0x[0-9a-f]+$`)
	// taskLine begins what is said of a task, cpuLine of a CPU. value is what differs from run to run.
	taskLine = regexp.MustCompile(`^ [* ][A-Z] [^ ]*\[0\] (\*?)`)
	cpuLine  = regexp.MustCompile(`^CPU [0-9]+ *: `)
	exitLine = regexp.MustCompile(`^.*\[0\] triggered`)
	currLine = regexp.MustCompile(`curr=.*\[0\] class=[a-z]+_sched_class`)
	event    = regexp.MustCompile(`^( *SCX_EV_[A-Z_]+:) +[0-9]+$`)
	value    = regexp.MustCompile(`0x[0-9a-f]+|[+-]?[0-9]+(ms)?\b`)
)

// dumpLines are the lines of a dump with what differs from run to run replaced, and of lines that say the same of several tasks
// or CPUs the first only. Event counters keep their width.
func dumpLines(dump string) []string {
	var out []string
	var blocks []string
	seen := func(block string) bool {
		had := slices.Contains(blocks, block)
		blocks = append(blocks, block)
		return had
	}
	for _, block := range strings.Split(numbers.ReplaceAllString(dump, "${1}0"), "\n\n") {
		var lines []string
		for line := range strings.SplitSeq(block, "\n") {
			switch {
			case line == "" || frame.MatchString(line):
				continue
			case event.MatchString(line) && len(line) == 40+2+16:
				line = event.ReplaceAllString(line, "$1 #")
			default:
				line = exitLine.ReplaceAllString(line, "T[#] triggered")
				line = currLine.ReplaceAllString(line, "curr=T[#] class=C")
				line = taskLine.ReplaceAllString(line, " T[0] $1")
				line = cpuLine.ReplaceAllString(line, "CPU #: ")
				line = value.ReplaceAllString(strings.ReplaceAll(line, "dsq_id=(n/a)", "dsq_id=0x0"), "#")
			}
			lines = append(lines, line)
		}
		if text := strings.Join(lines, "\n"); len(lines) > 0 && !seen(text) {
			out = append(out, lines...)
		}
	}
	return out
}
