//go:build linux && amd64

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/internal/fidelity"
)

// exitInfo is user_exit_info as schedulers keep it.
type exitInfo struct {
	Kind   int    `json:"kind"`
	Code   int64  `json:"exit_code"`
	Reason string `json:"reason"`
	Msg    string `json:"msg"`
	Dump   string `json:"dump"`
}

// exitReasons are scx_exit_reason's (kernel/sched/ext/ext.c, 7.2), by the kinds.
var exitReasons = map[string]int{
	"unregistered from user space": 64, "unregistered from BPF": 65, "unregistered from the main kernel": 66, "disabled by sysrq-S": 67,
	"parent exiting": 68, "runtime error": 1024, "scx_bpf_error": 1025, "runnable task stall": 1026,
}

// why tells why the scheduler ended: by what its own exit callback kept, or, for one that keeps nothing, by the kernel's log,
// which has neither code nor dump. When it was is not known.
func (g *guest) why(a *agent) (*fidelity.Exit, error) {
	answer, err := a.do("exit")
	if err != nil {
		return nil, err
	}
	var i exitInfo
	if err := json.Unmarshal(answer, &i); err != nil {
		return nil, err
	}
	if i.Kind != 0 {
		return &fidelity.Exit{Kind: i.Kind, Code: i.Code, Reason: i.Reason, Message: i.Msg, Dump: i.Dump, AtNS: -1}, nil
	}
	if e := loggedExit(kernelLog()); e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("the scheduler is not in charge, and neither it nor the kernel's log says why")
}

// loggedExit finds the last end of a scheduler in the kernel's log, as scx_log_sched_disable writes it; nil for none.
func loggedExit(log []string) *fidelity.Exit {
	var e *fidelity.Exit
	name := ""
	for _, line := range log {
		_, text, _ := strings.Cut(line, ";")
		if rest, ok := strings.CutPrefix(text, `sched_ext: BPF scheduler "`); ok {
			n, rest, _ := strings.Cut(rest, `" `)
			reason, ok := strings.CutPrefix(rest, "disabled (")
			if !ok {
				continue
			}
			reason = strings.TrimSuffix(reason, ")")
			e, name = &fidelity.Exit{Kind: exitReasons[reason], Reason: reason, AtNS: -1}, n
			continue
		}
		if msg, ok := strings.CutPrefix(text, "sched_ext: "+name+": "); ok && e != nil && e.Message == "" && e.Kind >= 1024 {
			e.Message = msg
		}
	}
	return e
}
