//go:build linux && amd64

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "this is the init of the lab's virtual machine")
		os.Exit(1)
	}
	g := &guest{}
	defer powerOff()
	defer func() {
		if r := recover(); r != nil {
			g.problem("init", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	if err := g.mount(); err != nil {
		fmt.Println(err)
		return
	}
	if err := g.run(); err != nil {
		g.problem("init", err)
	}
}

// guest is the init at work.
type guest struct {
	out   *os.File
	agent *agent
}

func (g *guest) run() error {
	// The collector works only between the steps.
	debug.SetGCPercent(-1)
	var j job.Guest
	data, err := os.ReadFile(job.JobFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	g.emit("boot.json", map[string]string{"release": release(), "version": read("/proc/version"), "cmdline": read("/proc/cmdline")})
	time.Sleep(time.Duration(j.SettleMS) * time.Millisecond)
	for i := range j.Steps {
		s := &j.Steps[i]
		name, err := g.step(s, &j)
		if err != nil {
			g.problem(name, err)
		}
		g.emit("progress", name)
		runtime.GC()
	}
	return nil
}

func (g *guest) step(s *job.GuestStep, j *job.Guest) (string, error) {
	switch {
	case s.Play != nil:
		m := &s.Play.Manifest
		return fmt.Sprintf("%s %s", m.Workload, m.Scheduler), g.play(s.Play, j.CPUs)
	case s.Verify != nil:
		return "verify " + s.Verify.Name, g.verify(s.Verify)
	case len(s.Exec) > 0:
		return "exec " + s.Exec[0], g.exec(s.Exec, s.Apart)
	case s.Dmesg:
		g.raw("dmesg.txt", []byte(strings.Join(kernelLog(), "\n")+"\n"))
		return "dmesg", nil
	}
	return "nothing", nil
}

// mount mounts what steps need and opens the port.
func (g *guest) mount() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"bpf", "/sys/fs/bpf"},
		{"tracefs", "/sys/kernel/tracing"}, {"debugfs", "/sys/kernel/debug"}, {"cgroup2", cgroupRoot}} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	ports, err := filepath.Glob("/sys/class/virtio-ports/*")
	if err != nil {
		return err
	}
	for _, p := range ports {
		if read(p+"/name") == job.Port {
			g.out, err = os.OpenFile("/dev/"+filepath.Base(p), os.O_WRONLY, 0)
			return err
		}
	}
	return fmt.Errorf("no port %s", job.Port)
}

// emit writes a record to a file of the host; files of several records are lines.
func (g *guest) emit(file string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		data, _ = json.Marshal(err.Error())
	}
	g.write(job.Line{File: file, Data: data})
}

// raw adds bytes to a file of the host.
func (g *guest) raw(file string, data []byte) {
	for len(data) > 0 {
		n := min(len(data), 1<<20)
		g.write(job.Line{File: file, Raw: data[:n]})
		data = data[n:]
	}
}

func (g *guest) write(l job.Line) {
	data, err := json.Marshal(l)
	if err == nil {
		_, err = g.out.Write(append(data, '\n'))
	}
	if err != nil {
		fmt.Println("port:", err)
	}
}

func (g *guest) problem(step string, err error) {
	p := job.Problem{Step: step, Error: err.Error()}
	if e, ok := err.(*agentError); ok {
		p.Log = e.log
	}
	g.emit("problems.jsonl", p)
}

// read is the content of a file without the space around it, "" if it cannot be read.
func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func release() string { return read("/proc/sys/kernel/osrelease") }

// kernelLog is what the kernel's log holds, an entry a line.
func kernelLog() []string {
	fd, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return []string{err.Error()}
	}
	defer syscall.Close(fd)
	var lines []string
	buf := make([]byte, 16<<10)
	for {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EPIPE {
			continue // overwritten meanwhile
		}
		if err != nil || n <= 0 {
			return lines
		}
		line, _, _ := strings.Cut(string(buf[:n]), "\n")
		lines = append(lines, line)
	}
}

func powerOff() {
	syscall.Sync()
	if err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("reboot:", err)
	}
	select {}
}
