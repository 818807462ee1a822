package main

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/raw"
	"github.com/schedsim/schedsim/vm/mem"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	fs := flag.NewFlagSet("bpf-conformance-plugin", flag.ContinueOnError)
	fs.SetOutput(errOut)
	name := fs.String("engine", "auto", "what runs the program: interp, jit, or auto for the faster one that there is")
	object := fs.Bool("elf", false, "stdin is an object file")
	memory := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		memory, args = args[0], args[1:]
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(errOut, "unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	r0, err := execute(memory, in, *name, *object)
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 1
	}
	fmt.Fprintf(out, "%x\n", r0)
	return 0
}

// execute runs the program that in holds.
func execute(memory string, in io.Reader, engineName string, object bool) (uint64, error) {
	e, err := vm.EngineByName(engineName)
	if err != nil {
		return 0, err
	}
	data, err := unhex(memory)
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(in, 64<<20))
	if err != nil {
		return 0, err
	}
	code, err := unhex(string(text))
	if err != nil {
		return 0, fmt.Errorf("program: %w", err)
	}
	if object {
		if code, err = section(code); err != nil {
			return 0, err
		}
	}
	p, err := raw.Decode(code)
	if err != nil {
		return 0, err
	}
	m, err := mem.New(mem.Options{Reserve: uint64(len(data)) + 1<<20})
	if err != nil {
		return 0, err
	}
	defer m.Close()
	stack, _, err := m.Alloc(engine.DefaultStack, 4096)
	if err != nil {
		return 0, err
	}
	env := &engine.Env{Mem: m, Call: &abi.Call{Mem: m}, StackTop: stack + engine.DefaultStack, StackSize: engine.DefaultStack,
		Budget: engine.DefaultBudget, Helpers: helpers(), ByNumber: true}
	prog := engine.Prog{Code: p, Info: &abi.Prog{Name: "main"}}
	for range p.Kfuncs {
		prog.Kfuncs = append(prog.Kfuncs, func(c *abi.Call, _ *abi.Args) uint64 {
			c.Fault = "kernel functions are not supported"
			return 0
		})
	}
	env.Progs = []engine.Prog{prog}
	args := abi.Args{}
	if len(data) > 0 {
		at, b, err := m.Alloc(uint64(len(data)), 8)
		if err != nil {
			return 0, err
		}
		copy(b, data)
		args[0], args[1] = at, uint64(len(data))
	}
	c, err := e.Compile(env)
	if err != nil {
		return 0, fmt.Errorf("engine %s: %w", e.Name(), err)
	}
	defer c.Close()
	r0, f := c.RunSub(engine.CodeAddr(0, 0), args)
	if f != nil {
		return 0, fmt.Errorf("instruction %d: %s", p.Insns[f.Insn].Orig, f.Msg)
	}
	return r0, nil
}

// unwind is the helper that programs of the suite call: where a virtual machine can unwind, it ends the program with what it
// returns. Here, as in the kernel, it returns.
const unwind = 5

func helpers() []abi.Func {
	h := make([]abi.Func, unwind+1)
	h[unwind] = func(*abi.Call, *abi.Args) uint64 { return 1 }
	return h
}

// unhex reads hexadecimal bytes with or without spaces between them.
func unhex(s string) ([]byte, error) { return hex.DecodeString(strings.Join(strings.Fields(s), "")) }

// section is the code of an object's function main: from its start to the end of its section, which other functions may follow.
func section(object []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	syms, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	for _, s := range syms {
		if s.Name != "main" || elf.ST_TYPE(s.Info) != elf.STT_FUNC || int(s.Section) >= len(f.Sections) {
			continue
		}
		code, err := f.Sections[s.Section].Data()
		if err != nil {
			return nil, fmt.Errorf("object: %w", err)
		}
		if s.Value >= uint64(len(code)) {
			return nil, fmt.Errorf("object: function main begins behind its section")
		}
		return code[s.Value:], nil
	}
	return nil, errors.New("object: no function main")
}
