// Package job is what the lab's runner and its guest agree on: the jobs that people write (Job), what of them goes into the
// guest (Guest), and the records that come out of it (Line).
package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/internal/fidelity"
)

// Job is one boot of the lab's kernel and what to do in it. Zero values are the defaults that the comments say.
type Job struct {
	CPUs int `json:"cpus,omitempty"` // 1
	// Mode is "icount", in which equal inputs give equal bytes, or "mttcg", which is faster and whose times mean nothing.
	Mode string `json:"mode,omitempty"` // icount
	Seed uint64 `json:"seed,omitempty"` // 1; of QEMU and of random durations
	// Shift: an instruction takes 2^Shift ns. QuantumUS is the longest turn of a virtual CPU, -1 for none.
	Shift     *int `json:"shift,omitempty"`      // 1
	QuantumUS int  `json:"quantum_us,omitempty"` // 20
	SettleMS  int  `json:"settle_ms,omitempty"`  // 2000: virtual time before the first step
	MemoryMB  int  `json:"memory_mb,omitempty"`  // 1500
	TimeoutS  int  `json:"timeout_s,omitempty"`  // 900: of the host's time
	// StepTimeoutS is how long a step may take, the boot being part of the first. A guest that hangs ends then; what it did is kept.
	StepTimeoutS int `json:"step_timeout_s,omitempty"` // 600: of the host's time
	// Kernel is the series of the kernel.
	Kernel string `json:"kernel,omitempty"` // 7.2
	Steps  []Step `json:"steps"`
}

// Step is one thing to do. Do says which of the other fields count.
type Step struct {
	// Do is "play" (workloads under schedulers: runs), "verify" (objects: a verdict of each program alone), "exec" (a static
	// program of the host in the guest: its output and status), or "dmesg" (the kernel's log).
	Do string `json:"do"`
	// Workloads are files. Schedulers are names of the list of schedulers, or "eevdf". A play step plays each under each.
	Workloads  []string `json:"workloads,omitempty"`
	Schedulers []string `json:"schedulers,omitempty"`
	// Stream asks for the callbacks, Events for the stream of scheduler events.
	Stream bool `json:"stream,omitempty"`
	Events bool `json:"events,omitempty"`
	// StreamMS is how much of the window the stream is of; 0: all.
	StreamMS int `json:"stream_ms,omitempty"`
	// Objects are files.
	Objects []string `json:"objects,omitempty"`
	// Argv is the command, Add further files: path in the guest to path on the host. Apart keeps what it writes to standard error apart.
	Argv  []string          `json:"argv,omitempty"`
	Add   map[string]string `json:"add,omitempty"`
	Apart bool              `json:"apart,omitempty"`
}

// Parse reads a job and fills in the defaults.
func Parse(data []byte) (*Job, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	j := &Job{}
	if err := d.Decode(j); err != nil {
		return nil, err
	}
	return j, j.Check()
}

// Check fills in the defaults and tells what is wrong.
func (j *Job) Check() error {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&j.CPUs, 1)
	def(&j.QuantumUS, 20)
	def(&j.SettleMS, 2000)
	def(&j.MemoryMB, 1500)
	def(&j.TimeoutS, 900)
	def(&j.StepTimeoutS, 600)
	if j.Shift == nil {
		one := 1
		j.Shift = &one
	}
	if j.Mode == "" {
		j.Mode = "icount"
	}
	if j.Seed == 0 {
		j.Seed = 1
	}
	if j.Kernel == "" {
		j.Kernel = "7.2"
	}
	switch {
	case j.CPUs < 1 || j.CPUs > 64:
		return fmt.Errorf("cpus: %d, expected 1 to 64", j.CPUs)
	case j.Mode != "icount" && j.Mode != "mttcg":
		return fmt.Errorf("mode: %q, expected icount or mttcg", j.Mode)
	case *j.Shift < 0 || *j.Shift > 10:
		return fmt.Errorf("shift: %d, expected 0 to 10", *j.Shift)
	case len(j.Steps) == 0:
		return errors.New("steps: none")
	}
	for i := range j.Steps {
		s := &j.Steps[i]
		switch {
		case !slices.Contains([]string{"play", "verify", "exec", "dmesg"}, s.Do):
			return fmt.Errorf("step %d: do: %q, expected play, verify, exec or dmesg", i+1, s.Do)
		case s.Do == "play" && (len(s.Workloads) == 0 || len(s.Schedulers) == 0):
			return fmt.Errorf("step %d: play: expected workloads and schedulers", i+1)
		case s.Do == "verify" && len(s.Objects) == 0:
			return fmt.Errorf("step %d: verify: expected objects", i+1)
		case s.Do == "exec" && len(s.Argv) == 0:
			return fmt.Errorf("step %d: exec: expected argv", i+1)
		}
	}
	return nil
}

