//go:build linux && amd64

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
)

// statistics is the last line of the verifier's log.
var statistics = regexp.MustCompile(`processed (\d+) insns .*total_states (\d+) peak_states (\d+)`)

// verify asks the verifier about each program of an object.
func (g *guest) verify(v *job.Verify) error {
	const file = "/tmp/verdicts"
	a, err := startAgent()
	if err != nil {
		return err
	}
	defer a.in.Close()
	defer os.Remove(file)
	if _, err := a.do("verify %s %s", v.Object, file); err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data) {
		d := job.Verdict{Object: v.Name}
		if err := json.Unmarshal(line, &d); err != nil {
			return err
		}
		if m := statistics.FindStringSubmatch(d.Log); m != nil {
			d.Insns, _ = strconv.Atoi(m[1])
			d.States, _ = strconv.Atoi(m[2])
			d.Peak, _ = strconv.Atoi(m[3])
		}
		g.emit("verdicts.jsonl", d)
	}
	return nil
}

// exec runs a program.
func (g *guest) exec(argv []string, apart bool) error {
	var out, errs bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if apart {
		cmd.Stderr = &errs
	}
	err := cmd.Run()
	e := job.Executed{Argv: argv, Output: out.String(), Errors: errs.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e.Status, err = exit.ExitCode(), nil
	}
	g.emit("exec.jsonl", e)
	return err
}
