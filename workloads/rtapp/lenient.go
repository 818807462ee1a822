package rtapp

import (
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds the nesting, as json-c's does (JSON_TOKENER_DEFAULT_DEPTH).
const maxDepth = 32

// MaxSize is the greatest accepted length of a file in bytes.
const MaxSize = 16 << 20

// syntaxError is a defect of the text at an offset.
type syntaxError struct {
	off int
	msg string
}

// relax rewrites what json-c reads but a JSON parser with comments does not: single-quoted strings, literals in upper
// case, leading zeros, text after the first value, and a last comment without a line end. Nothing moves, so offsets stay
// valid; the result is data's length and a line end. tail is the offset of ignored text after the first value, or -1.
//
// It checks no more than it must in order to find its way; the parser proper comes after.
func relax(data []byte) (out []byte, tail int, err *syntaxError) {
	if len(data) > MaxSize {
		return nil, -1, &syntaxError{0, fmt.Sprintf("%d bytes, expected at most %d", len(data), MaxSize)}
	}
	if len(data) >= 3 && string(data[:3]) == "\xef\xbb\xbf" {
		return nil, -1, &syntaxError{0, "found a byte order mark, expected plain UTF-8"}
	}
	out = append(append(make([]byte, 0, len(data)+1), data...), '\n')
	depth := 0
	for i := 0; i < len(out); {
		switch c := out[i]; {
		case c == '/':
			n := commentLen(out[i:])
			if n <= 0 {
				return nil, -1, &syntaxError{i, "found '/', expected a comment that starts with // or /* and ends"}
			}
			i += n
		case c == '"' || c == '\'':
			n, e := relaxString(out[i:], c)
			if e != nil {
				e.off += i
				return nil, -1, e
			}
			i += n
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return nil, -1, &syntaxError{i, fmt.Sprintf("nested deeper than %d levels", maxDepth)}
			}
			i++
		case c == '}' || c == ']':
			depth--
			i++
			if depth <= 0 {
				return out, cutTail(out, i), nil
			}
		case c == '-' || c >= '0' && c <= '9':
			i += relaxNumber(out[i:])
		case isLetter(c):
			n := 1
			for i+n < len(out) && (isLetter(out[i+n]) || out[i+n] >= '0' && out[i+n] <= '9') {
				n++
			}
			relaxLiteral(out[i : i+n])
			i += n
		default:
			i++
		}
	}
	return out, -1, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// commentLen returns the length of the comment at the start of b, 0 if there is none, -1 if it does not end.
func commentLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '/':
		for i := 2; i < len(b); i++ {
			if b[i] == '\n' {
				return i + 1
			}
		}
		return len(b)
	case '*':
		for i := 2; i+1 < len(b); i++ {
			if b[i] == '*' && b[i+1] == '/' {
				return i + 2
			}
		}
		return -1
	}
	return 0
}

// relaxString turns the string at the start of b into a double-quoted one without raw control characters (they become
// spaces) and returns its length.
func relaxString(b []byte, quote byte) (int, *syntaxError) {
	b[0] = '"'
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\':
			i++
		case c == quote:
			b[i] = '"'
			if !utf8.Valid(b[:i]) {
				return 0, &syntaxError{0, "found a string that is not UTF-8"}
			}
			return i + 1, nil
		case c == '"':
			return 0, &syntaxError{i, `found '"' in a string in single quotes, expected \"`}
		case c < 0x20:
			b[i] = ' '
		}
	}
	return 0, &syntaxError{0, "found a string without an end"}
}

// relaxNumber blanks the leading zeros of the number at the start of b and returns how much it has looked at.
func relaxNumber(b []byte) int {
	start := 0
	if b[0] == '-' {
		start = 1
	}
	end := start
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	zeros := start
	for zeros+1 < end && b[zeros] == '0' {
		zeros++
	}
	if zeros > start { // the sign moves behind the blanks
		if start == 1 {
			b[zeros-1] = '-'
			zeros--
		}
		for i := range zeros {
			b[i] = ' '
		}
	}
	// The rest of the token, so that the digits of "1e05" or "0x1" are not taken for numbers of their own.
	for end < len(b) && (isLetter(b[end]) || b[end] >= '0' && b[end] <= '9' || b[end] == '.' ||
		(b[end] == '+' || b[end] == '-') && (b[end-1] == 'e' || b[end-1] == 'E')) {
		end++
	}
	return max(end, 1)
}

// relaxLiteral lowers true, false and null.
func relaxLiteral(b []byte) {
	for _, lit := range [...]string{"true", "false", "null"} {
		if len(b) != len(lit) {
			continue
		}
		same := true
		for i := range b {
			same = same && b[i]|0x20 == lit[i]
		}
		if same {
			copy(b, lit)
		}
	}
}

// cutTail blanks what stands after the first value, which ends at end, and returns where it starts; -1 if only blanks
// and comments follow.
func cutTail(b []byte, end int) int {
	for i := end; i < len(b); {
		switch c := b[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '/':
			if n := commentLen(b[i:]); n > 0 {
				i += n
				continue
			}
		}
		tail := i
		for ; i < len(b); i++ {
			if b[i] != '\n' {
				b[i] = ' '
			}
		}
		return tail
	}
	return -1
}
