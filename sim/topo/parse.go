package topo

import (
	"fmt"
	"strings"
)

// wanted ends every message about the short form's grammar.
const wanted = `want nodes, last-level caches per node, cores per cache and threads per core, such as "1n2l4c2t" (16 CPUs)`

// Parse reads the short form NnLlCcTt: N NUMA nodes in the machine, L LLCs in each node, C cores in each LLC, T threads
// in each core, for example "1n2l4c2t": 16 CPUs. CPU ids go as on most x86 machines: first thread of every core first,
// then the second threads.
//
// A machine with CPUs of several kinds is several such groups joined by "+", each with "@CAPACITY" behind it where that is not
// 1024, the full one: "1n1l4c2t+1l8c1t@512". A group that does not begin with nodes is in the last node so far; one that begins
// with cores in the last cache. The ids of a group follow those of the one before.
func Parse(s string) (*Topology, error) {
	var groups []Group
	for i, part := range strings.Split(s, "+") {
		g, err := parseGroup(s, part, i == 0)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return build(s, groups)
}

func parseGroup(whole, s string, first bool) (g Group, err error) {
	rest, capacity, hasCapacity := strings.Cut(s, "@")
	begun := first // once a level is given, those below must be
	for _, level := range []struct {
		letter byte
		dst    *int
	}{{'n', &g.Nodes}, {'l', &g.LLCsPerNode}, {'c', &g.CoresPerLLC}, {'t', &g.ThreadsPerCore}} {
		n, digits := number(rest)
		if digits == 0 || digits == len(rest) || rest[digits] != level.letter {
			if !begun && (level.letter == 'n' || level.letter == 'l') {
				continue
			}
			return g, fmt.Errorf("topology %q: no number followed by %q at %q; %s", whole, level.letter, rest, wanted)
		}
		if n == 0 && !first {
			return g, fmt.Errorf("topology %q: 0%c in %q, at least 1 is needed", whole, level.letter, s)
		}
		*level.dst, rest, begun = n, rest[digits+1:], true
	}
	if rest != "" {
		return g, fmt.Errorf("topology %q: %q after the threads; %s", whole, rest, wanted)
	}
	if hasCapacity {
		n, digits := number(capacity)
		if digits == 0 || digits != len(capacity) || n < 1 || n > FullCapacity {
			return g, fmt.Errorf("topology %q: capacity %q, want 1 to %d", whole, capacity, FullCapacity)
		}
		g.Capacity = n
	}
	return g, nil
}

// number reads the decimal number at the start of s and tells how many bytes it has. It saturates beyond MaxCPUs.
func number(s string) (n, digits int) {
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		n = min(10*n+int(s[digits]-'0'), MaxCPUs+1)
		digits++
	}
	return n, digits
}
