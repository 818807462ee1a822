package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Exit codes. They are part of the interface: --help lists them and tests hold them.
const (
	exitOK       = 0
	exitCheck    = 1 // a check found something: verify --compare, verify --lint
	exitUsage    = 2
	exitRejected = 3
	exitUnknown  = 4 // verify: nothing can be said of a program
	exitPolicy   = 5
	exitInternal = 70

	exitInterrupted = 130 // where a process cannot signal itself; elsewhere it ends by the signal
)

const exitCodesHelp = `
Exit codes:
   0  all went well
   1  a check found something (verify --compare, verify --lint, ladder, fidelity)
   2  wrong usage, or an input file that cannot be used
   3  the scheduler's object was rejected when it was loaded or attached
   4  nothing can be said of a program (verify)
   5  the scheduler ended with an error (the report is printed all the same)
  70  internal error of schedsim`

// exitError carries an exit code. An empty message prints nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// errPolicy says that a policy ended with an error; what there is to say has been printed.
var errPolicy = errors.New("")

// errSilent is for exit codes that need no more words.
var errSilent = errors.New("")

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process.
func run(args []string, in io.Reader, out, errOut io.Writer) (code int) {
	defer func() {
		if p := recover(); p != nil {
			printPanic(errOut, p, debug.Stack(), args)
			code = exitInternal
		}
	}()
	a := &app{in: in, out: out, err: errOut}
	cmd := a.root()
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	return a.exitCode(cmd.Execute(), args)
}

func printPanic(w io.Writer, p any, stack []byte, args []string) {
	fmt.Fprintf(w, "schedsim: internal error: %v\nThis is a fault of schedsim, not of its input. Please report it with the input and this command line:\n"+
		"  schedsim %s\n\n%s", p, strings.Join(args, " "), stack)
}

// exitCode prints err and chooses the exit code for it.
func (a *app) exitCode(err error, args []string) int {
	var coded *exitError
	var load *runner.LoadError
	var internal *panicError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errPolicy):
		return exitPolicy
	case errors.As(err, &internal):
		printPanic(a.err, internal.value, internal.stack, args)
		return exitInternal
	case errors.As(err, &load):
		a.complain(err)
		if hint := loadHint(err); hint != "" {
			a.remark("%s", hint)
		}
		return exitRejected
	case errors.As(err, &coded):
		a.complain(coded.err)
		return coded.code
	}
	// What is left are errors of flags, files and machine descriptions.
	a.complain(err)
	return exitUsage
}

// loadHint says what else can be done with an object that the verifier refused, "" where it is not the verifier's doing.
func loadHint(err error) string {
	var v *verifier.Error
	switch {
	case errors.Is(err, attach.ErrUnsupported), errors.As(err, &v) && v.Code == verifier.CodeUnsupported:
		return "the verifier cannot judge this program; --checked runs it with checks at run time instead"
	case v != nil:
		return "'schedsim verify' explains it; --no-verify loads it all the same, with checks at run time"
	}
	return ""
}

// complain writes an error to stderr, each of its lines as one of ours.
func (a *app) complain(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.err, "schedsim: %s\n", reports.Plain(strings.TrimRight(line, "\n")))
	}
}

// panicError is a panic of another goroutine.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprint(e.value) }

// app is the program's connection to the outside.
type app struct {
	in       io.Reader
	out, err io.Writer
	quiet    bool
	color    string
	missing  map[string]bool // files that recorded cases need, once each was told of
}

func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedsim",
		Short: "Run sched_ext schedulers on a simulated Linux machine",
		Long: `schedsim simulates a Linux machine, deterministically, and runs schedulers on it: compiled sched_ext objects
(.bpf.o) as they are, built-in policies, and the kernel's own EEVDF. It needs no kernel, no root and no hardware.
` + exitCodesHelp,
		Example: `  schedsim run example:hogs                            the kernel's EEVDF on one CPU
  schedsim run -s scx_simple.bpf.o --topo 1n2l4c2t example:requests
  schedsim compare -s eevdf -s fifo -s vtime --cpus 4 workload.json
  schedsim list schedulers`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "no remarks on stderr, only errors")
	cmd.PersistentFlags().StringVar(&a.color, "color", "auto", "colour the output: auto (on a terminal, unless NO_COLOR is set), always, never")
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%s", flagError(c, err))
	})
	cmd.AddCommand(a.runCommand(), a.compareCommand(), a.listCommand(), a.verifyCommand(), a.dumpCommand(), a.recipeCommand(), a.headerCommand(), a.versionCommand(), a.fidelityCommand(), a.ladderCommand())
	complete(cmd)
	return cmd
}

// flagError is what a user can make of an error of the library of flags: what was expected, or which flag may be meant.
func flagError(c *cobra.Command, err error) string {
	text := err.Error()
	if num := (*strconv.NumError)(nil); errors.As(err, &num) {
		want := "expected a number"
		switch {
		case errors.Is(num, strconv.ErrRange):
			want = "the number is out of range"
		case num.Func == "ParseBool":
			want = "expected true or false"
		case num.Func == "ParseUint":
			want = "expected a number, 0 or more"
		}
		text = strings.Replace(text, num.Error(), want, 1)
	}
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		if best := elf.Nearest(name, flagNames(c)); best != "" {
			return text + "; did you mean --" + best + "?"
		}
	}
	return text + "; see '" + c.CommandPath() + " --help'"
}

// flagNames are the flags that a command takes.
func flagNames(c *cobra.Command) []string {
	var names []string
	for line := range strings.Lines(c.Flags().FlagUsages()) {
		if _, rest, ok := strings.Cut(line, "--"); ok && strings.TrimSpace(line)[0] == '-' {
			names = append(names, rest[:max(0, strings.IndexAny(rest+" ", " [=\n"))])
		}
	}
	return names
}

// remark writes a line to stderr that is neither a result nor an error.
func (a *app) remark(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, "schedsim: %s\n", reports.Plain(fmt.Sprintf(format, args...)))
	}
}
