package sys_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
	"github.com/schedsim/schedsim/vm/verifier"
)

// verified makes a kernel that verifies: its programs have a context of 64 KB, as SYSCALL programs do.
func verified(o *sys.Options) {
	o.Attach = func(p *sys.Prog) (verifier.Attachment, error) {
		return verifier.Attachment{Context: &verifier.Flat{Size: 1<<16 - 1, Writable: true, Variable: true, Aligned: true},
			Helper: func(id int32) bool { return id != 12 }, Sleepable: p.Sleepable()}, nil
	}
}

// Programs are refused with the kernel's error number and words, and the log ends in its counts.
func TestVerdict(t *testing.T) {
	ret := join(movK(0, 3), exit)
	ld := func(dst, src byte, off int16) []byte { return insn(0x61, dst, src, off, 0) }
	for _, tc := range []struct {
		name  string
		code  []byte
		want  abi.Errno
		log   string // a part of it
		insns int    // verified
	}{
		{"good", ret, 0, "", 2},
		{"r0 is not set", exit, abi.EACCES, "R0 !read_ok", 1},
		{"null", join(movK(1, 0), ld(0, 1, 0), exit), abi.EACCES, "R1 invalid mem access 'scalar'", 2},
		{"context", join(ld(0, 1, 8), exit), 0, "", 2},
		{"past the context", join(insn(0x07, 1, 0, 0, 65535), ld(0, 1, 0), exit), abi.EACCES, "outside of the allowed memory range", 2},
		{"value", join(ld64(1, 2, 3, 8), ld(0, 1, 4), exit), 0, "", 3},
		{"past the value", join(ld64(1, 2, 3, 8), ld(0, 1, 8), exit), abi.EACCES, "invalid access to map value, value_size=16 off=16 size=4", 2},
		{"constants", join(ld64(1, 2, 5, 0), ld(0, 1, 0), insn(0x15, 0, 0, 1, 7), ld(0, 1, 99), exit), 0, "", 4},
		{"loop", join(insn(0x05, 0, 0, -1, 0), exit), abi.EINVAL, "unreachable", 0},
		{"endless", join(movK(0, 0), insn(0x07, 0, 0, 0, 0), insn(0x05, 0, 0, -2, 0), exit), abi.EINVAL, "unreachable", 0},
		{"unknown to the verifier", join(helper(212), exit), abi.ENOTSUPP, "", 1},
		{"forbidden helper", join(helper(12), exit), abi.EINVAL, "program of this type cannot use helper", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, verified)
			r.array(16, 1)
			r.hash(4, 4, 1)
			r.constants(7)
			buf := make([]byte, 4096)
			attr := r.prog(sys.ProgTypeSyscall, tc.code, func(a *sys.ProgAttr) { a.LogLevel, a.LogSize, a.LogBuf = 1, uint32(len(buf)), r.u.Add(buf) })
			r.errno(tc.want, sys.ProgLoad, attr)
			log := string(buf[:bytes.IndexByte(buf, 0)])
			if !strings.Contains(log, tc.log) {
				t.Errorf("log %q", log)
			}
			if want := fmt.Sprintf("processed %d insns (limit 1000000) max_states_per_insn ", tc.insns); !strings.Contains(log, want) {
				t.Errorf("log %q, want %q", log, want)
			}
			if log[len(log)-1] != '\n' || strings.Count(log, "processed") != 1 {
				t.Errorf("log %q", log)
			}
			if tc.want != 0 && tc.log != "" {
				var e *verifier.Error
				if !errors.As(r.p.Reason(), &e) {
					t.Errorf("the reason is %v", r.p.Reason())
				}
			}
		})
	}
}

// With the bit for statistics the log tells of stack and time; what was verified is what OBJ_GET_INFO_BY_FD says.
func TestVerdictStats(t *testing.T) {
	r := newRig(t, verified)
	code := join(insn(0x7a, 10, 0, -16, 1), insn(0x85, 0, 1, 0, 2), movK(0, 0), exit, insn(0x7a, 10, 0, -40, 1), movK(0, 1), exit)
	buf := make([]byte, 4096)
	fd := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, code, func(a *sys.ProgAttr) { a.LogLevel, a.LogSize, a.LogBuf = 4, uint32(len(buf)), r.u.Add(buf) }))
	log := string(buf[:bytes.IndexByte(buf, 0)])
	for _, want := range []string{"verification time 0 usec\n", "stack depth 16+40 max ", "processed 7 insns"} {
		if !strings.Contains(log, want) {
			t.Errorf("log %q, want %q", log, want)
		}
	}
	p := r.p.Prog(int(fd))
	if p == nil || p.Verified().Insns != 7 {
		t.Fatalf("program %v", p)
	}
	if !p.Linked().Code.Insns[0].Proved {
		t.Error("an access to the stack is not proved")
	}
}

