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

// What is said in code of variables that each processor has is what the helpers do.
func TestInlinePerCPU(t *testing.T) {
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	at, _, err := m.Alloc(256, 8)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		copy func(cpu int32) uint64
		ok   bool
	}{
		{"equal distances", func(cpu int32) uint64 { return at + 40*uint64(cpu) }, true},
		{"backwards", func(cpu int32) uint64 { return at - 8*uint64(cpu) }, true},
		{"one copy", func(int32) uint64 { return at }, true},
		{"other distances", func(cpu int32) uint64 { return at + 8*uint64(cpu*cpu) }, false},
		{"elsewhere", func(cpu int32) uint64 { return at + 8*uint64(cpu+1) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tab, err := maps.NewTable(m, 3, 1)
			if err != nil {
				t.Fatal(err)
			}
			env := &helpers.Env{Mem: m, Host: standing{}, Maps: tab, PerCPU: func(ptr uint64, cpu int32) uint64 { return tc.copy(cpu) + ptr - at }}
			table := env.Table()
			this, per, ok := env.InlinePerCPU(at)
			if ok != tc.ok {
				t.Fatalf("said in code: %v", ok)
			}
			if !ok {
				return
			}
			call := &abi.Call{Mem: m, Host: standing{}}
			for name, in := range map[string]*abi.Inline{"this_cpu_ptr": this, "per_cpu_ptr": per} {
				c := enginetest.NewInCode(t, interp.Engine{}, m, call, in, table[helpers.Number(name)])
				for _, cpu := range []uint64{0, 1, 2, 3, 1<<32 + 1, ^uint64(0)} {
					if !c.Args(t, abi.Args{at, cpu}) {
						t.Errorf("%s: the code gives up", name)
					}
				}
			}
		})
	}
}
