package sys_test

import (
	"encoding/binary"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
)

// host is a kernel that does nothing by itself.
type host struct {
	lines []string
	fire  map[uint64]func()
}

func (h *host) CPU() int32                { return 0 }
func (h *host) NrCPUs() int32             { return 2 }
func (h *host) NowNS() uint64             { return 1000 }
func (h *host) CurrentTask() uint64       { return 0 }
func (h *host) CurrentPID() (a, b int32)  { return 1, 1 }
func (h *host) Rand32() uint32            { return 4 }
func (h *host) Printk(line string)        { h.lines = append(h.lines, line) }
func (h *host) DisarmTimer(k uint64) bool { _, ok := h.fire[k]; delete(h.fire, k); return ok }
func (h *host) ArmTimer(k uint64, _ int32, _ uint64, f func()) {
	if h.fire == nil {
		h.fire = map[uint64]func(){}
	}
	h.fire[k] = f
}

// tester is what a rig needs of a test, be it rapid's.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Error(args ...any)
}

// rig is a kernel with one process.
type rig struct {
	t tester
	h *host
	m *mem.Space
	k *sys.Kernel
	p *sys.Process
	u *sys.Buffers
}

func newRig(t tester, edit ...func(*sys.Options)) *rig {
	t.Helper()
	r := &rig{t: t, h: &host{}, u: &sys.Buffers{}}
	var err error
	if r.m, err = mem.New(mem.Options{Reserve: 16 << 20}); err != nil {
		t.Fatal(err)
	}
	o := sys.Options{Mem: r.m, Host: r.h, Maps: 32, Kfuncs: []abi.Kfunc{
		{Name: "double", Call: func(_ *abi.Call, a *abi.Args) uint64 { return 2 * a[0] }}, {Name: "later"}, {Name: "bpf_throw", Machine: true}}}
	for _, f := range edit {
		f(&o)
	}
	if r.k, err = sys.New(o); err != nil {
		t.Fatal(err)
	}
	r.p = r.k.NewProcess(r.u)
	if tb, ok := t.(testing.TB); ok {
		tb.Cleanup(func() {
			if err := r.k.Close(); err != nil {
				t.Error(err)
			}
			if err := r.m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return r
}

// errno makes a call that must fail with an error number, 0 for success, and returns the result.
func (r *rig) errno(want abi.Errno, cmd sys.Cmd, attr []byte) int64 {
	r.t.Helper()
	v := r.p.BPF(cmd, attr)
	switch {
	case want == 0 && v < 0:
		r.t.Fatalf("%s: %v (%v)", cmd, abi.Errno(-v), r.p.Reason())
	case want != 0 && v != -int64(want):
		r.t.Fatalf("%s: %d (%v), want %v", cmd, v, r.p.Reason(), want)
	}
	return v
}

func (r *rig) ok(cmd sys.Cmd, attr []byte) int32 {
	r.t.Helper()
	return int32(r.errno(0, cmd, attr))
}

func (r *rig) array(value, entries uint32) int32 {
	r.t.Helper()
	return r.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: value, MaxEntries: entries, Name: "arr"}.Bytes())
}

func (r *rig) hash(key, value, entries uint32) int32 {
	r.t.Helper()
	return r.ok(sys.MapCreate, sys.MapAttr{Type: 1, KeySize: key, ValueSize: value, MaxEntries: entries, Name: "hash"}.Bytes())
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func (r *rig) elem(m int32, key, value []byte, flags uint64) sys.Attr {
	return sys.ElemAttr{Map: m, Key: r.u.Add(key), Value: r.u.Add(value), Flags: flags}.Bytes()
}

// insn encodes one slot.
func insn(op byte, dst, src byte, off int16, imm int32) []byte {
	b := []byte{op, dst | src<<4, 0, 0, 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(b[2:], uint16(off))
	binary.LittleEndian.PutUint32(b[4:], uint32(imm))
	return b
}

// ld64 is a two-slot load.
func ld64(dst, src byte, imm, hi int32) []byte {
	return append(insn(0x18, dst, src, 0, imm), insn(0, 0, 0, 0, hi)...)
}

func movK(dst byte, imm int32) []byte { return insn(0xb7, dst, 0, 0, imm) }

func kcall(id int32) []byte { return insn(0x85, 0, 2, 0, id) }

func helper(id int32) []byte { return insn(0x85, 0, 0, 0, id) }

var exit = insn(0x95, 0, 0, 0, 0)

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// prog are the attributes of a program; edit changes them.
func (r *rig) prog(typ uint32, code []byte, edit ...func(*sys.ProgAttr)) sys.Attr {
	a := sys.ProgAttr{Type: typ, InsnCnt: uint32(len(code) / 8), Insns: r.u.Add(code), License: r.u.AddString("GPL"), Name: "p"}
	for _, f := range edit {
		f(&a)
	}
	return a.Bytes()
}
