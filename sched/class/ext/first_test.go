package ext

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

func TestFirst(t *testing.T) {
	for _, tp := range []string{"1n1l1c1t", "1n1l4c1t", "2n2l2c2t"} {
		r := newRig(t, rigOptions{topo: tp, record: true})
		r.enable(fifoTable(r.k))
		for range 20 {
			r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
			r.spawn(sim.TaskSpec{Comm: "per", Behavior: &steps{list: []sim.Step{run(1 * sim.Millisecond), sleep(5 * sim.Millisecond)}}})
		}
		for i := range int64(200) {
			r.run(ms(i * 10))
			if err := r.k.check(); err != nil {
				t.Fatal(tp, i, err)
			}
		}
		t.Log(tp, len(r.recs), r.k.ExitInfo(), r.k.Log(), r.k.Calls(), *r.k.Events())
		r.k.Disable(64)
		t.Log(r.k.ExitInfo(), r.k.Log())
		r.run(ms(3000))
		if err := r.k.check(); err != nil {
			t.Fatal(err)
		}
	}
}
