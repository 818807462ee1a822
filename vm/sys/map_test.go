package sys_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/sys"
)

func TestAttributes(t *testing.T) {
	good := sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1}.Bytes()
	for _, tc := range []struct {
		name string
		cmd  sys.Cmd
		attr []byte
		want abi.Errno
	}{
		{"short", sys.MapCreate, good[:20], 0},
		{"as long as the kernel's", sys.MapCreate, append(bytes.Clone(good), make([]byte, 168-len(good))...), 0},
		{"longer, zero", sys.MapCreate, append(bytes.Clone(good), make([]byte, 400)...), 0},
		{"longer, not zero", sys.MapCreate, append(append(bytes.Clone(good), make([]byte, 168-len(good))...), 1), abi.E2BIG},
		{"a field of another command", sys.MapCreate, append(append(bytes.Clone(good), make([]byte, 20)...), 1), abi.EINVAL},
		{"huge", sys.MapCreate, make([]byte, 4097), abi.E2BIG},
		{"a page", sys.MapCreate, append(bytes.Clone(good), make([]byte, 4096-len(good))...), 0},
		{"empty", sys.MapCreate, nil, abi.EINVAL},
		{"unknown command", 99, good, abi.EINVAL},
		{"no such thing here", 17, nil, abi.EINVAL},
		{"common attributes, none", sys.MapCreate | sys.CommonAttrs, good, 0},
		{"elements: bad descriptor", sys.MapLookupElem, sys.ElemAttr{Map: 77}.Bytes(), abi.EBADF},
		{"elements: another file", sys.MapLookupElem, sys.ElemAttr{Map: 1}.Bytes(), abi.EINVAL},
		{"info: bad descriptor", sys.ObjGetInfoByFD, sys.InfoAttr{FD: 77}.Bytes(), abi.EBADFD},
		{"info: another file", sys.ObjGetInfoByFD, sys.InfoAttr{FD: 2}.Bytes(), abi.EINVAL},
		{"next id", sys.MapGetNextID, sys.Words(0, 0), abi.ENOENT},
		{"next id: no room", sys.MapGetNextID, sys.Words(1<<31 - 1), abi.EINVAL},
		{"id: none", sys.MapGetFDByID, sys.Words(5, 0, 0), abi.ENOENT},
		{"id: flags", sys.MapGetFDByID, sys.Words(5, 0, 1), abi.EINVAL},
		{"program id: none", sys.ProgGetFDByID, sys.Words(0), abi.ENOENT},
		{"program id: field too many", sys.ProgGetFDByID, sys.Words(0, 1), abi.EINVAL},
		{"BTF id: none", sys.BTFGetFDByID, sys.Words(1), abi.ENOENT},
		{"link id: none", sys.LinkGetFDByID, sys.Words(1), abi.ENOENT},
		{"detach: bad descriptor", sys.LinkDetach, sys.Words(44), abi.EBADF},
		{"detach: another file", sys.LinkDetach, sys.Words(0), abi.EINVAL},
		{"update: flags", sys.LinkUpdate, sys.Words(44, 0, 1, 0), abi.EINVAL},
		{"link: bad descriptor", sys.LinkCreate, sys.Words(44, 0, sys.AttachStructOps, 0), abi.EBADF},
		{"link: program", sys.LinkCreate, sys.Words(44, 0, 2, 0), abi.EBADF},
		{"bind: flags", sys.ProgBindMap, sys.Words(44, 44, 1), abi.EINVAL},
		{"bind: bad descriptor", sys.ProgBindMap, sys.Words(44, 44, 0), abi.EBADF},
	} {
		t.Run(tc.name, func(t *testing.T) { newRig(t).errno(tc.want, tc.cmd, tc.attr) })
	}
}

