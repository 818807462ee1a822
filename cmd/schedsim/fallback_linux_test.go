package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFallback: where the system refuses executable memory, objects run on the interpreter, and one line says so.
func TestFallback(t *testing.T) {
	const refuse = "SCHEDSIM_TEST_REFUSE_EXEC"
	object, err := filepath.Abs("../../examples/bpf/simple.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(refuse) != "" {
		if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil {
			t.Skip("prctl(PR_SET_MDWE): ", err)
		}
		t.Fatal(unix.Exec(exe, []string{"schedsim", "compare", "-s", object, "-s", object, "-s", "fifo", "--json", "example:hogs"}, os.Environ()))
	}
	var out, errOut bytes.Buffer
	cmd := exec.Command(exe, "-test.run=^TestFallback$", "-test.v")
	// What testscript.Main makes in the child, it does not take away: the child becomes another program.
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), refuse+"=1", "TMPDIR="+t.TempDir()), &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errOut)
	}
	if strings.Contains(out.String(), "--- SKIP") {
		t.Skip(&out)
	}
	if n := strings.Count(errOut.String(), "interp"); n != 1 || !strings.Contains(errOut.String(), "executable memory") {
		t.Errorf("stderr:\n%s", &errOut)
	}
}