// A program whose safety cannot be judged runs with all checks, where that is allowed; nothing of any program is proved then.
func TestUnjudged(t *testing.T) {
	why := errors.New("not known here")
	asked := 0
	r := newRig(t, verified, func(o *sys.Options) {
		o.Checked = true
		inner := o.Attach
		o.Attach = func(p *sys.Prog) (verifier.Attachment, error) {
			if p.Type() == sys.ProgTypeSocketFilter {
				return verifier.Attachment{}, why
			}
			return inner(p)
		}
		o.Unjudged = func(_ *sys.Prog, err error) bool {
			asked++
			if !errors.Is(err, why) {
				t.Errorf("asked about %v", err)
			}
			return true
		}
	})
	code := join(insn(0x7a, 10, 0, -16, 1), movK(0, 0), exit)
	for i, typ := range []uint32{sys.ProgTypeSocketFilter, sys.ProgTypeSyscall} {
		p := r.p.Prog(int(r.ok(sys.ProgLoad, r.prog(typ, code))))
		if asked != 1 {
			t.Errorf("program %d: asked %d times", i, asked)
		}
		if p.Linked().Code.Insns[0].Proved {
			t.Errorf("program %d: an access is proved in checked mode", i)
		}
	}
	r.k.Close()
	r = newRig(t, func(o *sys.Options) {
		o.Attach = func(*sys.Prog) (verifier.Attachment, error) { return verifier.Attachment{}, why }
		o.Unjudged = func(*sys.Prog, error) bool { t.Error("asked although the machine is not checked"); return true }
	})
	r.errno(abi.EINVAL, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, code))
	if !errors.Is(r.p.Reason(), why) {
		t.Errorf("the reason is %v", r.p.Reason())
	}
}

// A SYSCALL program is not run with less of a context than it uses.
func TestContextSize(t *testing.T) {
	r := newRig(t, verified)
	fd := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(insn(0x61, 0, 1, 8, 0), exit)))
	for _, tc := range []struct {
		size uint32
		want abi.Errno
	}{{0, abi.EINVAL}, {11, abi.EINVAL}, {12, 0}, {100, 0}} {
		run := sys.RunAttr{Prog: fd, CtxSize: tc.size}
		if tc.size > 0 {
			run.Ctx = r.u.Add(make([]byte, tc.size))
		}
		if got := r.p.BPF(sys.ProgTestRun, run.Bytes()); got != -int64(tc.want) {
			t.Errorf("context of %d bytes: %d", tc.size, got)
		}
	}
}

// constants is an array that nobody can write any more, of one element of 16 bytes that begins with n.
func (r *rig) constants(n uint32) int32 {
	fd := r.ok(sys.MapCreate, sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: maps.FlagRdonlyProg}.Bytes())
	r.ok(sys.MapUpdateElem, r.elem(fd, u32(0), join(u32(n), u32(0), u32(0), u32(0)), 0))
	r.ok(sys.MapFreeze, sys.Words(uint32(fd)))
	return fd
}

