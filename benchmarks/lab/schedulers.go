package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:embed schedulers.json
var schedulersJSON []byte

// scheduler is one that the lab knows, and what its user-space half sets before it is loaded. "CPUS" as a value is the number of
// CPUs of the machine.
type scheduler struct {
	Name    string            `json:"name"`
	Object  string            `json:"object,omitempty"` // file name; "": the kernel's own
	Globals map[string]string `json:"globals,omitempty"`
	Resize  map[string]string `json:"resize,omitempty"` // arrays in sections of their own, by their number of elements
	Ops     map[string]string `json:"ops,omitempty"`    // numbers of its table
}

func schedulers() ([]scheduler, error) {
	var list []scheduler
	if err := json.Unmarshal(schedulersJSON, &list); err != nil {
		return nil, fmt.Errorf("schedulers.json: %w", err)
	}
	return list, nil
}

// findScheduler finds one by its name, or takes the path of an object.
func findScheduler(name string) (*scheduler, error) {
	list, err := schedulers()
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list {
		if list[i].Name == name {
			return &list[i], nil
		}
		names = append(names, list[i].Name)
	}
	if strings.HasSuffix(name, ".o") {
		base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".o"), ".bpf")
		return &scheduler{Name: base, Object: name}, nil
	}
	return nil, fmt.Errorf("scheduler %q: expected the path of an object, or one of %s", name, strings.Join(names, ", "))
}

// globals are the global variables on a machine of so many CPUs.
func (s *scheduler) globals(cpus int) map[string]string { return onMachine(s.Globals, cpus) }

func onMachine(m map[string]string, cpus int) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := map[string]string{}
	for k, v := range m {
		if v == "CPUS" {
			v = strconv.Itoa(cpus)
		}
		out[k] = v
	}
	return out
}

// agent are the commands that load and attach the scheduler from an object in the guest.
func (s *scheduler) agent(object string, cpus int) []string {
	out := []string{"open " + object}
	put := func(command string, m map[string]string) {
		values := onMachine(m, cpus)
		for _, k := range sortedKeys(values) {
			out = append(out, command+" "+k+" "+values[k])
		}
	}
	put("resize", s.Resize)
	put("global", s.Globals)
	put("member", s.Ops)
	return append(out, "load", "attach")
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// findObject looks for an object in folders, unless it is a path.
func findObject(name string, dirs []string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		_, err := os.Stat(name)
		return name, err
	}
	for _, d := range dirs {
		p := filepath.Join(d, name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("object %s: in none of %s", name, strings.Join(dirs, ", "))
}
