package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
	"github.com/schedsim/schedsim/benchmarks/lab/plan"
	"github.com/schedsim/schedsim/benchmarks/lab/qemu"
	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sim"
)

// packer makes the guest's part of a job and the files that it needs.
type packer struct {
	l       *lab
	j       *job.Job
	guest   job.Guest
	files   map[string][]byte
	tools   map[string]string
	objects []string // folders
}

// leadTime is how long the tasks of a workload are there before T0.
const leadTime = 300 * sim.Millisecond

// phase is where T0 lies between two ticks of 4 ms: for each seed elsewhere, and nowhere such that periods of whole
// milliseconds come to lie on ticks.
func phase(seed uint64) sim.Duration {
	const us = sim.Microsecond
	phases := [...]sim.Duration{1000 * us, 2300 * us, 3600 * us, 700 * us, 1700 * us, 2700 * us, 3300 * us, 300 * us}
	return phases[(seed-1)%uint64(len(phases))]
}

// tapped ends the names of schedulers in runs with a stream of callbacks.
const tapped = "-tap"

func pack(l *lab, j *job.Job, g *guestFiles, objects []string) (*packer, error) {
	p := &packer{l: l, j: j, files: map[string][]byte{}, objects: append(objects, l.objects()...),
		tools: map[string]string{"qemu": l.qemuVersion(), "guest": g.hash}}
	for name, data := range g.files {
		p.files[name] = data
	}
	p.guest = job.Guest{CPUs: j.CPUs, SettleMS: j.SettleMS}
	for i := range j.Steps {
		if err := p.step(&j.Steps[i]); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(&p.guest)
	if err != nil {
		return nil, err
	}
	p.files[job.JobFile] = data
	return p, nil
}

func (p *packer) step(s *job.Step) error {
	for guest, host := range s.Add {
		data, err := os.ReadFile(host)
		if err != nil {
			return err
		}
		p.files[guest] = data
	}
	switch s.Do {
	case "verify":
		for _, o := range s.Objects {
			at, _, err := p.object(o)
			if err != nil {
				return err
			}
			p.guest.Steps = append(p.guest.Steps, job.GuestStep{Verify: &job.Verify{Name: filepath.Base(o), Object: at}})
		}
	case "exec":
		p.guest.Steps = append(p.guest.Steps, job.GuestStep{Exec: s.Argv, Apart: s.Apart})
	case "dmesg":
		p.guest.Steps = append(p.guest.Steps, job.GuestStep{Dmesg: true})
	case "play":
		for _, w := range s.Workloads {
			for _, sched := range s.Schedulers {
				play, err := p.play(w, sched)
				if err != nil {
					return err
				}
				play.Stream, play.StreamNS, play.Events = s.Stream, int64(s.StreamMS)*1e6, s.Events
				if s.Stream && len(play.Agent) > 0 {
					// Its figures are not those of a run without.
					play.Manifest.Scheduler += tapped
					play.Manifest.Note = "callbacks were recorded, which took time away from the tasks"
				}
				p.guest.Steps = append(p.guest.Steps, job.GuestStep{Play: play})
			}
		}
	}
	return nil
}

// object puts an object into the guest and returns its place there and its hash.
func (p *packer) object(name string) (string, string, error) {
	path, err := findObject(name, p.objects)
	if err != nil {
		return "", "", err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	hash := sum(data)
	at := "/o/" + hash[:12] + "-" + filepath.Base(path)
	p.files[at] = data
	return at, hash, nil
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func (p *packer) play(workload, sched string) (*job.Play, error) {
	text, err := os.ReadFile(workload)
	if err != nil {
		return nil, err
	}
	s, err := findScheduler(sched)
	if err != nil {
		return nil, err
	}
	pl, err := plan.Compile(workload, text, plan.Options{CPUs: p.j.CPUs, Seed: p.j.Seed, Lead: leadTime, Phase: phase(p.j.Seed)})
	if err != nil {
		return nil, err
	}
	m := fidelity.Manifest{
		Workload: strings.TrimSuffix(filepath.Base(workload), ".json"), WorkloadSHA256: sum(text), Scheduler: s.Name, CPUs: p.j.CPUs,
		Kernel: "unknown", Mode: p.j.Mode, Seed: p.j.Seed, SettleMS: p.j.SettleMS, Tools: p.tools, Globals: s.globals(p.j.CPUs),
	}
	if p.j.Mode == "icount" {
		m.Shift, m.QuantumUS = *p.j.Shift, max(p.j.QuantumUS, 0)
	}
	for _, k := range sortedKeys(s.Ops) {
		m.Members = append(m.Members, k+"="+s.Ops[k])
	}
	file := "/plan/" + m.Workload
	p.files[file] = []byte(pl.Text)
	out := &job.Play{Plan: file, Cgroups: pl.Cgroups, Tasks: pl.Tasks, Duration: int64(pl.Duration)}
	for _, f := range pl.Files {
		out.Files = append(out.Files, [2]string{f.Path, f.Text})
	}
	if s.Object != "" {
		at, hash, err := p.object(s.Object)
		if err != nil {
			return nil, err
		}
		m.Object, m.ObjectSHA256 = filepath.Base(s.Object), hash
		out.Agent = s.agent(at, p.j.CPUs)
	}
	out.Manifest = m
	return out, nil
}

// archive is the initramfs, its files in order of name.
func (p *packer) archive() []byte {
	a := qemu.NewArchive()
	for _, name := range sortedKeys(p.files) {
		mode := uint32(0o644)
		if name == "/init" || strings.HasPrefix(name, "/bin/") {
			mode = 0o755
		}
		for _, s := range p.guest.Steps {
			if len(s.Exec) > 0 && s.Exec[0] == name {
				mode = 0o755
			}
		}
		a.Add(name, p.files[name], mode)
	}
	return a.Bytes()
}

// outcome is what a boot gave: files by name, those with several records a line each.
type outcome struct {
	files    map[string][]byte
	problems []job.Problem
	steps    int // done
	took     time.Duration
}

// errStuck says that a step took longer than it may, errDied that a guest ended before it was through.
var (
	errStuck = errors.New("the guest hangs")
	errDied  = errors.New("the guest ended")
)

// boot does a job. progress may be nil.
func boot(ctx context.Context, l *lab, j *job.Job, objects []string, progress, console io.Writer) (*outcome, error) {
	image, err := l.kernel(j.Kernel)
	if err != nil {
		return nil, err
	}
	g, err := l.build()
	if err != nil {
		return nil, err
	}
	p, err := pack(l, j, g, objects)
	if err != nil {
		return nil, err
	}
	m := qemu.Machine{Program: l.qemu(), Data: l.firmware(), Kernel: image, Initrd: p.archive(), CPUs: j.CPUs, Icount: j.Mode == "icount",
		Shift: *j.Shift, QuantumUS: max(j.QuantumUS, 0), Seed: j.Seed, MemoryMB: j.MemoryMB, Port: job.Port, Console: console}
	start := time.Now()
	steps := 0
	say := func(format string, args ...any) {
		if progress != nil {
			fmt.Fprintf(progress, format+"\n", args...)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.Duration(j.StepTimeoutS) * time.Second
	stuck := time.AfterFunc(patience, func() { cancel(errStuck) })
	defer stuck.Stop()
	say("booting: %d CPUs, %s, seed %d, %d steps", j.CPUs, j.Mode, j.Seed, len(p.guest.Steps))
	port, err := m.Run(ctx, time.Duration(j.TimeoutS)*time.Second, func(line []byte) {
		var l job.Line
		if json.Unmarshal(line, &l) != nil || l.File != "progress" {
			return
		}
		steps++
		stuck.Reset(patience)
		say("%6.1f s  %d/%d %s", time.Since(start).Seconds(), steps, len(p.guest.Steps), bytes.Trim(l.Data, `"`))
	})
	out, e := split(port)
	out.took, out.steps = time.Since(start), steps
	switch {
	case errors.Is(context.Cause(ctx), errStuck):
		err = fmt.Errorf("%w: step %d took longer than %v", errStuck, steps+1, patience)
	case err == nil:
		err = e
	}
	if err == nil && steps < len(p.guest.Steps) {
		err = fmt.Errorf("%w after %d of %d steps%s", errDied, steps, len(p.guest.Steps), firstProblem(out))
	}
	return out, err
}

func firstProblem(o *outcome) string {
	if len(o.problems) == 0 {
		return ""
	}
	return ": " + o.problems[0].Step + ": " + o.problems[0].Error
}

// split takes apart what the guest wrote.
func split(port []byte) (*outcome, error) {
	out := &outcome{files: map[string][]byte{}}
	n := 0
	for line := range bytes.Lines(port) {
		n++
		var l job.Line
		if err := json.Unmarshal(line, &l); err != nil {
			return out, fmt.Errorf("the guest's line %d: %w", n, err)
		}
		switch {
		case l.File == "progress":
		case l.File == "problems.jsonl":
			var p job.Problem
			if err := json.Unmarshal(l.Data, &p); err != nil {
				return out, fmt.Errorf("the guest's line %d: %w", n, err)
			}
			out.problems = append(out.problems, p)
			fallthrough
		case l.Raw == nil:
			out.files[l.File] = append(append(out.files[l.File], l.Data...), '\n')
		default:
			out.files[l.File] = append(out.files[l.File], l.Raw...)
		}
	}
	return out, nil
}
