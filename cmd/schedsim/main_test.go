package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/vm"
)

var update = flag.Bool("update", false, "rewrite the golden parts of the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"schedsim": main})
}

// TestScripts runs the commands as users do. "code N command..." runs a command and checks its exit code.
func TestScripts(t *testing.T) {
	objects, err := filepath.Abs("../../examples/bpf")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Condition: func(cond string) (bool, error) {
			if cond != "jit" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			_, err := vm.EngineByName("jit")
			return err == nil, nil
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("OBJECTS", objects)
			e.Setenv("RECORDED", filepath.Join(objects, "../../benchmarks/lab/recorded"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: code N command...")
				}
				want, err := strconv.Atoi(args[0])
				if err != nil {
					ts.Fatalf("code: %v", err)
				}
				got := 0
				err = ts.Exec(args[1], args[2:]...)
				if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
					got = exit.ExitCode()
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if got != want {
					ts.Fatalf("exit code %d, want %d", got, want)
				}
			},
		},
	})
}

// TestInternalError: a panic is an internal error, in the command's goroutine and in those of compare.
func TestInternalError(t *testing.T) {
	for _, tc := range []struct {
		name string
		code func(out, errOut *bytes.Buffer) int
	}{
		{"in the command", func(out, errOut *bytes.Buffer) int {
			return run([]string{"run", "-"}, panicReader{}, out, errOut)
		}},
		{"in a goroutine", func(out, errOut *bytes.Buffer) int {
			a := &app{err: errOut}
			return a.exitCode(&panicError{"BUG: x", []byte("stack")}, []string{"compare"})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := tc.code(&out, &errOut); code != exitInternal {
				t.Errorf("exit code %d, want %d", code, exitInternal)
			}
			if s := errOut.String(); !strings.Contains(s, "internal error: BUG: x") || !strings.Contains(s, "report it") {
				t.Errorf("stderr %q", s)
			}
			if out.Len() != 0 {
				t.Errorf("stdout %q", out.String())
			}
		})
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("BUG: x") }

// TestGuarded: a panic in a simulation becomes an error.
func TestGuarded(t *testing.T) {
	var p *panicError
	a := &app{}
	o, err := a.options(&simFlags{cpus: 1, kernel: "7.2", engine: "auto", costs: "off", dup: "last", unknown: "warn"}, nil, "example:hogs")
	if err != nil {
		t.Fatal(err)
	}
	o.Workload = nil // a BUG of the caller
	if _, err := guarded(o); !errors.As(err, &p) || len(p.stack) == 0 {
		t.Errorf("got %v", err)
	}
}

// TestColor: no colour unless asked for where the output is no terminal; NO_COLOR is for auto only.
func TestColor(t *testing.T) {
	for _, tc := range []struct {
		color, noColor string
		want           bool
		ok             bool
	}{
		{"auto", "", false, true}, {"always", "", true, true}, {"always", "1", true, true}, {"never", "", false, true},
		{"sometimes", "", false, false},
	} {
		t.Setenv("NO_COLOR", tc.noColor)
		a := &app{out: &bytes.Buffer{}, color: tc.color}
		o, err := a.textOptions()
		if o.Color != tc.want || (err == nil) != tc.ok || o.Width != 0 {
			t.Errorf("--color %s: %+v, %v", tc.color, o, err)
		}
	}
}

func TestParseGlobals(t *testing.T) {
	g, err := parseGlobals([]string{"a=1", " b = -0x10 ", "c=true", "d=18446744073709551615", "e=text = more"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"a": int64(1), "b": int64(-16), "c": true, "d": uint64(1<<64 - 1), "e": "text = more"} {
		if g[name] != want {
			t.Errorf("%s: %#v, want %#v", name, g[name], want)
		}
	}
	for _, bad := range []string{"a", "=1", "a=", ""} {
		if _, err := parseGlobals([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestCreate: what a run reads is not overwritten, nor is one file written twice; devices are written, not removed.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(in, filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{in, dir + "/./in", filepath.Join(dir, "link")} {
		if _, err := create(path, "-", in); err == nil || !strings.Contains(err.Error(), "would be overwritten") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, err := os.ReadFile(in); err != nil || string(b) != "x" {
		t.Errorf("the file is %q, %v", b, err)
	}
	device, err := create(os.DevNull, os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	device.path = dir // as root the device itself would be lost
	if err := device.finish(errors.New("no")); err == nil || err.Error() != "no" {
		t.Errorf("the error became %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// TestInterrupted: the files of a run that is told to end do not stay, and it ends by the signal.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	trace := filepath.Join(dir, "t.pftrace")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript.Main goes by the name under which the test binary is called.
	var errOut bytes.Buffer
	cmd := exec.Command(exe)
	cmd.Stderr = &errOut
	cmd.Args = []string{"schedsim", "run", "--duration", "1000000s", "--trace", trace, "example:pingpong"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for s := (os.FileInfo)(nil); s == nil || s.Size() == 0; s, _ = os.Stat(trace) { // until it writes
		select {
		case err := <-ended:
			t.Fatalf("ended with %v: %s", err, errOut.String())
		default:
			runtime.Gosched()
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || cmd.ProcessState.Exited() {
		t.Errorf("ended with %v: %s", err, errOut.String())
	}
	if _, err := os.Stat(trace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the trace is still there: %v", err)
	}
}

// TestTellApart: schedulers of one name are named by their files where these differ.
func TestTellApart(t *testing.T) {
	runs := make([]*reports.Report, 5)
	for i, name := range []string{"simple", "fifo", "simple", "rr", "rr"} {
		runs[i] = &reports.Report{}
		runs[i].Info.Scheduler = name
	}
	tellApart(runs, []string{"old.bpf.o", "fifo", "new.bpf.o", "rr", "rr"})
	var got []string
	for _, r := range runs {
		got = append(got, r.Info.Scheduler)
	}
	if want := []string{"old.bpf.o", "fifo", "new.bpf.o", "rr", "rr"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestOutFile: files of a run that failed do not stay.
func TestOutFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.finish(errors.New("no")); err == nil || err.Error() != "no" {
		t.Errorf("the error became %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	none, err := create("")
	if err != nil || none.writer() != nil || none.finish(nil) != nil {
		t.Errorf("no file: %v, %v", none, err)
	}
}
