package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/schedsim/schedsim"

func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if rest, ok := strings.CutSuffix(p, "..."); ok {
			return strings.HasPrefix(pkg+"/", rest)
		}
		return p == pkg
	})
}

func ruleFor(pkg string) *Rule {
	for i := range Rules {
		if Rules[i].Path == pkg {
			return &Rules[i]
		}
	}
	return nil
}

func TestImports(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(path.Dir(filepath.ToSlash(rel)))
		rule := ruleFor(pkg)
		if rule == nil {
			if !seen[pkg] {
				t.Errorf("package %s has no row in internal/archtest/rules.go", pkg)
			}
			seen[pkg] = true
			return nil
		}
		seen[pkg] = true
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			dep, ok := strings.CutPrefix(p, module+"/")
			if !ok || dep == pkg {
				continue
			}
			if matches(rule.May, dep) || strings.HasSuffix(file, "_test.go") && matches(rule.TestAlso, dep) {
				continue
			}
			t.Errorf("%s: %s may not import %s; internal/archtest/rules.go has the table", filepath.ToSlash(rel), pkg, dep)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Rules {
		if !seen[r.Path] {
			t.Errorf("the row for %s has no package", r.Path)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		name     string
		patterns []string
		pkg      string
		want     bool
	}{
		{"same", []string{"sim"}, "sim", true},
		{"below is another package", []string{"sim"}, "sim/topo", false},
		{"tree", []string{"vm/..."}, "vm/jit/amd64", true},
		{"tree is not a prefix of names", []string{"vm/..."}, "vmx", false},
		{"everything", []string{"..."}, "sched/bpf", true},
		{"nothing", nil, "sim", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := matches(tc.patterns, tc.pkg); got != tc.want {
				t.Errorf("matches(%q, %q) = %v", tc.patterns, tc.pkg, got)
			}
		})
	}
}
