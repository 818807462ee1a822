package main

import (
	"bufio"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/reports"
)

func (a *app) headerCommand() *cobra.Command {
	var kernel string
	cmd := &cobra.Command{
		Use:   "header",
		Short: "Print the vmlinux.h of a kernel, for compiling schedulers",
		Long: "Print the vmlinux.h of a kernel, for compiling schedulers: the types and kernel functions that sched_ext programs\n" +
			"can see.",
		Example: "  schedsim header > vmlinux.h\n  clang -g -O2 -target bpf -I. -c my.bpf.c -o my.bpf.o",
		Args:    exactArgs(0, ""),
		RunE: func(*cobra.Command, []string) error {
			k, err := kernels.Get(kernel)
			if err != nil {
				return err
			}
			w := bufio.NewWriter(a.out)
			return errors.Join(k.Header(w), w.Flush())
		},
	}
	cmd.Flags().StringVar(&kernel, "kernel", runner.DefaultKernel, "`version` of the kernel: "+strings.Join(kernels.List(), ", "))
	return cmd
}

func (a *app) versionCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of schedsim and of the kernels that it knows",
		Example: "  schedsim version\n  schedsim version --json",
		Args:    exactArgs(0, ""),
		RunE: func(*cobra.Command, []string) error {
			var ks []string
			for _, v := range kernels.List() {
				k, err := kernels.Get(v)
				if err != nil {
					return err
				}
				ks = append(ks, k.Release)
			}
			if json {
				return reports.WriteJSON(a.out, versionInfo{version(), ks, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(a.out, "schedsim %s\nkernels  %s\nbuilt    %s %s/%s\n", version(), strings.Join(ks, ", "), runtime.Version(),
				runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

// versionInfo is what the version command says.
type versionInfo struct {
	Version  string   `json:"version"`
	Kernels  []string `json:"kernels"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
}

// version is the version of the module, or of the commit, that the program was built from.
func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := b.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	rev, dirty := "", ""
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+"
			}
		}
	}
	if rev == "" {
		return "devel"
	}
	return "devel-" + rev + dirty
}
