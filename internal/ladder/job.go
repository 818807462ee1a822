package ladder

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm/verifier"
	"github.com/schedsim/schedsim/workloads"
)

// Job is one run: an object on a machine with a workload, or with the workload of a check.
type Job struct {
	Object   string       `json:"object"`             // path
	Workload string       `json:"workload,omitempty"` // name of an example; "" for a check
	Check    string       `json:"check,omitempty"`    // name of a check, which brings workload, machine and length
	Topo     string       `json:"topology,omitempty"`
	Length   sim.Duration `json:"length_ns,omitempty"`
	Seed     uint64       `json:"seed"`
	Kernel   string       `json:"kernel,omitempty"`
	// Costs says that the machine's overheads are on.
	Costs bool `json:"costs"`
}

// Stage is how far a scheduler came.
type Stage string

// The stages, in their order. A run that ends in a stage has passed those before it.
const (
	StageNone    Stage = ""        // not done
	StageMissing Stage = "missing" // the file cannot be read
	StageLoad    Stage = "load"    // refused when it was read, linked or created
	StageVerify  Stage = "verify"  // refused by the verifier
	StageAttach  Stage = "attach"  // refused when it was attached, or by its user-space half
	StageRun     Stage = "run"     // ended with an error while it ran, or schedsim did
	StageCheck   Stage = "check"   // ran, but does not do what its authors say
	StageDone    Stage = "done"    // all went well
)

// rank orders stages.
func (s Stage) rank() int {
	for i, o := range []Stage{StageMissing, StageLoad, StageVerify, StageAttach, StageRun, StageCheck, StageDone} {
		if s == o {
			return i
		}
	}
	return -1
}

// Passed tells whether a run that ended in s has passed o.
func (s Stage) Passed(o Stage) bool { return s.rank() > o.rank() || s == StageDone }

// Result is what a job gave, the same on every machine.
type Result struct {
	Scheduler string `json:"scheduler,omitempty"` // the name in the object's ops table
	CPUs      int    `json:"cpus,omitempty"`
	Tasks     int    `json:"tasks,omitempty"` // of the workload, those that others fork included
	Stage     Stage  `json:"stage"`
	// Reason says why it went no further, "" if it went to the end.
	Reason string `json:"reason,omitempty"`
	// Exit is the kernel's word on a scheduler that ended: "SCX_EXIT_ERROR_STALL".
	Exit       string       `json:"exit,omitempty"`
	Simulated  sim.Duration `json:"simulated_ns"`
	Callbacks  uint64       `json:"callbacks"`
	Insns      uint64       `json:"instructions"`
	Switches   uint64       `json:"context_switches"`
	Migrations uint64       `json:"migrations"`
	Work       uint64       `json:"work_units"`
	Finding    *Finding     `json:"finding,omitempty"` // of a check
	// Notes is the number of remarks of the load.
	Notes int `json:"notes"`
}

// Measured is what a job cost on this machine.
type Measured struct {
	Load time.Duration `json:"load_ns"` // reading, verifying, compiling
	Run  time.Duration `json:"run_ns"`  // attaching and simulating
	// CPU is the CPU time of the process while it ran, those of the garbage collector's threads included. On a machine that does
	// something else too it says more than Run. 0 where the system does not say.
	CPU time.Duration `json:"run_cpu_ns"`
	// Peak is the most memory that the process had resident, in bytes: most of it when the object was verified. End is what it had at
	// the end of the run, Space the part of that which is the memory of the simulated machine. 0 where the system does not say.
	Peak  uint64 `json:"peak_bytes"`
	End   uint64 `json:"end_bytes"`
	Space uint64 `json:"space_bytes"`
}

// Outcome is what is known of a job after it was done.
type Outcome struct {
	Job      Job      `json:"job"`
	Result   Result   `json:"result"`
	Measured Measured `json:"measured"`
}

// PerSecond is n per second of the run's CPU time, of its wall time where that is not known; 0 if it was not measured.
func (m Measured) PerSecond(n float64) float64 {
	d := m.CPU
	if d <= 0 {
		d = m.Run
	}
	if d <= 0 {
		return 0
	}
	return n / d.Seconds()
}

// Run does a job. Whatever goes wrong with it is in the outcome.
func Run(j Job) Outcome { return j.run(func(*runner.Options) {}) }

