package sys_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/sys"
)

// What is kept of programs is enough for messages: a violation is the same on an engine that has let go of instructions.
func TestFaultOfReleased(t *testing.T) {
	e, err := jit.New(jit.Options{})
	if err != nil {
		t.Skip(err)
	}
	for _, tc := range []struct {
		name string
		code func(r *rig) []byte
	}{
		{"load", func(*rig) []byte { return join(movK(2, 0), insn(0x79, 0, 2, 8, 0), exit) }},
		{"store behind a map's address", func(r *rig) []byte { return join(ld64(1, 1, r.array(8, 1), 0), insn(0x7a, 2, 0, 16, 1), exit) }},
		{"unknown jump", func(r *rig) []byte {
			fd := r.insnArray(5)
			r.ok(sys.MapFreeze, sys.Words(uint32(fd)))
			return join(ld64(3, 2, fd, 0), movK(3, 1), gotox(3), exit, movK(0, 1), exit)
		}},
		{"failed relocation", func(*rig) []byte { return join(movK(0, 1), helper(195896080), exit) }},
		{"in a function", func(*rig) []byte { return join(insn(0x85, 0, 1, 0, 1), exit, insn(0x71, 0, 10, 600, 0), exit) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var faults []*sys.Fault
			var subs [][][2]int32 // where functions are
			for _, e := range []engine.Engine{interp.Engine{}, e} {
				r := newRig(t, func(o *sys.Options) { o.Engine = e })
				p := r.p.Prog(int(r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, tc.code(r)))))
				_, f := p.Run(0)
				if released := p.Linked().Code.Insns == nil; released != (e.Name() == "jit") {
					t.Errorf("%s: instructions are gone: %v", e.Name(), released)
				}
				faults = append(faults, f)
				var places [][2]int32
				for _, sub := range p.Linked().Code.Functions() {
					places = append(places, [2]int32{sub.Start, sub.End})
				}
				subs = append(subs, places)
			}
			if d := cmp.Diff(subs[0], subs[1]); d != "" || len(subs[0]) == 0 {
				t.Errorf("functions %v (-interp +jit):\n%s", subs[0], d)
			}
			if faults[0] == nil || faults[0].Msg == "" {
				t.Fatal("no violation")
			}
			if d := cmp.Diff(faults[0], faults[1]); d != "" {
				t.Errorf("(-interp +jit):\n%s", d)
			}
		})
	}
}
