//go:build linux && amd64

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
)

// agent is the program that loads BPF objects, native/agent.c.
type agent struct {
	in  *os.File
	out *bufio.Reader
	cmd *exec.Cmd
}

// agentError is what the agent refused, with what the loader and the verifier said.
type agentError struct{ command, text, log string }

func (e *agentError) Error() string { return e.command + ": " + e.text }

func startAgent() (*agent, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	a := &agent{in: inW, out: bufio.NewReaderSize(outR, 1<<16), cmd: exec.Command(job.AgentFile)}
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = inR, outW, os.Stderr
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	inR.Close()
	outW.Close()
	return a, nil
}

// do gives a command and returns the answer.
func (a *agent) do(format string, args ...any) (json.RawMessage, error) {
	command := fmt.Sprintf(format, args...)
	if _, err := a.in.WriteString(command + "\n"); err != nil {
		return nil, fmt.Errorf("agent: %s: %w", command, err)
	}
	line, err := a.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("agent: %s: %w", command, err)
	}
	var answer struct{ Error, Log string }
	if err := json.Unmarshal(line, &answer); err != nil {
		return nil, fmt.Errorf("agent: %s: %w: %q", command, err, bytes.TrimSpace(line))
	}
	if answer.Error != "" {
		return nil, &agentError{command, answer.Error, strings.TrimSpace(answer.Log)}
	}
	return line, nil
}

// recorder starts the agent and its recorder, once.
func (g *guest) recorder(cpus int) (*agent, error) {
	if g.agent != nil {
		return g.agent, nil
	}
	a, err := startAgent()
	if err != nil {
		return nil, err
	}
	if _, err := a.do("recorder %s %d %d", job.RecordFile, cpus, job.Records); err != nil {
		return nil, err
	}
	if _, err := a.do("looker %s %d %s", job.LookFile, cpus, lookPin); err != nil {
		return nil, err
	}
	g.agent = a
	return a, nil
}
