package interp_test

import (
	"testing"

	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
)

func TestConformance(t *testing.T) { enginetest.Conformance(t, interp.Engine{}) }
