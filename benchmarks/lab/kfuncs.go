package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
	"github.com/schedsim/schedsim/benchmarks/lab/permissions"
)

// kfuncsCommand asks a kernel which functions may be called from where, and compares the answers with those that are known.
func kfuncsCommand(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("kfuncs", flag.ContinueOnError)
	series := f.String("kernel", "7.2", "series of the kernel")
	known := f.String("compare", "", "table to compare with; none: kfuncs/testdata/matrix-SERIES.txt")
	out := f.String("o", "", "file to write the table to")
	if err := f.Parse(args); err != nil {
		return err
	}
	l, err := here()
	if err != nil {
		return err
	}
	is, release, err := askKfuncs(ctx, l, *series)
	if err != nil {
		return err
	}
	if *out != "" {
		var b bytes.Buffer
		if err := is.Write(&b, release); err != nil {
			return err
		}
		if err := writeFile(*out, b.Bytes()); err != nil {
			return err
		}
	}
	if *known == "" {
		*known = filepath.Join(l.root, "kfuncs", "testdata", "matrix-"+*series+".txt")
	}
	return compareKfuncs(*known, is, release)
}

// askKfuncs boots a kernel, loads what the plan for its types says, and makes the table.
func askKfuncs(ctx context.Context, l *lab, series string) (*permissions.Table, string, error) {
	if _, err := l.kernel(series); err != nil {
		return nil, "", err
	}
	vmlinux, err := os.Open(l.path("linux-"+series, "vmlinux.btf"))
	if err != nil {
		return nil, "", fmt.Errorf("%w: %v", ErrAbsent, err)
	}
	defer vmlinux.Close()
	p, err := permissions.New(vmlinux)
	if err != nil {
		return nil, "", err
	}
	tmp, err := os.MkdirTemp("", "lab")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(tmp)
	loader, loads := filepath.Join(tmp, "loads"), filepath.Join(tmp, "programs")
	if err := errors.Join(l.loader(loader), os.WriteFile(loads, p.Loads, 0o644)); err != nil {
		return nil, "", err
	}
	j := &job.Job{CPUs: 2, Mode: "mttcg", Kernel: series, SettleMS: 1, StepTimeoutS: 900, Steps: []job.Step{{Do: "exec",
		Argv: []string{"/loads", "/programs"}, Add: map[string]string{"/loads": loader, "/programs": loads}}}}
	if err := j.Check(); err != nil {
		return nil, "", err
	}
	fmt.Fprintf(os.Stderr, "%d programs\n", p.Programs)
	o, err := boot(ctx, l, j, nil, os.Stderr, nil)
	if err != nil {
		return nil, "", err
	}
	var ran job.Executed
	if err := json.Unmarshal(o.files["exec.jsonl"], &ran); err != nil {
		return nil, "", fmt.Errorf("what the guest says of the programs: %w", err)
	}
	if ran.Status != 0 {
		return nil, "", fmt.Errorf("loads: status %d: %s", ran.Status, ran.Output)
	}
	var about struct{ Release string }
	if err := json.Unmarshal(o.files["boot.json"], &about); err != nil {
		return nil, "", err
	}
	release, _, _ := strings.Cut(about.Release, "+")
	t, err := p.Table([]byte(ran.Output))
	return t, release, err
}

// compareKfuncs says how a table differs from a file.
func compareKfuncs(file string, is *permissions.Table, release string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	was, err := permissions.Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, name := range is.Functions {
		if why, ok := is.Why[name]; ok {
			fmt.Printf("%s: not measured: %s\n", name, why)
		}
	}
	equal, differences := permissions.Compare(was, is)
	fmt.Printf("Linux %s: %d functions in %d contexts, %d cells are as in %s", release, len(is.Functions), len(is.Contexts), equal, file)
	if len(differences) == 0 {
		fmt.Println()
		return nil
	}
	fmt.Printf(", %d are not:\n", len(differences))
	for d := range slices.Chunk(differences, 40) {
		fmt.Println(strings.Join(d, "\n"))
		if len(differences) > len(d) {
			fmt.Println("...")
		}
		break
	}
	return fmt.Errorf("%d cells differ", len(differences))
}
