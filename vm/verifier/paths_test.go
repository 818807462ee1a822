package verifier

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The log at level 2 has every path: where it begins, where it ends, the reason of a refusal.
func TestTrace(t *testing.T) {
	w := newWorld(t)
	p, err := assemble("main", `
		r2 = *(u64 *)(r1 + 8)
		r0 = 0
		if r2 == 0 goto same
		r0 = 1
		same:
		r3 = r10
		*(u64 *)(r3 - 8) = r0
		exit`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	Trace(p.obj, p.prog, w.attachment(""), func(s string) { got = append(got, s) })
	want := []string{
		"0: R1=ctx() R10=fp0",
		"0: (79) r2 = *(u64 *)(r1 +8)          ; R1=ctx() R2=scalar()",
		"1: (b7) r0 = 0                        ; R0=0",
		"2: (15) if r2 == 0x0 goto pc+1        ; R2=scalar(umin=1)",
		"3: (b7) r0 = 1                        ; R0=1",
		"4: (bf) r3 = r10                      ; R3=fp0 R10=fp0",
		"5: (7b) *(u64 *)(r3 -8) = r0          ; R0=1 R3=fp0 fp-8=1",
		"6: (95) exit",
		"",
		"from 2 to 4: R0=0 R10=fp0",
		"4: (bf) r3 = r10                      ; R3=fp0 R10=fp0",
		"5: (7b) *(u64 *)(r3 -8) = r0          ; R0=0 R3=fp0 fp-8=0",
		"6: (95) exit",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	got = nil
	p, err = assemble("main", "r2 = *(u64 *)(r1 + 8)\nif r2 == 0 goto out\nr2 = 5\nout:\nr0 = *(u64 *)(r10 - 600)\nexit")
	if err != nil {
		t.Fatal(err)
	}
	Trace(p.obj, p.prog, w.attachment(""), func(s string) { got = append(got, s) })
	if last := got[len(got)-1]; !strings.HasPrefix(last, "invalid read from stack R10 off=-600") {
		t.Errorf("the last line is %q", last)
	}
}
