package topo

import "fmt"

// wanted ends every message about the short form's grammar.
const wanted = `want nodes, last-level caches per node, cores per cache and threads per core, such as "1n2l4c2t" (16 CPUs)`

// Parse reads the short form NnLlCcTt: N NUMA nodes in the machine, L LLCs in each node, C cores in each LLC, T threads
// in each core, for example "1n2l4c2t": 16 CPUs. CPU ids go as on most x86 machines: first thread of every core first,
// then the second threads.
func Parse(s string) (*Topology, error) {
	var sh Shape
	rest := s
	for _, level := range []struct {
		letter byte
		dst    *int
	}{{'n', &sh.Nodes}, {'l', &sh.LLCsPerNode}, {'c', &sh.CoresPerLLC}, {'t', &sh.ThreadsPerCore}} {
		n, digits := number(rest)
		if digits == 0 || digits == len(rest) || rest[digits] != level.letter {
			return nil, fmt.Errorf("topology %q: no number followed by %q at %q; %s", s, level.letter, rest, wanted)
		}
		*level.dst, rest = n, rest[digits+1:]
	}
	if rest != "" {
		return nil, fmt.Errorf("topology %q: %q after the threads; %s", s, rest, wanted)
	}
	return build(s, sh)
}

// number reads the decimal number at the start of s and tells how many bytes it has. It saturates beyond MaxCPUs.
func number(s string) (n, digits int) {
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		n = min(10*n+int(s[digits]-'0'), MaxCPUs+1)
		digits++
	}
	return n, digits
}
