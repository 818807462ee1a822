package main

import (
	"testing"
	"time"
)

func TestRemaining(t *testing.T) {
	for _, tc := range []struct {
		spent time.Duration
		part  float64
		want  string
	}{
		{5 * time.Second, 0.5, ""},
		{time.Minute, 0.01, ""},
		{time.Minute, 0.5, ", some 60 s left"},
		{100 * time.Second, 0.99, ", some 5 s left"},
		{2 * time.Minute, 0.25, ", some 6 min left"},
		{time.Minute, 1, ""},
		{time.Minute, 1.0000001, ""},
	} {
		if got := remaining(tc.spent, tc.part); got != tc.want {
			t.Errorf("%v for %v: %q, want %q", tc.spent, tc.part, got, tc.want)
		}
	}
}
