package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// condenseConfig keeps the options of a .config that are set, sorted.
func condenseConfig(config []byte) ([]byte, error) {
	var lines []string
	s := bufio.NewScanner(bytes.NewReader(config))
	for n := 1; s.Scan(); n++ {
		l := strings.TrimSpace(s.Text())
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if name, _, ok := strings.Cut(l, "="); !ok || !strings.HasPrefix(name, "CONFIG_") {
			return nil, fmt.Errorf("line %d: %q is no option", n, l)
		}
		lines = append(lines, l)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

// idFlags matches one entry of a kernel function set.
var idFlags = regexp.MustCompile(`BTF_ID_FLAGS\(\s*func\s*,\s*(\w+)\s*(?:,\s*([^)]*))?\)`)

// kfuncDirs are the parts of the source tree in which sets of kernel functions are declared.
var kfuncDirs = []string{"kernel", "fs", "mm", "net", "io_uring", "security", "drivers", "crypto", "lib"}

// kfuncList lists the functions that spec marks as kernel functions, with the flags that the sources under src give them.
// An entry that occurs in several sets keeps the flags common to all, as resolve_btfids does.
func kfuncList(spec *btf.Spec, src string) ([]byte, error) {
	flags := map[string][]string{}
	for _, d := range kfuncDirs {
		root := filepath.Join(src, d)
		if _, err := os.Stat(root); err != nil {
			continue
		}
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".c") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range idFlags.FindAllSubmatch(data, -1) {
				name, f := string(m[1]), splitFlags(string(m[2]))
				if old, ok := flags[name]; ok {
					f = slices.DeleteFunc(f, func(s string) bool { return !slices.Contains(old, s) })
				}
				flags[name] = f
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(flags) == 0 {
		return nil, fmt.Errorf("no kernel function sets found")
	}
	funcs, err := kfuncs(spec)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, fn := range funcs {
		l := fn.Name
		if f := flags[fn.Name]; len(f) > 0 {
			l += " " + strings.Join(f, " ")
		}
		lines = append(lines, l)
	}
	slices.Sort(lines)
	return []byte(strings.Join(slices.Compact(lines), "\n") + "\n"), nil
}

// splitFlags turns "KF_RCU | KF_ACQUIRE" into sorted names without the prefix.
func splitFlags(s string) []string {
	var out []string
	for f := range strings.SplitSeq(s, "|") {
		f = strings.TrimPrefix(strings.TrimSpace(f), "KF_")
		if f != "" {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return out
}

// kfuncs are the functions of spec with the tag bpf_kfunc, in the order of their ids.
func kfuncs(spec *btf.Spec) ([]*btf.Func, error) {
	var out []*btf.Func
	for t, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		if f, ok := t.(*btf.Func); ok && slices.Contains(f.Tags, "bpf_kfunc") {
			out = append(out, f)
		}
	}
	return out, nil
}
