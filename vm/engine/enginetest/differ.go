package enginetest

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

const diffStack = 20 * engine.FrameSize

// dataAddr is where worlds with a stack of that size have their memory.
func dataAddr(tb testing.TB, stack uint64) uint64 {
	m := newSpace(tb)
	for _, n := range []uint64{stack, DataSize} {
		a, _, err := m.Alloc(n, 4096)
		if err != nil {
			tb.Fatal(err)
		}
		stack = a
	}
	return stack
}

// Differ compares two engines: whatever a program does, both must do the same, to the last bit of memory, count and letter of
// a fault.
type Differ struct {
	engines [2]engine.Engine
	homes   map[uint64]*home // by where the arena is
	data    uint64           // where worlds have their memory
}

// home are address spaces for both engines. They are used for a number of worlds each, since making one takes most of the
// time of a short test.
type home struct {
	spaces [2]*mem.Space
	uses   int
}

// NewDiffer compares e with ref. Worlds get the arrays and helpers of Inlining.
func NewDiffer(tb testing.TB, ref, e engine.Engine) *Differ {
	d := new(Differ)
	d.begin(tb, ref, e)
	return d
}

func (d *Differ) begin(tb testing.TB, ref, e engine.Engine) {
	d.engines = [2]engine.Engine{Inlining{ref}, Inlining{e}}
	d.homes = map[uint64]*home{}
	d.data = dataAddr(tb, diffStack)
	tb.Cleanup(d.close)
}

func (d *Differ) close() {
	for _, h := range d.homes {
		h.close()
	}
}

func (h *home) close() {
	for i, m := range h.spaces {
		if m != nil {
			m.Close()
		}
		h.spaces[i] = nil
	}
	h.uses = 0
}

// home returns the address spaces for a world with that arena: new ones from time to time, and after what helpers allocated
// has made the old ones slow to look at.
func (d *Differ) home(tb testing.TB, arena uint64) [2]*mem.Space {
	const uses, size = 64, 256 << 10
	h := d.homes[arena]
	if h == nil {
		h = new(home)
		d.homes[arena] = h
	}
	if h.uses >= uses || h.uses > 0 && max(h.spaces[0].Limit(), h.spaces[1].Limit()) > size {
		h.close()
	}
	for i := range h.spaces {
		if h.spaces[i] == nil {
			m, err := mem.New(mem.Options{Reserve: 16 << 20})
			if err != nil {
				tb.Fatal(err)
			}
			h.spaces[i] = m
		}
	}
	h.uses++
	return h.spaces
}

// Bytes compares the engines on the set of programs that data describes: any bytes are one. It returns how the programs
// ended, see Kind.
func (d *Differ) Bytes(t *testing.T, data []byte) (ends []string) {
	t.Helper()
	o, progs := d.programs(data)
	return d.compare(t, o, progs...)
}

// programs makes the set of programs that data describes.
func (d *Differ) programs(data []byte) (Options, []*ir.Program) {
	g := &generator{data: data, mem: d.data}
	o := Options{Stack: diffStack, Budget: []uint64{3000, 500, 60, 7, 1}[g.n(8)*5/8]}
	o.ByNumber = g.n(4) == 0
	if g.n(3) > 0 {
		o.Arena = arenaUser + uint64(g.n(2))*0x1000
	}
	if g.n(8) == 0 {
		if progs := Hostile(g.data); progs != nil {
			return o, progs
		}
	}
	return o, g.programs()
}

// Compare compares e with ref on progs, in address spaces of their own. It returns how they ended, see Kind.
func Compare(t *testing.T, ref, e engine.Engine, o Options, progs ...*ir.Program) (ends []string) {
	t.Helper()
	return NewDiffer(t, ref, e).compare(t, o, progs...)
}

func (d *Differ) compare(t *testing.T, o Options, progs ...*ir.Program) (ends []string) {
	t.Helper()
	for _, p := range progs {
		if err := engine.Check(p); err != nil {
			t.Fatalf("the generator made a bad program: %v\n%s", err, Listing(progs))
		}
	}
	var results [2][]Result
	done := false
	spaces := d.home(t, o.Arena)
	t.Run("", func(t *testing.T) { // worlds end with it
		t.Helper()
		for i, e := range d.engines {
			o.Mem = spaces[i]
			w := New(t, e, o, progs...)
			for n := range 2 {
				results[i] = append(results[i], w.Run(n%len(progs), w.Data))
			}
		}
		done = true
	})
	if !done { // it failed, or there is no arena here
		return nil
	}
	if diff := cmp.Diff(results[0], results[1]); diff != "" {
		t.Fatalf("the engines differ (-%s +%s):\n%s\n%+v\n%s", d.engines[0].Name(), d.engines[1].Name(), diff, o, Listing(progs))
	}
	for _, r := range results[0] {
		if r.Fault == nil {
			r.Fault = &engine.Fault{}
		}
		for _, f := range append(r.Inner, *r.Fault) {
			ends = append(ends, Kind(f.Msg))
		}
	}
	return ends
}

// Kind is the beginning of the message of a fault without its numbers, "" for a program that ended well.
func Kind(msg string) string {
	var b []byte
	for i := 0; i < len(msg) && len(b) < 16; i++ {
		if c := msg[i]; c < '0' || c > '9' {
			b = append(b, c)
		} else if len(b) == 0 || b[len(b)-1] != 'N' {
			b = append(b, 'N')
		}
	}
	return string(b)
}

// RandomBytes are those of random set number i of a stream.
func RandomBytes(i, stream uint64) []byte {
	r := rand.New(rand.NewPCG(i, stream))
	data := make([]byte, 200+r.IntN(1200))
	for j := range data {
		data[j] = byte(r.Uint32())
	}
	return data
}

// Differential compares e with ref on n random sets of programs of a stream, from number first on. Of 2000 or more it
// expects that they end in every way there is.
func Differential(t *testing.T, ref, e engine.Engine, first, n int, stream uint64) {
	d := NewDiffer(t, ref, e)
	ends := map[string]int{}
	for i := first; i < first+n && !t.Failed(); i++ {
		for _, k := range d.Bytes(t, RandomBytes(uint64(i), stream)) {
			ends[k]++
		}
	}
	t.Logf("sets of programs %d to %d ended: %v", first, first+n-1, ends)
	for _, msg := range []string{"", engine.ReadFault(1, 0), engine.WriteFault(1, 0), engine.AtomicFault(4, 0), engine.BudgetFault(1),
		engine.DepthFault(), engine.StackFault(), engine.TargetFault(0), engine.HelperFault(1), engine.PoisonFault(), engine.JumpFault(1), engine.TailFault(0, 1, 0, true),
		engine.TailFault(0, 1, engine.MaxTails, false), engine.ThrowFault(), "helper says no", "another program says no"} {
		if k := Kind(msg); ends[k] == 0 && n >= 2000 {
			t.Errorf("no program ended with %q", k)
		}
	}
}
