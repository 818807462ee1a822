package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
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
		Setup: func(e *testscript.Env) error {
			e.Setenv("OBJECTS", objects)
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
	o, err := a.options(&simFlags{kernel: "7.2", engine: "auto", costs: "off", dup: "last", unknown: "warn"}, nil, "example:hogs")
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
