package elf

import (
	"slices"
	"strings"
)

// Nearest returns the candidate that is most like name, for "did you mean" messages, "" when none is alike. Among equally
// alike candidates the alphabetically first one wins.
func Nearest(name string, candidates []string) string {
	limit := max(1, len(name)/3)
	best, bestDist := "", limit+1
	for _, c := range candidates {
		if d := len(c) - len(name); d > limit || -d > limit {
			continue
		}
		d := distance(name, c, limit)
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

// distance is the edit distance of a and b (insert, delete, replace, swap of neighbours); any result above limit means
// "more than limit".
func distance(a, b string, limit int) int {
	var prev2 []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		if slices.Min(cur) > limit {
			return limit + 1
		}
		prev2, prev = prev, cur
	}
	return prev[len(b)]
}
