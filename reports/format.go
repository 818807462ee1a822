package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/schedsim/schedsim/sim"
)

// Plain is s with its control characters written as in Go's strings, except for ends of lines and tabs. Names of tasks and
// messages of programs come from files of which nothing is known; a terminal must not take them for commands.
func Plain(s string) string {
	safe := func(r rune) bool { return unicode.IsPrint(r) || r == '\n' || r == '\t' }
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch n := utf8.RuneLen(r); {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, "\\x%02x", s[i])
		case safe(r):
			b.WriteString(s[i : i+n])
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// Dur writes a duration with 4 significant digits and its unit: "1.234 ms".
func Dur[T ~int64](d T) string {
	v := float64(d)
	neg := ""
	if v < 0 {
		neg, v = "-", -v
	}
	switch {
	case v < 1e3:
		return neg + strconv.FormatInt(int64(v), 10) + " ns"
	case v < 999.95e3:
		return neg + digits4(v/1e3) + " us"
	case v < 999.95e6:
		return neg + digits4(v/1e6) + " ms"
	default:
		return neg + digits4(v/1e9) + " s"
	}
}

// digits4 writes a number below 1000 with 4 significant digits, and a greater one without fraction.
func digits4(v float64) string {
	switch {
	case v < 9.9995:
		return strconv.FormatFloat(v, 'f', 3, 64)
	case v < 99.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 999.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}

// Percent writes a part of 1: "12.3 %".
func Percent(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "-"
	}
	prec := 1
	if a := math.Abs(x); a > 0 && a < 0.0995 {
		prec = 2
	}
	return strconv.FormatFloat(x*100, 'f', prec, 64) + " %"
}

// rate writes a number per second.
func rate(x float64) string { return digits4(x) + " /s" }

// count writes a number with what it counts.
func count(n uint64, what string) string {
	s := strconv.FormatUint(n, 10)
	if what == "" {
		return s
	}
	if n == 1 {
		return s + " " + what
	}
	return s + " " + what + "s"
}

// orDash is f() if n is not 0.
func orDash(n int64, f func() string) string {
	if n == 0 {
		return "-"
	}
	return f()
}

func perSec(n uint64, length sim.Duration) float64 {
	if length <= 0 {
		return 0
	}
	return float64(n) / length.Seconds()
}
