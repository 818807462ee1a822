package elf

import (
	"strings"

	"github.com/schedsim/schedsim/internal/editdist"
)

// Nearest returns the candidate that is most like name, for "did you mean" messages, "" when none is alike. Among equally
// alike candidates the alphabetically first one wins.
func Nearest(name string, candidates []string) string {
	limit := max(1, len(name)/3)
	best, bestDist := "", limit+1
	for _, c := range candidates {
		d := editdist.Distance(name, c, limit)
		if d < bestDist || d == bestDist && best != "" && c < best {
			best, bestDist = c, d
		}
	}
	if best == "" && len(name) >= 3 {
		for _, c := range candidates {
			if (strings.Contains(c, name) || len(c) >= 3 && strings.Contains(name, c)) && (best == "" || c < best) {
				best = c
			}
		}
	}
	return best
}

// DidYouMean is the tail of a message about an unknown name: "; did you mean %q?", or "" when nothing is alike.
func DidYouMean(name string, candidates []string) string {
	if n := Nearest(name, candidates); n != "" && n != name {
		return "; did you mean " + quote(n) + "?"
	}
	return ""
}
