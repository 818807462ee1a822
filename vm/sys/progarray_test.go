package sys_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

// tailing is code that makes a tail call through the array m and returns n where it is not made.
func tailing(m int32, index, n int32) []byte {
	return join(ld64(2, 1, m, 0), movK(3, index), helper(12), movK(0, n), exit)
}

// counting adds one to the first word of the array value of map m before then.
func counting(m int32, then []byte) []byte {
	return join(insn(0xbf, 6, 1, 0, 0), ld64(1, 2, m, 0), insn(0x79, 2, 1, 0, 0), insn(0x07, 2, 0, 0, 1), insn(0x7b, 1, 2, 0, 0), insn(0xbf, 1, 6, 0, 0), then)
}

func (r *rig) progArray(entries uint32) int32 {
	r.t.Helper()
	return r.ok(sys.MapCreate, sys.MapAttr{Type: 3, KeySize: 4, ValueSize: 4, MaxEntries: entries, Name: "progs"}.Bytes())
}

func (r *rig) syscallProg(code []byte) int32 {
	r.t.Helper()
	return r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, code))
}

func (r *rig) setProg(m int32, i uint32, p int32) sys.Attr {
	return r.elem(m, u32(i), u32(uint32(p)), 0)
}

// returns runs a program and compares what it returns.
func (r *rig) returns(p int32, want uint64) {
	r.t.Helper()
	if r0, f := r.p.Prog(int(p)).Run(0); f != nil || r0 != want {
		r.t.Fatalf("program %d returns %d, %v; want %d", p, r0, f, want)
	}
}

// onEngines runs a test on every engine that there is here.
func onEngines(t *testing.T, f func(t *testing.T, r *rig)) {
	for _, name := range []string{"interp", "jit"} {
		t.Run(name, func(t *testing.T) {
			e, err := vm.EngineByName(name)
			if err != nil {
				t.Skip(err)
			}
			f(t, newRig(t, func(o *sys.Options) { o.Engine = e }))
		})
	}
}

func TestProgArray(t *testing.T) {
	onEngines(t, func(t *testing.T, r *rig) {
		m := r.progArray(2)
		a := r.syscallProg(tailing(m, 1, 7))
		r.returns(a, 7)
		b := r.syscallProg(join(movK(0, 11), exit)) // in another set than a, which runs already
		r.ok(sys.MapUpdateElem, r.setProg(m, 1, b))
		r.returns(a, 11)
		// What user space reads is the id.
		id := make([]byte, 4)
		r.ok(sys.MapLookupElem, r.elem(m, u32(1), id, 0))
		if got := binary.LittleEndian.Uint32(id); got != r.p.Prog(int(b)).ID() {
			t.Errorf("id %d", got)
		}
		r.errno(abi.ENOENT, sys.MapLookupElem, r.elem(m, u32(0), id, 0))
		// The map holds the program.
		r.p.Close(int(b))
		r.returns(a, 11)
		c := r.syscallProg(join(movK(0, 12), exit))
		r.ok(sys.MapUpdateElem, r.setProg(m, 1, c))
		if n := r.k.Counts().Progs; n != 2 {
			t.Errorf("%d programs live, want 2", n)
		}
		r.returns(a, 12)
		r.ok(sys.MapDeleteElem, sys.ElemAttr{Map: m, Key: r.u.Add(u32(1))}.Bytes())
		r.returns(a, 7)
		r.errno(abi.ENOENT, sys.MapDeleteElem, sys.ElemAttr{Map: m, Key: r.u.Add(u32(1))}.Bytes())
		r.errno(abi.E2BIG, sys.MapDeleteElem, sys.ElemAttr{Map: m, Key: r.u.Add(u32(2))}.Bytes())
		r.errno(abi.E2BIG, sys.MapUpdateElem, r.setProg(m, 2, c))
		r.errno(abi.EINVAL, sys.MapUpdateElem, r.elem(m, u32(1), u32(uint32(c)), 1))
		r.errno(abi.EBADF, sys.MapUpdateElem, r.setProg(m, 1, 77))
		r.errno(abi.EINVAL, sys.MapUpdateElem, r.setProg(m, 1, m))
	})
}

// An array is emptied when user space has let go of it, though programs still use it: they hold each other no longer.
func TestProgArrayIsEmptied(t *testing.T) {
	onEngines(t, func(t *testing.T, r *rig) {
		m := r.progArray(1)
		a := r.syscallProg(counting(r.array(8, 1), tailing(m, 0, 7)))
		r.ok(sys.MapUpdateElem, r.setProg(m, 0, a)) // itself
		r.returns(a, 7)
		r.ok(sys.ObjPin, sys.PathAttr{Path: r.u.AddString("/sys/fs/bpf/m"), FD: m}.Bytes())
		r.p.Close(int(m))
		before := r.k.Insns()
		r.returns(a, 7)
		if n := r.k.Insns() - before; n != 33*9+11 {
			t.Errorf("%d instructions with a pin", n)
		}
		r.k.Unlink("/sys/fs/bpf/m")
		before = r.k.Insns()
		r.returns(a, 7)
		if n := r.k.Insns() - before; n != 11 {
			t.Errorf("%d instructions without user space", n)
		}
		r.p.Close(int(a))
		if c := r.k.Counts(); c.Progs != 0 {
			t.Errorf("live: %+v", c)
		}
	})
}

