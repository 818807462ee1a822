package enginetest

import (
	"github.com/schedsim/schedsim/vm/engine/raw"
	"github.com/schedsim/schedsim/vm/ir"
)

// Decode turns raw bytecode, as in a file without relocations, into program number 0 of a set; see raw.Decode.
func Decode(code []byte) (*ir.Program, error) { return raw.Decode(code) }
