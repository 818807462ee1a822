package sys_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/sys"
)

func TestProgLoad(t *testing.T) {
	ret := join(movK(0, 3), exit)
	set := func(f func(a *sys.ProgAttr)) func(*rig, *sys.ProgAttr) {
		return func(_ *rig, a *sys.ProgAttr) { f(a) }
	}
	license := func(s string) func(*rig, *sys.ProgAttr) {
		return func(r *rig, a *sys.ProgAttr) { a.License = r.u.AddString(s) }
	}
	none := set(func(*sys.ProgAttr) {})
	for _, tc := range []struct {
		name string
		typ  uint32
		code []byte
		edit func(*rig, *sys.ProgAttr)
		want abi.Errno
		log  string // a part of it
	}{
		{"good", sys.ProgTypeSyscall, ret, none, 0, "processed 2 insns"},
		{"other type", sys.ProgTypeSocketFilter, ret, none, 0, ""},
		{"type 0", 0, ret, none, abi.EINVAL, ""},
		{"type unknown", 33, ret, none, abi.EINVAL, ""},
		{"no instructions", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.InsnCnt = 0 }), abi.E2BIG, ""},
		{"too many", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.InsnCnt = 1000001 }), abi.E2BIG, ""},
		{"more than there are", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.InsnCnt = 3 }), abi.EFAULT, ""},
		{"bad license address", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.License = 8 }), abi.EFAULT, ""},
		{"flags", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.Flags = 1 << 20 }), abi.EINVAL, ""},
		{"sleepable", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.Flags = sys.ProgFlagSleepable }), 0, ""},
		{"name", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.Name = "a b" }), abi.EINVAL, ""},
		{"attach type of a syscall program", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.AttachType = 1 }), abi.EINVAL, ""},
		{"attach_btf_id of a socket filter", sys.ProgTypeSocketFilter, ret, set(func(a *sys.ProgAttr) { a.AttachBTF = 1 }), abi.EINVAL, ""},
		{"attach_btf_id too large", sys.ProgTypeTracing, ret, set(func(a *sys.ProgAttr) { a.AttachBTF = 1 << 20 }), abi.EINVAL, ""},
		{"tracing without target", sys.ProgTypeTracing, ret, none, abi.EINVAL, "Tracing programs must provide btf_id"},
		{"attach program, nothing", sys.ProgTypeTracing, ret, set(func(a *sys.ProgAttr) { a.AttachProg, a.AttachBTF = 44, 1 }), abi.EINVAL, ""},
		{"log buffer without size", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.LogSize = 0 }), abi.EINVAL, ""},
		{"log buffer without level", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.LogLevel = 0 }), abi.EINVAL, ""},
		{"log level", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.LogLevel = 16 }), abi.EINVAL, ""},
		{"log nowhere", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.LogBuf = 8 }), abi.EFAULT, ""},
		{"level without buffer", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.LogBuf, a.LogSize = 0, 0 }), 0, ""},
		{"no exit", sys.ProgTypeSyscall, movK(0, 1), none, abi.EINVAL, "last instruction"},
		{"unknown opcode", sys.ProgTypeSyscall, join(insn(0xff, 0, 0, 0, 0), exit), none, abi.EINVAL, "unknown opcode 0xff"},
		{"register", sys.ProgTypeSyscall, join(movK(12, 0), exit), none, abi.EINVAL, "r12"},
		{"jump out", sys.ProgTypeSyscall, join(insn(0x05, 0, 0, 7, 0), exit), none, abi.EINVAL, "jump out of range from insn 0 to 8"},
		{"half a load", sys.ProgTypeSyscall, insn(0x18, 1, 0, 0, 0), none, abi.EINVAL, "invalid bpf_ld_imm64 insn"},
		{"load of something", sys.ProgTypeSyscall, join(ld64(1, 9, 0, 0), ret), none, abi.EINVAL, "unrecognized bpf_ld_imm64 insn"},
		{"map, bad descriptor", sys.ProgTypeSyscall, join(ld64(1, 1, 44, 0), ret), none, abi.EBADF, "fd 44 is not pointing to valid bpf_map"},
		{"map, another file", sys.ProgTypeSyscall, join(ld64(1, 1, 1, 0), ret), none, abi.EINVAL, "fd 1 is not pointing to valid bpf_map"},
		{"map", sys.ProgTypeSyscall, join(ld64(1, 1, 3, 0), ret), none, 0, ""},
		{"map with an offset", sys.ProgTypeSyscall, join(ld64(1, 1, 3, 4), ret), none, abi.EINVAL, "unrecognized bpf_ld_imm64 insn"},
		{"value", sys.ProgTypeSyscall, join(ld64(1, 2, 3, 8), ret), none, 0, ""},
		{"value, outside", sys.ProgTypeSyscall, join(ld64(1, 2, 3, 16), ret), none, abi.EINVAL, "invalid access to map value pointer, value_size=16 off=16"},
		{"value of a hash", sys.ProgTypeSyscall, join(ld64(1, 2, 4, 0), ret), none, abi.EINVAL, "no direct value access support for this map type"},
		{"index without array", sys.ProgTypeSyscall, join(ld64(1, 5, 0, 0), ret), none, abi.EPROTO, "fd_idx without fd_array is invalid"},
		{"index", sys.ProgTypeSyscall, join(ld64(1, 5, 1, 0), ret), func(r *rig, a *sys.ProgAttr) { a.FDArray = r.u.Add(join(u32(9), u32(3))) }, 0, ""},
		{"value by index", sys.ProgTypeSyscall, join(ld64(1, 6, 1, 4), ret), func(r *rig, a *sys.ProgAttr) { a.FDArray = r.u.Add(join(u32(9), u32(3))) }, 0, ""},
		{"index outside", sys.ProgTypeSyscall, join(ld64(1, 5, 2, 0), ret), func(r *rig, a *sys.ProgAttr) { a.FDArray = r.u.Add(join(u32(9), u32(3))) }, abi.EFAULT, ""},
		{"array of descriptors", sys.ProgTypeSyscall, ret, func(r *rig, a *sys.ProgAttr) { a.FDArray, a.FDArrayCnt = r.u.Add(join(u32(4), u32(3))), 2 }, 0, ""},
		{"array with another file", sys.ProgTypeSyscall, ret, func(r *rig, a *sys.ProgAttr) { a.FDArray, a.FDArrayCnt = r.u.Add(join(u32(1), u32(3))), 2 }, abi.EINVAL, "fd 1 is not pointing to valid bpf_map or btf"},
		{"subprogram", sys.ProgTypeSyscall, join(insn(0x85, 0, 1, 0, 1), exit, ret), none, 0, ""},
		{"subprogram outside", sys.ProgTypeSyscall, join(insn(0x85, 0, 1, 0, 5), exit), none, abi.EINVAL, "call to invalid destination"},
		{"callback", sys.ProgTypeSyscall, join(ld64(1, 4, 3, 0), ret, ret), none, 0, ""},
		{"helper", sys.ProgTypeSyscall, join(helper(5), exit), none, 0, ""},
		{"helper that does not exist", sys.ProgTypeSyscall, join(helper(5000), exit), none, abi.EINVAL, "helper 5000: does not exist"},
		{"kernel function", sys.ProgTypeSyscall, join(kcall(0xf0000), exit), none, 0, ""},
		{"kernel function, unknown id", sys.ProgTypeSyscall, join(kcall(77), exit), none, abi.EINVAL, "kernel btf_id 77 is not a function"},
		{"kernel function, not modelled", sys.ProgTypeSyscall, join(kcall(0xf0001), exit), none, abi.EINVAL, "kernel function later: not supported"},
		{"kernel function, not modelled, in dead code", sys.ProgTypeSyscall, join(movK(0, 0), insn(0x15, 0, 0, 1, 0), kcall(0xf0001), exit), none, 0, "processed 3 insns"},
		{"kernel function of a module", sys.ProgTypeSyscall, join(insn(0x85, 0, 2, 1, 0xf0000), exit), none, abi.EPROTO, "kfunc offset > 0 without fd_array is invalid"},
		{"GPL-only helper", sys.ProgTypeSyscall, join(helper(35), exit), none, 0, ""},
		{"GPL-only helper, other license", sys.ProgTypeSyscall, join(helper(35), exit), license("Proprietary"), abi.EINVAL, "cannot call GPL-restricted function from non-GPL compatible program"},
		{"GPL-only helper, dual license", sys.ProgTypeSyscall, join(helper(35), exit), license("Dual MIT/GPL"), 0, ""},
		{"GPL-only helper, the wrong dual", sys.ProgTypeSyscall, join(helper(35), exit), license("GPL v3"), abi.EINVAL, "GPL-restricted"},
		{"free helper, other license", sys.ProgTypeSyscall, join(helper(5), exit), license("MIT"), 0, ""},
		{"kernel function, other license", sys.ProgTypeSyscall, join(kcall(0xf0000), exit), license("MIT"), abi.EINVAL, "cannot call kernel function from non-GPL compatible program"},
		{"struct_ops, other license", sys.ProgTypeStructOps, ret, license("MIT"), abi.EINVAL, "struct ops programs must have a GPL compatible license"},
		{"struct_ops, no type", sys.ProgTypeStructOps, ret, none, abi.ENOTSUPP, ""},
		{"struct_ops, unknown type", sys.ProgTypeStructOps, ret, set(func(a *sys.ProgAttr) { a.AttachBTF = 5 }), abi.ENOTSUPP, "attach_btf_id 5 is not a supported struct"},
		{"func info without BTF", sys.ProgTypeSyscall, ret, set(func(a *sys.ProgAttr) { a.FuncInfoCnt, a.FuncInfoRec = 1, 8 }), abi.EINVAL, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.array(16, 1)
			r.hash(4, 4, 1)
			r.k.SymbolID("double", true)
			r.k.SymbolID("later", true)
			buf := make([]byte, 4096)
			attr := r.prog(tc.typ, tc.code, func(a *sys.ProgAttr) {
				a.LogLevel, a.LogSize, a.LogBuf = 1, uint32(len(buf)), r.u.Add(buf)
				tc.edit(r, a)
			})
			r.errno(tc.want, sys.ProgLoad, attr)
			log := string(buf[:bytes.IndexByte(buf, 0)])
			if !strings.Contains(log, tc.log) {
				t.Errorf("log %q", log)
			}
			if log != "" && attr.U32(sys.ResultLogTrueSize) != uint32(len(log)+1) {
				t.Errorf("true size %d, log of %d bytes", attr.U32(sys.ResultLogTrueSize), len(log))
			}
			// What a refused program held is let go.
			r.p.Close(3)
			r.p.Close(4)
			c := r.k.Counts()
			if tc.want != 0 && (c.Maps != 0 || c.Progs != 0) {
				t.Errorf("live: %+v", c)
			}
		})
	}
	t.Run("capabilities", func(t *testing.T) {
		r := newRig(t)
		r.p.Caps = sys.Caps{BPF: true}
		r.errno(abi.EPERM, sys.ProgLoad, r.prog(sys.ProgTypeTracing, ret))
		r.errno(abi.EPERM, sys.ProgLoad, r.prog(6, ret)) // XDP
		r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, ret))
		r.p.Caps.BPF = false
		r.errno(abi.EPERM, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, ret))
	})
}

