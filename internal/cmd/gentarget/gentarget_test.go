package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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
		absent           string
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
		{"absent", roots{types: map[string]int{"gone": 0}, funcs: map[string]bool{"away": true}}, nil, []string{"far"},
			[]string{"tagged", "simple", ".data..percpu", "int"}, "away gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.roots.enumerators == nil {
				tc.roots.enumerators = regexp.MustCompile("^LONE_")
			}
			raw, absent, err := reduce(small(t), tc.roots)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(absent, " "); got != tc.absent {
				t.Errorf("absent: %s, want %s", got, tc.absent)
			}
			again, _, err := reduce(small(t), tc.roots)
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

// words are the bytes of 32-bit numbers.
func words(list ...uint32) []byte {
	var out []byte
	for _, w := range list {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

func TestKfuncList(t *testing.T) {
	spec := small(t)
	var tagged, plain *btf.Func
	if err := errors.Join(spec.TypeByName("tagged", &tagged), spec.TypeByName("plain", &plain)); err != nil {
		t.Fatal(err)
	}
	tid, err := spec.TypeID(tagged)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := spec.TypeID(plain)
	if err != nil {
		t.Fatal(err)
	}
	a, b := uint32(tid), uint32(pid)
	two := []uint32{2, set8Kfuncs, a, 1 << 7, b, 0}
	if b < a {
		two = []uint32{2, set8Kfuncs, b, 0, a, 1 << 7}
	}
	for _, tc := range []struct {
		name string
		ids  []uint32
		want string
		err  string
	}{
		{"one set", []uint32{1, set8Kfuncs, a, 1 | 1<<7}, "tagged ACQUIRE RCU\n", ""},
		{"flags common to two sets", []uint32{77, 1, set8Kfuncs, a, 1 | 1<<7, 5, 6, 1, set8Kfuncs, a, 1}, "tagged ACQUIRE\n", ""},
		{"a function without the tag", two, "plain\ntagged RCU\n", ""},
		{"descending ids are no set", []uint32{2, set8Kfuncs, two[4], 0, two[2], 0}, "", "kernel function tagged is in no set of the image"},
		{"cut short", []uint32{2, set8Kfuncs, a, 0}, "", "kernel function tagged is in no set of the image"},
		{"unknown flag", []uint32{1, set8Kfuncs, a, 1 << 31}, "", "tagged: flag 0x80000000 is not known"},
		{"empty", nil, "", "kernel function tagged is in no set of the image"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _, err := kfuncList(spec, words(tc.ids...))
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil || string(got) != tc.want {
				t.Errorf("%q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestSetName(t *testing.T) {
	for _, tc := range []struct{ members, want string }{
		{"scx_bpf_dsq_insert scx_bpf_dsq_insert_vtime", "enqueue_dispatch"},
		{"scx_bpf_create_dsq scx_bpf_select_cpu_dfl", "unlocked"},
		{"scx_bpf_select_cpu_dfl scx_bpf_select_cpu_and", "select_cpu"},
		{"scx_bpf_select_cpu_dfl scx_bpf_pick_idle_cpu", "idle"},
		{"scx_bpf_select_cpu_dfl scx_bpf_pick_idle_cpu scx_bpf_kick_cpu", "cpu_only"},
		{"bpf_task_acquire", ""},
	} {
		if got := setName(set(strings.Fields(tc.members)...)); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.members, got, tc.want)
		}
	}
}

// TestImage: a vmlinux by itself, one packed as a boot image packs it, and what is neither.
func TestImage(t *testing.T) {
	vmlinux := tinyELF([]byte("types"), []byte("ids!"))
	packed, err := compress(vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	boot := slices.Concat([]byte("MZ boot code"), zstdMagic, []byte("no frame"), packed, []byte("behind it"))
	dir := t.TempDir()
	for _, tc := range []struct {
		name string
		data []byte
		err  string
	}{
		{"vmlinux", vmlinux, ""},
		{"vmlinuz", boot, ""},
		{"other", []byte("MZ boot code"), "no kernel in it that is compressed with zstd"},
		{"empty", nil, "no kernel in it that is compressed with zstd"},
		{"no types", tinyELF(nil, nil), "no section .BTF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(dir, tc.name)
			if err := os.WriteFile(path, tc.data, 0o644); err != nil {
				t.Fatal(err)
			}
			im, err := readImage(path)
			if tc.err != "" {
				if err == nil || !strings.HasSuffix(err.Error(), tc.err) {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(im.btf) != "types" || string(im.ids) != "ids!" || im.release != "9.8.7" {
				t.Errorf("%q %q %q", im.btf, im.ids, im.release)
			}
		})
	}
}

// tinyELF is a 64-bit ELF file with the sections .BTF and .BTF_ids, if they have content, and a banner.
func tinyELF(types, ids []byte) []byte {
	names := "\x00.shstrtab\x00.BTF\x00.BTF_ids\x00Linux version 9.8.7+x (someone)"
	type section struct {
		name uint32
		data []byte
	}
	sections := []section{{1, []byte(names)}}
	if types != nil {
		sections = append(sections, section{11, types}, section{16, ids})
	}
	var body, headers []byte
	headers = append(headers, make([]byte, 64)...)
	for i, s := range sections {
		kind := uint32(elf.SHT_PROGBITS)
		if i == 0 {
			kind = uint32(elf.SHT_STRTAB)
		}
		headers = binary.LittleEndian.AppendUint32(headers, s.name)
		headers = binary.LittleEndian.AppendUint32(headers, kind)
		for _, v := range []uint64{0, 0, uint64(64 + len(body)), uint64(len(s.data)), 0, 1, 0} {
			headers = binary.LittleEndian.AppendUint64(headers, v)
		}
		body = append(body, s.data...)
	}
	h := append([]byte(elf.ELFMAG), 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	h = binary.LittleEndian.AppendUint16(h, uint16(elf.ET_EXEC))
	h = binary.LittleEndian.AppendUint16(h, uint16(elf.EM_X86_64))
	h = binary.LittleEndian.AppendUint32(h, 1)
	for _, v := range []uint64{0, 0, uint64(64 + len(body))} {
		h = binary.LittleEndian.AppendUint64(h, v)
	}
	h = binary.LittleEndian.AppendUint32(h, 0)
	for _, v := range []int{64, 0, 0, 64, 1 + len(sections), 1} {
		h = binary.LittleEndian.AppendUint16(h, uint16(v))
	}
	return slices.Concat(h, body, headers)
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

// TestRegenerate makes the committed data again from the files of the kernels. It needs KERNELS, a directory with
// VERSION/vmlinuz and VERSION/config, as scripts/kernels leaves it.
func TestRegenerate(t *testing.T) {
	dir := os.Getenv("KERNELS")
	if dir == "" {
		t.Skip("KERNELS is not set")
	}
	dirs, err := filepath.Glob(filepath.Join("..", "..", "..", "ops", "kernels", "v*_*"))
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, out := range dirs {
		version := strings.ReplaceAll(strings.TrimPrefix(filepath.Base(out), "v"), "_", ".")
		t.Run(version, func(t *testing.T) {
			files, err := generate(input{image: filepath.Join(dir, version, "vmlinuz"), config: filepath.Join(dir, version, "config")})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				have, err := os.ReadFile(filepath.Join(out, f.name))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(have, f.data) {
					t.Errorf("%s: the committed file differs", f.name)
				}
			}
		})
	}
}

// TestByteOrder: the data is little endian on every machine.
func TestByteOrder(t *testing.T) {
	raw, _, err := reduce(small(t), roots{enumerators: regexp.MustCompile("^LONE_")})
	if err != nil || binary.LittleEndian.Uint16(raw) != 0xeb9f {
		t.Errorf("% x, %v", raw[:4], err)
	}
}
