package bpf

import (
	"bytes"
	"embed"
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/schedsim/schedsim/internal/hostbpf"
	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops/kernels"
	sched "github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

//go:embed programs/*.bpf.o
var objects embed.FS

const seed = 0x1234567887654321

// runner is one object on one engine.
type runner interface {
	// run runs a program n times and returns the last R0 and the time of all.
	run(program string, n int) (r0 uint32, d time.Duration, err error)
	// globals are the bytes of the object's global variables.
	globals() ([]byte, error)
}

func object(tb testing.TB, name string) []byte {
	b, err := objects.ReadFile("programs/" + name + ".bpf.o")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// set is an object in our machine.
type set struct {
	*vm.Set
	ctx uint64
}

// newSet loads an object; verified, its programs have been verified, and run as such.
func newSet(tb testing.TB, name, engine string, verified bool) *set {
	e, err := vm.EngineByName(engine)
	if err != nil {
		tb.Skip(err)
	}
	kernel, err := kernels.Get("7.2")
	if err != nil {
		tb.Fatal(err)
	}
	o, err := elf.Read(name+".bpf.o", bytes.NewReader(object(tb, name)))
	if err != nil {
		tb.Fatal(err)
	}
	l, err := link.Link(o, sched.Target(kernel), link.Options{Globals: map[string]any{"seed": uint64(seed)}})
	if err != nil {
		tb.Fatal(err)
	}
	if verified {
		verify(tb, kernel, l)
	}
	m, err := mem.New(mem.Options{Reserve: 64 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, _, err := m.Alloc(256, 8)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := vm.Load(l, vm.Options{Mem: m, Host: host{}, Kfuncs: kfuncs.All(&kfuncs.Host{Mem: m}), Engine: e})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		s.Close()
		m.Close()
	})
	return &set{s, ctx}
}

func (s *set) run(program string, n int) (uint32, time.Duration, error) {
	p := s.Program(program)
	var r0 uint64
	began := time.Now()
	for range n {
		var f *vm.Fault
		if r0, f = p.Run(s.ctx); f != nil {
			return 0, 0, f
		}
	}
	return uint32(r0), time.Since(began), nil
}

func (s *set) globals() ([]byte, error) {
	a, ok := s.Map(".bss").(*maps.Array)
	if !ok {
		return nil, fmt.Errorf("no section .bss")
	}
	return a.Data(), nil
}

// host is a kernel in which nothing happens.
type host struct{}

func (host) CPU() int32                             { return 0 }
func (host) NrCPUs() int32                          { return 2 }
func (host) NowNS() uint64                          { return 0 }
func (host) CurrentTask() uint64                    { return 0 }
func (host) CurrentPID() (pid, tgid int32)          { return 0, 0 }
func (host) Rand32() uint32                         { return 0 }
func (host) Printk(string)                          {}
func (host) ArmTimer(uint64, int32, uint64, func()) {}
func (host) DisarmTimer(uint64) bool                { return false }

// kernel is an object in the kernel that the benchmark runs on.
type kernel struct {
	c    *ebpf.Collection
	name string
}

func newKernel(tb testing.TB, name string) *kernel {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object(tb, name)))
	if err != nil {
		tb.Fatal(err)
	}
	if err := spec.Variables["seed"].Set(uint64(seed)); err != nil {
		tb.Fatal(err)
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		tb.Fatalf("%+v", err)
	}
	tb.Cleanup(c.Close)
	return &kernel{c, name}
}

func (k *kernel) run(program string, n int) (uint32, time.Duration, error) {
	r0, each, err := k.c.Programs[program].Benchmark(hostbpf.Packet(), n, func() {})
	return r0, each * time.Duration(n), err
}

func (k *kernel) globals() ([]byte, error) { return k.c.Maps[".bss"].LookupBytes(uint32(0)) }

// insns is the number of instructions that a run of the program executes.
func insns(tb testing.TB, s *set, program string) uint64 {
	before := s.Insns()
	if _, _, err := s.run(program, 1); err != nil {
		tb.Fatal(err)
	}
	return s.Insns() - before
}
