package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Machine is a virtual machine to boot.
type Machine struct {
	// Program is QEMU; Data are the folders with its firmware, none for its own.
	Program string
	Data    []string
	Kernel  string // a bzImage
	Initrd  []byte
	CPUs    int
	// Icount has virtual time be the number of instructions (each 2^Shift ns), so that a run repeats bit by bit. QuantumUS bounds
	// the turn of a virtual CPU, 0 for none. Without Icount each virtual CPU is a thread, and times are the host's.
	Icount    bool
	Shift     int
	QuantumUS int
	Seed      uint64
	MemoryMB  int
	Port      string // name of the port that the guest writes to
	// Console takes what the kernel and init print; nil drops it.
	Console io.Writer
}

// kernelArgs: one console, no delays and no randomness of where things lie. Tests of crypto algorithms would keep half a CPU busy
// for the first seconds; task groups by session are nothing that the workloads know of; two threads that look after memory would run
// now and then.
const kernelArgs = "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off nokaslr cryptomgr.notests noautogroup " +
	"damon_stat.enabled=N transparent_hugepage=never"

// Args are QEMU's arguments.
func (m *Machine) Args(initrd, port string) []string {
	var a []string
	for _, d := range m.Data {
		a = append(a, "-L", d)
	}
	a = append(a, "-m", strconv.Itoa(m.MemoryMB), "-smp", strconv.Itoa(m.CPUs), "-cpu", "max", "-nographic", "-no-reboot", "-nodefaults",
		"-serial", "stdio", "-kernel", m.Kernel, "-initrd", initrd,
		"-device", "virtio-serial-pci,ioeventfd=off", "-chardev", "file,id=out,path="+port, "-device", "virtserialport,chardev=out,name="+m.Port,
		"-append", kernelArgs)
	if !m.Icount {
		return append(a, "-accel", "tcg,thread=multi")
	}
	a = append(a, "-accel", "tcg,thread=single", "-icount", fmt.Sprintf("shift=%d,sleep=off", m.Shift),
		"-rtc", "base=2026-01-01,clock=vm", "-seed", strconv.FormatUint(m.Seed, 10))
	if m.QuantumUS > 0 {
		// A virtual CPU's turn ends at every timer of the virtual clock; a filter of a network that nobody is in has one.
		a = append(a, "-netdev", "hubport,hubid=0,id=n0", "-object",
			fmt.Sprintf("filter-buffer,id=f0,netdev=n0,queue=rx,interval=%d", m.QuantumUS))
	}
	return a
}

// ErrTimeout says that the guest did not end in time.
var ErrTimeout = errors.New("the guest did not end in time")

// Run boots the machine, waits until it is off, and returns what it wrote to its port. line is called for each whole line
// while it runs; it may be nil.
func (m *Machine) Run(ctx context.Context, timeout time.Duration, line func(l []byte)) ([]byte, error) {
	dir, err := os.MkdirTemp("", "schedsim-lab-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	initrd, port := filepath.Join(dir, "initrd"), filepath.Join(dir, "port")
	if err := os.WriteFile(initrd, m.Initrd, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(port, nil, 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var tail tailBuffer
	cmd := exec.CommandContext(ctx, m.Program, m.Args(initrd, port)...)
	cmd.Stdout, cmd.Stderr = &tail, &tail
	if m.Console != nil {
		w := io.MultiWriter(&tail, m.Console)
		cmd.Stdout, cmd.Stderr = w, w
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	f := follower{path: port, line: line}
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		select {
		case err = <-done:
			tick.Stop()
			f.poll()
			switch {
			case errors.Is(ctx.Err(), context.DeadlineExceeded):
				err = fmt.Errorf("%w (%v); its console ends with:\n%s", ErrTimeout, timeout, tail.b)
			case err != nil:
				err = fmt.Errorf("qemu: %w: %s", err, tail.b)
			}
			return f.all, err
		case <-tick.C:
			f.poll()
		}
	}
}

// follower reads a file that grows.
type follower struct {
	path string
	all  []byte
	at   int // of the next line
	line func([]byte)
}

func (f *follower) poll() {
	file, err := os.Open(f.path)
	if err != nil {
		return
	}
	defer file.Close()
	if _, err := file.Seek(int64(len(f.all)), io.SeekStart); err != nil {
		return
	}
	more, _ := io.ReadAll(file)
	f.all = append(f.all, more...)
	for {
		i := bytes.IndexByte(f.all[f.at:], '\n')
		if i < 0 {
			return
		}
		if f.line != nil {
			f.line(f.all[f.at : f.at+i])
		}
		f.at += i + 1
	}
}

// tailBuffer keeps the last of what was written to it.
type tailBuffer struct{ b []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	const keep = 4096
	t.b = append(t.b, p...)
	if len(t.b) > keep {
		t.b = t.b[len(t.b)-keep:]
	}
	return len(p), nil
}