// A log that does not fit is cut at its beginning, or at its end with BPF_LOG_FIXED, and refuses the program.
func TestLog(t *testing.T) {
	code := join(insn(0xff, 0, 0, 0, 0), exit)
	for _, tc := range []struct {
		name  string
		level uint32
		size  int
		errno abi.Errno
		check func(full, log string) bool
	}{
		{"fits", 1, 400, abi.EINVAL, func(full, log string) bool { return log == full }},
		{"end", 1, 30, abi.ENOSPC, func(full, log string) bool { return log == full[len(full)-29:] }},
		{"beginning", 1 | 8, 30, abi.ENOSPC, func(full, log string) bool { return log == full[:29] }},
		{"one byte", 1, 1, abi.ENOSPC, func(_, log string) bool { return log == "" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			load := func(level uint32, size int, want abi.Errno) (string, uint32) {
				buf := bytes.Repeat([]byte{'x'}, size)
				a := r.prog(sys.ProgTypeSyscall, code, func(a *sys.ProgAttr) { a.LogLevel, a.LogSize, a.LogBuf = level, uint32(size), r.u.Add(buf) })
				r.errno(want, sys.ProgLoad, a)
				return string(buf[:bytes.IndexByte(buf, 0)]), a.U32(sys.ResultLogTrueSize)
			}
			full, n := load(1, 4096, abi.EINVAL)
			log, m := load(tc.level, tc.size, tc.errno)
			if n != m || int(n) != len(full)+1 || !tc.check(full, log) {
				t.Errorf("log %q of true size %d, whole %q of %d", log, m, full, n)
			}
		})
	}
	t.Run("a good program", func(t *testing.T) {
		r := newRig(t)
		r.errno(abi.ENOSPC, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(movK(0, 0), exit), func(a *sys.ProgAttr) {
			a.LogLevel, a.LogSize, a.LogBuf = 1, 8, r.u.Add(make([]byte, 8))
		}))
		if n := r.k.Counts().Progs; n != 0 {
			t.Errorf("%d programs live", n)
		}
	})
	t.Run("common attributes", func(t *testing.T) {
		r := newRig(t)
		buf := make([]byte, 100)
		common := join(u64(r.u.Add(buf)), u32(100), u32(1), u32(0))
		attr := sys.MapAttr{Type: 2, KeySize: 5, ValueSize: 1, MaxEntries: 1}.Bytes()
		if v := r.p.BPFCommon(sys.MapCreate|sys.CommonAttrs, attr, common); v != -int64(abi.EINVAL) {
			t.Fatal(v)
		}
		log := string(buf[:bytes.IndexByte(buf, 0)])
		if !strings.Contains(log, "key size 5") || binary.LittleEndian.Uint32(common[16:]) != uint32(len(log)+1) {
			t.Errorf("log %q, %v", log, common)
		}
	})
}

