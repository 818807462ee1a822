package verdict

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/verifier"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/verifier.md")

// generated begins the part of docs/verifier.md that TestDocs writes.
const generated = "<!-- What follows is written by: go test ./internal/verdict -run TestDocs -update -->\n"

// TestDocs holds docs/verifier.md to the lists of codes and remarks.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "verifier.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(raw), generated)
	if !ok {
		t.Fatalf("%s has no line %s", path, generated)
	}
	var b strings.Builder
	b.WriteString("\n## Codes of refusals\n")
	for _, c := range verifier.Codes() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", c.Code, c.Rule)
		if c.C != "" {
			fmt.Fprintf(&b, "```c\n%s```\n\n", strings.ReplaceAll(c.C, "\t", "    "))
		}
		fmt.Fprintf(&b, "What helps: %s\n", c.Fix)
	}
	b.WriteString("\n## Remarks of --lint\n")
	for _, r := range Rules() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\nWhat helps: %s\n", r.Name, r.Rule, r.Fix)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+generated+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(have, b.String()); diff != "" {
		t.Errorf("%s is out of date, run: go test ./internal/verdict -run TestDocs -update\n%s", path, diff)
	}
}
