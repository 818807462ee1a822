package verdict

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unlike are the programs whose log is not the kernel's, and why.
var unlike = map[string]string{
	"invalid_insn":  "the linker sees it before the verifier and has words of its own",
	"frame_pointer": "the linker does not decode the instruction",
	"div_by_zero":   "the linker does not decode the instruction",
	"invalid_shift": "the linker does not decode the instruction",
	"infinite_loop": "the kernel adds both states behind the message",
	"ctx_access":    "the kernel adds which argument there is not",
	"license_gpl":   "the kernel adds a remark on the type of the argument",
}

// What only the kernel knows, or writes and we leave out: addresses, ids, the remark on the type of an argument, the state
// after a branch on the line of the branch.
var (
	addressRE = regexp.MustCompile(`(\(18\) r\d+ = )\S+`)
	idRE      = regexp.MustCompile(`(call (?:bpf|scx)_\w+)#\d{4,}`)
	mapRE     = regexp.MustCompile(`map=\w*\.`)
	argRE     = regexp.MustCompile(`(?m)^func '\w+' arg\d has btf_id N type STRUCT '\w+'\n\d+:( R)`)
	branchRE  = regexp.MustCompile(`(goto pc\S+|call bpf_loop#181) (\d+: (frame\d+: )?R)`)
	blanksRE  = regexp.MustCompile(` *;( |$)`)
)

func normal(lines []string) []string {
	text := strings.Join(lines, "\n")
	text = addressRE.ReplaceAllString(text, "${1}X")
	text = idRE.ReplaceAllString(text, "${1}")
	text = mapRE.ReplaceAllString(text, "map=")
	text = argRE.ReplaceAllString(text, "\x00$1")
	text = strings.ReplaceAll(text, "\n\x00", "\x00")
	text = branchRE.ReplaceAllString(text, "$1\n$2")
	lines = strings.Split(text, "\n")
	for i, l := range lines {
		if head, state, ok := strings.Cut(l, "\x00"); ok {
			l = fmt.Sprintf("%-38s;%s", head, state)
		}
		if !strings.HasPrefix(l, ";") && (strings.Contains(l, "call ") || strings.Contains(l, "(18)")) {
			l = blanksRE.ReplaceAllString(l, " ;$1")
		}
		lines[i] = strings.TrimSuffix(strings.TrimRight(l, " "), " ;")
	}
	return lines
}

// TestLog compares the logs of refused programs with what a real kernel wrote, line by line.
func TestLog(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "log-7.2.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]*Row{}
	for _, name := range []string{"refused.bpf.o", "license.bpf.o"} {
		for _, r := range check(t, "7.2", filepath.Join(codesDir, name), Options{}) {
			ours[r.Program] = &r
		}
	}
	n := 0
	for _, part := range strings.Split(string(raw), "\n=== ")[1:] {
		name, log, _ := strings.Cut(strings.TrimRight(part, "\n"), "\n")
		t.Run(name, func(t *testing.T) {
			r := ours[name]
			if r == nil || r.Err == nil {
				t.Fatal("not refused by the verifier")
			}
			diff := cmp.Diff(normal(strings.Split(log, "\n")), normal(r.Err.Log))
			switch why := unlike[name]; {
			case why == "" && diff != "":
				t.Errorf("kernel (-) and ours (+): %s", diff)
			case why != "" && diff == "":
				t.Errorf("the log is the kernel's, although %s", why)
			case why == "":
				n++
			}
		})
	}
	t.Logf("%d logs are the kernel's", n)
}
