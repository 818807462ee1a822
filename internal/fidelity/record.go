package fidelity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Format is the version of the files. It changes when a key changes its meaning; new keys may come without.
const Format = 1

// Run is one recorded run: one workload under one scheduler on one machine with one seed. Times are in ns.
type Run struct {
	Format   int      `json:"format"`
	Manifest Manifest `json:"manifest"`
	Window   Window   `json:"window"`
	Totals   Totals   `json:"totals"`
	// Start is how the kernel stood before T0, nil if that was not recorded.
	Start *Start `json:"start,omitempty"`
	// Tasks are the workload's tasks, forked ones included, in the order of the workload's file and of their instances.
	Tasks []Task `json:"tasks"`
	// Others are the threads that are not the workload's and ran in the window: the kernel's, the player's.
	Others []Other `json:"others,omitempty"`
	// Exit says why the scheduler ended; nil: it was in charge until the end, or there was none.
	Exit *Exit `json:"exit,omitempty"`
	// Events are the counters of /sys/kernel/sched_ext/root/events (or of the kernel's own report) that are not zero.
	Events []Counter `json:"scx_events,omitempty"`
}

// Manifest says how a run was made: enough to make it again.
type Manifest struct {
	// Workload is the name of the workload's file without ".json", WorkloadSHA256 the hash of its bytes.
	Workload       string `json:"workload"`
	WorkloadSHA256 string `json:"workload_sha256,omitempty"`
	// Scheduler is "eevdf" for the kernel's own, or the name under which the case is known ("scx_simple", "scx_simple-vtime").
	Scheduler string `json:"scheduler"`
	// Object is the file name of the scheduler's object, "" for eevdf; ObjectSHA256 the hash of its bytes.
	Object       string `json:"object,omitempty"`
	ObjectSHA256 string `json:"object_sha256,omitempty"`
	// Globals are the global variables that were set before loading, as for schedsim -G; Members the ops members, as for
	// --ops; Recipe the name of the recipe that played the user-space half.
	Globals map[string]string `json:"globals,omitempty"`
	Members []string          `json:"ops,omitempty"`
	Recipe  string            `json:"recipe,omitempty"`
	CPUs    int               `json:"cpus"`
	Topo    string            `json:"topo,omitempty"` // as for --topo; "": CPUs CPUs, flat
	Kernel  string            `json:"kernel"`         // uname -r
	// Mode is "icount" or "mttcg" (QEMU TCG), "kvm", "host", or "simulator". Shift is icount's, QuantumUS the longest turn of a
	// virtual CPU in us, 0 for none.
	Mode      string `json:"mode"`
	Shift     int    `json:"shift,omitempty"`
	QuantumUS int    `json:"quantum_us,omitempty"`
	Seed      uint64 `json:"seed"`
	SettleMS  int    `json:"settle_ms,omitempty"` // from the start of the guest's init to the start of the job
	// Tools are the versions and hashes of what made the run: "qemu": "10.0.2", "guest": sha256 ...
	Tools map[string]string `json:"tools,omitempty"`
	// Note is anything else that a reader must know.
	Note string `json:"note,omitempty"`
}

// Window is the measured part of a run. All times of the file count from its start, T0: when the tasks of the workload begin.
type Window struct {
	LengthNS int64 `json:"length_ns"`
	// AllEnded says that the window ends because every task of the workload had ended, and not because the time was over.
	AllEnded bool `json:"all_ended,omitempty"`
	// TickNS is the time from T0 to the first tick of CPU 0, negative if it is not known.
	TickNS int64 `json:"tick_ns"`
	// BoundNS is the time from T0 to when the timer comes next that bounds the turns of virtual CPUs (Manifest.QuantumUS), above 0 and at
	// most a turn; 0 if it is not known.
	BoundNS int64 `json:"bound_ns,omitempty"`
	// BoundPPB is how much later than a turn after the last it comes again, in parts per billion: the kernel's clock is faster by that.
	BoundPPB int64 `json:"bound_ppb,omitempty"`
	// Overflow says that events were lost; the numbers of such a run are not compared.
	Overflow bool `json:"overflow,omitempty"`
}

