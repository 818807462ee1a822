package listing

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func TestValue(t *testing.T) {
	u8 := &btf.Int{Name: "unsigned char", Size: 1}
	char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	s32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u64 := &btf.Int{Name: "unsigned long long", Size: 8}
	boolean := &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	array := func(t btf.Type, n uint32) btf.Type { return &btf.Array{Type: t, Index: u32, Nelems: n} }
	enum := &btf.Enum{Name: "e", Size: 4, Values: []btf.EnumValue{{Name: "E_ZERO"}, {Name: "E_FIVE", Value: 5}}}
	pair := &btf.Struct{Name: "pair", Size: 8, Members: []btf.Member{{Name: "a", Type: u32}, {Name: "b", Type: s32, Offset: 32}}}
	bits := &btf.Struct{Name: "bits", Size: 4, Members: []btf.Member{
		{Name: "low", Type: u32, BitfieldSize: 3}, {Name: "high", Type: u32, Offset: 3, BitfieldSize: 13}, {Name: "none", Type: u32, Offset: 16, BitfieldSize: 16}}}
	union := &btf.Union{Name: "u", Size: 8, Members: []btf.Member{{Name: "p", Type: pair}, {Name: "x", Type: u64}}}
	outer := &btf.Struct{Name: "outer", Size: 16, Members: []btf.Member{{Type: pair}, {Name: "u", Type: union, Offset: 64}}}
	for _, tc := range []struct {
		name string
		typ  btf.Type
		hex  string
		want string
	}{
		{"unsigned", u32, "ffffffff", "4294967295"},
		{"signed", s32, "feffffff", "-2"},
		{"mask", u64, "00000000 000000ff", "0xff00000000000000"},
		{"typedef of const", &btf.Typedef{Name: "t", Type: &btf.Const{Type: u8}}, "07", "7"},
		{"true", boolean, "01", "true"},
		{"strange bool", boolean, "07", "7"},
		{"enum", enum, "05000000", "E_FIVE"},
		{"enum without name", enum, "06000000", "6"},
		{"null", &btf.Pointer{Target: u8}, "0000000000000000", "NULL"},
		{"pointer", &btf.Pointer{Target: u8}, "1000000000000000", "0x10"},
		{"string", array(char, 8), "6869220000000000", `"hi\""`},
		{"no string", array(char, 4), "01000000", "{1}"},
		{"array", array(u32, 4), "01000000 00000000 03000000 00000000", "{1, 0, 3}"},
		{"zero array", array(u32, 2), "0000000000000000", "{}"},
		{"long array", array(u8, 20), strings.Repeat("01", 20), "{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ... (20)}"},
		{"struct", pair, "01000000 ffffffff", "{.a = 1, .b = -1}"},
		{"zero struct", pair, "00000000 00000000", "{}"},
		{"bit fields", bits, "2d000000", "{.low = 5, .high = 5}"},
		{"nested", outer, "00000000 02000000 01000000 00000000", "{{.b = 2}, .u = {.p = {.a = 1}}}"},
		{"too short", u64, "0102", "0102"},
		{"no type", &btf.Void{}, "0102", "0102"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(tc.hex, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if got := Value(tc.typ, b); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