func TestRun(t *testing.T) {
	r := newRig(t)
	m := r.array(8, 1)
	// *(u64 *)(ctx + 8) += value; value += double(*(u64 *)ctx); return value
	code := join(insn(0xbf, 6, 1, 0, 0), ld64(7, 2, m, 0), insn(0x79, 1, 6, 0, 0), kcall(int32(r.k.SymbolID("double", true))),
		insn(0x79, 1, 7, 0, 0), insn(0x0f, 0, 1, 0, 0), insn(0x7b, 7, 0, 0, 0), insn(0x7b, 6, 1, 8, 0), exit)
	p := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, code))
	ctx := join(u64(5), u64(99))
	for i, want := range []uint32{10, 20} {
		run := sys.RunAttr{Prog: p, CtxSize: 16, Ctx: r.u.Add(ctx)}.Bytes()
		r.ok(sys.ProgTestRun, run)
		if got := run.U32(sys.ResultRetval); got != want || ctx[8] != byte(10*i) {
			t.Errorf("run %d: %d, context %v", i, got, ctx)
		}
	}
	fault := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(insn(0x79, 0, 1, 0, 0), exit)))
	r.errno(abi.EFAULT, sys.ProgTestRun, sys.RunAttr{Prog: fault}.Bytes())
	if want := "program p: instruction 0: invalid read of 8 bytes at 0x0"; r.p.Reason().Error() != want {
		t.Errorf("%v", r.p.Reason())
	}
	filter := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSocketFilter, join(movK(0, 0), exit)))
	r.errno(abi.ENOTSUPP, sys.ProgTestRun, sys.RunAttr{Prog: filter}.Bytes())
	r.errno(abi.EINVAL, sys.ProgTestRun, sys.RunAttr{Prog: p, CtxSize: 8}.Bytes())
	r.errno(abi.EINVAL, sys.ProgTestRun, sys.RunAttr{Prog: p, Ctx: 8}.Bytes())
	r.errno(abi.EINVAL, sys.ProgTestRun, sys.RunAttr{Prog: p, CtxSize: 1 << 16, Ctx: 8}.Bytes())
	r.errno(abi.EFAULT, sys.ProgTestRun, sys.RunAttr{Prog: p, CtxSize: 16, Ctx: 8}.Bytes())
	r.errno(abi.EBADF, sys.ProgTestRun, sys.RunAttr{Prog: 55}.Bytes())
	// A program goes, the others run on, a new one takes its place.
	r.p.Close(int(fault))
	q := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(movK(0, 8), exit)))
	for fd, want := range map[int32]uint32{q: 8, p: 30} {
		run := sys.RunAttr{Prog: fd, CtxSize: 16, Ctx: r.u.Add(ctx)}.Bytes()
		r.ok(sys.ProgTestRun, run)
		if got := run.U32(sys.ResultRetval); got != want {
			t.Errorf("program %d: %d, want %d", fd, got, want)
		}
	}
	if r.k.Insns() == 0 || r.k.Calls() != 3 {
		t.Errorf("%d instructions, %d calls", r.k.Insns(), r.k.Calls())
	}
}

