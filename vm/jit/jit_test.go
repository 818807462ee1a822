package jit

import (
	"errors"
	"runtime"
	"testing"

	"github.com/schedsim/schedsim/vm/interp"
)

func TestSelect(t *testing.T) {
	_, err := New(Options{})
	e, notice := Select(Options{}, interp.Engine{})
	want, quiet := "jit", true
	if err != nil {
		want, quiet = "interp", false
	}
	if e.Name() != want || (notice == "") != quiet {
		t.Errorf("Select = %s, %q; New says %v", e.Name(), notice, err)
	}
	have := runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64")
	if errors.Is(err, ErrUnsupported) == have {
		t.Errorf("New = %v on %s/%s", err, runtime.GOOS, runtime.GOARCH)
	}
}
