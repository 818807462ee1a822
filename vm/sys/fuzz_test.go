package sys_test

import (
	"encoding/binary"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/sys"
)

// Whatever a process passes: no panic, a result that is a value or an error number, and memory within the address space.
//
// The input is a sequence of calls: a command, a length and so many bytes of attributes. Addresses in them are made to
// point into one buffer, which is the rest of the input.
func FuzzBPF(f *testing.F) {
	seed := func(calls ...any) {
		var b []byte
		for i := 0; i < len(calls); i += 2 {
			a := calls[i+1].(sys.Attr)
			b = append(b, byte(calls[i].(sys.Cmd)), byte(len(a)))
			b = append(b, a...)
		}
		f.Add(b)
	}
	at := func(off uint64) uint64 { return 0x5555_0000_0000 + off }
	seed(sys.MapCreate, sys.MapAttr{Type: 1, KeySize: 4, ValueSize: 8, MaxEntries: 3}.Bytes(),
		sys.MapUpdateElem, sys.ElemAttr{Map: 3, Key: at(0), Value: at(0)}.Bytes(),
		sys.MapGetNextKey, sys.ElemAttr{Map: 3, Value: at(8)}.Bytes()[:24],
		sys.MapLookupBatch, sys.BatchAttr{Map: 3, Count: 2, Keys: at(0), Values: at(16), Out: at(40)}.Bytes(),
		sys.MapLookupAndDeleteElem, sys.ElemAttr{Map: 3, Key: at(0), Value: at(0)}.Bytes())
	seed(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 4, MaxEntries: 3}.Bytes(),
		sys.MapCreate, sys.MapAttr{Type: 12, KeySize: 4, ValueSize: 4, MaxEntries: 3, InnerFD: 3}.Bytes(),
		sys.ObjPin, sys.PathAttr{Path: at(0), FD: 3}.Bytes(), sys.ObjGet, sys.PathAttr{Path: at(0)}.Bytes(),
		sys.ObjGetInfoByFD, sys.InfoAttr{FD: 3, Len: 104, Info: at(0)}.Bytes(),
		sys.MapFreeze, sys.Words(3), sys.MapGetFDByID, sys.Words(1, 0, 0))
	seed(sys.ProgLoad, sys.ProgAttr{Type: 31, InsnCnt: 2, Insns: at(200), License: at(2), LogLevel: 1, LogSize: 30, LogBuf: at(0)}.Bytes(),
		sys.ProgTestRun, sys.RunAttr{Prog: 3, CtxSize: 8, Ctx: at(0)}.Bytes(),
		sys.ObjGetInfoByFD, sys.InfoAttr{FD: 3, Len: 232, Info: at(0)}.Bytes(),
		sys.BTFLoad, sys.BTFAttr{BTF: at(0), Size: 50, LogLevel: 1, LogSize: 30, LogBuf: at(0)}.Bytes())
	seed(sys.MapCreate, sys.MapAttr{Type: 34, KeySize: 4, ValueSize: 16, MaxEntries: 2}.Bytes(), sys.MapUpdateElem, sys.ElemAttr{Map: 3, Key: at(0), Value: at(4)}.Bytes(),
		sys.MapFreeze, sys.Words(3), sys.ProgLoad, sys.ProgAttr{Type: 26, InsnCnt: 2, Insns: at(200), License: at(2), AttachType: 28, AttachBTF: 1}.Bytes(),
		sys.LinkCreate, sys.Words(4, 0, 28, 0, 0x10, 0x5555, 16, 0), sys.IterCreate, sys.Words(5, 0), sys.LinkUpdate, sys.Words(5, 4, 0, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 8<<10 {
			t.Skip()
		}
		d := newDemo()
		r := newRig(t, func(o *sys.Options) { o.Maps, o.StructOps, o.Budget = 8, []*sys.StructOpsType{&d.typ}, 10000 })
		memory := append([]byte(nil), in...)
		memory = append(memory, insnsForFuzz...)
		r.u.Add(memory)
		for range 40 {
			if len(in) < 2 {
				break
			}
			cmd, n := sys.Cmd(in[0]), min(int(in[1]), len(in)-2)
			attr := append([]byte(nil), in[2:2+n]...)
			in = in[2+n:]
			// High halves of what look like addresses lead into the buffer.
			for off := 4; off+4 <= len(attr); off += 8 {
				if attr[off] == 0x55 {
					binary.LittleEndian.PutUint32(attr[off:], 0x5555)
				}
			}
			v := r.p.BPF(cmd, attr)
			if v < -1000 || v > 1<<31 {
				t.Fatalf("%s: %d", cmd, v)
			}
			if (v < 0) != (r.p.Reason() != nil) {
				t.Fatalf("%s: %d, but reason %v", cmd, v, r.p.Reason())
			}
		}
	})
}

var insnsForFuzz = join(movK(0, 1), exit)

// Whatever jumps through a map of places in code: no panic, and both engines do the same, be it to refuse.
func FuzzInsnArray(f *testing.F) {
	native, err := jit.New(jit.Options{})
	if err != nil {
		f.Skip(err)
	}
	f.Add(jumper(3), byte(8), byte(12), byte(10), byte(1))
	f.Add(join(insn(0x85, 0, 1, 0, 1), exit, ld64(3, 2, 3, 8), insn(0x79, 3, 3, 0, 0), gotox(3), movK(0, 1), exit), byte(5), byte(6), byte(5), byte(0))
	f.Fuzz(func(t *testing.T, code []byte, a, b, c, ctx byte) {
		if code = code[:len(code)&^7]; len(code) == 0 || len(code) > 8*64 {
			t.Skip()
		}
		type outcome struct {
			errno abi.Errno
			r0    uint64
			fault sys.Fault
			elem  string
		}
		var all []outcome
		for _, e := range []engine.Engine{interp.Engine{}, native} {
			r := newRig(t, func(o *sys.Options) { o.Engine, o.Budget = e, 10000 })
			fd := r.insnArray(uint32(a), uint32(b), uint32(c))
			r.ok(sys.MapFreeze, sys.Words(uint32(fd)))
			var o outcome
			v := r.p.BPF(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, code))
			if v < 0 {
				o.errno = abi.Errno(-v)
			} else {
				at, mem, err := r.m.Alloc(8, 8)
				if err != nil {
					t.Fatal(err)
				}
				mem[0] = ctx
				var f *sys.Fault
				if o.r0, f = r.p.Prog(int(v)).Run(at); f != nil {
					o.fault = *f
				}
				value := make([]byte, 16)
				r.ok(sys.MapLookupElem, r.elem(fd, u32(1), value, 0))
				o.elem = string(value)
			}
			all = append(all, o)
		}
		if all[0] != all[1] {
			t.Errorf("interp %+v, jit %+v", all[0], all[1])
		}
	})
}
