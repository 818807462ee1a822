package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/term"

	"github.com/schedsim/schedsim/reports"
)

// terminal tells whether w is one.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// textOptions lays text out for stdout: as wide as the terminal, as wide as it gets elsewhere.
func (a *app) textOptions() (reports.TextOptions, error) {
	f, tty := terminal(a.out)
	o := reports.TextOptions{}
	if tty {
		o.Width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			o.Width = w
		}
		if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
			o.Width = w
		}
	}
	switch a.color {
	case "auto":
		o.Color = tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	case "always":
		o.Color = true
	case "never":
	default:
		return o, usage("--color %q: expected auto, always or never", a.color)
	}
	return o, nil
}

// outFile is a file that a run writes besides its report. It goes away again if the run fails, unless it is a device or a pipe.
type outFile struct {
	path string
	f    *os.File
	*bufio.Writer
}

// create opens a file for writing; nil for an empty path. It must not be one of others, which the run reads or writes.
func create(path string, others ...string) (*outFile, error) {
	if path == "" {
		return nil, nil
	}
	if regular(path) {
		for _, o := range others {
			if same(path, o) {
				return nil, usage("%s: would be overwritten, but the run needs it", path)
			}
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &outFile{path, f, bufio.NewWriterSize(f, 1<<16)}, nil
}

// regular tells whether path is a file like others, or none yet.
func regular(path string) bool {
	s, err := os.Stat(path)
	return err != nil || s.Mode().IsRegular()
}

// same tells whether two paths are one file.
func same(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	s, err := os.Stat(a)
	t, terr := os.Stat(b)
	return err == nil && terr == nil && os.SameFile(s, t)
}

// remove takes the file away if it is one.
func (o *outFile) remove() error {
	if o == nil || !regular(o.path) {
		return nil
	}
	return os.Remove(o.path)
}

// removeIfInterrupted takes the files away when the process is told to end before done is called. It ends all the same.
func removeIfInterrupted(files ...*outFile) (done func()) {
	var want []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			want = append(want, s)
		}
	}
	if len(want) == 0 {
		return func() {}
	}
	got, quit := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(got, want...)
	go func() {
		select {
		case s := <-got:
			for _, f := range files {
				_ = f.remove() // nobody is left to be told
			}
			signal.Reset(want...)
			if p, err := os.FindProcess(os.Getpid()); err != nil || p.Signal(s) != nil {
				os.Exit(exitInterrupted)
			}
		case <-quit:
		}
	}()
	return func() {
		signal.Stop(got)
		close(quit)
	}
}

// writer is the file as an io.Writer, nil for no file.
func (o *outFile) writer() io.Writer {
	if o == nil {
		return nil
	}
	return o
}

// finish writes the rest, or removes the file if the run failed with err.
func (o *outFile) finish(err error) error {
	if o == nil {
		return err
	}
	if err != nil {
		return errors.Join(err, o.f.Close(), o.remove())
	}
	return errors.Join(o.Flush(), o.f.Close())
}
