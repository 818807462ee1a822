package sys_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/sys"
)

// insnArray makes a map of places in code, not frozen.
func (r *rig) insnArray(offs ...uint32) int32 {
	r.t.Helper()
	fd := r.ok(sys.MapCreate, sys.MapAttr{Type: 34, KeySize: 4, ValueSize: 16, MaxEntries: uint32(len(offs)), Name: "jt"}.Bytes())
	for i, off := range offs {
		r.ok(sys.MapUpdateElem, r.elem(fd, u32(uint32(i)), place(off, 0, 0), 0))
	}
	return fd
}

// place is a struct bpf_insn_array_value.
func place(orig, xlated, jitted uint32) []byte {
	return join(u32(orig), u32(xlated), u32(jitted), u32(0))
}

// jumper jumps through the map to 8, 10 or 12, or with an index over 2 to 14, which return 10, 20, 30 and 99.
func jumper(fd int32) []byte {
	return join(insn(0x79, 2, 1, 0, 0), insn(0x25, 2, 0, 12, 2), insn(0x67, 2, 0, 0, 3), ld64(3, 2, fd, 0), insn(0x0f, 3, 2, 0, 0),
		insn(0x79, 3, 3, 0, 0), gotox(3), movK(0, 10), exit, movK(0, 20), exit, movK(0, 30), exit, movK(0, 99), exit)
}

func gotox(reg byte) []byte { return insn(0x0d, reg, 0, 0, 0) }

// run runs a SYSCALL program with a number as its context.
func (r *rig) run(prog int32, ctx uint64) uint32 {
	r.t.Helper()
	attr := sys.RunAttr{Prog: prog, CtxSize: 8, Ctx: r.u.Add(u64(ctx))}.Bytes()
	r.ok(sys.ProgTestRun, attr)
	return binary.LittleEndian.Uint32(attr[4:])
}

// Programs of other loaders jump through maps of type insn_array, on every engine, verified or not.
func TestInsnArray(t *testing.T) {
	engines := []engine.Engine{interp.Engine{}}
	if e, err := jit.New(jit.Options{}); err == nil {
		engines = append(engines, e)
	}
	for _, e := range engines {
		for _, edit := range []func(*sys.Options){func(*sys.Options) {}, verified} {
			r := newRig(t, edit, func(o *sys.Options) { o.Engine = e })
			fd := r.insnArray(8, 12, 10)
			r.ok(sys.MapFreeze, sys.Words(uint32(fd)))
			p := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, jumper(fd)))
			for i, want := range []uint32{10, 30, 20, 99} {
				if got := r.run(p, uint64(i)); got != want {
					t.Errorf("%s: element %d leads to %d, want %d", e.Name(), i, got, want)
				}
			}
			value := make([]byte, 16)
			at := r.u.Add(value)
			r.ok(sys.MapLookupElem, sys.ElemAttr{Map: fd, Key: r.u.Add(u32(1)), Value: at}.Bytes())
			if v := binary.LittleEndian.Uint32; v(value) != 12 || v(value[4:]) != 12 || v(value[8:]) == 0 {
				t.Errorf("the element is % x", value)
			}
			r.errno(abi.EBUSY, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, jumper(fd))) // the map is that of one program
		}
	}
}

