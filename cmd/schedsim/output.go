package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strconv"

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

// outFile is a file that a run writes besides its report. It goes away again if the run fails.
type outFile struct {
	path string
	f    *os.File
	*bufio.Writer
}

// create opens a file for writing; nil for an empty path.
func create(path string) (*outFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &outFile{path, f, bufio.NewWriterSize(f, 1<<16)}, nil
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
		return errors.Join(err, o.f.Close(), os.Remove(o.path))
	}
	return errors.Join(o.Flush(), o.f.Close())
}