// run does a job with options that edit may change.
func (j Job) run(edit func(o *runner.Options)) Outcome {
	out := Outcome{Job: j}
	o, check, err := j.options()
	if err != nil {
		out.Result = Result{Stage: StageMissing, Reason: oneLine(err)}
		return out
	}
	edit(&o)
	res := &out.Result
	res.CPUs = len(o.Topo.CPUs)
	o.Notice = func(string) { res.Notes++ }
	var seen *Seen
	if check != nil {
		seen = newSeen(o.Topo)
		o.Sink = seen
	}
	opened, used := time.Time{}, cpuTime()
	o.Tap = func(e sched.Env, _ *ops.Table) {
		opened, used = time.Now(), cpuTime()
		if seen != nil {
			seen.machine = e.Machine
		}
	}
	var last memory
	o.Ended = func() { last = readMemory() }
	start := time.Now()
	r, err := runner.Run(o)
	end := time.Now()
	if opened.IsZero() {
		opened = end
	}
	out.Measured = Measured{Load: opened.Sub(start), Run: end.Sub(opened), CPU: cpuTime() - used, Peak: readMemory().peak, End: last.now, Space: last.space}
	if err != nil {
		res.Stage, res.Reason = stageOf(err, opened != end), oneLine(err)
		return out
	}
	res.fill(r)
	if res.Stage == StageDone && check != nil {
		f := check.Measure(seen.finish(r.Report))
		f.Check, f.Limit = check.Name, check.Limit
		if res.Finding = &f; !f.OK {
			res.Stage, res.Reason = StageCheck, f.Text
		}
	}
	return out
}

// options turns a job into the options of a run.
func (j Job) options() (o runner.Options, check *Check, err error) {
	if _, err := os.Stat(runner.ObjectFile(j.Object)); err != nil && runner.IsObject(j.Object) {
		return o, nil, err
	}
	name, text, shape := "", []byte(nil), j.Topo
	o = runner.Options{Scheduler: j.Object, Duration: j.Length, Seed: j.Seed, Kernel: j.Kernel}
	if j.Check != "" {
		if check = CheckByName(j.Check); check == nil {
			return o, nil, fmt.Errorf("check %q: there is none", j.Check)
		}
		name, text, shape = check.Name, []byte(check.Workload), check.Topo
		o.Duration, o.Globals, o.Members = check.Length, check.Globals, check.Members
	} else {
		name = "example:" + j.Workload
		if text, err = workloads.Example(j.Workload); err != nil {
			return o, nil, err
		}
	}
	if o.Topo, err = topo.Parse(shape); err != nil {
		return o, nil, err
	}
	if o.Workload, err = workloads.Parse(name, text, workloads.Options{CPUs: len(o.Topo.CPUs)}); err != nil {
		return o, nil, err
	}
	if j.Costs {
		o.Costs = runner.DefaultCosts()
	}
	return o, check, nil
}

func (r *Result) fill(res *runner.Result) {
	t := &res.Report.Totals
	r.Scheduler, r.Stage = res.Report.Info.Scheduler, StageDone
	r.Simulated, r.Tasks = res.Report.Info.Length, len(res.Report.Tasks)
	r.Callbacks, r.Insns, r.Switches, r.Migrations, r.Work = t.Callbacks, res.Insns, t.Switches, t.Migrations, t.Work
	if e := res.Report.Exit; e != nil {
		r.Exit = e.Name
		if e.Kind >= ops.ExitError {
			r.Stage, r.Reason = StageRun, exitText(e)
		}
	}
}

func exitText(e *reports.Exit) string {
	if e.Message == "" {
		return e.Reason
	}
	return e.Reason + ": " + strings.TrimSpace(e.Message)
}

// stageOf is where a run failed; opened tells that the object had been loaded.
func stageOf(err error, opened bool) Stage {
	var refused *verifier.Error
	var load *runner.LoadError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return StageMissing
	case errors.As(err, &refused):
		return StageVerify
	case !errors.As(err, &load):
		return StageRun
	case opened:
		return StageAttach
	}
	return StageLoad
}

// oneLine is the last line of an error that says something: the verifier's log comes before it.
func oneLine(err error) string {
	text := ""
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			text = line
			break
		}
	}
	return text
}

// memory is what this process has resident in bytes, 0 where the system does not say: at most so far, now, and of that what is
// shared memory, in which the simulated machine lies.
type memory struct{ peak, now, space uint64 }

func readMemory() (m memory) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return m
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, text, _ := strings.Cut(s.Text(), ":")
		var n *uint64
		switch name {
		case "VmHWM":
			n = &m.peak
		case "VmRSS":
			n = &m.now
		case "RssShmem":
			n = &m.space
		default:
			continue
		}
		kb, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
		*n = kb << 10
	}
	return m
}

// baseName is the name of an object without folder and endings: "scx_simple".
func baseName(path string) string {
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(runner.ObjectFile(path)), ".o"), ".bpf")
}