// A program holds its maps, also those that are bound to it; it shows their ids, not descriptors.
func TestProgHoldsMaps(t *testing.T) {
	r := newRig(t)
	a, b := r.array(8, 1), r.array(8, 1)
	p := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(ld64(1, 1, b, 0), movK(0, 0), exit)))
	r.ok(sys.ProgBindMap, sys.Words(uint32(p), uint32(a), 0))
	r.ok(sys.ProgBindMap, sys.Words(uint32(p), uint32(a), 0))
	r.p.Close(int(a))
	r.p.Close(int(b))
	if n := r.k.Counts().Maps; n != 2 {
		t.Errorf("%d maps live", n)
	}
	info, ids, code := make([]byte, 232), make([]byte, 16), make([]byte, 100)
	binary.LittleEndian.PutUint32(info[52:], 4)
	binary.LittleEndian.PutUint64(info[56:], r.u.Add(ids))
	binary.LittleEndian.PutUint32(info[20:], uint32(len(code)))
	binary.LittleEndian.PutUint64(info[32:], r.u.Add(code))
	r.ok(sys.ObjGetInfoByFD, sys.InfoAttr{FD: p, Len: 232, Info: r.u.Add(info)}.Bytes())
	if info[0] != byte(sys.ProgTypeSyscall) || info[4] != 1 || string(info[64:66]) != "p\x00" || info[84] != 1 || info[52] != 2 || info[20] != 32 {
		t.Errorf("info %v", info)
	}
	if !bytes.Equal(ids, join(u32(2), u32(1), u64(0))) || code[4] != 2 {
		t.Errorf("ids %v, code %v", ids, code[:32])
	}
	r.p.Close(int(p))
	if c := r.k.Counts(); c != (sys.Counts{}) {
		t.Errorf("live: %+v", c)
	}
}