func TestMapCreate(t *testing.T) {
	base := sys.MapAttr{Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 16, Name: "m"}
	for _, tc := range []struct {
		name string
		edit func(*sys.MapAttr)
		want abi.Errno
	}{
		{"good", func(*sys.MapAttr) {}, 0},
		{"type 0", func(a *sys.MapAttr) { a.Type = 0 }, abi.EINVAL},
		{"type unknown", func(a *sys.MapAttr) { a.Type = 36 }, abi.EINVAL},
		{"no key", func(a *sys.MapAttr) { a.KeySize = 0 }, abi.EINVAL},
		{"no value", func(a *sys.MapAttr) { a.ValueSize = 0 }, abi.EINVAL},
		{"no entries", func(a *sys.MapAttr) { a.MaxEntries = 0 }, abi.EINVAL},
		{"huge value", func(a *sys.MapAttr) { a.ValueSize = 1 << 30 }, abi.E2BIG},
		{"unknown flag", func(a *sys.MapAttr) { a.Flags = 1 << 30 }, abi.EINVAL},
		{"no prealloc", func(a *sys.MapAttr) { a.Flags = 1 }, 0},
		{"read-only descriptor", func(a *sys.MapAttr) { a.Flags = maps.FlagRdonly }, 0},
		{"neither read nor write", func(a *sys.MapAttr) { a.Flags = maps.FlagRdonly | maps.FlagWronly }, abi.EINVAL},
		{"node that exists", func(a *sys.MapAttr) { a.Flags = maps.FlagNumaNode }, 0},
		{"node that does not", func(a *sys.MapAttr) { a.Flags, a.NUMANode = maps.FlagNumaNode, 3 }, abi.EINVAL},
		{"node that does not, without the flag", func(a *sys.MapAttr) { a.NUMANode = 3 }, 0},
		{"map_extra", func(a *sys.MapAttr) { a.Extra = 1 }, abi.EINVAL},
		{"name with dots", func(a *sys.MapAttr) { a.Name = "a.b_C9" }, 0},
		{"name of 15", func(a *sys.MapAttr) { a.Name = "123456789012345" }, 0},
		{"name of 16", func(a *sys.MapAttr) { a.Name = "1234567890123456" }, abi.EINVAL},
		{"name with a dash", func(a *sys.MapAttr) { a.Name = "a-b" }, abi.EINVAL},
		{"key type without value type", func(a *sys.MapAttr) { a.KeyType = 1 }, abi.EINVAL},
		{"value type without BTF", func(a *sys.MapAttr) { a.ValueType = 1 }, abi.EINVAL},
		{"value type, bad descriptor", func(a *sys.MapAttr) { a.ValueType, a.BTF = 1, 55 }, abi.EBADF},
		{"vmlinux value type", func(a *sys.MapAttr) { a.VmlinuxType = 1 }, abi.EINVAL},
		{"struct_ops without types", func(a *sys.MapAttr) { a.Type, a.MaxEntries, a.VmlinuxType = 26, 1, 1 }, abi.ENOTSUPP},
		{"array of maps, bad descriptor", func(a *sys.MapAttr) { a.Type, a.ValueSize, a.InnerFD = 12, 4, 55 }, abi.EBADF},
		{"array of maps, another file", func(a *sys.MapAttr) { a.Type, a.ValueSize, a.InnerFD = 12, 4, 1 }, abi.EINVAL},
		{"ring buffer", func(a *sys.MapAttr) { *a = sys.MapAttr{Type: 27, MaxEntries: 4096} }, 0},
		{"ring buffer, odd size", func(a *sys.MapAttr) { *a = sys.MapAttr{Type: 27, MaxEntries: 4097} }, abi.EINVAL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			a := base
			tc.edit(&a)
			if fd := r.errno(tc.want, sys.MapCreate, a.Bytes()); tc.want == 0 && fd != 3 {
				t.Errorf("descriptor %d, want 3", fd)
			}
			if n := r.k.Counts().Maps; (n == 1) != (tc.want == 0) {
				t.Errorf("%d maps live", n)
			}
		})
	}
	t.Run("without CAP_BPF", func(t *testing.T) {
		r := newRig(t)
		r.p.Caps.BPF = false
		r.errno(abi.EPERM, sys.MapCreate, base.Bytes())
	})
	t.Run("without CAP_SYS_ADMIN", func(t *testing.T) {
		r := newRig(t)
		r.ok(sys.MapCreate, base.Bytes())
		r.p.Caps.SysAdmin = false
		r.errno(abi.EPERM, sys.MapGetFDByID, sys.Words(1, 0, 0))
		r.errno(abi.EPERM, sys.MapGetNextID, sys.Words(0, 0))
	})
}