// At level 2 the log has every path, of accepted programs too; at level 1 it has nothing of those but the counts.
func TestLogLevels(t *testing.T) {
	code := join(insn(0x61, 2, 1, 0, 0), movK(0, 0), insn(0x15, 2, 0, 1, 0), movK(0, 1), exit)
	for _, tc := range []struct {
		level, size uint32
		want        []string // parts of it
		lines       int
		errno       abi.Errno
	}{
		{1, 4096, []string{"processed 6 insns"}, 1, 0},
		{2, 4096, []string{"0: (61) r2 = *(u32 *)(r1 +0)", "\n\nfrom 2 to 4: ", "4: (95) exit", "processed 6 insns"}, 0, 0},
		{3, 4096, []string{"3: (b7) r0 = 1", "processed 6 insns"}, 0, 0},
		{6, 4096, []string{"from 2 to 4: ", "stack depth 0 max 0", "processed 6 insns"}, 0, 0},
		{2, 64, []string{"processed 6 insns"}, 0, abi.ENOSPC},
		{2 | 8, 64, []string{"0: R1=ctx()"}, 0, abi.ENOSPC},
	} {
		r := newRig(t, verified)
		buf := make([]byte, tc.size)
		attr := r.prog(sys.ProgTypeSyscall, code, func(a *sys.ProgAttr) { a.LogLevel, a.LogSize, a.LogBuf = tc.level, tc.size, r.u.Add(buf) })
		r.errno(tc.errno, sys.ProgLoad, attr)
		log := string(buf[:bytes.IndexByte(buf, 0)])
		for _, want := range tc.want {
			if len(want) > int(tc.size) {
				want = want[len(want)-int(tc.size)/2:]
			}
			if !strings.Contains(log, want) && tc.errno == 0 {
				t.Errorf("level %d: log %q, want %q", tc.level, log, want)
			}
		}
		if n := strings.Count(log, "\n"); tc.lines != 0 && n != tc.lines {
			t.Errorf("level %d: %d lines: %q", tc.level, n, log)
		}
		if tc.errno != 0 && (len(log) != int(tc.size)-1 || attr.U32(sys.ResultLogTrueSize) < 200) {
			t.Errorf("level %d: log of %d bytes, true size %d", tc.level, len(log), attr.U32(sys.ResultLogTrueSize))
		}
	}
}

// Programs that reach for memory that is not theirs are refused; loaded without verification, they end where they do so, and
// nothing else happens. Nothing of theirs is ever proved.
func TestHostile(t *testing.T) {
	wild := func(addr uint64) []byte { return ld64(2, 0, int32(addr), int32(addr>>32)) }
	load, store := insn(0x79, 0, 2, 0, 0), insn(0x7a, 2, 0, 0, -1)
	ret := join(movK(0, 0), exit)
	for _, tc := range []struct {
		name string
		code []byte
	}{
		{"read at 0", join(wild(0), load, exit)},
		{"read of the host", join(wild(0x00007fff_00000000), load, exit)},
		{"write below the address space", join(wild(mem.Base-8), store, ret)},
		{"write over its end", join(wild(mem.Base+1<<30), store, ret)},
		{"write at the top", join(wild(1<<64-4), store, ret)},
		{"through the context", join(insn(0x79, 2, 1, 0, 0), load, exit)},
		{"with an index", join(insn(0xbf, 2, 10, 0, 0), insn(0x79, 3, 1, 0, 0), insn(0x0f, 2, 3, 0, 0), store, ret)},
		{"atomic", join(wild(8), insn(0xdb, 2, 1, 0, 0), ret)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, verified)
			if got := r.p.BPF(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, tc.code)); got != -int64(abi.EACCES) && got != -int64(abi.EINVAL) {
				t.Fatalf("verified: %d", got)
			}
			for _, e := range engines(t) {
				r = newRig(t, func(o *sys.Options) { o.Engine = e })
				fd := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, tc.code))
				for _, in := range r.p.Prog(int(fd)).Linked().Code.Insns {
					if in.Proved {
						t.Error("an access is proved")
					}
				}
				ctx := bytes.Repeat([]byte{0xf0}, 64)
				before := bytes.Clone(r.m.Bytes(mem.Base+mem.PageSize, 64))
				got := r.p.BPF(sys.ProgTestRun, sys.RunAttr{Prog: fd, CtxSize: 64, Ctx: r.u.Add(ctx)}.Bytes())
				if got != -int64(abi.EFAULT) && got != 0 { // loads through what may be stale pointers yield 0
					t.Errorf("%s: %d", e.Name(), got)
				}
				if !bytes.Equal(before, r.m.Bytes(mem.Base+mem.PageSize, 64)) {
					t.Errorf("%s: memory has changed", e.Name())
				}
			}
		})
	}
}

func engines(t *testing.T) []engine.Engine {
	t.Helper()
	out := []engine.Engine{interp.Engine{}}
	if e, err := jit.New(jit.Options{}); err == nil {
		out = append(out, e)
	} else {
		t.Logf("without machine code: %v", err)
	}
	return out
}

// Accesses to a context that user space gives are never proved: a tail call may lead to a program that uses more of it.
func TestContextIsNotProved(t *testing.T) {
	r := newRig(t, verified)
	p := r.p.Prog(int(r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSyscall, join(insn(0x61, 0, 1, 8, 0), insn(0x7b, 10, 0, -8, 0), exit)))))
	if in := p.Linked().Code.Insns; in[0].Proved || !in[1].Proved {
		t.Errorf("proved: %v, %v", in[0].Proved, in[1].Proved)
	}
}

