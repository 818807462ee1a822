package kfuncs

import (
	"encoding/binary"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// rig is a machine whose kernel objects lie in simulated memory at the offsets of Linux 7.2, and the functions as a
// program would find them. Callbacks are Go funcs that call the functions through registers only.
type rig struct {
	t     *testing.T
	m     *sim.Machine
	k     *ext.Kernel
	mem   *mem.Space
	host  *Host
	funcs map[string]abi.Kfunc
	c     *abi.Call
	stack uint64 // 1 KiB of memory to pass pointers to
}

func newRig(t *testing.T, shape string) *rig {
	t.Helper()
	return newRigOn(t, "7.2", shape)
}

// newRigOn is newRig for another kernel.
func newRigOn(t *testing.T, version, shape string) *rig {
	t.Helper()
	return newRigWith(t, version, shape, PermissionsKernel)
}

// newRigWith is newRigOn with another way of enforcing permissions.
func newRigWith(t *testing.T, version, shape string, p Permissions) *rig {
	t.Helper()
	kernel, err := kernels.Get(version)
	check(t, err)
	layout, err := kobj.NewLayout(kernel)
	check(t, err)
	tp, err := topo.Parse(shape)
	check(t, err)
	space, err := mem.New(mem.Options{Reserve: 64 << 20})
	check(t, err)
	t.Cleanup(func() { space.Close() })
	r := &rig{t: t, mem: space, funcs: map[string]abi.Kfunc{}}
	r.m, err = sim.New(sim.Config{
		Topo: tp, Layout: layout, Mem: space,
		Classes: func(m *sim.Machine) []sim.Class {
			r.k = ext.New(m)
			return []sim.Class{fair.New(m), r.k, idle.New(m)}
		},
	})
	check(t, err)
	r.host = &Host{Machine: r.m, Kernel: r.k, Mem: space, Layout: kernel, Permissions: p}
	for _, f := range All(r.host) {
		r.funcs[f.Name] = f
	}
	r.c = &abi.Call{Mem: space}
	r.stack, _, err = space.Alloc(1024, 64)
	check(t, err)
	return r
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call calls a function that must not fault.
func (r *rig) call(name string, args ...uint64) uint64 {
	r.t.Helper()
	v, fault := r.try(name, args...)
	if fault != "" {
		r.t.Errorf("%s%x: %s", name, args, fault)
	}
	return v
}

// try calls a function and returns its result and its fault, with the function's name in front as users see it.
func (r *rig) try(name string, args ...uint64) (uint64, string) {
	r.t.Helper()
	f, ok := r.funcs[name]
	if !ok || f.Call == nil {
		r.t.Fatalf("%s is not there", name)
	}
	var a abi.Args
	copy(a[:], args)
	v := f.Call(r.c, &a)
	fault := r.c.Fault
	if r.c.Fault = ""; fault != "" {
		fault = name + ": " + fault
	}
	return v, fault
}

// want calls a function and compares its result.
func (r *rig) want(want uint64, name string, args ...uint64) {
	r.t.Helper()
	if v := r.call(name, args...); v != want {
		r.t.Errorf("%s%x: %#x, want %#x", name, args, v, want)
	}
}

// faults calls a function that must fault with that message.
func (r *rig) faults(want, name string, args ...uint64) {
	r.t.Helper()
	if _, fault := r.try(name, args...); fault != want {
		r.t.Errorf("%s%x: fault %q, want %q", name, args, fault, want)
	}
}

// put writes words to the stack and returns their address.
func (r *rig) put(off uint64, words ...uint64) uint64 {
	b := r.mem.Bytes(r.stack+off, uint64(8*len(words)))
	for i, w := range words {
		binary.LittleEndian.PutUint64(b[8*i:], w)
	}
	return r.stack + off
}

func (r *rig) get(addr uint64) uint64 { return binary.LittleEndian.Uint64(r.mem.Bytes(addr, 8)) }

// text writes a C string to the stack and returns its address.
func (r *rig) text(off uint64, s string) uint64 {
	copy(r.mem.Bytes(r.stack+off, uint64(len(s)+1)), s+"\x00")
	return r.stack + off
}

// steps is a task that does what the steps say and ends.
type steps []sim.Step

func (s *steps) Next(*sim.Task, sim.Time) sim.Step {
	if len(*s) == 0 {
		return sim.Step{Kind: sim.StepExit}
	}
	next := (*s)[0]
	*s = (*s)[1:]
	return next
}

func run(d sim.Duration) sim.Step   { return sim.Step{Kind: sim.StepRun, Dur: d} }
func sleep(d sim.Duration) sim.Step { return sim.Step{Kind: sim.StepSleep, Dur: d} }

func (r *rig) spawn(comm string, s ...sim.Step) *sim.Task {
	r.t.Helper()
	b := steps(s)
	t, err := r.m.Spawn(sim.TaskSpec{Comm: comm, Behavior: &b})
	check(r.t, err)
	return t
}

// enable enables a policy and runs the machine for a second.
func (r *rig) enable(t *ops.Table) {
	r.t.Helper()
	t.Name = "test"
	check(r.t, r.k.Enable(t))
}

func (r *rig) run() {
	r.t.Helper()
	check(r.t, r.m.Run(r.m.Now().Add(sim.Second)))
}

// healthy checks that the policy was not thrown out.
func (r *rig) healthy() {
	r.t.Helper()
	if e := r.k.ExitInfo(); e != nil {
		r.t.Errorf("the policy ended: %s: %s", e.Reason, e.Msg)
	}
}

// ended checks why the policy was thrown out.
func (r *rig) ended(kind ops.ExitKind, msg string) {
	r.t.Helper()
	e := r.k.ExitInfo()
	if e == nil {
		r.t.Fatal("the policy goes on")
	}
	if e.Kind != kind || e.Msg != msg {
		r.t.Errorf("the policy ended with %d %q, want %d %q", e.Kind, e.Msg, kind, msg)
	}
}

func neg(e abi.Errno) uint64 { return e.Ret() }
