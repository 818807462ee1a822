package bpf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/examples"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/class"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/mem"
)

var mutants = flag.Int("mutants", 300, "number of changed schedulers that TestMutants loads, and runs where they are accepted")

// code is where an object has instructions: sections of programs.
func code(t *testing.T, obj []byte) (sections [][2]uint64) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(obj))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 && s.Size >= 16 {
			sections = append(sections, [2]uint64{s.Offset, s.Size})
		}
	}
	return sections
}

// mutate changes an instruction of the object a little.
func mutate(r *rand.Rand, obj []byte, sections [][2]uint64) {
	s := sections[r.IntN(len(sections))]
	at := s[0] + 8*r.Uint64N(s[1]/8)
	b := obj[at : at+8]
	switch r.IntN(6) {
	case 0:
		b[1] = b[1]&0xf0 | byte(r.IntN(11))
	case 1:
		b[1] = b[1]&15 | byte(r.IntN(11))<<4
	case 2:
		binary.LittleEndian.PutUint16(b[2:], binary.LittleEndian.Uint16(b[2:])+uint16([]int{1, -1, 8, -8, 4, 16, 64, -64, 1024}[r.IntN(9)]))
	case 3:
		binary.LittleEndian.PutUint32(b[4:], binary.LittleEndian.Uint32(b[4:])+uint32([]int{1, -1, 8, -8, 64, -1 << 20}[r.IntN(6)]))
	case 4:
		switch b[0] & 7 {
		case 4, 7, 5, 6:
			b[0] = b[0]&15 | byte(r.IntN(14))<<4
		default:
			b[0] = b[0]&^0x18 | byte(r.IntN(4))<<3
		}
	case 5:
		if b[0] != 0x18 && b[0] != 0 && b[0] != 0x95 {
			copy(b, []byte{5, 0, 0, 0, 0, 0, 0, 0})
		}
	}
}

// TestMutants: schedulers with an instruction or two changed are refused when they are loaded, or run without ever accessing
// memory that is not theirs: no check at run time fires, and what is left out of them changes nothing.
func TestMutants(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	layout, err := kobj.NewLayout(k)
	if err != nil {
		t.Fatal(err)
	}
	tp, err := topo.Parse("1n2l1c1t")
	if err != nil {
		t.Fatal(err)
	}
	// run runs an object for some milliseconds; it returns what happened, and why the scheduler ended, if it did.
	run := func(obj []byte, o Options) (records []sim.Record, ended string, err error) {
		var e *ext.Kernel
		space, err := mem.New(mem.Options{Reserve: 256 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer space.Close()
		m, err := sim.New(sim.Config{Topo: tp, Layout: layout, Mem: space, Seed: 1, Costs: sim.Costs{InsnPS: 70},
			Classes: func(m *sim.Machine) []sim.Class {
				c := class.New(m)
				e = c.Ext
				return c.List()
			},
			Sink: sim.SinkFunc(func(r *sim.Record) { records = append(records, *r) })})
		if err != nil {
			t.Fatal(err)
		}
		o.Kernel, o.Mem, o.Budget = k, space, 100_000
		p, err := Read("mutant.bpf.o", obj, o)
		if err != nil {
			return nil, "", err
		}
		defer p.Close()
		tbl, err := p.Open(sched.Env{Machine: m, Kernel: e})
		if err != nil {
			return nil, "", err
		}
		if err := e.Enable(tbl); err != nil {
			return records, err.Error(), nil
		}
		for _, s := range mixed(2) {
			m.Spawn(s)
		}
		if err := m.Run(sim.Time(5 * sim.Millisecond)); err != nil {
			return records, err.Error(), nil
		}
		if x := e.ExitInfo(); x != nil {
			ended = x.Msg
		}
		return records, ended, nil
	}
	engine, err := vm.EngineByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	var objects [][]byte
	var sections [][][2]uint64
	for _, name := range examples.Names() {
		obj, err := examples.Object(name)
		if err != nil {
			t.Fatal(err)
		}
		objects, sections = append(objects, obj), append(sections, code(t, obj))
	}
	refused, ran, ended := 0, 0, 0
	for n := range *mutants {
		r := rand.New(rand.NewPCG(uint64(n), 3))
		i := r.IntN(len(objects))
		obj := bytes.Clone(objects[i])
		for range 1 + r.IntN(2) {
			mutate(r, obj, sections[i])
		}
		want, why, err := run(obj, Options{Engine: vm.Interp(), Checked: true})
		if err != nil {
			refused++
			continue
		}
		ran++
		if why != "" {
			ended++
		}
		if strings.HasPrefix(why, "program ") && !strings.Contains(why, "instructions in one invocation") {
			t.Fatalf("mutant %d of %s was accepted, and faults: %s", n, examples.Names()[i], why)
		}
		got, whyToo, err := run(obj, Options{Engine: engine})
		if err != nil {
			t.Fatalf("mutant %d: accepted once, then %v", n, err)
		}
		if d := firstDifference(want, got); d != "" || why != whyToo {
			t.Fatalf("mutant %d of %s: %q and %q\n%s", n, examples.Names()[i], why, whyToo, d)
		}
	}
	t.Logf("%d changed schedulers: %d refused, %d ran, of which %d ended by themselves", *mutants, refused, ran, ended)
	if *mutants >= 100 && (ran*5 < *mutants || refused*5 < *mutants) {
		t.Error("too few of one sort for this to say much")
	}
}