// A program that nothing will run is verified, but what it calls need not be modelled; to run it all the same is a fault.
func TestIdle(t *testing.T) {
	code := join(helper(126), exit)
	r := newRig(t, func(o *sys.Options) { o.Idle = func(p *sys.Prog) bool { return p.Type() == sys.ProgTypeTracing } })
	r.errno(abi.EINVAL, sys.ProgLoad, r.prog(sys.ProgTypeSyscall, code))
	id := r.k.FuncID("something")
	fd := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeTracing, code, func(a *sys.ProgAttr) { a.AttachType, a.AttachBTF = sys.AttachTraceIter, id }))
	if _, f := r.p.Prog(int(fd)).Run(0); f == nil {
		t.Error("it runs")
	}
	if err := r.k.Compile(); err != nil {
		t.Error(err)
	}
	r.p.Close(int(fd))
	if c := r.k.Counts(); c.Progs != 0 {
		t.Errorf("%d programs are left", c.Progs)
	}
}

// A host that runs a verified program with a context that is not in memory gets a Fault: that the accesses are proved says
// nothing of an address that nobody checked. This holds for a program that another one goes on as, too.
func TestHostileContext(t *testing.T) {
	load, stack := insn(0x79, 0, 1, 56, 0), insn(0x7b, 10, 0, -8, 0) // r0 = ctx[7], on the stack, too
	reader := join(load, stack, exit)
	caller := join(ld64(2, 1, 3, 0), movK(3, 0), helper(12), movK(0, 5), exit)
	args := func(o *sys.Options) {
		o.Attach = func(p *sys.Prog) (verifier.Attachment, error) {
			return verifier.Attachment{Context: &verifier.Flat{Size: 64, Writable: true}, Helper: func(int32) bool { return true }}, nil
		}
	}
	for _, e := range engines(t) {
		t.Run(e.Name(), func(t *testing.T) {
			r := newRig(t, args, func(o *sys.Options) { o.Engine = e })
			table := r.ok(sys.MapCreate, sys.MapAttr{Type: uint32(maps.TypeProgArray), KeySize: 4, ValueSize: 4, MaxEntries: 1}.Bytes())
			if table != 3 {
				t.Fatalf("descriptor %d", table)
			}
			direct := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSocketFilter, reader))
			r.ok(sys.MapUpdateElem, r.elem(table, u32(0), u32(uint32(direct)), 0))
			tail := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSocketFilter, caller))
			nothing := r.ok(sys.ProgLoad, r.prog(sys.ProgTypeSocketFilter, join(movK(0, 9), stack, exit)))
			if in := r.p.Prog(int(direct)).Linked().Code.Insns; !in[0].Proved || !in[1].Proved {
				t.Fatal("accesses are not proved")
			}
			ctx, b, err := r.m.Alloc(64, 8)
			if err != nil {
				t.Fatal(err)
			}
			b[56] = 77
			if err := r.k.Compile(); err != nil {
				t.Fatal(err)
			}
			end := mem.Base + r.m.Limit()
			for _, addr := range []uint64{0, 1, 8, mem.Base - 1, mem.Base - 64, end - 63, end, end + 1<<30, 1 << 47, 1<<63 + 8, ^uint64(0), ^uint64(0) - 63} {
				for _, fd := range []int32{direct, tail} {
					if r0, f := r.p.Prog(int(fd)).Run(addr); f == nil || !strings.Contains(f.Msg, "does not lie in memory") {
						t.Errorf("program %d, context at %#x: %d, %v", fd, addr, r0, f)
					}
				}
				if r0, f := r.p.Prog(int(nothing)).Run(addr); f != nil || r0 != 9 {
					t.Errorf("without a context, at %#x: %d, %v", addr, r0, f)
				}
			}
			for _, fd := range []int32{direct, tail} {
				if r0, f := r.p.Prog(int(fd)).Run(ctx); f != nil || r0 != 77 {
					t.Errorf("program %d: %d, %v", fd, r0, f)
				}
				if _, f := r.p.Prog(int(fd)).Run(end - 64); f != nil {
					t.Errorf("program %d with a context that ends where memory does: %v", fd, f)
				}
			}
		})
	}
}