// Guest is what the guest's init does, in /job.json.
type Guest struct {
	CPUs     int         `json:"cpus"`
	SettleMS int         `json:"settle_ms"`
	Steps    []GuestStep `json:"steps"`
}

// GuestStep is a step with everything that it needs: exactly one of its fields is set.
type GuestStep struct {
	Play   *Play    `json:"play,omitempty"`
	Verify *Verify  `json:"verify,omitempty"`
	Exec   []string `json:"exec,omitempty"`
	Apart  bool     `json:"apart,omitempty"`
	Dmesg  bool     `json:"dmesg,omitempty"`
}

// Play is one workload under one scheduler.
type Play struct {
	Manifest fidelity.Manifest `json:"manifest"`
	// Plan is a file in the guest. Cgroups and Files are made before the scheduler is attached. Tasks are the names of the plan's tasks.
	Plan     string      `json:"plan"`
	Cgroups  []string    `json:"cgroups,omitempty"`
	Files    [][2]string `json:"files,omitempty"`
	Tasks    []string    `json:"tasks"`
	Duration int64       `json:"duration"`
	// Agent are the commands that bring the scheduler into charge; none: the kernel's own is.
	Agent    []string `json:"agent,omitempty"`
	Stream   bool     `json:"stream,omitempty"`
	StreamNS int64    `json:"stream_ns,omitempty"` // 0: of the whole window
	Events   bool     `json:"events,omitempty"`
}

// Verify is an object to ask the verifier about.
type Verify struct {
	Name   string `json:"name"`
	Object string `json:"object"` // in the guest
}

// Line is a line that comes out of the guest: a piece of a file, as JSON or as bytes.
type Line struct {
	File string          `json:"file"`
	Raw  []byte          `json:"raw,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Places in the guest.
const (
	JobFile    = "/job.json"
	AgentFile  = "/bin/agent"
	PlayerFile = "/bin/player"
	RecordFile = "/bpf/record.bpf.o"
	TapFile    = "/bpf/tap.bpf.o"
	LookFile   = "/bpf/look.bpf.o"
	InitFile   = "/bpf/init.bpf.o"
	Port       = "lab.out" // the name of the virtio port
)

// Records is how many scheduler events, and as many callbacks, are kept of each CPU.
const Records = 1 << 18

// Verdict is what the verifier said of one program.
type Verdict struct {
	Object  string `json:"object"`
	Program string `json:"program"`
	Section string `json:"section"`
	Errno   int    `json:"errno"`           // 0: accepted
	Insns   int    `json:"insns,omitempty"` // processed
	States  int    `json:"states,omitempty"`
	Peak    int    `json:"peak_states,omitempty"`
	Log     string `json:"log,omitempty"`
	Error   string `json:"error,omitempty"` // of the loader, where there is no log
}

// Executed is what an exec step gave.
type Executed struct {
	Argv   []string `json:"argv"`
	Status int      `json:"status"`
	Output string   `json:"output"`           // what it wrote to standard output, and to standard error unless that is apart
	Errors string   `json:"errors,omitempty"` // to standard error
}

// Problem is something that went wrong in a step; the steps after it were done.
type Problem struct {
	Step  string `json:"step"`
	Error string `json:"error"`
	Log   string `json:"log,omitempty"`
}
