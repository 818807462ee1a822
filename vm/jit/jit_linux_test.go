//go:build amd64

package jit

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/schedsim/schedsim/vm/interp"
)

// Where the system refuses executable memory, Select falls back with a notice.
func TestRefused(t *testing.T) {
	const refuse = "SCHEDSIM_TEST_REFUSE_EXEC"
	if os.Getenv(refuse) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRefused$", "-test.v")
		cmd.Env = append(os.Environ(), refuse+"=1")
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "--- SKIP") {
			t.Skipf("%s", out)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil {
		t.Skip("prctl(PR_SET_MDWE): ", err)
	}
	_, err := New(Options{})
	if !errors.Is(err, unix.EACCES) || errors.Is(err, ErrUnsupported) {
		t.Errorf("New: %v", err)
	}
	e, notice := Select(Options{}, interp.Engine{})
	if e.Name() != "interp" || !strings.Contains(notice, "executable memory") || strings.Contains(notice, "\n") {
		t.Errorf("Select: %s, %q", e.Name(), notice)
	}
}
