package sys_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/sys"
)

// iterRig has things with numbers that can be read: a program gets the number as its context.
type iterRig struct {
	*rig
	things []uint32
	shown  []uint64
	ret    func(thing uint64) uint64
	width  int // of what is written for a thing
}

func newIterRig(t tester, things ...uint32) *iterRig {
	r := &iterRig{things: things, width: 8, ret: func(uint64) uint64 { return 0 }}
	target := sys.IterTarget{Name: "thing", Tasks: true, Next: func(which sys.IterTasks, place *uint32) uint64 {
		for _, x := range r.things {
			if x >= *place && (which.TID == 0 || which.TID == x) {
				*place = x
				return uint64(x)
			}
		}
		return 0
	}, Show: func(p *sys.Prog, s *sys.Seq, obj uint64) (uint64, error) {
		r.shown = append(r.shown, obj)
		text := fmt.Sprintf("%d.%d.%d", s.Session, s.Num, obj)
		if obj == 0 {
			text = "end"
		}
		s.Write([]byte(text + strings.Repeat(" ", max(r.width-len(text), 0))))
		return r.ret(obj), nil
	}}
	r.rig = newRig(t, func(o *sys.Options) { o.Iters = []sys.IterTarget{target} })
	return r
}

// iterProg loads a program that is read over something.
func (r *iterRig) iterProg(over string, edit ...func(*sys.ProgAttr)) int32 {
	r.t.Helper()
	edit = append(edit, func(a *sys.ProgAttr) {
		a.AttachType, a.AttachBTF = sys.AttachTraceIter, r.k.AttachID(over)
	})
	return r.ok(sys.ProgLoad, r.prog(sys.ProgTypeTracing, join(movK(0, 0), exit), edit...))
}

// linkIter are the attributes of LINK_CREATE.
func linkIter(prog int32, info uint64, n uint32) sys.Attr {
	a := sys.Attr(make([]byte, 64))
	binary.LittleEndian.PutUint32(a[0:], uint32(prog))
	binary.LittleEndian.PutUint32(a[8:], sys.AttachTraceIter)
	binary.LittleEndian.PutUint64(a[16:], info)
	binary.LittleEndian.PutUint32(a[24:], n)
	return a
}

// all reads a file to the end, n bytes at a time.
func (r *iterRig) all(fd int32, n int) string {
	r.t.Helper()
	var out []byte
	for range 1000 {
		b, err := r.p.Read(int(fd), n)
		if err != nil {
			r.t.Fatalf("read: %v", err)
		}
		if len(b) == 0 {
			return string(out)
		}
		out = append(out, b...)
	}
	r.t.Fatal("there is no end")
	return ""
}

// A reading comes to each thing once, however little is read at a time, and to the end.
func TestIterRead(t *testing.T) {
	for _, n := range []int{1, 7, 8, 9, 1 << 16} {
		r := newIterRig(t, 3, 5, 9)
		link := r.ok(sys.LinkCreate, linkIter(r.iterProg("thing"), 0, 0))
		for session := 1; session < 3; session++ {
			r.shown = nil
			fd := r.ok(sys.IterCreate, sys.Words(uint32(link), 0))
			want := fmt.Sprintf("%[1]d.0.3   %[1]d.1.5   %[1]d.2.9   end     ", session)
			if got := r.all(fd, n); got != want {
				t.Errorf("%d bytes at a time: %q, want %q", n, got, want)
			}
			if fmt.Sprint(r.shown) != "[3 5 9 0]" {
				t.Errorf("%d bytes at a time: shown %v", n, r.shown)
			}
		}
	}
	// One thing, of those there are.
	r := newIterRig(t, 3, 5, 9)
	p := r.iterProg("thing")
	fd := r.ok(sys.IterCreate, sys.Words(uint32(r.ok(sys.LinkCreate, linkIter(p, r.u.Add(join(u32(5), u32(0), u32(0))), 12))), 0))
	if got := r.all(fd, 100); got != "1.0.5   end     " {
		t.Errorf("of one thing: %q", got)
	}
	// Nothing at all: the program runs for the end.
	r = newIterRig(t)
	fd = r.ok(sys.IterCreate, sys.Words(uint32(r.ok(sys.LinkCreate, linkIter(r.iterProg("thing"), 0, 0))), 0))
	if got := r.all(fd, 100); got != "end     " {
		t.Errorf("of nothing: %q", got)
	}
}

