package examples

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed bpf/*.bpf.o
var objects embed.FS

// Names lists the example schedulers, sorted.
func Names() []string {
	entries, err := objects.ReadDir("bpf")
	if err != nil {
		panic("BUG: embedded directory: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".bpf.o"))
	}
	return names
}

// Object returns the compiled object of an example scheduler.
func Object(name string) ([]byte, error) {
	b, err := objects.ReadFile("bpf/" + name + ".bpf.o")
	if err != nil {
		return nil, fmt.Errorf("no example scheduler %q; there are: %s", name, strings.Join(Names(), ", "))
	}
	return b, nil
}