func TestPins(t *testing.T) {
	r := newRig(t)
	m := r.array(8, 1)
	b := r.ok(sys.BTFLoad, r.btf(&btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}))
	pin := func(want abi.Errno, fd int32, path string) {
		t.Helper()
		r.errno(want, sys.ObjPin, sys.PathAttr{Path: r.u.AddString(path), FD: fd}.Bytes())
	}
	get := func(want abi.Errno, path string, flags uint32) int32 {
		t.Helper()
		return int32(r.errno(want, sys.ObjGet, sys.PathAttr{Path: r.u.AddString(path), Flags: flags}.Bytes()))
	}
	pin(0, m, "/sys/fs/bpf/m")
	pin(abi.EEXIST, m, "/sys/fs/bpf//m")
	pin(abi.EPERM, m, "/sys/fs/bpf/a.b")
	pin(abi.ENOENT, m, "/sys/fs/bpf/d/m")
	pin(abi.EPERM, m, "/tmp/m")
	pin(abi.ENOENT, m, "")
	pin(abi.EINVAL, 55, "/sys/fs/bpf/x")
	pin(abi.EINVAL, 1, "/sys/fs/bpf/x")
	pin(abi.EINVAL, b, "/sys/fs/bpf/x")
	pin(abi.ENAMETOOLONG, m, "/sys/fs/bpf/"+strings.Repeat("x", 4096))
	r.errno(abi.EFAULT, sys.ObjPin, sys.PathAttr{Path: 8, FD: m}.Bytes())
	r.errno(abi.EINVAL, sys.ObjPin, sys.PathAttr{Path: 8, FD: m, Flags: 8}.Bytes())
	if err := r.k.Mkdir("/sys/fs/bpf/d"); err != nil {
		t.Fatal(err)
	}
	pin(0, m, "/sys/fs/bpf/d/m")
	r.p.Close(int(m))
	if c := r.k.Counts(); c.Maps != 1 {
		t.Errorf("live: %+v", c)
	}
	ro := get(0, "/sys/fs/bpf/d/m", maps.FlagRdonly)
	r.errno(abi.EPERM, sys.MapUpdateElem, r.elem(ro, u32(0), u64(1), 0))
	get(abi.ENOENT, "/sys/fs/bpf/n", 0)
	get(abi.EACCES, "/sys/fs/bpf", 0)
	get(abi.EINVAL, "/sys/fs/bpf/m", 3)
	r.p.Close(int(ro))
	for _, path := range r.k.Pins() {
		if err := r.k.Unlink(path); err != nil {
			t.Error(err)
		}
	}
	if c := r.k.Counts(); c.Maps != 0 || len(r.k.Pins()) != 0 {
		t.Errorf("live: %+v, pins %v", c, r.k.Pins())
	}
}

