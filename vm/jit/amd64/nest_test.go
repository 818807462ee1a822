//go:build linux && amd64

package amd64

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
)

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
