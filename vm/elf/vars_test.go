package elf

import (
	"strings"
	"testing"
)

func TestSetVar(t *testing.T) {
	for _, tc := range []struct {
		name  string
		path  string
		value any
		want  string // bytes, or the error where err is set
		err   string
	}{
		{"u64", "__KERN_ONE", uint64(1 << 40), "\x00\x00\x00\x00\x00\x01\x00\x00", ""},
		{"int for u32", "start", 7, "\x07\x00\x00\x00", ""},
		{"negative for signed", "bias", -2, "\xfe\xff\xff\xff", ""},
		{"static", "delta", int16(-1), "\xff\xff", ""},
		{"bool", "verbose", true, "\x01", ""},
		{"enum", "mode", 1, "\x01\x00\x00\x00", ""},
		{"string", "label", "abc", "abc\x00\x00\x00\x00\x00", ""},
		{"slice", "table", []int{9, 8}, "\x09\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		{"bytes", "start", []byte{1, 2, 3, 4}, "\x01\x02\x03\x04", ""},
		{"member", "limits.high", 5, "\x05\x00\x00\x00", ""},
		{"anonymous member", "limits.second", 6, "\x06\x00", ""},
		{"element of member", "limits.weights[2]", 7, "\x07", ""},
		{"element", "table[3]", 8, "\x08\x00\x00\x00", ""},
		{"enumerator", "mode", "FAST", "\x01\x00\x00\x00", ""},
		{"struct", "limits", map[string]any{"low": 1, "second": 2, "weights": []any{3, 4}},
			"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x03\x04\x00\x00\x00\x00\x00\x00", ""},
		{"in bss", "big[99999]", 9, "\x09\x00\x00\x00\x00\x00\x00\x00", ""},
		{"number from JSON", "start", float64(12), "\x0c\x00\x00\x00", ""},

		{"static in a function", "sum.calls", 3, "\x03\x00\x00\x00", ""},

		{"unknown", "strat", 1, "", `variable "strat": there is none; did you mean "start"?`},
		{"unknown member", "limits.hihg", 1, "", `no member "hihg"; did you mean "high"?`},
		{"too big", "start", 1 << 40, "", "does not fit 4 bytes"},
		{"negative for unsigned", "start", -1, "", "does not fit 4 bytes"},
		{"negative for u64", "counter", -1, "", "does not fit 8 bytes"},
		{"too low", "delta", -40000, "", "does not fit 2 bytes"},
		{"not a bool", "verbose", 2, "", "does not fit 1 bytes"},
		{"fraction", "start", 1.5, "", "expected an integer"},
		{"nil", "start", nil, "", "nil given"},
		{"string for int", "start", "x", "", "string given, expected an integer"},
		{"long string", "label", "12345678", "", "do not fit 8"},
		{"string for u32 array", "table", "x", "", "expected an array of"},
		{"long slice", "table", []int{1, 2, 3, 4, 5}, "", "5 elements given, it has 4"},
		{"bad element", "table", []int{1, -2}, "", "element 1: -2 does not fit"},
		{"short bytes", "start", []byte{1}, "", "1 bytes given, the variable has 4"},
		{"not a struct", "limits", 1, "", "int given, expected the members of struct limits"},
		{"wrong member", "limits", map[string]any{"lwo": 1}, "", `has no member "lwo"; did you mean "low"?`},
		{"member too big", "limits", map[string]any{"first": 1 << 20}, "", "member first: 1048576 does not fit 2 bytes"},
		{"wrong enumerator", "mode", "SLWO", "", `enum mode has no enumerator "SLWO"; did you mean "SLOW"?`},
		{"index out of range", "table[4]", 1, "", "index 4 of 4 elements"},
		{"huge index", "table[4294967295]", 1, "", "index 4294967295 of 4 elements"},
		{"index of no array", "start[0]", 1, "", "which is no array"},
		{"member of no struct", "start.x", 1, "", "has no member"},
		{"unclosed", "table[1", 1, "", "[ without ]"},
		{"bad path", "table[1]x", 1, "", "expected .member or [index]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := testdata(t, "globals.bpf.o")
			err := o.SetVar(tc.path, tc.value)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.HasPrefix(err.Error(), "globals.bpf.o: variable ") {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range o.Maps {
				for _, v := range m.Vars {
					if v.Name == BaseName(tc.path) || v.Name == tc.path {
						at, err := v.At(tc.path)
						if err != nil {
							t.Fatal(err)
						}
						if got := string(m.Data[at.Off:][:at.Size]); got != tc.want {
							t.Errorf("%q, want %q", got, tc.want)
						}
						return
					}
				}
			}
			t.Fatal("variable not found")
		})
	}
}