// Quantiles sums up times in ns. A quantile is the smallest sample that at least this part of all do not exceed.
type Quantiles struct {
	N   int64 `json:"n"`
	P50 int64 `json:"p50"`
	P90 int64 `json:"p90"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// Usage is what a task, or all of a workload's tasks together, got in the window.
type Usage struct {
	CPUNS int64 `json:"cpu_ns"`
	// Switches are switches to the task; Preemptions switches away from it while it could have gone on; Migrations the times
	// that it began to run on another CPU than it ran on last.
	Switches    int64 `json:"switches"`
	Preemptions int64 `json:"preemptions"`
	Migrations  int64 `json:"migrations"`
	// Slice is how long the task ran from the switch to it to a preemption. Wake is the time from sched_waking to the switch to the
	// task, for wakeups in the window.
	Slice Quantiles `json:"slice,omitzero"`
	Wake  Quantiles `json:"wake,omitzero"`
	// Units are iterations of phases that compute, Response their response times, Misses timers that had expired before the task
	// came to them, as docs/workloads.md defines the three.
	Units    int64     `json:"units"`
	Response Quantiles `json:"response,omitzero"`
	Misses   int64     `json:"misses"`
}

// Task is one task of the workload.
type Task struct {
	Name     string `json:"name"`  // as the kernel names it: "client-2"
	Group    string `json:"group"` // the task of the workload's file: "client"
	Instance int    `json:"instance"`
	PID      int32  `json:"pid"`
	Nice     int    `json:"nice"`
	Policy   string `json:"policy,omitempty"` // as rt-app writes it; "": SCHED_OTHER
	Cgroup   string `json:"cgroup,omitempty"` // "/web"; "": the root
	// Before are the times before T0 at which the task was made and woken, each with the CPU time that it then used.
	Before [][2]int64 `json:"before,omitempty"`
	// BeforeCPUs are the CPUs on which it ran each of these times last, -1 where it did not run; none on a machine of one CPU.
	BeforeCPUs []int `json:"before_cpus,omitempty"`
	// Asleep is how the task was at Start.AtNS: its CPU (task_cpu), recent_used_cpu, se.vlag, scx.slice and scx.dsq_vtime. All are 0 of
	// tasks that were not there yet, and if it was not recorded.
	Asleep [asleepPlaces]int64 `json:"asleep,omitzero"`
	Usage
}

// Other is a thread that is not the workload's. Measure leaves Name, Nice, Policy and CPUs to its caller.
type Other struct {
	Name     string `json:"name"`
	PID      int32  `json:"pid"`
	Switches int64  `json:"switches"` // to it
	CPUNS    int64  `json:"cpu_ns"`
	Nice     int    `json:"nice,omitempty"`
	Policy   string `json:"policy,omitempty"` // as of tasks
	RTPrio   int    `json:"rtprio,omitempty"`
	// CPUs are the CPUs that it may use; none: all.
	CPUs []int `json:"cpus,omitempty"`
	// Wakes are the times at which it was woken since the workload's first task was made, so that some lie before T0, each with
	// how long it then ran until it slept again: what a simulator needs to have the same disturbances. Who makes the tasks is
	// taken for woken when the first is there.
	Wakes [][2]int64 `json:"wakes,omitempty"`
}

// Totals are numbers of the whole machine. Those of Usage are sums over the workload's tasks, Slice and Wake of all
// their samples.
type Totals struct {
	Usage
	// AllSwitches are all context switches, IdleSwitches those to the idle task, OtherSwitches those to threads that are not the
	// workload's. OtherCPUNS is what these threads used.
	AllSwitches   int64 `json:"all_switches"`
	IdleSwitches  int64 `json:"idle_switches"`
	OtherSwitches int64 `json:"other_switches"`
	OtherCPUNS    int64 `json:"other_cpu_ns"`
	IdleNS        int64 `json:"idle_ns"`
}

// Exit says why a sched_ext scheduler ended.
type Exit struct {
	Kind    int    `json:"kind"`
	Code    int64  `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	AtNS    int64  `json:"at_ns"`
	Dump    string `json:"dump,omitempty"`
}

