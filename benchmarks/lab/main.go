package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := command(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, ErrAbsent):
		fmt.Fprintln(os.Stderr, "skipped:", err)
	default:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

const usage = "expected run JOB.json, record, kfuncs, or list"

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "run":
		return runCommand(ctx, args[1:])
	case "record":
		return recordCommand(ctx, args[1:])
	case "kfuncs":
		return kfuncsCommand(ctx, args[1:])
	case "list":
		return listCommand()
	}
	return fmt.Errorf("%q: %s", args[0], usage)
}

func runCommand(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	out := f.String("out", "", "folder for the results; none: standard output, a line of JSON each")
	objects := f.String("objects", "", "folders with objects, comma-separated")
	console := f.Bool("console", false, "show the guest's console")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("run: expected one job")
	}
	data, err := os.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	j, err := job.Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Arg(0), err)
	}
	l, err := here()
	if err != nil {
		return err
	}
	var con io.Writer
	if *console {
		con = os.Stderr
	}
	o, err := boot(ctx, l, j, folders(*objects), os.Stderr, con)
	for range 2 {
		// Where virtual CPUs are threads a guest dies now and then.
		if j.Mode != "mttcg" || !errors.Is(err, errDied) || o.steps > 0 {
			break
		}
		fmt.Fprintf(os.Stderr, "%v; another boot\n", err)
		o, err = boot(ctx, l, j, folders(*objects), os.Stderr, con)
	}
	if o == nil {
		return err
	}
	for _, p := range o.problems {
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.Step, p.Error)
	}
	for _, name := range sortedKeys(o.files) {
		if *out == "" {
			os.Stdout.Write(o.files[name])
			continue
		}
		if e := writeFile(filepath.Join(*out, filepath.FromSlash(name)), o.files[name]); e != nil {
			return errors.Join(err, e)
		}
	}
	if err == nil && len(o.problems) > 0 {
		err = fmt.Errorf("%d of the steps failed", len(o.problems))
	}
	return err
}

func here() (*lab, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	return findLab(root)
}

func folders(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
