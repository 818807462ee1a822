package workloads

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed examples/*.json
var exampleFiles embed.FS

// Examples returns the names of the workloads that come with the program, sorted.
func Examples() []string {
	entries, err := exampleFiles.ReadDir("examples")
	if err != nil {
		panic("BUG: embedded examples: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	slices.Sort(names)
	return names
}

// Example returns the text of the example with that name.
func Example(name string) ([]byte, error) {
	names := Examples()
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("example %q: not one of %s", name, strings.Join(names, ", "))
	}
	return exampleFiles.ReadFile("examples/" + name + ".json")
}
