package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are those whose commands are run, from the top of the tree.
var documents = []string{"README.md", "docs/first-scheduler.md"}

// consoleBlock is a piece of a document that shows a command and all that it prints.
var consoleBlock = regexp.MustCompile("(?s)```console\n\\$ (?:schedsim|go run \\./cmd/schedsim) ([^\n]*)\n(.*?)```")

// TestDocuments: what documents show of schedsim's output is what it prints.
func TestDocuments(t *testing.T) {
	t.Chdir("../..")
	for _, name := range documents {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			blocks := 0
			renewed := consoleBlock.ReplaceAllFunc(text, func(block []byte) []byte {
				blocks++
				parts := consoleBlock.FindSubmatchIndex(block)
				command, shown := string(block[parts[2]:parts[3]]), string(block[parts[4]:parts[5]])
				got := shownOutput(command)
				if got != shown && !*update {
					t.Errorf("%s: schedsim %s\nprints\n%s\nand is said to print\n%s\n(go test ./cmd/schedsim -run TestDocuments -update)", name, command, got, shown)
				}
				return append(append(append([]byte{}, block[:parts[4]]...), got...), block[parts[5]:]...)
			})
			if blocks == 0 {
				t.Error("no commands found")
			}
			if *update {
				if err := os.WriteFile(name, renewed, 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// shownOutput runs a command line of a document, which may go on with "| head -n N" and "| tail -n N".
func shownOutput(line string) string {
	commands := strings.Split(line, " | ")
	var out bytes.Buffer
	run(strings.Fields(commands[0]), strings.NewReader(""), &out, &out)
	lines := slices.Collect(strings.Lines(out.String()))
	for _, filter := range commands[1:] {
		var n int
		if _, err := fmt.Sscanf(filter, "head -n %d", &n); err == nil {
			lines = lines[:min(n, len(lines))]
		} else if _, err := fmt.Sscanf(filter, "tail -n %d", &n); err == nil {
			lines = lines[max(0, len(lines)-n):]
		} else {
			return "cannot do " + filter
		}
	}
	return strings.Join(lines, "")
}