func TestElements(t *testing.T) {
	r := newRig(t)
	m := r.hash(4, 8, 2)
	r.errno(abi.ENOENT, sys.MapLookupElem, r.elem(m, u32(1), u64(0), 0))
	r.errno(abi.ENOENT, sys.MapUpdateElem, r.elem(m, u32(1), u64(5), maps.Exist))
	r.ok(sys.MapUpdateElem, r.elem(m, u32(1), u64(5), maps.NoExist))
	r.errno(abi.EEXIST, sys.MapUpdateElem, r.elem(m, u32(1), u64(5), maps.NoExist))
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.elem(m, u32(1), u64(5), 64))
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.elem(m, u32(1), u64(5), maps.Lock))
	r.errno(abi.EINVAL, sys.MapLookupElem, r.elem(m, u32(1), u64(5), maps.Exist))
	v := u64(0)
	r.ok(sys.MapLookupElem, r.elem(m, u32(1), v, 0))
	if !bytes.Equal(v, u64(5)) {
		t.Errorf("value %v", v)
	}
	r.ok(sys.MapUpdateElem, r.elem(m, u32(2), u64(6), 0))
	r.errno(abi.E2BIG, sys.MapUpdateElem, r.elem(m, u32(3), u64(7), 0))
	// Bad addresses: of the key, of the value, of a value that is too short.
	r.errno(abi.EFAULT, sys.MapUpdateElem, sys.ElemAttr{Map: m, Key: 8, Value: r.u.Add(v)}.Bytes())
	r.errno(abi.EFAULT, sys.MapUpdateElem, sys.ElemAttr{Map: m, Key: r.u.Add(u32(1)), Value: 8}.Bytes())
	r.errno(abi.EFAULT, sys.MapLookupElem, sys.ElemAttr{Map: m, Key: r.u.Add(u32(1)), Value: r.u.Add(make([]byte, 7))}.Bytes())
	// Keys one after the other, and the end.
	seen := map[string]bool{}
	next := u32(0)
	at := sys.ElemAttr{Map: m, Value: r.u.Add(next)}
	r.ok(sys.MapGetNextKey, at.Bytes())
	seen[string(next)] = true
	r.ok(sys.MapGetNextKey, r.elem(m, bytes.Clone(next), next, 0)[:24])
	seen[string(next)] = true
	r.errno(abi.ENOENT, sys.MapGetNextKey, r.elem(m, bytes.Clone(next), next, 0)[:24])
	if d := cmp.Diff(map[string]bool{string(u32(1)): true, string(u32(2)): true}, seen); d != "" {
		t.Error(d)
	}
	r.ok(sys.MapLookupAndDeleteElem, r.elem(m, u32(2), v, 0))
	if !bytes.Equal(v, u64(6)) {
		t.Errorf("value %v", v)
	}
	r.ok(sys.MapDeleteElem, r.elem(m, u32(1), nil, 0)[:16])
	r.errno(abi.ENOENT, sys.MapDeleteElem, r.elem(m, u32(1), nil, 0)[:16])
	r.errno(abi.EINVAL, sys.MapDeleteElem, r.elem(m, u32(1), u64(1), 0))

	a := r.array(8, 2)
	r.errno(abi.ENOTSUPP, sys.MapLookupAndDeleteElem, r.elem(a, u32(1), v, 0))
	r.errno(abi.EINVAL, sys.MapDeleteElem, r.elem(a, u32(1), nil, 0)[:16])
	r.errno(abi.E2BIG, sys.MapUpdateElem, r.elem(a, u32(2), v, 0))

	pc := r.ok(sys.MapCreate, sys.MapAttr{Type: 6, KeySize: 4, ValueSize: 4, MaxEntries: 1}.Bytes())
	all := []byte{1, 0, 0, 0, 9, 9, 9, 9, 2, 0, 0, 0, 9, 9, 9, 9}
	r.ok(sys.MapUpdateElem, r.elem(pc, u32(0), all, 0))
	got := make([]byte, 16)
	r.ok(sys.MapLookupElem, r.elem(pc, u32(0), got, 0))
	if got[0] != 1 || got[8] != 2 {
		t.Errorf("values of CPUs %v", got)
	}
	one := make([]byte, 4)
	r.ok(sys.MapLookupElem, r.elem(pc, u32(0), one, maps.OneCPU|1<<32))
	if one[0] != 2 {
		t.Errorf("value of CPU 1 %v", one)
	}
	r.errno(abi.ERANGE, sys.MapLookupElem, r.elem(pc, u32(0), one, maps.OneCPU|2<<32))

	q := r.ok(sys.MapCreate, sys.MapAttr{Type: 22, ValueSize: 4, MaxEntries: 2}.Bytes())
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.elem(q, u32(0), u32(1), 0))
	push := func(v uint32) []byte { return sys.ElemAttr{Map: q, Value: r.u.Add(u32(v))}.Bytes() }
	r.ok(sys.MapUpdateElem, push(4))
	r.ok(sys.MapUpdateElem, push(5))
	r.errno(abi.E2BIG, sys.MapUpdateElem, push(6))
	r.ok(sys.MapLookupAndDeleteElem, sys.ElemAttr{Map: q, Value: r.u.Add(one)}.Bytes())
	if one[0] != 4 {
		t.Errorf("popped %v", one)
	}
}

