package verdict

import (
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Lint is a remark on something that kernels take.
type Lint struct {
	// Rule is its stable name.
	Rule, Text string
	Source     ir.Source
}

func (k *Kernel) lint(o *elf.Object, l *link.Object, rows []Row) {}
