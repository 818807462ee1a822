package bpf

import (
	"bytes"
	"debug/elf"
	"errors"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/examples"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/sys"
	"github.com/schedsim/schedsim/vm/verifier"
)

// patched is an example whose program in the section given begins with other instructions.
func patched(t *testing.T, name, section string, code []byte) []byte {
	t.Helper()
	obj, err := examples.Object(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(obj))
	if err != nil {
		t.Fatal(err)
	}
	s := f.Section(section)
	if s == nil || s.Size < uint64(len(code)) {
		t.Fatalf("no section %s of %d bytes", section, len(code))
	}
	out := bytes.Clone(obj)
	copy(out[s.Offset:], code)
	return out
}

// What the verifier refuses is not loaded; without it, the checks at run time end the scheduler.
func TestRefused(t *testing.T) {
	bad := []byte{0x79, 0x10, 0, 1, 0, 0, 0, 0} // r0 = *(u64 *)(r1 + 256): running has one argument
	obj := patched(t, "simple", "struct_ops/simple_running", bad)
	open := func(o Options) error {
		r := newRig(t, rigConfig{topo: "1n1l2c1t", quiet: true})
		o.Kernel, o.Mem = r.kernel, r.space
		p, err := Read("bad.bpf.o", obj, o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		_, err = p.Open(sched.Env{Machine: r.m, Kernel: r.k})
		return err
	}
	err := open(Options{})
	var e *verifier.Error
	if !errors.As(err, &e) || e.Prog != "simple_running" || e.Insn != 0 || e.Code != verifier.CodeCtxAccess {
		t.Fatalf("got %v", err)
	}
	if sys.Errno(err) != 13 {
		t.Errorf("error number %d", sys.Errno(err))
	}
	for _, want := range []string{"bad.bpf.o: program simple_running, instruction 0 (simple.bpf.c:", "): invalid bpf_context access off=256 size=8 [ctx-access]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("message %q, want %q", err, want)
		}
	}
	if err := open(Options{Checked: true}); !errors.As(err, &e) {
		t.Errorf("checked: %v", err)
	}
	if err := open(Options{NoVerify: true}); err != nil {
		t.Errorf("without verification: %v", err)
	}
}

// The results do not depend on which checks are left out: every record of a run is the same, and most accesses run unchecked.
func TestCheckedIsTheSame(t *testing.T) {
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			var want []sim.Record
			for i, o := range []Options{{}, {Checked: true}, {NoVerify: true}, {Engine: vm.Interp()},
				{Engine: vm.Interp(), Checked: true}, {Engine: vm.Interp(), NoVerify: true}} {
				interp := o.Engine != nil // its instructions can be looked at
				r := newRig(t, rigConfig{topo: "1n2l2c1t", costs: sim.Costs{Switch: 1000, InsnPS: 70, KfuncNS: 20, Callback: 20}})
				if o.Engine == nil {
					var err error
					if o.Engine, err = vm.EngineByName("auto"); err != nil {
						t.Fatal(err)
					}
				}
				o.Kernel, o.Mem, o.Agent = r.kernel, r.space, recipes.New(recipes.Options{})
				p := example(t, name, o)
				r.enable(p)
				proved, accesses := 0, 0
				for _, name := range p.loaded.Programs() {
					prog := p.loaded.Prog(name)
					reached := prog.Verified().Reached
					for i, in := range prog.Linked().Code.Insns {
						if (in.Op.IsLoad() || in.Op.IsStore()) && (reached == nil || reached[i]) {
							accesses++
							if in.Proved {
								proved++
							}
						}
					}
				}
				if o.Checked || o.NoVerify {
					if proved > 0 {
						t.Errorf("run %d: %d accesses are proved", i, proved)
					}
				} else if interp && (accesses == 0 || proved*4 < accesses*3) {
					t.Errorf("run %d: %d of %d accesses are proved", i, proved, accesses)
				}
				r.spawn(mixed(3)...)
				r.run(100 * sim.Millisecond)
				if i == 0 {
					want = r.records
				} else if d := firstDifference(want, r.records); d != "" {
					t.Errorf("run %d: %s", i, d)
				}
			}
		})
	}
}