// What a descriptor and a freeze allow.
func TestPermissions(t *testing.T) {
	r := newRig(t)
	ro := r.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagRdonly}.Bytes())
	r.errno(abi.EPERM, sys.MapUpdateElem, r.elem(ro, u32(0), u64(1), 0))
	r.errno(abi.EPERM, sys.MapFreeze, sys.Words(uint32(ro)))
	r.ok(sys.MapLookupElem, r.elem(ro, u32(0), u64(1), 0))
	rw := r.ok(sys.MapGetFDByID, sys.Words(1, 0, 0)) // the map itself can be written
	r.ok(sys.MapUpdateElem, r.elem(rw, u32(0), u64(1), 0))
	wo := r.ok(sys.MapGetFDByID, sys.Words(1, 0, maps.FlagWronly))
	r.errno(abi.EPERM, sys.MapLookupElem, r.elem(wo, u32(0), u64(1), 0))
	r.errno(abi.EPERM, sys.MapGetNextKey, sys.ElemAttr{Map: wo, Value: r.u.Add(u32(0))}.Bytes())
	r.ok(sys.MapFreeze, sys.Words(uint32(rw)))
	r.errno(abi.EPERM, sys.MapFreeze, sys.Words(uint32(rw)))
	for _, fd := range []int32{rw, wo} {
		r.errno(abi.EPERM, sys.MapUpdateElem, r.elem(fd, u32(0), u64(1), 0))
		r.errno(abi.EPERM, sys.MapDeleteElem, r.elem(fd, u32(0), nil, 0)[:16])
	}
}

