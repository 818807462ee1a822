package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
)

// lab is where benchmarks/lab/setup has put things.
type lab struct {
	dir  string // $LAB
	root string // of the project

	guest *guestFiles // once they are made
}

// ErrAbsent says that the lab is not there: that is no failure of the project.
var ErrAbsent = errors.New("the lab is not set up")

// findLab looks for what a job needs.
func findLab(root string) (*lab, error) {
	dir := os.Getenv("LAB")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(cache, "schedsim-lab")
	}
	l := &lab{dir: dir, root: root}
	for _, f := range []string{l.qemu(), l.path("build", "lb", "libbpf.a"), l.path("build", "include", "vmlinux.h")} {
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("%w: no %s (benchmarks/lab/setup brings it)", ErrAbsent, f)
		}
	}
	for _, tool := range []string{"gcc", "clang-19", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: no %s", ErrAbsent, tool)
		}
	}
	return l, nil
}

func (l *lab) path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

func (l *lab) qemu() string { return l.path("qemu10", "usr", "bin", "qemu-system-x86_64") }

func (l *lab) firmware() []string {
	return []string{l.path("qemu10", "usr", "share", "qemu"), l.path("qemu10", "usr", "share", "seabios")}
}

// kernel is the image of a series.
func (l *lab) kernel(series string) (string, error) {
	p := l.path("linux-"+series, "vmlinuz")
	if _, err := os.Stat(p); err != nil {
		return "", fmt.Errorf("%w: no kernel %s (benchmarks/lab/setup %s brings it)", ErrAbsent, p, series)
	}
	return p, nil
}

// objects are the folders with schedulers.
func (l *lab) objects() []string {
	return []string{filepath.Join(l.root, "examples", "bpf"), l.path("build", "obj", "kernel")}
}

// guestFiles are the programs of the guest, by their places there.
type guestFiles struct {
	files map[string][]byte
	hash  string // of all of them
}

// build makes the guest's programs, once: all boots of a command have the same, whoever changes the sources meanwhile. What was made
// of the same sources by another command is used again.
func (l *lab) build() (*guestFiles, error) {
	if l.guest == nil {
		g, err := l.make()
		if err != nil {
			return nil, err
		}
		l.guest = g
	}
	return l.guest, nil
}

func (l *lab) make() (*guestFiles, error) {
	native := filepath.Join(l.root, "benchmarks", "lab", "native")
	entries, err := os.ReadDir(native)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(native, e.Name()))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "%s %d\n", e.Name(), len(data))
		h.Write(data)
	}
	out := l.path("build", "guest-"+hex.EncodeToString(h.Sum(nil))[:16])
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	include := l.path("build", "include")
	bpf := func(name string) []string {
		return []string{"clang-19", "-g", "-O2", "-mcpu=v3", "-target", "bpf", "-D__TARGET_ARCH_x86", "-Wno-missing-declarations", "-I" + include,
			"-c", filepath.Join(native, name+".bpf.c"), "-o"}
	}
	for _, b := range []struct {
		out  string
		args []string
		last []string
	}{
		{"player", []string{"gcc", "-O2", "-static", "-o"}, []string{filepath.Join(native, "player.c")}},
		{"agent", []string{"gcc", "-O1", "-static", "-I" + l.path("build", "lbinst", "include"), "-o"},
			[]string{filepath.Join(native, "agent.c"), l.path("build", "lb", "libbpf.a"), "-lelf", "-lz"}},
		{"record.bpf.o", bpf("record"), nil},
		{"tap.bpf.o", bpf("tap"), nil},
		{"look.bpf.o", bpf("look"), nil},
		{"init.bpf.o", bpf("init"), nil},
	} {
		to := filepath.Join(out, b.out)
		if _, err := os.Stat(to); err == nil {
			continue
		}
		tmp := fmt.Sprintf("%s.%d", to, os.Getpid()) // another job may be making it
		args := append(append(b.args, tmp), b.last...)
		if err := tool(nil, args...); err != nil {
			return nil, err
		}
		if strings.HasSuffix(to, ".o") {
			if err := tool(nil, "llvm-strip-19", "-g", tmp); err != nil { // types stay
				return nil, err
			}
		}
		if err := os.Rename(tmp, to); err != nil {
			return nil, err
		}
	}
	initFile := filepath.Join(out, fmt.Sprintf("init.%d", os.Getpid()))
	defer os.Remove(initFile)
	env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"}
	if err := tool(env, "go", "build", "-C", l.root, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", initFile, "./benchmarks/lab/guest"); err != nil {
		return nil, err
	}
	g := &guestFiles{files: map[string][]byte{}}
	h = sha256.New()
	for _, f := range [][2]string{{"/init", filepath.Base(initFile)}, {job.AgentFile, "agent"}, {job.PlayerFile, "player"}, {job.RecordFile, "record.bpf.o"},
		{job.TapFile, "tap.bpf.o"}, {job.LookFile, "look.bpf.o"}, {job.InitFile, "init.bpf.o"}} {
		data, err := os.ReadFile(filepath.Join(out, f[1]))
		if err != nil {
			return nil, err
		}
		g.files[f[0]] = data
		h.Write(data)
	}
	g.hash = hex.EncodeToString(h.Sum(nil))
	return g, nil
}

// loader is the program that loads what package permissions plans, made anew.
func (l *lab) loader(out string) error {
	return tool(nil, "gcc", "-O1", "-static", "-o", out, filepath.Join(l.root, "benchmarks", "lab", "native", "loads.c"))
}

// tool runs a program and returns what it said if it failed.
func tool(env []string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// moduleRoot is the folder of the project.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		_, err := os.Stat(filepath.Join(d, "go.mod"))
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			return "", fmt.Errorf("%s: not inside of the project", dir)
		}
	}
}

var qemuVersionText = regexp.MustCompile(`version (\S+)`)

// qemuVersion is QEMU's own, "" if it does not say.
func (l *lab) qemuVersion() string {
	out, err := exec.Command(l.qemu(), "--version").Output()
	if err != nil {
		return ""
	}
	if m := qemuVersionText.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return ""
}
