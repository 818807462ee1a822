package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
)

// TestMain makes the test binary the command when it is started as that.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_PLUGIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// plugin runs the command as a process.
func plugin(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "BE_THE_PLUGIN=1")
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// bytesOf writes hexadecimal digits as the runner does: "aa  bb  ".
func bytesOf(digits string) string {
	var b strings.Builder
	for pair := range slices.Chunk([]byte(digits), 2) {
		fmt.Fprintf(&b, "%s  ", pair)
	}
	return b.String()
}

// TestConformance runs all tests of the suite through the process, as the runner does.
func TestConformance(t *testing.T) {
	cases := enginetest.Cases(t)
	if len(cases) != 313 {
		t.Fatalf("%d cases, want 313", len(cases))
	}
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			if _, err := vm.EngineByName(engine); err != nil {
				t.Skip(err)
			}
			passed := 0
			for _, c := range cases {
				var args []string
				if c.Mem != "" {
					args = append(args, bytesOf(c.Mem))
				}
				stdout, stderr, code := plugin(t, bytesOf(c.Code)+"\n", append(args, "--engine", engine)...)
				want, err := strconv.ParseUint(c.Result, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				got, err := strconv.ParseUint(strings.TrimSpace(stdout), 16, 64)
				if code != 0 || err != nil || got != want || stderr != "" {
					t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %x", c.Name, code, stdout, stderr, want)
					continue
				}
				passed++
			}
			if passed != 313 {
				t.Errorf("%d of 313 passed", passed)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	const exit = "95 00 00 00 00 00 00 00"
	for _, tc := range []struct {
		name, stdin string
		args        []string
		code        int
		stderr      string
	}{
		{"empty", "", nil, 1, "0 bytes of code"},
		{"no digits", "xy", nil, 1, "program: "},
		{"memory", exit, []string{"zz"}, 1, "memory: "},
		{"unknown instruction", "ff 00 00 00 00 00 00 00", nil, 1, "unknown instruction"},
		{"fault", "79 10 00 00 00 00 00 00 " + exit, nil, 1, "instruction 0: invalid read of 8 bytes"},
		{"helper", "85 00 00 00 06 00 00 00 " + exit, nil, 1, "instruction 0: "},
		{"endless", "05 00 ff ff 00 00 00 00 " + exit, nil, 1, "instruction 0: "},
		{"engine", exit, []string{"--engine", "fast"}, 1, `engine "fast"`},
		{"flag", exit, []string{"--fast"}, 2, "-fast"},
		{"argument", exit, []string{"aa", "--engine", "interp", "bb"}, 2, `unexpected argument "bb"`},
		{"no object", exit, []string{"--elf"}, 1, "object: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stdout, stderr, code := plugin(t, tc.stdin, tc.args...)
			if code != tc.code || stdout != "" || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d with %q", code, stdout, stderr, tc.code, tc.stderr)
			}
		})
	}
}
