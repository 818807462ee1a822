package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/ops"
)

// Every callback of the table has a binding.
func TestBindEverything(t *testing.T) {
	for id := ops.None + 1; id < ops.NrCallbacks; id++ {
		var tbl ops.Table
		(&Policy{}).bindOne(&tbl, id, caller{})
	}
}
