package sys_test

import (
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

// commandWorld is a kernel with one of everything.
type commandWorld struct {
	*iterRig
	arr, hash, prog, raw, btf, ops, opsLink, iter, iterLink int32
	d                                                       *demo
}

func newCommandWorld(t testing.TB) *commandWorld {
	w := &commandWorld{iterRig: newIterRig(t), d: newDemo()}
	target := sys.IterTarget{Name: "thing", Next: func(sys.IterTasks, *uint32) uint64 { return 0 },
		Show: func(*sys.Prog, *sys.Seq, uint64) (uint64, error) { return 0, nil }}
	w.rig = newRig(t, func(o *sys.Options) {
		o.StructOps, o.Iters = []*sys.StructOpsType{&w.d.typ}, []sys.IterTarget{target}
		o.Trace = func(_ *sys.Prog, hook string) (func(), error) {
			if hook != "sched_switch" {
				return nil, abi.ENOENT
			}
			return func() {}, nil
		}
	})
	x := &table{rig: w.rig, d: w.d}
	_, x.ids, _ = w.k.StructOps("demo_ops")
	w.arr, w.hash = w.array(8, 4), w.rig.hash(4, 8, 4)
	w.prog = w.ok(sys.ProgLoad, w.rig.prog(sys.ProgTypeSyscall, join(movK(0, 7), exit)))
	w.raw = w.ok(sys.ProgLoad, w.rig.prog(sys.ProgTypeRawTracepoint, join(movK(0, 0), exit)))
	w.btf = w.ok(sys.BTFLoad, w.rig.btf(intType()))
	w.ops = x.newMap(0, nothing)
	w.ok(sys.MapUpdateElem, w.elem(w.ops, u32(0), x.value(0, x.member(0, 2, 0), 1), 0))
	w.opsLink = w.ok(sys.LinkCreate, link(w.ops))
	w.iter = w.iterProg("thing")
	w.iterLink = w.ok(sys.LinkCreate, linkIter(w.iter, 0, 0))
	w.ok(sys.MapUpdateElem, w.elem(w.hash, u32(1), u64(5), 0))
	w.ok(sys.ObjPin, w.path("/sys/fs/bpf/there", w.arr))
	return w
}

func (w *commandWorld) path(name string, fd int32) sys.Attr {
	return sys.PathAttr{Path: w.u.AddString(name), FD: fd}.Bytes()
}

// batch are attributes for two elements.
func (w *commandWorld) batch(m int32, flags uint64) sys.Attr {
	return sys.BatchAttr{Map: m, Count: 2, Out: w.u.Add(make([]byte, 4)), Keys: w.u.Add(join(u32(1), u32(2))), Values: w.u.Add(make([]byte, 16)), ElemFlags: flags}.Bytes()
}

func (w *commandWorld) rawTP(prog int32, name string) sys.Attr {
	return join(u64(w.u.AddString(name)), u32(uint32(prog)), u32(0), u64(0))
}

func words(fields ...int32) sys.Attr {
	var out []uint32
	for _, f := range fields {
		out = append(out, uint32(f))
	}
	return sys.Words(out...)
}

// withJunk is attr with a byte behind it that is not zero.
func withJunk(attr sys.Attr, at int) sys.Attr {
	return append(append(attr, make([]byte, at-len(attr))...), 1)
}

// Every command does its work, and refuses what it must with the kernel's number.
func TestCommands(t *testing.T) {
	user := func(p *sys.Process) { p.Caps = sys.Caps{} }
	nextIDRefused := map[abi.Errno][]func(*commandWorld) sys.Attr{
		abi.ENOENT: {func(*commandWorld) sys.Attr { return words(1<<20, 0) }}, abi.EINVAL: {func(*commandWorld) sys.Attr { return words(1<<31-1, 0) }}}
	byIDRefused := map[abi.Errno][]func(*commandWorld) sys.Attr{
		abi.ENOENT: {func(*commandWorld) sys.Attr { return words(0) }, func(*commandWorld) sys.Attr { return words(1 << 20) }}}
	tested := map[sys.Cmd]bool{}
	for _, c := range []struct {
		cmd sys.Cmd
		ok  func(w *commandWorld) sys.Attr
		// user is what a process without capabilities is told.
		user abi.Errno
		no   map[abi.Errno][]func(w *commandWorld) sys.Attr
	}{
		{sys.MapCreate, func(w *commandWorld) sys.Attr {
			return sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 4, MaxEntries: 1}.Bytes()
		}, abi.EPERM, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(*commandWorld) sys.Attr {
				return sys.MapAttr{Type: 99, KeySize: 4, ValueSize: 4, MaxEntries: 1}.Bytes()
			},
				func(*commandWorld) sys.Attr { return sys.MapAttr{Type: 2, KeySize: 4, ValueSize: 4}.Bytes() }}}},
		{sys.MapLookupElem, func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(1), u64(0), 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOENT: {func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(2), u64(0), 0) }},
			abi.EBADF:  {func(w *commandWorld) sys.Attr { return w.elem(99, u32(1), u64(0), 0) }},
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.elem(w.prog, u32(1), u64(0), 0) }, func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(1), u64(0), 1) }},
			abi.EFAULT: {func(w *commandWorld) sys.Attr { return sys.ElemAttr{Map: w.hash, Key: 1 << 40}.Bytes() }}}},
		{sys.MapUpdateElem, func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(2), u64(0), 1) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EEXIST: {func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(1), u64(0), 1) }},
			abi.ENOENT: {func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(2), u64(0), 2) }},
			abi.E2BIG:  {func(w *commandWorld) sys.Attr { return w.elem(w.arr, u32(4), u64(0), 0) }},
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(2), u64(0), 99) }}}},
		{sys.MapDeleteElem, func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(1), nil, 0)[:16] }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOENT: {func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(2), nil, 0)[:16] }},
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.elem(w.arr, u32(1), nil, 0)[:16] }}}},
		{sys.MapGetNextKey, func(w *commandWorld) sys.Attr { return sys.ElemAttr{Map: w.hash, Value: w.u.Add(u32(0))}.Bytes()[:24] }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOENT: {func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(1), u32(0), 0)[:24] }},
			abi.EFAULT: {func(w *commandWorld) sys.Attr { return sys.ElemAttr{Map: w.hash}.Bytes()[:24] }}}},
		{sys.MapLookupAndDeleteElem, func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(1), u64(0), 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOENT:   {func(w *commandWorld) sys.Attr { return w.elem(w.hash, u32(2), u64(0), 0) }},
			abi.ENOTSUPP: {func(w *commandWorld) sys.Attr { return w.elem(w.arr, u32(1), u64(0), 0) }}}},
		{sys.MapFreeze, func(w *commandWorld) sys.Attr { return words(w.arr) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOTSUPP: {func(w *commandWorld) sys.Attr { return words(w.ops) }}, abi.EBADF: {func(*commandWorld) sys.Attr { return words(99) }}}},
		{sys.MapLookupBatch, func(w *commandWorld) sys.Attr { return w.batch(w.arr, 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.batch(w.arr, 64) }}, abi.EBADF: {func(w *commandWorld) sys.Attr { return w.batch(99, 0) }}}},
		{sys.MapUpdateBatch, func(w *commandWorld) sys.Attr { return w.batch(w.hash, 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.batch(w.hash, 64) }}, abi.EBADF: {func(w *commandWorld) sys.Attr { return w.batch(99, 0) }}}},
		{sys.MapDeleteBatch, func(w *commandWorld) sys.Attr {
			a := sys.BatchAttr{Map: w.hash, Count: 1, Keys: w.u.Add(u32(1))}
			return a.Bytes()
		}, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOENT: {func(w *commandWorld) sys.Attr {
				return sys.BatchAttr{Map: w.hash, Count: 1, Keys: w.u.Add(u32(9))}.Bytes()
			}},
			abi.ENOTSUPP: {func(w *commandWorld) sys.Attr {
				return sys.BatchAttr{Map: w.arr, Count: 1, Keys: w.u.Add(u32(1))}.Bytes()
			}}}},
		{sys.MapLookupAndDeleteBatch, func(w *commandWorld) sys.Attr { // and the end
			return sys.BatchAttr{Map: w.hash, Count: 0, Out: w.u.Add(make([]byte, 4)), Keys: w.u.Add(make([]byte, 4)), Values: w.u.Add(u64(0))}.Bytes()
		}, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOTSUPP: {func(w *commandWorld) sys.Attr { return w.batch(w.arr, 0) }}}},
		{sys.ProgLoad, func(w *commandWorld) sys.Attr { return w.rig.prog(sys.ProgTypeSyscall, join(movK(0, 0), exit)) }, abi.EPERM, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.rig.prog(sys.ProgTypeSyscall, movK(0, 0)) }, func(w *commandWorld) sys.Attr { return w.rig.prog(99, join(movK(0, 0), exit)) },
				func(w *commandWorld) sys.Attr { // a helper for the GPL only
					code := join(movK(1, 0), movK(2, 0), movK(3, 0), helper(6), movK(0, 0), exit)
					return w.rig.prog(sys.ProgTypeSyscall, code, func(a *sys.ProgAttr) { a.License = w.u.AddString("Proprietary") })
				}},
			abi.E2BIG: {func(w *commandWorld) sys.Attr { return w.rig.prog(sys.ProgTypeSyscall, nil) }},
			abi.EFAULT: {func(w *commandWorld) sys.Attr {
				return w.rig.prog(sys.ProgTypeSyscall, exit, func(a *sys.ProgAttr) { a.Insns = 1 << 40 })
			}}}},
		{sys.ProgTestRun, func(w *commandWorld) sys.Attr { return sys.RunAttr{Prog: w.prog}.Bytes() }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL:   {func(w *commandWorld) sys.Attr { return sys.RunAttr{Prog: w.prog, CtxSize: 8}.Bytes() }, func(w *commandWorld) sys.Attr { return sys.RunAttr{Prog: w.arr}.Bytes() }},
			abi.ENOTSUPP: {func(w *commandWorld) sys.Attr { return sys.RunAttr{Prog: w.raw}.Bytes() }}}},
		{sys.ProgBindMap, func(w *commandWorld) sys.Attr { return words(w.prog, w.arr, 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return words(w.prog, w.arr, 1) }, func(w *commandWorld) sys.Attr { return words(w.arr, w.prog, 0) }}}},
		{sys.ObjPin, func(w *commandWorld) sys.Attr { return w.path("/sys/fs/bpf/new", w.arr) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EEXIST: {func(w *commandWorld) sys.Attr { return w.path("/sys/fs/bpf/there", w.arr) }}, abi.EPERM: {func(w *commandWorld) sys.Attr { return w.path("/tmp/x", w.arr) }}}},
		{sys.ObjGet, func(w *commandWorld) sys.Attr { return w.path("/sys/fs/bpf/there", 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOENT: {func(w *commandWorld) sys.Attr { return w.path("/sys/fs/bpf/nobody", 0) }}, abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.path("/sys/fs/bpf/there", 1) }}}},
		{sys.ObjGetInfoByFD, func(w *commandWorld) sys.Attr {
			return sys.InfoAttr{FD: w.prog, Len: 232, Info: w.u.Add(make([]byte, 232))}.Bytes()
		}, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EBADFD: {func(w *commandWorld) sys.Attr { return sys.InfoAttr{FD: 99, Len: 4, Info: w.u.Add(u32(0))}.Bytes() }},
			abi.EFAULT: {func(w *commandWorld) sys.Attr { return sys.InfoAttr{FD: w.prog, Len: 4, Info: 1 << 40}.Bytes() }}}},
		{sys.ProgGetNextID, func(*commandWorld) sys.Attr { return words(0, 0) }, abi.EPERM, nextIDRefused},
		{sys.MapGetNextID, func(*commandWorld) sys.Attr { return words(0, 0) }, abi.EPERM, nextIDRefused},
		{sys.BTFGetNextID, func(*commandWorld) sys.Attr { return words(0, 0) }, abi.EPERM, nextIDRefused},
		{sys.LinkGetNextID, func(*commandWorld) sys.Attr { return words(0, 0) }, abi.EPERM, nextIDRefused},
		{sys.ProgGetFDByID, func(*commandWorld) sys.Attr { return words(1) }, abi.EPERM, byIDRefused},
		{sys.MapGetFDByID, func(*commandWorld) sys.Attr { return words(1, 0, 0) }, abi.EPERM, byIDRefused},
		{sys.BTFGetFDByID, func(*commandWorld) sys.Attr { return words(1) }, abi.EPERM, byIDRefused},
		{sys.LinkGetFDByID, func(*commandWorld) sys.Attr { return words(1) }, abi.EPERM, byIDRefused},
		{sys.BTFLoad, func(w *commandWorld) sys.Attr { return w.rig.btf(intType()) }, abi.EPERM, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return sys.BTFAttr{BTF: w.u.Add(make([]byte, 24)), Size: 24}.Bytes() }},
			abi.E2BIG: {func(w *commandWorld) sys.Attr {
				return sys.BTFAttr{BTF: w.u.Add(make([]byte, 24)), Size: 1 << 30}.Bytes()
			}}}},
		{sys.RawTracepointOpen, func(w *commandWorld) sys.Attr { return w.rawTP(w.raw, "sched_switch") }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.ENOENT: {func(w *commandWorld) sys.Attr { return w.rawTP(w.raw, "sched_nothing") }},
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return w.rawTP(w.prog, "sched_switch") }, func(w *commandWorld) sys.Attr { return w.rawTP(w.iter, "sched_switch") }},
			abi.EFAULT: {func(w *commandWorld) sys.Attr { return words(0, 1<<10, w.raw, 0, 0, 0) }}}},
		{sys.LinkCreate, func(w *commandWorld) sys.Attr { return linkIter(w.iter, 0, 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return link(w.arr) }, func(w *commandWorld) sys.Attr { return words(w.prog, 0, int32(sys.AttachTraceIter), 0) }},
			abi.EBADF:  {func(*commandWorld) sys.Attr { return link(99) }}}},
		{sys.LinkUpdate, func(w *commandWorld) sys.Attr { return words(w.iterLink, w.iter, 0, 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL:     {func(w *commandWorld) sys.Attr { return words(w.iterLink, w.prog, 0, 0) }, func(w *commandWorld) sys.Attr { return words(w.iterLink, w.iter, 8, 0) }},
			abi.EOPNOTSUPP: {func(w *commandWorld) sys.Attr { return words(w.opsLink, w.ops, 0, 0) }}}},
		{sys.LinkDetach, func(w *commandWorld) sys.Attr { return words(w.opsLink) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EOPNOTSUPP: {func(w *commandWorld) sys.Attr { return words(w.iterLink) }}, abi.EINVAL: {func(w *commandWorld) sys.Attr { return words(w.arr) }}}},
		{sys.IterCreate, func(w *commandWorld) sys.Attr { return words(w.iterLink, 0) }, 0, map[abi.Errno][]func(*commandWorld) sys.Attr{
			abi.EINVAL: {func(w *commandWorld) sys.Attr { return words(w.opsLink, 0) }, func(w *commandWorld) sys.Attr { return words(w.iterLink, 1) }}, abi.EBADF: {func(*commandWorld) sys.Attr { return words(99, 0) }}}},
	} {
		tested[c.cmd] = true
		t.Run(c.cmd.String(), func(t *testing.T) {
			w := newCommandWorld(t)
			for want, list := range c.no {
				for _, attr := range list {
					w.errno(want, c.cmd, attr(w))
				}
			}
			w.errno(abi.E2BIG, c.cmd, withJunk(c.ok(w), 168)) // sizeof(union bpf_attr)
			if c.cmd != sys.ProgLoad {                        // which has all of it
				w.errno(abi.EINVAL, c.cmd, withJunk(c.ok(w), 167))
			}
			if c.user != 0 {
				caps := w.p.Caps
				user(w.p)
				w.errno(c.user, c.cmd, c.ok(w))
				w.p.Caps = caps
			}
			w.ok(c.cmd, c.ok(w))
		})
	}
	for cmd := range sys.Cmd(64) {
		if !tested[cmd] && cmd.String() != "unknown command" {
			t.Errorf("%s: not here", cmd)
		}
	}
	w := newCommandWorld(t)
	for _, cmd := range []sys.Cmd{8, 9, 16, 20, 32, 36, 37, 38, 39, 1000} { // of programs that attach, tokens, statistics, tasks' descriptors
		w.errno(abi.EINVAL, cmd, nil)
	}
}
