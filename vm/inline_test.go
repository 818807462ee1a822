package vm

import (
	"math/rand/v2"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/helpers"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

// standing is a machine that stands still.
type standing struct{ abi.Host }

func (standing) CPU() int32                    { return 1 }
func (standing) NrCPUs() int32                 { return 3 }
func (standing) NowNS() uint64                 { return 5_000_000_123 }
func (standing) CurrentTask() uint64           { return mem.Base + 64 }
func (standing) CurrentPID() (pid, tgid int32) { return 7, 5 }

// What helpers say in code is what they do.
func TestInlineHelpers(t *testing.T) {
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	buf, _, err := m.Alloc(64, 8)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := maps.NewTable(m, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	env := &helpers.Env{Mem: m, Host: standing{}, Maps: tab}
	call := &abi.Call{Mem: m, Host: standing{}}
	table := env.Table()
	rnd := rand.New(rand.NewPCG(1, 2))
	n := 0
	for id, in := range env.Inline() {
		if in == nil {
			continue
		}
		n++
		t.Run(helpers.Name(int64(id)), func(t *testing.T) {
			c := enginetest.NewInCode(t, interp.Engine{}, m, call, in, table[id])
			used := 0
			for range 200 {
				m.Store(buf, 8, uint64(rnd.IntN(3)))
				values := []uint64{buf, buf + 4, buf + 1, 0, 1, 2, 3, 1<<32 + 1, mem.Base - 1, mem.Base + m.Limit() - 2, rnd.Uint64()}
				var a abi.Args
				for i := range a {
					a[i] = values[rnd.IntN(len(values))]
				}
				if c.Args(t, a) {
					used++
				}
			}
			if used == 0 {
				t.Error("the code was never good enough")
			}
		})
	}
	if n < 10 {
		t.Errorf("%d helpers are said in code", n)
	}
}