// btf are the attributes that load BTF with these types.
func (r *rig) btf(types ...btf.Type) sys.Attr {
	r.t.Helper()
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		r.t.Fatal(err)
	}
	return sys.BTFAttr{BTF: r.u.Add(raw), Size: uint32(len(raw))}.Bytes()
}

func TestBTF(t *testing.T) {
	int32t := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: int32t}}}
	value := &btf.Struct{Name: "value", Size: 8, Members: []btf.Member{{Name: "n", Type: int32t}, {Name: "lock", Type: lock, Offset: 32}}}
	two := &btf.Struct{Name: "two", Size: 8, Members: []btf.Member{{Name: "a", Type: lock}, {Name: "b", Type: lock, Offset: 32}}}
	for _, tc := range []struct {
		name string
		edit func([]byte) []byte
		want abi.Errno
	}{
		{"good", func(b []byte) []byte { return b }, 0},
		{"empty", func([]byte) []byte { return nil }, abi.EINVAL},
		{"header alone", func(b []byte) []byte { return b[:24] }, abi.EINVAL},
		{"magic", func(b []byte) []byte { b[0] = 1; return b }, abi.EINVAL},
		{"version", func(b []byte) []byte { b[2] = 9; return b }, abi.ENOTSUPP},
		{"flags", func(b []byte) []byte { b[3] = 9; return b }, abi.ENOTSUPP},
		{"string section", func(b []byte) []byte { b[len(b)-1] = 'x'; return b }, abi.EINVAL},
		{"cut", func(b []byte) []byte { return b[:len(b)-4] }, abi.EINVAL},
		{"a type of no kind", func(b []byte) []byte { b[24+7] = 31; return b }, abi.EINVAL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			b, err := btf.NewBuilder([]btf.Type{value}, nil)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
			if err != nil {
				t.Fatal(err)
			}
			raw = tc.edit(raw)
			r.errno(tc.want, sys.BTFLoad, sys.BTFAttr{BTF: r.u.Add(raw), Size: uint32(len(raw))}.Bytes())
		})
	}
	r := newRig(t)
	fd := r.ok(sys.BTFLoad, r.btf(int32t, value, two))
	m := func(typ, size, key, val uint32) []byte {
		return sys.MapAttr{Type: typ, KeySize: 4, ValueSize: size, MaxEntries: 2, BTF: fd, KeyType: key, ValueType: val}.Bytes()
	}
	a := r.ok(sys.MapCreate, m(1, 8, 1, 2))
	if f := r.p.Map(int(a)).Maps().Info().Fields; len(f) != 1 || f[0].Kind != maps.SpinLock || f[0].Off != 4 {
		t.Errorf("fields %+v", f)
	}
	r.errno(abi.EINVAL, sys.MapCreate, m(1, 16, 1, 2))          // size of the value
	r.errno(abi.EINVAL, sys.MapCreate, m(1, 8, 2, 2))           // size of the key
	r.errno(abi.EINVAL, sys.MapCreate, m(1, 8, 1, 99))          // no such type
	r.errno(abi.E2BIG, sys.MapCreate, m(1, 8, 1, 3))            // two locks
	r.errno(abi.EOPNOTSUPP, sys.MapCreate, m(6, 8, 1, 2))       // a lock per CPU
	r.errno(abi.ENOTSUPP, sys.MapFreeze, sys.Words(uint32(a)))  // it has a lock
	r.ok(sys.MapUpdateElem, r.elem(a, u32(1), u64(1<<32|7), 0)) // the lock is not copied
	got := u64(9)
	r.ok(sys.MapLookupElem, r.elem(a, u32(1), got, maps.Lock))
	if !bytes.Equal(got, u64(7)) {
		t.Errorf("value %v", got)
	}
	r.p.Close(int(fd))
	if c := r.k.Counts(); c.BTFs != 1 {
		t.Errorf("live: %+v", c)
	}
	info, raw := make([]byte, 32), make([]byte, 1000)
	binary.LittleEndian.PutUint64(info, r.u.Add(raw))
	binary.LittleEndian.PutUint32(info[8:], 1000)
	again := r.ok(sys.BTFGetFDByID, sys.Words(1, 0, 0, 0))
	r.ok(sys.ObjGetInfoByFD, sys.InfoAttr{FD: again, Len: 32, Info: r.u.Add(info)}.Bytes())
	if n := binary.LittleEndian.Uint32(info[8:]); info[12] != 1 || raw[0] != 0x9f || n < 100 {
		t.Errorf("info %v", info)
	}
	minfo := make([]byte, 104)
	r.ok(sys.ObjGetInfoByFD, sys.InfoAttr{FD: a, Len: 104, Info: r.u.Add(minfo)}.Bytes())
	if minfo[0] != 1 || minfo[64] != 1 || minfo[68] != 1 || minfo[72] != 2 {
		t.Errorf("map info %v", minfo)
	}
	r.errno(abi.E2BIG, sys.ObjGetInfoByFD, sys.InfoAttr{FD: a, Len: 110, Info: r.u.Add(bytes.Repeat([]byte{1}, 110))}.Bytes())
	r.p.Close(int(a))
	r.p.Close(int(again))
	if c := r.k.Counts(); c != (sys.Counts{}) {
		t.Errorf("live: %+v", c)
	}
}

