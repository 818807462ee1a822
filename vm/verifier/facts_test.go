package verifier

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/ir"
)

// Proved are accesses through pointers to what the machine owns, whatever path leads to them; the context of the test
// programs has a task, a number, and a task that may be null.
func TestProved(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name, text string
		want       string // p or - for each access in the order of the code
	}{
		{"stack and context", `
			r2 = *(u64 *)(r1 + 8)
			*(u64 *)(r10 - 8) = r2
			r0 = *(u64 *)(r10 - 8)
			exit`, "ppp"},
		{"array by constant key", `
			r1 = value array+8
			r0 = *(u64 *)(r1 + 0)
			exit`, "p"},
		{"hash after the check", `
			*(u64 *)(r10 - 8) = 1
			r1 = map hash
			r2 = r10
			r2 += -8
			call map_lookup_elem
			if r0 == 0 goto out
			r1 = *(u64 *)(r0 + 8)
			lock add *(u64 *)(r0 + 8) r1
			r0 = 0
			out:
			exit`, "ppp"},
		{"ring buffer", `
			r1 = map ringbuf
			r2 = 8
			r3 = 0
			call ringbuf_reserve
			if r0 == 0 goto out
			*(u64 *)(r0 + 0) = 1
			r1 = r0
			r2 = 0
			call ringbuf_submit
			r0 = 0
			out:
			exit`, "p"},
		{"a task that was passed", `
			r1 = *(u64 *)(r1 + 0)
			r0 = *(u32 *)(r1 + 16)
			exit`, "pp"},
		{"a task that may be null, after the check", `
			r1 = *(u64 *)(r1 + 16)
			r0 = 0
			if r1 == 0 goto out
			r0 = *(u32 *)(r1 + 16)
			out:
			exit`, "pp"},
		{"a task that was read from another", `
			r1 = *(u64 *)(r1 + 0)
			r1 = *(u64 *)(r1 + MM)
			r0 = *(u32 *)(r1 + 16)
			exit`, "pp-"},
		{"the running task may be none", `
			call get_current_task_btf
			r0 = *(u32 *)(r0 + 16)
			exit`, "-"},
		{"and makes those that were passed doubtful", `
			r6 = *(u64 *)(r1 + 0)
			call get_current_task_btf
			r0 = *(u32 *)(r6 + 16)
			exit`, "p-"},
		{"two paths, one of which is not sure", `
			r6 = *(u64 *)(r1 + 0)
			r2 = *(u64 *)(r1 + 8)
			if r2 == 0 goto same
			r6 = *(u64 *)(r6 + MM)
			same:
			r0 = *(u32 *)(r6 + 16)
			exit`, "ppp-"},
		{"hook: a task that was passed", `
			r1 = *(u64 *)(r1 + 0)
			r0 = *(u32 *)(r1 + 16)
			exit`, "p-"},
		{"hook: a task that may be null, after the check", `
			r1 = *(u64 *)(r1 + 16)
			r0 = 0
			if r1 == 0 goto out
			r0 = *(u32 *)(r1 + 16)
			out:
			exit`, "pp"},
		{"arena", `
			r1 = map arena
			r2 = value arena+0
			r2 = cast r2
			*(u64 *)(r2 + 0) = 1
			r0 = 0
			exit`, "-"},
		{"code that nothing reaches", `
			r1 = 0
			if r1 == 0 goto out
			r0 = *(u64 *)(r10 - 8)
			out:
			r0 = 0
			exit`, "-"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := "structops"
			if strings.HasPrefix(tc.name, "hook: ") {
				options = ""
			}
			p, res, e := w.run(t, "main", options, tc.text)
			if e != nil {
				t.Fatalf("refused: %v", e)
			}
			got := ""
			for i, in := range p.prog.Code.Insns {
				if in.Op.IsLoad() || in.Op.IsStore() || in.Op.IsAtomic() {
					if res.Proved[i] {
						got += "p"
					} else {
						got += "-"
					}
				} else if res.Proved[i] {
					t.Errorf("instruction %d is no access", i)
				}
				if in.Op == ir.Exit && !res.Reached[i] {
					t.Error("the end is not reached")
				}
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
