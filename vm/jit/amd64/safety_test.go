//go:build linux && amd64

package amd64

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/ir"
)

// enter has the offsets of these fields as numbers.
func TestContextLayout(t *testing.T) {
	got := []int32{offBase, offSP, offPC, offLeft, offR0, offBias}
	for i, off := range got {
		if off != int32(8*i) {
			t.Errorf("field %d of context is at %d", i, off)
		}
	}
	if n := unsafe.Sizeof(context{}); n > contextSize {
		t.Errorf("context has %d bytes", n)
	}
}

func newEngine(t testing.TB, o Options) *Engine {
	e, err := New(o)
	if err != nil {
		t.Skip(err)
	}
	return e
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
	t.Run("open", func(t *testing.T) {
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
	})
}

// A garbage collection does not wait for a program to end, which here waits for the collection.
func TestYield(t *testing.T) {
	p := &ir.Program{Name: "wait", Insns: []ir.Insn{{Op: ir.Ld64, Dst: 2, Src: 1}, {Op: ir.JEq64K, Dst: 2, Target: 0}, {Op: ir.Mov64X, Dst: 0, Src: 2}, {Op: ir.Exit}},
		Subs: []ir.Sub{{End: 4}}}
	w := enginetest.New(t, newEngine(t, Options{}), enginetest.Options{Budget: 1 << 50}, p)
	done := make(chan struct{})
	go func() {
		runtime.GC()
		// Safety: the memory is there until the world ends.
		atomic.StoreUint64((*uint64)(unsafe.Pointer(&w.Mem.Bytes(w.Data, 8)[0])), 5)
		close(done)
	}()
	if r0, f := w.Code.Run(0, w.Data); r0 != 5 || f != nil {
		t.Errorf("r0 = %d, %v", r0, f)
	}
	<-done
}
