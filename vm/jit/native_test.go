//go:build linux && (amd64 || arm64)

package jit

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/native"
)

func newTestEngine(t *testing.T, o Options) engine.Engine {
	e, err := New(o)
	if err != nil {
		t.Skip(err)
	}
	return e
}

// A space has room for a number of sets; more are refused, and a closed one makes room.
func TestManySets(t *testing.T) {
	e := newTestEngine(t, Options{})
	w := enginetest.New(t, e, enginetest.Options{}, enginetest.LoopCall(1))
	var sets []engine.Code
	var err error
	for range native.Contexts {
		var c engine.Code
		if c, err = e.Compile(w.Env); err != nil {
			break
		}
		sets = append(sets, c)
	}
	if len(sets) != native.Contexts-1 || err == nil || !strings.Contains(err.Error(), "share an address space") {
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
	enginetest.New(t, newTestEngine(t, Options{PerfMap: &b}), enginetest.Options{}, enginetest.LoopCall(1))
	if !regexp.MustCompile(`^[0-9a-f]+ [0-9a-f]+ bpf:loop\n[0-9a-f]+ [0-9a-f]+ bpf:loop/s\n$`).MatchString(b.String()) {
		t.Errorf("perf map:\n%s", &b)
	}
}

// No mapping of the process is both writable and executable, and Close gives code back.
func TestMappings(t *testing.T) {
	e := newTestEngine(t, Options{})
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

// A garbage collection does not wait for a program to end, which here waits for the collection.
func TestYield(t *testing.T) {
	p := &ir.Program{Name: "wait", Insns: []ir.Insn{{Op: ir.Ld64, Dst: 2, Src: 1}, {Op: ir.JEq64K, Dst: 2, Target: 0}, {Op: ir.Mov64X, Dst: 0, Src: 2}, {Op: ir.Exit}},
		Subs: []ir.Sub{{End: 4}}}
	w := enginetest.New(t, newTestEngine(t, Options{}), enginetest.Options{Budget: 1 << 50}, p)
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