func TestBatch(t *testing.T) {
	r := newRig(t)
	m := r.hash(4, 4, 100)
	keys, values := make([]byte, 40), make([]byte, 40)
	for i := range 10 {
		copy(keys[4*i:], u32(uint32(i)))
		copy(values[4*i:], u32(uint32(i*i)))
	}
	up := sys.BatchAttr{Keys: r.u.Add(keys), Values: r.u.Add(values), Count: 10, Map: m}.Bytes()
	r.ok(sys.MapUpdateBatch, up)
	if n := up.U32(sys.ResultBatchCount); n != 10 {
		t.Fatalf("%d elements stored", n)
	}
	up = sys.BatchAttr{Keys: r.u.Add(keys), Values: r.u.Add(values[:12]), Count: 10, Map: m}.Bytes()
	r.errno(abi.EFAULT, sys.MapUpdateBatch, up)
	if n := up.U32(sys.ResultBatchCount); n != 3 {
		t.Fatalf("%d elements stored before the end of memory", n)
	}
	sum := map[byte]byte{}
	in := uint64(0)
	cursor := make([]byte, 4)
	out := r.u.Add(cursor)
	for range 20 {
		k, v := make([]byte, 24), make([]byte, 24)
		get := sys.BatchAttr{In: in, Out: out, Keys: r.u.Add(k), Values: r.u.Add(v), Count: 6, Map: m}.Bytes()
		e := abi.Errno(-r.p.BPF(sys.MapLookupBatch, get))
		for i := range get.U32(sys.ResultBatchCount) {
			sum[k[4*i]] = v[4*i]
		}
		if e == abi.ENOENT {
			break
		}
		if e != 0 {
			t.Fatal(e, r.p.Reason())
		}
		in = out
	}
	if len(sum) != 10 || sum[7] != 49 {
		t.Errorf("read back %v", sum)
	}
	del := sys.BatchAttr{Keys: r.u.Add(keys[:20]), Count: 5, Map: m}.Bytes()
	r.ok(sys.MapDeleteBatch, del)
	r.errno(abi.ENOENT, sys.MapLookupElem, r.elem(m, u32(2), u32(0), 0))
	r.ok(sys.MapLookupElem, r.elem(m, u32(5), u32(0), 0))
	r.ok(sys.MapUpdateBatch, sys.BatchAttr{Map: m}.Bytes())
	q := r.ok(sys.MapCreate, sys.MapAttr{Type: 22, ValueSize: 4, MaxEntries: 2}.Bytes())
	r.errno(abi.ENOTSUPP, sys.MapLookupBatch, sys.BatchAttr{Map: q, Count: 1}.Bytes())
}

// Descriptors are the lowest free numbers; closing the last one frees; ids do not come back.
func TestDescriptors(t *testing.T) {
	r := newRig(t)
	a, b := r.array(4, 1), r.array(4, 1)
	d := r.p.Dup(int(a))
	if a != 3 || b != 4 || d != 5 {
		t.Fatalf("descriptors %d, %d, %d", a, b, d)
	}
	if r.p.Close(3) != 0 || r.p.Close(3) != -int64(abi.EBADF) || r.p.Close(-1) != -int64(abi.EBADF) || r.p.Dup(3) != -int64(abi.EBADF) {
		t.Fatal("close")
	}
	r.ok(sys.MapLookupElem, r.elem(int32(d), u32(0), u32(0), 0))
	if c := r.array(4, 1); c != 3 {
		t.Errorf("descriptor %d after 3 was closed", c)
	}
	r.p.Close(5)
	if n := r.k.Counts().Maps; n != 2 {
		t.Errorf("%d maps live", n)
	}
	next := func(id uint32) uint32 {
		attr := sys.Words(id, 0)
		if r.p.BPF(sys.MapGetNextID, attr) != 0 {
			return 0
		}
		return attr.U32(sys.ResultNextID)
	}
	if next(0) != 2 || next(2) != 3 || next(3) != 0 {
		t.Errorf("ids %d, %d, %d", next(0), next(2), next(3))
	}
	r.errno(abi.ENOENT, sys.MapGetFDByID, sys.Words(1, 0, 0))
	p2 := r.k.NewProcess(r.u)
	if fd := p2.BPF(sys.MapGetFDByID, sys.Words(2, 0, 0)); fd != 3 {
		t.Errorf("another process got %d", fd)
	}
	r.p.Close(4)
	if n := r.k.Counts().Maps; n != 2 {
		t.Errorf("%d maps live while another process has one", n)
	}
	p2.Exit()
	if n := r.k.Counts().Maps; n != 1 {
		t.Errorf("%d maps live after the other process", n)
	}
}

