package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

// small is a kernel of a few types:
//
//	struct leaf { int x; };  struct far { struct leaf l; };  struct near { struct far *f; int bits:3; };
//	struct top { struct leaf l; struct near *n; struct { int y; } *anon; void (*fn)(struct near *); enum { A, B } e; };
//	int tagged(struct far *) __kfunc;  int plain(void);  per-CPU: int simple; struct far complex;
func small(t *testing.T) *btf.Spec {
	t.Helper()
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	member := func(name string, typ btf.Type, off btf.Bits) btf.Member {
		return btf.Member{Name: name, Type: typ, Offset: off}
	}
	leaf := &btf.Struct{Name: "leaf", Size: 4, Members: []btf.Member{member("x", i32, 0)}}
	far := &btf.Struct{Name: "far", Size: 4, Members: []btf.Member{member("l", leaf, 0)}}
	near := &btf.Struct{Name: "near", Size: 16, Members: []btf.Member{
		member("f", &btf.Pointer{Target: far}, 0), {Name: "bits", Type: i32, Offset: 64, BitfieldSize: 3}}}
	anon := &btf.Struct{Size: 4, Members: []btf.Member{member("y", i32, 0)}}
	enum := &btf.Enum{Size: 4, Values: []btf.EnumValue{{Name: "TOP_A", Value: 0}, {Name: "TOP_B", Value: 1}}}
	fn := &btf.FuncProto{Return: (*btf.Void)(nil), Params: []btf.FuncParam{{Name: "n", Type: &btf.Pointer{Target: near}}}}
	top := &btf.Struct{Name: "top", Size: 40, Members: []btf.Member{
		member("l", leaf, 0), member("n", &btf.Pointer{Target: near}, 64), member("anon", &btf.Pointer{Target: anon}, 128),
		member("fn", &btf.Pointer{Target: fn}, 192), member("e", enum, 256)}}
	lone := &btf.Enum{Size: 4, Values: []btf.EnumValue{{Name: "LONE_X", Value: 7}}}
	other := &btf.Enum{Size: 4, Values: []btf.EnumValue{{Name: "OTHER", Value: 8}}}
	proto := &btf.FuncProto{Return: i32, Params: []btf.FuncParam{{Name: "f", Type: &btf.Pointer{Target: far}}}}
	tagged := &btf.Func{Name: "tagged", Type: proto, Linkage: btf.StaticFunc, Tags: []string{"bpf_kfunc"}}
	plain := &btf.Func{Name: "plain", Type: &btf.FuncProto{Return: i32}, Linkage: btf.StaticFunc}
	simple := &btf.Var{Name: "simple", Type: i32, Linkage: btf.GlobalVar}
	complicated := &btf.Var{Name: "complicated", Type: far, Linkage: btf.GlobalVar}
	sec := &btf.Datasec{Name: ".data..percpu", Size: 16, Vars: []btf.VarSecinfo{
		{Type: complicated, Offset: 4, Size: 4}, {Type: simple, Offset: 8, Size: 4}}}
	b, err := btf.NewBuilder([]btf.Type{top, lone, other, tagged, plain, simple, complicated, sec}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReduce(t *testing.T) {
	for _, tc := range []struct {
		name  string
		roots roots
		// full and fwd are the structs defined and declared, other what else has a name.
		full, fwd, other []string
		err              string
	}{
		{"nothing", roots{}, nil, []string{"far"}, []string{"tagged", "simple", ".data..percpu", "int"}, ""},
		{"no pointers", roots{types: map[string]int{"top": 0}},
			[]string{"top", "leaf"}, []string{"near", "far"}, []string{"tagged", "simple", ".data..percpu", "int"}, ""},
		{"one pointer", roots{types: map[string]int{"top": 1}},
			[]string{"top", "leaf", "near"}, []string{"far"}, []string{"tagged", "simple", ".data..percpu", "int"}, ""},
		{"two pointers", roots{types: map[string]int{"top": 2}},
			[]string{"top", "leaf", "near", "far"}, nil, []string{"tagged", "simple", ".data..percpu", "int"}, ""},
		{"pattern", roots{patterns: []*regexp.Regexp{regexp.MustCompile("^le")}},
			[]string{"leaf"}, []string{"far"}, []string{"tagged", "simple", ".data..percpu", "int"}, ""},
		{"variable", roots{vars: map[string]bool{"complicated": true}, funcs: map[string]bool{"plain": true}},
			[]string{"leaf", "far"}, nil, []string{"tagged", "plain", "simple", "complicated", ".data..percpu", "int"}, ""},
		{"missing", roots{types: map[string]int{"gone": 0}, funcs: map[string]bool{"away": true}}, nil, nil, nil,
			"not in the BTF: [away gone]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.roots.enumerators == nil {
				tc.roots.enumerators = regexp.MustCompile("^LONE_")
			}
			raw, err := reduce(small(t), tc.roots)
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := reduce(small(t), tc.roots)
			if err != nil || !bytes.Equal(raw, again) {
				t.Errorf("a second run gives other bytes (%v)", err)
			}
			s, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			full, fwd, other, lone := map[string]bool{}, map[string]bool{}, map[string]bool{}, false
			for typ, err := range s.All() {
				if err != nil {
					t.Fatal(err)
				}
				switch v := typ.(type) {
				case *btf.Struct:
					if v.Name != "" {
						full[v.Name] = true
					}
				case *btf.Fwd:
					fwd[v.Name] = true
				case *btf.Enum:
					lone = lone || v.Values[0].Name == "LONE_X"
					if v.Values[0].Name == "OTHER" {
						t.Error("enum OTHER was kept")
					}
				default:
					if n := typ.TypeName(); n != "" {
						other[n] = true
					}
				}
			}
			for _, c := range []struct {
				what string
				want []string
				got  map[string]bool
			}{{"structs", tc.full, full}, {"declarations", tc.fwd, fwd}, {"others", tc.other, other}} {
				if diff := cmp.Diff(set(c.want...), c.got); diff != "" {
					t.Errorf("%s: %s", c.what, diff)
				}
			}
			if !lone {
				t.Error("enum LONE_X was dropped")
			}
			var f *btf.Func
			if err := s.TypeByName("tagged", &f); err != nil || len(f.Tags) != 1 {
				t.Errorf("the tag is lost: %v, %v", f, err)
			}
			var sec *btf.Datasec
			if err := s.TypeByName(".data..percpu", &sec); err != nil || sec.Size != 16 || sec.Vars[len(sec.Vars)-1].Offset != 8 {
				t.Errorf("section %+v, %v", sec, err)
			}
		})
	}
}

