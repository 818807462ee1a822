package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestBootClocks: the clocks that programs read count from the boot, and timers go by them.
func TestBootClocks(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l1c1t", quiet: true})
	p, err := New("testdata/async.bpf.o", r.options("interp"))
	must(t, err)
	r.enable(p)
	const boot = uint64(10 * sim.Second)
	if now := p.host.NowNS(); now != boot || r.k.Now() != boot || r.m.Now() != 0 {
		t.Fatalf("ktime %d, scx_bpf_now %d, machine %v", now, r.k.Now(), r.m.Now())
	}
	var fired []sim.Time
	note := func() { fired = append(fired, r.m.Now()) }
	p.host.ArmTimer(1, 0, boot+uint64(5*sim.Millisecond), note)
	p.host.ArmTimer(2, 0, boot-1, note)            // before the machine began
	p.host.ArmTimer(3, 0, uint64(sim.Never), note) // KTIME_MAX
	r.run(20 * sim.Millisecond)
	if len(fired) != 2 || fired[0] != 0 || fired[1] != sim.Time(5*sim.Millisecond) {
		t.Errorf("fired at %v", fired)
	}
}
