//go:build linux && arm64

package arm64

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/ir"
)

func TestContextLayout(t *testing.T) {
	if n := unsafe.Sizeof(context{}); n > contextSize {
		t.Errorf("context has %d bytes", n)
	}
	// Pairs are loaded at once.
	if unsafe.Offsetof(context{}.host) != unsafe.Offsetof(context{}.bias)+8 {
		t.Error("host does not follow bias")
	}
}

// A space has room for a number of sets; more are refused, and a closed one makes room.
func TestManySets(t *testing.T) {
	e := newEngine(t, Options{})
	w := enginetest.New(t, e, enginetest.Options{}, enginetest.LoopCall(1))
	var sets []engine.Code
	var err error
	for range contexts {
		var c engine.Code
		if c, err = e.Compile(w.Env); err != nil {
			break
		}
		sets = append(sets, c)
	}
	if len(sets) != contexts-1 || err == nil || !strings.Contains(err.Error(), "share an address space") {
		t.Errorf("%d more sets, then %v", len(sets), err)
	}
	for i, c := range sets {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if i == 0 {
			if c, err := e.Compile(w.Env); err != nil {
				t.Error(err)
			} else {
				c.Close()
			}
		}
	}
}

func TestPerfMap(t *testing.T) {
	var b bytes.Buffer
	enginetest.New(t, newEngine(t, Options{PerfMap: &b}), enginetest.Options{}, enginetest.LoopCall(1))
	if !regexp.MustCompile(`^[0-9a-f]+ [0-9a-f]+ bpf:loop\n[0-9a-f]+ [0-9a-f]+ bpf:loop/s\n$`).MatchString(b.String()) {
		t.Errorf("perf map:\n%s", &b)
	}
}

// No mapping of the process is both writable and executable, and Close gives code back.
func TestMappings(t *testing.T) {
	e := newEngine(t, Options{})
	text := func() (n int) {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		for line := range strings.Lines(string(maps)) {
			perm := strings.Fields(line)[1]
			if perm[1] == 'w' && perm[2] == 'x' {
				t.Errorf("writable and executable: %s", line)
			}
			if perm[2] == 'x' && len(strings.Fields(line)) == 5 {
				n++
			}
		}
		return n
	}
	before := text()
	p := &ir.Program{Insns: []ir.Insn{{Op: ir.Exit}}, Subs: []ir.Sub{{End: 1}}}
	w := enginetest.New(t, e, enginetest.Options{}, p)
	if n := text(); n != before+1 {
		t.Errorf("%d anonymous executable mappings with code, %d before", n, before)
	}
	if err := w.Code.Close(); err != nil {
		t.Error(err)
	}
	if n := text(); n != before {
		t.Errorf("%d anonymous executable mappings after Close, %d before", n, before)
	}
}

// Each compilation makes code in the same place anew, most likely, with other instructions: what runs must be the new ones.
func TestStaleInstructions(t *testing.T) {
	e := newEngine(t, Options{})
	w := enginetest.New(t, e, enginetest.Options{}, enginetest.LoopCall(1))
	for i := range int64(200) {
		w.Env.Progs[0].Code = &ir.Program{Insns: []ir.Insn{{Op: ir.Mov64K, Imm: i}, {Op: ir.Exit}}, Subs: []ir.Sub{{End: 2}}}
		c, err := e.Compile(w.Env)
		if err != nil {
			t.Fatal(err)
		}
		if r0, f := c.Run(0, 0); r0 != uint64(i) || f != nil {
			t.Fatalf("r0 = %d, %v; want %d", r0, f, i)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