func TestCondenseConfig(t *testing.T) {
	got, err := condenseConfig([]byte("# a comment\nCONFIG_Z=y\n# CONFIG_B is not set\n\nCONFIG_A=\"x=y\"\n"))
	if err != nil || string(got) != "CONFIG_A=\"x=y\"\nCONFIG_Z=y\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := condenseConfig([]byte("CONFIG_A=1\nnonsense\n")); err == nil || err.Error() != `line 2: "nonsense" is no option` {
		t.Error(err)
	}
}

func TestKfuncList(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "kernel"), 0o755); err != nil {
		t.Fatal(err)
	}
	src := "BTF_ID_FLAGS(func, tagged, KF_RCU | KF_ACQUIRE)\nBTF_ID_FLAGS(func, other)\nBTF_ID_FLAGS(func, tagged, KF_ACQUIRE);\n"
	if err := os.WriteFile(filepath.Join(dir, "kernel", "a.c"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := kfuncList(small(t), dir)
	if err != nil || string(got) != "tagged ACQUIRE\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := kfuncList(small(t), t.TempDir()); err == nil {
		t.Error("an empty tree is accepted")
	}
}

func TestVersionCode(t *testing.T) {
	for release, want := range map[string]uint32{"7.2.13": 0x07020d, "6.16": 0x061000, "5.4.300": 0x0504ff} {
		if v, err := versionCode(release); err != nil || v != want {
			t.Errorf("%s: %#x, %v; want %#x", release, v, err, want)
		}
	}
	for _, bad := range []string{"", "7.x", "1.2.3.4"} {
		if _, err := versionCode(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestRegenerate makes the committed data again from the files of the kernel. It needs KERNEL, the directory with
// vmlinux.btf, config and src.
func TestRegenerate(t *testing.T) {
	dir := os.Getenv("KERNEL")
	if dir == "" {
		t.Skip("KERNEL is not set")
	}
	files, err := generate(input{version: "7.2", release: "7.2.13", btf: filepath.Join(dir, "vmlinux.btf"),
		config: filepath.Join(dir, "config"), src: filepath.Join(dir, "src")})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		have, err := os.ReadFile(filepath.Join("..", "..", "..", "ops", "kernels", "v7_2", f.name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, f.data) {
			t.Errorf("%s: the committed file differs", f.name)
		}
	}
}

// TestByteOrder: the data is little endian on every machine.
func TestByteOrder(t *testing.T) {
	raw, err := reduce(small(t), roots{enumerators: regexp.MustCompile("^LONE_")})
	if err != nil || binary.LittleEndian.Uint16(raw) != 0xeb9f {
		t.Errorf("% x, %v", raw[:4], err)
	}
}
