package link

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExceptionCallbacks(t *testing.T) {
	o := linked(t, "throw.bpf.o", Options{})
	for _, tc := range []struct {
		prog     string
		subs     []string
		callback int32
		live     []bool
		err      string
	}{
		{"by_default", []string{"by_default", "deep"}, 0, []bool{true, true}, ""},
		// It comes last, and so do the functions that it needs.
		{"with_callback", []string{"with_callback", "deep", "on_throw", "twice"}, 2, []bool{true, true, true, true}, ""},
		{"calls_it", []string{"calls_it", "on_throw", "twice", "deep"}, 1, []bool{true, true, true, true}, ""},
		{"never", []string{"never", "other"}, 1, []bool{true, true}, ""},
		{"two", []string{"two", "deep"}, 0, []bool{true, true}, ""},
		{"unknown", []string{"unknown"}, 0, []bool{true}, `there is no exception callback "on_trow"; did you mean "on_throw"?`},
		{"is_hidden", []string{"is_hidden"}, 0, []bool{true}, `the exception callback "hidden" must be a global function that is not hidden`},
		{"empty", []string{"empty"}, 0, []bool{true}, "the tag exception_callback: names no function"},
	} {
		t.Run(tc.prog, func(t *testing.T) {
			p := o.program(t, tc.prog)
			var subs []string
			var live []bool
			for i, s := range p.Code.Subs {
				subs, live = append(subs, s.Name), append(live, p.Subs[i].Live)
			}
			if diff := cmp.Diff(tc.subs, subs); diff != "" {
				t.Errorf("subprograms (-want +got):\n%s", diff)
			}
			if p.Code.Exception != tc.callback || !slices.Equal(live, tc.live) {
				t.Errorf("exception callback %d, want %d; live %v, want %v", p.Code.Exception, tc.callback, live, tc.live)
			}
			switch {
			case tc.err == "" && p.Err != nil, tc.err != "" && (p.Err == nil || !strings.Contains(p.Err.Error(), tc.err)):
				t.Errorf("error %v, want %q", p.Err, tc.err)
			case p.Err == nil:
				checkProgram(t, o, p)
			}
		})
	}
}

// What stands behind bpf_throw is dead, and so is what only follows a function that always throws.
func TestNoReturnFromThrow(t *testing.T) {
	p := linked(t, "throw.bpf.o", Options{}).program(t, "never")
	var live []int32
	for i, l := range p.Live {
		if l {
			live = append(live, p.Code.Insns[i].Orig)
		}
	}
	if want := []int32{0, 1, 2, 5, 6}; !slices.Equal(live, want) {
		t.Errorf("live slots %v, want %v", live, want)
	}
}