// Types of functions and lines come with BTF; messages use them.
func TestDebugInfo(t *testing.T) {
	r := newRig(t)
	proto := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4}}
	main := &btf.Func{Name: "a_rather_long_name", Type: proto, Linkage: btf.GlobalFunc}
	sub := &btf.Func{Name: "sub", Type: proto}
	fd := r.ok(sys.BTFLoad, r.btf(main, sub))
	raw := make([]byte, 1000)
	info := make([]byte, 32)
	binary.LittleEndian.PutUint64(info, r.u.Add(raw))
	binary.LittleEndian.PutUint32(info[8:], 1000)
	r.ok(sys.ObjGetInfoByFD, sys.InfoAttr{FD: fd, Len: 32, Info: r.u.Add(info)}.Bytes())
	name := uint32(bytes.Index(raw, []byte("sub\x00"))) - 24 - binary.LittleEndian.Uint32(raw[12:])
	code := join(insn(0x85, 0, 1, 0, 1), exit, insn(0x79, 0, 1, 0, 0), exit)
	load := func(funcs, lines []byte, want abi.Errno) int32 {
		return int32(r.errno(want, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, code, func(a *sys.ProgAttr) {
			a.BTF, a.FuncInfoRec, a.FuncInfoCnt, a.FuncInfo = fd, 8, uint32(len(funcs)/8), r.u.Add(funcs)
			a.LineInfoRec, a.LineInfoCnt, a.LineInfo = 16, uint32(len(lines)/16), r.u.Add(lines)
		})))
	}
	line := func(off, n uint32) []byte { return join(u32(off), u32(name), u32(0), u32(n<<10|1)) }
	funcs := join(u32(0), u32(1), u32(2), u32(2))
	load(funcs[:8], nil, abi.EINVAL)
	load(join(u32(0), u32(1), u32(1), u32(2)), nil, abi.EINVAL)
	load(join(u32(0), u32(1), u32(2), u32(3)), nil, abi.EINVAL)
	load(funcs, line(0, 1), abi.EINVAL)                               // none for the subprogram
	load(funcs, join(line(0, 1), line(2, 1), line(2, 5)), abi.EINVAL) // not in order
	load(funcs, join(line(0, 1), line(2, 1), line(4, 5)), abi.EINVAL) // outside
	p := load(funcs, join(line(0, 1), line(2, 7)), 0)
	if got := r.p.Prog(int(p)).Name(); got != "a_rather_long_name" {
		t.Errorf("name %q", got)
	}
	r.errno(abi.EFAULT, sys.ProgTestRun, sys.RunAttr{Prog: p}.Bytes())
	if want := "program a_rather_long_name: instruction 2 (sub:7): invalid read of 8 bytes at 0x0"; r.p.Reason().Error() != want {
		t.Errorf("%v", r.p.Reason())
	}
}