// What is wrong with a map or the jumps through it is told when the program is loaded.
func TestInsnArrayRefused(t *testing.T) {
	sub := join(insn(0x79, 2, 1, 0, 0), insn(0x85, 0, 1, 0, 1), exit)
	for _, tc := range []struct {
		name   string
		offs   []uint32
		frozen bool
		code   func(fd int32) []byte
		want   abi.Errno
		text   string
	}{
		{"accepted", []uint32{8, 10, 12}, true, jumper, 0, ""},
		{"not frozen", []uint32{8, 10, 12}, false, jumper, abi.EINVAL, "Failed to properly initialize insn array"},
		{"past the end", []uint32{8, 10, 16}, true, jumper, abi.EINVAL, "Failed to properly initialize insn array"},
		{"second half of a load", []uint32{8, 4, 10}, true, jumper, abi.EINVAL, "Failed to properly initialize insn array"},
		{"no map", []uint32{0}, true, func(int32) []byte { return join(movK(0, 0), gotox(0), exit) }, abi.EINVAL, "no jump tables found for subprog starting at 0"},
		{"in a function", []uint32{7, 9, 11}, true, func(fd int32) []byte {
			return join(sub, ld64(3, 2, fd, 0), insn(0x79, 3, 3, 0, 0), gotox(3), movK(0, 1), exit, movK(0, 2), exit, movK(0, 3), exit)
		}, 0, ""},
		{"out of its function", []uint32{0, 8}, true, func(fd int32) []byte {
			return join(movK(0, 0), ld64(3, 2, fd, 0), insn(0x79, 3, 3, 0, 0), gotox(3), insn(0x85, 0, 1, 0, 1), exit, movK(0, 1), exit)
		}, abi.EINVAL, "jump table for insn 4 points outside of the subprog [0,7]"},
		{"to the table's middle", []uint32{8, 10, 12}, true, func(fd int32) []byte {
			return join(ld64(3, 2, fd, 4), movK(0, 0), exit, movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), exit)
		}, abi.EACCES, "off=4"},
		{"to the table's end", []uint32{0, 0, 0}, true, func(fd int32) []byte { return join(ld64(3, 2, fd, 24), movK(0, 0), exit) }, abi.EACCES, "off=24"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			fd := r.insnArray(tc.offs...)
			if tc.frozen {
				r.ok(sys.MapFreeze, sys.Words(uint32(fd)))
			}
			r.errno(tc.want, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, tc.code(fd)))
			if tc.want == 0 {
				return
			}
			if why := r.p.Reason().Error(); !strings.Contains(why, tc.text) {
				t.Errorf("refused because of %q", why)
			}
			if tc.frozen && tc.want == abi.EINVAL && !strings.Contains(tc.text, "initialize") { // the map can still be used
				r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(ld64(3, 1, fd, 0), movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), movK(0, 0), exit)))
			}
		})
	}
}

// The elements are user space's until the map is frozen.
func TestInsnArrayElems(t *testing.T) {
	r := newRig(t)
	for _, a := range []sys.MapAttr{{KeySize: 8, ValueSize: 16, MaxEntries: 1}, {KeySize: 4, ValueSize: 8, MaxEntries: 1}, {KeySize: 4, ValueSize: 16},
		{KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: 1 << 10}, {KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: 1 << 7}} {
		a.Type, a.Name = 34, "jt"
		r.errno(abi.EINVAL, sys.MapCreate, a.Bytes())
	}
	fd := r.insnArray(1, 2)
	update := func(want abi.Errno, key uint32, value []byte, flags uint64) {
		t.Helper()
		r.errno(want, sys.MapUpdateElem, r.elem(fd, u32(key), value, flags))
	}
	update(0, 1, place(7, 0, 0), 2)
	update(abi.E2BIG, 2, place(7, 0, 0), 0)
	update(abi.EEXIST, 1, place(7, 0, 0), 1)
	update(abi.EINVAL, 1, place(7, 7, 0), 0)
	update(abi.EINVAL, 1, place(7, 0, 8), 0)
	value := make([]byte, 16)
	r.ok(sys.MapLookupElem, sys.ElemAttr{Map: fd, Key: r.u.Add(u32(1)), Value: r.u.Add(value)}.Bytes())
	if string(value) != string(place(7, 0, 0)) {
		t.Errorf("the element is % x", value)
	}
	r.errno(abi.ENOENT, sys.MapLookupElem, r.elem(fd, u32(2), value, 0))
	r.errno(abi.EINVAL, sys.MapDeleteElem, r.elem(fd, u32(1), nil, 0))
	r.errno(abi.ENOTSUPP, sys.MapCreate, sys.MapAttr{Type: 12, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerFD: fd, Name: "outer"}.Bytes())
	r.ok(sys.MapFreeze, sys.Words(uint32(fd)))
	update(abi.EPERM, 1, place(7, 0, 0), 0)
	if _, err := r.p.Mmap(int(fd), false); err == nil {
		t.Error("the map can be mapped")
	}
	// No helper takes such a map.
	v := newRig(t, verified)
	fd = v.insnArray(0)
	v.ok(sys.MapFreeze, sys.Words(uint32(fd)))
	v.errno(abi.EINVAL, sys.ProgLoad, v.prog(sys.ProgTypeSyscall, join(insn(0x62, 10, 0, -4, 0), ld64(1, 1, fd, 0), insn(0xbf, 2, 10, 0, 0), insn(0x07, 2, 0, 0, -4),
		helper(1), movK(0, 0), exit)))
}
