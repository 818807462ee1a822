package verifier

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

// A program that needs more memory than is allowed is refused, and what states take is given back when they go.
func TestMemoryBound(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	text.WriteString("r6 = *(u64 *)(r1 + 8)\nr7 = r6\n")
	for i := range 40 {
		text.WriteString("*(u64 *)(r10 - " + strconv.Itoa(8*(i+1)) + ") = r6\n")
	}
	for i := range 12 {
		text.WriteString("if r6 s> " + strconv.Itoa(i) + " goto l" + strconv.Itoa(i) + "\nr7 += 1\nr7 <<= 1\nl" + strconv.Itoa(i) + ":\n")
	}
	text.WriteString("r0 = 0\nloop:\nr0 += 1\nr8 = r7\nif r0 < 300 goto loop\nexit")
	for _, tc := range []struct {
		name  string
		bound int64
		ok    bool
	}{
		{"default", maxHeld, true},
		{"enough", 4 << 20, true},
		{"little", 20 << 10, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := assemble("memory", text.String())
			if err != nil {
				t.Fatal(err)
			}
			v := newVerifier(p.obj, p.prog, w.attachment(""))
			v.maxHeld = tc.bound
			err = v.check()
			var r *refusal
			switch {
			case tc.ok && err != nil:
				t.Errorf("refused: %v", err)
			case tc.ok && v.held < v.heldBefore:
				t.Errorf("%d bytes are held after all paths, %d before", v.held, v.heldBefore)
			case !tc.ok && (!errors.As(err, &r) || r.code != CodeTooComplex):
				t.Errorf("got %v, want a refusal as too complex", err)
			}
			if v.held > tc.bound+64<<10 {
				t.Errorf("%d bytes are held of %d", v.held, tc.bound)
			}
		})
	}
}

// Analyses before paths are followed end, however loops and calls are nested.
func TestWorkBound(t *testing.T) {
	w := newWorld(t)
	p, err := assemble("work", "r1 = r10\nr1 += -8\n*(u64 *)(r10 - 8) = 0\ncall f\nexit\nsub f:\nr0 = 0\nloop:\nr0 += 1\nif r0 < 3 goto loop\nexit")
	if err != nil {
		t.Fatal(err)
	}
	needed := 0
	for _, left := range []int{maxWork, 5, 20, 40} {
		v := newVerifier(p.obj, p.prog, w.attachment(""))
		v.work = maxWork - left
		err := v.check()
		if left == maxWork {
			if err != nil {
				t.Fatal(err)
			}
			needed = v.work
			continue
		}
		var r *refusal
		if refused := errors.As(err, &r) && r.code == CodeTooComplex; refused != (left < needed) {
			t.Errorf("%d instructions of %d: %v", left, needed, err)
		}
	}
}