// The exception callback is the function that a tag of the main one names, as BTF and the types of functions have it.
func TestExceptionCallback(t *testing.T) {
	proto := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4}, Params: []btf.FuncParam{{Name: "cookie", Type: &btf.Int{Name: "u64", Size: 8}}}}
	callback := &btf.Func{Name: "callback", Type: proto, Linkage: btf.GlobalFunc}
	static := &btf.Func{Name: "static", Type: proto}
	sub := &btf.Func{Name: "sub", Type: proto}
	main := func(tags ...string) *btf.Func {
		return &btf.Func{Name: "main", Type: proto, Linkage: btf.GlobalFunc, Tags: tags}
	}
	// main calls sub, which throws the first word of the context; the callback adds one.
	code := func(throw int32) []byte {
		return join(insn(0x85, 0, 1, 0, 2), insn(0x07, 0, 0, 0, 100), exit,
			insn(0x79, 1, 1, 0, 0), kcall(throw), movK(0, 9), exit,
			insn(0xbf, 0, 1, 0, 0), insn(0x07, 0, 0, 0, 1), exit)
	}
	for _, tc := range []struct {
		name  string
		main  *btf.Func
		funcs []uint32 // slots and type ids: 1 is the main function, 2 sub, 3 callback, 4 static
		want  abi.Errno
		log   string
		r0    uint32
	}{
		{"none", main(), []uint32{0, 1, 3, 2}, 0, "", 5},
		{"callback", main("exception_callback:callback"), []uint32{0, 1, 3, 2, 7, 3}, 0, "", 6},
		{"another tag", main("other:callback"), []uint32{0, 1, 3, 2, 7, 3}, abi.EINVAL, "number of funcs", 0},
		{"two", main("exception_callback:callback", "exception_callback:sub"), []uint32{0, 1, 3, 2, 7, 3}, abi.EEXIST, "multiple exception callback tags for main subprog", 0},
		{"unknown", main("exception_callback:callbac"), []uint32{0, 1, 3, 2, 7, 3}, abi.ENOENT, "exception callback 'callbac' could not be found in BTF", 0},
		{"static", main("exception_callback:static"), []uint32{0, 1, 3, 2, 7, 4}, abi.EINVAL, "exception callback 'static' must have global linkage", 0},
		{"without code", main("exception_callback:callback"), []uint32{0, 1, 3, 2}, abi.EINVAL, "exception callback type id not found in func_info", 0},
		{"at the start", main("exception_callback:main"), []uint32{0, 1, 3, 2}, abi.EINVAL, "invalid exception callback insn_off in func_info: 0", 0},
		{"outside", main("exception_callback:callback"), []uint32{0, 1, 3, 2, 77, 3}, abi.EINVAL, "call to invalid destination", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, r *rig) {
				fd := r.ok(sys.BTFLoad, r.btf(tc.main, sub, callback, static))
				var recs []byte
				for _, w := range tc.funcs {
					recs = append(recs, u32(w)...)
				}
				buf := make([]byte, 4096)
				c := code(int32(r.k.SymbolID("bpf_throw", true)))
				p := r.errno(tc.want, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, c, func(a *sys.ProgAttr) {
					a.BTF, a.FuncInfoRec, a.FuncInfoCnt, a.FuncInfo = fd, 8, uint32(len(recs)/8), r.u.Add(recs)
					a.LogLevel, a.LogSize, a.LogBuf = 1, uint32(len(buf)), r.u.Add(buf)
				}))
				if log := string(buf[:bytes.IndexByte(buf, 0)]); !strings.Contains(log, tc.log) {
					t.Errorf("log %q, want %q", log, tc.log)
				}
				if tc.want != 0 {
					return
				}
				run := sys.RunAttr{Prog: int32(p), CtxSize: 8, Ctx: r.u.Add(u64(5))}.Bytes()
				r.ok(sys.ProgTestRun, run)
				if got := run.U32(sys.ResultRetval); got != tc.r0 {
					t.Errorf("it returns %d, want %d", got, tc.r0)
				}
			})
		})
	}
}
