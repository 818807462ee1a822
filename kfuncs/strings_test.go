package kfuncs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
)

// TestStrings: what the string functions find, and what they say of addresses that they cannot read.
func TestStrings(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	const user, hole = 0x7fff_0000_1000, 0xffff_8880_0000_0000
	none := abi.ENOENT.Ret()
	long, _, err := r.mem.Alloc(maxString+8, 8)
	check(t, err)
	for i, b := 0, r.mem.Bytes(long, maxString+8); i < len(b); i++ {
		b[i] = 'x'
	}
	for _, tc := range []struct {
		name string
		s1   any    // a string, or an address
		rest []any  // the same, and numbers (int)
		want uint64 // int64 as a register holds it
	}{
		{"strcmp", "same", []any{"same"}, 0},
		{"strcmp", "abc", []any{"abd"}, ^uint64(0)},
		{"strcmp", "b", []any{"a"}, 1},
		{"strcmp", "ab", []any{"a"}, 1},
		{"strcmp", "", []any{""}, 0},
		{"strcmp", "\xff", []any{"a"}, ^uint64(0)}, // characters have signs
		{"strcmp", "a", []any{"A"}, 1},
		{"strcasecmp", "aBcZ", []any{"AbCz"}, 0},
		{"strcasecmp", "\xc4", []any{"\xe4"}, 0},
		{"strcasecmp", "\xd7", []any{"\xf7"}, ^uint64(0)},
		{"strncasecmp", "abcd", []any{"ABxx", 2}, 0},
		{"strncasecmp", "abcd", []any{"ABxx", 3}, ^uint64(0)},
		{"strncasecmp", "a", []any{"b", 0}, 0},
		{"strchr", "hello", []any{int('l')}, 2},
		{"strchr", "hello", []any{int('z')}, none},
		{"strchr", "hello", []any{0}, 5},
		{"strchr", "a\xe4", []any{0xe4}, 1},
		{"strnchr", "hello", []any{4, int('o')}, none},
		{"strnchr", "hello", []any{5, int('o')}, 4},
		{"strchrnul", "hello", []any{int('e')}, 1},
		{"strchrnul", "hello", []any{int('z')}, 5},
		{"strrchr", "hello", []any{int('l')}, 3},
		{"strrchr", "hello", []any{int('z')}, none},
		{"strrchr", "hello", []any{0}, 5},
		{"strrchr", "a\xe4", []any{0xe4}, none}, // an int, with which the character is compared
		{"strlen", "hello", nil, 5},
		{"strlen", "", nil, 0},
		{"strnlen", "hello", []any{3}, 3},
		{"strnlen", "hello", []any{9}, 5},
		{"strspn", "aabbc", []any{"ab"}, 4},
		{"strspn", "abc", []any{"abc"}, 3},
		{"strspn", "abc", []any{""}, 0},
		{"strcspn", "aabbc", []any{"cx"}, 4},
		{"strcspn", "abc", []any{""}, 3},
		{"strcspn", "abc", []any{"a"}, 0},
		{"strstr", "hello world", []any{"o w"}, 4},
		{"strstr", "aaab", []any{"aab"}, 1},
		{"strstr", "hello", []any{""}, 0},
		{"strstr", "hello", []any{"hello!"}, none},
		{"strcasestr", "Hello World", []any{"WORLD"}, 6},
		{"strcasestr", "Hello", []any{"elp"}, none},
		{"strnstr", "hello", []any{"lo", 5}, 3},
		{"strnstr", "hello", []any{"lo", 4}, none},
		{"strncasestr", "HELLO", []any{"lo", 5}, 3},
		{"strnstr", "hello", []any{"", 0}, 0},

		{"strlen", uint64(0), nil, abi.ERANGE.Ret()},
		{"strlen", uint64(user), nil, abi.ERANGE.Ret()},
		{"strlen", uint64(hole), nil, abi.EFAULT.Ret()},
		{"strlen", long, nil, abi.E2BIG.Ret()},
		{"strnlen", long, []any{maxString - 1}, maxString - 1},
		{"strcmp", "a", []any{uint64(user)}, abi.ERANGE.Ret()},
		{"strcmp", "a", []any{uint64(hole)}, abi.EFAULT.Ret()},
		{"strcmp", long, []any{long}, abi.E2BIG.Ret()},
		{"strchr", long, []any{int('y')}, abi.E2BIG.Ret()},
		{"strchrnul", uint64(hole), []any{0}, abi.EFAULT.Ret()},
		{"strrchr", long, []any{int('x')}, abi.E2BIG.Ret()},
		{"strspn", "x", []any{uint64(hole)}, abi.EFAULT.Ret()},
		{"strspn", "x", []any{uint64(user)}, abi.ERANGE.Ret()},
		{"strspn", "y", []any{long}, abi.E2BIG.Ret()},
		{"strcspn", uint64(user), []any{"x"}, abi.ERANGE.Ret()},
		{"strstr", uint64(hole), []any{"x"}, abi.EFAULT.Ret()},
		{"strstr", "x", []any{uint64(hole)}, abi.EFAULT.Ret()},
		{"strstr", "x", []any{uint64(user)}, abi.ERANGE.Ret()},
		{"strstr", long, []any{"y"}, abi.E2BIG.Ret()},
	} {
		next := uint64(0)
		arg := func(v any) uint64 {
			switch v := v.(type) {
			case string:
				at := r.text(next, v)
				next += uint64(len(v)) + 9
				return at
			case int:
				return uint64(v)
			default:
				return v.(uint64)
			}
		}
		args := []uint64{arg(tc.s1)}
		for _, v := range tc.rest {
			args = append(args, arg(v))
		}
		if got := r.call("bpf_"+tc.name, args...); got != tc.want {
			t.Errorf("%s(%q, %q): %d, want %d", tc.name, tc.s1, tc.rest, int64(got), int64(tc.want))
		}
	}
}

// TestStream: what programs write to their streams is printed line by line.
func TestStream(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	var lines []string
	for _, k := range streamFuncs(&Host{Machine: r.m, Kernel: r.k, Mem: r.mem, Print: func(l string) { lines = append(lines, l) }}) {
		r.funcs[k.Name] = k
	}
	format, args := r.text(0, "%d and %s\nnext\n"), r.put(64, 7, r.text(100, "text"))
	r.want(0, "bpf_stream_vprintk", 1, format, args, 16)
	r.want(0, "bpf_stream_vprintk", 2, r.text(200, "plain"), 0, 0)
	r.want(abi.ENOENT.Ret(), "bpf_stream_vprintk", 3, format, args, 16)
	r.want(abi.EINVAL.Ret(), "bpf_stream_vprintk", 1, format, args, 15)
	r.want(abi.EINVAL.Ret(), "bpf_stream_vprintk", 1, format, 0, 16)
	r.want(abi.EINVAL.Ret(), "bpf_stream_vprintk", 1, format, args, 13*8)
	r.want(abi.EINVAL.Ret(), "bpf_stream_vprintk", 1, r.text(300, "%y"), args, 8)
	r.want(0, "bpf_stream_print_stack", 2)
	r.want(abi.ENOENT.Ret(), "bpf_stream_print_stack", 0)
	if d := cmp.Diff([]string{"7 and text", "next", "plain", "CPU: 0 UID: 0 PID: 0 Comm: swapper/0", "Call trace:"}, lines); d != "" {
		t.Error(d)
	}
	if strings.Contains(strings.Join(lines, ""), "%") {
		t.Error("a format was printed as it is")
	}
}
