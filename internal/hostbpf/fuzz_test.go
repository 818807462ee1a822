//go:build linux

package hostbpf

import (
	"testing"

	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/sys"
)

// FuzzVerified: whatever bytes are loaded, there is a verdict, after a bounded number of instructions; and what is accepted runs
// without a fault.
func FuzzVerified(f *testing.F) {
	for n := range uint64(40) {
		p := probe(n)
		f.Add(p.Code, byte(p.Kind))
	}
	s := ourSide(f, "7.2", nil, sys.Options{Engine: interp.Engine{}, Checked: true})
	f.Fuzz(func(t *testing.T, code []byte, kind byte) {
		if len(code) > 8*512 {
			return
		}
		p := Probe{Code: code[:len(code)&^7], Kind: ProbeKind(kind) % NrProbeKinds}
		fd := s.load(&p)
		if fd < 0 {
			if s.p.Reason() == nil {
				t.Fatalf("refused with %d, without a reason", fd)
			}
			return
		}
		defer s.close(int32(fd))
		if n := s.p.Prog(int(fd)).Verified().Insns; n > 1_000_000 {
			t.Fatalf("accepted after %d instructions", n)
		}
		for k := range uint64(2) {
			if _, fault := s.run(int32(fd), &p, 0, k); bad(fault, &p) {
				t.Fatalf("accepted, and faults: %v\n%s", fault, listing(Program{Code: p.Code}))
			}
		}
	})
}