// What a program cannot show comes with the next read, or is an error if it is the first.
func TestIterRetry(t *testing.T) {
	r := newIterRig(t, 3, 5, 9)
	r.width = 20000 // one fits a buffer of 32 KB
	fd := r.ok(sys.IterCreate, sys.Words(uint32(r.ok(sys.LinkCreate, linkIter(r.iterProg("thing"), 0, 0))), 0))
	if got := r.all(fd, 1<<16); len(got) != 80000 || fmt.Sprint(r.shown) != "[3 5 5 9 9 0 0]" {
		t.Errorf("%d bytes, shown %v", len(got), r.shown)
	}
	for _, tc := range []struct {
		name  string
		width int
		ret   uint64
		want  abi.Errno
	}{
		{"too long", 32768, 0, abi.E2BIG},
		{"just fits", 32767, 0, 0},
		{"again", 8, 1, abi.EAGAIN},
	} {
		r := newIterRig(t, 3)
		r.width, r.ret = tc.width, func(uint64) uint64 { return tc.ret }
		fd := r.ok(sys.IterCreate, sys.Words(uint32(r.ok(sys.LinkCreate, linkIter(r.iterProg("thing"), 0, 0))), 0))
		if _, err := r.p.Read(int(fd), 100); sys.Errno(err) != tc.want && (err != nil || tc.want != 0) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// Links and files of iterators are refused with the kernel's numbers.
func TestIterRefused(t *testing.T) {
	r := newIterRig(t, 1)
	p := r.iterProg("thing")
	other := r.iterProg("nothing")
	sleeps := r.iterProg("thing", func(a *sys.ProgAttr) { a.Flags = sys.ProgFlagSleepable })
	change := func(at int, v uint32) sys.Attr {
		a := linkIter(p, 0, 0)
		binary.LittleEndian.PutUint32(a[at:], v)
		return a
	}
	info := func(b []byte) uint64 { return r.u.Add(b) }
	for _, tc := range []struct {
		name string
		attr sys.Attr
		want abi.Errno
	}{
		{"target", change(4, 1), abi.EINVAL},
		{"flags", change(12, 1), abi.EINVAL},
		{"attach type", change(8, sys.AttachTraceFentry), abi.EINVAL},
		{"no descriptor", change(0, 99), abi.EBADF},
		{"nothing is read over that", linkIter(other, 0, 0), abi.ENOENT},
		{"sleeps", linkIter(sleeps, 0, 0), abi.EINVAL},
		{"size without address", linkIter(p, 0, 4), abi.EINVAL},
		{"address without size", linkIter(p, info(u32(1)), 0), abi.EINVAL},
		{"unreadable", linkIter(p, 1<<40, 4), abi.EFAULT},
		{"two choices", linkIter(p, info(join(u32(1), u32(1), u32(0))), 12), abi.EINVAL},
		{"descriptor of a process", linkIter(p, info(join(u32(0), u32(0), u32(1))), 12), abi.EBADF},
		{"longer, with zeros", linkIter(p, info(make([]byte, 24)), 24), 0},
		{"longer", linkIter(p, info(bytes.Repeat([]byte{1}, 24)), 24), abi.E2BIG},
		{"much longer", linkIter(p, info(u32(0)), 5000), abi.E2BIG},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.t = t
			r.errno(tc.want, sys.LinkCreate, tc.attr)
		})
	}
	r.t = t
	link := r.ok(sys.LinkCreate, linkIter(p, 0, 0))
	r.errno(abi.EINVAL, sys.IterCreate, sys.Words(uint32(link), 1))
	r.errno(abi.EINVAL, sys.IterCreate, sys.Words(uint32(link), 0, 1))
	r.errno(abi.EINVAL, sys.IterCreate, sys.Words(uint32(p), 0))
	r.errno(abi.EBADF, sys.IterCreate, sys.Words(99, 0))
	r.errno(abi.EOPNOTSUPP, sys.LinkDetach, sys.Words(uint32(link)))
	for fd, want := range map[int]abi.Errno{99: abi.EBADF, -1: abi.EBADF, int(p): abi.EINVAL, int(link): abi.EINVAL} {
		if _, err := r.p.Read(fd, 10); sys.Errno(err) != want {
			t.Errorf("read of descriptor %d: %v, want %v", fd, err, want)
		}
	}
}

// A link keeps its program, an open file the one that it began with; other programs over the same can take its place.
func TestIterLife(t *testing.T) {
	r := newIterRig(t, 4)
	p, next, fentry := r.iterProg("thing"), r.iterProg("thing"), r.iterProg("nothing")
	link := r.ok(sys.LinkCreate, linkIter(p, 0, 0))
	fd := r.ok(sys.IterCreate, sys.Words(uint32(link), 0))
	r.errno(abi.EPERM, sys.LinkUpdate, sys.Words(uint32(link), uint32(next), 4, uint32(next)))
	r.errno(abi.EINVAL, sys.LinkUpdate, sys.Words(uint32(link), uint32(next), 0, uint32(p)))
	r.errno(abi.EINVAL, sys.LinkUpdate, sys.Words(uint32(link), uint32(fentry), 0, 0))
	r.errno(abi.EBADF, sys.LinkUpdate, sys.Words(uint32(link), 99, 0, 0))
	r.ok(sys.LinkUpdate, sys.Words(uint32(link), uint32(next), 4, uint32(p)))
	for _, x := range []int32{p, next, fentry} {
		r.p.Close(int(x))
	}
	if n := r.k.Counts(); n.Progs != 2 || n.Links != 1 {
		t.Errorf("%+v, want the program of the file and that of the link", n)
	}
	info := make([]byte, 64)
	name := make([]byte, 16)
	binary.LittleEndian.PutUint64(info[16:], r.u.Add(name))
	binary.LittleEndian.PutUint32(info[24:], uint32(len(name)))
	r.ok(sys.ObjGetInfoByFD, sys.InfoAttr{FD: link, Len: 64, Info: r.u.Add(info)}.Bytes())
	if binary.LittleEndian.Uint32(info) != 4 || string(name[:6]) != "thing\x00" || binary.LittleEndian.Uint32(info[24:]) != 6 {
		t.Errorf("info % x, name %q", info, name)
	}
	binary.LittleEndian.PutUint32(info[24:], 3)
	r.errno(abi.ENOSPC, sys.ObjGetInfoByFD, sys.InfoAttr{FD: link, Len: 64, Info: r.u.Add(info)}.Bytes())
	r.p.Close(int(link))
	if got := r.all(fd, 100); got != "1.0.4   end     " {
		t.Errorf("after the link: %q", got)
	}
	r.p.Close(int(fd))
	if n := r.k.Counts(); n.Progs != 0 || n.Links != 0 {
		t.Errorf("%+v are left", n)
	}
}