// Counter is a named number.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Share is a task's part of one CPU.
func (r *Run) Share(u *Usage) float64 {
	if r.Window.LengthNS <= 0 {
		return 0
	}
	return float64(u.CPUNS) / float64(r.Window.LengthNS)
}

// PerSecond is a number of the window per second.
func (r *Run) PerSecond(n int64) float64 {
	if r.Window.LengthNS <= 0 {
		return 0
	}
	return float64(n) * 1e9 / float64(r.Window.LengthNS)
}

// Check tells what is wrong with a run, nil for nothing.
func (r *Run) Check() error {
	m := &r.Manifest
	switch {
	case r.Format != Format:
		return fmt.Errorf("format %d, want %d", r.Format, Format)
	case m.Workload == "" || m.Scheduler == "" || m.Kernel == "":
		return errors.New("the manifest must name the workload, the scheduler and the kernel")
	case !slices.Contains([]string{"icount", "mttcg", "kvm", "host", "simulator"}, m.Mode):
		return fmt.Errorf("mode %q, want icount, mttcg, kvm, host or simulator", m.Mode)
	case m.CPUs < 1:
		return fmt.Errorf("%d CPUs", m.CPUs)
	case r.Window.LengthNS <= 0:
		return fmt.Errorf("a window of %d ns", r.Window.LengthNS)
	case len(r.Tasks) == 0:
		return errors.New("no tasks")
	}
	var cpu int64
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if t.Name == "" || t.Group == "" {
			return fmt.Errorf("task %d: no name or no group", i)
		}
		if t.CPUNS < 0 || t.CPUNS > r.Window.LengthNS {
			return fmt.Errorf("task %s: %d ns of CPU time in a window of %d ns", t.Name, t.CPUNS, r.Window.LengthNS)
		}
		cpu += t.CPUNS
	}
	if room := r.Window.LengthNS * int64(m.CPUs); cpu > room {
		return fmt.Errorf("the tasks have %d ns of CPU time, the machine %d ns", cpu, room)
	}
	return nil
}

// maxFile is how long a file may be.
const maxFile = 16 << 20

// Read reads a run and checks it.
func Read(r io.Reader) (*Run, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var run Run
	if err := d.Decode(&run); err != nil {
		return nil, err
	}
	if err := run.Check(); err != nil {
		return nil, err
	}
	return &run, nil
}

// Write writes a run: indented, a task per line, so that files can be read and compared.
func (r *Run) Write(w io.Writer) error {
	head := *r
	head.Tasks, head.Others = []Task{}, nil
	var cpus []Balancing
	if s := r.Start; s != nil && len(s.CPUs) > 0 {
		cpus = s.CPUs
		s := *s
		s.CPUs = []Balancing{}
		head.Start = &s
	}
	if len(r.Others) > 0 {
		head.Others = []Other{}
	}
	data, err := json.MarshalIndent(&struct {
		*Run
		Others []Other `json:"others,omitzero"`
	}{&head, head.Others}, "", "  ")
	if err != nil {
		return err
	}
	if data, err = fill(data, "cpus", cpus); err != nil {
		return err
	}
	if data, err = fill(data, "tasks", r.Tasks); err != nil {
		return err
	}
	if data, err = fill(data, "others", r.Others); err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// fill puts the elements of a list, a line each, where data has it without any.
func fill[T any](data []byte, key string, list []T) ([]byte, error) {
	if len(list) == 0 {
		return data, nil
	}
	var b bytes.Buffer
	for i := range list {
		line, err := json.Marshal(&list[i])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
	}
	return bytes.Replace(data, fmt.Appendf(nil, "%q: []", key), fmt.Appendf(nil, "%q: [%s\n  ]", key, b.Bytes()), 1), nil
}

// FileName is where a run lies under the folder of recorded runs: WORKLOAD/SCHEDULER-CPUScpu-sSEED.json. Its stream of
// callbacks, if there is one, has ".ops.gz" for ".json".
func (m *Manifest) FileName() string {
	return fmt.Sprintf("%s/%s-%dcpu-s%d.json", m.Workload, m.Scheduler, m.CPUs, m.Seed)
}