// A map of maps keeps its elements alive, with their ids.
func TestInnerMaps(t *testing.T) {
	r := newRig(t)
	inner := r.array(4, 1)
	outer := r.ok(sys.MapCreate, sys.MapAttr{Type: 12, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerFD: inner}.Bytes())
	r.errno(abi.EBADF, sys.MapUpdateElem, r.elem(outer, u32(0), u32(50), 0))
	other := r.array(8, 1)
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.elem(outer, u32(0), u32(uint32(other)), 0))
	r.ok(sys.MapUpdateElem, r.elem(outer, u32(0), u32(uint32(inner)), 0))
	id := u32(0)
	r.ok(sys.MapLookupElem, r.elem(outer, u32(0), id, 0))
	if id[0] != 1 {
		t.Errorf("inner map %v", id)
	}
	r.p.Close(int(inner))
	if n := r.k.Counts().Maps; n != 3 {
		t.Errorf("%d maps live", n)
	}
	again := r.ok(sys.MapGetFDByID, sys.Words(1, 0, 0))
	r.ok(sys.MapUpdateElem, r.elem(again, u32(0), u32(7), 0))
	r.p.Close(int(again))
	r.ok(sys.MapDeleteElem, r.elem(outer, u32(0), nil, 0)[:16])
	if n := r.k.Counts().Maps; n != 2 {
		t.Errorf("%d maps live after the inner one was taken out", n)
	}
	r.errno(abi.EINVAL, sys.MapCreate, sys.MapAttr{Type: 12, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerFD: outer}.Bytes())
}

func TestMmap(t *testing.T) {
	r := newRig(t)
	a := r.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 12, MaxEntries: 300, Flags: maps.FlagMmapable}.Bytes())
	segs, err := r.p.Mmap(int(a), true)
	if err != nil || len(segs) != 1 || segs[0].Len != 8192 || segs[0].Off%4096 != 0 {
		t.Fatalf("%+v, %v", segs, err)
	}
	r.ok(sys.MapUpdateElem, r.elem(a, u32(1), []byte("hello, world"), 0))
	if got := r.m.View()[segs[0].Off+16:][:12]; string(got) != "hello, world" {
		t.Errorf("mapped memory has %q", got)
	}
	r.ok(sys.MapFreeze, sys.Words(uint32(a)))
	if _, err := r.p.Mmap(int(a), true); sys.Errno(err) != abi.EPERM {
		t.Errorf("frozen: %v", err)
	}
	if _, err := r.p.Mmap(int(r.array(4, 1)), false); sys.Errno(err) != abi.EINVAL {
		t.Errorf("not mmapable: %v", err)
	}
	if _, err := r.p.Mmap(int(r.hash(4, 4, 1)), false); sys.Errno(err) != abi.ENOTSUPP {
		t.Errorf("hash: %v", err)
	}
	rb := r.ok(sys.MapCreate, sys.MapAttr{Type: 27, MaxEntries: 8192}.Bytes())
	segs, err = r.p.Mmap(int(rb), false)
	end := uint64(0)
	for _, s := range segs {
		if s.At != end {
			t.Errorf("gap at %d", end)
		}
		end += s.Len
	}
	if err != nil || end != 2*4096+2*8192 || segs[0].ReadOnly || !segs[1].ReadOnly || segs[2].Off != segs[3].Off {
		t.Errorf("%+v, %v", segs, err)
	}
}
