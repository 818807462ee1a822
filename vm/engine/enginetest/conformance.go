package enginetest

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
)

// The cases of the bpf_conformance project; see testdata/NOTICE.
//
//go:embed testdata/bpf-conformance.json
var conformance []byte

// Case is one conformance test: byte code, the memory that R1 and R2 (its length) describe, and the value of R0 at the end.
type Case struct {
	Name    string   `json:"name"`
	Version string   `json:"version"` // of the instruction set: v1 to v4
	Groups  []string `json:"groups"`
	Mem     string   `json:"mem"`
	Code    string   `json:"code"`
	Result  string   `json:"result"`
}

// Cases returns the conformance tests, in the order of the file.
func Cases(tb testing.TB) []Case {
	var cases []Case
	d := json.NewDecoder(bytes.NewReader(conformance))
	if err := d.Decode(&cases); err != nil {
		tb.Fatal(err)
	}
	return cases
}

// Conformance runs all conformance tests on e, each as a sub-test.
func Conformance(t *testing.T, e engine.Engine) {
	cases := Cases(t)
	if len(cases) != 313 {
		t.Fatalf("%d conformance tests, want 313", len(cases))
	}
	for _, tc := range cases {
		t.Run(tc.Name, func(t *testing.T) {
			want, err := strconv.ParseUint(tc.Result, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			got := tc.Run(t, e)
			if got.Fault != nil {
				t.Fatalf("fault: %v", got.Fault)
			}
			if got.R0 != want {
				t.Errorf("r0 = %#x, want %#x", got.R0, want)
			}
		})
	}
}

// Run runs the case on e.
func (c Case) Run(tb testing.TB, e engine.Engine) Result {
	code, err := hex.DecodeString(c.Code)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := hex.DecodeString(c.Mem)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Decode(code)
	if err != nil {
		tb.Fatal(err)
	}
	// The one case of the group callx calls a helper by its number.
	w := New(tb, e, Options{ByNumber: slices.Contains(c.Groups, "callx")}, p)
	copy(w.Mem.Bytes(w.Data, DataSize), data)
	args := abi.Args{w.Data, uint64(len(data))}
	if len(data) == 0 {
		args[0] = 0
	}
	return w.RunSub(engine.CodeAddr(0, 0), args)
}