// Programs of different sets share the limit of 33 tail calls, also when subprograms make them.
func TestTailCallsOfManySets(t *testing.T) {
	onEngines(t, func(t *testing.T, r *rig) {
		m, n := r.progArray(2), r.array(8, 1)
		a := r.syscallProg(counting(n, tailing(m, 1, 7)))
		r.returns(a, 7)
		// b makes its tail call in a subprogram, and adds one to what it returns.
		b := r.syscallProg(counting(n, join(insn(0x85, 0, 1, 0, 2), insn(0x07, 0, 0, 0, 1), exit, tailing(m, 0, 7))))
		r.ok(sys.MapUpdateElem, r.setProg(m, 0, a))
		r.ok(sys.MapUpdateElem, r.setProg(m, 1, b))
		value := make([]byte, 8)
		runs := func() uint64 {
			r.ok(sys.MapLookupElem, r.elem(n, u32(0), value, 0))
			return binary.LittleEndian.Uint64(value)
		}
		first := runs()
		r.returns(a, 7+17)
		if got := runs() - first; got != 34 {
			t.Errorf("%d programs ran, want 34", got)
		}
		// Each invocation has its own limit.
		r.returns(b, 7+17)
		if got := runs() - first; got != 68 {
			t.Errorf("%d programs ran, want 68", got)
		}
	})
}

// A program in an array of another kind, and a program that uses one, are refused.
func TestProgArrayKinds(t *testing.T) {
	r := newRig(t)
	m := r.progArray(1)
	ret := join(movK(0, 0), exit)
	r.syscallProg(tailing(m, 0, 0))
	raw := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeRawTracepoint, ret))
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.setProg(m, 0, raw))
	r.errno(abi.EINVAL, sys.ProgLoad, r.prog(sys.ProgTypeRawTracepoint, tailing(m, 0, 0)))
	if want := `map "progs" is for programs of another kind`; !strings.Contains(r.p.Reason().Error(), want) {
		t.Errorf("%v, want %q", r.p.Reason(), want)
	}
	// The first one decides, be it by using the array or by being in it.
	other := r.progArray(1)
	r.ok(sys.MapUpdateElem, r.setProg(other, 0, raw))
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.setProg(other, 0, r.syscallProg(ret)))
	r.ok(sys.ProgLoad, r.prog(sys.ProgTypeRawTracepoint, tailing(other, 0, 0)))
}

// A program may end its own life, or that of its set, while it runs.
func TestProgramUnloadedWhileItRuns(t *testing.T) {
	for _, name := range []string{"interp", "jit"} {
		t.Run(name, func(t *testing.T) {
			e, err := vm.EngineByName(name)
			if err != nil {
				t.Skip(err)
			}
			var r *rig
			r = newRig(t, func(o *sys.Options) {
				o.Engine = e
				o.Kfuncs = append(o.Kfuncs, abi.Kfunc{Name: "close", Call: func(_ *abi.Call, a *abi.Args) uint64 { return uint64(r.p.Close(int(a[0]))) }})
			})
			p := r.syscallProg(join(movK(1, 3), kcall(int32(r.k.SymbolID("close", true))), insn(0x07, 0, 0, 0, 5), exit))
			prog := r.p.Prog(int(p))
			if r0, f := prog.Run(0); f != nil || r0 != 5 {
				t.Errorf("it returns %d, %v", r0, f)
			}
			if c := r.k.Counts(); c.Progs != 0 || r.k.Insns() != 4 {
				t.Errorf("live: %+v; %d instructions", c, r.k.Insns())
			}
		})
	}
}

// A fault behind a tail call to another set says where both happened.
func TestTailCallFault(t *testing.T) {
	r := newRig(t)
	m := r.progArray(1)
	a := r.syscallProg(tailing(m, 0, 7))
	r.returns(a, 7)
	b := r.syscallProg(join(movK(1, 0), insn(0x79, 0, 1, 0, 0), exit))
	r.ok(sys.MapUpdateElem, r.setProg(m, 0, b))
	_, f := r.p.Prog(int(a)).Run(0)
	if want := "program p: instruction 3: program p: instruction 1: invalid read of 8 bytes at 0x0"; f == nil || f.Error() != want {
		t.Errorf("%v, want %q", f, want)
	}
}

// Performance counters go into their arrays, and nothing else does.
func TestPerfEventArray(t *testing.T) {
	r := newRig(t)
	m := r.ok(sys.MapCreate, sys.MapAttr{Type: 4, KeySize: 4, ValueSize: 4, MaxEntries: 2, Name: "events"}.Bytes())
	read := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeRawTracepoint, join(ld64(1, 1, m, 0), movK(2, 1), helper(22), exit))) // perf_event_read
	r.returns(read, ^uint64(abi.ENOENT)+1)
	ev := r.p.PerfEventOpen()
	r.ok(sys.MapUpdateElem, r.setProg(m, 1, int32(ev)))
	r.returns(read, 0)
	r.p.Close(int(ev)) // the array keeps it
	r.returns(read, 0)
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.setProg(m, 0, read))
	r.errno(abi.EBADF, sys.MapUpdateElem, r.setProg(m, 0, 99))
	r.errno(abi.ENOTSUPP, sys.MapLookupElem, r.elem(m, u32(1), make([]byte, 4), 0))
	r.ok(sys.MapDeleteElem, sys.ElemAttr{Map: m, Key: r.u.Add(u32(1))}.Bytes())
	r.returns(read, ^uint64(abi.ENOENT)+1)
	r.errno(abi.EINVAL, sys.MapUpdateElem, r.setProg(r.progArray(1), 0, int32(r.p.PerfEventOpen())))
}
