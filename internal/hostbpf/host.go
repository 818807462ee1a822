package hostbpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
)

// Packet is what test runs take as input: programs of type SchedCLS want an Ethernet frame.
func Packet() []byte { return make([]byte, 64) }

// Available tells why programs cannot be run on this kernel, nil if they can.
func Available() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the kernel's BPF: none on %s", runtime.GOOS)
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("the kernel's BPF: %w", err)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 7), asm.Return()}})
	if err != nil {
		return fmt.Errorf("the kernel's BPF: %w", err)
	}
	defer p.Close()
	ret, _, err := p.Test(Packet())
	if err != nil {
		return fmt.Errorf("the kernel's BPF: %w", err)
	}
	if ret != 7 {
		return fmt.Errorf("the kernel's BPF: a program that returns 7 returned %d", ret)
	}
	return nil
}

// JIT tells why the kernel does not compile programs, nil if it does.
func JIT() error {
	const path = "/proc/sys/net/core/bpf_jit_enable"
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if v := strings.TrimSpace(string(b)); v != "1" && v != "2" {
		return fmt.Errorf("%s is %s", path, v)
	}
	return nil
}

// Level is the newest version of the instruction set that the kernel takes: 1 to 4.
func Level() int {
	switch {
	case features.HaveV4ISA() == nil:
		return 4
	case features.HaveV3ISA() == nil:
		return 3
	case features.HaveV2ISA() == nil:
		return 2
	}
	return 1
}

// Refused says that the kernel's verifier refused a program, and why.
type Refused struct{ Err error }

// Error is the verifier's log.
func (r *Refused) Error() string { return fmt.Sprintf("%+v", r.Err) }

// Unwrap returns the cause.
func (r *Refused) Unwrap() error { return r.Err }

// Runner runs programs that work on the one value of an array map.
type Runner struct{ m *ebpf.Map }

// NewRunner makes the map, with a value of size bytes.
func NewRunner(size int) (*Runner, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "memory", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(size), MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	return &Runner{m}, nil
}

// Close gives the map back.
func (r *Runner) Close() error { return r.m.Close() }

// Run loads a program, whose instruction number load (in slots) waits for the address of the map's value, runs it with the
// given value, and returns R0 and the value at the end. A *Refused is an error of the program.
func (r *Runner) Run(code []byte, load int, value []byte) (r0 uint32, after []byte, err error) {
	code = bytes.Clone(code)
	code[8*load+1] = code[8*load+1]&15 | 2<<4 // BPF_PSEUDO_MAP_VALUE
	binary.LittleEndian.PutUint32(code[8*load+4:], uint32(r.m.FD()))
	insns, err := asm.AppendInstructions(nil, bytes.NewReader(code), binary.LittleEndian, "linux")
	if err != nil {
		return 0, nil, err
	}
	if err := r.m.Put(uint32(0), value); err != nil {
		return 0, nil, err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: insns})
	if err != nil {
		var v *ebpf.VerifierError
		if errors.As(err, &v) {
			return 0, nil, &Refused{err}
		}
		return 0, nil, err
	}
	defer p.Close()
	r0, _, err = p.Test(Packet())
	if err != nil {
		return 0, nil, err
	}
	after, err = r.m.LookupBytes(uint32(0))
	return r0, after, err
}
